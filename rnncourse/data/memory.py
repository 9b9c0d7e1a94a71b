"""Tasks that measure memory, each with the score of a model that has none."""

import math

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least, check_type


def delayed_echo(
    T: int, B: int, delay: int, rng: np.random.Generator, n_symbols: int = 8
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Draw random symbols; the target at step t is the symbol of step t - ``delay``.

    With a memory of ``delay`` steps the loss can reach 0. Without, nothing beats the uniform
    guess, since the symbols are independent: ``log(n_symbols)`` nats and an accuracy of
    ``1 / n_symbols``.

    Parameters
    ----------
    T, B
        Steps and sequences.
    delay
        How many steps lie between a symbol and its echo, from 0 to T - 1.
    rng
        Random generator.
    n_symbols
        How many different symbols there are, at least 2.

    Returns
    -------
    x, y
        Symbols and targets, int64 ``(T, B)``.
    mask
        Where there is a target, bool ``(T, B)``: from step ``delay`` on. ``y`` is 0 elsewhere.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range, or ``rng`` is not a generator.

    Examples
    --------
    >>> x, y, mask = delayed_echo(4, 1, delay=2, rng=np.random.default_rng(0))
    >>> x[:, 0].tolist(), y[:, 0].tolist(), mask[:, 0].tolist()
    ([6, 5, 4, 2], [0, 0, 6, 5], [False, False, True, True])
    """
    check_at_least("T", T, 1)
    check_at_least("B", B, 1)
    check_at_least("delay", delay, 0)
    check_at_least("n_symbols", n_symbols, 2)
    check_type("rng", rng, np.random.Generator)
    if delay >= T:
        raise ValueError(f"delay: expected less than T = {T}, got {delay}")
    x = rng.integers(n_symbols, size=(T, B))
    y = np.zeros_like(x)
    y[delay:] = x[: T - delay]
    mask = np.zeros((T, B), bool)
    mask[delay:] = True
    return x, y, mask


ADDING_BASELINE = 1 / 6
"""Mean squared error of always saying 1 in :func:`adding`: the variance of a sum of two numbers.

Some papers print 0.1767 for it; the variance is 1/12 + 1/12 = 0.1667.
"""


def adding(
    T: int, B: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw numbers of which two are marked; the target is the sum of those two.

    One mark is in the first half of the sequence, one in the second. Without memory the best answer
    is always 1, the mean, with the mean squared error :data:`ADDING_BASELINE`. A model that
    remembers only the second number has half of that, 1/12.

    Parameters
    ----------
    T, B
        Steps, at least 2, and sequences.
    rng
        Random generator.

    Returns
    -------
    x
        Float64 ``(T, B, 2)``: a number, uniform from 0 to 1, and the mark, 0 or 1.
    y
        The sum, float64 ``(B,)``.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range, or ``rng`` is not a generator.

    References
    ----------
    Hochreiter and Schmidhuber (1997), "Long short-term memory", experiment 4, in the variant of
    Le, Jaitly and Hinton (2015), "A simple way to initialize recurrent networks of rectified
    linear units".

    Examples
    --------
    >>> x, y = adding(6, 1, np.random.default_rng(0))
    >>> x[:, 0, 1].tolist()
    [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    >>> y[0] == x[1, 0, 0] + x[4, 0, 0]
    np.True_
    """
    check_at_least("T", T, 2)
    check_at_least("B", B, 1)
    check_type("rng", rng, np.random.Generator)
    x = np.zeros((T, B, 2))
    x[..., 0] = rng.random((T, B))
    b = np.arange(B)
    first, second = rng.integers(T // 2, size=B), rng.integers(T // 2, T, size=B)
    x[first, b, 1] = x[second, b, 1] = 1
    return x, x[first, b, 0] + x[second, b, 0]


def copying(
    B: int, delay: int, rng: np.random.Generator, n_items: int = 10, n_symbols: int = 8
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Draw a list of symbols that has to be written down again after a delay.

    Symbols are numbered from 0; the blank is ``n_symbols`` and the sign to begin
    ``n_symbols + 1``. Without memory the best loss is :func:`copying_baseline`, reached by blanks
    up to the sign and a uniform guess after it.

    Parameters
    ----------
    B
        Sequences.
    delay
        Steps from the last symbol to the sign, at least 1.
    rng
        Random generator.
    n_items
        The length of the list.
    n_symbols
        How many different symbols there are, at least 2.

    Returns
    -------
    x, y
        Int64 ``(T, B)`` with ``T = delay + 2 * n_items``. x has the list, blanks, the sign at step
        ``n_items + delay - 1``, and blanks again; y has blanks, and the list at the end.
    mask
        Where y has the list, bool ``(T, B)``.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range, or ``rng`` is not a generator.

    References
    ----------
    Arjovsky, Shah and Bengio (2016), "Unitary evolution recurrent neural networks", section 5.1.

    Examples
    --------
    >>> x, y, mask = copying(1, 2, np.random.default_rng(0), n_items=3, n_symbols=4)
    >>> x[:, 0].tolist(), y[:, 0].tolist()
    ([3, 2, 2, 4, 5, 4, 4, 4], [4, 4, 4, 4, 4, 3, 2, 2])
    """
    check_at_least("B", B, 1)
    check_at_least("delay", delay, 1)
    check_at_least("n_items", n_items, 1)
    check_at_least("n_symbols", n_symbols, 2)
    check_type("rng", rng, np.random.Generator)
    T = delay + 2 * n_items
    x, y = np.full((2, T, B), n_symbols)
    x[:n_items] = y[-n_items:] = rng.integers(n_symbols, size=(n_items, B))
    x[n_items + delay - 1] = n_symbols + 1
    mask = np.zeros((T, B), bool)
    mask[-n_items:] = True
    return x, y, mask


def copying_baseline(delay: int, n_items: int = 10, n_symbols: int = 8) -> float:
    """Return the best mean loss over all T steps of :func:`copying` without memory, in nats.

    Over the steps of the mask alone it is ``log(n_symbols)``.

    Parameters
    ----------
    delay, n_items, n_symbols
        As given to :func:`copying`.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range.

    Examples
    --------
    >>> round(copying_baseline(delay=100), 4)
    0.1733
    """
    check_at_least("delay", delay, 1)
    check_at_least("n_items", n_items, 1)
    check_at_least("n_symbols", n_symbols, 2)
    return n_items * math.log(n_symbols) / (delay + 2 * n_items)


def recall_first(
    T: int, B: int, rng: np.random.Generator, n_symbols: int = 8
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw random symbols; the target at the end is the first one.

    A model that cannot reach back T - 1 steps does no better than the uniform guess:
    ``log(n_symbols)`` nats, an accuracy of ``1 / n_symbols``.

    Parameters
    ----------
    T, B
        Steps and sequences.
    rng
        Random generator.
    n_symbols
        How many different symbols there are, at least 2.

    Returns
    -------
    x, y
        Symbols, int64 ``(T, B)``, and targets, int64 ``(B,)``.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range, or ``rng`` is not a generator.

    Examples
    --------
    >>> x, y = recall_first(4, 1, np.random.default_rng(0))
    >>> x[:, 0].tolist(), y.tolist()
    ([6, 5, 4, 2], [6])
    """
    check_at_least("T", T, 1)
    check_at_least("B", B, 1)
    check_at_least("n_symbols", n_symbols, 2)
    check_type("rng", rng, np.random.Generator)
    x = rng.integers(n_symbols, size=(T, B))
    return x, x[0].copy()


def associative_recall(
    B: int, n_pairs: int, rng: np.random.Generator, n_keys: int = 16, n_values: int = 8
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pairs of a key and a value, then one of the keys; the target is its value.

    Keys are numbered from 0 and differ within a sequence; values are numbered from ``n_keys`` and
    may repeat. Without memory the accuracy is ``1 / n_values``. A model that remembers one pair has
    ``1 / n_pairs + (1 - 1 / n_pairs) / n_values``.

    Parameters
    ----------
    B
        Sequences.
    n_pairs
        Pairs in a sequence, from 1 to ``n_keys``.
    rng
        Random generator.
    n_keys, n_values
        How many different keys and values there are; values at least 2.

    Returns
    -------
    x
        Key, value, key, value, …, and the key asked for, int64 ``(T, B)`` with
        ``T = 2 * n_pairs + 1``.
    y
        Its value, int64 ``(B,)``.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range, or ``rng`` is not a generator.

    Examples
    --------
    >>> x, y = associative_recall(1, 2, np.random.default_rng(0), n_keys=4, n_values=3)
    >>> x[:, 0].tolist(), y.tolist()
    ([2, 4, 0, 4, 2], [4])
    """
    check_at_least("B", B, 1)
    check_at_least("n_pairs", n_pairs, 1)
    check_at_least("n_keys", n_keys, 1)
    check_at_least("n_values", n_values, 2)
    check_type("rng", rng, np.random.Generator)
    if n_pairs > n_keys:
        raise ValueError(f"n_pairs: expected at most n_keys = {n_keys}, got {n_pairs}")
    keys = rng.permuted(np.tile(np.arange(n_keys)[:, None], B), axis=0)[:n_pairs]
    values = rng.integers(n_keys, n_keys + n_values, size=(n_pairs, B))
    asked, b = rng.integers(n_pairs, size=B), np.arange(B)
    x = np.empty((2 * n_pairs + 1, B), np.int64)
    x[:-1:2], x[1::2], x[-1] = keys, values, keys[asked, b]
    return x, values[asked, b]


def parity(T: int, B: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw bits; the target at each step is whether the number of ones so far is odd.

    One bit of memory is enough. Without it, and for whatever misses a single bit, the accuracy is
    1/2 and the loss ``log(2)`` nats, from the second step on.

    Parameters
    ----------
    T, B
        Steps and sequences.
    rng
        Random generator.

    Returns
    -------
    x, y
        Bits and targets, int64 ``(T, B)``.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range, or ``rng`` is not a generator.

    Examples
    --------
    >>> x, y = parity(5, 1, np.random.default_rng(0))
    >>> x[:, 0].tolist(), y[:, 0].tolist()
    ([1, 1, 1, 0, 0], [1, 0, 1, 1, 1])
    """
    check_at_least("T", T, 1)
    check_at_least("B", B, 1)
    check_type("rng", rng, np.random.Generator)
    x = rng.integers(2, size=(T, B))
    return x, x.cumsum(axis=0) % 2
