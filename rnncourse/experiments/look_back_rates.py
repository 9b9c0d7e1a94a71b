"""Which learning rate suits which translator.

It tunes the four of :mod:`rnncourse.experiments.look_back`, each over the same four rates, on a
seed that the comparison does not use. ``valid`` chooses the rate.
"""

from rnncourse.experiments._translators import LEARNERS, build, train, validate

RATES = (0.005, 0.01, 0.02, 0.04)
SETTINGS = [
    *(
        {"memory": memory, "reads": reads, "rate": rate, "updates": 400}
        for memory, reads in LEARNERS
        for rate in RATES
    ),
    {"memory": "one vector", "reads": "both ways", "rate": 0.01, "updates": 60},
]
SEEDS = (10,)

CHEAP = {"memory": "one vector", "reads": "both ways", "rate": 0.01, "updates": 60}
TOLERANCE = {"valid": 0.1}


def run(
    memory: str, reads: str, rate: float, updates: int, *, seed: int, device: str
) -> dict[str, float]:
    """Train one translator.

    Returns
    -------
    figures
        ``valid``, loss on held-out sentences of 5 to 12 words, in nats per word.
    """
    model = build(memory, reads, seed).to(device)
    train(model, rate, updates, seed)
    return {"valid": validate(model)}
