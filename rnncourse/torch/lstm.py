"""A drop-in for ``torch.nn.LSTM`` that can train through a pass derived by hand."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.torch.layers import DropIn
from rnncourse.torch.private import watched
from rnncourse.torch.steps import Steps, light, recorded, resize, unroll


def recurrence(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor,
    sizes: list[int],
    reverse: bool = False,
) -> tuple[Tensor, ...]:
    """Run one layer in one direction and let autograd record every step: the plain definition.

    Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000).

    Parameters
    ----------
    x
        Inputs of all steps, ``(N, I)``.
    h0, c0
        Initial hidden state and cell state, ``(B, H)``.
    w_ih, w_hh, bias
        ``(4H, I)``, ``(4H, H)`` and ``(4H,)``; gates in the order i, f, g, o.
    sizes
        How many sequences are still there at each step, never growing; ``sizes[0]`` is B.
    reverse
        Start at the last step.

    Returns
    -------
    h, h_n, c_n
        Hidden states of all steps ``(N, H)``, and the states that each sequence ends in
        ``(B, H)``.
    """

    def cell(a: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = (a + F.linear(h, w_hh)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    return unroll(cell, F.linear(x, w_ih, bias), (h0, c0), Steps(sizes, reverse))


class HandDerived(torch.autograd.Function):
    """:func:`recurrence` with its backward pass written by hand.

    Both passes go through time in chunks that fit the processor's cache. Backwards, each chunk
    begins with the derivatives that depend on the forward pass alone, for all its steps at once;
    then step by step what depends on the step after; then the chunk's share of the weights'
    gradients, one product each.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        c0: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        bias: Tensor,
        sizes: list[int],
        reverse: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take and return what :func:`recurrence` does."""
        steps, H = Steps(sizes, reverse), h0.shape[1]
        gates = x.new_empty(len(x), 4 * H)  # of all steps: become i, f, g, o, in place
        h, c, tanh_c = (x.new_empty(len(x), H) for _ in range(3))
        h_n, c_n = torch.empty_like(h0), torch.empty_like(c0)
        xp, c_first, c_last, *arrays = light(c0, c_n, *torch.split(gates, H, dim=1), h, c, tanh_c)
        w_t, scratch, have = w_hh.t(), xp.empty_like(c_first), len(h0)
        h_t, c_t = h0, c_first
        for _, rows, chunk in steps.chunks(H):
            a = torch.addmm(bias, x[rows], w_ih.t(), out=gates[rows])
            a_if, a_o, pieces = a[:, : 2 * H], a[:, 3 * H :], (m[rows] for m in arrays)
            cut = chunk.cut(a, a_if, a_o, h[rows], *pieces)
            for size, a_t, if_t, o_t, h_next, i, f, g, o, h_out, c_out, tanh_out in cut:
                if size != have:
                    h_t, c_t = resize(h_t, size, h0, h_n), resize(c_t, size, c_first, c_last)
                    have = size
                a_t.addmm_(h_t, w_t)
                if_t.sigmoid_()
                o_t.sigmoid_()
                xp.tanh(g, out=g)
                c_t = xp.multiply(f, c_t, out=c_out)
                c_t += xp.multiply(i, g, out=scratch[:size])
                xp.multiply(o, xp.tanh(c_t, out=tanh_out), out=h_out)
                h_t = h_next
        h_n[:have], c_last[:have] = h_t, c_t
        ctx.save_for_backward(x, h0, c0, w_ih, w_hh, bias, gates, h, c, tanh_c)
        ctx.steps = steps
        ctx.set_materialize_grads(False)
        return h, h_n, c_n

    @staticmethod
    def backward(
        ctx: Any, dout: Tensor | None, dh_n: Tensor | None, dc_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients by ``x, h0, c0, w_ih, w_hh, bias``."""
        x, h0, c0, w_ih, w_hh, bias, gates, h, c, tanh_c = ctx.saved_tensors
        steps, needs, inputs = ctx.steps, ctx.needs_input_grad, (x, h0, c0, w_ih, w_hh, bias)
        dout = torch.zeros_like(h) if dout is None else dout
        dh = torch.zeros_like(h0) if dh_n is None else dh_n
        dc = torch.zeros_like(c0) if dc_n is None else dc_n
        if torch.is_grad_enabled() or watched(dout, dh, dc):  # a gradient of the gradient, or many
            grads = (dout, dh, dc)
            settings = (steps.sizes, steps.reverse)
            return *recorded(recurrence, inputs, needs, grads, *settings), None, None

        H = h0.shape[1]
        dh, dc = dh.clone(), dc.clone()  # (B, H): carried from chunk to chunk, in place
        dx = torch.empty_like(x) if needs[0] else None
        dw_ih, dw_hh, dbias = (torch.zeros_like(inputs[k]) if needs[k] else None for k in (3, 4, 5))
        sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input  # d * y * (1 - y)
        tanh_backward = torch.ops.aten.tanh_backward.grad_input  # d * (1 - y**2)
        for span, rows, chunk in reversed(steps.chunks(H)):
            i, f, g, o = torch.split(gates[rows], H, dim=1)
            da, k_c = x.new_empty(len(i), 4, H), torch.empty_like(i)
            sigmoid_backward(g, i, grad_input=da[:, 0])
            sigmoid_backward(steps.before(c, c0, span), f, grad_input=da[:, 1])
            tanh_backward(i, g, grad_input=da[:, 2])
            sigmoid_backward(tanh_c[rows], o, grad_input=da[:, 3])
            tanh_backward(o, tanh_c[rows], grad_input=k_c)
            flat = da.view(-1, 4 * H)  # (rows, 4H)
            later, have = flat, -1  # da of the step after this one, and its rows
            cut = chunk.cut(dout[rows].clone(), k_c, da[:, :3], da[:, 3], f, flat)
            for size, dh_t, k_c_t, da_ifg, da_o, f_t, da_t in reversed(cut):
                if size == have:
                    dh_t.addmm_(later, w_hh)
                else:
                    if have > 0:
                        torch.mm(later, w_hh, out=dh[:have])
                    dh_t.add_(dh[:size])
                    dc_t, dc_ifg = dc[:size], dc[:size, None]
                dc_t.addcmul_(dh_t, k_c_t)
                da_ifg.mul_(dc_ifg)
                da_o.mul_(dh_t)
                dc_t.mul_(f_t)
                later, have = da_t, size
            torch.mm(later, w_hh, out=dh[:have])
            if dx is not None:
                torch.mm(flat, w_ih, out=dx[rows])
            if dw_ih is not None:
                dw_ih.addmm_(flat.t(), x[rows])
            if dw_hh is not None:
                dw_hh.addmm_(flat.t(), steps.before(h, h0, span))
            if dbias is not None:
                dbias.add_(flat.sum(0))
        return dx, dh, dc, dw_ih, dw_hh, dbias, None, None


class LSTM(DropIn[tuple[Tensor, Tensor]], nn.LSTM):
    """Long short-term memory with the interface, weights and numbers of ``torch.nn.LSTM``.

    It takes ``torch.nn.LSTM``'s arguments: ``input_size``, ``hidden_size``, ``num_layers``,
    ``bias``, ``batch_first``, ``dropout``, ``bidirectional``, ``device`` and ``dtype``, but not
    ``proj_size``; and ``kernel`` (see :class:`~rnncourse.torch.layers.DropIn`).

    Raises
    ------
    ValueError
        If an argument is unknown or out of range, or ``proj_size`` is not 0.

    Examples
    --------
    >>> net = LSTM(3, 4, kernel="hand-derived")
    >>> out, (h_n, c_n) = net(torch.zeros(5, 2, 3))
    >>> out.shape, h_n.shape, c_n.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]), torch.Size([1, 2, 4]))
    """

    state_names = ("h_0", "c_0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        kernel: str = "auto",
    ) -> None:
        if proj_size:
            raise ValueError(
                f"proj_size: expected 0 (torch.nn.LSTM has projections), got {proj_size}"
            )
        super().__init__(
            kernel,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
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
        args = (x, *states, w_ih, w_hh, b_ih + b_hh, sizes, reverse)
        found: tuple[Tensor, ...] = HandDerived.apply(*args)  # type: ignore[no-untyped-call]
        return found


__all__ = ["LSTM", "HandDerived", "recurrence"]
