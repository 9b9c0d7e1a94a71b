"""Which learning rate suits which network on text.

Each network has the same five learning rates at each size. All this takes 500 updates; at 60
thousand weights the three largest rates are tried again with 2000. ``valid`` chooses the rate, and
``test`` is what is compared.

What is held equal
    The text, the windows, the frame, warm-up, cosine, clipping, and the updates.

What this leaves open
    One seed tunes a network. It does not rank it: for this there are five seeds in
    :mod:`rnncourse.experiments.text_models`.
"""

from rnncourse.experiments._frame import MIXERS
from rnncourse.experiments._text import ngram_bits as ngram_bits
from rnncourse.experiments._text import race

RATES = (0.002, 0.004, 0.008, 0.016, 0.032)
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
SETTINGS += [
    {"network": network, "budget": 60_000, "updates": 2000, "rate": rate}
    for network in NETWORKS
    for rate in (0.008, 0.016, 0.032)
]
SEEDS = (10,)

CHEAP = {"network": "LSTM", "budget": 24_000, "updates": 500, "rate": 0.008}
TOLERANCE = {"parameters": 200, "valid": 0.05}  # the manual is another in each version of Python


def run(
    network: str, budget: int, updates: int, rate: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train one network; the figures are those of :func:`rnncourse.experiments._text.race`."""
    return race(MIXERS[network], budget, 1.0, updates, rate, seed, device)
