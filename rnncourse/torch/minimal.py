"""minGRU and minLSTM (Feng et al., 2024): gates that look at the input alone.

Without the state inside the gates, the states are a linear recurrence: all steps are computed at
once by :func:`rnncourse.torch.scan.linear_recurrence`. Its factors are gates between 0 and 1, so
nothing overflows at any value of the gates, and no logarithm is needed.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.checks import check_at_least, check_dtype, check_shape
from rnncourse.torch.scan import linear_recurrence


class _Minimal(nn.Module):
    """What both share: one linear map for all gates and the candidate, then the recurrence."""

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
        super().__init__()
        check_at_least("input_size", input_size, 1)
        check_at_least("hidden_size", hidden_size, 1)
        self.input_size, self.hidden_size, self.batch_first = input_size, hidden_size, batch_first
        outputs = self.blocks * hidden_size
        self.linear = nn.Linear(input_size, outputs, bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the layer on whole sequences, all steps at once.

        Parameters
        ----------
        input
            ``(T, B, I)``, or ``(B, T, I)`` with ``batch_first``.
        hx
            Initial state, ``(1, B, H)`` as ``torch.nn.GRU`` has it; zeros if left out.

        Returns
        -------
        out, h_n
            States ``(T, B, H)``, laid out as the input, and the last of them ``(1, B, H)``.

        Raises
        ------
        ValueError
            If a shape is wrong or a sequence is empty.
        TypeError
            If a dtype is not that of the weights.
        """
        axes = ("B", "T") if self.batch_first else ("T", "B")
        check_shape("input", input.shape, (*axes, self.input_size))
        check_dtype("input", input.dtype, self.linear.weight.dtype)
        x = input.transpose(0, 1) if self.batch_first else input  # (T, B, I)
        if hx is not None:
            check_shape("hx", hx.shape, (1, x.shape[1], self.hidden_size))
            check_dtype("hx", hx.dtype, x.dtype)
        keep, add = self.coefficients(x)
        h = linear_recurrence(keep, add, None if hx is None else hx[0])
        return (h.transpose(0, 1) if self.batch_first else h), h[-1:]

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """Take one step: ``(B, I)`` and ``(B, H)`` to ``(B, H)``, for decoding."""
        check_shape("x", x.shape, ("B", self.input_size))
        check_shape("h", h.shape, (len(x), self.hidden_size))
        keep, add = self.coefficients(x)
        return keep * h + add

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each step keeps of the state, and what it adds: ``(..., H)`` each."""
        raise NotImplementedError


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
    ValueError
        If a size is below 1.

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

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    bias, batch_first, device, dtype
        As in ``torch.nn.LSTM``.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> out, h_n = MinLSTM(3, 4)(torch.zeros(5, 2, 3))
    >>> out.shape, h_n.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    blocks = 3

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``f / (f + i)`` and ``i / (f + i) * c``."""
        f, i, c = self.linear(x).chunk(3, dim=-1)
        # f / (f + i) = sigmoid(log f - log i): right even where both gates round to zero.
        difference = F.logsigmoid(f) - F.logsigmoid(i)
        return torch.sigmoid(difference), torch.sigmoid(-difference) * c
