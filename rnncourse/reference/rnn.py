"""The recurrent network in NumPy: forward by definition, backward by hand.

Chapter 3 reads :func:`forward` and chapter 4 derives :func:`backward`. The class :class:`RNN`
stacks them into layers and directions with the parameter names and layouts of ``torch.nn.RNN``,
so that weights move between the two by name.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least, check_choice, check_dtype, check_lengths, check_shape

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

# Each nonlinearity f with its slope f', written as a function of h = f(a): no need to keep a.
NONLINEARITIES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "relu": (lambda a: np.maximum(a, 0), lambda h: (h > 0).astype(h.dtype)),
}


def forward(
    x: Array,
    h0: Array,
    W_xh: Array,
    W_hh: Array,
    b_h: Array,
    nonlinearity: str = "tanh",
    mask: Mask | None = None,
) -> Array:
    """Run one layer in one direction.

    ``h[t] = f(x[t] @ W_xh.T + h[t-1] @ W_hh.T + b_h)`` (Elman, 1990).

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
    mask
        ``(T, B, 1)``, true where a step is real. The state stands still where it is false.

    Returns
    -------
    h
        States, ``(T, B, H)``.
    """
    f, _ = NONLINEARITIES[nonlinearity]
    a = x @ W_xh.T + b_h  # (T, B, H): the input's share of every step, in one product
    h = np.empty_like(a)
    state = h0
    for t in range(len(x)):
        new = f(a[t] + state @ W_hh.T)  # (B, H)
        state = new if mask is None else np.where(mask[t], new, state)
        h[t] = state
    return h


def backward(
    dh: Array,
    dh_T: Array,
    x: Array,
    h0: Array,
    h: Array,
    W_xh: Array,
    W_hh: Array,
    nonlinearity: str = "tanh",
    mask: Mask | None = None,
) -> tuple[Array, Array, Array, Array, Array]:
    """Backpropagate through :func:`forward` (Werbos, 1990).

    Parameters
    ----------
    dh
        Gradient of the loss by each state as the layer's output, ``(T, B, H)``.
    dh_T
        Gradient by the last state from whatever else uses it, ``(B, H)``.
    x, h0, h, W_xh, W_hh, nonlinearity, mask
        What :func:`forward` took and gave.

    Returns
    -------
    dx, dh0, dW_xh, dW_hh, db_h
        Gradients, each of the shape of what it belongs to.
    """
    _, slope = NONLINEARITIES[nonlinearity]
    da = slope(h)  # (T, B, H): f'(a[t]) now, the gradient by a[t] after the loop
    carry = dh_T  # the gradient that reaches h[t] from later steps
    for t in reversed(range(len(x))):
        total = dh[t] + carry  # (B, H)
        da[t] *= total
        if mask is None:
            carry = da[t] @ W_hh
        else:
            da[t] = np.where(mask[t], da[t], 0)
            carry = np.where(mask[t], da[t] @ W_hh, total)
    before = np.concatenate([h0[None], h[:-1]])  # (T, B, H): h[t-1] beside each a[t]
    dW_xh = np.tensordot(da, x, axes=((0, 1), (0, 1)))  # one product for all steps
    dW_hh = np.tensordot(da, before, axes=((0, 1), (0, 1)))
    return da @ W_xh, carry, dW_xh, dW_hh, da.sum((0, 1))


class RNN:
    """A recurrent network of one or more layers, in one or both directions.

    Parameters
    ----------
    input_size, hidden_size, num_layers
        I, H and the number of layers.
    nonlinearity
        ``"tanh"`` or ``"relu"``.
    bidirectional
        Also read each sequence from its end. Outputs of both directions stand side by side.
    dtype
        ``float64`` (the default) or ``float32``.
    rng
        Draws the weights uniformly from ``[-1/sqrt(H), 1/sqrt(H)]``, as PyTorch does.

    Attributes
    ----------
    params, grads
        Weights and, after :meth:`backward`, their gradients, by PyTorch's names
        (``weight_ih_l0`` ``(H, I)``, ``weight_hh_l0`` ``(H, H)``, ``bias_ih_l0`` and
        ``bias_hh_l0`` ``(H,)``; ``_reverse`` is added for the second direction).

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
        check_at_least("input_size", input_size, 1)
        check_at_least("hidden_size", hidden_size, 1)
        check_at_least("num_layers", num_layers, 1)
        check_choice("nonlinearity", nonlinearity, NONLINEARITIES)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.nonlinearity = nonlinearity
        self.directions = ["", "_reverse"] if bidirectional else [""]
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        H = hidden_size
        for layer in range(num_layers):
            I = input_size if layer == 0 else H * len(self.directions)
            for d in self.directions:
                shapes = {
                    "weight_ih": (H, I),
                    "weight_hh": (H, H),
                    "bias_ih": (H,),
                    "bias_hh": (H,),
                }
                for name, shape in shapes.items():
                    draw = rng.uniform(-(H**-0.5), H**-0.5, shape)
                    self.params[f"{name}_l{layer}{d}"] = draw.astype(dtype)
        self.dtype = np.dtype(dtype)

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of the weights by PyTorch's names."""
        return {name: p.copy() for name, p in self.params.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over weights by PyTorch's names.

        Raises
        ------
        KeyError
            If a name is missing or unknown.
        ValueError
            If a shape is wrong. Nothing is taken over then.
        """
        if state.keys() != self.params.keys():
            odd = sorted(state.keys() ^ self.params.keys())
            raise KeyError(f"state: expected the names {sorted(self.params)}, differs in {odd}")
        new = {name: np.array(state[name], dtype=self.dtype) for name in self.params}
        for name, p in new.items():
            check_shape(name, p.shape, self.params[name].shape)
        self.params = new

    def forward(
        self, x: Array, h0: Array | None = None, lengths: NDArray[np.integer] | None = None
    ) -> tuple[Array, Array]:
        """Run the network.

        Parameters
        ----------
        x
            Inputs, ``(T, B, I)``.
        h0
            Initial states, ``(num_layers * directions, B, H)``; zeros if left out.
        lengths
            True length of each sequence, ``(B,)``. What stands behind it is never looked at.

        Returns
        -------
        out
            States of the last layer, ``(T, B, directions * H)``, zero behind a sequence's end.
        h_n
            State after each sequence's last step, ``(num_layers * directions, B, H)``.

        Raises
        ------
        ValueError
            If a shape is wrong, the sequence is empty or a length lies outside 1 to T.
        TypeError
            If an array's dtype is not the weights'.
        """
        x = np.asarray(x)
        check_shape("x", x.shape, ("T", "B", self.input_size))
        check_dtype("x", x.dtype, self.dtype)
        T, B, _ = x.shape
        rows = self.num_layers * len(self.directions)
        if h0 is None:
            h0 = np.zeros((rows, B, self.hidden_size), self.dtype)
        h0 = np.asarray(h0)
        check_shape("h0", h0.shape, (rows, B, self.hidden_size))
        check_dtype("h0", h0.dtype, self.dtype)
        mask = None
        if lengths is not None:
            lengths = np.asarray(lengths)
            check_shape("lengths", lengths.shape, (B,))
            check_lengths(list(lengths), T, B)
            mask = (np.arange(T)[:, None] < lengths)[:, :, None]  # (T, B, 1)
            x = np.where(mask, x, 0)  # a padded NaN must not reach a product
        self._mask, self._h0 = mask, h0
        self._kept: list[tuple[Array, Array]] = []  # input and states of each layer and direction
        h_n = np.empty_like(h0)
        for layer in range(self.num_layers):
            outs = []
            for d in self.directions:
                i = len(self._kept)
                flip = slice(None, None, -1 if d else 1)
                h = forward(
                    x[flip],
                    h0[i],
                    *self._weights(layer, d),
                    self.nonlinearity,
                    None if mask is None else mask[flip],
                )
                self._kept.append((x, h))
                h_n[i] = h[-1]  # a finished sequence's state has stood still since its end
                outs.append(h[flip])
            x = np.concatenate(outs, axis=-1)
            if mask is not None:
                x = np.where(mask, x, 0)
        return x, h_n

    def backward(self, dout: Array, dh_n: Array | None = None) -> tuple[Array, Array]:
        """Backpropagate through the last :meth:`forward`; fills ``grads``.

        Parameters
        ----------
        dout
            Gradient of the loss by ``out``, ``(T, B, directions * H)``.
        dh_n
            Gradient by ``h_n``, of its shape; zeros if left out.

        Returns
        -------
        dx, dh0
            Gradients by the inputs ``(T, B, I)`` and by the initial states.

        Raises
        ------
        RuntimeError
            If :meth:`forward` has not run.
        ValueError
            If a shape is wrong.
        """
        if not hasattr(self, "_kept"):
            raise RuntimeError("backward: expected a call of forward before it, got none")
        H, mask, h0 = self.hidden_size, self._mask, self._h0
        T, B, _ = self._kept[0][0].shape
        dh_n = np.zeros_like(h0) if dh_n is None else np.asarray(dh_n)
        check_shape("dout", np.shape(dout), (T, B, H * len(self.directions)))
        check_shape("dh_n", dh_n.shape, h0.shape)
        dh0 = np.empty_like(h0)
        for layer in reversed(range(self.num_layers)):
            if mask is not None:
                dout = np.where(mask, dout, 0)
            dx = np.zeros_like(self._kept[layer * len(self.directions)][0])
            for k, d in enumerate(self.directions):
                i = layer * len(self.directions) + k
                x, h = self._kept[i]
                flip = slice(None, None, -1 if d else 1)
                W_xh, W_hh, _ = self._weights(layer, d)
                dx_d, dh0[i], dW_xh, dW_hh, db_h = backward(
                    dout[flip, :, k * H : (k + 1) * H],
                    dh_n[i],
                    x[flip],
                    h0[i],
                    h,
                    W_xh,
                    W_hh,
                    self.nonlinearity,
                    None if mask is None else mask[flip],
                )
                dx += dx_d[flip]
                end = f"l{layer}{d}"
                self.grads |= {f"weight_ih_{end}": dW_xh, f"weight_hh_{end}": dW_hh}
                self.grads |= {f"bias_ih_{end}": db_h, f"bias_hh_{end}": db_h.copy()}
            dout = dx
        return dout, dh0

    def _weights(self, layer: int, direction: str) -> tuple[Array, Array, Array]:
        p, end = self.params, f"l{layer}{direction}"
        # PyTorch keeps two biases for the sake of cuDNN; only their sum matters.
        bias = p[f"bias_ih_{end}"] + p[f"bias_hh_{end}"]
        return p[f"weight_ih_{end}"], p[f"weight_hh_{end}"], bias
