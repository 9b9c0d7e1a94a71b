"""Which learning rate suits which translator of the experiment on the bottleneck.

It tunes the six of :mod:`rnncourse.experiments.bottleneck`, each over the same four rates, on a
seed that the comparison does not use, and for 400 updates, a third of the longer runs there.
``valid`` chooses the rate.
"""

from rnncourse.experiments._bottleneck import HAND_OVERS, SIZES, build, train, validate

RATES = (0.005, 0.01, 0.02, 0.04)
SETTINGS = [
    *(
        {"units": units, "context": context, "rate": rate, "updates": 400}
        for units in SIZES
        for context in HAND_OVERS
        for rate in RATES
    ),
    {"units": 32, "context": "once", "rate": 0.02, "updates": 60},
]
SEEDS = (10,)

CHEAP = {"units": 32, "context": "once", "rate": 0.02, "updates": 60}
TOLERANCE = {"valid": 0.1}


def run(
    units: int, context: str, rate: float, updates: int, *, seed: int, device: str
) -> dict[str, float]:
    """Train one translator.

    Returns
    -------
    figures
        ``valid``, loss on held-out sentences of 5 to 12 words, in nats per word.
    """
    model = build(units, context, seed).to(device)
    train(model, rate, updates, seed)
    return {"valid": validate(model)}
