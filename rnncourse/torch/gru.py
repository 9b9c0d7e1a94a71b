"""A drop-in for ``torch.nn.GRU`` that trains through a pass derived by hand."""

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
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    sizes: list[int],
    reverse: bool = False,
) -> tuple[Tensor, ...]:
    """Run one layer in one direction and let autograd record every step: the plain definition.

    Cho et al. (2014), with the reset gate after the product, as PyTorch and cuDNN have it.

    Parameters
    ----------
    x
        Inputs of all steps, ``(N, I)``.
    h0
        Initial state, ``(B, H)``.
    w_ih, w_hh, b_ih, b_hh
        ``(3H, I)``, ``(3H, H)``, ``(3H,)`` and ``(3H,)``; gates in the order r, z, n.
    sizes
        How many sequences are still there at each step, never growing; ``sizes[0]`` is B.
    reverse
        Start at the last step.

    Returns
    -------
    h, h_n
        States of all steps ``(N, H)``, and the state that each sequence ends in ``(B, H)``.
    """

    def cell(a: Tensor, h: Tensor) -> tuple[Tensor]:
        (r, z, n), (h_r, h_z, h_n) = a.chunk(3, dim=1), F.linear(h, w_hh, b_hh).chunk(3, dim=1)
        r, z = torch.sigmoid(r + h_r), torch.sigmoid(z + h_z)
        n = torch.tanh(n + r * h_n)
        return ((1 - z) * n + z * h,)

    return unroll(cell, F.linear(x, w_ih, b_ih), (h0,), Steps(sizes, reverse))


class HandDerived(torch.autograd.Function):
    """:func:`recurrence` with its backward pass written by hand.

    The hidden state's share of the candidate, ``m = W_hn h + b_hn``, stands between z and n, in
    rows of four blocks ``r, z, m, n``: the first three take one product with the state, and r, z
    and n take the input. The backward pass goes through time in chunks that fit the processor's
    cache, as in :class:`rnncourse.torch.lstm.HandDerived`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor,
        b_hh: Tensor,
        sizes: list[int],
        reverse: bool,
    ) -> tuple[Tensor, Tensor]:
        """Take and return what :func:`recurrence` does."""
        steps, H = Steps(sizes, reverse), h0.shape[1]
        gates = x.new_empty(len(x), 4 * H)
        torch.addmm((b_ih + b_hh)[: 2 * H], x, w_ih[: 2 * H].t(), out=gates[:, : 2 * H])
        gates[:, 2 * H : 3 * H] = b_hh[2 * H :]
        torch.addmm(b_ih[2 * H :], x, w_ih[2 * H :].t(), out=gates[:, 3 * H :])
        h, h_n = x.new_empty(len(x), H), torch.empty_like(h0)
        r, z, m, n = torch.split(gates, H, dim=1)
        xp, array = light(n)
        cut = steps.cut(gates[:, : 3 * H], gates[:, : 2 * H], r, z, m, n, array, h)
        w_t, have = w_hh.t(), cut[0][0]
        h_t = h0[:have]
        for rows, rzm, rz, r_t, z_t, m_t, n_t, values, h_out in cut:
            if rows != have:
                h_t, have = resize(h_t, rows, h0, h_n), rows
            rzm.addmm_(h_t, w_t)
            rz.sigmoid_()
            n_t.addcmul_(r_t, m_t)
            xp.tanh(values, out=values)
            h_t = torch.lerp(n_t, h_t, z_t, out=h_out)  # n + z * (h - n)
        h_n[:have] = h_t
        ctx.save_for_backward(x, h0, w_ih, w_hh, b_ih, b_hh, gates, h)
        ctx.steps = steps
        ctx.set_materialize_grads(False)
        return h, h_n

    @staticmethod
    def backward(ctx: Any, dout: Tensor | None, dh_n: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients by ``x, h0, w_ih, w_hh, b_ih, b_hh``."""
        x, h0, w_ih, w_hh, b_ih, b_hh, gates, h = ctx.saved_tensors
        steps, needs, inputs = ctx.steps, ctx.needs_input_grad, (x, h0, w_ih, w_hh, b_ih, b_hh)
        dout = torch.zeros_like(h) if dout is None else dout
        dh = torch.zeros_like(h0) if dh_n is None else dh_n
        if torch.is_grad_enabled() or watched(dout, dh):  # a gradient of the gradient, or many
            grads = (dout, dh)
            settings = (steps.sizes, steps.reverse)
            return *recorded(recurrence, inputs, needs, grads, *settings), None, None

        H = h0.shape[1]
        dh = dh.clone()  # (B, H): carried from step to step, in place
        dx = torch.empty_like(x) if needs[0] else None
        dw_ih, dw_hh, db_ih, db_hh = (
            torch.zeros_like(inputs[k]) if needs[k] else None for k in (2, 3, 4, 5)
        )
        sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input  # d * y * (1 - y)
        tanh_backward = torch.ops.aten.tanh_backward.grad_input  # d * (1 - y**2)
        for span, rows, chunk in reversed(steps.chunks(4 * H)):
            r, z, m, n = torch.split(gates[rows], H, dim=1)
            h_before = steps.before(h, h0, span)
            da = x.new_empty(len(r), 4, H)  # by what goes into r, z, m and n
            da_r, da_z, da_m, da_n = da.unbind(1)
            sigmoid_backward(m, r, grad_input=da_r)
            sigmoid_backward(torch.sub(h_before, n, out=da_n), z, grad_input=da_z)
            da_m.copy_(r)
            tanh_backward(torch.neg(z, out=da_n).add_(1), n, grad_input=da_n)
            flat, have = da.view(-1, 4 * H), -1
            hidden, d_rz, d_n = flat[:, : 3 * H], flat[:, : 2 * H], flat[:, 3 * H :]
            cut = chunk.cut(dout[rows], z, da[:, 1::2], da[:, ::2], da[:, 3:], hidden)
            for size, dout_t, z_t, da_zn, da_rm, da_n_t, da_t in reversed(cut):
                if size != have:
                    dh_t, dh_zn, have = dh[:size], dh[:size, None], size
                dh_t.add_(dout_t)
                da_zn.mul_(dh_zn)
                da_rm.mul_(da_n_t)
                dh_t.mul_(z_t).addmm_(da_t, w_hh)
            if dx is not None:
                torch.mm(d_rz, w_ih[: 2 * H], out=dx[rows]).addmm_(d_n, w_ih[2 * H :])
            if dw_ih is not None:
                dw_ih[: 2 * H].addmm_(d_rz.t(), x[rows])
                dw_ih[2 * H :].addmm_(d_n.t(), x[rows])
            if dw_hh is not None:
                dw_hh.addmm_(hidden.t(), h_before)
            sums = flat.sum(0)
            if db_ih is not None:
                db_ih.add_(torch.cat([sums[: 2 * H], sums[3 * H :]]))
            if db_hh is not None:
                db_hh.add_(sums[: 3 * H])
        return dx, dh, dw_ih, dw_hh, db_ih, db_hh, None, None


class GRU(DropIn[Tensor], nn.GRU):
    """A gated recurrent unit with the interface, weights and numbers of ``torch.nn.GRU``.

    It takes ``torch.nn.GRU``'s arguments: ``input_size``, ``hidden_size``, ``num_layers``,
    ``bias``, ``batch_first``, ``dropout``, ``bidirectional``, ``device`` and ``dtype``, and
    ``kernel`` (see :class:`~rnncourse.torch.layers.DropIn`). On a CPU it trains through the pass
    derived by hand, from 8 steps on.

    Where the hand-derived pass trains, the output must not be changed in place before
    ``backward``, as by ``+=``, ``relu_`` or ``Dropout(inplace=True)``: copy it first.
    ``torch.nn.GRU`` allows it on a CPU.

    Raises
    ------
    ValueError
        If an argument is unknown or out of range.

    Examples
    --------
    >>> net = GRU(3, 4)
    >>> out, h_n = net(torch.zeros(5, 2, 3))
    >>> out.shape, h_n.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        kernel: str = "auto",
    ) -> None:
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
        args = (x, *states, *weights, sizes, reverse)
        found: tuple[Tensor, ...] = HandDerived.apply(*args)  # type: ignore[no-untyped-call]
        return found


__all__ = ["GRU", "HandDerived", "recurrence"]
