"""Do the tests of the problem sets find every small mistake? Make them all, and see.

    python -m tools.mutants [03 ...]    grade each mutant of each solution and write the table

A mutant is a reference solution with one small change: another name, an operator, a bound, an axis
or a sign, a term or a statement left out, two arguments exchanged. A *stub* answers every question
with the same number in the right shape. In ``tests/problem_sets``, ``mutants.csv`` says of each
solution how many mutants there were and how many the tests found, and ``survivors.csv`` names the
rest. A survivor is a hole in the tests, unless ``reason`` says why no test can find it.
"""

import argparse
import ast
import contextlib
import copy
import csv
import functools
import hashlib
import os
import re
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_solution
from tqdm import tqdm

from rnncourse.grading import course
from tools.notebooks import NOTEBOOKS, ROOT

TABLE = ROOT / "tests" / "problem_sets" / "mutants.csv"
SURVIVORS = TABLE.with_name("survivors.csv")
COLUMNS = ("set", "cell", "digest", "mutants", "found")
SURVIVOR = ("set", "cell", "line", "change", "reason")
STUBS = "stubs"  # in place of a cell
SECONDS = 5  # for one mutant: some never end
MEMORY = 3 * 2**30  # bytes
STUDENTS = ("ada", "emmy", "grace")  # some questions have other numbers for each

_OTHER: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
_PLACEHOLDERS = ("None", "(None, None)")
_KEPT = ("range", "len", "enumerate", "set", "list", "asarray", "array", "int", "float")
_CALLS = {"max": "min", "min": "max", "argmax": "argmin", "sum": "mean", "mean": "sum"}
_CALLS |= {"tanh": "sin", "exp": "expm1", "log": "log2", "log2": "log", "zeros": "ones"}
_CALLS |= {"zeros_like": "ones_like", "eye": "ones_like", "var": "std", "std": "var"}
_CALLS |= {"ceil": "floor", "cos": "sin", "sin": "cos", "real": "imag", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """One change: where, what, and the cell's source with it."""

    cell: str
    line: int
    change: str
    source: str


def mutants(cell: str, source: str) -> Iterator[Mutant]:
    """Yield all small changes of a cell."""
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    for parent, field, number, node, names in _places(tree, ()):
        for other in _changes(node, names):
            before = ast.unparse(node) if not _is_operator(node) else ast.unparse(parent)
            _put(parent, field, number, other)
            made = ast.unparse(ast.fix_missing_locations(tree))
            after = ast.unparse(other) if not _is_operator(node) else ast.unparse(parent)
            _put(parent, field, number, node)
            if made not in seen:
                seen.add(made)
                line = getattr(node, "lineno", getattr(parent, "lineno", 0))
                change = f"{_short(before)} -> {_short(after)}"
                yield Mutant(cell, line, change, made)


def _short(text: str) -> str:
    return " ".join(text.split())[:90]


def _is_operator(node: ast.AST) -> bool:
    return isinstance(node, ast.operator | ast.cmpop | ast.boolop)


def _put(parent: ast.AST, field: str, number: int | None, node: ast.AST) -> None:
    if number is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[number] = node


def _places(
    node: ast.AST, names: tuple[str, ...]
) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, tuple[str, ...]]]:
    """Yield each place of the tree, and the names that are bound where it is."""
    if isinstance(node, ast.FunctionDef):
        bound = [a.arg for a in node.args.args]
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                bound.append(part.id)
        names = tuple(dict.fromkeys([*names, *bound]))
    for field, value in ast.iter_fields(node):
        if field in ("decorator_list", "returns", "annotation", "ctx", "args") and isinstance(
            node, ast.FunctionDef
        ):
            continue
        for number, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield node, field, number, child, names
                yield from _places(child, names)


def _changes(node: ast.AST, names: tuple[str, ...]) -> Iterator[ast.AST]:
    """Yield what a node may be changed into."""
    for other in _OTHER.get(type(node), ()):
        yield other()
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    placeholder = isinstance(node, ast.Assign) and ast.unparse(node.value) in _PLACEHOLDERS
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Break | ast.Continue | ast.Expr):
        if not text and not placeholder:
            yield ast.Pass()
    elif isinstance(node, ast.BinOp):
        yield node.left
        yield node.right
        if not isinstance(node.op, ast.Add | ast.Mult):
            yield ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant):
        yield from _constants(node.value)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield from (ast.Name(name, node.ctx) for name in names if name != node.id)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    elif isinstance(node, ast.Slice):
        yield from _slices(node)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.If):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
        yield from _swapped(node)
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield ast.comprehension(node.target, node.iter, [], node.is_async)
    if isinstance(node, ast.Call):
        yield from _calls(node)


def _constants(value: object) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(value + 1)
        yield ast.Constant(value / 2 if value else -1.0)


def _slices(node: ast.Slice) -> Iterator[ast.AST]:
    for field in ("lower", "upper", "step"):
        if getattr(node, field) is not None:
            other = copy.copy(node)
            setattr(other, field, None)
            yield other
    one = ast.Constant(1)
    if node.lower is None:
        yield ast.Slice(one, node.upper, node.step)
    if node.upper is None and node.step is None:
        yield ast.Slice(node.lower, ast.UnaryOp(ast.USub(), one), node.step)


def _swapped(node: ast.Tuple) -> Iterator[ast.AST]:
    for i in range(len(node.elts) - 1):
        entries = list(node.elts)
        entries[i], entries[i + 1] = entries[i + 1], entries[i]
        yield ast.Tuple(entries, node.ctx)


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    for i, keyword in enumerate(node.keywords):
        if keyword.arg != "dtype":
            yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
    if len(node.args) >= 2:
        yield ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], node.keywords)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _CALLS:
        func = copy.copy(node.func)
        if isinstance(func, ast.Attribute):
            func.attr = _CALLS[name]
            yield ast.Call(func, node.args, node.keywords)
        elif isinstance(func, ast.Name) and name in ("max", "min", "any", "all"):
            func.id = _CALLS[name]
            yield ast.Call(func, node.args, node.keywords)
    if len(node.args) == 1 and name not in _KEPT:
        yield node.args[0]
    if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) not in ("np", "math"):
        yield node.func.value


STUB = """
def _stub(value):
    import numpy as np
    if callable(value):
        return lambda *args, **kwargs: _stub(value(*args, **kwargs))
    if isinstance(value, (list, tuple)):
        return type(value)(_stub(entry) for entry in value)
    if isinstance(value, np.ndarray) or isinstance(value, np.generic):
        return np.full_like(value, {number})
    if isinstance(value, (bool, int, float, complex)):
        return type(value)({number})
    return "" if isinstance(value, str) else value

"""


def stub(source: str, number: int) -> str:
    """Return a solution that answers with one number everywhere, in the right shapes."""
    lines = [f"{name} = _stub({name})" for name in sorted(_bound(source))]
    return source + STUB.replace("{number}", str(number)) + "\n".join(lines) + "\n"


def answers(source: str) -> list[str]:
    """Return the names that a cell asks for: those that it has before it is answered."""
    return sorted(_bound(re.sub(r"(?s)### BEGIN SOLUTION.*?### END SOLUTION", "pass", source)))


def _bound(source: str) -> set[str]:
    """Return the names that a cell defines."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else ()
        names |= {part.id for t in targets for part in ast.walk(t) if isinstance(part, ast.Name)}
    return names


def notebook(path: Path) -> NotebookNode:
    """Return a set with its solutions, and its visible and hidden tests."""
    return course.source_notebook(path)


def digest(nb: NotebookNode, cell: str) -> str:
    """Return what a cell's mutants depend on: the cell, and the tests of the set."""
    parts = [c.source for c in nb.cells if is_grade(c) and not is_solution(c)]
    parts += [text for name, text in solutions(nb).items() if cell in (name, STUBS)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def solutions(nb: NotebookNode) -> dict[str, str]:
    """Return the cells with a solution in code, by name."""
    return {c.id: c.source for c in nb.cells if is_solution(c) and c.cell_type == "code"}


def tests(nb: NotebookNode) -> set[str]:
    """Return the names of the test cells."""
    return {c.id for c in nb.cells if is_grade(c) and not is_solution(c)}


def of(nb: NotebookNode, cell: str) -> dict[tuple[str, str], dict[str, str]]:
    """Return the mutants of a cell, or the stubs: line and change, and the sources to run."""
    if cell != STUBS:
        found = mutants(cell, solutions(nb)[cell])
        return {(str(m.line), m.change): {cell: m.source} for m in found}
    return {
        ("", f"every answer is {number}"): {
            name: stub(source, number) for name, source in solutions(nb).items()
        }
        for number in (0, 1)
    }


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Rehearsal:
    """A set that is ready for its tests: all its cells have run, with the reference solutions.

    Each mutant runs in a copy of this process, which ends with it.
    """

    def __init__(self, nb: NotebookNode, student: str = STUDENTS[0]) -> None:
        self.tests = {c.id: c.source for c in nb.cells if c.id in tests(nb)}
        self.cells = {
            c.id: c.source
            for c in nb.cells  # those without a mark install the package
            if "nbgrader" in c.metadata and c.cell_type == "code" and c.id not in self.tests
        }
        self.student = {"RNNCOURSE_STUDENT": student}
        self.before: dict[str, dict[str, object]] = {}  # the names before each cell
        names: dict[str, object] = {"__name__": "__main__"}
        torch = sys.modules.get("torch")  # which one set takes away
        with mock.patch.dict(os.environ, self.student), open(os.devnull, "w") as nowhere:
            for name, source in self.cells.items():
                self.before[name] = dict(names)
                with contextlib.redirect_stdout(nowhere):
                    exec(compile(source, name, "exec"), names)
        sys.modules.pop("torch", None)
        if torch is not None:
            sys.modules["torch"] = torch

    def found_by(self, changed: dict[str, str], *, all_tests: bool) -> str:
        """Return the names of the tests that fail; the first one is enough, if not all are asked.

        A mutant that takes too long, or ends its process, is found by the clock.
        """
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.close(read)
                failed = " ".join(self._failed(changed, all_tests=all_tests))
                os.write(write, failed.encode() or b"-")
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as file:
            found = file.read()
        os.waitpid(child, 0)
        return "" if found == "-" else found or "the clock"

    def _failed(self, changed: dict[str, str], *, all_tests: bool) -> Iterator[str]:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        for number in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        os.environ |= self.student
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)  # ends this process
        warnings.simplefilter("ignore")
        bound = set().union(*(_bound(source) for source in changed.values()))
        first = next(iter(changed))
        names = self.before[first]
        after = list(self.cells)[list(self.cells).index(first) :]
        try:
            for name in after:
                exec(compile(changed.get(name, self.cells[name]), name, "exec"), names)
        except Exception:
            yield "the cell itself"
            return
        for name, source in self.tests.items():
            if all_tests or any(re.search(rf"\b{re.escape(b)}\b", source) for b in bound):
                try:
                    exec(compile(source, name, "exec"), names)
                except Exception:
                    yield name
                    if not all_tests:
                        return


def passes(nb: NotebookNode, rehearsals: list[Rehearsal], sources: dict[str, str]) -> list[str]:
    """Return for each way in which a mutant survives what to call it; none if it is found.

    A cell's mutant is found by any test. Of stubs, every test has to find its own.
    """
    if len(sources) == 1:
        found = any(rehearsal.found_by(sources, all_tests=False) for rehearsal in rehearsals)
        return [] if found else [""]
    failed = rehearsals[0].found_by(sources, all_tests=True).split()
    return [f": {test} passes" for test in sorted(tests(nb) - set(failed))]


def run(
    path: Path, table: list[dict[str, str]], old: list[dict[str, str]]
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Grade all mutants of a set, those of cells that did not change since excepted."""
    name, nb = path.stem[:2], notebook(path)
    known = {r["cell"]: r for r in table if r["set"] == name}
    before = [r for r in old if r["set"] == name]
    reasons = {(r["cell"], r["line"], r["change"]): r["reason"] for r in before}
    rehearsals = [Rehearsal(nb, student) for student in STUDENTS]
    rows, survivors = [], []
    for cell in (*solutions(nb), STUBS):
        mark = digest(nb, cell)
        if cell in known and known[cell]["digest"] == mark:
            rows.append(known[cell])
            survivors += [r for r in before if r["cell"] == cell]
            continue
        made, left = of(nb, cell), []
        for (line, change), sources in tqdm(made.items(), f"{name} {cell}"):
            for how in passes(nb, rehearsals, sources):
                key = (cell, line, change + how)
                row = dict(zip(SURVIVOR, (name, *key, reasons.get(key, "")), strict=True))
                left.append(row)
        found = str(len(made) - len(left))
        rows.append(dict(zip(COLUMNS, (name, cell, mark, str(len(made)), found), strict=True)))
        survivors += left
    return rows, survivors


def write(path: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    """Write a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", help="03 ...; all by default")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    paths = sorted((NOTEBOOKS / "problem-sets").glob("[0-9][0-9]-*.md"))
    chosen = [path for path in paths if not options.sets or path.stem[:2] in options.sets]
    done = {path.stem[:2] for path in chosen}
    table, old = read(TABLE), read(SURVIVORS)
    rows = [row for row in table if row["set"] not in done]
    survivors = [row for row in old if row["set"] not in done]
    with ProcessPoolExecutor(options.jobs, max_tasks_per_child=1) as pool:
        for more, left in pool.map(functools.partial(run, table=table, old=old), chosen):
            rows, survivors = rows + more, survivors + left
            write(TABLE, COLUMNS, sorted(rows, key=lambda row: row["set"]))
            write(SURVIVORS, SURVIVOR, sorted(survivors, key=lambda row: row["set"]))
    without = [row for row in survivors if not row["reason"]]
    for row in without:
        print(f"{row['set']}, {row['cell']}, line {row['line']}: {row['change']}")
    count = sum(int(row["mutants"]) for row in rows)
    print(f"{count} mutants, {len(survivors)} survive, {len(without)} of them without a reason")
    return 1 if without else 0


if __name__ == "__main__":
    sys.exit(main())
