"""Who handed in what: the names that learning platforms give to submissions, and a class list.

The list is ``roster.csv`` in the course's folder, one line per student. ``student`` is the user
name, which the student writes into the notebook. All other columns may be missing or empty:
``name`` (first name first), ``email``, ``number`` (as the platform counts people), ``group``, and
``extension`` (days).
"""

import csv
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

COLUMNS = ("student", "name", "email", "number", "group", "extension")
ALLOWED = re.compile(r"[\w.@ -]+")
_IGNORED = ("__MACOSX", "Thumbs.db")
# Moodle: "Ada Lovelace_4711_assignsubmission_file", a folder or in front of a file's name
_MOODLE = re.compile(r"^(?P<name>.+?)_\d+_assignsubmission_(?:file|onlinetext)")
# Canvas: "lovelaceada_LATE_4711_90210_my-notebook-2.ipynb"
_CANVAS = re.compile(r"^(?P<name>[^_]+?)(?:_LATE)?_(?P<number>\d+)_\d+_.+$")


class Student(NamedTuple):
    """A line of the roster."""

    student: str
    name: str = ""
    email: str = ""
    number: str = ""
    group: str = ""
    extension: float = 0.0  # days


class Found(NamedTuple):
    """What lies in a folder of submissions: the entry, whose it is, the notebook, and a problem.

    Where it is not ``known`` whose it is, ``student`` is the name of the entry.
    """

    entry: str
    student: str
    known: bool
    notebook: Path | None
    problem: str


def read(path: Path) -> list[Student]:
    """Read a roster; an empty list where there is no file.

    Raises
    ------
    ValueError
        If a column is unknown, ``student`` is missing, comes twice or has characters that a folder
        should not have, or an extension is not a number of days.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    students: list[Student] = []
    for line, row in enumerate(rows, start=2):
        where = f"{path.name}, line {line}"
        if unknown := [str(column) for column in row if column not in COLUMNS]:
            raise ValueError(f"{where}: expected columns {', '.join(COLUMNS)}, got {unknown[0]!r}")
        held = {column: (row.get(column) or "").strip() for column in COLUMNS}
        name = held["student"]
        if not ALLOWED.fullmatch(name):
            raise ValueError(
                f"{where}: student: expected letters, digits, '.', '@' or '-', got {name!r}"
            )
        if name in (s.student for s in students):
            raise ValueError(f"{where}: student: expected each one once, got {name!r} again")
        try:
            days = float(held.pop("extension") or 0)
        except ValueError as error:
            raise ValueError(f"{where}: extension: expected days, {error}") from None
        students.append(Student(**held, extension=days))
    return students


def _plain(text: str) -> str:
    """Return the letters and digits of a text, without case and accents."""
    text = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in text if letter.isalnum())


def _names(student: Student) -> set[str]:
    """Return all that a student may be called."""
    words = student.name.split()
    turned = [*words[-1:], *words[:-1]]  # last name first
    found = {student.student, student.email, student.name, "".join(turned)}
    return {_plain(text) for text in found} - {""}


def whose(entry: str, roster: Iterable[Student]) -> tuple[str, str]:
    """Return whose a file or folder is, and what is wrong.

    Parameters
    ----------
    entry
        Its name, without ``.ipynb``.
    roster
        The class. Without one, the name itself is the student's.

    Returns
    -------
    student, problem
        The user name, or the name of the entry with a problem.

    Examples
    --------
    >>> ada = Student("ada", name="Ada Lovelace", number="4711")
    >>> whose("Lovelace Ada_17_assignsubmission_file", [ada])
    ('ada', '')
    >>> whose("lovelaceada_LATE_4711_90210_my-notebook-2", [ada])
    ('ada', '')
    """
    roster = list(roster)
    moodle, canvas = _MOODLE.match(entry), _CANVAS.match(entry)
    platform = moodle or canvas
    if not roster:
        if platform:
            return entry, "a platform's name: write roster.csv, so that it can be told whose it is"
        fine = ALLOWED.fullmatch(entry)
        return (
            entry,
            "" if fine else "the student's name has characters that a folder should not have",
        )
    if canvas and not moodle:
        known = [s for s in roster if s.number and s.number == canvas["number"]]
        if len(known) == 1:
            return known[0].student, ""
    called = _plain(platform["name"] if platform else entry)
    known = [s for s in roster if called in _names(s)]
    if len(known) == 1:
        return known[0].student, ""
    return entry, "nobody of this name in roster.csv" if not known else (
        "several of this name in roster.csv: " + ", ".join(s.student for s in known)
    )


def look(folder: Path, name: str, roster: Iterable[Student]) -> list[Found]:
    """Return what lies in a folder of submissions, without opening any of it.

    Parameters
    ----------
    folder
        Holds a notebook or a folder for each submission, as the platform or the students named it:
        ``STUDENT.ipynb``, ``STUDENT/any.ipynb``, ``STUDENT/NAME/NAME.ipynb`` (nbgrader), or what
        Moodle and Canvas make.
    name
        The problem set, ``"03-recurrent-network"``.
    roster
        The class; may be empty.
    """
    roster = list(roster)
    found: list[Found] = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in _IGNORED:
            continue
        if not (entry.is_dir() or entry.suffix == ".ipynb"):
            continue
        student, problem = whose(entry.name if entry.is_dir() else entry.stem, roster)
        notebook, missing = _notebook(entry, name) if entry.is_dir() else (entry, "")
        if notebook is not None and _is_a_link(notebook, folder):
            notebook, missing = None, "a link, or no file at all"
        found.append(Found(entry.name, student, not problem, notebook, problem or missing))
    entries: dict[str, list[str]] = {}
    for f in found:
        entries.setdefault(f.student, []).append(f.entry)
    return [
        f
        if len(entries[f.student]) == 1
        else f._replace(problem=f"handed in twice: {', '.join(entries[f.student])}; keep one")
        for f in found
    ]


def _is_a_link(path: Path, folder: Path) -> bool:
    """Say whether a file, or a folder on the way to it, is a link: to what, its student chose."""
    steps = [path, *path.parents]
    return not path.is_file() or any(s.is_symlink() for s in steps[: steps.index(folder)])


def from_platform(entry: str) -> bool:
    """Say whether a platform made this name: what lies in such a folder, a student put there."""
    return bool(_MOODLE.match(entry) or _CANVAS.match(entry))


def _notebook(folder: Path, name: str) -> tuple[Path | None, str]:
    place = folder / name if (folder / name).is_dir() else folder
    notebooks = sorted(p for p in place.glob("*.ipynb") if not p.name.startswith("."))
    notebooks = [path for path in notebooks if path.stem == name] or notebooks
    if not notebooks:
        return None, "no notebook"
    if len(notebooks) > 1:
        return None, f"several notebooks, none of them named {name}.ipynb"
    return notebooks[0], ""
