"""A drop-in for ``torch.nn.RNN`` that trains through the pass derived by hand in chapter 4."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnncourse.checks import check_choice
from rnncourse.torch.layers import DropIn
from rnncourse.torch.steps import (
    Cell,
    Chunk,
    Parts,
    Steps,
    Tensors,
    light,
    relu_backward,
)


@dataclass(frozen=True)
class RNNCell(Cell):
    """A step of a recurrent network: ``nonlinearity`` is ``"tanh"`` or ``"relu"``."""

    nonlinearity: str
    width = 2

    def step(self, a: Tensor, b: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return ``(f(a + b),)``."""
        f = torch.tanh if self.nonlinearity == "tanh" else torch.relu
        return (f(a + b),)

    def forward(
        self, steps: Steps, x: Tensor, initial: Tensors, weights: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Run all steps: each turns what comes from its input into its state, in place."""
        w_ih, w_hh, b_ih, b_hh = weights
        h = torch.addmm(b_ih + b_hh, x, w_ih.t())  # (N, H)
        xp, values = light(h)
        w_t, tanh = w_hh.t(), self.nonlinearity == "tanh"
        for before, h_t, values_t in steps.forward((h,), initial, values):
            h_t.addmm_(before, w_t)
            if tanh:
                xp.tanh(values_t, out=values_t)
            else:
                h_t.relu_()
        return (h,), ()

    def backward(self, chunk: Chunk, grads: Tensors, w_hh: Tensor) -> tuple[Parts, Tensor]:
        """Go back through some steps; ``a`` and ``b`` share one gradient."""
        (h,), tanh = chunk.states, self.nonlinearity == "tanh"
        da = torch.empty_like(h)
        if tanh:
            torch.square(h, out=da).neg_().add_(1)  # the slope: becomes the gradient, in place
        xp, values, *matrices = light(grads[0], chunk.dout, da)
        back = chunk.steps.backward((*grads, values), *matrices, h, da)
        for dh, dh_values, dout, da_values, h_t, da_t in back:
            xp.add(dh_values, dout, out=dh_values)
            if tanh:
                xp.multiply(da_values, dh_values, out=da_values)
            else:
                relu_backward(dh, h_t, 0, grad_input=da_t)
            torch.mm(da_t, w_hh, out=dh)
        return [(slice(None), da)], da


class RNN(DropIn[Tensor], nn.RNN):
    """A recurrent network with the interface, weights and numbers of ``torch.nn.RNN``.

    It takes ``torch.nn.RNN``'s arguments: ``input_size``, ``hidden_size``, ``num_layers``,
    ``nonlinearity`` (``"tanh"`` or ``"relu"``), ``bias``, ``batch_first``, ``dropout``,
    ``bidirectional``, ``device`` and ``dtype``, and ``kernel`` (see
    :class:`~rnncourse.torch.layers.DropIn`). On a CPU it runs the pass derived by hand: from 8
    steps on in training, and from 64 steps on without a gradient. A gradient of a gradient is right
    as well (through a recorded loop).

    Where the hand-derived pass trains, the output must not be changed in place before
    ``backward``, for example by ``+=``, ``relu_`` or ``Dropout(inplace=True)``: copy it first.
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

    @property
    def _cell(self) -> Cell:
        return RNNCell(self.nonlinearity)


__all__ = ["RNN", "RNNCell"]
