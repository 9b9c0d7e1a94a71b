"""Checks of arrays, shared by the models in NumPy; see also ``rnncourse.checks``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_shape, check_type


def check_array(name: str, array: NDArray[Any], shape: Sequence[Any]) -> None:
    """Check that a value is an array of this shape.

    Parameters
    ----------
    name
        The argument's name, for the message.
    array
        The value passed.
    shape
        As in :func:`rnncourse.checks.check_shape`; a leading ``...`` stands for any more axes.

    Raises
    ------
    TypeError
        If it is not a NumPy array.
    ValueError
        If its shape is wrong.

    Examples
    --------
    >>> check_array("h", np.zeros((5, 2, 3)), (..., "H"))
    >>> check_array("h", [1.0, 2.0], (..., "H"))
    Traceback (most recent call last):
        ...
    TypeError: h: expected numpy.ndarray, got list
    """
    check_type(name, array, np.ndarray)
    if shape[:1] == (...,):
        check_shape(name, array.shape[1 - len(shape) :], shape[1:])
    else:
        check_shape(name, array.shape, shape)


def check_floats(name: str, array: NDArray[Any]) -> None:
    """Check that a value is an array of floating-point numbers.

    Raises
    ------
    TypeError
        If it is not: in whole numbers, a small gradient would be cut off to zero.
    """
    check_type(name, array, np.ndarray)
    if array.dtype.kind != "f":
        raise TypeError(f"{name}: expected floating-point numbers, got {array.dtype}")


def check_tokens(name: str, tokens: NDArray[Any], size: int) -> None:
    """Check that all tokens, or other class numbers, are whole numbers from 0 to ``size - 1``.

    Raises
    ------
    TypeError
        If they are not whole numbers.
    ValueError
        If one is not in the vocabulary.
    """
    if not np.issubdtype(tokens.dtype, np.integer):
        raise TypeError(f"{name}: expected whole numbers, got {tokens.dtype}")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < size:
        raise ValueError(
            f"{name}: expected numbers from 0 to {size - 1}, got {tokens.min()} to {tokens.max()}"
        )
