"""Which network predicts text best: by updates, by time, by arithmetic, by size and by data.

What varies
    The mixer (LSTM, GRU, minGRU, attention with rotary positions, causal convolution), the number
    of weights (about 24, 60 and 150 thousand), the updates, the share of the text of training, and
    the seed.

What is held equal
    The frame of two blocks (:mod:`rnncourse.experiments._frame`), the windows, the same for the
    same seed, Adam with warm-up for all, cosine and clipping.

How each side is tuned
    In :mod:`rnncourse.experiments.text_rates` each network has the same learning rates to choose
    from: at each size with 500 updates, and at 60 thousand weights with 2000. There the best rate,
    0.016, is the same for all, or not further from the best than a seed may be. All race with it,
    at all sizes. With less text they train for less long.

The baselines
    The n-grams of chapter 1, counted on the same text and scored on the same characters:
    :mod:`rnncourse.experiments.text_counting`.

How to read the figures
    A rate that falls along a cosine gives its best at the end. So the figures along the way
    (``valid_62`` to ``valid_1000``) show how a run of 2000 updates goes, and not what that many
    updates can do: for this there are runs of 125 and 500 updates with a cosine of their own.
    With little text a network learns it by heart; ``best_test`` is the test where the validation
    text was best along the way.
"""

from rnncourse.experiments._frame import MIXERS
from rnncourse.experiments._text import race

NETWORKS = ("LSTM", "GRU", "minGRU", "transformer", "convolution")
RATE = 0.016  # the best of the search for every one of them, or within its spread
SETTINGS = [
    {"network": network, "budget": budget, "share": share, "updates": updates, "rate": RATE}
    for budget, share, updates in [
        (60_000, 1.0, 125),
        (60_000, 1.0, 500),
        (60_000, 1.0, 2000),
        (24_000, 1.0, 2000),
        (150_000, 1.0, 2000),
        (60_000, 0.25, 500),
        (60_000, 0.0625, 250),
    ]
    for network in NETWORKS
]
SEEDS = range(5)

CHEAP = {"network": "LSTM", "budget": 60_000, "share": 1.0, "updates": 125, "rate": RATE}
TOLERANCE = {"parameters": 200, "valid": 0.1}  # the manual is another in each version of Python


def run(
    network: str, budget: int, share: float, updates: int, rate: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train one network; the figures are those of :func:`rnncourse.experiments._text.race`."""
    return race(MIXERS[network], budget, share, updates, rate, seed, device)
