"""Tables of experiments: what is missing, what is of older code, and what survives a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnncourse.experiments import ExperimentError, machine, names, table
from rnncourse.experiments.__main__ import main

TOY = '''\
"""A toy."""

import os
import time
from pathlib import Path

SETTINGS = [{"name": name, "factor": factor} for name in ("a", "b") for factor in (1, 0.5)]
SEEDS = range(2)
CHEAP = {"name": "a", "factor": 1}
TOLERANCE = {"product": 0.0}
SECONDS = 0.0


def multiply(factor, seed):
    """Return the product."""
    return factor * (seed + 1)


def run(name, factor, *, seed, device):
    with Path(__file__).with_suffix(".log").open("a") as log:
        log.write(f"{name},{factor},{seed}\\n")
    time.sleep(SECONDS)
    return {"product": multiply(factor, seed), "nothing": float("nan")}


def unused():
    return 1
'''
GRID = 8


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(TOY)
    return path


@pytest.fixture
def filled(toy):
    """Return a toy whose table is complete, as the command would write it."""
    experiment = machine.load("toy", toy.parent)
    rows = [
        machine.make_row(experiment, setting, seed, "cpu")
        for setting, seed in experiment.keys.values()
    ]
    machine.write(experiment, rows)
    return toy


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def command(folder, *arguments):
    return main(["--folder", str(folder), *arguments])


def rows(path):
    return machine.read(machine.load(path.stem, path.parent))


def counts(path, device="cpu"):
    experiment = machine.load(path.stem, path.parent)
    state = machine.states(experiment, machine.read(experiment))[device]
    return len(state.present), len(state.outdated), len(state.missing)


# What a table has.


def test_status_of_a_table_that_is_not_there(toy, capsys):
    assert command(toy.parent, "status") == 1
    out = capsys.readouterr().out
    assert "toy, cpu: 0 of 8 rows are there, 8 are missing, 0 are of older code" in out
    assert "make experiments ONLY=toy" in out


def test_a_complete_table(filled, capsys):
    assert counts(filled) == (GRID, 0, 0)
    assert command(filled.parent, "status", "toy") == 0
    assert "toy, cpu: complete, 8 rows" in capsys.readouterr().out
    first = rows(filled)[0]
    assert {name: first[name] for name in ("name", "factor", "seed", "product", "nothing")} == {
        "name": "a", "factor": "1", "seed": "0", "product": "1", "nothing": "",
    }  # fmt: skip
    assert all(first[fact] for fact in machine.FACTS)


def test_a_row_that_was_deleted_is_missing(filled, capsys):
    lines = filled.with_suffix(".csv").read_text().splitlines(keepends=True)
    filled.with_suffix(".csv").write_text("".join(lines[:3] + lines[4:]))
    assert counts(filled) == (GRID - 1, 0, 1)
    assert command(filled.parent, "status") == 1
    assert "1 are missing" in capsys.readouterr().out


def test_other_code_makes_rows_outdated(filled, capsys):
    edit(filled, "factor * (seed + 1)", "factor * (seed + 2)")
    assert counts(filled) == (0, GRID, 0)
    assert command(filled.parent, "status") == 1
    assert "8 are of older code" in capsys.readouterr().out


def test_a_new_seed_or_setting_makes_rows_missing_only(filled):
    edit(filled, "range(2)", "range(3)")
    assert counts(filled) == (GRID, 0, 4)
    edit(filled, "(1, 0.5)", "(1, 0.5, 0.25)")
    assert counts(filled) == (GRID, 0, 10)


def test_rows_that_the_grid_does_not_ask_for(filled, capsys):
    edit(filled, "range(2)", "range(1)")
    (problem,) = machine.problems(machine.load("toy", filled.parent))
    assert "4 rows belong to no run of the grid" in problem
    assert command(filled.parent, "run") == 0
    assert len(rows(filled)) == 4
    assert command(filled.parent, "status") == 0


def test_a_run_that_is_there_twice(filled):
    with filled.with_suffix(".csv").open("a") as file:
        file.write(filled.with_suffix(".csv").read_text().splitlines()[-1] + "\n")
    (problem,) = machine.problems(machine.load("toy", filled.parent))
    assert "1 rows belong to no run of the grid" in problem


def test_devices_are_told_apart_and_one_is_enough(filled):
    table = filled.with_suffix(".csv")
    table.write_text(table.read_text().replace(",cpu,", ",cuda,"))
    assert counts(filled, "cuda") == (GRID, 0, 0)
    assert counts(filled) == (0, 0, GRID)
    assert command(filled.parent, "status") == 0
    assert command(filled.parent, "run") == 0  # nothing to do
    assert counts(filled) == (0, 0, GRID)


def test_rows_of_older_code_on_a_second_device(filled, capsys):
    table = filled.with_suffix(".csv")
    old = table.read_text().splitlines()[1].replace(",cpu,", ",cuda,")[:-1] + "x"
    table.write_text(table.read_text() + old + "\n")
    assert command(filled.parent, "status") == 1
    out = capsys.readouterr().out
    assert "toy, cpu: complete" in out
    assert "toy, cuda: 0 of 8 rows are there, 7 are missing, 1 are of older code" in out
    assert "DEVICE=cuda" in out


@pytest.mark.parametrize("torn", [1, 20, 60])
def test_a_torn_last_line_costs_its_row_alone(filled, torn):
    table = filled.with_suffix(".csv")
    table.write_bytes(table.read_bytes()[:-torn])
    present, outdated, missing = counts(filled)
    assert present >= GRID - 1
    assert present + outdated + missing == GRID


def test_a_file_that_is_no_table_is_left_alone(filled, capsys):
    table = filled.with_suffix(".csv")
    table.write_text("who,knows\n1,2\n")
    assert command(filled.parent, "run") == 2
    assert "toy.csv: expected the columns" in capsys.readouterr().err
    assert table.read_text() == "who,knows\n1,2\n"


# What makes rows outdated.


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A toy."""', '"""Another text."""'),
        ('    """Return the product."""\n', "    # In words of today.\n"),
        ("factor * (seed + 1)", "(\n        factor\n        * (seed + 1)  # why\n    )"),
        ("range(2)", "(5, 6)"),
        ('"product": 0.0', '"product": 0.1'),
        ("return 1", "return 2"),
    ],
)
def test_what_leaves_the_digest(toy, old, new):
    before = machine.digest(toy)
    edit(toy, old, new)
    assert machine.digest(toy) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed + 1)\n", "seed + 2)\n"),
        ("SECONDS = 0.0", "SECONDS = 0.1"),
        ("time.sleep(SECONDS)", "pass"),
        ('"product": multiply', '"other": multiply'),
        ("import time\n", "import time\n\nos.environ['A'] = '1'\n"),
        ("import time\n", "import datetime as time\n"),
    ],
)
def test_what_alters_the_digest(toy, old, new):
    before = machine.digest(toy)
    edit(toy, old, new)
    assert machine.digest(toy) != before


def test_the_digest_follows_shared_code(toy):
    shared, deeper = toy.with_name("_shared.py"), toy.with_name("_deeper.py")
    shared.write_text("from . import _deeper\n\ndef help():\n    return 1\n")
    deeper.write_text("A = 1\n")
    edit(toy, "import time\n", "import time\nfrom rnncourse.experiments._shared import help\n")
    edit(toy, "time.sleep(SECONDS)", "help()")
    found = [machine.digest(toy)]
    edit(shared, "return 1", "return 2")
    found.append(machine.digest(toy))
    edit(deeper, "A = 1", "A = 2")
    found.append(machine.digest(toy))
    assert len(set(found)) == 3
    edit(deeper, "A = 2", "A = 2  # two")
    assert machine.digest(toy) == found[-1]
    assert machine.names(toy.parent) == ["toy"]


# Runs.


def test_run_fills_the_table_and_then_does_nothing(toy, capsys):
    assert command(toy.parent, "run", "toy", "--jobs", "2") == 0
    assert counts(toy) == (GRID, 0, 0)
    assert "8 rows written, 0 runs failed" in capsys.readouterr().out
    order = [(row["name"], row["factor"], row["seed"]) for row in rows(toy)]
    assert order == list(machine.load("toy", toy.parent).keys)
    assert command(toy.parent, "run") == 0
    assert "0 rows written" in capsys.readouterr().out
    assert len(toy.with_suffix(".log").read_text().splitlines()) == GRID
    edit(toy, "seed + 1)\n", "seed + 2)\n")
    edit(toy, '"nothing"', '"none"')
    assert command(toy.parent, "run") == 0
    assert [row["product"] for row in rows(toy)][:2] == ["2", "3"]
    assert "nothing" not in rows(toy)[0]


def test_a_seed_of_all_settings_comes_before_the_next_seed(toy):
    assert command(toy.parent, "run", "toy", "--jobs", "1") == 0
    seeds = [line[-1] for line in toy.with_suffix(".log").read_text().splitlines()]
    assert seeds == ["0"] * (GRID // 2) + ["1"] * (GRID // 2)


@pytest.mark.parametrize(
    ("how", "message"),
    [("raise RuntimeError('no luck')", "RuntimeError: no luck"), ("os._exit(7)", "status 7")],
)
def test_a_failing_run_loses_no_other(toy, capsys, how, message):
    edit(toy, "    time.sleep(SECONDS)", f"    if (name, seed) == ('a', 1):\n        {how}")
    assert command(toy.parent, "run") == 1
    out, err = capsys.readouterr()
    assert "6 rows written, 2 runs failed" in out
    assert "toy {'name': 'a', 'factor': '0.5', 'seed': '1'}" in err
    assert message in err
    assert counts(toy) == (6, 0, 2)


@pytest.mark.skipif(sys.platform == "win32", reason="stops a group of processes by a signal")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_a_stop_in_mid_run_loses_no_finished_row(toy, how):
    edit(toy, "SECONDS = 0.0", "SECONDS = 0.5")
    csv, log = toy.with_suffix(".csv"), toy.with_suffix(".log")
    call = [sys.executable, "-m", "rnncourse.experiments", "--folder", str(toy.parent)]
    environment = {**os.environ, "PYTHONPATH": str(Path(machine.__file__).parents[2])}
    process = subprocess.Popen(
        [*call, "run", "--jobs", "2"],
        env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not csv.exists() or len(csv.read_text().splitlines()) < 4:
        assert time.monotonic() < deadline, "no rows came"
        assert process.poll() is None, "the command ended by itself"
        time.sleep(0.01)
    os.killpg(process.pid, getattr(signal, how))  # the command and its workers
    said = process.communicate()[1]
    if how == "SIGINT":
        assert process.returncode == 130
        assert "Stopped. The same command goes on from here." in said
        assert "Traceback" not in said

    saved = rows(toy)
    assert 3 <= len(saved) < GRID
    started = log.read_text().splitlines()
    resumed = subprocess.run([*call, "run", "--jobs", "2"], env=environment, capture_output=True)
    assert resumed.returncode == 0, resumed.stderr
    assert counts(toy) == (GRID, 0, 0)
    again = log.read_text().splitlines()[len(started) :]
    finished = {f"{row['name']},{row['factor']},{row['seed']}" for row in saved}
    assert len(again) == GRID - len(saved)
    assert not finished & set(again)
    assert all(row in rows(toy) for row in saved)


def test_a_stopped_worker_starts_no_other_process(toy):
    worker = machine.Worker()
    job = {"name": "toy", "folder": str(toy.parent), "seed": 0, "device": "cpu"}
    job["setting"] = {"name": "a", "factor": 1}
    assert worker.ask(job)["row"]["product"] == "1"
    process = worker.process
    worker.stop()
    assert worker.ask(job) == {"error": "the command was stopped"}
    assert worker.process is process


def test_two_commands_at_a_time(filled, capsys):
    edit(filled, "range(2)", "range(3)")
    before = filled.with_suffix(".csv").read_text()
    with machine.lock(machine.load("toy", filled.parent)):
        assert command(filled.parent, "run") == 2
        assert "toy: another command is filling this table" in capsys.readouterr().err
        assert command(filled.parent, "status") == 1
    assert filled.with_suffix(".csv").read_text() == before
    with machine.lock(machine.load("toy", filled.parent)):
        pass


# Errors.


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("TOLERANCE =", "OTHER =", "toy.py: expected TOLERANCE"),
        ("def run(", "def walk(", "toy.py: expected run"),
        ("range(2)", "()", "at least one setting and one seed"),
        ('CHEAP = {"name": "a"', 'CHEAP = {"name": "c"', "expected CHEAP among SETTINGS"),
        ("(1, 0.5)", "(1, 1)", "each setting and each seed once"),
        ('"factor": factor}', '"date": factor}', r"other names in SETTINGS than \['date'\]"),
        ("SEEDS", 'SETTINGS.append({"name": "c"})\nSEEDS', "the same keys in all SETTINGS"),
        ("def run(", "def run((", "toy.py: expected Python"),
    ],
)
def test_what_an_experiment_must_have(toy, old, new, message):
    edit(toy, old, new)
    with pytest.raises(ExperimentError, match=message):
        machine.load("toy", toy.parent)


def test_figures_must_not_be_named_as_what_is_in_each_row(toy):
    edit(toy, '"nothing": ', '"seconds": ')
    experiment = machine.load("toy", toy.parent)
    with pytest.raises(ExperimentError, match=r"other names than \['seconds'\]"):
        machine.make_row(experiment, experiment.cheap, 0, "cpu")


@pytest.mark.parametrize("what", ["run", "status"])
def test_unknown_names(toy, capsys, what):
    assert command(toy.parent, what, "tiy") == 2
    assert "name: expected one of ['toy'], got 'tiy'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["walk"], ["run", "--jobs", "0"], ["run", "--device", "abacus"]]
)
def test_wrong_arguments(toy, arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        command(toy.parent, *arguments)
    assert "usage:" in capsys.readouterr().err


def test_a_gpu_that_is_not_there(toy, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert command(toy.parent, "run", "--device", "cuda") == 2
    assert "expected a GPU" in capsys.readouterr().err


def test_the_table_of_an_unknown_experiment():
    with pytest.raises(ExperimentError, match=r"name: expected one of .*, got 'nothing'"):
        table("nothing")


def test_an_experiment_without_a_table(toy, monkeypatch):
    monkeypatch.setattr("rnncourse.experiments.HERE", toy.parent)
    monkeypatch.setattr("rnncourse.experiments.names", lambda: ["toy"])
    with pytest.raises(ExperimentError, match="run `make experiments ONLY=toy`"):
        table("toy")


def test_a_table_keeps_words_and_has_nan_for_what_is_missing(filled, monkeypatch):
    monkeypatch.setattr("rnncourse.experiments.HERE", filled.parent)
    monkeypatch.setattr("rnncourse.experiments.names", lambda: ["toy"])
    found = table("toy")
    assert found["name"].tolist() == list("aaaabbbb")
    assert found["product"].tolist() == [1, 2, 0.5, 1] * 2
    assert found["nothing"].isna().all()


def test_there_are_experiments():
    assert "adding_start" in names()
