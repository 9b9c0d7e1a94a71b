"""Every chapter keeps the rules of the book."""

import pytest

from tools import rules
from tools.notebooks import NOTEBOOKS, read_twin


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
    none(f"{twin.name}: {problem}" for problem in rules.bare_truth_values(read_twin(twin)))


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
