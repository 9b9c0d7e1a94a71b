"""How many bits counting needs for the Python manual, character by character.

The opponents of every network on text: n-grams with two ways of smoothing, and a compression
program.

What varies
    The method, the order n of the n-grams, and the share of the text of training.

What is held equal
    The text and the characters that are scored: ``valid`` and ``test`` on those that the networks
    of :mod:`rnncourse.experiments.text_models` answer, ``whole`` on the whole test text.

What this leaves open
    Nothing is drawn, so there is one seed. ``valid`` would choose a still larger order for
    Kneser–Ney, which brings less than 0.01 bits more.
"""

import bz2
import math
from typing import Literal

from rnncourse.data.text import python_manual, split_text
from rnncourse.experiments._text import HALF, WINDOW, manual
from rnncourse.ngram import NGram, Smoothing

SETTINGS: list[dict[str, str | int | float]] = [
    {"method": method, "order": order, "share": share}
    for method, orders, share in [
        ("Witten–Bell", range(1, 8), 1.0),
        ("Kneser–Ney", (4, 5, 6, 8), 1.0),
        ("Kneser–Ney", (8,), 0.25),
        ("Kneser–Ney", (8,), 0.0625),
        ("bz2", (0,), 1.0),
    ]
    for order in orders
]
SEEDS = (0,)

CHEAP = {"method": "Kneser–Ney", "order": 5, "share": 1.0}
TOLERANCE = {"counts": 4000, "valid": 0.05, "test": 0.05, "whole": 0.05}


def bz2_bits(known: str, text: str) -> float:
    """Return the bits per character that ``bz2`` adds for a text, once it has the known one."""
    before, after = (len(bz2.compress(part.encode(), 9)) for part in (known, known + text))
    return 8 * (after - before) / len(text)


def run(
    method: Smoothing | Literal["bz2"], order: int, share: float, *, seed: int, device: str
) -> dict[str, float]:
    """Count once.

    Returns
    -------
    figures
        ``counts``, how many numbers the model keeps; ``valid``, ``test`` and ``whole``, bits per
        character. The compression program has ``whole`` alone.
    """
    if method == "bz2":
        train, _, test = split_text(python_manual())
        return {"whole": bz2_bits(train, test)}
    train_ids, valid_ids, test_ids, n_symbols = manual()
    model = NGram(order, n_symbols, smoothing=method)
    model.fit(train_ids[: int(share * len(train_ids))])
    figures: dict[str, float] = {"counts": model.n_parameters}
    for part, ids in (("valid", valid_ids), ("test", test_ids)):
        scored = HALF * len(range(0, len(ids) - WINDOW, HALF))
        nats = -model.log_probs(ids)[HALF + 1 : HALF + 1 + scored].mean()
        figures[part] = float(nats) / math.log(2)
    return figures | {"whole": model.bits_per_character(test_ids)}
