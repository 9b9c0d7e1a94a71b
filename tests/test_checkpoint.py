"""The file is also a program: ``python test_checkpoint.py FOLDER DIE_AT DIE_IN_WRITE``."""

import copy
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rnncourse.checkpoint import Checkpoint
from rnncourse.training import EarlyStopping, evaluate, fit

STEPS = 24
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # which on Windows ends a process at once


class Net(nn.Module):
    """Recurrent, with dropout, which draws from PyTorch's own random numbers."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 4, num_layers=2, dropout=0.3)
        self.readout = nn.Linear(4, 1)

    def forward(self, x):
        return self.readout(self.rnn(x)[0][-1])


def mse(model, batch):
    return (model(batch) - batch.sum(0)[:, :1]).square().mean()


def epochs(generator):
    """Batches in another order each time, so that the place in an epoch counts."""
    x = torch.linspace(-1, 1, 8 * 5 * 3).view(8, 5, 1, 3)
    while True:
        for i in torch.randperm(8, generator=generator).tolist():
            yield x[i]


def train(folder, die_at=-1):
    """Train from the start, or from where the checkpoint in the folder is."""
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=STEPS)
    noise, more_noise = torch.Generator().manual_seed(1), np.random.default_rng(2)
    held_out = torch.linspace(1, -1, 30).view(5, 2, 3)
    stop = EarlyStopping(model, lambda: evaluate(model, mse, [held_out]), every=4, patience=99)

    def loss(model, x):
        x = x + 0.1 * torch.randn(x.shape, generator=noise) + 0.1 * more_noise.normal()
        return mse(model, x.float())

    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "stop": stop}
    checkpoint = Checkpoint(
        Path(folder) / "run.pt", every=5, **parts, noise=noise, more_noise=more_noise
    )
    history = checkpoint.load()
    began = len(history)

    def on_step(step, value):
        if step == die_at:
            os.kill(os.getpid(), KILL)
        return stop(step, value) or checkpoint(step, value)

    batches = epochs(torch.Generator().manual_seed(3))
    fit(
        model,
        loss,
        itertools.islice(batches, began, STEPS),
        optimizer,
        clip_norm=1.0,
        scheduler=scheduler,
        on_step=on_step,
        history=history,
        progress=False,
    )
    return began, {
        "model": model.state_dict(),
        "best": stop.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rate": scheduler.get_last_lr(),
        "losses": torch.from_numpy(history.losses),
        "norms": torch.from_numpy(history.parameter_norms),
        "random": [torch.rand(3), torch.rand(3, generator=noise), more_noise.random()],
    }


def assert_same_bits(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same_bits(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same_bits(x, y)
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert a.equal(b)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


def test_after_kills_training_ends_with_the_same_bits(tmp_path):
    def run(die_at, die_in_write):
        code = subprocess.run(
            [sys.executable, __file__, str(tmp_path / "killed"), str(die_at), str(die_in_write)],
            timeout=120,
        ).returncode
        assert abs(code) == KILL  # negative where it is a signal

    file = tmp_path / "killed" / "run.pt"
    run(die_at=7, die_in_write=99)
    first = file.read_bytes()
    run(die_at=99, die_in_write=2)  # the first write is that of step 10
    assert file.read_bytes() != first
    assert file.with_name("run.pt.new").exists()

    began, resumed = train(tmp_path / "killed")
    assert began == 10
    began, whole = train(tmp_path / "whole")
    assert began == 0
    assert len(whole["losses"]) == STEPS
    assert_same_bits(resumed, whole)
    assert not file.with_name("run.pt.new").exists()


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
        ),
    ],
)
def test_a_generator_that_makes_the_batches_can_be_a_part(tmp_path, device):
    def run(path, *stops):
        for steps in stops:
            torch.manual_seed(0)
            model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 1)).to(device)
            chance = torch.Generator(device).manual_seed(0)
            optimizer = torch.optim.Adam(model.parameters(), 0.1)
            checkpoint = Checkpoint(path, every=2, model=model, optimizer=optimizer, chance=chance)
            history = checkpoint.load()
            endless = (
                torch.randn(5, 1, 3, generator=chance, device=device) for _ in itertools.count()
            )
            batches = itertools.islice(endless, steps - len(history))
            fit(model, mse, batches, optimizer, history=history, on_step=checkpoint)
        return model.state_dict()

    assert_same_bits(run(tmp_path / "a", 8), run(tmp_path / "b", 3, 5, 8))


@pytest.mark.parametrize("by_generator", [False, True])
def test_where_a_step_takes_two_batches_it_resumes_at_the_right_one(tmp_path, by_generator):
    """By the two ways of the docstring: skip batches, or keep the generator that makes them."""

    def run(path, *stops):
        for steps in stops:
            torch.manual_seed(0)
            model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 1))
            chance = torch.Generator().manual_seed(0)
            optimizer = torch.optim.Adam(model.parameters(), 0.1)
            parts = {"model": model, "optimizer": optimizer}
            parts |= {"chance": chance} if by_generator else {}
            checkpoint = Checkpoint(path, every=2, **parts)
            history = checkpoint.load()
            endless = (torch.randn(5, 1, 3, generator=chance) for _ in itertools.count())
            done = 0 if by_generator else len(history) * 2
            taken = (steps - len(history)) * 2
            fit(
                model,
                mse,
                itertools.islice(endless, done, done + taken),
                optimizer,
                accumulate=2,
                history=history,
                on_step=checkpoint,
            )
        return {"model": model.state_dict(), "losses": history.losses}

    assert_same_bits(run(tmp_path / "a", 8), run(tmp_path / "b", 3, 5, 8))


def test_the_file_does_not_depend_on_the_default_device(tmp_path):
    model = nn.Linear(1, 1)
    with torch.device("meta"):
        checkpoint = Checkpoint(tmp_path / "run.pt", every=1, model=model)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        batch = torch.ones(1, 1, device="cpu")
        fit(
            model,
            lambda m, x: m(x).square().sum(),
            [batch],
            optimizer,
            history=checkpoint.load(),
            on_step=checkpoint,
        )
        history = Checkpoint(tmp_path / "run.pt", every=1, model=model).load()
    assert len(history) == 1
    assert np.isfinite(history.losses).all()


def test_no_file_is_a_start_and_folders_are_made(tmp_path):
    checkpoint = Checkpoint(tmp_path / "a" / "b" / "run.pt", every=1, model=nn.Linear(1, 1))
    assert len(checkpoint.load()) == 0
    checkpoint.save()
    assert len(checkpoint.load()) == 0


def test_random_numbers_of_the_devices_that_are_there_go_on(tmp_path, monkeypatch):
    checkpoint, found = Checkpoint(tmp_path / "run.pt", every=1), []
    drawn = [torch.tensor([i], dtype=torch.uint8) for i in range(3)]
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: drawn)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", found.extend)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)  # one fewer than where it was saved
    checkpoint.save()
    checkpoint.load()
    assert found == drawn[:2]


class Kept:
    """A part that consists of one value."""

    def __init__(self, value):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


@pytest.mark.parametrize(
    "value",
    [
        np.geomspace(1e-4, 1e-2, 3)[1],
        np.float32(0.1),
        np.int64(3),
        np.bool_(True),
        np.arange(6).reshape(2, 3).T,
        [np.zeros(2), {"rate": np.float16(0.5)}],
        np.random.MT19937(0).state,
        torch.arange(6.0).view(2, 3).t(),
        ("text", 1 + 2j, None, b"bytes", 2**80),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_was_saved_is_loaded_again(tmp_path, value):
    Checkpoint(tmp_path / "run.pt", every=1, kept=Kept(value)).save()
    other = Kept(None)
    Checkpoint(tmp_path / "run.pt", every=1, kept=other).load()
    assert_same_bits(other.value, value)


def test_a_learning_rate_that_numpy_made(tmp_path):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=np.geomspace(1e-4, 1e-2, 3)[1])
    Checkpoint(tmp_path / "run.pt", every=1, model=model, optimizer=optimizer).save()
    other = torch.optim.Adam(model.parameters())
    Checkpoint(tmp_path / "run.pt", every=1, model=model, optimizer=other).load()
    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


def test_any_generator_of_numpy_goes_on_where_it_was(tmp_path):
    for kind in (np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64):
        generator, other = (np.random.Generator(kind(seed)) for seed in (0, 1))
        generator.random(5)
        Checkpoint(tmp_path / "run.pt", every=1, noise=generator).save()
        Checkpoint(tmp_path / "run.pt", every=1, noise=other).load()
        assert other.random() == generator.random()


@pytest.mark.parametrize(
    "value",
    [Path("x"), lambda: 0, np.array([{}]), range(3)],
    ids=lambda value: type(value).__name__,
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, value):
    part = Kept(1.0)
    checkpoint = Checkpoint(tmp_path / "run.pt", every=1, model=nn.Linear(1, 1), kept=part)
    checkpoint.save()
    part.value = value
    with pytest.raises(TypeError, match="kept: expected a state of tensors"):
        checkpoint.save()
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    checkpoint.load()
    assert part.value == 1.0


class Spoils:
    """Runs a command where it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_file_never_runs_code(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.pt", every=1, kept=Kept(1.0))
    checkpoint.save()
    content = torch.load(checkpoint.path)
    content["parts"]["kept"]["value"] = Spoils(tmp_path / "ran")
    torch.save(content, checkpoint.path)
    with pytest.raises(ValueError, match="path: expected a checkpoint"):
        checkpoint.load()
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_keeps_its_own_message(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "run.pt", every=1, kept=Kept(1.0))

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", {"weights": 1}, [1], {"parts": 3}])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "run.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=r"path: expected a checkpoint, got .*run\.pt"):
        Checkpoint(path, every=1).load()


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    model = nn.Linear(3, 4)
    checkpoint = Checkpoint(path, every=1, model=model)
    checkpoint.save()
    whole = path.read_bytes()
    for n in range(0, len(whole), 40):
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"path: expected a checkpoint, got .*run\.pt"):
            checkpoint.load()
    with pytest.raises(IsADirectoryError):
        Checkpoint(tmp_path, every=1).load()


def parts(n, more=0):
    """A model with n inputs, and an optimizer that also holds so many other parameters."""
    model = nn.Linear(n, 4)
    others = [nn.Parameter(torch.ones(1)) for _ in range(more)]
    chance = np.random.default_rng(n)
    optimizer = torch.optim.Adam([*model.parameters(), *others])
    return {"chance": chance, "model": model, "optimizer": optimizer}


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (parts(5), "a checkpoint of these parts"),
        (parts(3, more=1), "a checkpoint of these parts"),
        (parts(3) | {"chance": torch.Generator()}, "a checkpoint of these parts"),
        (parts(3) | {"more": nn.Linear(1, 1)}, "the parts"),
    ],
)
def test_parts_that_do_not_fit_are_left_as_they_were(tmp_path, own, message):
    Checkpoint(tmp_path / "run.pt", every=1, **parts(3)).save()
    checkpoint = Checkpoint(tmp_path / "run.pt", every=1, **own)
    states = [p.state_dict for p in own.values() if hasattr(p, "state_dict")]
    before = copy.deepcopy([state() for state in states])
    chance, random = copy.deepcopy(own["chance"]), torch.get_rng_state()
    with pytest.raises(ValueError, match=f"path: expected {message}"):
        checkpoint.load()
    assert_same_bits([state() for state in states], before)
    if isinstance(chance, np.random.Generator):
        assert own["chance"].bit_generator.state == chance.bit_generator.state
    assert torch.get_rng_state().equal(random)


@pytest.mark.parametrize("key", ["names", "rows", "random", "random_cuda"])
def test_a_file_without_a_key_leaves_the_parts_as_they_were(tmp_path, key):
    path = tmp_path / "run.pt"
    Checkpoint(path, every=1, model=nn.Linear(3, 4)).save()
    content = torch.load(path)
    del content[key]
    torch.save(content, path)
    model = nn.Linear(3, 4)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="path: expected a checkpoint, got"):
        Checkpoint(path, every=1, model=model).load()
    assert_same_bits(model.state_dict(), before)


def test_bad_use_is_refused(tmp_path):
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="every: expected at least 1, got 0"):
        Checkpoint(tmp_path / "run.pt", every=0)
    with pytest.raises(TypeError, match="seed: expected state_dict and load_state_dict"):
        Checkpoint(tmp_path / "run.pt", every=1, seed=3)
    checkpoint = Checkpoint(tmp_path / "run.pt", every=1, model=model)
    checkpoint.save()
    with pytest.raises(ValueError, match=r"path: expected the parts \['net'\], got \['model'\]"):
        Checkpoint(tmp_path / "run.pt", every=1, net=model).load()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(ValueError, match=r"expected fit\(history=checkpoint.load\(\)\)"):
        fit(model, mse, [torch.ones(2, 1, 1)], optimizer, on_step=checkpoint)


if __name__ == "__main__":
    folder, die_at, die_in_write = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    save, writes = torch.save, itertools.count(1)

    def save_or_die(content, file):
        if next(writes) == die_in_write:
            file.write(b"half a file")
            file.flush()
            os.kill(os.getpid(), KILL)
        save(content, file)

    torch.save = save_or_die
    train(folder, die_at)
