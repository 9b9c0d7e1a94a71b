"""What PyTorch offers only under private names: all such names that the package uses are here.

They may change with any release. ``tests/torch/test_private.py`` says which versions each of
them was tried with, and tries it again.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode


def watched(*tensors: Tensor) -> bool:
    """Whether PyTorch must see each operation on these tensors.

    It does in ``torch.compile``, export and tracing, in transforms of ``torch.func``, in
    forward-mode differentiation, where many gradients are computed at once
    (``is_grads_batched``), in modes such as that of fake tensors, and with tensor classes other
    than PyTorch's own. NumPy, ``out=`` and an ``autograd.Function`` would hide operations.
    """
    return bool(
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or transformed(*tensors)
        or is_in_torch_dispatch_mode()
        or any(type(x) not in (Tensor, nn.Parameter) for x in tensors)
    )


def transformed(*tensors: Tensor) -> bool:
    """Whether derivatives or batches are made by rules that only PyTorch's operations have.

    They are in transforms of ``torch.func``, in forward-mode differentiation, and where many
    gradients are computed at once (``is_grads_batched``).
    """
    return bool(
        torch._C._functorch.get_dynamic_layer_stack_depth() > 0
        or forward_ad._current_level >= 0
        or any(is_legacy_batchedtensor(x) for x in tensors)
    )


def takes_operators(*tensors: Tensor) -> bool:
    """Whether one operator of our own may take the place of several of PyTorch's.

    It may in a plain run, and in ``torch.compile``, which makes one node of it. It may not where
    :func:`watched` or :func:`transformed` says otherwise, nor in export: an exported program must
    run without this package.
    """
    if torch.compiler.is_compiling():
        return not (torch.compiler.is_exporting() or transformed())
    return not watched(*tensors)


def norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the norm of each tensor: in one call, where the device has one for all."""
    return list(torch._foreach_norm(list(tensors)))


def scale_(tensors: Sequence[Tensor], factor: float) -> None:
    """Multiply all tensors by a number, in place and in one call."""
    torch._foreach_mul_(list(tensors), factor)


def memory_changes(found: torch.profiler.profile) -> list[int]:
    """Return how many bytes were taken (below 0: given back), in order of time."""
    profiler: Any = found.profiler
    events = [e for e in profiler.kineto_results.events() if e.name() == "[memory]"]
    return [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
