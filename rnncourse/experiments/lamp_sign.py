"""Which networks can track a lamp, and whether the sign of the transition is the reason.

The lamp is the task *parity*: bits come in, and at each step the network says whether the number
of ones so far is odd. Networks train on 16 bits and are tested on up to 256, so that a rule can be
told from memorized cases. A lamp with three colors, where each one brings the next, is the same
task modulo 3.

What varies
    The mixer, the number of colors, the learning rate and the seed.

    - ``minGRU`` and ``signed minGRU`` differ in one thing. The first multiplies its state by
      ``1 - z``, between 0 and 1. The second multiplies it by ``1 - 2 z``, between -1 and 1. They
      have the same weights, and neither looks at its state when it chooses the factor.
    - LSTM and GRU look at their state.
    - Attention has rotary positions, or none. The second is the control for the first: rotary
      positions alone could be what fails at lengths never seen.

What is held equal
    The frame of two blocks (:mod:`rnncourse.experiments._frame`), about 10,000 parameters, batches
    of 32 sequences of 16 bits, the same for the same seed, and Adam with warm-up, cosine and
    clipping.

How each side is tuned
    Each has the same three learning rates, and each rate has the same five seeds.

Interventions after training, without training any further
    - ``unsigned``: the factors of a minGRU are replaced by their absolute values. If the sign is
      the reason why it knows the rule, the accuracy falls to chance.
    - ``rounded``: factors beyond 0.8 in absolute value become 1 or -1. A factor of -0.97 flips, but
      after 36 steps two thirds of the state are gone. If that is why the rule fades with the
      length, this repairs it.

A prediction
    Real factors can flip but not turn. So if the explanation by the transition is right, signed
    minGRU does not find the rule of three colors (Grazzi et al., 2025), although it finds that of
    two.

How long
    600 updates, and 3000 at the middle rate for the networks that did not learn it in 600. The
    runs do not say what still more would change.
"""

import math
from collections.abc import Callable, Sequence

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
RATES = (0.003, 0.006, 0.012)
SETTINGS = [
    {"network": network, "colors": colors, "updates": 600, "rate": rate}
    for colors, networks in [(2, NETWORKS), (3, ("LSTM", "signed minGRU"))]
    for rate in RATES
    for network in networks
]
SETTINGS += [
    {"network": network, "colors": 2, "updates": 3000, "rate": 0.006}
    for network in ("minGRU", "transformer", "transformer, no positions")
]
SEEDS = range(5)

CHEAP = {"network": "signed minGRU", "colors": 2, "updates": 600, "rate": 0.006}
TOLERANCE = {"parameters": 0, "accuracy_16": 0.05, "unsigned_16": 0.15}

BUDGET = 10_000
LENGTH = 16  # bits in training
TESTED = (8, 16, 32, 64, 128, 256)
BATCH = 32
CHECK_EVERY = 50  # updates
LEARNED = 0.99  # accuracy at the last of 16 bits
FIRM = 0.8


class RangedMinGRU(MinGRU):
    """``h[t] = a[t] * h[t - 1] + z[t] * c[t]``, and ``a`` is ``1 - z`` or ``1 - 2 z``.

    ``change``, if there is one, is applied to the factors ``a``: for interventions after training.
    """

    def __init__(self, size: int, signed: bool) -> None:
        super().__init__(size, size)
        self.signed = signed
        self.change: Callable[[Tensor], Tensor] | None = None

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``a`` and ``z * c``."""
        keep, add = super().coefficients(x)
        if self.signed:
            keep = 2 * keep - 1
        return keep if self.change is None else self.change(keep), add


def rounded(factor: Tensor) -> Tensor:
    """Make factors beyond 0.8 in absolute value 1 or -1."""
    return torch.where(factor.abs() > FIRM, factor.sign(), factor)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {"unsigned": torch.abs, "rounded": rounded}


def mixers(network: str) -> list[Mixer]:
    """Return the two mixers of a network."""
    if "minGRU" in network:
        return [lambda E: RangedMinGRU(E, network == "signed minGRU")] * 2
    return list(MIXERS[network])


def lowest_factor(layers: Sequence[RangedMinGRU], model: Network, x: Tensor) -> float:
    """Return the lowest factor with which any of the layers multiplies its state."""
    found: list[Tensor] = []

    def note(factor: Tensor) -> Tensor:
        found.append(factor.min())
        return factor

    for layer in layers:
        layer.change = note
    with torch.no_grad():
        model(x)
    for layer in layers:
        layer.change = None
    return min(found).item()


def run(
    network: str, colors: int, updates: int, rate: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``; ``learned_at``, the updates until the accuracy at the last of 16 bits was
        above 0.99 on 500 fresh sequences, NaN if it never was; ``accuracy_8`` to
        ``accuracy_256``, the accuracy at the last step of so many bits, at the end. For minGRU
        also ``lowest_factor``, the lowest one with which it multiplies its state, and
        ``unsigned_16`` to ``rounded_256``, the accuracy after an intervention.
    """
    makers = mixers(network)
    model = build(makers, 3, width(makers, 3, BUDGET), seed).to(device)
    figures: dict[str, float] = {"parameters": n_parameters(model), "learned_at": math.nan}
    rng = np.random.default_rng(seed)
    fresh = {
        T: last(lamp(colors, T, 500, np.random.default_rng([1000 + seed, T]), device))
        for T in TESTED
    }

    def check(done: int) -> None:
        if done % CHECK_EVERY or not math.isnan(figures["learned_at"]):
            return
        if accuracy(model, fresh[LENGTH]) > LEARNED:
            figures["learned_at"] = done

    batches = (lamp(colors, LENGTH, BATCH, rng, device) for _ in range(updates))
    if not train(model, loss, batches, updates, rate, check):
        return figures
    figures |= {f"accuracy_{T}": accuracy(model, batch) for T, batch in fresh.items()}
    layers = [block.mix for block in model.blocks if isinstance(block.mix, RangedMinGRU)]
    if layers:
        figures["lowest_factor"] = lowest_factor(layers, model, fresh[LENGTH][0])
        for name, change in CHANGES.items():
            for layer in layers:
                layer.change = change
            for T in (16, 64, 256):
                figures[f"{name}_{T}"] = accuracy(model, fresh[T])
    return figures
