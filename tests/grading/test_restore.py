"""The released notebook with the student's answers in it."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from rnncourse.grading.restore import _differences, notable, rebuild


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


def test_answers_and_own_cells_are_taken():
    nb = release()
    nb.cells[1].source = "STUDENT = 'ada'"
    nb.cells[2].source = "one = 1"
    nb.cells.insert(3, new_code_cell("helper = 2"))
    nb.cells[-1].source = "pass"
    assert sources(rebuild(nb, release())) == [
        "# Set",
        "STUDENT = 'ada'",
        "one = 1",
        "helper = 2",
        "assert one",
        "now two",
        "raise NotImplementedError",
        "assert two",
    ]
    assert _differences(nb, release()) == ["test cell 'test-two' was edited; the original one ran"]


def test_order_and_copies_do_not_matter():
    nb = release()
    nb.cells[2].source = "one = 1"
    nb.cells.reverse()
    nb.cells.append(cell("one", "one = 'later'", solution=True))
    found = rebuild(nb, release())
    assert sources(found)[2:4] == ["one = 1", "assert one"]
    assert "cell 'one' was there twice; the first one counts" in _differences(nb, release())


def test_nothing_left_is_the_release():
    assert sources(rebuild(new_notebook(), release())) == sources(release())
    assert len(_differences(new_notebook(), release())) == 5


@pytest.mark.parametrize("metadata", [{}, {"nbgrader": None}, {"nbgrader": {"grade_id": 3}}])
def test_odd_metadata_is_a_cell_of_the_students_own(metadata):
    nb = new_notebook(cells=[new_code_cell("x = 1", metadata=metadata)])
    assert sources(rebuild(nb, release()))[0] == "x = 1"


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
        ("this is no Python", []),
        ("from . import x", ["import "]),
    ],
)
def test_notable(source, notes):
    assert notable(source, {"numpy", "math"}) == notes
