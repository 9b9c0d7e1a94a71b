"""Which networks can track a lamp, and whether the sign of the transition is the reason.

The lamp is the task *parity*: bits come in, and at each step the network says whether the number
of ones so far is odd. Networks train on 16 bits and are tested on up to 256, so that a rule can be
told from cases known by heart. A lamp with three colors, of which each one brings the next, is
the same task modulo 3.

What varies
    The mixer, the number of colors, the learning rate and the seed.

    - ``minGRU`` and ``signed minGRU`` differ in one thing. The first multiplies its state by
      ``1 - z``, between 0 and 1. The second multiplies it by ``1 - 2 z``, between -1 and 1. They
      have the same weights, and neither looks at its state when it chooses the factor.
    - LSTM and GRU look at their state.
    - Attention has rotary positions, or none. The second is the control for the first: rotary
      positions alone could be what fails at lengths never seen.

What is held equal
    The frame of two blocks (:mod:`rnncourse.experiments._frame`), about 12,000 parameters, batches
    of 64 sequences of 16 bits, the same for the same seed, 2000 updates with Adam, warm-up,
    cosine and clipping.

How each side is tuned
    Each has the same three learning rates, and each rate has the same five seeds.

Two controls
    After training the signs are taken from a signed minGRU: its factors are replaced by their
    absolute values, and nothing else changes (``unsigned_16``). If the sign is the reason, that
    accuracy is chance. The factors of both are real numbers, which can flip but not turn. So if
    the explanation by the transition is right, signed minGRU does not find the rule of the three
    colors (Grazzi et al., 2025), although it finds that of two.
"""

import math

import numpy as np
import torch
from torch import Tensor

from rnncourse.experiments._frame import (
    MIXERS,
    Mixer,
    Network,
    build,
    n_parameters,
    train,
    width,
)
from rnncourse.experiments._tasks import accuracy, lamp, last, loss
from rnncourse.torch import MinGRU

NETWORKS = (
    "LSTM",
    "GRU",
    "minGRU",
    "signed minGRU",
    "transformer",
    "transformer, no positions",
)
RATES = (0.002, 0.004, 0.008)
SETTINGS = [
    {"network": network, "colors": colors, "rate": rate}
    for colors in (2, 3)
    for network in NETWORKS
    for rate in RATES
]
SEEDS = range(5)

CHEAP = {"network": "signed minGRU", "colors": 2, "rate": 0.004}
TOLERANCE = {"parameters": 0, "accuracy_16": 0.05}

BUDGET = 12_000
LENGTH = 16  # bits in training
TESTED = (8, 16, 32, 64, 128, 256)
BATCH = 64
UPDATES = 2000
CHECK_EVERY = 50  # updates
LEARNED = 0.99  # accuracy at the last of 16 bits


class SignedMinGRU(MinGRU):
    """``h[t] = (1 - 2 z[t]) * h[t - 1] + z[t] * c[t]``; ``signed=False`` drops the signs."""

    signed = True

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``1 - 2 z`` and ``z * c``."""
        keep, add = super().coefficients(x)
        keep = 2 * keep - 1
        return keep if self.signed else keep.abs(), add


def mixers(network: str) -> list[Mixer]:
    """Return the two mixers of a network."""
    if network == "signed minGRU":
        return [lambda E: SignedMinGRU(E, E)] * 2
    return list(MIXERS[network])


def lowest_factor(model: Network, x: Tensor) -> float:
    """Return the lowest factor with which any minGRU of the network multiplies its state."""
    found: list[float] = []

    def note(layer: MinGRU, arguments: tuple[Tensor, ...]) -> None:
        found.append(layer.coefficients(arguments[0])[0].min().item())

    layers = [block.mix for block in model.blocks if isinstance(block.mix, MinGRU)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return min(found, default=math.nan)


def run(network: str, colors: int, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``; ``learned_at``, the updates until the accuracy at the last of 16 bits was
        above 0.99 on 500 fresh sequences, NaN if it never was; ``accuracy_8`` to
        ``accuracy_256``, the accuracy at the last step of so many bits, at the end;
        ``unsigned_16``, that of a signed minGRU without its signs; ``lowest_factor``, the lowest
        one with which a minGRU multiplies its state.
    """
    makers = mixers(network)
    model = build(makers, 3, width(makers, 3, BUDGET), seed).to(device)
    figures = {"parameters": n_parameters(model), "learned_at": math.nan}
    rng = np.random.default_rng(seed)
    fresh = {
        T: last(lamp(colors, T, 500, np.random.default_rng([1000 + seed, T]), device))
        for T in TESTED
    }

    def check(updates: int) -> None:
        if updates % CHECK_EVERY or not math.isnan(figures["learned_at"]):
            return
        if accuracy(model, fresh[LENGTH]) > LEARNED:
            figures["learned_at"] = updates

    batches = (lamp(colors, LENGTH, BATCH, rng, device) for _ in range(UPDATES))
    if not train(model, loss, batches, UPDATES, rate, check):
        return figures
    figures |= {f"accuracy_{T}": accuracy(model, batch) for T, batch in fresh.items()}
    figures["lowest_factor"] = lowest_factor(model, fresh[LENGTH][0])
    signed = [block.mix for block in model.blocks if isinstance(block.mix, SignedMinGRU)]
    for layer in signed:
        layer.signed = False
    if signed:
        figures["unsigned_16"] = accuracy(model, fresh[LENGTH])
    return figures
