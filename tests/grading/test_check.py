"""What students see before they hand in."""

import copy
import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from rnncourse.grading import __main__ as command
from rnncourse.grading import check
from tests.problem_sets.submissions import SETS, Submissions

NAME = "03-recurrent-network"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return Submissions(SETS[2], tmp_path_factory.mktemp("course"))


@pytest.fixture
def answer(work):
    """Return a notebook with right answers and a name."""
    nb = work.answer()
    cell(nb, "student").source = 'STUDENT = "ada"'
    return nb


def cell(nb, name):
    return next(c for c in nb.cells if check.name_of(c) == name)


def checked(nb, folder, capsys, file=f"{NAME}.ipynb"):
    """Return what the command prints, line by line, and its exit status."""
    nbformat.write(nb, folder / file)
    status = command.main(["check", str(folder / file), "--seconds", "3"])
    return capsys.readouterr().out.splitlines(), status


def test_a_notebook_in_order_can_be_handed_in(answer, tmp_path, capsys):
    lines, status = checked(answer, tmp_path, capsys)
    assert lines == [
        f"{NAME}.ipynb: Problem set 3 · The recurrent network",
        "8 of 8 tests pass here. The grader has further ones.",
        "You can hand it in.",
    ]
    assert status == 0


def test_every_kind_of_trouble_is_named(answer, tmp_path, capsys):
    cell(answer, "student").source = 'STUDENT = "ada/.."'
    cell(answer, "count").source = "while True:\n    pass"
    cell(answer, "test-count").source = "pass"
    cell(answer, "unroll").source = "h_3 = undefined"
    cell(answer, "why-tanh").source = f"## Question 6\n\n{check.TEXT_STUB}"
    cell(answer, "sample").source = "def next_distribution(*a):\n    print('x' * 200_000)"
    answer.cells.remove(cell(answer, "bits"))
    answer.cells.append(copy.deepcopy(cell(answer, "forward")))
    answer.cells[2:5] = reversed(answer.cells[2:5])
    lines, status = checked(answer, tmp_path, capsys)
    assert status == 1
    told = "\n".join(lines)
    for line in (
        "To do: STUDENT = 'ada/..' is no user name",
        "To do: cell 'bits' is missing",
        "To do: cell 'why-tanh' holds no answer yet",
        "To do: cell 'count' takes longer than 3 s",
        "To do: cell 'unroll' does not run from top to bottom: NameError: name 'undefined'",
        "To do: cell 'test-sample' prints more than 100 kB",
        "Fails: cell 'test-bits': NameError: name 'bits_per_character' is not defined",
        "Fails: cell 'test-sample': AssertionError: temperature 1, k = 4: expected numbers, got N",
        "Note:  cell 'forward' is there 2 times",
        "Note:  cell 'test-count' was edited: the grader runs it as it was",
        "Note:  cells are in another order",
    ):
        assert line in told
    assert "You can hand it in" not in told


def test_the_notebook_as_it_was_given_out_has_no_answers(work):
    problems, notes = check.look(work.released, f"{NAME}.ipynb")
    answers = [c for c in work.released.cells if c.metadata.get("nbgrader", {}).get("solution")]
    names = [f"cell {check.name_of(c)!r} holds no answer yet" for c in answers]
    assert problems == ['write your user name between the quotes of STUDENT = ""', *names]
    assert notes == []


@pytest.mark.parametrize("source", SETS, ids=lambda path: path.stem)
def test_every_students_notebook_knows_its_cells(source):
    """The one that students have, not one made for this test."""
    nb = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    problems, notes = check.look(nb, source.with_suffix(".ipynb").name)
    assert notes == []
    assert all("no answer yet" in line or "user name" in line for line in problems)
    assert len(problems) >= 6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("03-recurrent-network.ipynb", ""),
        ("03 (1).ipynb", ""),
        ("my homework.ipynb", ""),
        ("04-backpropagation-through-time.ipynb", "holds the set 03-recurrent-network"),
    ],
)
def test_another_sets_name_is_noticed(answer, name, message):
    problems, _ = check.look(answer, name)
    named = [line for line in problems if "holds the set" in line]
    assert bool(named) == bool(message)
    assert all(message in line for line in named)


def test_an_answer_that_was_cut_in_two_is_one(answer):
    second = copy.deepcopy(cell(answer, "count"))
    second.source = "x = 1"
    answer.cells.insert(answer.cells.index(cell(answer, "count")) + 1, second)
    problems, notes = check.look(answer, "x.ipynb")
    assert problems == []
    assert notes == ["cell 'count' is there 2 times: all its pieces count, in this order"]


@pytest.mark.parametrize("text", ["", "{ this is no notebook", '{"cells": 3}'])
def test_what_is_no_notebook_is_said(tmp_path, capsys, text):
    (tmp_path / "a.ipynb").write_text(text)
    assert command.main(["check", str(tmp_path / "a.ipynb")]) == 1
    assert "To do: the file is not a notebook." in capsys.readouterr().out
    assert command.main(["check", str(tmp_path / "b.ipynb")]) == 1
    assert "b.ipynb: there is no such file" in capsys.readouterr().err


def test_a_notebook_without_its_mark_is_told_apart(answer):
    del answer.metadata[check.MARK]
    assert check.look(answer, "x.ipynb") == (
        ["it does not say which set it is: put your answers into the notebook you were given"],
        [],
    )


def test_a_cell_that_ends_the_kernel_is_named(answer):
    cell(answer, "count").source = "import os\nos._exit(0)"
    problems, _, _ = check.run(answer, 20)
    assert problems == ["cell 'count' ended the kernel (DeadKernelError)"]


def test_a_check_in_the_notebook_itself_does_not_start_itself(answer, tmp_path):
    answer.cells.append(new_code_cell(f"%run -m rnncourse.grading check {NAME}.ipynb"))
    path = tmp_path / f"{NAME}.ipynb"
    nbformat.write(answer, path)
    call = [sys.executable, "-m", "rnncourse.grading", "check", str(path)]
    done = subprocess.run(call, capture_output=True, text=True, env=os.environ)
    assert done.stdout.endswith("You can hand it in.\n")


def test_nothing_of_the_teachers_is_needed():
    """Students install neither nbgrader nor what it brings."""
    code = (
        "import sys\nsys.modules['nbgrader'] = sys.modules['sqlalchemy'] = None\n"
        "sys.modules['psutil'] = sys.modules['sphinx'] = None\n"
        "from rnncourse.grading import __main__\n__main__.main(['check', 'nothing.ipynb'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "nothing.ipynb: there is no such file\n"
