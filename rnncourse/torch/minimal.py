"""Layers that train in parallel; minGRU and minLSTM (Feng et al., 2024) among them.

Where gates depend on the input alone, the states follow a linear recurrence: all steps are computed
at once by :func:`rnncourse.torch.scan.linear_recurrence`. The factors of minGRU and minLSTM are
gates between 0 and 1, so nothing overflows whatever the gates are, and no logarithm is needed.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.checks import check_at_least, check_shape, check_type
from rnncourse.torch.inputs import Lengths, fits, true_lengths
from rnncourse.torch.scan import linear_recurrence


class LinearRecurrent(nn.Module):
    """What these layers have in common: ``h[t] = keep[t] * h[t - 1] + add[t]``, then an output.

    A layer of this kind says what it keeps and adds (:meth:`coefficients`), what comes out
    (:meth:`read`), and which of its weights has the input's dtype (:attr:`weight`).
    ``input_size`` and ``hidden_size`` are I and H.
    """

    def __init__(self, input_size: int, hidden_size: int, batch_first: bool) -> None:
        super().__init__()
        check_at_least("input_size", input_size, 1)
        check_at_least("hidden_size", hidden_size, 1)
        self.input_size, self.hidden_size, self.batch_first = input_size, hidden_size, batch_first

    def forward(
        self, input: Tensor, hx: Tensor | None = None, lengths: Lengths | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run the layer on whole sequences, all steps at once.

        Parameters
        ----------
        input
            ``(T, B, I)``, or ``(B, T, I)`` with ``batch_first``.
        hx
            Initial state, ``(1, B, H)`` as in ``torch.nn.GRU``; zeros if left out.
        lengths
            True length of each padded sequence: B whole numbers, in a tensor or a list; T for all
            if left out. What comes after is never read.

        Returns
        -------
        out, h_n
            Outputs ``(T, B, H)``, laid out like the input and zero after a sequence's end, and the
            state at each end, ``(1, B, H)``: pass it on with the next piece of the sequences.

        Raises
        ------
        ValueError
            If a shape or a length is wrong or a sequence is empty.
        TypeError
            If an argument is not a tensor, a dtype is not that of the weights, or a length is not a
            whole number.
        """
        axes = ("B", "T") if self.batch_first else ("T", "B")
        _check("input", input, (*axes, self.input_size), self.weight)
        x = input.transpose(0, 1) if self.batch_first else input  # (T, B, I)
        T, B, _ = x.shape
        if lengths is not None:
            true = true_lengths(lengths, T, B).to(x.device)
            real = (torch.arange(T, device=x.device)[:, None] < true)[..., None]  # (T, B, 1)
            x = torch.where(real, x, 0)
        keep, add = self.coefficients(x)
        if hx is not None:
            _check("hx", hx, (1, B, self.hidden_size), add)
        h = linear_recurrence(keep, add, None if hx is None else hx[0].to(add.dtype))
        out, h_n = self.read(h, x), h[-1:]
        if lengths is not None:
            out = torch.where(real, out, 0)
            h_n = h[true - 1, torch.arange(B, device=h.device)][None]
        return (out.transpose(0, 1) if self.batch_first else out), h_n

    def step(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Take one step, for decoding: ``(B, I)`` and ``(B, H)`` to output and state, ``(B, H)``.

        The state is zeros if left out. Errors are those of :meth:`forward`.
        """
        _check("x", x, ("B", self.input_size), self.weight)
        keep, add = self.coefficients(x)
        if h is not None:
            _check("h", h, (len(x), self.hidden_size), add)
        h = add if h is None else keep * h.to(add.dtype) + add
        return self.read(h, x), h

    @property
    def weight(self) -> Tensor:
        """The weight whose dtype the input must have."""
        raise NotImplementedError

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each step keeps of the state, and what it adds: ``(..., H)`` each.

        What is the same for all sequences of the batch may be ``(..., 1, H)``.
        """
        raise NotImplementedError

    def read(self, h: Tensor, x: Tensor) -> Tensor:
        """Return the outputs that go with states and inputs: here the states."""
        return h


class _Minimal(LinearRecurrent):
    """What both share: one linear map for all gates and the candidate."""

    blocks: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        batch_first: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, batch_first)
        outputs = self.blocks * hidden_size
        self.linear = nn.Linear(input_size, outputs, bias, device=device, dtype=dtype)

    @property
    def weight(self) -> Tensor:
        """That of the linear map."""
        return self.linear.weight


class MinGRU(_Minimal):
    """``h[t] = (1 - z[t]) * h[t - 1] + z[t] * c[t]``, gate z and candidate c from the input.

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    bias, batch_first, device, dtype
        As in ``torch.nn.GRU``.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1.

    Examples
    --------
    >>> out, h_n = MinGRU(3, 4)(torch.zeros(5, 2, 3))
    >>> out.shape, h_n.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    blocks = 2

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``1 - z`` and ``z * c``."""
        z, c = self.linear(x).chunk(2, dim=-1)
        return torch.sigmoid(-z), torch.sigmoid(z) * c


class MinLSTM(_Minimal):
    """``h[t] = f[t] * h[t - 1] + i[t] * c[t]``, the gates f and i scaled to sum to one.

    Arguments, errors and shapes are those of :class:`MinGRU`.
    """

    blocks = 3

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``f / (f + i)`` and ``i / (f + i) * c``."""
        f, i, c = self.linear(x).chunk(3, dim=-1)
        # f / (f + i) = sigmoid(log f - log i): right even where both gates round to zero.
        difference = F.logsigmoid(f) - F.logsigmoid(i)
        return torch.sigmoid(difference), torch.sigmoid(-difference) * c


def _check(name: str, x: Tensor, shape: tuple[int | str, ...], like: Tensor) -> None:
    check_type(name, x, Tensor)
    check_shape(name, x.shape, shape)
    if not fits(x, like):
        raise TypeError(f"{name}: expected dtype {like.dtype}, got {x.dtype}")


__all__ = ["LinearRecurrent", "MinGRU", "MinLSTM"]
