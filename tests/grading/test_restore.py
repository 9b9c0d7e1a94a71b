"""The released notebook with the student's answers in it."""

import html
import re

import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
    new_raw_cell,
)

from rnncourse.grading.restore import harmless, notable, rebuild


def cell(name, source, **kind):
    found = {"grade_id": name, "grade": False, "solution": False, "locked": False, **kind}
    return new_code_cell(source, metadata={"nbgrader": found})


def release():
    return new_notebook(
        cells=[
            new_markdown_cell("# Set"),
            cell("name", "STUDENT = ''"),
            cell("one", "raise NotImplementedError", solution=True),
            cell("test-one", "assert one", grade=True, locked=True),
            new_markdown_cell("now two"),
            cell("two", "raise NotImplementedError", solution=True),
            cell("test-two", "assert two", grade=True, locked=True),
        ]
    )


def sources(nb):
    return [c.source for c in nb.cells]


def rebuilt(nb):
    found, notes = rebuild(nb, release())
    return sources(found), notes


def test_answers_and_own_cells_are_taken():
    nb = release()
    nb.cells[1].source = "STUDENT = 'ada'"
    nb.cells[2].source = "one = 1"
    nb.cells.insert(3, new_code_cell("helper = 2"))
    nb.cells[-1].source = "pass"
    found, notes = rebuilt(nb)
    assert found == [
        "# Set",
        "STUDENT = 'ada'",
        "one = 1",
        "helper = 2",
        "assert one",
        "now two",
        "raise NotImplementedError",
        "assert two",
    ]
    assert notes == ["test cell 'test-two' was edited; the original one ran"]


def test_order_does_not_matter():
    nb = release()
    nb.cells[2].source = "one = 1"
    nb.cells.reverse()
    found, notes = rebuilt(nb)
    assert found[2:4] == ["one = 1", "assert one"]
    assert notes == []


def test_an_answer_in_two_pieces_is_one_answer():
    """An editor that splits a cell gives both halves the same metadata."""
    nb = release()
    nb.cells[2].source = "def one():\n    return half()"
    nb.cells.insert(3, cell("one", "def half():\n    return 0.5", solution=True))
    found, notes = rebuilt(nb)
    assert found[2] == "def one():\n    return half()\n\ndef half():\n    return 0.5"
    assert notes == ["cell 'one' was there twice; both pieces count, one after another"]


def test_a_cell_that_was_copied_counts_once():
    nb = release()
    nb.cells[2].source = "one = 1"
    nb.cells.append(nb.cells[2].copy())
    found, notes = rebuilt(nb)
    assert found[2] == "one = 1"
    assert notes == ["cell 'one' was there twice, and the same"]


def test_what_is_added_to_a_given_cell_runs_after_it():
    nb, other = release(), release()
    for notebook in (nb, other):
        notebook.cells.insert(1, cell("imports", "import numpy as np", locked=True))
    nb.cells[1].source = "import numpy as np\nimport math"
    found, notes = rebuild(nb, other)
    assert sources(found)[1:3] == ["import numpy as np", "import numpy as np\nimport math"]
    assert "nbgrader" not in found.cells[2].metadata
    assert notes == ["cell 'imports' was edited; the original one ran, and then this one"]


def test_cells_without_metadata_are_known_by_what_they_define():
    def stubs():
        nb = release()
        nb.cells[2].source = "def one(x):\n    raise NotImplementedError"
        nb.cells[5].source = "two = three = None\nraise NotImplementedError"
        return nb

    nb = stubs()
    nb.cells[2].source = "import math\n\ndef one(x):\n    return math.pi"
    nb.cells[5].source = "two, three = 2, 3"
    for c in nb.cells:
        c.metadata.pop("nbgrader", None)
    found, notes = rebuild(nb, stubs())
    assert sources(found)[2] == nb.cells[2].source
    assert sources(found)[5] == "two, three = 2, 3"
    assert "cell 'one' had lost its mark; it was known by what it defines" in notes
    assert "cell 'test-one' was deleted; it is as released" in notes


def test_nothing_left_is_the_release():
    found, notes = rebuilt(new_notebook())
    assert found == sources(release())
    assert len(notes) == 5


@pytest.mark.parametrize("metadata", [{}, {"nbgrader": None}, {"nbgrader": {"grade_id": 3}}])
def test_odd_metadata_is_a_cell_of_the_students_own(metadata):
    nb = new_notebook(cells=[new_code_cell("x = 1", metadata=metadata)])
    assert rebuilt(nb)[0][0] == "x = 1"


@pytest.mark.parametrize(
    ("source", "notes"),
    [
        ("import numpy as np\nnp.tanh(1)", []),
        ("import os, math", ["import os"]),
        ("from subprocess import run", ["import subprocess"]),
        ("import numpy as np\nnp.linalg.norm = 3", ["assigns to np.linalg.norm"]),
        ("x = [1]\nx[0] = 2\nself.weight = 3", []),
        ("!ls", ["get_ipython"]),
        ("%%bash\nls", ["get_ipython"]),
        ("eval('1')", ["eval"]),
        ("import random\nrandom._os.environ['A'] = 'b'", [".environ", "._os"]),
        ("import dataclasses\ndataclasses.sys.settrace(f)", [".settrace", ".sys"]),
        ("np.fromfile('x')", [".fromfile"]),
        ("f.__code__ = g.__code__", [".__code__", ".__code__"]),
        ("super().__init__()", []),
        ("global expect_close\nexpect_close = None", ["expect_close"]),
        ("print(In[-1])", ["In"]),
        ("this is no Python", []),
        ("from . import x", ["import "]),
    ],
)
def test_notable(source, notes):
    assert notable(source, {"numpy", "math", "random", "dataclasses"}) == notes


TEXTS = [
    "[a](javascript:alert(1))",
    r"[a](javascript\:alert(1))",
    "[a](<javascrip\tt:alert(1)>)",
    "[a](java&#115;cript:alert(1))",
    r"[a](data\:text/html,<script>alert(1)</script>)",
    "[a]: javascript:alert(1)\n\n[a]",
    "[a]:\n  javascript:alert(1)\n\n[b][a]",
    "![a](x)",
    '![a](http://example.org/seen.png "t")',
    "<javascript:alert(1)>",
    "<<script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "<!-- --><script>alert(1)</script>",
    r"$\href{javascript:alert(1)}{x}$",
    r'$\mmlToken{mi}[href="javascript:alert(1)"]{x}$',
]
SHOWN = [
    {"image/png": 'aa" onerror="alert(1)'},
    {"image/svg+xml": "<svg onload=alert(1)></svg>"},
    {"text/html": "<script>alert(1)</script><b onclick=alert(1)>b</b>"},
    {"text/markdown": "<script>alert(1)</script>"},
    {"application/javascript": "alert(1)"},
    {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}},
    {"text/latex": r"$\href{javascript:alert(1)}{x}$"},
]
SIZES = {
    "width": "1 onerror=alert(1)",
    "alt": 'x" onerror="alert(1)',
    "filenames": {"image/png": "x"},
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_runs_nothing_and_loads_nothing(text):
    for new_cell in (new_markdown_cell, new_raw_cell):
        assert loaded_and_run(new_cell(text)) == []


@pytest.mark.parametrize("data", SHOWN)
def test_an_output_runs_nothing_and_loads_nothing(data):
    cell = new_code_cell("1")
    sizes = {"image/png": SIZES, **SIZES}
    cell.outputs = [new_output("display_data", data, metadata=sizes)]
    cell.outputs.append(new_output("stream", text="<script>alert(1)</script>"))
    cell.outputs.append(new_output("error", traceback=["<script>alert(1)</script>"]))
    assert loaded_and_run(cell) == []


def test_a_picture_stays_a_picture():
    cell = new_code_cell("1")
    cell.outputs = [new_output("display_data", {"image/png": "aGVsbG8=\n"}, metadata=SIZES)]
    (tag,) = loaded_and_run(cell)
    assert re.fullmatch(
        r"""<img alt=["'][\w ]+["'] src=["']data:image/png;base64,aGVsbG8=\s["']/?>""", tag
    )


def loaded_and_run(cell):
    """Return the tags of a page that load or run something, as formgrader would write it."""
    nb = new_notebook(cells=[cell], metadata={"widgets": {"x": {"state": "<script>"}}})
    harmless(nb, set())
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(nb)
    body = re.sub(r"(?s)<pre>.*?</pre>|<code>.*?</code>", "", page[page.index("<body") :])
    tags = [html.unescape(tag) for tag in re.findall(r"<[a-zA-Z][^>]*>", body)]
    bad = r"(?i)<(script|img|svg|iframe|object|embed|link)\b|\son\w+\s*=|<a href=.(?!https?:|#)"
    return [tag for tag in tags if re.search(bad, tag)]
