"""How notebooks run under pytest: as `make notebooks` runs them, and with advice when they fail."""

import os
from collections.abc import Generator
from typing import Any

import pytest
from nbval.plugin import IPyNbCell

from tools.notebooks import ENVIRONMENT

os.environ.update(ENVIRONMENT)
collect_ignore_glob = ["notebooks/problem-sets/*"]  # for students; tests/problem_sets grades them


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
            "Does it change from run to run, or between machines? Show fewer digits, or tag the "
            "cell `nbval-ignore-output` and assert in the next cell what the prose says."
        )
        report.sections.append(("What to do", advice))
    return report
