"""What the networks on text are compared with: counting, and a compression program."""

import bz2
import math

from rnncourse.experiments._text import HALF, WINDOW, manual
from rnncourse.ngram import NGram

__all__ = ["bz2_bits", "kneser_ney"]


def kneser_ney(order: int, share: float = 1.0) -> dict[str, float]:
    """Count the n-grams of the manual and score them where the networks are scored.

    Parameters
    ----------
    order
        Length n of the longest n-gram.
    share
        How much of the text of training is counted, from its beginning.

    Returns
    -------
    figures
        ``counts``, how many numbers the model keeps; ``valid`` and ``test``, bits per character.
    """
    train_ids, valid_ids, test_ids, n_symbols = manual()
    model = NGram(order, n_symbols, smoothing="Kneser–Ney")
    model.fit(train_ids[: int(share * len(train_ids))])
    figures: dict[str, float] = {"counts": model.n_parameters}
    for part, ids in (("valid", valid_ids), ("test", test_ids)):
        scored = HALF * len(range(0, len(ids) - WINDOW, HALF))
        nats = -model.log_probs(ids)[HALF + 1 : HALF + 1 + scored].mean()
        figures[part] = float(nats) / math.log(2)
    return figures


def bz2_bits(known: str, text: str) -> float:
    """Return the bits per character that ``bz2`` adds for a text, once it has the known one."""
    before, after = (len(bz2.compress(part.encode(), 9)) for part in (known, known + text))
    return 8 * (after - before) / len(text)
