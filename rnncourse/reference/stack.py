"""What the recurrent models share: layers, directions, lengths, initial states and weights.

A model's own file contains the mathematics of one layer in one direction. :class:`Stack` runs it
layer by layer and in both directions, and keeps padding out of it: a sequence that is read from its
end is reversed within its own length, so padding always comes last; the outputs there are set to
zero, and no gradient enters there.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least, check_dtype, check_lengths, check_shape, check_type
from rnncourse.reference.arrays import check_floats

Array = NDArray[np.floating]
Weights = dict[str, Array]
State = TypeVar("State")  # an array, or one for h and one for c


def flat(a: Array) -> Array:
    """Return ``(T, B, F)`` as ``(T * B, F)``: one product then serves all steps."""
    return a.reshape(-1, a.shape[-1])


def turn(a: Array, lengths: NDArray[np.integer] | None) -> Array:
    """Return ``a`` ``(T, B, F)`` with each sequence reversed; its padding stays at the end.

    Turning twice gives ``a`` back.
    """
    if lengths is None:
        return a[::-1]
    t = np.arange(len(a))[:, None]  # (T, 1)
    return np.take_along_axis(a, np.where(t < lengths, lengths - 1 - t, t)[:, :, None], 0)


def weight(name: str, value: Any) -> NDArray[Any]:
    """Return an array, or a tensor detached from its graph, as an array of real numbers.

    Raises
    ------
    TypeError
        If NumPy cannot represent it, as with bfloat16 or a tensor on a GPU, or it is not real.
    """
    try:
        a = np.asarray(value.detach() if hasattr(value, "detach") else value)
    except TypeError as error:
        raise TypeError(f"{name}: expected numbers that NumPy can hold, got {error}") from error
    if a.dtype.kind not in "fiu":
        raise TypeError(f"{name}: expected real numbers, got {a.dtype}")
    return a


class Stack(ABC, Generic[State]):
    """A recurrent network of one or more layers, in one or both directions.

    Parameters
    ----------
    input_size, hidden_size, num_layers
        I, H and the number of layers.
    bidirectional
        Also read each sequence from its end. The outputs of both directions are concatenated.
    dtype
        ``float64`` (the default) or ``float32``.
    rng
        Draws the weights uniformly from ``[-1/sqrt(H), 1/sqrt(H)]``, as PyTorch does.

    Attributes
    ----------
    params, grads
        Weights and, after :meth:`backward`, their gradients, under PyTorch's names
        (``weight_ih_l0`` ``(G * H, I)``, ``weight_hh_l0`` ``(G * H, H)``, ``bias_ih_l0`` and
        ``bias_hh_l0`` ``(G * H,)`` with G gates in PyTorch's order; ``_reverse`` is added for the
        second direction).

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1, ``dtype`` is not floating-point, or ``rng``
        is not a generator.
    """

    gates = 1
    states: tuple[str, ...] = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        *,
        dtype: type[np.floating],
        rng: np.random.Generator,
    ) -> None:
        check_at_least("input_size", input_size, 1)
        check_at_least("hidden_size", hidden_size, 1)
        check_at_least("num_layers", num_layers, 1)
        check_type("rng", rng, np.random.Generator)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = ["", "_reverse"] if bidirectional else [""]
        self.dtype = np.dtype(dtype)
        if self.dtype.kind != "f":
            raise TypeError(f"dtype: expected floating-point numbers, got {self.dtype}")
        self.params: Weights = {}
        self.grads: Weights = {}
        bound = hidden_size**-0.5
        for layer in range(num_layers):
            I = input_size if layer == 0 else hidden_size * len(self.directions)
            for d in self.directions:
                for name, shape in self._shapes(I).items():
                    draw = rng.uniform(-bound, bound, shape)
                    self.params[f"{name}_l{layer}{d}"] = draw.astype(dtype)

    def _shapes(self, I: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights of one layer and direction."""
        H, G = self.hidden_size, self.gates * self.hidden_size
        return {"weight_ih": (G, I), "weight_hh": (G, H), "bias_ih": (G,), "bias_hh": (G,)}

    @abstractmethod
    def _forward(
        self, x: Array, s0: list[Array], p: Weights
    ) -> tuple[list[Array], tuple[Any, ...]]:
        """Return each state after each step, ``(T, B, H)``, and what :meth:`_backward` needs."""

    @abstractmethod
    def _backward(
        self, ds: list[Array], kept: tuple[Any, ...], p: Weights
    ) -> tuple[Array, list[Array], Weights]:
        """Return the gradients with respect to x, the initial states and the weights."""

    def state_dict(self) -> Weights:
        """Return a copy of the weights under PyTorch's names."""
        return {name: p.copy() for name, p in self.params.items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Load weights under PyTorch's names, in place: all, or none if it raises.

        Raises
        ------
        KeyError
            If a name is missing or unknown.
        ValueError
            If a shape is wrong.
        TypeError
            If a weight does not consist of real numbers that NumPy can represent.
        """
        if state.keys() != self.params.keys():
            odd = sorted(state.keys() ^ self.params.keys())
            raise KeyError(f"state: expected the names {sorted(self.params)}, differs in {odd}")
        new = {name: weight(name, state[name]).astype(self.dtype) for name in self.params}
        for name, p in new.items():
            check_shape(name, p.shape, self.params[name].shape)
        for name, p in new.items():
            self.params[name][...] = p  # in place: an optimizer that refers to the array sees it

    @classmethod
    def from_state_dict(cls, state: Mapping[str, ArrayLike], **options: Any) -> Self:
        """Make a network from weights under PyTorch's names; they determine sizes and dtype.

        Parameters
        ----------
        state
            Arrays, or tensors on the CPU, as ``state_dict()`` of ``torch.nn`` returns them.
        options
            Arguments of the constructor that cannot be read off the weights, like ``nonlinearity``.

        Raises
        ------
        KeyError
            If a name is missing or unknown.
        ValueError
            If a shape is wrong.
        TypeError
            If a weight does not consist of real numbers that NumPy can represent, or
            ``weight_ih_l0`` not of floating-point numbers.
        """
        if not {"weight_ih_l0", "weight_hh_l0"} <= state.keys():
            raise KeyError(f"state: expected weight_ih_l0 and weight_hh_l0, got {sorted(state)}")
        W_ih, W_hh = (weight(name, state[name]) for name in ("weight_ih_l0", "weight_hh_l0"))
        check_floats("weight_ih_l0", W_ih)
        check_shape("weight_ih_l0", W_ih.shape, ("G * H", "I"))
        check_shape("weight_hh_l0", W_hh.shape, ("G * H", "H"))
        net = cls(
            W_ih.shape[1],
            W_hh.shape[1],
            sum(name.startswith("weight_ih") and "reverse" not in name for name in state),
            bidirectional="weight_ih_l0_reverse" in state,
            dtype=W_ih.dtype.type,
            rng=np.random.default_rng(0),  # these weights are replaced at once
            **options,
        )
        net.load_state_dict(state)
        return net

    def forward(
        self, x: Array, h0: State | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Run the network.

        Parameters
        ----------
        x
            Inputs, ``(T, B, I)``.
        h0
            Initial states, ``(num_layers * directions, B, H)``; an LSTM takes a pair (h0, c0).
            Zeros if left out.
        lengths
            True length of each sequence, ``(B,)``. Steps after it are ignored.

        Returns
        -------
        out
            States h of the last layer, ``(T, B, directions * H)``, zero after a sequence's end.
        h_n
            State after each sequence's last step, shaped like ``h0``.

        Raises
        ------
        ValueError
            If a shape is wrong, the sequence is empty or a length lies outside 1 to T.
        TypeError
            If an array's dtype is not that of the weights, or a length is not a whole number.
        """
        x = np.asarray(x)
        check_shape("x", x.shape, ("T", "B", self.input_size))
        check_dtype("x", x.dtype, self.dtype)
        T, B, _ = x.shape
        s0 = self._each("{}0", h0, B)
        ends = np.full(B, T - 1)  # each sequence's last step
        n = None
        if lengths is not None:
            n = np.asarray(lengths)
            check_shape("lengths", n.shape, (B,))
            check_lengths(list(n), T, B)
            ends = n - 1
        padding = np.arange(T)[:, None] > ends  # (T, B)
        if n is not None:
            x = np.where(padding[:, :, None], 0, x)  # a padded NaN must not reach a product
        self._lengths, self._ends, self._padding = n, ends, padding
        self._kept: list[tuple[Any, ...]] = []  # for each layer and direction
        s_n = [np.empty_like(s) for s in s0]
        for layer in range(self.num_layers):
            outs = []
            for d in self.directions:
                i = len(self._kept)
                inputs = turn(x, n) if d else x
                found, kept = self._forward(inputs, [s[i] for s in s0], self._weights(layer, d))
                for s, end in zip(found, s_n, strict=True):
                    end[i] = s[ends, np.arange(B)]
                found[0][padding] = 0
                outs.append(turn(found[0], n) if d else found[0])
                self._kept.append(kept)
            x = np.concatenate(outs, axis=-1)
        return x, self._state(s_n)

    def backward(self, dout: Array, dh_n: State | None = None) -> tuple[Array, State]:
        """Backpropagate through the last :meth:`forward`; fills ``grads``.

        Parameters
        ----------
        dout
            Gradient of the loss with respect to ``out``, ``(T, B, directions * H)``.
        dh_n
            Gradient with respect to ``h_n``, shaped like it; zeros if left out.

        Returns
        -------
        dx, dh0
            Gradients with respect to the inputs ``(T, B, I)`` and the initial states.

        Raises
        ------
        RuntimeError
            If :meth:`forward` has not been called.
        ValueError
            If a shape is wrong.
        TypeError
            If an array's dtype is not that of the weights.
        """
        if not hasattr(self, "_kept"):
            raise RuntimeError("backward: expected a call of forward before it, got none")
        H, n, padding = self.hidden_size, self._lengths, self._padding
        T, B = padding.shape
        dout = np.asarray(dout)
        check_shape("dout", dout.shape, (T, B, H * len(self.directions)))
        check_dtype("dout", dout.dtype, self.dtype)
        ds_n = self._each("d{}_n", dh_n, B)
        ds_0 = [np.empty_like(s) for s in ds_n]
        for layer in reversed(range(self.num_layers)):
            dxs = []
            for k, d in enumerate(self.directions):
                i = layer * len(self.directions) + k
                dh = dout[:, :, k * H : (k + 1) * H]
                dh = np.where(padding[:, :, None], 0, turn(dh, n) if d else dh)
                ds = [dh, *(np.zeros_like(dh) for _ in ds_n[1:])]
                for s, end in zip(ds, ds_n, strict=True):
                    s[self._ends, np.arange(B)] += end[i]
                dx, starts, dp = self._backward(ds, self._kept[i], self._weights(layer, d))
                for s0, start in zip(ds_0, starts, strict=True):
                    s0[i] = start
                dxs.append(turn(dx, n) if d else dx)
                self.grads |= {f"{name}_l{layer}{d}": g for name, g in dp.items()}
            dout = sum(dxs[1:], dxs[0])
        return dout, self._state(ds_0)

    def _weights(self, layer: int, direction: str) -> Weights:
        return {name: self.params[f"{name}_l{layer}{direction}"] for name in self._shapes(1)}

    def _each(self, name: str, value: State | None, B: int) -> list[Array]:
        """Return the arrays of a state, h or h and c, checked; zeros for None."""
        shape = (self.num_layers * len(self.directions), B, self.hidden_size)
        if value is None:
            return [np.zeros(shape, self.dtype) for _ in self.states]
        names = [name.format(s) for s in self.states]
        parts = [np.asarray(v) for v in (value if isinstance(value, tuple | list) else [value])]
        if len(parts) != len(names):
            raise ValueError(
                f"{names[0]}: expected a tuple ({', '.join(names)}), got {len(parts)} array(s)"
            )
        for part_name, part in zip(names, parts, strict=True):
            check_shape(part_name, part.shape, shape)
            check_dtype(part_name, part.dtype, self.dtype)
        return parts

    def _state(self, parts: list[Array]) -> State:
        return cast(State, parts[0] if len(parts) == 1 else tuple(parts))
