"""Each table of the package is complete, and its cheap row comes out again."""

import math

import pytest

from rnncourse.experiments import machine


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
    for row in stored:
        for figure, tolerance in experiment.tolerance.items():
            old, new = float(row[figure] or math.nan), found[figure]
            same = math.isnan(old) and math.isnan(new)
            if not same and not abs(old - new) <= tolerance:
                problems.append(
                    f"{name}, {row['device']}: {figure} is {new:.6g} now and {old:.6g} in the "
                    f"table, more than {tolerance} apart. What has changed in the package? If it "
                    f"should have, remove {name}.csv and {advice}"
                )
    none(problems)
