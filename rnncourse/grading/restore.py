"""Before nbgrader looks at a submission: the released notebook with the student's answers in it.

nbgrader finds cells by the metadata that the student's notebook carries. A deleted, doubled,
moved or renamed cell is put right here, and told in the report.
"""

import ast
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_locked, is_solution

from .execute import REPORT

_USUAL = {"collections", "dataclasses", "functools", "itertools", "math", "matplotlib", "numpy"}
_USUAL |= {"operator", "random", "re", "statistics", "string", "time", "torch", "tqdm", "typing"}
_NOTABLE = {
    "__builtins__",
    "__import__",
    "compile",
    "delattr",
    "eval",
    "exec",
    "exit",
    "get_ipython",
}
_NOTABLE |= {"globals", "open", "quit", "setattr", "vars"}


class Restore(NbGraderPreprocessor):
    """Take the cells of the release, and from the submission what is the student's to write."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook put right; nbgrader runs in the course's folder."""
        found = resources["nbgrader"]
        path = Path("release", found["assignment"], f"{found['notebook']}.ipynb")
        released = nbformat.read(path, as_version=4)
        for text in _differences(nb, released):
            self.log.warning("%s %s", REPORT, text)
        resources["kernelspec"] = released.metadata.get("kernelspec")
        return rebuild(nb, released), resources


def _name(cell: NotebookNode) -> str:
    found = cell.metadata.get("nbgrader")
    return str(found.get("grade_id", "")) if isinstance(found, dict) else ""


def rebuild(nb: NotebookNode, released: NotebookNode) -> NotebookNode:
    """Return the release with the submission's answers, and its own cells after these."""
    known = {_name(cell) for cell in released.cells} - {""}
    answers: dict[str, str] = {}
    extra: dict[str, list[NotebookNode]] = {}
    last, given = "", {cell.source for cell in released.cells}
    for cell in nb.cells:
        name = _name(cell)
        if name in known and name not in answers:
            answers[name], last = cell.source, name
        elif name not in known and cell.source not in given:
            cell.metadata.pop("nbgrader", None)
            extra.setdefault(last, []).append(cell)
    cells = list(extra.get("", []))
    for cell in released.cells:
        if is_solution(cell) or (_name(cell) and not is_locked(cell)):
            cell.source = answers.get(_name(cell), cell.source)
        cells.append(cell)
        cells += extra.get(_name(cell), []) if _name(cell) else []
    released.cells = cells
    return released


def _differences(nb: NotebookNode, released: NotebookNode) -> list[str]:
    """Return what a person may want to look at: cells that are gone or edited, notable code."""
    names = [_name(cell) for cell in nb.cells]
    mine = {_name(cell): cell.source for cell in nb.cells}
    texts = []
    for cell in released.cells:
        name = _name(cell)
        if not name:
            continue
        if name not in mine:
            texts.append(f"cell {name!r} was deleted; it is as released")
        elif names.count(name) > 1:
            texts.append(f"cell {name!r} was there twice; the first one counts")
        if name in mine and is_grade(cell) and not is_solution(cell) and mine[name] != cell.source:
            texts.append(f"test cell {name!r} was edited; the original one ran")
    given = {cell.source for cell in released.cells}
    used = {note for source in given for note in notable(source, _USUAL)}
    allowed = _USUAL | {note for note in used if note.startswith("import ")}
    written = [c.source for c in nb.cells if c.cell_type == "code" and c.source not in given]
    notes = sorted({note for source in written for note in notable(source, allowed)} - allowed)
    return texts + ([f"worth a look: {', '.join(notes)}"] if notes else [])


def notable(source: str, allowed: set[str]) -> list[str]:
    """Return what is unusual in an answer: imports, assignments to modules, shell commands."""
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError):
        return []
    notes, modules = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            parent = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
            imported = parent or [alias.name for alias in node.names]
            notes += [
                f"import {name}"
                for name in imported
                if name.split(".")[0] not in allowed and f"import {name}" not in allowed
            ]
        elif isinstance(node, ast.Name) and node.id in _NOTABLE:
            notes.append(node.id)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in modules | {"np", "torch"}:
                notes.append(f"assigns to {ast.unparse(node)}")
    return notes
