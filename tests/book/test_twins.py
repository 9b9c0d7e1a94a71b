"""Every source has its twin, and both hold the same cells."""

import pytest

from tools.notebooks import NOTEBOOKS, problems, sources

STEMS = sorted({path.stem for path in (*sources(), *NOTEBOOKS.glob("*.ipynb"))})


@pytest.mark.parametrize("stem", STEMS)
def test_source_and_twin_are_in_step(stem, none):
    none(problems(NOTEBOOKS / f"{stem}.md"))
