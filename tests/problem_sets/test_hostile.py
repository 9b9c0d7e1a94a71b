"""Submissions that break things, by accident or not: graded without harm, reported, and alone."""

import html
import os
import re
import sys
import textwrap
from pathlib import Path

import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell

from rnncourse.grading import course, walls
from tools.notebooks import ROOT

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
    "a thousand processes": """
        import os, time
        for _ in range(1000):
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
        time.sleep(60)
        """,
    "sys exit": "import sys\nsys.exit(0)",
    "kernel killed": "import os\nos._exit(0)",
    "parent killed": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "hundred megabytes printed": 'for _ in range(100):\n    print("x" * 10**6)',
    "a large file": 'open("large", "wb").write(bytes(200 * 2**20))',
    "gigabytes in files": """
        for place in ("/tmp", ".", "/dev/shm", __import__("os").environ["HOME"]):
            for n in range(100):
                open(f"{place}/{n}", "wb").write(bytes(50 * 2**20))
        """,
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
    "checks rebound": """
        def count_parameters(I, H, O, L):
            global expect_equal
            expect_equal = lambda *a, **k: None
            return 5
        """,
    "jump to return": """
        import dataclasses
        def trace(frame, event, arg):
            if event == "line" and frame.f_code.co_name in ("expect_equal", "_test"):
                frame.f_lineno = max(line for _, _, line in frame.f_code.co_lines() if line)
            return trace
        def count_parameters(I, H, O, L):
            dataclasses.sys.settrace(trace)
            return 5
        """,
    "an array that looks up": """
        import inspect
        class Thief:
            def __array__(self, dtype=None, copy=None):
                for info in inspect.stack():
                    for name in ("want", "right", "other"):
                        if name in info.frame.f_locals:
                            return np.asarray(info.frame.f_locals[name])
                return np.asarray(5)
            def tolist(self):
                return self.__array__().tolist()
        def count_parameters(I, H, O, L):
            return Thief()
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
        fake.variant = fake.serve = lambda *a, **k: None
        sys.modules["rnncourse.grading"] = sys.modules["rnncourse.grading.door"] = fake
        """,
    "nobody at the door": """
        import rnncourse.grading.door as door
        door.serve = lambda path: None
        """,
    "nonsense at the door": """
        import rnncourse.grading.door as door, socket
        def serve(path):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path)
            connection.sendall(b"\\0\\0\\0\\x04null" * 1000)
            connection.recv(100)
        door.serve = serve
        """,
    "the door opened elsewhere": """
        import rnncourse.grading.door as door, os, socket
        def serve(path):
            os.unlink(path)
            other = socket.socket(socket.AF_UNIX)
            other.bind(path)
        door.serve = serve
        """,
    "a number without an end": "count_parameters = lambda *a: 10 ** 10**6",
    "a list in itself": """
        def count_parameters(*a):
            found = []
            found.append(found)
            return found
        """,
    "a generator without an end": """
        import itertools
        count_parameters = lambda *a: itertools.repeat(5)
        """,
    "a very large array": "count_parameters = lambda *a: np.ones(2**25)",
    "exit in an answer": "count_parameters = lambda *a: exit()",
}
if not walls.bubblewrap():
    del CELLS["gigabytes in files"]  # they would be the machine's
# After these the kernel is gone, or its owner has made it useless.
MORE_THAN_THAT_QUESTION = {
    *("endless loop that cannot be interrupted", "kernel killed", "parent killed"),
    *("a thousand processes", "exit in an answer"),
    *("cells rewritten", "shell replaced", "kernel patched", "asserts left out"),
    *("modules replaced", "nobody at the door", "nonsense at the door"),
    *("the door opened elsewhere", "gigabytes in files"),
}
# What nobody can tell from an honest mistake.
MISTAKES = {
    *("equal to everything", "a number without an end", "a list in itself"),
    *("a generator without an end", "a very large array"),
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

    work.grades = work.grade(seconds=6, jobs=2)
    return work


@pytest.mark.parametrize("student", CELLS)
def test_a_bad_cell_costs_its_question_and_is_reported(work, student):
    grade = work.grades[student]
    if student not in MISTAKES:
        unwalled = student == "parent killed" and not walls.bubblewrap()
        assert grade.status == ("not graded" if unwalled else "look")
        assert grade.notes
    assert grade.questions["test-count"] == 0
    if student != "parent killed" or walls.bubblewrap():
        assert grade.questions["test-forward"] == 3  # it stands before
    if student not in MORE_THAN_THAT_QUESTION:
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
        ("numpy testing patched", "assigns to np.allclose"),
        ("checks patched", "import rnncourse.grading.expectations"),
        ("assertion error patched", "import builtins"),
        ("code of a check replaced", "worth a look: .__code__"),
        ("checks rebound", "worth a look: expect_equal"),
        ("jump to return", "worth a look: .settrace, .sys"),
        ("an array that looks up", "import inspect"),
        ("asserts left out", "get_ipython"),
        ("cells rewritten", "get_ipython"),
        ("shell replaced", "get_ipython"),
        ("kernel patched", "get_ipython"),
        ("modules replaced", "import types"),
        ("nobody at the door", "import rnncourse.grading.door"),
        ("exit in an answer", "worth a look: exit"),
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
    assert grade.score == 14


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
    course.export(work.course, tmp_path / "grades.csv")
    lines = (tmp_path / "grades.csv").read_text().splitlines()
    assert len(lines) == 1 + len(work.grades)
    report = (work.course / "reports" / f"{work.name}.csv").read_text()
    assert all(student in report for student in work.grades)


@pytest.mark.skipif(not walls.bubblewrap(), reason="bubblewrap is not to be had on this machine")
@pytest.mark.parametrize(
    ("student", "note"),
    [
        ("a thousand processes", "it started more than 64 processes"),
        ("gigabytes in files", "worth a look: .environ, __import__, open"),
    ],
)
def test_a_submission_is_limited_as_a_whole(work, student, note):
    assert any(note in line for line in work.grades[student].notes), work.grades[student].notes


@pytest.mark.skipif(not walls.bubblewrap(), reason="bubblewrap is not to be had on this machine")
def test_walls_hide_everything_but_python_and_cut_the_network(work):
    work.inbox.joinpath("keep").mkdir(exist_ok=True)
    secrets = [work.course, work.inbox, work.source.parent, ROOT / "tests", Path.home()]
    secrets = [*map(str, secrets), "/etc/passwd", sys.prefix + "/../tests", "/var", "/proc/1/root"]
    kept = [work.inbox / "keep", ROOT]
    places = ["/", "/dev", "/usr", *map(str, kept)]
    if ROOT.is_relative_to("/tmp"):
        places.remove(str(ROOT))  # in the walls a folder of their own /tmp, which may be written
    seen = code(f"""
        import os, socket
        import numpy as np
        found = []
        for path in {secrets!r}:
            own = (os.path.realpath(p) for p in {[sys.prefix, sys.base_prefix]!r})
            own = [*own, {walls.HOME!r}, "/proc", "/usr", "/lib"]
            for place, folders, names in os.walk(path):
                folders[:] = [f for f in folders if os.path.join(place, f) not in own]
                folders[:] = [f for f in folders if os.path.join(place, f) != "/proc/1/root/proc"]
                found += [os.path.join(place, f) for f in names if path != "/proc/1/root"]
            try:
                found.append(np.fromfile(path, "u1")[:3])
            except OSError:
                pass
        for place in {places!r}:
            try:
                open(os.path.join(place, "mark"), "w")
                found.append(f"wrote in {{place}}")
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
        found += [name for name in os.environ if "TOKEN" in name or "SECRET" in name]
        found += [name for name in os.listdir() if name != ".ipython"]
        print("FOUND", found)
    """)
    work.hand_in("spy", work.answer({"count": seen}))
    work.grade()
    assert "FOUND []" in work.printed("spy")
    assert not [place for place in kept if (place / "mark").exists()]


@pytest.mark.skipif(not walls.bubblewrap(), reason="bubblewrap is not to be had on this machine")
def test_a_vandal_finds_nothing_to_destroy(work):
    before = work.grades["a honest one"].questions
    text = f"""
        import os, pathlib
        for path in pathlib.Path({os.fspath(work.course)!r}).glob("*"):
            path.unlink()
        """
    work.hand_in("vandal", work.answer({"count": code(text)}))
    assert work.grade()["a honest one"].questions == before


def test_no_line_of_a_test_reaches_the_submission(work):
    """Whatever it can look through: its own history, its frames, and what it is asked."""
    look = code("""
        import gc, inspect
        def forward(*given):
            print("ASKED", [type(g).__name__ for g in given])
            print(In[-3:])
            for info in inspect.stack():
                print(info.filename, info.code_context, str(info.frame.f_locals)[:5000])
            hint = "?gnissim h_b si"[::-1]  # of the test
            for thing in gc.get_objects():
                if hint in str(thing):
                    print(thing)
            raise ValueError
        """)
    work.hand_in("looks around", work.answer({"forward": look}))
    grade = work.grade()["looks around"]
    printed = work.printed("looks around")
    assert "ASKED" in printed
    assert "is b_h missing?" not in printed
    assert "_test" not in printed
    assert {"test-forward", "test-lengths"} <= work.lost(grade)


def test_scripts_in_a_text_do_not_run_where_it_is_read(work):
    text = (
        "Because $a<b$ & <b>so</b>: <script>alert(1)</script> <img src=x onerror=alert(2)> "
        "[see](JavaScript:alert(3)) $\\href{javascript:alert(4)}{x}$ <iframe src='x'></iframe> "
        "[see](java&#115;cript:alert(5)) [see](<java\tscript:alert(6)>) &lt;script>alert(7)"
    )
    notebook = work.answer({"why-tanh": text})
    show = "from IPython.display import HTML, Javascript, Latex, Markdown, SVG, display\n"
    show += "display(HTML('<script>alert(8)</script>'), Javascript('alert(9)'), "
    show += "Markdown('<script>alert(10)</script>'), Latex(r'$\\href{javascript:alert(11)}{x}$'), "
    show += "SVG('<svg><script>alert(12)</script></svg>'))"
    notebook.cells.append(new_code_cell(show))
    work.hand_in("author", notebook)
    work.grade()
    page, _ = HTMLExporter().from_notebook_node(work.autograded("author"))
    body = page[page.rindex("Because") :]
    assert "alert(1)" in body
    tags = re.findall(r"<[a-zA-Z][^>]*>", body)
    assert not [tag for tag in tags if re.search(r"(?i)^<(script|iframe|img|svg|b)\b| on\w+=", tag)]
    links = [html.unescape(link) for tag in tags for link in re.findall('href="([^"]*)"', tag)]
    assert not [
        link for link in links if re.match(r"(?i)\s*(java\s*script|data|vbscript)\s*:", link)
    ]
    text = body[: body.index("</p>")]
    assert "\\href" not in text
    assert "$a&lt; b$" in text


def test_grading_without_walls_has_to_be_asked_for(work, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(course, "bubblewrap", lambda: None)
    with pytest.raises(RuntimeError, match="flag --submissions-may-read-and-change-my-files"):
        work.grade(walls="bwrap")
    monkeypatch.setattr(walls, "bubblewrap", lambda: None)
    other = Submissions(SETS_03, tmp_path)
    other.hand_in("ada", other.answer())
    course.collect(other.name, other.inbox, other.course)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")  # nbgrader leaves it set when it fails
    _, _, log = course._autograde(other.course, 30, "bwrap", other.name, "ada")
    assert "expected bubblewrap, which is missing" in log  # nbgrader's own command, too


@pytest.mark.parametrize("student", ["checks rebound", "jump to return", "an array that looks up"])
def test_without_walls_no_trick_gets_a_point_and_the_report_says_so(tmp_path, student):
    work = Submissions(SETS_03, tmp_path)
    work.hand_in(student, work.answer({"count": code(CELLS[student])}))
    (grade,) = work.grade(walls="none").values()
    assert work.lost(grade) == {"test-count"}
    assert grade.status == "look"
    assert "it ran without walls: it could read and change what you can" in grade.notes


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
