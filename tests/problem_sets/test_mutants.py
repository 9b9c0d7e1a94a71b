"""Every small mistake in a solution is found by its tests, or said to be none."""

import random

import pytest

from tools import mutants

from .submissions import SETS

SAMPLE = 12  # of each set
ADVICE = "run `python -m tools.mutants`"


@pytest.fixture(scope="module", params=SETS, ids=lambda path: path.stem)
def nb(request):
    return request.param.stem[:2], mutants.notebook(request.param)


def rows(path, name):
    return [row for row in mutants.read(path) if row["set"] == name]


def test_the_table_is_of_the_present_sources(nb):
    name, notebook = nb
    stored = {row["cell"]: row["digest"] for row in rows(mutants.TABLE, name)}
    cells = [*mutants.solutions(notebook), mutants.STUBS]
    assert stored == {cell: mutants.digest(notebook, cell) for cell in cells}, ADVICE


def test_every_survivor_has_a_reason(nb, none):
    name, _ = nb
    left = rows(mutants.SURVIVORS, name)
    none(f"{r['cell']}, line {r['line']}: {r['change']}" for r in left if not r["reason"])
    none(f"{r['change']}" for r in left if r["cell"] == mutants.STUBS)  # of these there is none
    counts = rows(mutants.TABLE, name)
    assert sum(int(row["mutants"]) - int(row["found"]) for row in counts) == len(left)


def test_a_sample_comes_out_again(nb, none):
    name, notebook = nb
    rehearsals = [mutants.Rehearsal(notebook, student) for student in mutants.STUDENTS]
    reference = mutants.solutions(notebook)
    assert rehearsals[0].found_by(reference, all_tests=True) == ""
    for sources in mutants.of(notebook, mutants.STUBS).values():
        assert mutants.passes(notebook, rehearsals, sources) == []
    known = {(r["cell"], r["line"], r["change"]) for r in rows(mutants.SURVIVORS, name)}
    made = [
        ((cell, *key), sources)
        for cell in reference
        for key, sources in mutants.of(notebook, cell).items()
    ]
    assert len(made) > 300
    sample = random.Random(name).sample(made, SAMPLE)
    survived = {key for key, s in sample if mutants.passes(notebook, rehearsals, s)}
    assert survived == {key for key, _ in sample if key in known}


def test_mutants_are_the_changes_that_they_say():
    source = "def f(x, y):\n    z = x[:-1] - y\n    return z.sum(axis=1)"
    found = {m.change: m.source for m in mutants.mutants("f", source)}
    assert found["x[:-1] - y -> x[:-1]"].endswith("z = x[:-1]\n    return z.sum(axis=1)")
    for change in (
        "z = x[:-1] - y -> pass",
        "x[:-1] - y -> x[:-1] + y",
        "x[:-1] - y -> y - x[:-1]",
        ":-1 -> :",
        ":-1 -> 1:-1",
        "1 -> 2",
        "1 -> 0",
        "-1 -> 1",
        "x -> y",
        "x -> z",
        "z.sum(axis=1) -> z.mean(axis=1)",
        "z.sum(axis=1) -> z.sum()",
        "z.sum(axis=1) -> z",
    ):
        assert change in found
    assert len(set(found.values())) == len(found)
    assert all(compile(text, "f", "exec") for text in found.values())
