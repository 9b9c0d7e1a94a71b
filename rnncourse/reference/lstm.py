"""Long short-term memory in NumPy: forward by definition, backward by hand.

Chapter 6 writes :func:`forward` and derives :func:`backward`. :class:`LSTM` stacks them into layers
and directions with the gate order (i, f, g, o), names and layouts of ``torch.nn.LSTM``.
"""

from typing import Any

import numpy as np

from rnncourse.reference.stack import Array, Stack, Weights, flat


def forward(
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    peephole: Array | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Run one layer in one direction.

    With ``a = W_ih x[t] + W_hh h[t] + b``, split into four (Hochreiter and Schmidhuber, 1997; the
    forget gate: Gers et al., 2000)::

        i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)    g = tanh(a_g)
        c[t+1] = f * c[t] + i * g                             h[t+1] = o * tanh(c[t+1])

    Parameters
    ----------
    x
        Inputs, ``(T, B, I)``.
    h0, c0
        Initial state and cell state, ``(B, H)``.
    W_ih, W_hh, b
        Weights ``(4 * H, I)`` and ``(4 * H, H)``, bias ``(4 * H,)``, in the order i, f, g, o.
    peephole
        ``(3, H)`` or None: how much of c[t] is added to a_i and a_f, and of c[t+1] to a_o (Gers
        and Schmidhuber, 2000).

    Returns
    -------
    h, c
        States, ``(T + 1, B, H)``: the initial one, then one after each step.
    tanh_c
        ``tanh(c[1:])``, ``(T, B, H)``.
    gates
        i, f, g, o side by side, ``(T, B, 4 * H)``.
    """
    T, B, H = *x.shape[:2], h0.shape[1]
    # sigmoid(a) = (1 + tanh(a / 2)) / 2: with halved weights, one tanh serves all four gates.
    scale = np.repeat(np.array([0.5, 0.5, 1, 0.5], x.dtype), H)
    shift = np.repeat(np.array([0.5, 0.5, 0, 0.5], x.dtype), H)
    gates = (flat(x) @ (W_ih.T * scale)).reshape(T, B, 4 * H)  # what the input contributes
    gates += b * scale
    W_hh_T = W_hh.T * scale
    i, f, g, o = np.split(gates, 4, axis=2)  # views: they show what the loop writes
    h, c = np.empty((2, T + 1, B, H), x.dtype)
    tanh_c = np.empty((T, B, H), x.dtype)
    h[0], c[0] = h0, c0
    for t in range(T):
        a = gates[t]  # (B, 4H)
        a += h[t] @ W_hh_T
        if peephole is None:
            _squash(a, scale, shift)
            c[t + 1] = f[t] * c[t] + i[t] * g[t]
        else:
            i[t] += c[t] * peephole[0] / 2
            f[t] += c[t] * peephole[1] / 2
            _squash(a[:, : 3 * H], scale[: 3 * H], shift[: 3 * H])
            c[t + 1] = f[t] * c[t] + i[t] * g[t]
            o[t] += c[t + 1] * peephole[2] / 2
            _squash(o[t], scale[:H], shift[:H])
        tanh_c[t] = np.tanh(c[t + 1])
        h[t + 1] = o[t] * tanh_c[t]
    return h, c, tanh_c, gates


def _squash(a: Array, scale: Array, shift: Array) -> None:
    """Turn ``a`` in place into tanh (scale 1) or, if it was halved, sigmoid (scale 1/2)."""
    np.tanh(a, out=a)
    a *= scale
    a += shift


def backward(
    dh: Array,
    dc: Array,
    x: Array,
    h: Array,
    c: Array,
    tanh_c: Array,
    gates: Array,
    W_ih: Array,
    W_hh: Array,
    peephole: Array | None = None,
) -> tuple[Array, ...]:
    """Backpropagate through :func:`forward`.

    Parameters
    ----------
    dh, dc
        Gradients of the loss with respect to both states after each step, ``(T, B, H)``,
        from whatever uses them outside this layer.
    x, h, c, tanh_c, gates, W_ih, W_hh, peephole
        The arguments of :func:`forward`, and what it returned.

    Returns
    -------
    dx, dh0, dc0, dW_ih, dW_hh, db
        Gradients, each shaped like the array it belongs to; with peepholes also dpeephole.
    """
    i, f, g, o = np.split(gates, 4, axis=2)
    da = np.empty_like(gates)  # gradient with respect to what went into the gates
    di, df, dg, do = np.split(da, 4, axis=2)
    carry_h, carry_c = np.zeros_like(h[0]), np.zeros_like(c[0])  # from later steps
    for t in reversed(range(len(x))):
        dh_t = dh[t] + carry_h
        do[t] = dh_t * tanh_c[t] * o[t] * (1 - o[t])
        dc_t = dc[t] + carry_c + dh_t * o[t] * (1 - tanh_c[t] * tanh_c[t])
        if peephole is not None:
            dc_t += do[t] * peephole[2]
        di[t] = dc_t * g[t] * i[t] * (1 - i[t])
        df[t] = dc_t * c[t] * f[t] * (1 - f[t])
        dg[t] = dc_t * i[t] * (1 - g[t] * g[t])
        carry_c = dc_t * f[t]
        if peephole is not None:
            carry_c += di[t] * peephole[0] + df[t] * peephole[1]
        carry_h = da[t] @ W_hh
    d = flat(da)  # one product for all steps
    dx, dW_ih, dW_hh = (d @ W_ih).reshape(x.shape), d.T @ flat(x), d.T @ flat(h[:-1])
    grads = (dx, carry_h, carry_c, dW_ih, dW_hh, d.sum(0))
    if peephole is None:
        return grads
    seen = ((di, c[:-1]), (df, c[:-1]), (do, c[1:]))
    return (*grads, np.stack([(dgate * state).sum((0, 1)) for dgate, state in seen]))


class LSTM(Stack[tuple[Array, Array]]):
    """Long short-term memory of one or more layers, in one or both directions.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bidirectional
        As in :class:`~rnncourse.reference.stack.Stack`, which also documents ``params``,
        ``grads``, :meth:`forward` and :meth:`backward`. States are pairs (h, c).
    peepholes
        Let the gates see the cell state. This adds ``weight_peephole_l0`` ``(3, H)``, in the
        order i, f, o; ``torch.nn.LSTM`` has none.
    dtype, rng
        As in ``Stack``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> net = LSTM(3, 4, rng=rng)
    >>> out, (h_n, c_n) = net.forward(rng.normal(size=(5, 2, 3)))
    >>> out.shape, h_n.shape, c_n.shape
    ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    """

    gates = 4
    states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        *,
        peepholes: bool = False,
        dtype: type[np.floating] = np.float64,
        rng: np.random.Generator,
    ) -> None:
        self.peepholes = peepholes
        super().__init__(input_size, hidden_size, num_layers, bidirectional, dtype=dtype, rng=rng)

    def _shapes(self, I: int) -> dict[str, tuple[int, ...]]:
        extra = {"weight_peephole": (3, self.hidden_size)} if self.peepholes else {}
        return super()._shapes(I) | extra

    def _forward(
        self, x: Array, s0: list[Array], p: Weights
    ) -> tuple[list[Array], tuple[Any, ...]]:
        h0, c0 = s0
        bias = p["bias_ih"] + p["bias_hh"]
        peephole = p.get("weight_peephole")
        h, c, tanh_c, gates = forward(x, h0, c0, p["weight_ih"], p["weight_hh"], bias, peephole)
        return [h[1:], c[1:]], (x, h, c, tanh_c, gates)

    def _backward(
        self, ds: list[Array], kept: tuple[Any, ...], p: Weights
    ) -> tuple[Array, list[Array], Weights]:
        (dh, dc), (x, h, c, tanh_c, gates) = ds, kept
        W_ih, W_hh, peephole = p["weight_ih"], p["weight_hh"], p.get("weight_peephole")
        dx, dh0, dc0, dW_ih, dW_hh, db, *dpeephole = backward(
            dh, dc, x, h, c, tanh_c, gates, W_ih, W_hh, peephole
        )
        dp = dict(zip(p, [dW_ih, dW_hh, db, db.copy(), *dpeephole], strict=True))
        return dx, [dh0, dc0], dp
