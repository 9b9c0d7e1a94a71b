"""How many bits tables of counts need for the Python manual, cut into pieces.

The opponents of the networks of :mod:`rnncourse.experiments.lab_text_generation`.

What varies
    The size of the vocabulary of pieces (104 are the characters), and the smoothing.

What is held equal
    The text, and that all pay for the whole text, over its number of characters.

How each side is tuned
    The validation text chooses the order, up to 7 for characters and up to 5 for pieces.
"""

from rnncourse.experiments._pieces import byte_pairs, encode, table_bits, texts
from rnncourse.ngram import Smoothing

SETTINGS = [
    {"size": size, "smoothing": smoothing}
    for size in (104, 256, 512, 1024, 2048, 4096)
    for smoothing in ("Witten–Bell", "Kneser–Ney")
]
SEEDS = (0,)  # nothing is drawn

CHEAP = {"size": 256, "smoothing": "Kneser–Ney"}
TOLERANCE = {"length": 0.1, "valid": 0.05, "test": 0.05}


def run(size: int, smoothing: Smoothing, *, seed: int, device: str) -> dict[str, float]:
    """Count once.

    Returns
    -------
    figures
        ``length``, the characters of a piece on average; ``order``, which the validation text
        chooses; ``valid`` and ``test``, bits per character.
    """
    tried = [(table_bits(size, n, smoothing, 1), n) for n in range(2, 8 if size == 104 else 6)]
    valid, order = min(tried)
    test = texts()[2]
    return {
        "length": len(test) / len(encode(byte_pairs(size), test)),
        "order": order,
        "valid": valid,
        "test": table_bits(size, order, smoothing, 2),
    }
