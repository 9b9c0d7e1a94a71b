"""Which learning rate suits which network on text: the tuning for the races.

Each network has the same learning rates at each size, with a quarter of the updates of the
race and a seed that the race does not use. The rate with the fewest bits on the validation text
is the one that :mod:`rnncourse.experiments.text_models` and
:mod:`rnncourse.experiments.length_positions` take.

What is held equal
    The text, the windows, the frame, warm-up, cosine, clipping, and the updates.

What this leaves open
    A best rate of 500 updates need not be the best of 2000. It is the same help for all.
"""

from rnncourse.experiments._frame import MIXERS
from rnncourse.experiments._text import ngram_bits as ngram_bits
from rnncourse.experiments._text import race

RATES = (0.002, 0.004, 0.008, 0.016)
NETWORKS = ("LSTM", "GRU", "minGRU", "transformer", "convolution")
SETTINGS = [
    {"network": network, "budget": budget, "updates": 500, "rate": rate}
    for budget, networks in [
        (60_000, NETWORKS),
        (24_000, NETWORKS),
        (60_000, ("transformer, ALiBi", "transformer, no positions")),
        (150_000, NETWORKS),
    ]
    for network in networks
    for rate in RATES
]
SETTINGS += [  # since all of them do best at the largest of the four
    {"network": network, "budget": 60_000, "updates": 500, "rate": 0.032} for network in NETWORKS
]
SEEDS = (10,)

CHEAP = {"network": "LSTM", "budget": 24_000, "updates": 500, "rate": 0.008}
TOLERANCE = {"parameters": 0, "valid": 0.05}


def run(
    network: str, budget: int, updates: int, rate: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train one network; the figures are those of :func:`rnncourse.experiments._text.race`."""
    return race(MIXERS[network], budget, 1.0, updates, rate, seed, device)
