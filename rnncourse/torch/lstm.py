"""A drop-in for ``torch.nn.LSTM`` that can train through a pass derived by hand."""

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


class LSTMCell(Cell):
    """A step of a long short-term memory; gates in the order i, f, g, o.

    Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000).
    """

    width = 1

    def step(self, a: Tensor, b: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return ``(o * tanh(c), c)``, where ``c = f * c + i * g``."""
        i, f, g, o = (a + b).chunk(4, dim=1)
        c = torch.sigmoid(f) * states[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def forward(
        self, steps: Steps, x: Tensor, initial: Tensors, weights: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Run all steps: what comes from the input becomes the gates, in place."""
        (w_ih, w_hh, b_ih, b_hh), H = weights, initial[0].shape[1]
        gates = torch.addmm(b_ih + b_hh, x, w_ih.t())  # (N, 4H)
        h, c, w_t = x.new_empty(len(x), H), x.new_empty(len(x), H), w_hh.t()
        pieces = (gates, gates[:, : 2 * H], *torch.split(gates, H, dim=1))
        for h_before, c_before, h_t, c_t, gates_t, i_f, i, f, g, o in steps.forward(
            (h, c), initial, *pieces
        ):
            gates_t.addmm_(h_before, w_t)
            i_f.sigmoid_()
            g.tanh_()
            o.sigmoid_()
            torch.mul(f, c_before, out=c_t).addcmul_(i, g)
            torch.tanh(c_t, out=h_t).mul_(o)
        return (h, c), (gates,)

    def backward(self, chunk: Chunk, grads: Tensors, w_hh: Tensor) -> tuple[Parts, Tensor]:
        """Go back through some steps: first what depends on the forward pass alone, all at once."""
        H = w_hh.shape[1]
        i, f, g, o = torch.split(chunk.kept[0], H, dim=1)
        da, tanh_c = i.new_empty(len(i), 4, H), torch.tanh(chunk.states[1])
        sigmoid_backward(g, i, grad_input=da[:, 0])
        sigmoid_backward(chunk.before(1), f, grad_input=da[:, 1])
        tanh_backward(i, g, grad_input=da[:, 2])
        sigmoid_backward(tanh_c, o, grad_input=da[:, 3])
        slope = tanh_backward(o, tanh_c, grad_input=tanh_c)  # of h with respect to c
        flat = da.view(-1, 4 * H)

        xp, dh, dc, *matrices = light(*grads, chunk.dout, slope, f, da[:, :3], da[:, 3])
        back = chunk.steps.backward((grads[0], dh, dc, dc[:, None]), *matrices, flat)
        for dh_t, dh, dc, dc_thrice, dout, slope_t, f_t, d_ifg, d_o, da_t in back:
            xp.add(dh, dout, out=dh)
            dc += xp.multiply(dh, slope_t, out=slope_t)
            xp.multiply(d_ifg, dc_thrice, out=d_ifg)
            xp.multiply(d_o, dh, out=d_o)
            xp.multiply(dc, f_t, out=dc)
            torch.mm(da_t, w_hh, out=dh_t)
        return [(slice(None), flat)], flat


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
    _cell = LSTMCell()

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


__all__ = ["LSTM", "LSTMCell"]
