"""What the character model of chapter 3 is compared with, besides the n-grams of the package."""

import bz2
from collections import Counter
from collections.abc import Iterator

import numpy as np


class KneserNey:
    """An n-gram model of characters with interpolated Kneser–Ney smoothing.

    A fixed amount comes off every count and goes to the shorter context. A shorter context does not
    count how often a character came, but after how many different ones.

    Parameters
    ----------
    order
        Length n of the longest n-gram.
    text
        What is counted.
    n_symbols
        Number of symbols that share what is left below the single character.

    References
    ----------
    Kneser and Ney (1995), "Improved backing-off for M-gram language modeling", ICASSP; the amount
    as in Chen and Goodman (1999), one for each order, and 0.5 where nothing came just once.
    """

    def __init__(self, order: int, text: str, n_symbols: int) -> None:
        self.order, self.n_symbols = order, n_symbols
        self._tables = []
        for k in range(1, order + 1):
            if k == order:
                grams = Counter(text[i : i + k] for i in range(len(text) - k + 1))
            else:  # after how many different characters did it come?
                longer = {text[i : i + k + 1] for i in range(len(text) - k)}
                grams = Counter(gram[1:] for gram in longer)
            once, twice = (sum(count == m for count in grams.values()) for m in (1, 2))
            total: Counter[str] = Counter()
            followers: Counter[str] = Counter()
            for gram, count in grams.items():
                total[gram[:-1]] += count
                followers[gram[:-1]] += 1
            off = once / (once + 2 * twice) if once else 0.5
            self._tables.append((grams, total, followers, off))

    def probability(self, context: str, character: str) -> float:
        """Return the probability of a character after a context."""
        p = 1 / self.n_symbols
        for k, (grams, total, followers, off) in enumerate(self._tables):
            known = context[len(context) - k :]
            if len(context) < k or not total[known]:
                break
            kept = max(grams[known + character] - off, 0)
            p = (kept + off * followers[known] * p) / total[known]
        return p

    def bits(self, text: str) -> float:
        """Return the bits per character of a text."""

        def surprises() -> Iterator[float]:
            for i, character in enumerate(text):
                yield -np.log2(self.probability(text[max(0, i - self.order + 1) : i], character))

        return float(np.mean(list(surprises())))


def bz2_bits(known: str, text: str) -> float:
    """Return the bits per character that ``bz2`` adds for a text, once it has the known one."""
    before, after = (len(bz2.compress(part.encode(), 9)) for part in (known, known + text))
    return 8 * (after - before) / len(text)
