"""A drop-in for ``torch.nn.RNN`` that trains through the pass derived by hand in chapter 4."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.checks import check_choice
from rnncourse.torch.layers import DropIn
from rnncourse.torch.private import watched
from rnncourse.torch.steps import Steps, light, recorded, resize, unroll


def recurrence(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor,
    sizes: list[int],
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> tuple[Tensor, ...]:
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

    def cell(a: Tensor, h: Tensor) -> tuple[Tensor]:
        return (f(a + F.linear(h, w_hh)),)

    return unroll(cell, F.linear(x, w_ih, bias), (h0,), Steps(sizes, reverse))


class HandDerived(torch.autograd.Function):
    """:func:`recurrence` with its backward pass written by hand (chapter 4).

    Faster than a recorded loop for three reasons: nothing is recorded, each step works in place
    in memory that is already there, and the weights' gradients are a few large products in place
    of one small product a step: one for each chunk of time that fits the processor's cache.
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
        steps = Steps(sizes, reverse)
        h = torch.addmm(bias, x, w_ih.t())  # (N, H): becomes the states, in place
        xp, array = light(h)
        cut = steps.cut(h, array)
        w_t, h_n = w_hh.t(), torch.empty_like(h0)
        have = cut[0][0]
        state = h0[:have]
        for rows, a, values in cut:
            if rows != have:
                state, have = resize(state, rows, h0, h_n), rows
            state = a.addmm_(state, w_t)
            if nonlinearity == "tanh":
                xp.tanh(values, out=values)
            else:
                state.relu_()
        h_n[:have] = state
        ctx.save_for_backward(x, h0, w_ih, w_hh, bias, h)
        ctx.steps, ctx.nonlinearity = steps, nonlinearity
        ctx.set_materialize_grads(False)
        return h, h_n

    @staticmethod
    def backward(ctx: Any, dout: Tensor | None, dh_n: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients by ``x, h0, w_ih, w_hh, bias``."""
        x, h0, w_ih, w_hh, bias, h = ctx.saved_tensors
        steps, needs, inputs = ctx.steps, ctx.needs_input_grad, (x, h0, w_ih, w_hh, bias)
        dout = torch.zeros_like(h) if dout is None else dout
        dh = torch.zeros_like(h0) if dh_n is None else dh_n
        if torch.is_grad_enabled() or watched(dout, dh):  # a gradient of the gradient, or many
            grads = (dout, dh)
            settings = (steps.sizes, ctx.nonlinearity, steps.reverse)
            return *recorded(recurrence, inputs, needs, grads, *settings), None, None, None

        tanh, H = ctx.nonlinearity == "tanh", h0.shape[1]
        dh = dh.clone()  # (B, H): carried from chunk to chunk, in place
        dx: Tensor | None = None
        dw_ih, dw_hh, dbias = (torch.zeros_like(inputs[k]) if needs[k] else None for k in (2, 3, 4))
        for span, rows, chunk in reversed(steps.chunks(2 * H)):
            da, have = dout[rows].clone(), -1  # becomes the gradient by what goes into f
            later = da  # da of the step after this one
            for size, d, state in reversed(chunk.cut(da, h[rows])):
                if size == have:
                    d.addmm_(later, w_hh)
                else:
                    if have > 0:
                        torch.mm(later, w_hh, out=dh[:have])
                    d.add_(dh[:size])
                if tanh:  # d *= 1 - state**2, in one pass over memory
                    torch.ops.aten.tanh_backward.grad_input(d, state, grad_input=d)
                else:  # d *= state > 0
                    torch.ops.aten.threshold_backward.grad_input(d, state, 0, grad_input=d)
                later, have = d, size
            torch.mm(later, w_hh, out=dh[:have])
            if dw_ih is not None:
                dw_ih.addmm_(da.t(), x[rows])
            if dw_hh is not None:
                dw_hh.addmm_(da.t(), steps.before(h, h0, span))
            if dbias is not None:
                dbias.add_(da.sum(0))
            if needs[0]:
                dx = torch.empty_like(x) if dx is None else dx
                torch.mm(da, w_ih, out=dx[rows])
        return dx, dh, dw_ih, dw_hh, dbias, None, None, None


class RNN(DropIn[Tensor], nn.RNN):
    """A recurrent network with the interface, weights and numbers of ``torch.nn.RNN``.

    It takes ``torch.nn.RNN``'s arguments: ``input_size``, ``hidden_size``, ``num_layers``,
    ``nonlinearity`` (``"tanh"`` or ``"relu"``), ``bias``, ``batch_first``, ``dropout``,
    ``bidirectional``, ``device`` and ``dtype``, and ``kernel`` (see
    :class:`~rnncourse.torch.layers.DropIn`). On a CPU it trains through the pass derived by hand,
    from 8 steps on, and without a gradient takes it from 64 steps on. A gradient of a gradient is
    right as well (through a recorded loop).

    Where the hand-derived pass trains, the output must not be changed in place before
    ``backward``, as by ``+=``, ``relu_`` or ``Dropout(inplace=True)``: copy it first.
    ``torch.nn.RNN`` allows it on a CPU.

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

    fewest_to_infer = 64  # each step works in place in memory that is already there

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        kernel: str = "auto",
    ) -> None:
        check_choice("nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(
            kernel,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            nonlinearity=nonlinearity,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )

    def _pass(
        self,
        x: Tensor,
        states: list[Tensor],
        weights: list[Tensor],
        sizes: list[int],
        reverse: bool,
    ) -> tuple[Tensor, ...]:
        w_ih, w_hh, b_ih, b_hh = weights
        # PyTorch keeps two biases for the sake of cuDNN; only their sum matters.
        args = (x, *states, w_ih, w_hh, b_ih + b_hh, sizes, self.nonlinearity, reverse)
        found: tuple[Tensor, ...] = HandDerived.apply(*args)  # type: ignore[no-untyped-call]
        return found


__all__ = ["RNN", "HandDerived", "recurrence"]
