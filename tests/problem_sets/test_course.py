"""The steps of a course: release, grade, hand in again, feedback, export, exchange."""

import csv
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from nbgrader.api import Gradebook

from rnncourse.grading import __main__ as command
from rnncourse.grading import course
from tools.notebooks import NOTEBOOKS, ROOT

from .submissions import FLAGS, SETS, WALLS, Submissions, as_behind_walls

NAME = "03-recurrent-network"
SOURCES = NOTEBOOKS / "problem-sets"


@pytest.fixture
def work(tmp_path):
    return Submissions(SOURCES / f"{NAME}.md", tmp_path)


def run(folder, *arguments):
    return command.main(["--course", str(folder), "--sources", str(SOURCES), *map(str, arguments)])


def test_thirty_submissions_take_less_than_half_of_five_minutes(work, capfd):
    loud = "import os\nos.write(1, b'to the terminal')\n"
    for number in range(30):
        work.hand_in(f"student-{number}", work.answer())
    extra = work.answer()
    extra.cells.append(nbformat.v4.new_code_cell(loud))
    work.hand_in("student-0", extra)
    start = time.monotonic()
    assert run(work.course, "grade", "03", work.inbox, "--jobs", "2", *FLAGS) == 0
    assert time.monotonic() - start < 150
    told = capfd.readouterr()
    assert "30/30" in told.err  # the progress bar
    assert told.out.count("   17 of 20  ") == 30
    assert len(told.out.splitlines()) == 31  # a line a student, and where the report is
    assert "terminal" not in told.out


def test_a_student_hands_in_again_and_points_by_hand_stay(work):
    work.hand_in("ada", work.replace("bits", "/ np.log(2)", ""))
    work.hand_in("bob", work.answer())
    first = work.grade()
    assert first["ada"].score == 15
    with Gradebook(course.configure(course.Config(), work.course).CourseDirectory.db_url) as book:
        for student in ("ada", "bob"):
            grade = book.find_grade("why-tanh", NAME, NAME, student)
            grade.manual_score, grade.needs_manual_grade = 2.5, False
        book.db.commit()
    work.hand_in("ada", work.answer())
    second = work.grade()
    assert second["ada"].score == 19.5
    assert second["bob"].score == 19.5
    assert second["bob"].seconds == first["bob"].seconds  # it did not run again
    assert second["bob"].by_hand == []
    (work.inbox / "ada.ipynb").write_text("lost")
    third = work.grade()["ada"]
    assert third.score == 19.5
    assert third.status == "the file is not a notebook"
    assert third.notes == ["an earlier submission was graded, and its grade stands"]


def test_feedback_shows_points_and_no_hidden_test(work):
    work.hand_in("ada", work.replace("bits", "/ np.log(2)", ""))
    work.grade()
    page = (course.feedback(NAME, work.course) / "ada" / NAME / f"{NAME}.html").read_text()
    text = re.sub(r"<[^>]+>", "", page)
    assert "are these nats? a bit is log 2 nats" in text
    assert "bits_per_character(flat, targets, mask)" in text
    assert "take_along_axis" in text  # the student's own answer
    assert "HIDDEN" not in text
    assert "rng.normal(size=(7, 3, 5))" not in text


def test_feedback_tells_students_what_the_report_tells_the_teacher(work):
    """What was refused, what was put right; not what only a teacher should look at."""
    split = work.answer()
    split.cells.append(nbformat.v4.new_code_cell("import os\nprint(open)"))
    split.cells.append(split.cells[6].copy())
    split.cells[-1].source += "\nhalf = 0.5"
    work.hand_in("ada", split)
    (work.inbox / "bob.ipynb").write_text("lost")
    (work.inbox / "eve").mkdir()
    mistake = work.replace("count", "H * H + H\n    later", "H * H\n    later")
    mistake.cells[-1].source = "In my own words."
    work.hand_in("grace", mistake)
    work.grade()
    folder = course.feedback(NAME, work.course)

    def page(student):
        return re.sub(r"<[^>]+>", "", (folder / student / NAME / f"{NAME}.html").read_text())

    assert "From the grader" in page("ada")
    assert "was there twice; both pieces count" in page("ada")
    assert "worth a look" not in page("ada")
    assert "could not be graded: the file is not a notebook" in page("bob")
    assert "rnncourse.grading check FILE.ipynb" in page("bob")
    assert "could not be graded: no notebook" in page("eve")
    assert "From the grader" not in page("grace")
    assert "The last call was count_parameters(1, 1, 1, 1)" in page("grace")
    assert "Rubric" not in page("grace")
    assert "Rubric" in "".join(cell.source for cell in work.autograded("grace").cells)
    (work.inbox / "ada.ipynb").write_text("lost")
    work.hand_in("bob", work.answer())
    work.grade()
    course.feedback(NAME, work.course)
    assert "newest submission could not be graded: the file is not a notebook" in page("ada")
    assert "rnncourse.grading check" not in page("bob")


def test_grades_are_written_in_both_forms(work, tmp_path):
    work.hand_in("ada", work.answer())
    work.hand_in("bob", work.released)
    work.grade()
    assert run(work.course, "export", "--to", tmp_path / "long.csv") == 0
    with (tmp_path / "long.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["student_id"], row["assignment"], float(row["score"])) for row in rows] == [
        ("ada", NAME, 17.0),
        ("bob", NAME, 0.0),
    ]
    assert run(work.course, "export", "--wide", "--to", tmp_path / "wide.csv") == 0
    assert (tmp_path / "wide.csv").read_text().split() == [
        f"student,{NAME},total",
        "ada,17,17",
        "bob,0,0",
    ]


def test_all_three_layouts_are_understood(work):
    work.hand_in("flat", work.answer())
    for student, place in (("folder", ""), ("nbgrader", NAME)):
        (work.inbox / student / place).mkdir(parents=True)
    nbformat.write(work.answer(), work.inbox / "folder" / "my homework (2).ipynb")
    nbformat.write(work.answer(), work.inbox / "nbgrader" / NAME / f"{NAME}.ipynb")
    (work.inbox / "two").mkdir()
    for name in ("a", "b"):
        nbformat.write(work.answer(), work.inbox / "two" / f"{name}.ipynb")
    (work.inbox / "..a name; like this").mkdir()
    (work.inbox / "o'neill").mkdir()
    (work.inbox / "notes.txt").write_text("mine")
    grades = work.grade()
    assert {s: g.score for s, g in grades.items() if g.status == "graded"} == {
        "flat": 17,
        "folder": 17,
        "nbgrader": 17,
    }
    assert grades["two"].status == f"several notebooks, none of them named {NAME}.ipynb"
    assert "characters" in grades["o'neill"].status
    assert set(grades) == {"flat", "folder", "nbgrader", "two", "o'neill"}


def test_whose_it_is_is_said_before_anything_is_graded(work, capsys):
    (work.course / "roster.csv").write_text(
        "student,name,number\nada,Ada Lovelace,4711\nemmy,Emmy Noether,\ngrace,Grace Hopper,\n"
    )
    moodle = work.inbox / "Emmy Noether_17_assignsubmission_file"
    moodle.mkdir()
    nbformat.write(work.answer(), moodle / "my homework.ipynb")
    work.hand_in("lovelaceada_LATE_4711_90210_homework", work.answer())
    work.hand_in("Alan Turing", work.answer())
    assert run(work.course, "grade", "03", work.inbox, "--dry-run") == 0
    told = capsys.readouterr().out
    assert re.search(r"lovelaceada_LATE.* ada +Ada Lovelace\n", told)
    assert re.search(r"Emmy Noether_17.* emmy +Emmy Noether\n", told)
    assert re.search(r"Alan Turing.ipynb +\? +nobody of this name in roster.csv\n", told)
    assert "Nothing from: grace\n3 submissions, 1 with a problem. Nothing was graded." in told
    assert not (work.course / "submitted").exists()
    grades = work.grade()
    assert {s: (g.score, g.status) for s, g in grades.items()} == {
        "ada": (17, "graded"),
        "emmy": (17, "graded"),
        "Alan Turing": (0, "nobody of this name in roster.csv"),
    }
    with Gradebook(course.configure(course.Config(), work.course).CourseDirectory.db_url) as book:
        assert {student.id for student in book.students} == {"ada", "emmy"}


def test_a_late_submission_costs_what_the_course_says(work):
    (work.course / "roster.csv").write_text("student,extension\nada,\nbob,3\neve,\n")
    config = (SOURCES / "nbgrader_config.py").read_text()
    config += '\nc.AssignLatePenalties.plugin_class = "rnncourse.grading.late.PerDay"\n'
    (work.course / "nbgrader_config.py").write_text(f"{config}c.PerDay.share = 0.2\n")
    for student in ("ada", "bob", "eve"):
        (work.inbox / student).mkdir()
        nbformat.write(work.answer(), work.inbox / student / "x.ipynb")
        stamp = work.inbox / student / "timestamp.txt"
        stamp.write_text("2027-03-02 19:00:00 UTC" if student != "eve" else "2027-03-01 17:00 UTC")
    grades = work.grade(due="2027-03-01 18:00 UTC")
    assert {s: (g.score, g.penalty) for s, g in grades.items()} == {
        "ada": (pytest.approx(17 * 0.6), pytest.approx(17 * 0.4)),  # the second day has begun
        "bob": (17, 0),  # an extension of three days
        "eve": (17, 0),
    }
    report = (work.course / "reports" / f"{NAME}.csv").read_text().splitlines()
    assert report[0].startswith("student,status,score,of,late,")
    assert re.match(r"ada,(graded|look),10.2,20,-6.8,", report[1])
    (work.inbox / "ada" / "timestamp.txt").write_text("2027-03-01 17:00 UTC")
    again = work.grade()  # the time alone has changed
    assert (again["ada"].score, again["ada"].penalty) == (17, 0)
    assert again["eve"].seconds == grades["eve"].seconds
    with pytest.raises(ValueError, match="due: expected a date and a time, got 'soon'"):
        work.grade(due="soon")


def test_kernel_by_another_name_and_old_format_are_graded(work):
    notebook = work.answer()
    notebook.metadata.kernelspec = {"name": "conda-env-mine-py", "display_name": "mine"}
    work.hand_in("ada", notebook)
    old = work.answer()
    for cell in old.cells:
        cell.pop("id")
    old.nbformat_minor = 4
    work.hand_in("bob", old)
    assert {g.score for g in work.grade().values()} == {17}


def test_a_name_that_is_not_the_students_costs_the_personal_question(work):
    notebook = work.answer()
    for cell in notebook.cells:
        cell.source = cell.source.replace('STUDENT = ""', 'STUDENT = "bob"')
    work.hand_in("ada", notebook)
    work.hand_in("Bob", notebook)
    grades = work.grade()
    assert work.lost(grades["ada"]) == {"test-unroll"}
    assert work.lost(grades["Bob"]) == set()


def test_a_name_changed_behind_the_graders_back_is_seen(work):
    notebook = work.answer()
    for cell in notebook.cells:
        if cell.source == 'STUDENT = ""':
            cell.source = 'import random\nrandom._os.environ["RNNCOURSE_STUDENT"] = STUDENT = "bob"'
    work.hand_in("ada", notebook)
    grade = work.grade()["ada"]
    assert work.lost(grade) == {"test-unroll"}
    assert grade.notes == ["worth a look: ._os, .environ"]


@pytest.mark.skipif(bool(FLAGS), reason="bubblewrap is not to be had on this machine")
def test_the_environment_may_be_a_link(work, monkeypatch):
    work.hand_in("ada", work.answer())
    course.collect(NAME, work.inbox, work.course)
    with TemporaryDirectory(dir=ROOT) as folder:  # not in /tmp, which a submission does not see
        (link := Path(folder, "environment")).symlink_to(sys.prefix)
        monkeypatch.setattr(sys, "prefix", str(link))
        _, _, log = course._autograde(work.course, 30, "bwrap", NAME, "ada")
    assert course.REPORT not in log


def test_another_python_may_be_active(work, monkeypatch):
    """The shell's `python` is one that has none of the packages, or that no submission sees."""
    bare = Path(sys.base_prefix, "bin")
    if not (bare / "python").exists():
        pytest.skip(f"{bare} has no program `python`, only one with a number")
    monkeypatch.setenv("PATH", f"{bare}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VIRTUAL_ENV", sys.base_prefix)
    work.hand_in("ada", work.answer())
    assert work.grade()["ada"].score == 17


def test_errors_of_the_command_line_say_what_to_do(tmp_path, capsys):
    assert run(tmp_path, "grade", "03", tmp_path, *FLAGS) == 1
    assert "release 03-recurrent-network first" in capsys.readouterr().err
    assert run(tmp_path, "export") == 1
    assert "release and grade a set first" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="expected one of 01-sequential-data"):
        run(tmp_path, "release", "99")
    assert run(tmp_path, "release", "03") == 0
    assert run(tmp_path, "grade", "03", tmp_path / "nowhere", *FLAGS) == 1
    assert "expected a folder of submissions" in capsys.readouterr().err


def in_a_book(folder):
    """Make a folder a place where references in notebooks mean what they mean in the course."""
    for name in ("_config.yml", "book"):
        (folder / name).symlink_to(NOTEBOOKS.parent / name)
    return folder


def test_a_changed_set_is_released_anew_or_refused(work, tmp_path):
    text = work.source.read_text()
    other = in_a_book(tmp_path) / work.source.name
    other.write_text(text.replace("points: 2}", "points: 1}", 1))
    course.release(other, work.course)  # other points: fine, nothing is graded yet
    work.hand_in("ada", work.answer())
    assert work.grade()["ada"].score == 16
    other.write_text(text.replace("grade_id: test-count", "grade_id: test-counting"))
    with pytest.raises(RuntimeError, match="nbgrader could not release 03-recurrent-network"):
        course.release(other, work.course)


def test_two_cells_of_one_name_are_refused(tmp_path):
    source = in_a_book(tmp_path) / "99-twice.md"
    text = (SOURCES / f"{NAME}.md").read_text()
    source.write_text(text.replace("grade_id: bits,", "grade_id: count,"))
    with pytest.raises(ValueError, match="grade_id: expected one of its own, got 'count'"):
        course.source_notebook(source)


def test_the_whole_cycle_through_the_exchange(work, tmp_path):
    """A hub's teacher and student, in one account: nbgrader's own commands throughout."""
    student, exchange = tmp_path / "student", tmp_path / "exchange"
    student.mkdir()
    exchange.mkdir(mode=0o777)
    exchange.chmod(0o777)
    config = (SOURCES / "nbgrader_config.py").read_text()
    config = config.replace("/srv/nbgrader/exchange", str(exchange))
    config += f"\nc.Execute.walls = {WALLS!r}\n"
    (work.course / "nbgrader_config.py").write_text(config)
    (student / "nbgrader_config.py").write_text(
        "c = get_config()\n"
        f"c.CourseDirectory.course_id = 'rnn'\nc.Exchange.root = {str(exchange)!r}\n"
    )
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(student),
        "JUPYTER_CONFIG_DIR": str(student / "config"),
    }

    def nbgrader(folder, *words):
        call = [sys.executable, "-m", "nbgrader", *words]
        done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr

    nbgrader(work.course, "release_assignment", NAME)
    nbgrader(student, "fetch_assignment", NAME)
    path = student / NAME / f"{NAME}.ipynb"
    assert path.read_bytes() == work.released_path.read_bytes()
    nbformat.write(work.answer(), path)
    nbgrader(student, "submit", NAME)
    nbgrader(work.course, "collect", NAME)
    (who,) = os.listdir(work.course / "submitted")
    folder = work.course / "submitted"
    (grade,) = course.grade(NAME, folder, work.course, progress=False, walls=WALLS)
    grade = as_behind_walls(grade)
    assert (grade.student, grade.score, grade.status) == (who, 17, "graded")
    shutil.rmtree(work.course / "autograded")
    log = nbgrader(work.course, "autograde", NAME)  # nbgrader's own command has the same walls
    assert "Autograding" in log
    nbgrader(work.course, "generate_feedback", NAME)
    nbgrader(work.course, "release_feedback", NAME)
    nbgrader(student, "fetch_feedback", NAME)
    (page,) = student.glob(f"{NAME}/feedback/*/{NAME}.html")
    assert "HIDDEN" not in re.sub(r"<[^>]+>", "", page.read_text())


def test_there_is_a_set_for_every_chapter():
    assert [path.stem for path in SETS] == [
        path.stem for path in sorted(NOTEBOOKS.glob("[01]*.md"))
    ]
