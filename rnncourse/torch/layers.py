"""What RNN, GRU and LSTM share: layouts of input, layers and directions, and which pass runs.

The checks of tensors, and of what autocast and transforms ask for, serve the other layers too.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnncourse.checks import check_choice, check_dtype, check_lengths, check_shape, check_type

KERNELS = ("auto", "hand-derived", "torch")

CASTS = {torch.float32, torch.bfloat16, torch.float16}
"""Dtypes that autocast turns into one another."""


def transformed() -> bool:
    """Whether ``torch.func`` or forward-mode differentiation needs all operations to see."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def autocasts(weight: Tensor) -> bool:
    """Whether PyTorch chooses the precision: then the input's may differ from the weights'."""
    device = weight.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def fits(x: Tensor, weight: Tensor) -> bool:
    """Whether a tensor has the dtype of the weights, or autocast gives both the same."""
    return x.dtype == weight.dtype or ({x.dtype, weight.dtype} <= CASTS and autocasts(weight))


def check_input(name: str, x: Tensor, shape: tuple[int | str, ...], weight: Tensor) -> None:
    """Check an input's type, shape and dtype.

    Raises
    ------
    TypeError, ValueError
        If it is no tensor or has another dtype than the weights; if its shape is wrong.
    """
    check_type(name, x, Tensor)
    check_shape(name, x.shape, shape)
    if not fits(x, weight):
        check_dtype(name, x.dtype, weight.dtype)


def check_true_lengths(lengths: Tensor, steps: int, batch: int) -> None:
    """Check a tensor of true lengths.

    Raises
    ------
    TypeError, ValueError
        If it is no tensor, or as for :func:`rnncourse.checks.check_lengths`.
    """
    check_type("lengths", lengths, Tensor)
    check_lengths(lengths.tolist(), steps, batch)


def fastest(mode: str, data: Tensor, packed: bool, training: bool) -> str:
    """Choose the faster pass, by the measurements of ``make bench``.

    PyTorch runs an LSTM in float32 through oneDNN on a CPU, and all layers through cuDNN on a
    CUDA device: libraries that fuse the operations of a step. Elsewhere it records every step,
    and the hand-derived pass, which does not, trains 1.2 to 2.2 times as fast. Where no gradient
    is wanted, nothing is recorded and the two are about even.

    Parameters
    ----------
    mode
        The cell, as ``torch.nn`` calls it: ``"RNN_TANH"``, ``"RNN_RELU"``, ``"GRU"``, ``"LSTM"``.
    data
        The input.
    packed
        Whether it is a ``PackedSequence``.
    training
        Whether a gradient is wanted.

    Returns
    -------
    kernel
        ``"hand-derived"`` or ``"torch"``.
    """
    if not training or transformed():
        return "torch"
    device = data.device.type
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    onednn = has_onednn and data.dtype == torch.float32 and not packed
    if device != "cpu" or torch.is_autocast_enabled(device) or (mode == "LSTM" and onednn):
        return "torch"
    return "hand-derived"


def _has_rows(input: Any) -> bool:
    return isinstance(input, PackedSequence) or (isinstance(input, Tensor) and input.numel() > 0)


def _to(value: Any, weight: Tensor) -> Any:
    """Return a tensor, or all tensors of a tuple, in the precision of the weights."""
    if isinstance(value, Tensor | PackedSequence):
        return value.to(weight.dtype)
    return tuple(_to(v, weight) for v in value) if isinstance(value, tuple | list) else value


class DropIn(nn.RNNBase):
    """Base of :class:`RNN`, :class:`GRU` and :class:`LSTM`: all but the pass itself.

    The hand-derived pass keeps its output for the gradient: to change an output in place before
    ``backward``, which ``torch.nn`` allows for RNN and GRU on a CPU, copy it first.

    Attributes
    ----------
    kernel
        Which pass runs: ``"hand-derived"``, ``"torch"`` (PyTorch's own) or ``"auto"``, the faster
        of the two as :func:`fastest` knows it. May be set at any time.
    ran
        Which of the two ran last; ``None`` before the first run.
    """

    state_names: tuple[str, ...] = ("hx",)

    def __init__(self, *args: Any, kernel: str = "auto", **kwargs: Any) -> None:
        check_choice("kernel", kernel, KERNELS)
        super().__init__(*args, **kwargs)
        if self.proj_size:
            got = self.proj_size
            raise ValueError(f"proj_size: expected 0 (torch.nn.LSTM has projections), got {got}")
        self.kernel = kernel
        self.ran: str | None = None

    def extra_repr(self) -> str:
        """Say what the layer is made of."""
        text = super().extra_repr()
        return text if self.kernel == "auto" else f"{text}, kernel={self.kernel!r}"

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Tensor | None = None,
    ) -> Any:
        """Run the network.

        Parameters
        ----------
        input
            ``(T, B, I)``, or ``(B, T, I)`` with ``batch_first``, or ``(T, I)`` for one sequence,
            or a ``PackedSequence``.
        hx
            Initial state, ``(num_layers * directions, B, H)``, without B for one sequence; for an
            LSTM a pair ``(h_0, c_0)`` of such tensors. Zeros if left out.
        lengths
            True length of each sequence of a padded batch, ``(B,)``, in any order. What stands
            behind a sequence's end is never looked at, and the output there is zero. (An
            addition to ``torch.nn``, in place of packing and unpacking.)

        Returns
        -------
        out
            States of the last layer, laid out as the input, ``directions * H`` features.
        h_n
            State after each sequence's last step, shaped as ``hx``; for an LSTM ``(h_n, c_n)``.

        Raises
        ------
        ValueError
            If a shape is wrong, a sequence is empty or a length lies outside 1 to T.
        TypeError
            If the input's or the state's dtype is not the weights', or an argument's type is
            wrong.
        """
        unrecorded = lengths is None and not torch.is_grad_enabled()
        if unrecorded and self.kernel in ("auto", "torch") and _has_rows(input):
            # PyTorch's pass. Our checks cost 4 % of a small one ("inference" in the benchmark):
            # they come after, and only where PyTorch refuses, to say it more clearly.
            try:
                result = super().forward(input, hx)
            except Exception:
                self._check(input, hx, lengths)
                raise
            if self.ran != "torch":
                self.ran = "torch"
            return result
        if self.kernel == "hand-derived" and autocasts(weight := next(self.parameters())):
            with torch.autocast(weight.device.type, enabled=False):
                return self.forward(_to(input, weight), _to(hx, weight), lengths=lengths)
        self._check(input, hx, lengths)
        if lengths is not None and isinstance(input, Tensor):
            ragged = pack_padded_sequence(
                input, lengths.cpu(), self.batch_first, enforce_sorted=False
            )
            out, h_n = self.forward(ragged, hx)
            steps = input.shape[1 if self.batch_first else 0]
            return pad_packed_sequence(out, self.batch_first, total_length=steps)[0], h_n
        data = input.data if isinstance(input, PackedSequence) else input
        kernel = self.kernel
        if kernel == "auto":
            training = torch.is_grad_enabled() and (
                data.requires_grad or any(w.requires_grad for w in self.parameters())
            )
            kernel = fastest(self.mode, data, data is not input, training)
        if self.ran != kernel:  # setting an attribute of a module is slow
            self.ran = kernel
        if kernel == "torch":
            return super().forward(input, hx)
        if isinstance(input, PackedSequence):
            order, back = input.sorted_indices, input.unsorted_indices
            states = self._states(hx, data, int(input.batch_sizes[0]))
            if order is not None:
                states = [s.index_select(1, order) for s in states]
            out, last = self._layers(data, input.batch_sizes.tolist(), states)
            out = PackedSequence(out, input.batch_sizes, order, back)
            if back is not None:
                last = [s.index_select(1, back) for s in last]
        elif input.dim() == 2:
            states = [s.view(self._rows, 1, -1) for s in self._states(hx, input, 1)]
            out, last = self._layers(input, [1] * len(input), states)
            last = [s.squeeze(1) for s in last]
        else:
            x = input.transpose(0, 1) if self.batch_first else input  # (T, B, I)
            T, B, _ = x.shape
            out, last = self._layers(x.reshape(T * B, -1), [B] * T, self._states(hx, input, B))
            out = out.view(T, B, -1)
            out = out.transpose(0, 1) if self.batch_first else out
        return out, last[0] if len(last) == 1 else tuple(last)

    @property
    def _rows(self) -> int:
        """How many initial states there are: one a layer and direction."""
        return self.num_layers * (2 if self.bidirectional else 1)

    def _check(self, input: Any, hx: Any, lengths: Tensor | None) -> None:
        """Check what the user passes in."""
        check_choice("kernel", self.kernel, KERNELS)
        weight = next(self.parameters())
        batch: tuple[int, ...]
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths: expected None with a PackedSequence, got a value")
            check_input("input.data", input.data, ("N", self.input_size), weight)
            batch = (int(input.batch_sizes[0]),)
        elif isinstance(input, Tensor):
            single = input.dim() == 2 and lengths is None
            axes = ("T",) if single else ("B", "T") if self.batch_first else ("T", "B")
            check_input("input", input, (*axes, self.input_size), weight)
            batch = () if single else (input.shape[axes.index("B")],)
            if lengths is not None:
                check_true_lengths(lengths, input.shape[axes.index("T")], *batch)
        else:
            got = type(input).__name__
            raise TypeError(f"input: expected a Tensor or a PackedSequence, got {got}")
        if hx is None:
            return
        states, names = (hx,), self.state_names
        if len(names) > 1:
            if not isinstance(hx, tuple | list) or len(hx) != len(names):
                got = type(hx).__name__
                raise TypeError(f"hx: expected a pair ({', '.join(names)}) of Tensors, got {got}")
            states = tuple(hx)
        for name, state in zip(names, states, strict=True):
            shape = (self._rows, *batch, self.hidden_size)
            check_input(name, state, shape, weight)

    def _states(self, hx: Any, x: Tensor, B: int) -> list[Tensor]:
        """Return the initial states, zeros where none are given."""
        if hx is None:
            return [x.new_zeros(self._rows, B, self.hidden_size)] * len(self.state_names)
        return [hx] if isinstance(hx, Tensor) else list(hx)

    def _layers(
        self, x: Tensor, sizes: list[int], initial: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Run all layers and directions on the rows of all steps."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if self.bias else 2]
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            outs = []
            for suffix in ("", "_reverse") if self.bidirectional else ("",):
                weights = [getattr(self, f"{name}_l{layer}{suffix}") for name in names]
                if not self.bias:
                    weights += [x.new_zeros(len(weights[0]))] * 2
                states = [s[len(last)] for s in initial]
                out, *ends = self._pass(x, states, weights, sizes, bool(suffix))
                outs.append(out)
                last.append(tuple(ends))
            x = torch.cat(outs, dim=-1) if self.bidirectional else outs[0]
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, [torch.stack(ends) for ends in zip(*last, strict=True)]

    def _pass(
        self,
        x: Tensor,
        states: list[Tensor],
        weights: list[Tensor],
        sizes: list[int],
        reverse: bool,
    ) -> tuple[Tensor, ...]:
        """Run one layer in one direction: ``weights`` are w_ih, w_hh, b_ih, b_hh."""
        raise NotImplementedError
