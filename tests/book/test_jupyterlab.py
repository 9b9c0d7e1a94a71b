"""Open every notebook in JupyterLab, without extensions, and look for what a reader would see."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import cache

import pytest
from playwright.sync_api import TimeoutError

from tools import rules
from tools.notebooks import NOTEBOOKS, ROOT, SETS, book, read_twin, sources

TWINS = [path.with_suffix(".ipynb") for path in (*sources(), *sources(SETS))]
SITE = ROOT / "_build" / "html"
SCREENSHOTS = ROOT / "_build" / "screenshots"
SETTINGS = {  # all cells are in the page, and it asks nobody for news
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}

# JupyterLab is loaded once for all notebooks, each of which takes the place of the one before, and
# is shown without a kernel: nothing runs here, and to start one takes a second.
LOADED = """async () => {
    await jupyterapp.restored;
    Object.defineProperty(
        jupyterapp.docRegistry.getWidgetFactory("Notebook"), "preferKernel", {value: false});
}"""
OPEN = """async path => {
    window.stale = true;
    const {commands, shell} = jupyterapp;
    const opened = await commands.execute("docmanager:open", {path});
    for (const widget of [...shell.widgets("main")]) if (widget !== opened) widget.dispose();
    await opened.context.ready;
    return [...shell.widgets("main")].map(widget => widget.context?.path);
}"""
# What TeX defines would also be known to the notebooks after this one, where it may be missing.
LASTING = re.compile(r"\\(def|label|let|require|\w*newcommand|\w*newenvironment)\b")

ALL_CELLS_ARE_SHOWN = """number => document.querySelectorAll(".jp-Cell").length === number
    && [...document.querySelectorAll(".jp-MarkdownCell")]
        .every(cell => cell.querySelector(".jp-MarkdownOutput")?.textContent)"""

# What stands in the text as no reader should see it; code and what MathJax has set do not count.
RAW = r"""() => [...document.querySelectorAll(".jp-MarkdownOutput")].flatMap(cell => {
    const text = cell.cloneNode(true);
    text.querySelectorAll("mjx-container, code, pre").forEach(element => element.remove());
    const raw = /:::|\{(cite|eq|doc|ref|term)\b|\{(admonition|dropdown|note)\}|\$|\\[a-z]+\{/;
    const found = text.textContent.match(raw);
    return found ? [text.textContent.slice(Math.max(0, found.index - 30), found.index + 50)] : [];
})"""

LINKS = """() => [...document.querySelectorAll(".jp-MarkdownOutput a:not(.jp-InternalAnchorLink)")]
    .map(link => link.href)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a JupyterLab that has its own settings only, and no extension."""
    home = tmp_path_factory.mktemp("jupyter")
    (home / "settings").mkdir()
    for twin in TWINS:  # of a copy: JupyterLab writes checkpoints beside what it opens
        copy = home / "notebooks" / twin.relative_to(NOTEBOOKS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(twin, copy)
    (home / "settings" / "overrides.json").write_text(json.dumps(SETTINGS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": home / "notebooks",
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": True,
        "LabServerApp.app_settings_dir": home / "settings",
        "LabServerApp.user_settings_dir": home / "user",
        "LabServerApp.workspaces_dir": home / "workspaces",
        "LabServerApp.labextensions_path": "[]",
    }
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_NO_CONFIG": "1"}
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyterlab",
            *(f"--{key}={value}" for key, value in options.items()),
        ],
        env={**environment, "JUPYTER_RUNTIME_DIR": str(home)},
        stdout=(home / "log").open("w"),
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{address}/api/status").close()
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.25)
    else:
        pytest.fail((home / "log").read_text())
    yield address
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def tab(browser, lab):
    """One tab of the browser, which asks no other host for anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.route(
        lambda url: not url.startswith((lab, "data:", "blob:")), lambda route: route.abort()
    )
    yield context.new_page()
    context.close()


def show(tab, lab, name, notebook):
    """Open a notebook, alone, in a JupyterLab that the notebooks before have left as it was."""
    if tab.evaluate("window.stale ?? true"):
        tab.goto(f"{lab}/lab?reset")
        tab.wait_for_function("window.jupyterapp", timeout=60_000)
        tab.evaluate(LOADED)
    assert tab.evaluate(OPEN, name) == [name]
    tab.wait_for_function(ALL_CELLS_ARE_SHOWN, arg=len(notebook.cells), timeout=60_000)
    defines = any(LASTING.search(cell.source) for cell in notebook.cells)
    tab.evaluate("stale => { window.stale = stale }", defines)


@pytest.mark.parametrize("twin", TWINS, ids=lambda path: path.relative_to(NOTEBOOKS).as_posix())
def test_notebook_reads_well_in_jupyterlab(tab, lab, twin, none):
    notebook, name = read_twin(twin), twin.relative_to(NOTEBOOKS).as_posix()
    show(tab, lab, name, notebook)
    with contextlib.suppress(TimeoutError):  # then what is left is told below
        tab.wait_for_function(f"() => !({RAW})().length", timeout=20_000)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=SCREENSHOTS / f"jupyterlab-{name.replace('/', '-')}.png")

    problems = [f"not rendered: {text}" for text in tab.evaluate(RAW)]
    for error in tab.locator(".jp-MarkdownOutput mjx-merror").all():
        problems.append(f"mathematics with an error: {error.get_attribute('data-mjx-error')}")
    answers = sum(cell.source.count("<details>") for cell in notebook.cells)
    assert tab.locator(".jp-MarkdownOutput details").count() == answers
    if tab.locator(".jp-MarkdownOutput details[open]").count():
        problems.append("an answer of the quiz is open")
    folded = sum("source_hidden" in cell.metadata.get("jupyter", {}) for cell in notebook.cells)
    if tab.locator(".jp-CodeCell .jp-InputPlaceholder").count() != folded:
        problems.append(f"expected {folded} folded cells")
    problems += [f"`{link}` {why}" for link in tab.evaluate(LINKS) if (why := leads_nowhere(link))]
    none(f"{name}: {problem}" for problem in problems)


@cache
def anchors(page):
    """Return the anchors of a page of the built site."""
    return rules.Page(page).anchors


def leads_nowhere(link):
    """Say why a link leads nowhere: one to the site must name a page and an anchor that exist."""
    site = book().site
    if not link.startswith(f"{site}/"):
        return "" if re.match(r"https://[\w-]+\.[\w.-]+", link) else "is no address"
    path, _, anchor = link.removeprefix(f"{site}/").partition("#")
    page = SITE / (path or "index.html")
    if not page.exists():
        return "leads to no page of the site"
    return "" if not anchor or anchor in anchors(page) else "leads to no anchor of its page"


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        ("book/glossary.html", ""),
        ("book/bibliography.html#cite-elman1990finding", ""),
        ("book/bibliography.html#cite-nobody", "no anchor"),
        ("notebooks/99.html", "no page"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(link, wrong):
    assert wrong in leads_nowhere(f"{book().site}/{link}")
    assert bool(wrong) == bool(leads_nowhere(f"{book().site}/{link}"))
