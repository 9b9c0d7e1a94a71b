"""Before and after nbgrader looks at a submission: the release with the student's answers in it.

nbgrader finds cells by the metadata that the student's notebook carries. A cell that was deleted,
doubled, split, moved or edited, or that lost its metadata, is put right here, and told in the
report.
"""

import ast
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_locked, is_solution

from .execute import REPORT

_USUAL = {"collections", "dataclasses", "functools", "itertools", "math", "matplotlib", "numpy"}
_USUAL |= {"operator", "random", "re", "statistics", "string", "time", "torch", "tqdm", "typing"}
_NOTABLE = {"__builtins__", "__import__", "compile", "delattr", "eval", "exec", "exit"}
_NOTABLE |= {"get_ipython", "globals", "locals", "open", "quit", "setattr", "vars", "In", "Out"}
_NOTABLE |= {"expect_close", "expect_equal", "expect_shape"}
_NOTABLE_ATTRIBUTES = {"sys", "os", "modules", "environ", "settrace", "setprofile", "tb_frame"}
_NOTABLE_ATTRIBUTES |= {"f_back", "f_globals", "f_locals", "gi_frame", "ctypeslib", "memmap"}
_NOTABLE_ATTRIBUTES |= {"fromfile", "tofile", "loadtxt", "genfromtxt", "savetxt", "load", "save"}
_FINE = {"__init__", "__call__", "__len__", "__getitem__", "__iter__", "__name__", "__class__"}


# [ ]: a test makes sure that no page holds the plain words
_MODEL = re.compile(r"### BEGIN[ ]SOLUTION\n(.*?)### END[ ]SOLUTION", re.DOTALL)
_PICTURES = {"image/png", "image/jpeg"}
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_BESIDE = "for-the-grader"  # the tag of a rubric's cell
_FOR_TEACHERS = ("worth a look", "it ran without walls")  # how their notes begin


class Restore(NbGraderPreprocessor):
    """Take the cells of the release, and from the submission what is the student's to write."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook put right; nbgrader runs in the course's folder."""
        released = _released(resources)
        resources["kernelspec"] = released.metadata.get("kernelspec")
        found, notes = rebuild(nb, released)
        for text in notes:
            self.log.warning("%s %s", REPORT, text)
        return found, resources


class ReadBeside(NbGraderPreprocessor):
    """Put the model answer and the rubric below each answer that a person reads."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook with one more cell for each such answer."""
        found = resources["nbgrader"]
        path = Path("source", found["assignment"], f"{found['notebook']}.ipynb")
        source = nbformat.read(path, as_version=4)
        models = {_name(cell): _MODEL.search(cell.source) for cell in source.cells}
        cells = []
        for cell in nb.cells:
            cells.append(cell)
            if is_grade(cell) and is_solution(cell) and (model := models.get(_name(cell))):
                text = f"**For the grader, not for the student**\n\n{model[1].strip()}"
                cells.append(nbformat.v4.new_markdown_cell(text, metadata={"tags": [_BESIDE]}))
        nb.cells = cells
        return nb, resources


class Told(NbGraderPreprocessor):
    """Make of a graded notebook what its student reads: no rubric, and what the grader noticed."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook with one more cell in front, if there is something to tell."""
        nb.cells = [cell for cell in nb.cells if _BESIDE not in cell.metadata.get("tags", ())]
        found, path = resources["nbgrader"], Path("graded.json")
        runs = json.loads(path.read_text()) if path.exists() else {}
        run = runs.get(found["assignment"], {}).get(found["student"], {})
        if lines := for_the_student(run):
            text = "\n".join(f"- {as_text(line)}" for line in lines)
            nb.cells.insert(0, nbformat.v4.new_markdown_cell(f"**From the grader**\n\n{text}"))
        return nb, resources


def for_the_student(run: dict[str, Any]) -> list[str]:
    """Return what a student is told of a submission: why it was refused, and what went wrong."""
    lines = []
    if run.get("refused"):
        lines.append(
            f"Your newest submission could not be graded: {run['refused']}. Before you hand in "
            "again, run: python -m rnncourse.grading check FILE.ipynb"
        )
    return lines + [note for note in run.get("notes", ()) if not note.startswith(_FOR_TEACHERS)]


class Harmless(NbGraderPreprocessor):
    """Take out of answers and outputs what could run where a teacher reads them."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook with what a student wrote, or a program showed, as plain text."""
        harmless(nb, {cell.source for cell in _released(resources).cells})
        return nb, resources


def harmless(nb: NotebookNode, given: set[str]) -> None:
    """Take scripts out of all texts but the given ones, and out of all outputs.

    The size of a picture is written into the page as it came, so it is taken out as well.
    """
    clean = SanitizeHTML(
        safe_output_keys={"text/plain", *_PICTURES}, sanitized_output_types={"text/html"}
    )
    nb.metadata.pop("widgets", None)
    for number, cell in enumerate(nb.cells):
        if cell.cell_type == "code":
            clean.preprocess_cell(cell, {}, number)
            for output in cell.outputs:
                if "metadata" in output:
                    output.metadata = {}
                for kind in _PICTURES & set(output.get("data", ())):
                    if not _BASE64.fullmatch(str(output.data[kind])):
                        del output.data[kind]
        elif cell.source not in given:
            cell.source = as_text(cell.source)
        cell.pop("attachments", None)


def as_text(source: str) -> str:
    r"""Return Markdown without HTML, links and pictures: a space in them makes them text.

    Formulas keep their sense.

    Examples
    --------
    >>> as_text("$a<b$ <script>alert(1)</script> [see](javascript:alert(2))")
    '$a< b$ < script>alert(1)< /script> [see] (javascript:alert(2))'
    """
    source = re.sub(r"<(?=[a-zA-Z/!?])", "< ", source)
    source = re.sub(r"&(?=[#a-zA-Z])", "& ", source)
    source = re.sub(r"\](?=[(\[:])", "] ", source)
    macros = "href|url|require|class|cssId|style|data|unicode|mmlToken|csname"
    return re.sub(rf"\\(?=({macros})\b)", r"\\ ", source)


def _released(resources: dict[str, Any]) -> NotebookNode:
    found = resources["nbgrader"]
    path = Path("release", found["assignment"], f"{found['notebook']}.ipynb")
    return nbformat.read(path, as_version=4)


def _name(cell: NotebookNode) -> str:
    found = cell.metadata.get("nbgrader")
    return str(found.get("grade_id", "")) if isinstance(found, dict) else ""


def rebuild(nb: NotebookNode, released: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """Return the release with the submission's answers, its own cells after these, and notes.

    Two cells of one name are one answer in two pieces (an editor that splits a cell copies its
    metadata), unless they are the same. A cell without metadata that defines what an unanswered
    cell of the release should define is that answer.
    """
    known = {_name(cell): cell for cell in released.cells if _name(cell)}
    given = {cell.source for cell in released.cells}
    answers: dict[str, str] = {}
    extra: dict[str, list[NotebookNode]] = {}
    notes: list[str] = []
    last = ""
    for cell in nb.cells:
        name = _name(cell)
        if name not in known and cell.source not in given:
            name = _by_content(cell, released, answers) or name
            if name in known:
                notes.append(f"cell {name!r} had lost its mark; it was known by what it defines")
        if name in known:
            last = name
            if name not in answers:
                answers[name] = cell.source
            elif cell.source != answers[name]:
                notes.append(f"cell {name!r} was there twice; both pieces count, one after another")
                answers[name] += f"\n\n{cell.source}"
            else:
                notes.append(f"cell {name!r} was there twice, and the same")
        elif cell.source not in given and cell.source.strip():
            cell.metadata.clear()
            extra.setdefault(last, []).append(cell)
    cells = list(extra.get("", []))
    for cell in released.cells:
        name = _name(cell)
        own = is_solution(cell) or (name and not is_locked(cell))
        cells.append(cell)
        if name and name not in answers:
            notes.append(f"cell {name!r} was deleted; it is as released")
        elif own:
            cell.source = answers.get(name, cell.source)
        elif name and answers[name] != cell.source:
            if is_grade(cell):
                notes.append(f"test cell {name!r} was edited; the original one ran")
            elif cell.cell_type == "code":
                notes.append(f"cell {name!r} was edited; the original one ran, and then this one")
                cells.append(nbformat.v4.new_code_cell(answers[name]))
        cells += extra.get(name, []) if name else []
    written = [c.source for c in cells if c.cell_type == "code" and c.source not in given]
    released.cells = cells
    return released, notes + _worth_a_look(written, given)


def _by_content(cell: NotebookNode, released: NotebookNode, answers: dict[str, str]) -> str:
    """Return the name of the unanswered cell that a cell without metadata answers, or nothing."""
    if cell.cell_type != "code":
        return ""
    defined = _defines(cell.source)
    for other in released.cells:
        wanted = _defines(other.source) if is_solution(other) else set()
        if wanted and wanted <= defined and _name(other) not in answers:
            return _name(other)
    return ""


def _defines(source: str) -> set[str]:
    """Return the names that a cell binds."""
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else ()
        found |= {part.id for t in targets for part in ast.walk(t) if isinstance(part, ast.Name)}
    return found


def _worth_a_look(written: Iterable[str], given: Iterable[str]) -> list[str]:
    """Return a note with what no answer needs, if there is something."""
    used = {note for source in given for note in notable(source, _USUAL)}
    allowed = _USUAL | {note for note in used if note.startswith("import ")}
    notes = sorted({note for source in written for note in notable(source, allowed)} - allowed)
    return [f"worth a look: {', '.join(notes)}"] if notes else []


def notable(source: str, allowed: set[str]) -> list[str]:
    """Return what is unusual in an answer: imports, assignments to modules, ways out of Python."""
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
        elif isinstance(node, ast.Attribute):
            name = node.attr
            hidden = name[:2] == name[-2:] == "__" and name not in _FINE
            if hidden or name.lstrip("_") in _NOTABLE_ATTRIBUTES:
                notes.append(f".{name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in modules | {"np", "torch"}:
                notes.append(f"assigns to {ast.unparse(node)}")
    return notes
