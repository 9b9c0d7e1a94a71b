"""Read an answer where a grader reads it: nbgrader's formgrader, in a browser."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from nbformat.v4 import new_markdown_cell
from nbgrader.api import Gradebook

from rnncourse.grading import course
from tests.problem_sets.submissions import SETS, WALLS, Submissions
from tools.notebooks import ROOT

SCREENSHOTS = ROOT / "_build" / "screenshots"
ANSWER = (
    "## Question 6 · Think\n\nMy own words, with $a<b$. "
    "<script>document.title = 'taken'</script> <img src=x onerror=\"document.title='taken'\"> "
    "[here](javascript:document.title='taken')"
)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """One set with one graded submission."""
    work = Submissions(SETS[2], tmp_path_factory.mktemp("formgrader"))
    answer = work.answer({"why-tanh": ANSWER})
    answer.cells.append(new_markdown_cell("<script>document.title = 'taken'</script>"))
    work.hand_in("ada", answer)
    (grade,) = work.grade().values()
    assert grade.by_hand == ["why-tanh"]
    config = (SETS[2].parent / "nbgrader_config.py").read_text()
    (work.course / course.CONFIG).write_text(f"{config}\nc.Execute.walls = {WALLS!r}\n")
    return work


@pytest.fixture(scope="module")
def formgrader(work, tmp_path_factory):
    """Address of a Jupyter server with formgrader, started in the course's folder."""
    home = tmp_path_factory.mktemp("jupyter")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "ServerApp.jpserver_extensions": "nbgrader.server_extensions.formgrader=True",
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": "",
    }
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_RUNTIME_DIR": str(home)}
    environment["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    environment["HOME"] = str(home)
    call = [sys.executable, "-m", "jupyter_server"]
    call += [f"--{key}={value}" for key, value in options.items()]
    server = subprocess.Popen(
        call,
        cwd=work.course,
        env=environment,
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


@pytest.fixture
def tab(browser, formgrader):
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.route(
        lambda url: not url.startswith((formgrader, "data:", "blob:")), lambda route: route.abort()
    )
    yield context.new_page()
    context.close()


def test_an_answer_stands_beside_its_rubric_and_gets_points(work, formgrader, tab):
    tab.goto(f"{formgrader}/formgrader/manage_assignments")
    tab.wait_for_selector(f"text={work.name}")
    tab.goto(f"{formgrader}/formgrader/gradebook/{work.name}/{work.name}")
    with tab.expect_navigation(wait_until="domcontentloaded"):
        tab.click("td.name a")
    said = tab.locator(".nbgrader_cell", has_text="My own words, with")
    beside = tab.locator(".text_cell", has_text="For the grader, not for the student").last
    assert said.count() == 1
    assert "Rubric." in beside.inner_text()
    assert "1 point: no interaction between inputs" in beside.inner_text()
    assert beside.bounding_box()["y"] > said.bounding_box()["y"]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    said.scroll_into_view_if_needed()
    tab.screenshot(path=SCREENSHOTS / "formgrader.png")
    assert tab.evaluate("document.title") != "taken"
    assert said.locator("script, img, a:not(.anchor-link)").count() == 0
    # a person's points and words reach the gradebook
    said.locator("input.score").fill("2.5")
    said.locator("textarea").fill("And overflow?")
    tab.keyboard.press("Tab")
    settings = course.configure(course.Config(), work.course).CourseDirectory
    for _ in range(40):
        tab.wait_for_timeout(250)
        with Gradebook(settings.db_url) as book:
            grade = book.find_grade("why-tanh", work.name, work.name, "ada")
            comment = book.find_comment("why-tanh", work.name, work.name, "ada")
            given = grade.manual_score, comment.comment
        if given == (2.5, "And overflow?"):
            break
    assert given == (2.5, "And overflow?")
    page = course.feedback(work.name, work.course) / "ada" / work.name / f"{work.name}.html"
    text = page.read_text()
    assert "And overflow?" in text
    assert "Rubric" not in text
    assert "For the grader" not in text
