"""What a network needs to see of a film in order to tell how its digit moves.

A digit moves 1 or 2 pixels per frame downward or upward, and 1 or 2 to the side: four kinds of
films. Where the digit is in any one frame says nothing about the kind, see :func:`motion_films`.

What varies
    The model: a *ConvLSTM*, *logistic* regression on all pixels of the film, and *rules*, the shift
    between the last two frames. What of the film is shown: *one frame* of the six, drawn for each
    film; the first *two frames*; *six frames*; six *shuffled* ones, in an order drawn for each
    film, in training and in the test. The seed.

What is held equal
    The test films; seed s tests on digits of fold s of five of the forms. The network has Adam,
    300 updates of 32 fresh films, warm-up and cosine, and clipping at norm 1. Logistic regression
    learns from as many films, 4000, as a table of pixels allows in a few seconds.

How each side is tuned
    The network not at all, since it makes few mistakes. Logistic regression chooses the strength of
    its penalty among three, on 1000 films of their own.

What this leaves open
    Other kinds of motion, and films with noise.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.digits import Digits
from rnncourse.data.moving_digits import moving_digits
from rnncourse.experiments._video import DIGIT, Films, MotionReader, digits_of, seen_motion
from rnncourse.training import DivergenceError, fit

__all__ = ["KINDS", "SEEDS", "SETTINGS", "by_rules", "motion_films", "run", "show", "train_reader"]

KINDS = ("slow", "flat", "steep", "fast")  # speed down and to the side: 1 1, 1 2, 2 1, 2 2
SHOWN = ("one frame", "two frames", "six frames", "six shuffled")
SETTINGS = [{"model": "ConvLSTM", "shown": shown} for shown in SHOWN]
SETTINGS += [{"model": "logistic", "shown": shown} for shown in ("one frame", "six frames")]
SETTINGS += [{"model": "rules", "shown": "two frames"}]
SEEDS = range(5)

CHEAP = {"model": "ConvLSTM", "shown": "two frames"}
TOLERANCE = {"parameters": 0, "right": 5}

SIZE, T = 16, 6
BATCH, UPDATES, RATE, TESTED = 32, 300, 0.01, 1000
PENALTIES = (0.01, 0.1, 1)

Labels = NDArray[np.int64]


def motion_films(digits: Digits, B: int, rng: np.random.Generator) -> tuple[Films, Labels]:
    """Return films and their kinds, 0 to 3, ``(T, B, size, size)`` and ``(B,)``.

    A digit at an edge has one way to go, and others have two. So of films that start at an edge,
    half are left out, for each edge: then all places are equally likely in every frame, at each
    speed.
    """
    films = moving_digits(digits, T, 2 * B + 40, rng, SIZE)
    start = films.start[:, 0]  # (B, 2)
    edges = ((start == 0) | (start == SIZE - DIGIT)).sum(1)
    kept = np.flatnonzero(rng.random(len(edges)) < 0.5**edges)[:B]
    if len(kept) < B:
        raise RuntimeError(f"expected {B} films to be left, got {len(kept)}")
    speed = np.abs(films.velocity[kept, 0])
    return films.frames[:, kept], 2 * (speed[:, 0] - 1) + speed[:, 1] - 1


def show(films: Films, shown: str, rng: np.random.Generator) -> Films:
    """Return what of the films is shown."""
    B = films.shape[1]
    if shown == "one frame":
        return np.asarray(films[rng.integers(len(films), size=B), np.arange(B)][None])
    if shown == "two frames":
        return films[:2]
    if shown == "six shuffled":
        order = rng.permuted(np.tile(np.arange(len(films))[:, None], (1, B)), axis=0)
        return np.asarray(films[order, np.arange(B)])
    return films


def by_rules(films: Films) -> Labels:
    """Return the kinds by the shift between the last two frames: 1 is slow, and 0 or 2 is fast.

    At speed 2, a digit that turns one pixel from the edge is in the same place a frame later.
    """
    fast = np.abs(seen_motion(films[-2], films[-1])) != 1
    return np.asarray(2 * fast[:, 0] + fast[:, 1], np.int64)


def train_reader(shown: str, seed: int, device: str = "cpu") -> MotionReader | None:
    """Train a network; None if a loss or gradient was not finite."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = MotionReader().to(device)
    learn, rng = digits_of(seed)[0], np.random.default_rng([seed, 0])

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            films, kinds = motion_films(learn, BATCH, rng)
            part = torch.from_numpy(np.ascontiguousarray(show(films, shown, rng)))
            yield part.to(device), torch.from_numpy(kinds).to(device)

    def loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(net(batch[0])[-1], batch[1])

    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    warm = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=UPDATES, pct_start=0.15)
    try:
        fit(
            net, loss, islice(batches(), UPDATES), optimizer,
            clip_norm=1.0, scheduler=warm, progress=False,
        )  # fmt: skip
    except DivergenceError:
        return None
    return net.eval()


def _logistic(shown: str, seed: int, test: Films) -> Labels:
    """Fit on as many films as the network has seen in 125 updates, and say the kinds of others."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng([seed, 2])
    parts = []
    for B in (4000, 1000):
        films, kinds = motion_films(digits_of(seed)[0], B, rng)
        parts.append((show(films, shown, rng), kinds))
    (x, y), (vx, vy) = ((_flat(films), kinds) for films, kinds in parts)
    fits = [LogisticRegression(C=C, max_iter=300).fit(x, y) for C in PENALTIES]
    best = max(fits, key=lambda model: model.score(vx, vy))
    return np.asarray(best.predict(_flat(test)))


def _flat(films: Films) -> NDArray[np.float32]:
    return films.transpose(1, 0, 2, 3).reshape(films.shape[1], -1)


def run(model: str, shown: str, *, seed: int, device: str) -> dict[str, float]:
    """Judge one model.

    Returns
    -------
    figures
        ``parameters``; ``right``, the percentage of test films whose kind is right. Of the network
        that reads six frames also ``right_1`` to ``right_6``, after so many of them, and
        ``shuffled``, when the frames of the test come in another order.
    """
    rng = np.random.default_rng([seed, 1])
    films, kinds = motion_films(digits_of(seed)[1], TESTED, rng)
    seen = show(films, shown, rng)

    def right(said: Labels) -> float:
        return 100 * float(np.mean(said == kinds))

    if model == "rules":
        return {"parameters": 0, "right": right(by_rules(seen))}
    if model == "logistic":
        return {
            "parameters": 4 * (_flat(seen).shape[1] + 1),
            "right": right(_logistic(shown, seed, seen)),
        }
    net = train_reader(shown, seed, device)
    if net is None:
        return {}

    @torch.no_grad()
    def kinds_of(part: Films) -> Labels:
        scores: Tensor = net(torch.from_numpy(np.ascontiguousarray(part)).to(device))
        return scores.argmax(-1).cpu().numpy()

    said = kinds_of(seen)  # (T, B)
    figures: dict[str, float] = {
        "parameters": sum(p.numel() for p in net.parameters()), "right": right(said[-1]),
    }  # fmt: skip
    if shown == "six frames":
        figures |= {f"right_{t + 1}": right(said[t]) for t in range(T)}
        figures["shuffled"] = right(kinds_of(show(films, "six shuffled", rng))[-1])
    return figures
