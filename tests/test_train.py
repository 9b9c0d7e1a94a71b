"""Training from the command line, in one process and in several."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch

from rnncourse import train

SMALL = ["--hidden", "24", "--embed", "8", "--batch", "4", "--length", "16", "--every", "10"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="torchrun's workers are stopped by signals")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}


@pytest.fixture
def text(tmp_path):
    """Return a file with a text that can be learned."""
    file = tmp_path / "text.txt"
    words = np.random.default_rng(0).choice(["one ", "two ", "three, ", "four\n"], size=800)
    file.write_text("".join(words), encoding="utf-8")
    return file


def arguments(text, out, *more):
    return ["--text", str(text), "--out", str(out), "--device", "cpu", *SMALL, *more]


def log(out):
    """Return the rows of a run: step, loss, validation, seconds."""
    with (out / "log.csv").open(encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def losses(out):
    return np.array([float(row[1]) for row in log(out)])


def torchrun(*arguments, restarts=0):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "--max-restarts", str(restarts), "-m", "rnncourse.train"]
    return subprocess.Popen(
        [*command, *arguments],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alone(*arguments):
    """Train in this process, and return what is printed."""
    assert train.main(arguments) == 0


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_it_learns(text, tmp_path, cell, capsys, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    alone(*arguments(text, tmp_path / "run", "--cell", cell, "--steps", "60", "--rate", "0.02"))
    found = losses(tmp_path / "run")
    assert len(found) == 60
    assert found[-5:].mean() < 0.6 * found[:5].mean()
    valid = {int(row[0]): float(row[2]) for row in log(tmp_path / "run") if row[2]}
    assert sorted(valid) == [10, 20, 30, 40, 50, 60]
    assert valid[60] < valid[10]
    printed = capsys.readouterr().out
    assert f"{valid[60] / np.log(2):.3f} bits per character" in printed
    assert "characters per second" in printed


def test_the_same_command_goes_on_to_the_same_bits(text, tmp_path, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    alone(*arguments(text, whole, "--steps", "30", "--cell", "lstm"))
    seen = 0

    def die(*_):
        nonlocal seen
        seen += 1
        if seen == 17:
            raise KeyboardInterrupt
        return compute(*_)

    compute = train.loss_of
    with monkeypatch.context() as patch:
        patch.setattr(train, "loss_of", die)
        patch.setattr(train, "validate", lambda *_: 1.0)
        assert train.main(arguments(text, cut, "--steps", "30", "--cell", "lstm")) == 130
    assert len(log(cut)) == 16
    alone(*arguments(text, cut, "--steps", "30", "--cell", "lstm"))
    assert np.array_equal(losses(whole), losses(cut))
    weights = [torch.load(out / "checkpoint.pt", weights_only=False) for out in (whole, cut)]
    for name, tensor in weights[0]["parts"]["model"].items():
        assert torch.equal(tensor, weights[1]["parts"]["model"][name])


@POSIX
def test_two_processes_have_the_loss_of_one_and_come_back_when_one_is_killed(text, tmp_path):
    given = ["--steps", "40", "--cell", "lstm"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert train.main(arguments(text, one, *given)) == 0
    run = torchrun(*arguments(text, two, *given), restarts=1)
    until = time.monotonic() + 120
    while not ((two / "log.csv").exists() and len(log(two)) >= 14):
        assert run.poll() is None, run.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.005)
    workers = [p for p in psutil.Process(run.pid).children() if "rnncourse.train" in p.cmdline()]
    assert len(workers) == 2
    workers[1].send_signal(signal.SIGKILL)
    out, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    went_on = int(re.search(r"going on after (\d+) of 40 steps", errors)[1])
    assert went_on >= 10  # the checkpoint before step 14, or a later one: at most one interval
    assert [int(row[0]) for row in log(two)] == list(range(1, 41))
    assert abs(losses(one) - losses(two)).max() < 1e-5
    valid_one, valid_two = (float(log(run)[-1][2]) for run in (one, two))
    assert abs(valid_one - valid_two) < 1e-5
    assert "per process" in out


def test_other_settings_do_not_go_on(text, tmp_path, capsys):
    alone(*arguments(text, tmp_path / "run", "--steps", "2"))
    assert train.main([*arguments(text, tmp_path / "run", "--steps", "2"), "--hidden", "25"]) == 2
    assert "--hidden: expected 24, with which" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["hidden"] == 24


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--steps", "0"], "argument --steps: expected a whole number of at least 1, got 0"),
        (["--rate", "fast"], "argument --rate: expected a positive number, got fast"),
        (["--rate", "nan"], "argument --rate: expected a positive number, got nan"),
        (["--held-out", "1"], "argument --held-out: expected a number between 0 and 1, got 1"),
        (["--cell", "rwkv"], "argument --cell: invalid choice: 'rwkv'"),
        (["--text", "nothing.txt"], "--text: expected a file, got nothing.txt"),
    ],
)
def test_bad_arguments(tmp_path, given, message, capsys):
    with pytest.raises(SystemExit) as caught:
        train.main(["--out", str(tmp_path / "run"), *given])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_help_is_for_people(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        train.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "None" not in text
    assert max(map(len, text.splitlines())) <= 85
    for action in train.parser()._actions:
        assert action.help, action
        assert action.option_strings[-1] in text
    assert "(default: 0.006)" in text
    for said in ("torchrun --nproc-per-node 2", "log.csv", "checkpoint.pt", "Ctrl-C"):
        assert said in text


def test_a_batch_that_cannot_be_shared(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(SystemExit):
        train.main(["--out", str(tmp_path / "run"), "--batch", "16"])
    assert "--batch: expected a multiple of the 3 processes, got 16" in capsys.readouterr().err


def test_a_text_that_is_too_short_says_so(tmp_path, capsys):
    (tmp_path / "short.txt").write_text("too short")
    assert train.main(arguments(tmp_path / "short.txt", tmp_path / "run", "--steps", "1")) == 2
    assert "expected at least batch_size * seq_len + 1 = 65 symbols" in capsys.readouterr().err


def test_a_state_of_two_processes_continues_in_one():
    whole = torch.arange(2 * 4 * 3.0).view(2, 4, 3)
    group = train.Group("cpu")
    for mine in (range(2), range(2, 4), range(4)):
        carried = train.Carried(group, mine)
        carried.load_state_dict({"whole": [whole, -whole]})
        assert torch.equal(carried.state[0], whole[:, mine.start : mine.stop])
    carried.gather()
    assert torch.equal(carried.state_dict()["whole"][1], -whole)
