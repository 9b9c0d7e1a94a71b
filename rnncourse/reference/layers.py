"""What stands around a recurrent layer: a linear output layer and the loss."""

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_shape

Array = NDArray[np.floating]


def linear(h: Array, W: Array, b: Array) -> Array:
    """Return ``h @ W.T + b`` with ``h`` ``(..., H)``, ``W`` ``(O, H)``, ``b`` ``(O,)``."""
    check_shape("W", W.shape, ("O", h.shape[-1]))
    check_shape("b", b.shape, (W.shape[0],))
    return np.asarray(h @ W.T + b)


def linear_backward(dy: Array, h: Array, W: Array) -> tuple[Array, Array, Array]:
    """Return ``dh, dW, db``, given the gradient ``dy`` ``(..., O)`` by what :func:`linear` gave."""
    check_shape("dy", dy.shape, (*h.shape[:-1], W.shape[0]))
    flat = dy.reshape(-1, W.shape[0])
    return dy @ W, flat.T @ h.reshape(-1, W.shape[1]), flat.sum(0)


def softmax_cross_entropy(
    logits: Array, targets: NDArray[np.integer], mask: NDArray[np.bool_] | None = None
) -> tuple[float, Array]:
    """Mean cross-entropy of a softmax, and its gradient by the logits.

    Parameters
    ----------
    logits
        ``(..., O)``.
    targets
        Class numbers, ``(...)``. What stands at a masked place is not looked at.
    mask
        ``(...)``, true where a place counts; all do if left out. The mean is over those places.

    Returns
    -------
    loss
        In nats.
    dlogits
        Of the shape of ``logits``; exactly zero at masked places.

    Raises
    ------
    ValueError
        If a shape is wrong, a target is not a class, or no place counts.
    """
    check_shape("targets", targets.shape, logits.shape[:-1])
    keep = np.ones(targets.shape, bool) if mask is None else np.asarray(mask, bool)
    check_shape("mask", keep.shape, targets.shape)
    if not keep.any():
        raise ValueError("mask: expected at least one true place, got none")
    z, y = logits[keep], targets[keep]  # (N, O), (N,)
    if y.min() < 0 or y.max() >= z.shape[1]:
        raise ValueError(
            f"targets: expected classes 0 to {z.shape[1] - 1}, got {y.min()} to {y.max()}"
        )
    z = z - z.max(1, keepdims=True)  # the largest exponent becomes 0: nothing overflows
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    rows = np.arange(len(y))
    loss = -log_p[rows, y].mean()
    dz = np.exp(log_p)
    dz[rows, y] -= 1
    dlogits = np.zeros_like(logits)
    dlogits[keep] = dz / len(y)
    return float(loss), dlogits
