"""Checks of the tensors that a user passes to a layer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rnncourse.checks import check_dtype, check_lengths, check_shape, check_type
from rnncourse.torch.private import watched

CASTS = {torch.float32, torch.bfloat16, torch.float16}
"""Dtypes that autocast converts into one another."""

Lengths = Tensor | Sequence[int]
"""True lengths of the sequences of a padded batch."""


def autocasts(weight: Tensor) -> bool:
    """Whether PyTorch chooses the precision: the input's may then differ from the weights'."""
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
        If it is not a tensor or its dtype is not that of the weights; if its shape is wrong.
    """
    check_type(name, x, Tensor)
    check_shape(name, x.shape, shape)
    if not fits(x, weight):
        check_dtype(name, x.dtype, weight.dtype)


def true_lengths(lengths: Lengths, steps: int, batch: int | None = None) -> Tensor:
    """Return the true lengths of a padded batch, once checked: int64 ``(B,)`` on the CPU.

    While PyTorch traces, there are no numbers to check, and the lengths stay on their device.

    Raises
    ------
    TypeError, ValueError
        As in :func:`rnncourse.checks.check_lengths`.
    """
    if isinstance(lengths, Tensor) and watched(lengths):
        return lengths.long()
    values: Any = lengths.tolist() if isinstance(lengths, Tensor) else lengths
    check_lengths(values, steps, batch)
    return torch.tensor([int(n) for n in values], dtype=torch.int64, device="cpu")
