"""How long does a question take? An estimate by rule, so that points and times follow one measure.

    python -m tools.effort [03 ...]    print the minutes and points of each question

Nobody was timed. The rule counts what can be counted: a minute for every 50 words of the question
(read twice, with formulas, perhaps not in one's first language); 0.8 minutes for every operation of
the reference solution (a call, an index, a sign, an assignment, a loop), for writing it, running
the tests and finding what is wrong; as much again where the question gives no formula or recipe to
follow, so that something has to be derived first; twelve minutes for an answer in sentences.
"""

import argparse
import ast
import re
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

from nbgrader.utils import is_grade, is_solution

from rnncourse.grading.course import source_notebook
from tools.notebooks import SETS

WORDS, OPERATION, SENTENCES = 50, 0.8, 12.0
DERIVED = {
    *("02-slopes", "02-parity", "04-backward", "04-average", "05-gone", "05-start"),
    *("06-half", "06-back", "07-convert", "08-ceilings", "08-backward", "10-backward"),
    *("12-context", "12-lamp", "13-account", "13-mingru", "13-hold"),
}
"""Cells whose formula or recipe is the question."""

_COUNTED = (
    *(ast.BinOp, ast.UnaryOp, ast.Call, ast.Subscript, ast.Compare, ast.For, ast.While, ast.If),
    *(ast.IfExp, ast.Assign, ast.AugAssign, ast.comprehension, ast.Return, ast.FunctionDef),
)
_SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.DOTALL)


class Question(NamedTuple):
    """A question's title, the minutes that the rule gives, and its points."""

    title: str
    minutes: float
    points: float


def questions(source: Path) -> list[Question]:
    """Return the questions of a set."""
    found: list[Question] = []
    for cell in source_notebook(source).cells:
        title = re.search(r"^## (Question .*)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and title:
            found.append(Question(title[1], 0.0, 0.0))
        if not found:
            continue
        minutes, points = 0.0, float(cell.metadata.nbgrader.points) if is_grade(cell) else 0.0
        if cell.cell_type == "markdown":
            minutes = len(_SOLUTION.sub("", cell.source).split()) / WORDS
            minutes += SENTENCES if is_solution(cell) else 0
        elif is_solution(cell):
            twice = 2 if f"{source.stem[:2]}-{cell.id}" in DERIVED else 1
            minutes = OPERATION * twice * sum(map(_operations, _SOLUTION.findall(cell.source)))
        last = found[-1]
        found[-1] = Question(last.title, last.minutes + minutes, last.points + points)
    return found


def _operations(part: str) -> int:
    body = ast.parse("def f():\n" + textwrap.indent(textwrap.dedent(part), "    "))
    return sum(isinstance(node, _COUNTED) for node in ast.walk(body)) - 1


def stated(source: Path) -> int:
    """Return the minutes that a set promises."""
    found = re.search(r"about (\d+) minutes", source.read_text(encoding="utf-8"))
    return int(found[1]) if found else 0


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", help="03 ...; all by default")
    options = parser.parse_args(arguments)
    for source in sorted(SETS.glob("[0-9][0-9]-*.md")):
        if options.sets and source.stem[:2] not in options.sets:
            continue
        found = questions(source)
        whole = sum(q.minutes for q in found)
        print(f"{source.stem}: {whole:.0f} minutes, {stated(source)} stated")
        for q in found:
            share = 20 * q.minutes / whole
            print(f"  {q.minutes:5.0f} min  {q.points:g} points, by share {share:.1f}  {q.title}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
