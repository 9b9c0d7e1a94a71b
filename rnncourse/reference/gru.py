"""The gated recurrent unit in NumPy: forward by definition, backward by hand.

Chapter 7 writes :func:`forward` and derives :func:`backward`. :class:`GRU` stacks them into layers
and directions with the gate order (r, z, n), names and layouts of ``torch.nn.GRU``.
"""

from typing import Any

import numpy as np

from rnncourse.reference.stack import Array, Stack, Weights, flat


def forward(
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    reset_after: bool = True,
) -> tuple[Array, Array, Array]:
    """Run one layer in one direction.

    With the weights split into three parts r, z, n (Cho et al., 2014)::

        r, z = sigmoid(W_ih x[t] + b_ih + W_hh h[t] + b_hh)
        n = tanh(W_ih x[t] + b_ih + r * (W_hh h[t] + b_hh))     reset after the product
        n = tanh(W_ih x[t] + b_ih + W_hh (r * h[t]) + b_hh)     reset before the product
        h[t+1] = (1 - z) * n + z * h[t]

    Parameters
    ----------
    x
        Inputs, ``(T, B, I)``.
    h0
        Initial state, ``(B, H)``.
    W_ih, W_hh, b_ih, b_hh
        Weights ``(3 * H, I)`` and ``(3 * H, H)``, biases ``(3 * H,)``, in the order r, z, n.
    reset_after
        Which n: reset after the product, as PyTorch and cuDNN do, or before it, as in the paper.

    Returns
    -------
    h
        States, ``(T + 1, B, H)``: the initial one, then one after each step.
    gates
        r, z, n side by side, ``(T, B, 3 * H)``.
    q
        What the state adds to n, ``(T, B, H)``; before r scales it, if the reset comes after.
    """
    T, B, H = *x.shape[:2], h0.shape[1]
    # sigmoid(a) = (1 + tanh(a / 2)) / 2: with halved weights, tanh serves r and z too.
    scale = np.repeat(np.array([0.5, 0.5, 1], x.dtype), H)
    gates = (flat(x) @ (W_ih.T * scale)).reshape(T, B, 3 * H)  # what the input contributes
    gates += b_ih * scale
    W_hh_T, b_hh = W_hh.T * scale, b_hh * scale
    r, z, n = np.split(gates, 3, axis=2)  # views: they show what the loop writes
    h = np.empty((T + 1, B, H), x.dtype)
    q = np.empty((T, B, H), x.dtype)
    h[0] = h0
    for t in range(T):
        rz = gates[t, :, : 2 * H]  # (B, 2H)
        if reset_after:
            share = h[t] @ W_hh_T + b_hh  # (B, 3H)
            rz += share[:, : 2 * H]
            _sigmoid_of_half(rz)
            q[t] = share[:, 2 * H :]
            n[t] += r[t] * q[t]
        else:
            rz += h[t] @ W_hh_T[:, : 2 * H] + b_hh[: 2 * H]
            _sigmoid_of_half(rz)
            q[t] = (r[t] * h[t]) @ W_hh_T[:, 2 * H :] + b_hh[2 * H :]
            n[t] += q[t]
        np.tanh(n[t], out=n[t])
        h[t + 1] = n[t] + z[t] * (h[t] - n[t])
    return h, gates, q


def _sigmoid_of_half(a: Array) -> None:
    """Turn half of a sigmoid's argument into the sigmoid, in place."""
    np.tanh(a, out=a)
    a += 1
    a /= 2


def backward(
    dh: Array,
    x: Array,
    h: Array,
    gates: Array,
    q: Array,
    W_ih: Array,
    W_hh: Array,
    reset_after: bool = True,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Backpropagate through :func:`forward`.

    Parameters
    ----------
    dh
        Gradient of the loss with respect to the state after each step, ``(T, B, H)``, from
        whatever uses it outside this layer.
    x, h, gates, q, W_ih, W_hh, reset_after
        The arguments of :func:`forward`, and what it returned.

    Returns
    -------
    dx, dh0, dW_ih, dW_hh, db_ih, db_hh
        Gradients, each shaped like the array it belongs to.
    """
    H = h.shape[2]
    r, z, n = np.split(gates, 3, axis=2)
    da = np.empty_like(gates)  # gradient with respect to what the state adds to r, z, n
    dr, dz, dq = np.split(da, 3, axis=2)
    dn = np.empty_like(q)  # gradient with respect to what went into n's tanh
    carry = np.zeros_like(h[0])  # from later steps
    for t in reversed(range(len(x))):
        dh_t = dh[t] + carry
        carry = dh_t * z[t]
        dz[t] = dh_t * (h[t] - n[t]) * z[t] * (1 - z[t])
        dn[t] = (dh_t - carry) * (1 - n[t] * n[t])
        if reset_after:
            dq[t] = dn[t] * r[t]
            dr[t] = dn[t] * q[t] * r[t] * (1 - r[t])
            carry += da[t] @ W_hh
        else:
            dq[t] = dn[t]
            drh = dn[t] @ W_hh[2 * H :]  # gradient with respect to r * h
            dr[t] = drh * h[t] * r[t] * (1 - r[t])
            carry += drh * r[t] + da[t, :, : 2 * H] @ W_hh[: 2 * H]
    d = flat(da)  # one product for all steps
    db_hh, dW_hh = d.sum(0), d.T @ flat(h[:-1])
    if not reset_after:
        dW_hh[2 * H :] = flat(dn).T @ flat(r * h[:-1])
    dq[:] = dn  # the input adds to n outside the brackets that r multiplies
    return (d @ W_ih).reshape(x.shape), carry, d.T @ flat(x), dW_hh, d.sum(0), db_hh


class GRU(Stack[Array]):
    """Gated recurrent units in one or more layers, in one or both directions.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bidirectional
        As in :class:`~rnncourse.reference.stack.Stack`, which also documents ``params``,
        ``grads``, :meth:`forward` and :meth:`backward`.
    reset_after
        Reset after the product with the state, as PyTorch does, or before it, as the paper says
        (ONNX calls this ``linear_before_reset`` 1 and 0).
    dtype, rng
        As in ``Stack``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> net = GRU(3, 4, rng=rng)
    >>> out, h_n = net.forward(rng.normal(size=(5, 2, 3)))
    >>> out.shape, h_n.shape
    ((5, 2, 4), (1, 2, 4))
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        dtype: type[np.floating] = np.float64,
        rng: np.random.Generator,
    ) -> None:
        self.reset_after = reset_after
        super().__init__(input_size, hidden_size, num_layers, bidirectional, dtype=dtype, rng=rng)

    def _forward(
        self, x: Array, s0: list[Array], p: Weights
    ) -> tuple[list[Array], tuple[Any, ...]]:
        W_ih, W_hh, b_ih, b_hh = p.values()
        h, gates, q = forward(x, s0[0], W_ih, W_hh, b_ih, b_hh, self.reset_after)
        return [h[1:]], (x, h, gates, q)

    def _backward(
        self, ds: list[Array], kept: tuple[Any, ...], p: Weights
    ) -> tuple[Array, list[Array], Weights]:
        x, h, gates, q = kept
        W_ih, W_hh, *_ = p.values()
        dx, dh0, *dp = backward(ds[0], x, h, gates, q, W_ih, W_hh, self.reset_after)
        return dx, [dh0], dict(zip(p, dp, strict=True))
