"""How many bits counting needs for the short texts of the experiment on dropout.

What varies
    The seed, that is, the piece of the manual.

What is held equal
    The texts are those of :mod:`rnncourse.experiments.dropout_generalization`. The validation text
    chooses the order of the n-grams.
"""

from rnncourse.experiments.dropout_generalization import kneser_ney

SETTINGS = [{"smoothing": "Kneser–Ney"}]
SEEDS = range(5)

CHEAP = {"smoothing": "Kneser–Ney"}
TOLERANCE = {"valid": 0.15, "test": 0.15}  # the manual is another in each version of Python


def run(smoothing: str, *, seed: int, device: str) -> dict[str, float]:
    """Count one piece.

    Returns
    -------
    figures
        ``order``, ``valid`` and ``test``, as ``kneser_ney`` there returns them.
    """
    return kneser_ney(seed)
