"""No solution and no hidden test in what students get: release, site, package."""

import html
import io
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache

import nbformat
import pytest

from rnncourse.grading import course
from tools.notebooks import NOTEBOOKS, ROOT

from .submissions import SETS

SITE = ROOT / "_build" / "html"
MARKERS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN", "END HIDDEN")
BEGIN = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", re.DOTALL)


def plain(text):
    """Return a text without spaces: lines are broken where there is room."""
    return re.sub(r"\s+", "", text)


def page(text):
    """Return the words of a page, without markup: there, a line of code is in many pieces."""
    return html.unescape(re.sub(r"<[^>]+>", "", text))


@cache
def public():
    """Return all that anybody may read: chapters, pages, package, and the questions."""
    files = [
        *NOTEBOOKS.glob("*.md"),
        *(ROOT / "book").glob("*.md"),
        *ROOT.glob("rnncourse/**/*.py"),
    ]
    texts = [path.read_text(encoding="utf-8") for path in files]
    for source in SETS:
        text = source.read_text(encoding="utf-8")
        texts.append(BEGIN.sub("", text))
    return plain("\n".join(texts))


@cache
def secrets():
    """Return the lines of solutions and hidden tests that stand nowhere else."""
    found = {}
    for source in SETS:
        for part in BEGIN.findall(source.read_text(encoding="utf-8")):
            for line in part.splitlines():
                if len(line.strip()) >= 24 and plain(line) not in public():
                    found[plain(line)] = f"{source.stem}: {line.strip()}"
    return found


def leaks(text):
    text = plain(text)
    marks = [f"the marker {mark!r}" for mark in MARKERS if plain(mark) in text]
    return marks + [where for line, where in secrets().items() if line in text]


def test_there_is_something_to_look_for(tmp_path):
    assert len(secrets()) > 20 * len(SETS)
    for source in SETS:
        text = "\n".join(cell.source for cell in course.source_notebook(source).cells)
        assert sum(where.startswith(source.stem) for where in leaks(text)) > 20


@pytest.mark.parametrize("source", SETS, ids=lambda path: path.stem)
def test_the_students_notebook_holds_no_secret(source, none):
    path = source.with_suffix(".ipynb")
    none(leaks(path.read_text(encoding="utf-8").encode().decode("unicode_escape")))
    cells = nbformat.read(path, as_version=4).cells
    none(leaks("\n".join(cell.source for cell in cells)))
    assert not any(cell.get("outputs") for cell in cells)


def test_the_site_holds_no_secret(none):
    if not (SITE / "index.html").exists():
        pytest.fail("there is no site in _build/html: run `make book` first", pytrace=False)
    ends = (".html", ".ipynb", ".js", ".json", ".txt", ".md", ".inv", ".rst", ".py")
    files = [path for path in SITE.rglob("*") if path.suffix in ends and path.is_file()]
    assert sum("problem-sets" in str(path) for path in files) >= 2 * len(SETS)
    seen = 0
    for path in files:
        if "MathJax" in str(path) or "mathjax" in str(path):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".html":
            has_code, text = "highlight-ipython3" in text, page(text)
            if path.parent.name == "problem-sets" and has_code:  # an edition may wait for its set
                assert plain("raise NotImplementedError  # your code") in plain(text)
                seen += 1
        elif path.suffix in (".ipynb", ".json", ".js"):
            text = text.replace("\\n", "\n").replace('\\"', '"')
        none(f"{path.relative_to(SITE)} holds {leak}" for leak in leaks(text))
    assert seen >= len(SETS)  # what may be read is found this way, so a secret would be


def test_the_package_holds_no_secret(tmp_path, none):
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / "tree" / name)
    build = (
        "import setuptools.build_meta as b; "
        f"b.build_wheel({str(tmp_path)!r}); b.build_sdist({str(tmp_path)!r})"
    )
    subprocess.run(
        [sys.executable, "-c", build], cwd=tmp_path / "tree", check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(sdist) as archive:
        for member in archive:
            if member.isfile():
                packed[member.name] = io.BytesIO(archive.extractfile(member).read()).getvalue()
    assert any(name.endswith("grading/expectations.py") for name in packed)
    assert not any("problem" in name for name in packed)
    for name, content in packed.items():
        none(f"{name} holds {leak}" for leak in leaks(content.decode("utf-8", "replace")))
