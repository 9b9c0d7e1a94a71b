"""What a mean loss means, and how far outputs are from what they should be."""

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least, check_choice, check_shape


def perplexity(nll: SupportsFloat) -> float:
    """Return how many equally likely symbols would be as hard to guess: the exponential of a loss.

    Parameters
    ----------
    nll
        Mean negative log likelihood per symbol, in nats (natural logarithm).

    Raises
    ------
    ValueError
        If it is negative or NaN.

    Examples
    --------
    >>> round(perplexity(math.log(8)), 6)
    8.0
    """
    nll = _check(nll)
    try:
        return math.exp(nll)
    except OverflowError:
        return math.inf


def bits_per_character(nll: SupportsFloat) -> float:
    """Return how many bits the model needs for a character: its loss over the logarithm of 2.

    Parameters
    ----------
    nll
        Mean negative log likelihood per character, in nats (natural logarithm).

    Raises
    ------
    ValueError
        If it is negative or NaN.

    Examples
    --------
    >>> bits_per_character(math.log(8))
    3.0
    """
    return _check(nll) / math.log(2)


def _check(nll: SupportsFloat) -> float:
    value = float(nll)
    if not value >= 0:
        raise ValueError(f"nll: expected a mean loss in nats of at least 0, got {value}")
    return value


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Return how few insertions, deletions and replacements turn one sequence into the other.

    Source: Levenshtein (1966). The work grows with the product of the lengths.

    Parameters
    ----------
    a, b
        Two strings, to count characters; two lists of words, to count words; or any other two
        sequences whose elements can be compared.

    Raises
    ------
    TypeError
        If one is a string and the other is not.

    Examples
    --------
    >>> edit_distance("kitten", "sitting")
    3
    """
    _check_kinds("a", a, "b", b)
    row = list(range(len(b) + 1))  # distances from the beginning of a so far to those of b
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b):
            row.append(min(above[j + 1] + 1, row[j] + 1, above[j] + (x != y)))
    return row[-1]


def error_rate(hypotheses: Sequence[Sequence[Any]], references: Sequence[Sequence[Any]]) -> float:
    """Return the edits that all hypotheses together need, per element of the references.

    The character error rate for strings, the word error rate for lists of words. It can exceed 1
    if hypotheses are long and wrong.

    Raises
    ------
    TypeError, ValueError
        If either is a single string, their numbers differ or are 0, or all references are empty; if
        a string is to be compared with something else, such as a list of words.

    Examples
    --------
    >>> error_rate(["cat", "a dog"], ["cut", "a dog"])
    0.125
    >>> error_rate(["a cat".split()], ["the cat".split()])
    0.5
    """
    _check_pairs(hypotheses, references)
    for i, (said, true) in enumerate(zip(hypotheses, references, strict=True)):
        _check_kinds(f"hypotheses[{i}]", said, f"references[{i}]", true)
    length = sum(map(len, references))
    if length == 0:
        raise ValueError("references: expected one that is not empty, got none")
    return sum(map(edit_distance, hypotheses, references)) / length


def repeated_share(tokens: Sequence[Any], n: int) -> float:
    """Return the share of a text's n-grams that came earlier in the same text.

    It grows with the length of the text, so compare texts of equal length.

    Parameters
    ----------
    tokens
        A string, to count characters; or a list of words or other hashable tokens.
    n
        Number of tokens in each n-gram.

    Raises
    ------
    TypeError, ValueError
        If ``n`` is not a whole number of at least 1, or there are fewer tokens than that.

    Examples
    --------
    >>> repeated_share("the cat and the cat".split(), 2)
    0.25
    """
    spans = _spans("tokens", tokens, n)
    return 1 - len(set(spans)) / len(spans)


def copied_share(text: Sequence[Any], source: Sequence[Any], n: int) -> float:
    """Return the share of a text's n-grams that occur in another text, such as that of training.

    Parameters
    ----------
    text, source
        Two strings, to compare spans of characters; or two lists of hashable tokens.
    n
        Number of characters or tokens in each span.

    Raises
    ------
    TypeError, ValueError
        If ``n`` is not a whole number of at least 1, a text is shorter than that, or one is a
        string and the other is not.

    Examples
    --------
    >>> copied_share("a cat sat", "the cat sat down", 5)
    0.8
    """
    _check_kinds("text", text, "source", source)
    known = set(_spans("source", source, n))
    spans = _spans("text", text, n)
    return sum(span in known for span in spans) / len(spans)


def longest_copy(text: str, source: str) -> str:
    """Return the longest span of a text that occurs in another, the first of several.

    Examples
    --------
    >>> longest_copy("a cat sat", "the cat sat down")
    ' cat sat'
    """
    best = ""
    for start in range(len(text)):
        while text[start : start + len(best) + 1] in source:
            if start + len(best) + 1 > len(text):
                return best
            best = text[start : start + len(best) + 1]
    return best


def _spans(name: str, tokens: Sequence[Any], n: int) -> list[Any]:
    """Return all spans of n tokens: of a string as strings, otherwise as tuples."""
    check_at_least("n", n, 1)
    if len(tokens) < n:
        raise ValueError(f"{name}: expected at least n = {n} tokens, got {len(tokens)}")
    starts = range(len(tokens) - n + 1)
    if isinstance(tokens, str):
        return [tokens[i : i + n] for i in starts]
    return [tuple(tokens[i : i + n]) for i in starts]


class Calibration(NamedTuple):
    """How well a classifier knows its own accuracy.

    Attributes
    ----------
    error
        Expected calibration error: the gap between ``accuracy`` and ``confidence``, averaged
        over all predictions; from 0 to 1.
    confidence
        Mean probability of the predicted class in each bin, ``(n_bins,)``; NaN if that is empty.
    accuracy
        Share of right predictions in each bin, ``(n_bins,)``; NaN if that is empty.
    counts
        Number of predictions in each bin, ``(n_bins,)``.
    """

    error: float
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]


def calibration(probs: ArrayLike, labels: ArrayLike, n_bins: int = 10) -> Calibration:
    """Compare how sure a classifier is with how often it is right.

    Predictions are sorted by the probability of the likeliest class into bins of equal width
    between 0 and 1; a bin contains its upper edge. Source: Guo et al. (2017), equation 3.

    Parameters
    ----------
    probs
        Probability of each of C classes for N examples, ``(N, C)``.
    labels
        The true classes, whole numbers ``(N,)``.
    n_bins
        Number of bins.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong shape or type, a row of ``probs`` is not a distribution, or a
        label is not between 0 and C - 1.

    Examples
    --------
    Of four predictions made with probability 0.9, three are right:

    >>> found = calibration([[0.9, 0.1]] * 4, [0, 0, 0, 1], n_bins=5)
    >>> round(found.error, 6), found.counts.tolist()
    (0.15, [0, 0, 0, 0, 4])
    """
    p, y = np.asarray(probs, dtype=np.float64), np.asarray(labels)
    check_shape("probs", p.shape, ("N", "C"))
    check_shape("labels", y.shape, (len(p),))
    check_at_least("n_bins", n_bins, 1)
    if not ((p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-3)):
        raise ValueError("probs: expected rows of probabilities whose sum is 1")
    if y.dtype.kind not in "iu":
        raise TypeError(f"labels: expected whole numbers, got dtype {y.dtype}")
    if not ((y >= 0) & (y < p.shape[1])).all():
        raise ValueError(f"labels: expected numbers from 0 to {p.shape[1] - 1}")
    highest = p.max(1)
    bins = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], highest)
    counts = np.bincount(bins, minlength=n_bins)
    sure = np.bincount(bins, highest, n_bins)
    right = np.bincount(bins, p.argmax(1) == y, n_bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 in empty bins
        return Calibration(
            float(np.abs(right - sure).sum() / len(p)), sure / counts, right / counts, counts
        )


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
) -> float:
    """Return the corpus BLEU score, as ``sacrebleu`` computes it, from 0 to 100.

    Source: Papineni et al. (2002); Post (2018) for tokens and settings.

    Parameters
    ----------
    hypotheses
        The translations, as plain text and not as tokens.
    references
        For each of them a correct translation, or a list of several.
    tokenize
        How ``sacrebleu`` splits texts: ``"13a"`` as the WMT scorer does, ``"char"`` into
        characters, ``"none"`` at spaces.

    Raises
    ------
    ImportError
        If ``sacrebleu`` is not installed.
    TypeError, ValueError
        If an argument is a single string, their numbers differ or are 0, a text has no reference,
        or ``sacrebleu`` does not know ``tokenize``.

    Examples
    --------
    >>> bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
    100.0
    """
    _check_pairs(hypotheses, references)
    try:
        import sacrebleu
    except ImportError as error:
        raise ImportError("bleu needs sacrebleu: pip install sacrebleu") from error
    check_choice("tokenize", tokenize, sacrebleu.BLEU.TOKENIZERS)
    several = [[texts] if isinstance(texts, str) else texts for texts in references]
    if not all(map(len, several)):
        raise ValueError("references: expected at least one for each hypothesis, got none for one")
    streams = list(zip_longest(*several))  # the first of all, the second of all (or None), …
    # Rounded: a perfect score would be 100.00000000000004.
    return round(sacrebleu.corpus_bleu(hypotheses, streams, tokenize=tokenize).score, 10)


def naive_scale(history: ArrayLike, period: int = 1) -> float:
    """Return by how much the seasonal-naive forecast is off, one step ahead, on a known history.

    Parameters
    ----------
    history
        What is known, ``(T,)``, T above ``period``.
    period
        Steps after which the season repeats; 1 if there is none.

    Returns
    -------
    scale
        Mean of ``abs(history[t] - history[t - period])``, in the unit of the series.

    Raises
    ------
    TypeError, ValueError
        If the history is too short, constant or not finite, or ``period`` is not a whole number of
        at least 1.

    Examples
    --------
    >>> naive_scale([1, 4, 3, 6], period=2)
    2.0
    """
    check_at_least("period", period, 1)
    past = _numbers("history", history)
    check_shape("history", past.shape, ("T",))
    if len(past) <= period:
        raise ValueError(f"history: expected more than period = {period} numbers, got {len(past)}")
    scale = float(np.abs(past[period:] - past[:-period]).mean())
    if scale == 0:
        raise ValueError("history: expected a series that changes, got one that repeats itself")
    return scale


def scaled_error(
    forecast: ArrayLike, actual: ArrayLike, history: ArrayLike, period: int = 1
) -> float:
    """Return the mean absolute scaled error (MASE), which has no unit.

    Below 1, forecasts are off by less than the seasonal-naive forecast is, one step ahead, on the
    history. Source: Hyndman and Koehler (2006), "Another look at measures of forecast accuracy".

    Parameters
    ----------
    forecast, actual
        Numbers of the same shape, any number of axes.
    history, period
        As in :func:`naive_scale`.

    Raises
    ------
    TypeError, ValueError
        If the shapes differ, a number is not finite, or the history is refused.

    Examples
    --------
    >>> scaled_error([5, 9], [6, 6], [1, 4, 3, 6], period=2)
    1.0
    """
    said, true = _alike(("forecast", forecast), ("actual", actual))
    return float(np.abs(said - true).mean() / naive_scale(history, period))


def pinball_loss(forecast: ArrayLike, actual: ArrayLike, level: float) -> float:
    """Return the mean pinball (quantile) loss, which is smallest at the quantile of that level.

    Each unit too little costs ``level``, each unit too much costs ``1 - level``. Source: Koenker
    and Bassett (1978), "Regression quantiles".

    Parameters
    ----------
    forecast, actual
        Numbers of the same shape; ``forecast`` may be a single one.
    level
        Share of the actual numbers that should be below the forecast, between 0 and 1.

    Raises
    ------
    ValueError
        If the shapes differ, a number is not finite, or ``level`` is not between 0 and 1.

    Examples
    --------
    >>> pinball_loss([10, 10], [12, 8], level=0.75)  # 2 too little, 2 too much
    1.0
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    if np.ndim(forecast) == 0:
        forecast = np.full(np.shape(actual), forecast)
    said, true = _alike(("forecast", forecast), ("actual", actual))
    missing = true - said
    return float(np.maximum(level * missing, (level - 1) * missing).mean())


def coverage(low: ArrayLike, high: ArrayLike, actual: ArrayLike) -> float:
    """Return the share of numbers that lie in their intervals, ends included.

    Parameters
    ----------
    low, high, actual
        Numbers of the same shape.

    Raises
    ------
    ValueError
        If the shapes differ, a number is not finite, or an interval ends before it begins.

    Examples
    --------
    >>> coverage([0, 0], [1, 1], [0.5, 1.5])
    0.5
    """
    bottom, true = _alike(("low", low), ("actual", actual))
    top, _ = _alike(("high", high), ("actual", actual))
    if not (bottom <= top).all():
        raise ValueError("low: expected numbers no greater than those of high")
    return float(((bottom <= true) & (true <= top)).mean())


def _alike(
    one: tuple[str, ArrayLike], other: tuple[str, ArrayLike]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = _numbers(*one), _numbers(*other)
    if a.shape != b.shape:
        raise ValueError(f"{one[0]}: expected the shape of {other[0]}, {b.shape}, got {a.shape}")
    if b.size == 0:
        raise ValueError(f"{other[0]}: expected at least one number, got none")
    return a, b


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError(f"{name}: expected finite numbers, got {x[~np.isfinite(x)][0]}")
    return x


def _check_kinds(name: str, one: object, other_name: str, other: object) -> None:
    """Check that both are strings or neither is: no character equals a word, without an error."""
    if isinstance(one, str) != isinstance(other, str):
        expected, got = "a str" if isinstance(one, str) else "no str", type(other).__name__
        raise TypeError(f"{other_name}: expected {expected}, as {name} is, got {got}")


def _check_pairs(hypotheses: Sequence[Any], references: Sequence[Any]) -> None:
    for name, texts in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(texts, str):
            raise TypeError(f"{name}: expected a list of texts, got a single one")
    if not len(hypotheses) == len(references) > 0:
        raise ValueError(
            f"references: expected at least one, and as many as hypotheses "
            f"({len(hypotheses)}), got {len(references)}"
        )
