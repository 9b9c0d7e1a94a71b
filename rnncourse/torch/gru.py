"""A drop-in for ``torch.nn.GRU`` that trains through a pass derived by hand."""

import torch
from torch import Tensor, nn

from rnncourse.torch.layers import DropIn
from rnncourse.torch.steps import (
    Cell,
    Chunk,
    Parts,
    Steps,
    Tensors,
    light,
    sigmoid_backward,
    tanh_backward,
)


class GRUCell(Cell):
    """A step of a gated recurrent unit; gates in the order r, z, n.

    Cho et al. (2014), with the reset gate after the product, as in PyTorch and cuDNN.

    Both passes keep four blocks side by side, r, z, m and n, where ``m = W_hn h + b_hn`` is what
    the state contributes to the candidate: the product with the state fills the first three, that
    with the input r, z and n.
    """

    width = 4

    def step(self, a: Tensor, b: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return ``((1 - z) * n + z * h,)``."""
        (a_r, a_z, a_n), (b_r, b_z, m) = a.chunk(3, dim=1), b.chunk(3, dim=1)
        r, z = torch.sigmoid(a_r + b_r), torch.sigmoid(a_z + b_z)
        n = torch.tanh(a_n + r * m)
        return ((1 - z) * n + z * states[0],)

    def forward(
        self, steps: Steps, x: Tensor, initial: Tensors, weights: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Run all steps: what comes from the input becomes the gates, in place."""
        (w_ih, w_hh, b_ih, b_hh), H = weights, initial[0].shape[1]
        rz = slice(2 * H)
        gates, h = x.new_empty(len(x), 4 * H), x.new_empty(len(x), H)
        torch.addmm(b_ih[rz] + b_hh[rz], x, w_ih[rz].t(), out=gates[:, rz])
        r, z, m, n = torch.split(gates, H, dim=1)
        m[:] = b_hh[2 * H :]
        torch.addmm(b_ih[2 * H :], x, w_ih[2 * H :].t(), out=n)
        w_t, (xp, values) = w_hh.t(), light(n)

        matrices = (gates[:, : 3 * H], gates[:, rz], r, z, m, n, values)
        for before, h_t, rzm_t, rz_t, r_t, z_t, m_t, n_t, values_t in steps.forward(
            (h,), initial, *matrices
        ):
            rzm_t.addmm_(before, w_t)
            rz_t.sigmoid_()
            n_t.addcmul_(r_t, m_t)
            xp.tanh(values_t, out=values_t)
            torch.lerp(n_t, before, z_t, out=h_t)  # n + z * (h - n)
        return (h,), (gates,)

    def backward(self, chunk: Chunk, grads: Tensors, w_hh: Tensor) -> tuple[Parts, Tensor]:
        """Go back through some steps: first what depends on the forward pass alone, all at once."""
        H = w_hh.shape[1]
        r, z, m, n = torch.split(chunk.kept[0], H, dim=1)
        d = z.new_empty(len(r), 4, H)  # with respect to what goes into r, z, m and n
        d_r, d_z, d_m, d_n = d.unbind(1)
        sigmoid_backward(m, r, grad_input=d_r)
        sigmoid_backward(torch.sub(chunk.before(0), n, out=d_n), z, grad_input=d_z)
        d_m.copy_(r)
        tanh_backward(torch.neg(z, out=d_n).add_(1), n, grad_input=d_n)
        flat = d.view(-1, 4 * H)
        db = flat[:, : 3 * H]

        xp, values, *matrices = light(grads[0], chunk.dout, z, d[:, 1::2], d[:, ::2], d[:, 3:])
        carried = (*grads, values, values[:, None])
        back = chunk.steps.backward(carried, *matrices, db)
        for dh, dh_values, dh_twice, dout, z_t, d_zn, d_rm, d_n_t, db_t in back:
            xp.add(dh_values, dout, out=dh_values)
            xp.multiply(d_zn, dh_twice, out=d_zn)
            xp.multiply(d_rm, d_n_t, out=d_rm)
            xp.multiply(dh_values, z_t, out=dh_values)
            dh.addmm_(db_t, w_hh)
        return [(slice(2 * H), flat[:, : 2 * H]), (slice(2 * H, None), d_n)], db


class GRU(DropIn[Tensor], nn.GRU):
    """A gated recurrent unit with the interface, weights and numbers of ``torch.nn.GRU``.

    It takes ``torch.nn.GRU``'s arguments: ``input_size``, ``hidden_size``, ``num_layers``,
    ``bias``, ``batch_first``, ``dropout``, ``bidirectional``, ``device`` and ``dtype``, and
    ``kernel`` (see :class:`~rnncourse.torch.layers.DropIn`). On a CPU it trains through the pass
    derived by hand, from 8 steps on.

    Where the hand-derived pass trains, the output must not be changed in place before
    ``backward``, for example by ``+=``, ``relu_`` or ``Dropout(inplace=True)``: copy it first.
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

    _cell = GRUCell()

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


__all__ = ["GRU", "GRUCell"]
