"""How often a judge reads the digit that a network was asked to draw, stroke by stroke.

scikit-learn's digits are thinned to lines, and the lines followed with a pen.

What varies
    The method: a *mixture*, a GRU whose next move comes from a mixture of ten Gaussians; a *chain*,
    which goes on as some drawing of training did after the same last moves; *copy*, a drawing of
    training. The learning rate, or the number of moves. The seed, which decides the forms.

What is held equal
    Seed s is judged by a judge, three nearest neighbors on 8 x 8 pixels, that knows only drawings
    of fold s of five of the forms; the methods learn from the other four. The network has 1000
    updates of 32 drawings, Adam, warm-up and cosine, and clipping at norm 1. 300 drawings are
    judged.

How each side is tuned
    The network has three learning rates, and the chain three lengths; ``valid``, the share
    that a second judge reads, who knows the drawings of training, says which is the best.

What this leaves open
    The order of strokes is not the writers'. Whether people like the drawings.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from rnncourse.experiments._strokes import (
    Floats,
    Pen,
    chain,
    draw,
    pack,
    paint,
    pen_digits,
    pen_loss,
)
from rnncourse.training import DivergenceError, fit

__all__ = ["CHEAP", "SEEDS", "SETTINGS", "TEMPERATURES", "folds", "painted", "run", "train"]

SETTINGS: list[dict[str, str | float]] = [
    {"method": "mixture", "knob": rate} for rate in (0.003, 0.01, 0.03)
]
SETTINGS += [{"method": "chain", "knob": order} for order in (4, 8, 16)]
SETTINGS += [{"method": "copy", "knob": 0}]
SEEDS = range(5)

CHEAP = {"method": "chain", "knob": 4}
TOLERANCE = {"parameters": 0, "read": 6, "valid": 6}

TEMPERATURES = (0.0, 0.2, 0.5, 1.0)
BATCH, UPDATES = 32, 1000
ASKED = np.arange(300) % 10


def folds(seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which drawings the methods learn from, and which the judge knows."""
    fold = (np.random.default_rng(0).permutation(14) % 5)[pen_digits().forms]
    return np.flatnonzero(fold != seed), np.flatnonzero(fold == seed)


def train(
    rate: float, seed: int, device: str = "cpu", updates: int = UPDATES, mixture: int = 10
) -> Pen:
    """Train a network on the drawings of four folds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Pen(mixture).to(device)
    known, rng, data = folds(seed)[0], np.random.default_rng([seed, 1]), pen_digits()

    def batch() -> tuple[torch.Tensor, ...]:
        rows = rng.choice(known, BATCH, replace=False)
        return tuple(t.to(device) for t in pack([data.moves[i] for i in rows], data.y[rows]))

    optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    warm = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=updates, pct_start=0.1)
    fit(
        net, pen_loss, (batch() for _ in range(updates)), optimizer,
        clip_norm=1.0, scheduler=warm, progress=False,
    )  # fmt: skip
    return net.eval()


def painted(moves: list[Floats]) -> Floats:
    """Return the pictures of drawings, ``(N, 64)``."""
    return np.stack([paint(m).ravel() for m in moves])


def run(method: str, knob: float, *, seed: int, device: str) -> dict[str, float]:
    """Judge one method.

    Returns
    -------
    figures
        ``parameters``; ``read``, the percentage of drawings that the judge reads as the digit that
        was asked for, and ``read_digit_0`` and so on, of those of one digit; ``valid``, the same
        for the second judge; ``variety``, the mean variance of pixels among pictures of one digit,
        over that of the drawings of training. Of a network, these are at temperature 0.2, and there
        are also ``read_0.5``, ``variety_0.5`` and so on for other temperatures.
    """
    data, (known, kept) = pen_digits(), folds(seed)
    pictures = painted(data.moves)
    judges = {
        name: KNeighborsClassifier(3).fit(pictures[rows], data.y[rows])
        for name, rows in (("read", kept), ("valid", known))
    }
    real = variety(pictures[known], data.y[known])
    rng = np.random.default_rng([seed, 2])

    def figures_of(moves: list[Floats], after: str = "") -> dict[str, float]:
        drawn = painted(moves)
        right = {name: judge.predict(drawn) == ASKED for name, judge in judges.items()}
        found = {f"{name}{after}": 100 * float(np.mean(r)) for name, r in right.items()}
        if not after:
            for digit in range(10):
                found[f"read_digit_{digit}"] = 100 * float(np.mean(right["read"][digit == ASKED]))
        return found | {f"variety{after}": variety(drawn, ASKED) / real}

    if method == "copy":
        rows = [rng.choice(known[data.y[known] == digit]) for digit in ASKED]
        return {"parameters": 0} | figures_of([data.moves[i] for i in rows])
    if method == "chain":
        learn = [data.moves[i] for i in known]
        return {"parameters": 0} | figures_of(chain(learn, data.y[known], ASKED, int(knob), rng))
    try:
        net: nn.Module = train(knob, seed, device).cpu()
    except DivergenceError:
        return {}
    assert isinstance(net, Pen)
    figures: dict[str, float] = {"parameters": sum(p.numel() for p in net.parameters())}
    for temperature in TEMPERATURES:
        moves = draw(net, ASKED, temperature, torch.Generator().manual_seed(seed))
        figures |= figures_of(moves, "" if temperature == 0.2 else f"_{temperature}")
    return figures


def variety(pictures: Floats, y: NDArray[np.int64]) -> float:
    """Return the mean variance of pixels among pictures of one digit."""
    return float(np.mean([pictures[y == digit].var(0).sum() for digit in range(10)]))
