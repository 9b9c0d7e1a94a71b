"""How well a small network draws the next frames of a film, beside methods without training.

A digit, or two, fly through a frame of 16 x 16 pixels and bounce off its edges. The first five
frames are given, and the next ten are asked for.

What varies
    The method: a *ConvLSTM*, an *LSTM* that reads a frame as a row of numbers, and six without
    training: an *empty* page, the *mean* frame of training films, *copy last*, *extrapolate pixels*
    (each pixel goes on as from the frame before), *extrapolate motion* (the shift from the frame
    before, again and again), and *physics* (fits a digit's flight, bounces included). The number of
    digits, in training and test; the number of updates; the seed.

What is held equal
    The films for the same seed; seed s tests on fold s of five of the written forms, so that no
    digit of the test is by a hand that training has seen. Both networks are trained on the errors
    of all next frames, up to the sixth after the last that is given, with Adam, warm-up and cosine,
    and clipping at norm 1.

How each side is tuned
    Each network has two learning rates; ``valid``, the error on films of training digits, chooses.
    The methods without training have nothing to choose.

What this leaves open
    The networks are small, and may still improve when training ends; *100* against *600* updates
    show how fast. They differ in size, 31 236 and 230 656 weights. The LSTM gets twice as many
    updates, which are cheap for it.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.moving_digits import moving_digits
from rnncourse.experiments._video import (
    Films,
    FlatPredictor,
    Predictor,
    by_physics,
    digits_of,
    moved,
    seen_motion,
)
from rnncourse.training import DivergenceError, fit

__all__ = [
    "BASELINES",
    "GIVEN",
    "HORIZON",
    "LEARNED",
    "SEEDS",
    "SETTINGS",
    "SIZE",
    "baseline",
    "errors",
    "held_out_films",
    "predict",
    "run",
    "train_predictor",
]  # fmt: skip

BASELINES = (
    "empty", "mean", "copy last", "extrapolate pixels", "extrapolate motion", "physics",
)  # fmt: skip
SETTINGS = [
    {"method": "ConvLSTM", "digits": 1, "rate": 0.02, "updates": 100},
    {"method": "ConvLSTM", "digits": 1, "rate": 0.02, "updates": 600},
    {"method": "LSTM", "digits": 1, "rate": 0.003, "updates": 1200},
    {"method": "LSTM", "digits": 1, "rate": 0.01, "updates": 1200},
    {"method": "ConvLSTM", "digits": 2, "rate": 0.02, "updates": 600},
    {"method": "ConvLSTM", "digits": 1, "rate": 0.01, "updates": 600},
]
SETTINGS += [
    {"method": method, "digits": digits, "rate": 0, "updates": 0}
    for method in BASELINES
    for digits in (1, 2)
]
SEEDS = range(5)

CHEAP = {"method": "ConvLSTM", "digits": 1, "rate": 0.02, "updates": 100}
TOLERANCE = {"parameters": 0, "error_1": 0.006, "error_6": 0.006}

SIZE = 16
GIVEN, LEARNED, HORIZON = 5, 6, 10
BATCH, TESTED = 16, 300


def held_out_films(seed: int, digits: int = 1, size: int = SIZE, films: int = TESTED) -> Films:
    """Return test films with the digits of a seed's fold, ``(GIVEN + HORIZON, B, size, size)``."""
    rng = np.random.default_rng([seed, 1])
    return moving_digits(digits_of(seed)[1], GIVEN + HORIZON, films, rng, size, digits).frames


def baseline(method: str, frames: Films, learn: Films) -> Films:
    """Return the next frames as a method without training has them, ``(HORIZON, B, size, size)``.

    ``frames`` are those that are given, ``learn`` films from training.
    """
    last = frames[-1]
    steps = np.arange(1, HORIZON + 1)
    if method == "physics":
        return by_physics(frames, HORIZON)
    if method == "extrapolate motion":
        down, across = seen_motion(frames[-2], last).T
        return np.stack([moved(last, h * down, h * across) for h in steps])
    if method == "extrapolate pixels":
        change = steps[:, None, None, None] * (last - frames[-2])
        return np.asarray(np.clip(last + change, 0, 1), np.float32)
    one = {"empty": np.zeros_like(last), "mean": learn.mean((0, 1)), "copy last": last}[method]
    return np.array(np.broadcast_to(one, (HORIZON, *last.shape)))


def build(method: str, seed: int) -> nn.Module:
    """Return a network whose weights are drawn from a seed; the global generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Predictor() if method == "ConvLSTM" else FlatPredictor(SIZE)


def loss(net: nn.Module, films: Tensor) -> Tensor:
    """Return the cross-entropy per pixel of frames 2, 3, …, in nats; no frame tells frame 1."""
    logits = net(films[:GIVEN], len(films) - GIVEN)
    return F.binary_cross_entropy_with_logits(logits[1:], films[2:])


def train_predictor(
    method: str, digits: int, rate: float, updates: int, seed: int, device: str = "cpu"
) -> nn.Module | None:
    """Train a network; None if a loss or gradient was not finite."""
    net, learn = build(method, seed).to(device), digits_of(seed)[0]
    rng = np.random.default_rng([seed, 0])
    batches = (
        torch.from_numpy(moving_digits(learn, GIVEN + LEARNED, BATCH, rng, SIZE, digits).frames).to(
            device
        )
        for _ in range(updates)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    warm = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=updates, pct_start=0.15)
    try:
        fit(net, loss, batches, optimizer, clip_norm=1.0, scheduler=warm, progress=False)
    except DivergenceError:
        return None
    return net.eval()


@torch.no_grad()
def predict(net: nn.Module, frames: Films, steps: int = HORIZON) -> Films:
    """Return the next frames as a network has them, ``(steps, B, height, width)``."""
    device = next(net.parameters()).device
    logits: Tensor = net(torch.from_numpy(frames).to(device), steps)
    said: Films = torch.sigmoid(logits[-steps:]).cpu().numpy()
    return said


def errors(said: Films, truth: Films) -> dict[str, float]:
    """Return the squared error per pixel, and the contrast, by horizon.

    The contrast is the sum of squares over that of the truth: below 1 if ink is smeared.
    """
    figures = {}
    for h in range(len(truth)):
        figures[f"error_{h + 1}"] = float(np.mean((said[h] - truth[h]) ** 2))
        figures[f"contrast_{h + 1}"] = float(np.sum(said[h] ** 2) / np.sum(truth[h] ** 2))
    return figures


def run(
    method: str, digits: int, rate: float, updates: int, *, seed: int, device: str
) -> dict[str, float]:
    """Judge one method.

    Returns
    -------
    figures
        ``parameters``; ``error_1`` and ``contrast_1`` to ``_10``, as in :func:`errors`. Of networks
        also ``valid``, the mean error of six frames of training digits; ``told_6`` and ``told_10``,
        the error of that frame if all frames before are the true ones. Of the ConvLSTM also
        ``wide_1`` and so on, the error in frames of 24 x 24 pixels, and ``two_1`` and so on, that
        with two digits.
    """
    films = held_out_films(seed, digits)
    frames, truth = films[:GIVEN], films[GIVEN:]
    if method in BASELINES:
        rng = np.random.default_rng([seed, 2])
        learn = moving_digits(digits_of(seed)[0], GIVEN + HORIZON, 500, rng, SIZE, digits)
        return {"parameters": 0} | errors(baseline(method, frames, learn.frames), truth)
    net = train_predictor(method, digits, rate, updates, seed, device)
    if net is None:
        return {}
    figures: dict[str, float] = {"parameters": sum(p.numel() for p in net.parameters())}
    figures |= errors(predict(net, frames), truth)
    rng = np.random.default_rng([seed, 3])
    valid = moving_digits(digits_of(seed)[0], GIVEN + LEARNED, TESTED, rng, SIZE, digits).frames
    figures["valid"] = float(np.mean((predict(net, valid[:GIVEN], LEARNED) - valid[GIVEN:]) ** 2))
    for h in (6, 10):
        told = predict(net, films[: GIVEN + h - 1], 1)
        figures[f"told_{h}"] = errors(told, films[GIVEN + h - 1 :][:1])["error_1"]
    if method == "ConvLSTM":
        for name, other in (
            ("wide", held_out_films(seed, digits, 24)),
            ("two", held_out_films(seed, 2)),
        ):
            there = errors(predict(net, other[:GIVEN]), other[GIVEN:])
            figures |= {f"{name}_{h}": there[f"error_{h}"] for h in (1, 3, 6, 10)}
    return figures
