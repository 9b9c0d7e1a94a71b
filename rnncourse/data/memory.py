"""Tasks that ask for a symbol again after a known number of steps."""

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least


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
        Where the chance comes from.
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
        If a number is not whole or out of its range.

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
    if delay >= T:
        raise ValueError(f"delay: expected less than T = {T}, got {delay}")
    x = rng.integers(n_symbols, size=(T, B))
    y = np.zeros_like(x)
    y[delay:] = x[: T - delay]
    mask = np.zeros((T, B), bool)
    mask[delay:] = True
    return x, y, mask
