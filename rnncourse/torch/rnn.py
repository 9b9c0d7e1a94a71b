"""A drop-in for ``torch.nn.RNN`` that trains through the pass derived by hand in chapter 4.

All the layouts that ``torch.nn.RNN`` takes become one here: the rows of all steps in one matrix,
``N = sum(sizes)`` rows, where step ``t`` owns the next ``sizes[t]`` rows. That is how PyTorch
packs sequences of unequal length, longest first; for a plain batch every size is B.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnncourse.checks import (
    check_choice,
    check_dtype,
    check_lengths,
    check_shape,
)


def recurrence(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor,
    sizes: list[int],
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run one layer in one direction and let autograd record every step: the plain definition.

    Parameters
    ----------
    x
        Inputs of all steps, ``(N, I)``.
    h0
        Initial state, ``(B, H)``.
    w_ih, w_hh, bias
        ``(H, I)``, ``(H, H)`` and ``(H,)``.
    sizes
        How many sequences are still there at each step, never growing; ``sizes[0]`` is B.
    nonlinearity
        ``"tanh"`` or ``"relu"``.
    reverse
        Start at the last step.

    Returns
    -------
    h, h_n
        States of all steps ``(N, H)``, and the state that each sequence ends in ``(B, H)``.
    """
    f = getattr(torch, nonlinearity)
    inputs = torch.split(F.linear(x, w_ih, bias), sizes)
    states, ended = [], []
    h = h0[: sizes[-1 if reverse else 0]]
    for a in reversed(inputs) if reverse else inputs:
        rows = len(a)
        if rows > len(h):  # backwards in time, longer sequences come first: shorter ones join
            h = torch.cat([h, h0[len(h) : rows]])
        elif rows < len(h):
            ended.append(h[rows:])
        h = f(a + F.linear(h[:rows], w_hh))
        states.append(h)
    h_n = torch.cat([h, *reversed(ended)])
    return torch.cat(states[::-1] if reverse else states), h_n


def _resize(state: Tensor, rows: int, joining: Tensor, ended: Tensor) -> Tensor:
    """Give a state ``rows`` rows: new ones come from ``joining``, those dropped go to ``ended``."""
    have = len(state)
    if rows > have:
        return torch.cat([state, joining[have:rows]])
    if rows < have:
        ended[rows:have] = state[rows:]
    return state[:rows]


class HandDerived(torch.autograd.Function):
    """:func:`recurrence` with its backward pass written by hand (chapter 4).

    Faster than a recorded loop for three reasons: nothing is recorded, each step works in place
    in memory that is already there, and the weights' gradients are one large product after the
    loop in place of one small product a step.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        bias: Tensor,
        sizes: list[int],
        nonlinearity: str,
        reverse: bool,
    ) -> tuple[Tensor, Tensor]:
        """Take and return what :func:`recurrence` does."""
        h = torch.addmm(bias, x, w_ih.t())  # (N, H): becomes the states, in place
        steps = list(zip(torch.split(h, sizes), sizes, strict=True))
        if reverse:
            steps.reverse()
        f_ = torch.tanh_ if nonlinearity == "tanh" else torch.relu_
        w_t, h_n = w_hh.t(), torch.empty_like(h0)
        have = steps[0][1]
        state = h0[:have]
        for a, rows in steps:
            if rows != have:
                state, have = _resize(state, rows, h0, h_n), rows
            state = f_(a.addmm_(state, w_t))
        h_n[:have] = state
        ctx.save_for_backward(x, h0, w_ih, w_hh, bias, h)
        ctx.sizes, ctx.nonlinearity, ctx.reverse = sizes, nonlinearity, reverse
        ctx.set_materialize_grads(False)
        return h, h_n

    @staticmethod
    def backward(ctx: Any, dh: Tensor | None, dh_n: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients by ``x, h0, w_ih, w_hh, bias``."""
        x, h0, w_ih, w_hh, bias, h = ctx.saved_tensors
        dh = torch.zeros_like(h) if dh is None else dh
        dh_n = torch.zeros_like(h0) if dh_n is None else dh_n
        if torch.is_grad_enabled():  # asked for a gradient of the gradient: record the plain loop
            inputs = (x, h0, w_ih, w_hh, bias)
            out = recurrence(*inputs, ctx.sizes, ctx.nonlinearity, ctx.reverse)
            wanted = [v for v, need in zip(inputs, ctx.needs_input_grad, strict=False) if need]
            got = iter(torch.autograd.grad(out, wanted, (dh, dh_n), create_graph=True))
            return *(next(got) if n else None for n in ctx.needs_input_grad[:5]), None, None, None

        tanh = ctx.nonlinearity == "tanh"
        da = dh.clone()  # (N, H): becomes the gradient by what goes into f, from the last step on
        dh0 = torch.empty_like(h0)
        steps = list(
            zip(torch.split(da, ctx.sizes), torch.split(h, ctx.sizes), ctx.sizes, strict=True)
        )
        if not ctx.reverse:
            steps.reverse()
        have = steps[0][2]
        steps[0][0].add_(dh_n[:have])
        later: Tensor | None = None  # da of the step after this one
        for d, state, rows in steps:
            if later is not None and rows == have:
                d.addmm_(later, w_hh)
            elif later is not None:
                d.add_(_resize(later @ w_hh, rows, dh_n, dh0))
            if tanh:  # d *= 1 - state**2, in one pass over memory
                torch.ops.aten.tanh_backward.grad_input(d, state, grad_input=d)
            else:  # d *= state > 0
                torch.ops.aten.threshold_backward.grad_input(d, state, 0, grad_input=d)
            later, have = d, rows
        assert later is not None  # there is at least one step
        torch.mm(later, w_hh, out=dh0[:have])

        needs = ctx.needs_input_grad
        return (
            da @ w_ih if needs[0] else None,
            dh0 if needs[1] else None,
            da.t() @ x if needs[2] else None,
            _weight_gradient(da, h, h0, ctx.sizes, ctx.reverse) if needs[3] else None,
            da.sum(0) if needs[4] else None,
            None,
            None,
            None,
        )


def _weight_gradient(da: Tensor, h: Tensor, h0: Tensor, sizes: list[int], reverse: bool) -> Tensor:
    """Sum over all steps of ``da[t].T @ (the state that went into step t)``."""
    B, N = len(h0), len(h)
    if sizes[-1] == B:  # a plain batch: the states before, seen as one matrix, need no copy
        if reverse:
            return torch.addmm(da[N - B :].t() @ h0, da[: N - B].t(), h[B:])
        return torch.addmm(da[:B].t() @ h0, da[B:].t(), h[: N - B])
    states = torch.split(h, sizes)
    if reverse:
        rows = [
            torch.cat([states[t + 1] if t + 1 < len(sizes) else h0[:0], h0[s:b]])
            for t, (b, s) in enumerate(zip(sizes, [*sizes[1:], 0], strict=True))
        ]
    else:
        rows = [h0, *(states[t][:b] for t, b in enumerate(sizes[1:]))]
    return da.t() @ torch.cat(rows)


class RNN(nn.RNN):
    """A recurrent network with the interface, weights and numbers of ``torch.nn.RNN``.

    It takes ``torch.nn.RNN``'s arguments: ``input_size``, ``hidden_size``, ``num_layers``,
    ``nonlinearity`` (``"tanh"`` or ``"relu"``), ``bias``, ``batch_first``, ``dropout``,
    ``bidirectional``, ``device`` and ``dtype``. Training runs through the pass derived by hand,
    on any device. A gradient of a gradient is right as well (through a recorded loop).

    Raises
    ------
    ValueError
        If an argument is unknown or out of range.

    Examples
    --------
    >>> net = RNN(3, 4)
    >>> out, h_n = net(torch.zeros(5, 2, 3))
    >>> out.shape, h_n.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size: expected no such argument (LSTM has it), got one")
        check_choice(
            "nonlinearity",
            args[3] if len(args) > 3 else kwargs.get("nonlinearity", "tanh"),
            ("tanh", "relu"),
        )
        super().__init__(*args, **kwargs)

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run the network.

        Parameters
        ----------
        input
            ``(T, B, I)``, or ``(B, T, I)`` with ``batch_first``, or ``(T, I)`` for one sequence,
            or a ``PackedSequence``.
        hx
            Initial states, ``(num_layers * directions, B, H)``, without B for one sequence;
            zeros if left out.
        lengths
            True length of each sequence of a padded batch, ``(B,)``, in any order. What stands
            behind a sequence's end is never looked at, and the output there is zero. (An
            addition to ``torch.nn.RNN``, in place of packing and unpacking.)

        Returns
        -------
        out
            States of the last layer, laid out as the input, ``directions * H`` features.
        h_n
            State after each sequence's last step, shaped as ``hx``.

        Raises
        ------
        ValueError
            If a shape is wrong, a sequence is empty or a length lies outside 1 to T.
        TypeError
            If the input's or the state's dtype is not the weights', or the input is no tensor.
        """
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths: expected None with a PackedSequence, got a value")
            return self._packed(input, hx)
        if not isinstance(input, Tensor):
            got = type(input).__name__
            raise TypeError(f"input: expected a Tensor or a PackedSequence, got {got}")
        check_dtype("input", input.dtype, self.weight_ih_l0.dtype)
        if input.dim() == 2 and lengths is None:
            check_shape("input", input.shape, ("T", self.input_size))
            if hx is not None:
                check_shape("hx", hx.shape, (self._rows, self.hidden_size))
                hx = hx.unsqueeze(1)
            out, h_n = self._layers(input, [1] * len(input), hx)
            return out, h_n.squeeze(1)
        axes = ("B", "T") if self.batch_first else ("T", "B")
        check_shape("input", input.shape, (*axes, self.input_size))
        x = input.transpose(0, 1) if self.batch_first else input  # (T, B, I)
        T, B, _ = x.shape
        if lengths is not None:
            check_lengths(lengths.tolist(), T, B)
            packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
            packed_out, h_n = self._packed(packed, hx)
            out, _ = pad_packed_sequence(packed_out, total_length=T)
        else:
            flat, h_n = self._layers(x.reshape(T * B, -1), [B] * T, hx)
            out = flat.view(T, B, -1)
        return (out.transpose(0, 1) if self.batch_first else out), h_n

    @property
    def _rows(self) -> int:
        """How many initial states there are: one a layer and direction."""
        return self.num_layers * (2 if self.bidirectional else 1)

    def _packed(self, x: PackedSequence, hx: Tensor | None) -> tuple[PackedSequence, Tensor]:
        check_shape("input.data", x.data.shape, ("N", self.input_size))
        check_dtype("input.data", x.data.dtype, self.weight_ih_l0.dtype)
        if hx is not None and x.sorted_indices is not None:
            check_shape("hx", hx.shape, (self._rows, len(x.sorted_indices), self.hidden_size))
            hx = hx.index_select(1, x.sorted_indices)
        out, h_n = self._layers(x.data, x.batch_sizes.tolist(), hx)
        if x.unsorted_indices is not None:
            h_n = h_n.index_select(1, x.unsorted_indices)
        return PackedSequence(out, x.batch_sizes, x.sorted_indices, x.unsorted_indices), h_n

    def _layers(self, x: Tensor, sizes: list[int], hx: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run all layers and directions on the rows of all steps."""
        shape = (self._rows, sizes[0], self.hidden_size)
        if hx is None:
            hx = x.new_zeros(shape)
        check_shape("hx", hx.shape, shape)
        check_dtype("hx", hx.dtype, x.dtype)
        h_n: list[Tensor] = []
        for layer in range(self.num_layers):
            outs = []
            for suffix in ("", "_reverse") if self.bidirectional else ("",):
                w_ih, w_hh, *biases = (
                    getattr(self, f"{name}_l{layer}{suffix}")
                    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[
                        : 2 + 2 * self.bias
                    ]
                )
                # PyTorch keeps two biases for the sake of cuDNN; only their sum matters.
                bias = biases[0] + biases[1] if self.bias else x.new_zeros(self.hidden_size)
                args = (x, hx[len(h_n)], w_ih, w_hh, bias, sizes, self.nonlinearity, bool(suffix))
                out, last = HandDerived.apply(*args)  # type: ignore[no-untyped-call]
                outs.append(out)
                h_n.append(last)
            x = torch.cat(outs, dim=-1) if self.bidirectional else outs[0]
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, torch.stack(h_n)


__all__ = ["RNN", "HandDerived", "recurrence"]
