"""Which learning rate suits which vocabulary of pieces.

It tunes the networks of :mod:`rnncourse.experiments.lab_text_generation`.

Each network has the same three learning rates, on a seed that the comparison does not use.
``valid`` chooses the rate.
"""

from rnncourse.experiments._pieces import bits as bits_of
from rnncourse.experiments._pieces import (
    build,
    byte_pairs,
    encode,
    n_parameters,
    texts,
    train,
    updates_of,
)

NETWORKS = ((104, 128), (256, 128), (1024, 128))
RATES = (0.01, 0.02, 0.04)
SETTINGS = [
    {"size": size, "units": units, "rate": rate} for size, units in NETWORKS for rate in RATES
]
SEEDS = (10,)

CHEAP = {"size": 1024, "units": 128, "rate": 0.02}
TOLERANCE = {"parameters": 1000, "valid": 0.08}  # the manual is another in each version of Python


def run(size: int, units: int, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``; ``valid``, bits per character of the validation text.
    """
    pieces = byte_pairs(size)
    model = build(pieces.get_vocab_size(), units, seed).to(device)
    train(model, encode(pieces, texts()[0]), rate, updates_of(model))
    return {"parameters": n_parameters(model), "valid": bits_of(model, pieces, texts()[1])}
