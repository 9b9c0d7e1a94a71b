"""Which network predicts text best: by updates, by time, by arithmetic, and by size.

What varies
    The mixer (LSTM, GRU, minGRU, attention with rotary positions, causal convolution), the number
    of weights (about 24, 60 and 150 thousand), the updates, the share of the text of training, and
    the seed.

What is held equal
    The frame of two blocks (:mod:`rnncourse.experiments._frame`), the windows, the same for the
    same seed, Adam with warm-up for all, cosine and clipping.

How each side is tuned
    Each network takes, at each size, the best of the same rates in
    :mod:`rnncourse.experiments.text_rates`. With less text it keeps that rate.

The baselines
    The n-grams of chapter 1, counted on the same text and scored on the same characters:
    :func:`rnncourse.experiments._text.ngram_bits`.

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
CHOSEN = {  # to be set by the table of text_rates before the first run
    24_000: dict.fromkeys(NETWORKS, 0.008),
    60_000: dict.fromkeys(NETWORKS, 0.008),
    150_000: dict.fromkeys(NETWORKS, 0.004),
}
SETTINGS = [
    {
        "network": network,
        "budget": budget,
        "share": share,
        "updates": updates,
        "rate": CHOSEN[budget][network],
    }
    for budget, share, updates in [
        (60_000, 1.0, 125),
        (60_000, 1.0, 500),
        (60_000, 1.0, 2000),
        (24_000, 1.0, 2000),
        (60_000, 0.125, 2000),
        (150_000, 1.0, 2000),
    ]
    for network in NETWORKS
]
SEEDS = range(5)

CHEAP = {"network": "LSTM", "budget": 60_000, "share": 1.0, "updates": 125, "rate": 0.008}
TOLERANCE = {"parameters": 0, "valid": 0.05}


def run(
    network: str, budget: int, share: float, updates: int, rate: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train one network; the figures are those of :func:`rnncourse.experiments._text.race`."""
    return race(MIXERS[network], budget, share, updates, rate, seed, device)
