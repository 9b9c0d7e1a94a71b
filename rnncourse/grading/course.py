"""Release, grade and export problem sets: each step is nbgrader's, called with our settings.

A course is a folder in nbgrader's layout: ``source``, ``release``, ``submitted``, ``autograded``,
``feedback``, ``gradebook.db``. `configure` holds all settings, also for nbgrader's own commands.
"""

import csv
import functools
import hashlib
import html
import json
import multiprocessing
import os
import re
import shutil
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from nbgrader.plugins import CsvExportPlugin, ExportPlugin
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    IgnorePattern,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from nbgrader.utils import is_grade, is_solution
from sqlalchemy.exc import SAWarning
from tqdm import tqdm
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from rnncourse.renderings import Book, portable, read

from . import roster
from .check import CODE_STUB, MARK, TEXT_STUB, problem_of_file
from .execute import REPORT, Execute
from .restore import Harmless, ReadBeside, Restore, Told, for_the_student
from .roster import Found
from .walls import bubblewrap

NO_WALLS = (
    "A submission is a program by somebody else, and nothing stands around it here: bubblewrap "
    "(bwrap) is missing, or not allowed to work. Install it (Linux: apt install bubblewrap), grade "
    "in a container, or run `.venv/bin/python -m rnncourse.grading grade` yourself, with the flag "
    "--submissions-may-read-and-change-my-files."
)
_FAILED = "nbgrader failed"  # begins a note
CONFIG, ROSTER, TIMESTAMP = "nbgrader_config.py", "roster.csv", "timestamp.txt"
MEMORY = "graded.json"  # what came of each submission, by set and student
_FIELDS = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False}


def configure(c: Config, course: Path, seconds: int = 30, walls: str = "bwrap") -> Config:
    """Set nbgrader up for the problem sets.

    Parameters
    ----------
    c
        The configuration to change: ``get_config()`` in an ``nbgrader_config.py``.
    course
        The course's folder.
    seconds
        How long one cell may run.
    walls
        What stands around a submission: ``"bwrap"`` (bubblewrap; where it is missing, nothing is
        graded) or ``"none"``, where a submission may read and change whatever you may.

    Returns
    -------
    c
        The same object.
    """
    c.CourseDirectory.root = str(course.resolve())
    # Two graders write at a time: wait for the other one.
    c.CourseDirectory.db_url = f"sqlite:///{course.resolve()}/gradebook.db?timeout=120"
    c.ClearSolutions.code_stub = {"python": CODE_STUB}
    c.ClearSolutions.text_stub = TEXT_STUB
    c.Autograde.sanitize_preprocessors = [
        Restore,  # ours, first: the other ones trust the cells' metadata
        ClearOutput,
        DeduplicateIds,
        OverwriteKernelspec,
        OverwriteCells,
        CheckCellMetadata,
    ]
    c.Autograde.autograde_preprocessors = [
        Execute,  # ours, in place of nbgrader's
        IgnorePattern,
        LimitOutput,
        SaveAutoGrades,
        AssignLatePenalties,
        CheckCellMetadata,
        Harmless,  # ours, late: nbgrader knows untouched answers by their text
        ReadBeside,
    ]
    c.Execute.timeout, c.Execute.walls = seconds, walls
    # Hidden tests and rubrics do not belong in what students get back.
    c.GenerateFeedback.preprocessors = [
        "nbgrader.preprocessors.GetGrades",
        Told,
        "nbgrader.preprocessors.ClearHiddenTests",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]
    return c


def _find_alembic() -> None:
    """Let nbgrader find the program that it calls, also when the environment is not activated."""
    here = str(Path(sys.executable).parent)
    if shutil.which("alembic") is None:
        os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", "")])


def _config(course: Path, seconds: int = 30, walls: str = "bwrap") -> Config:
    """Return our settings, and on top of nbgrader's those of the course's own file, if any."""
    found = Config()
    if (course / CONFIG).exists():
        found.merge(PyFileConfigLoader(CONFIG, str(course)).load_config())
    return configure(found, course, seconds, walls)


def _api(
    course: Path, seconds: int = 30, walls: str = "bwrap", stub: str = TEXT_STUB
) -> NbGraderAPI:
    _find_alembic()
    config = _config(course, seconds, walls)
    config.ClearSolutions.text_stub = stub
    api = NbGraderAPI(config=config)
    api.log.setLevel("INFO")
    api.log.propagate = False
    return api


def _gradebook(course: Path) -> Gradebook:
    _find_alembic()
    return Gradebook(_config(course).CourseDirectory.db_url)


def source_notebook(path: Path) -> NotebookNode:
    """Read a problem set's source, in its portable rendering, and complete nbgrader's metadata.

    In a source a graded cell says what differs from the usual: ``grade_id``, and of ``solution``,
    ``grade``, ``locked`` and ``points`` what it needs.

    Raises
    ------
    ValueError
        If two cells have the same ``grade_id``, or a cell has none.
    """
    book = Book.around(path)
    nb = portable(read(path), book, book.name(path))
    seen: set[str] = set()
    for number, cell in enumerate(nb.cells):
        cell.id = f"cell-{number}"
        if (found := cell.metadata.get("nbgrader")) is None:
            continue
        name = found.get("grade_id", "")
        if not name or name in seen:
            raise ValueError(f"{path.name}: grade_id: expected one of its own, got {name!r}")
        seen.add(name)
        cell.metadata.nbgrader = {**_FIELDS, "cell_type": cell.cell_type, **found}
        cell.id = name
        if is_grade(cell) and not is_solution(cell):
            cell.source = _in_a_function(cell.source)
    nb.metadata[MARK] = {"set": path.stem, "cells": [c.id for c in nb.cells if c.id in seen]}
    if (stub := book.says(TEXT_STUB)) != TEXT_STUB:
        nb.metadata[MARK]["stub"] = stub
    return nb


def _in_a_function(test: str) -> str:
    """Return a test that leaves a student's names as they are."""
    return "def _test():\n" + textwrap.indent(test.rstrip(), "    ") + "\n\n\n_test()"


def release(source: Path, course: Path) -> Path:
    """Make the students' notebook of one problem set.

    The line that asks for an answer is in the language of the source's book. A set that was
    released before is released anew. nbgrader refuses when tests were added or
    removed and submissions are graded already.

    Parameters
    ----------
    source
        The set's source, a MyST notebook.
    course
        The course's folder; made where there is none.

    Returns
    -------
    path
        The released notebook, without solutions and hidden tests.

    Raises
    ------
    RuntimeError
        If nbgrader refuses; its own words are in the message.
    """
    folder = course / "source" / source.stem
    folder.mkdir(parents=True, exist_ok=True)
    nb = source_notebook(source)
    nbformat.write(nb, folder / f"{source.stem}.ipynb")
    stub = nb.metadata[MARK].get("stub", TEXT_STUB)
    found = _api(course, stub=stub).generate_assignment(source.stem, force=True, create=True)
    if not found["success"]:
        raise RuntimeError(f"nbgrader could not release {source.stem}:\n{found.get('log', '')}")
    return course / "release" / source.stem / f"{source.stem}.ipynb"


class Grade(NamedTuple):
    """What came out for one submission.

    ``score`` is what the tests and any person gave so far, less the ``penalty`` for coming late;
    ``questions`` what each test gave; ``by_hand`` names the answers that wait for a person.
    """

    student: str
    status: str
    score: float
    max_score: float
    seconds: float
    questions: dict[str, float]
    by_hand: list[str]
    notes: list[str]
    penalty: float = 0.0


def collect(name: str, folder: Path, course: Path) -> list[Found]:
    """Copy submissions into the course's folder.

    Parameters
    ----------
    name
        The problem set, ``"03-recurrent-network"``.
    folder
        See `roster.look`.
    course
        The course's folder; whose a submission is, its ``roster.csv`` says where there is one.

    Returns
    -------
    entries
        What `look` finds.
    """
    entries = look(name, folder, course)
    for found in entries:
        if found.problem or found.notebook is None:
            continue
        target = course / "submitted" / found.student / name
        target.mkdir(parents=True, exist_ok=True)
        if found.notebook.resolve() != (target / f"{name}.ipynb").resolve():
            shutil.copyfile(found.notebook, target / f"{name}.ipynb")
            (target / TIMESTAMP).unlink(missing_ok=True)
            stamp = found.notebook.parent / TIMESTAMP
            written = stamp.is_file() and not stamp.is_symlink() and stamp.parent != folder
            if written and not roster.from_platform(found.entry):
                shutil.copyfile(stamp, target / TIMESTAMP)
    return entries


def look(name: str, folder: Path, course: Path) -> list[Found]:
    """Return what lies in a folder of submissions, whose it is, and what is wrong with it.

    Raises
    ------
    FileNotFoundError
        If the folder is not there.
    ValueError
        If the roster cannot be read; see `roster.read`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"folder: expected a folder of submissions, got {folder}")
    entries = []
    for found in roster.look(folder, name, roster.read(course / ROSTER)):
        problem = found.problem
        if not problem and found.notebook is not None:
            problem = problem_of_file(found.notebook)
        entries.append(found._replace(problem=problem))
    return entries


def _autograde(
    course: Path, seconds: int, walls: str, name: str, student: str
) -> tuple[str, float, str]:
    """Grade one submission: nbgrader's part, in a process of the pool."""
    start = time.monotonic()
    warnings.filterwarnings("ignore", category=SAWarning)  # nbgrader's own
    found = _api(course, seconds, walls).autograde(name, student, force=True)
    log = str(found.get("log") or "")
    if not found["success"]:
        reasons = re.findall(r"^ *((?:\w+\.)*\w*(?:Error|Exception)\b.*)$", log, re.MULTILINE)
        log += f"\n{REPORT} {_FAILED}: {reasons[-1] if reasons else 'no reason given'}"
    return student, time.monotonic() - start, log


def _in_processes(
    work: Callable[[str], tuple[str, float, str]], students: Sequence[str], jobs: int
) -> Iterator[tuple[str, float, str]]:
    """Yield the results as they come. A submission that kills its grader costs nobody else's."""
    spawn, left = multiprocessing.get_context("spawn"), list(students)
    while left:
        done: set[str] = set()
        with ProcessPoolExecutor(max(1, min(jobs, len(left))), mp_context=spawn) as pool:
            runs = {pool.submit(work, student): student for student in left}
            for run in as_completed(runs):
                if run.exception() is None:
                    done.add(runs[run])
                    yield run.result()
        left = [student for student in left if student not in done]
        if left and jobs == 1:  # the first one that is not done was alone in its process
            yield left.pop(0), 0.0, f"{REPORT} {_FAILED}: the submission killed the grader"
        jobs = 1


def grade(
    name: str,
    folder: Path,
    course: Path,
    *,
    seconds: int = 30,
    walls: str = "bwrap",
    due: str = "",
    jobs: int = 2,
    again: bool = False,
    progress: bool = True,
) -> list[Grade]:
    """Grade a folder of submissions of one set, and write a report beside the gradebook.

    A submission that was graded and did not change since is not run again.

    Parameters
    ----------
    name, folder, course
        See `collect`.
    seconds, walls
        See `configure`.
    due
        When the set is due, ``"2027-03-01 18:00 UTC"``; empty leaves what the gradebook knows. A
        submission is late by its ``timestamp.txt`` and the extension in the roster, and what that
        costs is the course's configuration to say.
    jobs
        How many submissions run at a time.
    again
        Run those as well that did not change.
    progress
        Show a progress bar.

    Returns
    -------
    grades
        One entry per student, by name.

    Raises
    ------
    FileNotFoundError
        If the set was not released into this course, or the folder is not there.
    RuntimeError
        If walls are asked for, and bubblewrap is missing or not allowed to work.
    """
    if walls == "bwrap" and bubblewrap() is None:
        raise RuntimeError(NO_WALLS)
    released = course / "release" / name / f"{name}.ipynb"
    if not released.exists():
        raise FileNotFoundError(f"{released}: release {name} first, then grade it")
    entries = collect(name, folder, course)
    ready = [found.student for found in entries if not found.problem]
    _set_dates(name, course, ready, due)
    memory, known = course / MEMORY, _remembered(course)
    before = known.setdefault(name, {})
    for found in entries:
        if found.known:
            before.setdefault(found.student, {})["refused"] = found.problem
    now = {student: _mark(name, course, student) for student in ready}
    todo = [
        s for s in now if again or before[s].get("hash") != now[s] or _failed(before[s]["notes"])
    ]
    work = functools.partial(_autograde, course, seconds, walls, name)
    with tqdm(desc=f"Grading {name}", total=len(todo), disable=not progress) as bar:
        for student, took, log in _in_processes(work, todo, jobs):
            told = (line.split(REPORT, 1)[1].strip() for line in log.splitlines() if REPORT in line)
            notes = list(dict.fromkeys(told))
            before[student] |= {"hash": now[student], "seconds": took, "notes": notes}
            memory.write_text(json.dumps(known, indent=1))
            bar.update()
    memory.write_text(json.dumps(known, indent=1))
    grades = _grades(name, course, entries, before)
    _write_report(course / "reports" / f"{name}.csv", grades)
    return grades


def _remembered(course: Path) -> dict[str, Any]:
    path = course / MEMORY
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _set_dates(name: str, course: Path, students: Sequence[str], due: str) -> None:
    """Write into the gradebook when a set is due, and who has longer."""
    days = {s.student: s.extension for s in roster.read(course / ROSTER)}
    with _gradebook(course) as book:
        if due:
            try:
                book.update_or_create_assignment(name, duedate=due)
            except ValueError as error:
                raise ValueError(f"due: expected a date and a time, got {due!r}: {error}") from None
        for student in students:
            book.update_or_create_student(student)
            book.update_or_create_submission(name, student)
            book.grant_extension(name, student, days=days.get(student, 0))


def _mark(name: str, course: Path, student: str) -> str:
    """Return what a submission's grade depends on, in short."""
    folder = course / "submitted" / student / name
    parts = [(course / "source" / name / f"{name}.ipynb").read_bytes()]
    parts += [path.read_bytes() for path in (folder / f"{name}.ipynb",)]
    parts += [path.read_bytes() for path in (folder / TIMESTAMP,) if path.exists()]
    with _gradebook(course) as book:
        parts.append(str(book.find_submission(name, student).duedate).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _failed(notes: Sequence[str]) -> bool:
    return any(note.startswith(_FAILED) for note in notes)


def _grades(name: str, course: Path, entries: Sequence[Found], runs: dict[str, Any]) -> list[Grade]:
    grades: dict[str, Grade] = {}
    with _gradebook(course) as book:
        top = book.find_assignment(name).max_score
        for entry in entries:
            student, problem = entry.student, entry.problem
            if entry.known:
                book.update_or_create_student(student)
            try:
                graded = book.find_submission_notebook(name, name, student)
                cells, penalty = graded.grades, float(graded.late_submission_penalty or 0)
            except MissingEntry:
                cells, penalty = [], 0.0
            questions = {cell.name: float(cell.score or 0) for cell in cells}
            by_hand = [cell.name for cell in cells if cell.needs_manual_grade]
            run = runs.get(student, {}) if not problem else {}
            notes = list(run.get("notes", []))
            if problem and cells:
                notes.append("an earlier submission was graded, and its grade stands")
            status = problem or ("not graded" if _failed(notes) else "look" if notes else "graded")
            score = max(0.0, sum(questions.values()) - penalty)
            seconds = run.get("seconds", 0.0)
            found = (student, status, score, top, seconds, questions, by_hand, notes, penalty)
            grades[student] = Grade(*found)
    return list(grades.values())


def _write_report(path: Path, grades: Sequence[Grade]) -> None:
    path.parent.mkdir(exist_ok=True)
    names = list(dict.fromkeys(name for grade in grades for name in grade.questions))
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        columns = [
            "student",
            "status",
            "score",
            "of",
            "late",
            "seconds",
            *names,
            "by hand",
            "notes",
        ]
        table.writerow(columns)
        for g in grades:
            scores = [f"{g.questions[name]:g}" if name in g.questions else "" for name in names]
            row = [g.student, g.status, f"{g.score:g}", f"{g.max_score:g}", f"{-g.penalty:g}"]
            row.append(f"{g.seconds:.0f}")
            table.writerow([*row, *scores, " ".join(g.by_hand), " | ".join(g.notes)])


class WideExport(ExportPlugin):
    """One line per student, one column per set: the form that learning platforms import.

    With nbgrader's own command: ``nbgrader export --exporter rnncourse.grading.course.WideExport``.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Write the file ``self.to``."""
        names = sorted(assignment.name for assignment in gradebook.assignments)
        scores = {
            (submission.student.id, submission.assignment.name): max(
                0.0, submission.score - (submission.late_submission_penalty or 0.0)
            )
            for assignment in gradebook.assignments
            for submission in assignment.submissions
        }
        with open(self.to or "grades.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["student", *names, "total"])
            for student in sorted(student.id for student in gradebook.students):
                row = [scores.get((student, name), 0.0) for name in names]
                table.writerow([student, *(f"{score:g}" for score in [*row, sum(row)])])


def export(course: Path, to: Path, *, wide: bool = False) -> None:
    """Write all grades as CSV.

    Parameters
    ----------
    course
        The course's folder.
    to
        The file.
    wide
        One line per student and one column per set (`WideExport`), not nbgrader's own form
        with a line for each student and set.

    Raises
    ------
    FileNotFoundError
        If the course has no gradebook yet.
    """
    if not (course / "gradebook.db").exists():
        raise FileNotFoundError(f"{course / 'gradebook.db'}: release and grade a set first")
    with _gradebook(course) as book:
        plugin = WideExport() if wide else CsvExportPlugin()
        plugin.to = os.fspath(to)
        plugin.export(book)


def feedback(name: str, course: Path) -> Path:
    """Write each student's feedback as HTML, with points and comments; return the folder.

    Whose submission could not be graded is told why.

    Raises
    ------
    RuntimeError
        If nbgrader refuses.
    """
    if any((course / "autograded").glob(f"*/{name}")):
        found = _api(course).generate_feedback(name, force=True)
        if not found["success"]:
            raise RuntimeError(f"nbgrader could not write feedback:\n{found.get('log', '')}")
    for student, run in _remembered(course).get(name, {}).items():
        page = course / "feedback" / student / name / f"{name}.html"
        if run.get("refused") and not (course / "autograded" / student / name).exists():
            page.parent.mkdir(parents=True, exist_ok=True)
            text = html.escape(" ".join(for_the_student(run)))
            page.write_text(f"<!DOCTYPE html><html lang='en'><title>{name}</title><p>{text}</p>")
    return course / "feedback"
