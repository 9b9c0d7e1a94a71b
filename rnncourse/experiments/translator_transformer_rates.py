"""Which learning rate suits which transformer that translates.

It tunes the two of :mod:`rnncourse.experiments.translator_transformer`, each over the same four
rates, on a seed that the comparison does not use. ``valid`` chooses the rate.
"""

from rnncourse.experiments._translator_transformer import SIDES, build
from rnncourse.experiments._translators import train, validate

RATES = (0.002, 0.004, 0.008, 0.016)
SETTINGS = [
    *(
        {"norm": norm, "positions": positions, "rate": rate, "updates": 400}
        for norm, positions in SIDES
        for rate in RATES
    ),
    {"norm": "post", "positions": "sinusoidal", "rate": 0.002, "updates": 60},
]
SEEDS = (10,)

CHEAP = {"norm": "post", "positions": "sinusoidal", "rate": 0.002, "updates": 60}
TOLERANCE = {"valid": 0.1}


def run(
    norm: str, positions: str, rate: float, updates: int, *, seed: int, device: str
) -> dict[str, float]:
    """Train one translator.

    Returns
    -------
    figures
        ``valid``, loss on held-out sentences of 5 to 12 words, in nats per word.
    """
    model = build(norm, positions, seed).to(device)
    train(model, rate, updates, seed)
    return {"valid": validate(model)}
