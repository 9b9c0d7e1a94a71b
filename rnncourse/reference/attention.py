"""Attention: for each query, a mean of the values, weighted by how well their keys match it.

Shapes follow ``scaled_dot_product_attention`` of PyTorch: queries ``(..., L, E)``, keys
``(..., S, E)``, values ``(..., S, V)``. A mask ``(..., L, S)`` is true where a query may look. A
query that may look nowhere gets zeros. Neither such a query nor a key or value that no query may
look at is ever read, so that even a NaN stays where it is.
"""

import numpy as np
from numpy.typing import NDArray

from rnncourse.reference.arrays import check_array

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]


def dot_product_attention(
    q: Array, k: Array, v: Array, mask: Mask | None = None, scale: float | None = None
) -> tuple[Array, Array]:
    """Attend with scores ``scale * q @ k.T``.

    Parameters
    ----------
    q, k, v, mask
        ``(..., L, E)``, ``(..., S, E)``, ``(..., S, V)`` and ``(..., L, S)``.
    scale
        ``1 / sqrt(E)`` if left out (Vaswani et al., 2017); 1 is Luong's dot score (2015).

    Returns
    -------
    out
        ``(..., L, V)``.
    weights
        ``(..., L, S)``; each row sums to 1, or to 0 where a query may look nowhere.

    Raises
    ------
    TypeError, ValueError
        If one is not an array, a shape is wrong, or the mask is not boolean.
    """
    _check_dot_product(q, k, v, mask)
    q, k, v = _readable(q, mask, -1), _readable(k, mask, -2), _readable(v, mask, -2)
    weights = _softmax(_scale(q, scale) * (q @ k.swapaxes(-1, -2)), mask)
    return weights @ v, weights


def dot_product_attention_backward(
    dout: Array,
    weights: Array,
    q: Array,
    k: Array,
    v: Array,
    mask: Mask | None = None,
    scale: float | None = None,
) -> tuple[Array, Array, Array]:
    """Return ``dq, dk, dv``, given the weights and the gradient ``dout`` ``(..., L, V)``.

    Raises the same errors as :func:`dot_product_attention`, for ``dout`` and ``weights`` too.
    """
    _check_dot_product(q, k, v, mask)
    q, k, v = _readable(q, mask, -1), _readable(k, mask, -2), _readable(v, mask, -2)
    ds, dv = _scores_backward(dout, weights, q, v, mask)
    ds = ds * _scale(q, scale)
    return ds @ k, ds.swapaxes(-1, -2) @ q, dv


def additive_attention(
    q: Array, k: Array, v: Array, W_q: Array, W_k: Array, w: Array, mask: Mask | None = None
) -> tuple[Array, Array, Array]:
    """Attend with scores ``w · tanh(W_q q + W_k k)`` (Bahdanau et al., 2015).

    Parameters
    ----------
    q, k, v, mask
        ``(..., L, E)``, ``(..., S, E)``, ``(..., S, V)`` and ``(..., L, S)``; queries
        and keys may differ in their number of features.
    W_q, W_k, w
        Weights ``(A, E_q)``, ``(A, E_k)`` and ``(A,)``.

    Returns
    -------
    out
        ``(..., L, V)``.
    weights
        ``(..., L, S)``; each row sums to 1, or to 0 where a query may look nowhere.
    u
        ``tanh(W_q q + W_k k)``, ``(..., L, S, A)``, which the backward pass needs.

    Raises
    ------
    TypeError, ValueError
        If one is not an array, a shape is wrong, or the mask is not boolean.
    """
    _check_additive(q, k, v, W_q, W_k, w, mask)
    q, k, v = _readable(q, mask, -1), _readable(k, mask, -2), _readable(v, mask, -2)
    u = np.tanh((q @ W_q.T)[..., :, None, :] + (k @ W_k.T)[..., None, :, :])
    weights = _softmax(u @ w, mask)
    return weights @ v, weights, u


def additive_attention_backward(
    dout: Array,
    weights: Array,
    u: Array,
    q: Array,
    k: Array,
    v: Array,
    W_q: Array,
    W_k: Array,
    w: Array,
    mask: Mask | None = None,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return ``dq, dk, dv, dW_q, dW_k, dw``, given the gradient ``dout`` ``(..., L, V)``.

    Raises the same errors as :func:`additive_attention`, for ``dout``, ``weights`` and ``u`` too.
    """
    _check_additive(q, k, v, W_q, W_k, w, mask)
    A = len(w)
    check_array("u", u, (*q.shape[:-1], k.shape[-2], A))
    q, k, v = _readable(q, mask, -1), _readable(k, mask, -2), _readable(v, mask, -2)
    ds, dv = _scores_backward(dout, weights, q, v, mask)
    dw = ds.reshape(-1) @ u.reshape(-1, A)
    da = ds[..., None] * w * (1 - u * u)  # (..., L, S, A)
    da_q, da_k = da.sum(-2), da.sum(-3)  # (..., L, A) and (..., S, A)
    dW_q = da_q.reshape(-1, A).T @ q.reshape(-1, q.shape[-1])
    dW_k = da_k.reshape(-1, A).T @ k.reshape(-1, k.shape[-1])
    return da_q @ W_q, da_k @ W_k, dv, dW_q, dW_k, dw


def _softmax(scores: Array, mask: Mask | None) -> Array:
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    p = np.exp(scores - np.where(np.isfinite(top), top, 0))  # the largest exponent becomes 0
    total = p.sum(-1, keepdims=True)
    return p / np.where(total > 0, total, 1)


def _scores_backward(
    dout: Array, weights: Array, q: Array, v: Array, mask: Mask | None
) -> tuple[Array, Array]:
    """Return the gradients with respect to the scores ``(..., L, S)`` and the values."""
    check_array("weights", weights, (*q.shape[:-1], v.shape[-2]))
    check_array("dout", dout, (*q.shape[:-1], v.shape[-1]))
    dout = _readable(dout, mask, -1)
    dp = dout @ v.swapaxes(-1, -2)
    ds = weights * (dp - (dp * weights).sum(-1, keepdims=True))
    return ds, weights.swapaxes(-1, -2) @ dout


def _scale(q: Array, scale: float | None) -> float:
    return float(q.shape[-1] ** -0.5) if scale is None else scale


def _readable(a: Array, mask: Mask | None, axis: int) -> Array:
    """Return what belongs to queries (axis -1) or keys (-2), with zeros where all is masked.

    A NaN there times 0 would be a NaN.
    """
    if mask is None or (seen := mask.any(axis)).all():
        return a
    return np.where(np.expand_dims(seen, -1), a, 0)


def _check_dot_product(q: Array, k: Array, v: Array, mask: Mask | None) -> None:
    _check(q, k, v, mask)
    check_array("k", k, (*q.shape[:-2], "S", q.shape[-1]))


def _check_additive(
    q: Array, k: Array, v: Array, W_q: Array, W_k: Array, w: Array, mask: Mask | None
) -> None:
    _check(q, k, v, mask)
    check_array("w", w, ("A",))
    check_array("W_q", W_q, (len(w), q.shape[-1]))
    check_array("W_k", W_k, (len(w), k.shape[-1]))


def _check(q: Array, k: Array, v: Array, mask: Mask | None) -> None:
    check_array("q", q, (..., "L", "E"))
    check_array("k", k, (*q.shape[:-2], "S", "E"))
    check_array("v", v, (*k.shape[:-1], "V"))
    if mask is not None:
        check_array("mask", mask, (*q.shape[:-1], k.shape[-2]))
        if mask.dtype != bool:
            raise TypeError(f"mask: expected dtype bool, got {mask.dtype}")
