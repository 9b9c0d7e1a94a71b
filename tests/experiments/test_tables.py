"""Each table of the package is complete, and its cheap row comes out again."""

import math
import re
import zlib

import pytest

from rnncourse.data import python_manual
from rnncourse.experiments import machine

# Another version of Python has another manual. What was measured on it is then further away.
FACTOR = 1 if zlib.crc32(python_manual().encode()) == 0x58110A37 else 4


def reads_the_manual(name):
    """Tell whether an experiment uses the manual, itself or through another file."""
    code = (machine.HERE / f"{name}.py").read_text(encoding="utf-8")
    used = re.findall(r"^from rnncourse\.experiments\.(\w+) import", code, flags=re.MULTILINE)
    return "python_manual" in code or any(map(reads_the_manual, used))


def test_what_reads_the_manual():
    found = [name for name in machine.names() if reads_the_manual(name)]
    assert {"text_models", "dropout_counting", "lab_text_decoding", "three_cells"} <= set(found)
    assert "lamp_sign" not in found


@pytest.mark.parametrize("name", machine.names())
def test_a_table_is_complete_and_of_the_present_code(name, none):
    none(machine.problems(machine.load(name)))


@pytest.mark.parametrize("name", machine.names())
def test_the_cheap_row_comes_out_again(name, none):
    experiment = machine.load(name)
    seed = experiment.seeds[0]
    key = (*map(str, experiment.cheap.values()), str(seed))
    stored = [row for row in machine.read(experiment) if experiment.key(row) == key]
    advice = f"run `make experiments ONLY={name}`"
    assert stored, f"{name}: the table has no row for CHEAP: {advice}"
    found = experiment.run(**experiment.cheap, seed=seed, device="cpu")
    assert experiment.tolerance.keys() <= found.keys(), f"{name}: TOLERANCE names no figure of run"
    problems = []
    factor = FACTOR if reads_the_manual(name) else 1
    for row in stored:
        for figure, tolerance in experiment.tolerance.items():
            tolerance *= factor
            old, new = float(row[figure] or math.nan), found[figure]
            same = math.isnan(old) and math.isnan(new)
            if not same and not abs(old - new) <= tolerance:
                problems.append(
                    f"{name}, {row['device']}: {figure} is {new:.6g} now and {old:.6g} in the "
                    f"table, more than {tolerance} apart. What has changed in the package? If it "
                    f"should have, remove {name}.csv and {advice}"
                )
    none(problems)
