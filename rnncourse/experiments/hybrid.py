"""One network for the lamp and the list: a recurrent block and a block of attention.

Each update has a batch of lamps of 16 bits and a batch of lists of six pairs, and one network
learns both.

What varies
    Which mixers the two blocks have, in their order; the learning rate; the seed. Two LSTMs and
    two attentions are the controls: they have the same frame and see the same batches. Attention
    has rotary positions. In one hybrid it has none, since the LSTM can tell it the order.

What is held equal
    The frame (:mod:`rnncourse.experiments._frame`), about 30,000 parameters, the batches, the same
    for the same seed, and Adam with warm-up, cosine and clipping.

How each side is tuned
    Each has the same two learning rates, and each rate has the same five seeds.

What to expect
    Looking up takes two steps: bring key and value together, then search. A recurrent block can do
    the first but is bad at the second. So it should matter which block comes first, and not only
    that there are both.
"""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from rnncourse.experiments._frame import (
    MIXERS,
    Batch,
    Mixer,
    Network,
    build,
    n_parameters,
    train,
    width,
)
from rnncourse.experiments._tasks import BITS, accuracy, lamp, last, loss, names

RATES = (0.005, 0.0025)
SETTINGS = [
    {"first": first, "second": second, "updates": 1000, "rate": rate}
    for rate in RATES
    for first, second in [
        ("LSTM", "attention"),
        ("attention", "LSTM"),
        ("LSTM", "LSTM"),
        ("attention", "attention"),
        ("LSTM", "attention without positions"),
    ]
]
SEEDS = range(5)

CHEAP = {"first": "LSTM", "second": "attention", "updates": 1000, "rate": 0.005}
TOLERANCE = {"parameters": 0, "lamp_16": 0.05, "list_6": 0.05}

BUDGET = 30_000
NAMES = {
    "LSTM": "LSTM",
    "attention": "transformer",
    "attention without positions": "transformer, no positions",
}
SYMBOLS = BITS + 2
LENGTH, PAIRS, BATCH = 16, 6, 32
REPORTED = (125, 250, 500)  # updates


def mixer(name: str) -> Mixer:
    """Return what makes a mixer."""
    return MIXERS[NAMES[name]][0]


def lamps(T: int, B: int, rng: np.random.Generator, device: str) -> Batch:
    """Draw lamps whose symbols, and answers, differ from those of the lists."""
    x, y = lamp(2, T, B, rng, device)
    return x + BITS, y + BITS


def both(updates: int, seed: int, device: str) -> Iterator[tuple[Batch, Batch]]:
    """Yield a batch of lamps with a batch of lists."""
    rng = np.random.default_rng(seed)
    for _ in range(updates):
        yield lamps(LENGTH, BATCH, rng, device), names("any", PAIRS, BATCH, rng, device)


def sum_of_losses(model: Network, batches: tuple[Batch, Batch]) -> Tensor:
    """Return the loss on the lamps plus that on the lists."""
    return loss(model, batches[0]) + loss(model, batches[1])


def run(
    first: str, second: str, updates: int, rate: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``; ``lamp_16``, ``lamp_64`` and ``lamp_256``, the accuracy at the end of so
        many bits; ``list_3``, ``list_6`` and ``list_12``, the accuracy for lists of so many pairs;
        ``list_6_at_125`` and so on, after so many updates.
    """
    mixers = [mixer(first), mixer(second)]
    model = build(mixers, SYMBOLS, width(mixers, SYMBOLS, BUDGET), seed).to(device)
    figures: dict[str, float] = {"parameters": n_parameters(model)}
    rng = np.random.default_rng([1000, seed])
    tests = {f"lamp_{T}": last(lamps(T, 500, rng, device)) for T in (16, 64, 256)}
    tests |= {f"list_{n}": names("any", n, 250, rng, device) for n in (3, 6, 12)}

    def check(done: int) -> None:
        if done in REPORTED:
            figures[f"list_6_at_{done}"] = accuracy(model, tests["list_6"])

    if train(model, sum_of_losses, both(updates, seed, device), updates, rate, check):
        figures |= {name: accuracy(model, batch) for name, batch in tests.items()}
    return figures
