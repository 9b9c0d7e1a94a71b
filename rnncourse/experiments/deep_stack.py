"""What lets a stack of 16 recurrent layers learn what one layer learns in a moment.

The task is the echo with delay 3, which needs no depth at all, so whatever is lost is lost to the
depth. Guessing has a loss of log 4, about 1.39 nats.

What varies
    The stack (``kind``), its depth, the learning rate and the seed. ``plain`` puts tanh layers on
    top of each other as PyTorch initializes them. ``plain, orthogonal`` is the control: it differs
    in the start of the input weights alone, which are random orthogonal matrices, so that a vector
    neither shrinks nor grows on its way up. ``norm`` has layer normalization in front of each
    layer, ``residual`` adds the input of each layer to its output, ``residual + norm`` does both.

What is held equal
    32 units, a linear layer below the stack and one above it, batches of 32 fresh sequences of 12
    steps, Adam, clipping at norm 1, the largest number of updates and, for the same seed, the
    sequences.

How each side is tuned
    Each kind has the same four learning rates at each depth, and each rate has the same five seeds.
    All of these runs are in the table.

When a run ends
    As soon as the loss of a batch, taken before its update, is below 0.1 nats; or after 1200
    updates. A run without ``learned_at`` has not learned within these 1200, which says nothing
    about more; ``loss_400``, ``loss_800`` and ``loss_1200`` tell whether its curve still falls.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.memory import delayed_echo
from rnncourse.torch import RNN
from rnncourse.training import DivergenceError, fit

KINDS = ("plain", "plain, orthogonal", "norm", "residual", "residual + norm")
DEPTHS = (1, 4, 16)
RATES = (0.0003, 0.001, 0.003, 0.01)
SETTINGS = [
    {"kind": kind, "depth": depth, "rate": rate}
    for depth in DEPTHS
    for kind in KINDS
    for rate in RATES
]
SEEDS = range(5)

CHEAP = {"kind": "residual", "depth": 4, "rate": 0.003}
TOLERANCE = {"learned_at": 25, "gradient_start": 0.01, "signal_start": 0.02}

UNITS, SYMBOLS, STEPS, DELAY, BATCH = 32, 4, 12, 3, 32
MOST_UPDATES = 1200
LEARNED = 0.1  # nats

Batch = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]


class Deep(nn.Module):
    """A stack of tanh layers with or without what keeps it trainable."""

    def __init__(self, depth: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.enter = nn.Linear(SYMBOLS, UNITS)
        self.layers = nn.ModuleList(RNN(UNITS, UNITS) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(UNITS) for _ in range(depth + 1))
        self.out = nn.Linear(UNITS, SYMBOLS)
        if kind == "plain, orthogonal":
            for layer in self.layers:
                nn.init.orthogonal_(layer.get_parameter("weight_ih_l0"))

    def states(self, x: Tensor) -> Tensor:
        """Return what leaves the top of the stack, ``(T, B, H)``."""
        h = self.enter(x)
        for layer, norm in zip(self.layers, self.norms, strict=False):
            up = layer(norm(h) if "norm" in self.kind else h)[0]
            h = h + up if "residual" in self.kind else up
        top: Tensor = self.norms[-1](h) if "norm" in self.kind else h
        return top

    def forward(self, x: Tensor) -> Tensor:
        """Return scores ``(T, B, 4)`` for inputs ``(T, B, 4)``."""
        scores: Tensor = self.out(self.states(x))
        return scores


def build(depth: int, kind: str, seed: int) -> Deep:
    """Return a new stack."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Deep(depth, kind)


def echo(rng: np.random.Generator, size: int = BATCH) -> Batch:
    """Return symbols, what to say, and where something is to be said, each ``(T, B)``."""
    return delayed_echo(STEPS, size, DELAY, rng, n_symbols=SYMBOLS)


def cross_entropy(model: Deep, batch: Batch) -> Tensor:
    """Return the mean loss in nats."""
    device = model.out.weight.device
    symbols, y, mask = (torch.from_numpy(a).to(device) for a in batch)
    return F.cross_entropy(model(F.one_hot(symbols, SYMBOLS).float())[mask], y[mask])


def first_gradient(model: Deep, batch: Batch) -> float:
    """Return the norm of the gradient with respect to the first layer's input weights."""
    weight = model.layers[0].get_parameter("weight_ih_l0")
    (gradient,) = torch.autograd.grad(cross_entropy(model, batch), weight)
    return float(gradient.norm())


def signal(model: Deep, batch: Batch) -> float:
    """Return how much a state at the top differs between sequences: the spread of a unit.

    It is the standard deviation over the sequences, averaged over steps and units.
    """
    symbols = torch.from_numpy(batch[0]).to(model.out.weight.device)
    with torch.no_grad():
        top = model.states(F.one_hot(symbols, SYMBOLS).float())  # (T, B, H)
    return float(top.std(1).mean())


def run(kind: str, depth: int, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one stack.

    Returns
    -------
    figures
        ``learned_at``, the number of updates until a batch had a loss below 0.1 nats, NaN if that
        did not happen; ``loss_400``, ``loss_800`` and ``loss_1200``, means over the 50 updates
        before, NaN after the end of the run; ``gradient_start`` and ``signal_start``, both before
        training, by :func:`first_gradient` and :func:`signal`.
    """
    model = build(depth, kind, seed).to(device)
    fresh = echo(np.random.default_rng(1000 + seed), 200)
    figures = {
        "learned_at": math.nan,
        "gradient_start": first_gradient(model, fresh),
        "signal_start": signal(model, fresh),
    }
    rng = np.random.default_rng(seed)
    batches = (echo(rng) for _ in range(MOST_UPDATES))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    try:
        history = fit(
            model,
            cross_entropy,
            batches,
            optimizer,
            clip_norm=1.0,
            on_step=lambda _, loss: loss < LEARNED,
            progress=False,
        )
    except DivergenceError as error:
        history = error.history
    losses = history.losses
    if losses[-1] < LEARNED:
        figures["learned_at"] = len(losses) - 1  # updates before this loss
    for n in (400, 800, 1200):
        figures[f"loss_{n}"] = losses[n - 50 : n].mean() if len(losses) >= n else math.nan
    return figures
