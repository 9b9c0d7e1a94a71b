"""The recurrent network in NumPy: forward by definition, backward by hand.

Chapter 3 writes :func:`forward` and chapter 4 derives :func:`backward`. :class:`RNN` stacks them
into layers and directions with the parameter names and layouts of ``torch.nn.RNN``, so that
weights move between the two by name.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnncourse.checks import check_choice
from rnncourse.reference.stack import Array, Stack, Weights, flat

# Each nonlinearity f with its slope f', written as a function of h = f(a): no need to keep a.
NONLINEARITIES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "relu": (lambda a: np.maximum(a, 0), lambda h: (h > 0).astype(h.dtype)),
}


def forward(
    x: Array, h0: Array, W_xh: Array, W_hh: Array, b_h: Array, nonlinearity: str = "tanh"
) -> Array:
    """Run one layer in one direction.

    ``h[t+1] = f(x[t] @ W_xh.T + h[t] @ W_hh.T + b_h)`` (Elman, 1990).

    Parameters
    ----------
    x
        Inputs, ``(T, B, I)``.
    h0
        Initial state, ``(B, H)``.
    W_xh, W_hh, b_h
        Weights ``(H, I)`` and ``(H, H)``, bias ``(H,)``.
    nonlinearity
        ``"tanh"`` or ``"relu"``.

    Returns
    -------
    h
        States, ``(T + 1, B, H)``: the initial one, then one after each step.
    """
    f, _ = NONLINEARITIES[nonlinearity]
    T, B, H = *x.shape[:2], len(b_h)
    a = (flat(x) @ W_xh.T + b_h).reshape(T, B, H)  # what the input contributes to all steps
    h = np.empty((T + 1, B, H), x.dtype)
    h[0] = h0
    for t in range(T):
        h[t + 1] = f(a[t] + h[t] @ W_hh.T)
    return h


def backward(
    dh: Array, x: Array, h: Array, W_xh: Array, W_hh: Array, nonlinearity: str = "tanh"
) -> tuple[Array, Array, Array, Array, Array]:
    """Backpropagate through :func:`forward` (Werbos, 1990).

    Parameters
    ----------
    dh
        Gradient of the loss with respect to the state after each step, ``(T, B, H)``, from
        whatever uses it outside this layer.
    x, h, W_xh, W_hh, nonlinearity
        The arguments of :func:`forward`, and what it returned.

    Returns
    -------
    dx, dh0, dW_xh, dW_hh, db_h
        Gradients, each shaped like the array it belongs to.
    """
    _, slope = NONLINEARITIES[nonlinearity]
    da = slope(h[1:])  # (T, B, H): f'(a[t]) now, the gradient with respect to a[t] after the loop
    carry = np.zeros_like(h[0])  # the gradient that a state gets from later steps
    for t in reversed(range(len(x))):
        da[t] *= dh[t] + carry
        carry = da[t] @ W_hh
    d = flat(da)  # one product for all steps
    return (d @ W_xh).reshape(x.shape), carry, d.T @ flat(x), d.T @ flat(h[:-1]), d.sum(0)


class RNN(Stack[Array]):
    """A recurrent network of one or more layers, in one or both directions.

    Parameters
    ----------
    input_size, hidden_size, num_layers
        I, H and the number of layers.
    nonlinearity
        ``"tanh"`` or ``"relu"``.
    bidirectional, dtype, rng
        As in :class:`~rnncourse.reference.stack.Stack`, which also documents ``params``,
        ``grads``, :meth:`forward` and :meth:`backward`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> net = RNN(3, 4, rng=rng)
    >>> out, h_n = net.forward(rng.normal(size=(5, 2, 3)))
    >>> out.shape, h_n.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bidirectional: bool = False,
        *,
        dtype: type[np.floating] = np.float64,
        rng: np.random.Generator,
    ) -> None:
        check_choice("nonlinearity", nonlinearity, NONLINEARITIES)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bidirectional, dtype=dtype, rng=rng)

    def _forward(
        self, x: Array, s0: list[Array], p: Weights
    ) -> tuple[list[Array], tuple[Any, ...]]:
        # PyTorch keeps two biases for the sake of cuDNN; only their sum matters.
        bias = p["bias_ih"] + p["bias_hh"]
        h = forward(x, s0[0], p["weight_ih"], p["weight_hh"], bias, self.nonlinearity)
        return [h[1:]], (x, h)

    def _backward(
        self, ds: list[Array], kept: tuple[Any, ...], p: Weights
    ) -> tuple[Array, list[Array], Weights]:
        x, h = kept
        dx, dh0, dW_xh, dW_hh, db = backward(
            ds[0], x, h, p["weight_ih"], p["weight_hh"], self.nonlinearity
        )
        return dx, [dh0], dict(zip(p, (dW_xh, dW_hh, db, db.copy()), strict=True))
