"""Layer normalization: each vector shifted and scaled to mean 0 and variance 1."""

import numpy as np
from numpy.typing import NDArray

from rnncourse.reference.arrays import check_array

Array = NDArray[np.floating]


def layer_norm(x: Array, gain: Array, bias: Array, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Normalize along the last axis (Ba et al., 2016).

    Parameters
    ----------
    x
        ``(..., F)``.
    gain, bias
        ``(F,)``, called ``weight`` and ``bias`` in ``torch.nn.LayerNorm``.
    eps
        Added to the variance.

    Returns
    -------
    y
        ``gain * x_hat + bias``, ``(..., F)``.
    x_hat, inverse_std
        What :func:`layer_norm_backward` needs: ``(..., F)`` and ``(..., 1)``.

    Raises
    ------
    TypeError, ValueError
        If one is not an array or its shape is wrong.
    """
    check_array("x", x, (..., "F"))
    check_array("gain", gain, x.shape[-1:])
    check_array("bias", bias, x.shape[-1:])
    centered = x - x.mean(-1, keepdims=True)
    inverse_std = 1 / np.sqrt((centered * centered).mean(-1, keepdims=True) + eps)
    x_hat = centered * inverse_std
    return gain * x_hat + bias, x_hat, inverse_std


def layer_norm_backward(
    dy: Array, x_hat: Array, inverse_std: Array, gain: Array
) -> tuple[Array, Array, Array]:
    """Return ``dx, dgain, dbias``, given the gradient ``dy`` ``(..., F)`` with respect to y.

    Moving x along the vector of ones or along x_hat does not change x_hat, so the gradient has no
    component in these directions: they are taken out.

    Raises TypeError or ValueError if one is not an array or its shape is wrong.
    """
    check_array("x_hat", x_hat, (..., "F"))
    check_array("gain", gain, x_hat.shape[-1:])
    check_array("dy", dy, x_hat.shape)
    d = dy * gain  # with respect to x_hat
    d = d - d.mean(-1, keepdims=True) - x_hat * (d * x_hat).mean(-1, keepdims=True)
    others = tuple(range(dy.ndim - 1))
    return d * inverse_std, (dy * x_hat).sum(others), dy.sum(others)
