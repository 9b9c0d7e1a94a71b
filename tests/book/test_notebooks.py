"""Every chapter keeps the rules of the book."""

import pytest

from tools import rules
from tools.notebooks import NOTEBOOKS, read_twin

# How many lines with a bare True or False the chapters that wait for their revision still show.
TRUTH_VALUES = {
    "11-transformer": 3,
}


@pytest.fixture(params=sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def twin(request):
    return request.param


@pytest.mark.parametrize(
    "rule",
    [
        rules.unchecked_cells,
        rules.wrong_tolerances,
        rules.missing_alt_in_outputs,
        rules.wrong_setup_cell,
    ],
)
def test_notebook_keeps(rule, twin, none):
    none(f"{twin.name}: {problem}" for problem in rule(read_twin(twin)))


def test_the_reader_sees_numbers_instead_of_truth_values(twin, none):
    found, most = list(rules.bare_truth_values(read_twin(twin))), TRUTH_VALUES.get(twin.stem, 0)
    if len(found) > most:
        none([f"{twin.name}: {most} of these {len(found)} lines are allowed:", *found])
    assert len(found) == most, (
        f"{twin.name} shows {len(found)} lines with True or False, and {most} are allowed: "
        f"lower its number in TRUTH_VALUES to {len(found)}, and remove the line at 0"
    )


def test_only_chapters_that_exist_may_show_truth_values():
    missing = TRUTH_VALUES.keys() - {path.stem for path in NOTEBOOKS.glob("*.ipynb")}
    assert not missing, f"remove {sorted(missing)} from TRUTH_VALUES: there is no such notebook"


def test_images_in_the_text_have_alt_text(twin, none):
    none(
        f"{twin.name}, cell {number}: {problem}"
        for number, cell in enumerate(read_twin(twin).cells, 1)
        if cell.cell_type == "markdown"
        for problem in rules.missing_alt_in_text(cell.source)
    )


def test_notebook_is_small(twin):
    size = twin.stat().st_size
    assert size <= rules.MAX_BYTES, (
        f"{twin.name} takes {size} bytes, and {rules.MAX_BYTES} are allowed: "
        "make figures smaller or simpler"
    )
