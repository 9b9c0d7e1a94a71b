"""Compare a gradient derived by hand with one measured by central differences."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_shape, check_type

Array = NDArray[np.floating]


def relative_error(a: Array, b: Array) -> float:
    """Return the largest difference between two arrays, relative to the largest entry of either.

    Parameters
    ----------
    a, b
        Arrays of the same shape.

    Returns
    -------
    error
        0 if the arrays are equal, of order 1 if they have nothing in common. NaN if either
        contains one.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> relative_error(np.array([1.0, 2.0]), np.array([1.0, 2.1])).__round__(3)
    0.048
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"b: expected shape {a.shape} as a has, got {b.shape}")
    if a.size == 0:
        return 0.0
    scale = np.maximum(np.abs(a).max(), np.abs(b).max())
    return float(np.abs(a - b).max() / scale) if scale != 0 else 0.0


def numerical_gradient(f: Callable[[], float], a: Array, eps: float = 1e-5) -> Array:
    """Measure the gradient of ``f`` with respect to ``a`` by central differences.

    Each entry is nudged up and down by ``eps`` in place and then restored, even if ``f`` raises, so
    ``f`` must read ``a`` itself. The error is of order ``eps**2``, which is why this beats a
    one-sided difference.

    Parameters
    ----------
    f
        Takes nothing, returns the loss.
    a
        What ``f`` depends on: float64, because in float32 rounding would drown the difference.
    eps
        Size of the nudge.

    Returns
    -------
    gradient
        Of the shape of ``a``.

    Raises
    ------
    TypeError
        If ``a`` is not an array of float64.
    ValueError
        If ``eps`` is not positive.
    """
    check_type("a", a, np.ndarray)
    if not eps > 0:
        raise ValueError(f"eps: expected a number above 0, got {eps}")
    if a.dtype != np.float64:
        raise TypeError(f"a: expected dtype float64, got {a.dtype}")
    gradient = np.empty_like(a)
    for i in np.ndindex(a.shape):
        kept = a[i]
        try:
            a[i] = kept + eps
            above = f()
            a[i] = kept - eps
            below = f()
        finally:
            a[i] = kept
        gradient[i] = (above - below) / (2 * eps)
    return gradient


def check_gradients(
    f: Callable[[], float],
    values: Mapping[str, Array],
    grads: Mapping[str, Array],
    eps: float = 1e-5,
) -> dict[str, float]:
    """Return the relative error of each gradient against central differences.

    Parameters
    ----------
    f
        Takes nothing, returns the loss; reads the arrays in ``values``.
    values, grads
        Arrays and the gradients to be checked, by the same names. A gradient whose array is not
        given is not checked.
    eps
        Size of the nudge.

    Returns
    -------
    errors
        One :func:`relative_error` per name. Below 1e-7 is right; above 1e-4 is a bug.

    Raises
    ------
    KeyError
        If a gradient is missing.
    ValueError
        If a gradient's shape is not its array's, or ``eps`` is not positive.
    TypeError
        If one of ``values`` is not an array of float64.

    Examples
    --------
    >>> w = np.array([3.0])
    >>> check_gradients(lambda: float(w[0] ** 2), {"w": w}, {"w": 2 * w})["w"] < 1e-9
    True
    """
    for name, a in values.items():
        if name not in grads:
            raise KeyError(f"grads: expected the names {sorted(values)}, got {sorted(grads)}")
        check_shape(f"grads[{name!r}]", np.shape(grads[name]), np.shape(a))
    return {
        name: relative_error(grads[name], numerical_gradient(f, a, eps))
        for name, a in values.items()
    }
