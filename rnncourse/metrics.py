"""What a mean loss means."""

import math
from typing import SupportsFloat


def perplexity(nll: SupportsFloat) -> float:
    """Return how many equally likely symbols would be as hard to guess: the exponential of a loss.

    Parameters
    ----------
    nll
        Mean negative log likelihood a symbol, in nats (natural logarithm).

    Raises
    ------
    ValueError
        If it is negative or NaN, which no mean loss over symbols is.

    Examples
    --------
    >>> round(perplexity(math.log(8)), 6)
    8.0
    """
    nll = _check(nll)
    return math.exp(nll) if nll < 709 else math.inf


def bits_per_character(nll: SupportsFloat) -> float:
    """Return how many bits the model needs for a character: its loss over the logarithm of 2.

    Parameters
    ----------
    nll
        Mean negative log likelihood a character, in nats (natural logarithm).

    Raises
    ------
    ValueError
        If it is negative or NaN, which no mean loss over characters is.

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
