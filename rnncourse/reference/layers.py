"""What follows a recurrent layer: a linear output layer and the loss."""

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_shape
from rnncourse.reference.arrays import check_array, check_floats, check_tokens

Array = NDArray[np.floating]


def linear(h: Array, W: Array, b: Array) -> Array:
    """Return ``h @ W.T + b`` with ``h`` ``(..., H)``, ``W`` ``(O, H)``, ``b`` ``(O,)``.

    Raises TypeError or ValueError if one is not an array or its shape is wrong.
    """
    check_array("h", h, (..., "H"))
    check_array("W", W, ("O", h.shape[-1]))
    check_array("b", b, (len(W),))
    return np.asarray(h @ W.T + b)


def linear_backward(dy: Array, h: Array, W: Array) -> tuple[Array, Array, Array]:
    """Return ``dh, dW, db``, given the gradient ``dy`` ``(..., O)`` with respect to the output.

    Raises TypeError or ValueError if one is not an array or its shape is wrong.
    """
    check_array("h", h, (..., "H"))
    check_array("W", W, ("O", h.shape[-1]))
    check_array("dy", dy, (*h.shape[:-1], len(W)))
    flat = dy.reshape(-1, len(W))
    return dy @ W, flat.T @ h.reshape(-1, W.shape[1]), flat.sum(0)


def softmax_cross_entropy(
    logits: Array, targets: NDArray[np.integer], mask: NDArray[np.bool_] | None = None
) -> tuple[float, Array]:
    """Mean cross-entropy of a softmax, and its gradient with respect to the logits.

    Parameters
    ----------
    logits
        ``(..., O)``.
    targets
        Class numbers, ``(...)``; those at masked positions are ignored.
    mask
        ``(...)``, true at the positions that count; all if left out. The mean is over these.

    Returns
    -------
    loss
        In nats.
    dlogits
        Shaped like ``logits``; exactly zero at masked positions.

    Raises
    ------
    ValueError
        If a shape is wrong, a target is not a class, or no position counts.
    TypeError
        If the logits are not an array of floating-point numbers, or the targets are not whole
        numbers.
    """
    check_floats("logits", logits)
    check_array("logits", logits, (..., "O"))
    targets = np.asarray(targets)
    check_shape("targets", targets.shape, logits.shape[:-1])
    keep = np.ones(targets.shape, bool) if mask is None else np.asarray(mask, bool)
    check_shape("mask", keep.shape, targets.shape)
    if not keep.any():
        raise ValueError("mask: expected at least one true place, got none")
    z, y = logits[keep], targets[keep]  # (N, O), (N,)
    check_tokens("targets", y, z.shape[1])
    z = z - z.max(1, keepdims=True)  # the largest exponent becomes 0: nothing overflows
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    rows = np.arange(len(y))
    loss = -log_p[rows, y].mean()
    dz = np.exp(log_p)
    dz[rows, y] -= 1
    dlogits = np.zeros_like(logits)
    dlogits[keep] = dz / len(y)
    return float(loss), dlogits
