"""Submissions that break things, by accident or not: graded without harm, reported, and alone."""

import os
import textwrap

import pytest

from rnncourse.grading import execute

from .submissions import SETS, Submissions

(SETS_03,) = (path for path in SETS if path.stem.startswith("03"))


def code(text):
    return textwrap.dedent(text).strip()


# The answer to the question about parameters, replaced by something that it should not be. All
# other answers are right, so everything but two points is still to be had, if the kernel lives.
CELLS = {
    "endless loop": """
        while True:
            pass
        """,
    "endless loop that cannot be interrupted": """
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """,
    "ten gigabytes": "big = np.ones(10 * 2**30 // 8)",
    "sys exit": "import sys\nsys.exit(0)",
    "kernel killed": "import os\nos._exit(0)",
    "parent killed": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "hundred megabytes printed": 'for _ in range(100):\n    print("x" * 10**6)',
    "a large file": 'open("large", "wb").write(bytes(200 * 2**20))',
    "shell": "!echo hello\ncount_parameters = None",
    "numpy testing patched": """
        import numpy.testing
        numpy.testing.assert_allclose = lambda *a, **k: None
        np.allclose = np.array_equal = lambda *a, **k: True
        np.abs = lambda x: x * 0
        """,
    "checks patched": """
        import rnncourse.grading, rnncourse.grading.expectations
        for module in (rnncourse.grading, rnncourse.grading.expectations):
            module.expect_equal = module.expect_close = lambda *a, **k: None
            module.expect_shape = lambda *a, **k: None
        """,
    "assertion error patched": """
        import builtins
        builtins.AssertionError = Warning
        builtins.abs = builtins.round = lambda x: 0
        """,
    "code of a check replaced": """
        import rnncourse.grading.expectations as checks
        checks.expect_equal.__code__ = (lambda *a, **k: None).__code__
        """,
    "asserts left out": """
        import ast

        class Leave(ast.NodeTransformer):
            def visit_Expr(self, node):
                return ast.Pass()

            visit_Assert = visit_Expr

        get_ipython().ast_transformers.append(Leave())
        """,
    "cells rewritten": """
        get_ipython().input_transformers_post.append(lambda lines: ["pass"])
        """,
    "shell replaced": """
        shell = get_ipython()
        old = shell.run_cell_async
        shell.run_cell_async = lambda code, *a, **k: old("pass", *a, **k)
        """,
    "kernel patched": """
        kind = type(get_ipython().kernel)
        old_execute = kind.do_execute
        kind.do_execute = lambda self, code, *a, **k: old_execute(self, "pass", *a, **k)
        """,
    "equal to everything": """
        class Yes(int):
            def __eq__(self, other):
                return True

        count_parameters = lambda *a: Yes(3)
        """,
    "modules replaced": """
        import sys, types
        fake = types.ModuleType("fake")
        fake.expect_equal = fake.expect_close = fake.expect_shape = lambda *a, **k: None
        fake.variant = None
        sys.modules["rnncourse.grading"] = fake
        """,
}
ONLY_THAT_QUESTION = {
    *("shell", "asserts left out", "cells rewritten", "shell replaced", "kernel patched"),
    "equal to everything",
    *("endless loop", "ten gigabytes", "sys exit", "hundred megabytes printed", "a large file"),
    *("numpy testing patched", "checks patched", "assertion error patched"),
    *("code of a check replaced", "modules replaced"),
}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = Submissions(SETS_03, tmp_path_factory.mktemp("hostile"))
    for student in ("a honest one", "z honest one"):
        work.hand_in(student, work.answer())
    work.grades_before = work.grade(jobs=1)
    for student, text in CELLS.items():
        work.hand_in(student, work.answer({"count": code(text)}))

    deleted = work.answer()
    names = ("test-forward", "test-bits", "bits", "imports")
    deleted.cells = [
        c for c in deleted.cells if c.metadata.get("nbgrader", {}).get("grade_id") not in names
    ]
    work.hand_in("cells deleted", deleted)

    edited = work.answer()
    for cell in edited.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.metadata.nbgrader.points = 1000
            if not cell.metadata.nbgrader.solution:
                cell.source = "pass"
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "count":
            cell.source = "count_parameters = None"
    work.hand_in("tests edited", edited)

    nothing_left = work.answer()
    nothing_left.cells = []
    work.hand_in("no cells", nothing_left)
    twice = work.answer()
    twice.cells += [c.copy() for c in twice.cells]
    work.hand_in("every cell twice", twice)
    (work.inbox / "not JSON.ipynb").write_text("{ this is no notebook")
    (work.inbox / "other JSON.ipynb").write_text('{"cells": 3}')
    (work.inbox / "empty.ipynb").write_text("")
    (work.inbox / "binary.ipynb").write_bytes(bytes(range(256)))
    (work.inbox / "no notebook").mkdir()
    (work.inbox / "no notebook" / "essay.docx").write_text("my homework")
    outputs = work.answer()
    outputs.cells[-1].source += "x" * 30 * 2**20
    work.hand_in("a giant notebook", outputs)

    work.grades = work.grade(seconds=6)
    return work


@pytest.mark.parametrize("student", CELLS)
def test_a_bad_cell_costs_its_question_and_is_reported(work, student):
    grade = work.grades[student]
    if student != "equal to everything":  # its own class is nothing unusual
        unwalled = student == "parent killed" and not execute.bubblewrap()
        assert grade.status == ("not graded" if unwalled else "look")
        assert grade.notes
    assert grade.questions["test-count"] == 0
    if student != "parent killed" or execute.bubblewrap():
        assert grade.questions["test-forward"] == 3  # it stands before
    if student in ONLY_THAT_QUESTION:
        assert work.lost(grade) == {"test-count"}


@pytest.mark.parametrize(
    ("student", "note"),
    [
        ("endless loop", "took longer than 6 s"),
        ("endless loop that cannot be interrupted", "could not be interrupted"),
        ("ten gigabytes", "MemoryError"),
        ("sys exit", "SystemExit"),
        ("kernel killed", "ended the kernel"),
        ("hundred megabytes printed", "printed more than 100000 bytes"),
        ("numpy testing patched", "numpy.allclose"),
        ("checks patched", "rnncourse.grading.expect_close"),
        ("assertion error patched", "builtins.AssertionError"),
        ("code of a check replaced", "library: rnncourse.grading.expect_equal"),
        ("asserts left out", "IPython's ast_transformers"),
        ("cells rewritten", "IPython's input_transformers_post"),
        ("shell replaced", "IPython's shell: run_cell_async"),
        ("kernel patched", "do_execute"),
        ("modules replaced", "worth a look: import types"),
        ("cells deleted", "cell 'test-forward' was deleted"),
        ("tests edited", "test cell 'test-forward' was edited"),
        ("every cell twice", "was there twice"),
        ("a large file", "worth a look: open"),
        ("shell", "worth a look: get_ipython"),
    ],
)
def test_report_says_what_happened(work, student, note):
    assert any(note in line for line in work.grades[student].notes), work.grades[student].notes


def test_deleted_tests_run_all_the_same(work):
    assert work.lost(work.grades["cells deleted"]) == {
        "test-bits",
        "test-bits-mask",
        "test-bits-large",
    }


def test_edited_tests_and_points_do_not_count(work):
    grade = work.grades["tests edited"]
    assert work.lost(grade) == {"test-count"}
    assert grade.score == 15


def test_every_cell_twice_counts_once(work):
    assert work.grades["every cell twice"].score == 17


def test_empty_notebook_scores_nothing(work):
    assert work.grades["no cells"].score == 0


@pytest.mark.parametrize(
    ("student", "status"),
    [
        ("not JSON", "the file is not a notebook"),
        ("other JSON", "the file is not a notebook"),
        ("empty", "the file is not a notebook"),
        ("binary", "the file is not a notebook"),
        ("no notebook", "no notebook"),
        ("a giant notebook", "a notebook of more than 20 MB"),
    ],
)
def test_what_is_no_submission_is_named_and_scores_nothing(work, student, status):
    assert work.grades[student].status == status
    assert work.grades[student].score == 0


def test_other_students_are_untouched(work):
    for student, before in work.grades_before.items():
        after = work.grades[student]
        assert (after.score, after.questions, after.status) == (17, before.questions, "graded")


def test_stored_outputs_stay_small(work):
    path = work.course / "autograded" / "hundred megabytes printed" / work.name
    assert (path / f"{work.name}.ipynb").stat().st_size < 400_000


def test_every_student_is_in_the_exported_grades(work, tmp_path):
    from rnncourse.grading import course

    course.export(work.course, tmp_path / "grades.csv")
    lines = (tmp_path / "grades.csv").read_text().splitlines()
    assert len(lines) == 1 + len(work.grades)
    report = (work.course / "reports" / f"{work.name}.csv").read_text()
    assert all(student in report for student in work.grades)


@pytest.mark.skipif(not execute.bubblewrap(), reason="bubblewrap is not to be had on this machine")
def test_walls_hide_the_course_and_cut_the_network(work):
    (work.inbox).joinpath("keep").mkdir(exist_ok=True)
    seen = code(f"""
        import os, socket
        found = []
        for path in ({str(work.course)!r}, {str(work.source.parent)!r}):
            found += [f for _, _, files in os.walk(path) for f in files]
        try:
            open({str(work.inbox / "keep" / "mark")!r}, "w")
            found.append("wrote elsewhere")
        except OSError:
            pass
        try:
            socket.create_connection(("127.0.0.1", 1), timeout=1)
        except ConnectionRefusedError:
            pass  # no one listens: but did the packet leave?
        except OSError:
            pass
        found += [name for _, name in socket.if_nameindex() if name != "lo"]
        found += ["processes"] if len([p for p in os.listdir("/proc") if p.isdigit()]) > 5 else []
        print("FOUND", found)
    """)
    work.hand_in("spy", work.answer({"count": seen}))
    work.grade()
    path = work.course / "autograded" / "spy" / work.name / f"{work.name}.ipynb"
    assert "FOUND []" in path.read_text()


@pytest.mark.skipif(not execute.bubblewrap(), reason="bubblewrap is not to be had on this machine")
def test_a_vandal_finds_nothing_to_destroy(work):
    before = work.grades["a honest one"].questions
    text = f"""
        import os, pathlib
        for path in pathlib.Path({os.fspath(work.course)!r}).glob("*"):
            path.unlink()
        """
    work.hand_in("vandal", work.answer({"count": code(text)}))
    assert work.grade()["a honest one"].questions == before


def test_without_walls_a_killed_grader_costs_nobody_else(tmp_path):
    work = Submissions(SETS_03, tmp_path)
    work.hand_in("a honest one", work.answer())
    work.hand_in("killer", work.answer({"count": code(CELLS["parent killed"])}))
    work.hand_in("z honest one", work.answer())
    grades = work.grade(walls="none")
    assert [grades[s].score for s in ("a honest one", "killer", "z honest one")] == [17, 0, 17]
    assert grades["killer"].status == "not graded"
    assert grades["killer"].notes == ["nbgrader failed: the submission killed the grader"]
    work.hand_in("killer", work.answer())
    assert work.grade()["killer"].score == 17
