"""How notebooks run under pytest: as `make notebooks` runs them, and with advice when they fail."""

import os
from collections.abc import Generator
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell

from tools import processors, tolerance
from tools.notebooks import ENVIRONMENT

if processors.MARK not in os.environ:  # else `make processors` has set it otherwise
    os.environ.update(ENVIRONMENT)
collect_ignore_glob = ["notebooks/problem-sets/*"]  # for students; tests/problem_sets grades them
if find_spec("triton") is None:
    collect_ignore_glob.append("rnncourse/torch/fused.py")


def compare_within_tolerance(
    cell: IPyNbCell, new: list[NotebookNode], stored: list[NotebookNode]
) -> bool:
    """Compare as nbval does, once each text within the cell's tolerance is the stored one.

    So nbval compares all the rest: the number of the outputs, their kinds, an SVG.
    """
    allowed = tolerance.of(cell.cell)
    assert allowed is not None
    settled, differences = tolerance.settle(new, stored, allowed)
    same = bool(IPyNbCell.compare_outputs(cell, settled, stored))
    cell.comparison_traceback += differences
    return same


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the cells that state a tolerance be compared within it."""
    for item in items:
        if isinstance(item, IPyNbCell) and tolerance.KEY in item.cell.metadata:
            item.compare_outputs = partial(compare_within_tolerance, item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Add what to do to the report of a cell that failed under nbval."""
    report = yield
    if report.failed and isinstance(item, IPyNbCell):
        advice = (
            f"{item.path.name}, code cell {item.cell_num + 1} does not give what is stored.\n"
            f"Is the new output right? Run `make notebooks ALL=1 ONLY={item.path.stem}`, and read "
            "the prose again for numbers that changed.\n"
            "Does it change from run to run, or between machines? Show fewer digits, state a "
            "tolerance in the head of the cell (`:tolerance: 0.02` or `:tolerance: 2%`), or tag "
            "it `nbval-ignore-output` and assert in the next cell what the prose says."
        )
        report.sections.append(("What to do", advice))
    return report
