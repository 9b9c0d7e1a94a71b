"""Which cell does better on which task: RNN, GRU and LSTM, equal in units or in weights.

Three tasks: the *adding* problem over 30 steps, which asks for memory; the next character of the
Python manual in windows of 32, *text*; handwritten *digits* in eight rows, which ask for hardly
any.

What varies
    The task, the cell, its units, the learning rate and the seed. For each task there are five
    networks: three with the same number of units, and a wider RNN and GRU with about as many
    weights as the LSTM.

What is held equal
    Data for the same seed, updates, Adam, clipping at norm 1, a cosine on text and digits. Each
    cell starts as suits it: orthogonal for the RNN, a bias of 1 for the gate that keeps.

How each side is tuned
    Each network has the same six learning rates, and each rate has the same five seeds. The rate is
    chosen by ``valid``, from validation data, and the comparison reads ``test``.

What this leaves open
    A few hundred updates show which network learns fast. They do not show what more would do.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.digits import digit_rows
from rnncourse.data.memory import adding
from rnncourse.data.text import Vocabulary, python_manual, split_text
from rnncourse.torch import GRU, LSTM, RNN
from rnncourse.training import DivergenceError, fit

__all__ = ["SEEDS", "SETTINGS", "UNITS", "Net", "Task", "build", "run", "task_of", "train"]

RATES = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)
UNITS = {  # of RNN, GRU and LSTM at equal size, and of RNN and GRU with as many weights as the LSTM
    "adding": {"RNN": (32, 66), "GRU": (32, 37), "LSTM": (32,)},
    "text": {"RNN": (48, 85), "GRU": (48, 55), "LSTM": (48,)},
    "digits": {"RNN": (32, 66), "GRU": (32, 37), "LSTM": (32,)},
}
SETTINGS = [
    {"task": task, "cell": cell, "units": units, "rate": rate}
    for task, cells in UNITS.items()
    for cell, sizes in cells.items()
    for units in sizes
    for rate in RATES
]
SEEDS = range(5)

CHEAP = {"task": "digits", "cell": "GRU", "units": 32, "rate": 0.02}
TOLERANCE = {"parameters": 0, "test": 1.5}

LAYERS = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}
STEPS, WINDOW = 30, 32  # of adding and of text

Batch = tuple[Tensor, Tensor]


class Net(nn.Module):
    """Embedding if there are symbols, one recurrent layer, output ``(T, B, O)``."""

    def __init__(self, cell: str, I: int, H: int, O: int, n_symbols: int = 0) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_symbols, I) if n_symbols else nn.Identity()
        self.layer, self.out = LAYERS[cell](I, H), nn.Linear(H, O)
        if cell == "RNN":
            nn.init.orthogonal_(self.layer.weight_hh_l0)
        else:  # the second block of weights is f in an LSTM and z in a GRU
            with torch.no_grad():
                self.layer.bias_ih_l0[H : 2 * H] = 1
                self.layer.bias_hh_l0[H : 2 * H] = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the output at each step."""
        out: Tensor = self.out(self.layer(self.embed(x))[0])
        return out


def at(model: nn.Module, batch: Batch) -> Batch:
    """Return the batch on the model's device."""
    device = next(model.parameters()).device
    return batch[0].to(device), batch[1].to(device)


class Task(Protocol):
    """What is to be learned; lower scores are better."""

    I: int
    O: int
    n_symbols: int
    updates: int
    decay: bool  #: whether the learning rate falls along a cosine

    def draw(self, rng: np.random.Generator) -> Batch:
        """Draw a training batch."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the loss."""

    def scores(self, model: nn.Module) -> tuple[float, float]:
        """Return the scores on validation and on test data."""


class Adding:
    """Two of 30 numbers are marked: say their sum at the end. Scored by the squared error."""

    I, O, n_symbols, updates, decay = 2, 1, 0, 400, False

    def draw(self, rng: np.random.Generator, B: int = 32) -> Batch:
        """Draw sequences ``(30, B, 2)`` and their sums ``(B,)``."""
        x, y = adding(STEPS, B, rng)
        return torch.from_numpy(x).float(), torch.from_numpy(y).float()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean squared error of what is said at the end."""
        x, y = at(model, batch)
        return F.mse_loss(model(x)[-1, :, 0], y)

    def scores(self, model: nn.Module) -> tuple[float, float]:
        """Return the mean squared error on fresh sequences, twice."""
        valid, test = (self.draw(np.random.default_rng(seed), 1000) for seed in (98, 99))
        return self.loss(model, valid).item(), self.loss(model, test).item()


class Text:
    """Predict the next character of the manual. Scored in bits per character."""

    I, n_symbols, updates, decay = 16, 0, 300, True

    def __init__(self) -> None:
        train, *others = split_text(python_manual())
        chars = Vocabulary.from_text(train)
        self.train, self.valid, self.test = (chars.encode(text) for text in (train, *others))
        self.n_symbols = self.O = len(chars)

    def draw(self, rng: np.random.Generator) -> Batch:
        """Draw windows ``(32, B)`` and what comes next."""
        return self._windows(self.train, 32, rng)

    def _windows(self, ids: np.ndarray, B: int, rng: np.random.Generator) -> Batch:
        start = rng.integers(len(ids) - WINDOW, size=B)
        window = torch.from_numpy(ids[start + np.arange(WINDOW + 1)[:, None]])
        return window[:-1], window[1:]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the cross-entropy over all steps, in nats."""
        x, y = at(model, batch)
        return F.cross_entropy(model(x).flatten(0, 1), y.flatten())

    def scores(self, model: nn.Module) -> tuple[float, float]:
        """Return the bits per character of 500 windows of each text."""
        valid, test = (
            self.loss(model, self._windows(ids, 500, np.random.default_rng(99))).item()
            for ids in (self.valid, self.test)
        )
        return valid / math.log(2), test / math.log(2)


class Digits:
    """Name the digit after its last row. Scored by the percentage of wrong answers."""

    I, O, n_symbols, updates, decay = 8, 10, 0, 300, True
    HELD_OUT = 300  # images of the training set that choose the rate

    def __init__(self) -> None:
        self.train, self.test = digit_rows(np.random.default_rng(0))

    def draw(self, rng: np.random.Generator) -> Batch:
        """Draw images ``(8, B, 8)`` and their digits."""
        rows = rng.choice(len(self.train.y) - self.HELD_OUT, 64, replace=False)
        return torch.from_numpy(self.train.x[:, rows]), torch.from_numpy(self.train.y[rows])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the cross-entropy of what is said after the last row."""
        return F.cross_entropy(model(batch[0])[-1], batch[1])

    def scores(self, model: nn.Module) -> tuple[float, float]:
        """Return the percentages of wrong answers."""
        wrong = []
        for images, digits in [
            (self.train.x[:, -self.HELD_OUT :], self.train.y[-self.HELD_OUT :]),
            (self.test.x, self.test.y),
        ]:
            x, y = at(model, (torch.from_numpy(images), torch.from_numpy(digits)))
            wrong.append(100 * (model(x)[-1].argmax(-1) != y).float().mean().item())
        return wrong[0], wrong[1]


@cache
def task_of(name: str) -> Task:
    """Return a task; its data are read once."""
    kinds: dict[str, Callable[[], Task]] = {"adding": Adding, "text": Text, "digits": Digits}
    return kinds[name]()


def build(task: Task, cell: str, units: int, seed: int) -> Net:
    """Return a network whose weights are drawn from a seed; the global generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net(cell, task.I, units, task.O, task.n_symbols)


def train(task: Task, model: nn.Module, rate: float, seed: int) -> bool:
    """Train a network, and return whether its losses and gradients stayed finite."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.updates)
    batches = (task.draw(rng) for _ in range(task.updates))
    try:
        fit(
            model,
            task.loss,
            batches,
            optimizer,
            clip_norm=1.0,
            scheduler=cosine if task.decay else None,
            progress=False,
        )
    except DivergenceError:
        return False
    return True


def run(
    task: str, cell: str, units: int, rate: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``; ``valid`` and ``test``, the scores at the end: mean squared error, bits per
        character, or the percentage of wrong answers.
    """
    what = task_of(task)
    model = build(what, cell, units, seed).to(device)
    figures: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    if train(what, model, rate, seed):
        with torch.no_grad():
            figures["valid"], figures["test"] = what.scores(model)
    return figures
