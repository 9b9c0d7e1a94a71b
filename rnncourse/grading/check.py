"""A look at a notebook before it is handed in: what the grader would stumble over.

``python -m rnncourse.grading check FILE.ipynb`` in a shell, or ``%run -m rnncourse.grading check
FILE.ipynb`` in any notebook. It needs no hidden tests, no sources and no server: a students'
notebook says itself which cells belong to it.
"""

import ast
import contextlib
import copy
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from .roster import ALLOWED

MARK = "rnncourse"  # in a students' notebook, beside its cells: the set's name, its cells, a stub
TEXT_STUB = "*Write your answer here, in place of this line.*"
CODE_STUB = "raise NotImplementedError  # your code"
LARGEST = 20 * 2**20  # bytes of a notebook that is opened at all
SECONDS, TOTAL, PRINTED = 30, 180, 100_000  # for one cell, for all, and bytes of one cell's output
_NOT_HERE = ("NBGRADER_EXECUTION", "RNNCOURSE_CHECK")  # set where a check would start itself


def problem_of_file(path: Path) -> str:
    """Say why a file is not opened at all; empty when it is a notebook of a fair size."""
    if path.stat().st_size > LARGEST:
        return f"a notebook of more than {LARGEST // 2**20} MB"
    try:
        nbformat.validate(nbformat.read(path, as_version=4))
    except (
        ValueError,
        AttributeError,
        KeyError,
        TypeError,
        RecursionError,
        nbformat.ValidationError,
    ):
        return "the file is not a notebook"
    return ""


def name_of(cell: NotebookNode) -> str:
    """Return the name by which a cell is graded; empty for the student's own."""
    found = cell.metadata.get("nbgrader")
    return str(found.get("grade_id", "")) if isinstance(found, dict) else ""


def look(nb: NotebookNode, file: str) -> tuple[list[str], list[str]]:
    """Return what costs points, and what is good to know, without running anything.

    Parameters
    ----------
    nb
        The notebook.
    file
        The name of its file.
    """
    mark = nb.metadata.get(MARK) or {}
    expected = [str(name) for name in mark.get("cells", ())]
    if not expected:
        return [
            "it does not say which set it is: put your answers into the notebook you were given"
        ], []
    problems: list[str] = []
    number = re.match(r"\d\d(?=\D)", file)
    if number and not str(mark.get("set", "")).startswith(number[0]):
        problems.append(f"the file is named {file}, and holds the set {mark.get('set')}")
    names = [name_of(cell) for cell in nb.cells]
    there = [name for name in names if name in expected]
    problems += [f"cell {name!r} is missing" for name in expected if name not in there]
    notes = [
        f"cell {name!r} is there {there.count(name)} times: all its pieces count, in this order"
        for name in dict.fromkeys(there)
        if there.count(name) > 1
    ]
    first = list(dict.fromkeys(there))
    if first != [name for name in expected if name in first]:
        notes.append("cells are in another order: the grader runs them in the order they came in")
    for cell, name in zip(nb.cells, names, strict=True):
        if name == "student":
            problems += _name_problem(cell.source)
        elif name in expected and cell.metadata.nbgrader.get("solution"):
            if _unanswered(cell, str(mark.get("stub", TEXT_STUB))):
                problems.append(f"cell {name!r} holds no answer yet")
        elif name in expected and _checksum(cell) != cell.metadata.nbgrader.get("checksum"):
            notes.append(f"cell {name!r} was edited: the grader runs it as it was")
    return problems, notes


def _name_problem(source: str) -> list[str]:
    ask = 'write your user name between the quotes of STUDENT = ""'
    try:
        values = [
            ast.literal_eval(node.value)
            for node in ast.parse(source).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STUDENT"
        ]
    except (SyntaxError, ValueError):
        return [f"STUDENT is not a text: {ask}"]
    if not values or not isinstance(values[-1], str) or not values[-1].strip():
        return [ask]
    fine = ALLOWED.fullmatch(values[-1].strip())
    return [] if fine else [f"STUDENT = {values[-1]!r} is no user name: {ask}"]


def _unanswered(cell: NotebookNode, stub: str) -> bool:
    text = cell.source.strip()
    if not text or cell.metadata.nbgrader.get("checksum") == _checksum(cell):
        return True
    return stub in text or CODE_STUB in text


def _checksum(cell: NotebookNode) -> str:
    """Return what nbgrader notes of a cell when a set is released."""
    held = cell.metadata.nbgrader
    grade, solution = bool(held.get("grade")), bool(held.get("solution"))
    locked = not solution and (grade or bool(held.get("locked")))
    parts = [cell.source, cell.cell_type, str(grade), str(solution), str(locked)]
    parts.append(str(held.get("grade_id")))
    if grade:
        parts.append(str(float(held.get("points", 0))))
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()


def run(
    nb: NotebookNode, seconds: int = SECONDS, total: int = TOTAL
) -> tuple[list[str], list[str], int]:
    """Run a notebook from top to bottom in a new kernel, in an empty folder.

    Returns
    -------
    problems, failed, passed
        What went wrong, the tests that fail with their messages, and how many pass.
    """
    nb = copy.deepcopy(nb)
    problems: list[str] = []
    failed: list[str] = []
    passed = 0
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        _set({"RNNCOURSE_CHECK": "1", "MPLBACKEND": "agg", "TQDM_DISABLE": "1"}),
    ):
        client = NotebookClient(
            nb,
            timeout=seconds,
            kernel_name="python3",
            allow_errors=True,
            interrupt_on_timeout=True,
            raise_on_iopub_timeout=False,
            resources={"metadata": {"path": folder}},
        )
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with client.setup_kernel(**quiet):
            began = time.monotonic()
            for number, cell in enumerate(nb.cells, start=1):
                if cell.cell_type != "code":
                    continue
                where = f"cell {name_of(cell)!r}" if name_of(cell) else f"cell {number}"
                start = time.monotonic()
                try:
                    client.execute_cell(cell, number - 1)
                except Exception as error:
                    problems.append(f"{where} ended the kernel ({type(error).__name__})")
                    break
                errors = [o for o in cell.outputs if o.output_type == "error"]
                said = f"{errors[-1].ename}: {errors[-1].evalue}" if errors else ""
                if time.monotonic() - start >= seconds:
                    problems.append(f"{where} takes longer than {seconds} s")
                elif cell.metadata.get("nbgrader", {}).get("grade"):
                    failed += [f"{where}: {said}"] if said else []
                    passed += not said
                elif said:
                    problems.append(f"{where} does not run from top to bottom: {said}")
                if len(str(cell.outputs)) > PRINTED:
                    problems.append(f"{where} prints more than {PRINTED // 1000} kB")
            if (took := time.monotonic() - began) > total:
                problems.append(f"all cells take {took:.0f} s, more than {total} s")
    return problems, failed, passed


@contextlib.contextmanager
def _set(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def main(path: Path, *, seconds: int = SECONDS) -> int:
    """Check one file, and print what is to be done; return 0 when it can be handed in."""
    if any(name in os.environ for name in _NOT_HERE):
        return 0  # the notebook that is checked, or graded, holds this command itself
    if not path.is_file():
        print(f"{path}: there is no such file", file=sys.stderr)
        return 1
    problem = problem_of_file(path)
    if problem:
        print(f"To do: {problem}. Hand in the notebook itself, as Jupyter saves it.")
        return 1
    nb = nbformat.read(path, as_version=4)
    problems, notes = look(nb, path.name)
    more, failed, passed = run(nb, seconds)
    title = next((c.source.splitlines()[0] for c in nb.cells if c.source.startswith("# ")), "")
    print(f"{path.name}: {title.lstrip('# ') or 'no title'}")
    for text in problems + more:
        print(f"To do: {text}")
    for text in failed:
        print(f"Fails: {text}")
    for text in notes:
        print(f"Note:  {text}")
    print(f"{passed} of {passed + len(failed)} tests pass here. The grader has further ones.")
    if not problems + more + failed:
        print("You can hand it in.")
    return 1 if problems + more + failed else 0
