"""Which initialization of the recurrent weights learns the adding problem, and at which length.

The adding problem marks two numbers of a sequence and asks for their sum at the end. The first
mark is in the first half, so the network must keep a number for at least half the length.

What varies
    The initialization (``start``) of the recurrent weights, the length of the sequence, the
    learning rate and the seed. Four starts are the usual ones: PyTorch's default, Xavier's, a
    random orthogonal matrix, and the identity with ReLU. Three are controls, and each differs from
    a usual start in one factor. ``orthogonal x 0.58`` and ``identity x 0.58`` multiply the
    recurrent matrix by 0.58, the spectral radius of PyTorch's default, so that the gradient fades.
    ``identity, tanh`` has tanh in place of ReLU. The controls run only at the lengths at which they
    decide something.

What is held equal
    The task, 32 units, batches of 32 sequences, Adam, clipping at norm 1, the largest number of
    updates and, for the same seed, the training sequences.

How each side is tuned
    Each start has the same three learning rates at each length, and each rate has the same five
    seeds. All of these runs are in the table, so whoever picks the best rate does it in the open.

When a run ends
    As soon as its error on fresh sequences is below 1/24, a quarter of the baseline and half the
    error of remembering the second number alone; or after 2000 updates. A run without
    ``learned_at`` has not learned within these 2000, which says nothing about more.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from rnncourse.data.memory import adding
from rnncourse.torch import RNN
from rnncourse.training import DivergenceError, fit

STARTS = ("PyTorch", "Xavier", "orthogonal", "identity")
CONTROLS = ("orthogonal x 0.58", "identity x 0.58", "identity, tanh")
RATES = (0.001, 0.003, 0.01)
SETTINGS = [
    {"start": start, "length": length, "rate": rate}
    for starts, lengths in [
        (STARTS, (40, 20, 10)),
        (("identity x 0.58",), (40,)),
        (CONTROLS, (20,)),
    ]
    for length in lengths
    for start in starts
    for rate in RATES
]
SEEDS = range(5)

CHEAP = {"start": "identity", "length": 10, "rate": 0.003}
TOLERANCE = {"learned_at": 100, "error": 0.02, "reach_start": 0.01}

UNITS = 32
BATCH = 32
MOST_UPDATES = 2000
CHECK_EVERY = 50  # updates
LEARNED = 1 / 24  # mean squared error; always saying 1 has 1/6
SHRUNK = 0.58

Batch = tuple[Tensor, Tensor]


class Adder(nn.Module):
    """Read numbers and marks ``(T, B, 2)``, return the sum ``(B,)``."""

    def __init__(self, nonlinearity: str) -> None:
        super().__init__()
        self.rnn = RNN(2, UNITS, nonlinearity=nonlinearity)
        self.out = nn.Linear(UNITS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Look only at the last state."""
        sums: Tensor = self.out(self.rnn(x)[0][-1])[:, 0]
        return sums


def build(start: str, seed: int) -> Adder:
    """Return a network with the given start of its recurrent weights."""
    name, _, change = start.replace(",", "").replace(" x", "").partition(" ")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Adder("relu" if name == "identity" and change != "tanh" else "tanh")
        weights = dict(model.rnn.named_parameters())
        recurrent = weights["weight_hh_l0"]
        if name != "PyTorch":
            fill = {
                "Xavier": nn.init.xavier_uniform_,
                "orthogonal": nn.init.orthogonal_,
                "identity": nn.init.eye_,
            }[name]
            fill(recurrent)
            nn.init.zeros_(weights["bias_ih_l0"])
            nn.init.zeros_(weights["bias_hh_l0"])
        if name == "identity":
            nn.init.normal_(weights["weight_ih_l0"], std=0.1)  # small, since nothing fades
        if change == "0.58":
            with torch.no_grad():
                recurrent.mul_(SHRUNK)
    return model


def draw(length: int, size: int, rng: np.random.Generator, device: str) -> Batch:
    """Return sequences ``(T, B, 2)`` and their sums ``(B,)``."""
    x, y = adding(length, size, rng)
    return (
        torch.from_numpy(x).to(device, torch.float32),
        torch.from_numpy(y).to(device, torch.float32),
    )


def squared_error(model: Adder, batch: Batch) -> Tensor:
    """Return the mean squared error."""
    x, y = batch
    error: Tensor = (model(x) - y).square().mean()
    return error


def reach(model: Adder, batch: Batch) -> float:
    """Return how much the first marked number moves the output, relative to the second.

    Both are mean sizes of the derivative of the output with respect to a number. A network that
    adds has 1, and one to which no gradient comes back has 0.
    """
    x = batch[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).sum(), x)
    numbers, marks = gradient[..., 0].abs(), batch[0][..., 1]  # (T, B)
    half = len(x) // 2  # one mark is in each half
    first, second = (marks[part] * numbers[part] for part in (slice(half), slice(half, None)))
    return (first.sum() / second.sum()).item()


def run(start: str, length: int, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``learned_at``, the updates until the error was below 1/24, NaN if that did not happen;
        ``error``, the mean squared error on 2000 fresh sequences at the end; ``updates``, how
        many were done; ``reach_start`` and ``reach_end``, :func:`reach` before and after.
    """
    model = build(start, seed).to(device)
    rng = np.random.default_rng(seed)
    fresh = draw(length, 2000, np.random.default_rng(1000 + seed), device)
    figures = {"learned_at": math.nan, "error": math.nan, "updates": math.nan}
    figures["reach_start"] = reach(model, fresh)

    def check(step: int, loss: float) -> bool:
        figures["updates"] = step + 1
        if (step + 1) % CHECK_EVERY:
            return False
        with torch.no_grad():
            figures["error"] = squared_error(model, fresh).item()
        if figures["error"] < LEARNED:
            figures["learned_at"] = step + 1
        return figures["error"] < LEARNED

    batches = (draw(length, BATCH, rng, device) for _ in range(MOST_UPDATES))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    try:
        fit(model, squared_error, batches, optimizer, clip_norm=1.0, on_step=check, progress=False)
    except DivergenceError:
        figures["error"] = math.nan
    figures["reach_end"] = reach(model, fresh)
    return figures
