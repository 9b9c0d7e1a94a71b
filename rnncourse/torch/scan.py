"""Linear recurrences in parallel: ``h[t] = a[t] * h[t - 1] + b[t]`` for all t at once.

Two steps in a row are again one step of the same kind,
``h[t + 1] = (a[t + 1] * a[t]) * h[t - 1] + (a[t + 1] * b[t] + b[t + 1])``: the recurrence is
associative. So all pairs of neighbors become one step each at the same time, the sequence of half
the length is solved in the same way, and every second state is filled in (Blelloch, 1990). That
takes about ``2 * log2(T)`` rounds in place of T steps, and three times the multiplications of the
loop.

Only products of the ``a`` are formed, never quotients or logarithms: where no ``a`` is larger than
one in absolute value, as with gates, nothing can overflow, and a gate that is closed (0) is exact.

A GPU takes whole sequences: where PyTorch comes with Triton, in one kernel
(:mod:`rnncourse.torch.fused`). A CPU takes as many steps at a time as fit in its cache, one
piece after the other. How much that saves over a plain loop depends on the width of a step: with 64
numbers a scan takes a small part of the loop's time; with 4,096 the loop is busy with arithmetic
too, and the scan saves little. ``book/benchmarks.md`` has the ratios, under "Linear recurrences".
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from rnncourse.checks import check_shape, check_type
from rnncourse.torch.private import takes_operators, watched

# How many numbers a scan works on at a time on a CPU, so that they stay in its cache.
# Measured on 4,096 steps of 1,024 numbers, float32, one thread: 9 ms, and 25 ms all at once.
CHUNK = 2**18

TRITON = find_spec("triton") is not None  # looked for, not imported
FUSED = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
FUSED |= {torch.complex64, torch.complex128}  # what the kernel takes


def linear_recurrence(a: Tensor, b: Tensor, h0: Tensor | None = None) -> Tensor:
    """Return all states of ``h[t] = a[t] * h[t - 1] + b[t]``, by an associative scan.

    In float32, for T up to 16,384 and ``a`` from 0 to 1, the error is below 2e-6 of the largest
    state, less than that of the loop, since each state is a sum in ``log2(T)`` levels rather than
    in T steps. Gradients of any order are right: the backward pass is a linear recurrence as
    well, from the last step to the first. Where PyTorch must see each operation (compilation,
    ``torch.func``, forward-mode differentiation), the same scan runs without writing in place. The
    kernel for GPUs also runs in compiled programs, but not in exported ones: these need no Triton.

    Parameters
    ----------
    a, b
        Factors and inputs, of one shape ``(T, ...)``. An axis of ``a`` after the first may have
        size one: factors that the sequences of a batch share are then multiplied once for all.
    h0
        State before the first step, ``(...)``; zeros if left out.

    Returns
    -------
    h
        States, ``(T, ...)``.

    Raises
    ------
    ValueError
        If the shapes do not fit, or T is 0.
    TypeError
        If an argument is not a tensor, or the dtypes differ or are not floating-point or complex.

    Examples
    --------
    >>> linear_recurrence(torch.full((4,), 0.5), torch.ones(4))
    tensor([1.0000, 1.5000, 1.7500, 1.8750])
    """
    h0 = _check(a, b, h0)
    if _one_kernel(a, b, h0) and takes_operators(a, b, h0):
        from rnncourse.torch.fused import fused_recurrence

        h: Tensor = fused_recurrence(a, b, h0)
        return h
    return _scan_by_operations(a, b, h0)


def linear_recurrence_scan(a: Tensor, b: Tensor, h0: Tensor | None = None) -> Tensor:
    """Return the same as :func:`linear_recurrence`, by PyTorch's operations on every device."""
    return _scan_by_operations(a, b, _check(a, b, h0))


def linear_recurrence_loop(a: Tensor, b: Tensor, h0: Tensor | None = None) -> Tensor:
    """Return the same as :func:`linear_recurrence`, step by step: the definition."""
    h, states = _check(a, b, h0), []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        states.append(h)
    return torch.stack(states)


def _check(a: Tensor, b: Tensor, h0: Tensor | None) -> Tensor:
    """Check the arguments and return the initial state."""
    for name, value in (("a", a), ("b", b), ("h0", h0)):
        if value is not None:
            check_type(name, value, Tensor)
    check_shape("a", a.shape, ("T", *("n" for _ in a.shape[1:])))
    check_shape("b", b.shape, (len(a), *("n" if n == 1 else n for n in a.shape[1:])))
    if not (a.is_floating_point() or a.is_complex()):
        raise TypeError(f"a: expected a floating-point or complex dtype, got {a.dtype}")
    for name, value in (("b", b), ("h0", h0)):
        if value is not None and value.dtype != a.dtype:
            raise TypeError(f"{name}: expected dtype {a.dtype} as a has, got {value.dtype}")
    if h0 is None:
        return torch.zeros_like(b[0])
    check_shape("h0", h0.shape, tuple(b.shape[1:]))
    return h0


def _one_kernel(a: Tensor, b: Tensor, h0: Tensor) -> bool:
    """Whether all are on a GPU that Triton supports, and of a dtype that the kernel takes."""
    return (
        TRITON
        and b.is_cuda
        and a.device == b.device == h0.device
        and b.dtype in FUSED
        and torch.cuda.get_device_properties(b.device).major >= 7
    )


def _scan_by_operations(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    if watched(a, b, h0):
        return _plain_scan(a, b, h0)
    h: Tensor = _Scan.apply(a, b, h0)  # type: ignore[no-untyped-call]
    return h


def _scan(a: Tensor, b: Tensor, h0: Tensor, h: Tensor) -> None:
    """Solve the recurrence and write the states into ``h``."""
    T = len(a)
    torch.addcmul(b[:1], a[:1], h0, out=h[:1])
    if T > 1:
        even, odd = slice(0, T - T % 2, 2), slice(1, None, 2)
        _scan(a[odd] * a[even], torch.addcmul(b[odd], a[odd], b[even]), h0, h[odd])
        torch.addcmul(b[2::2], a[2::2], h[1 : T - 1 : 2], out=h[2::2])


def _plain_scan(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Return the states of the recurrence, by operations that PyTorch can follow."""
    first = b[:1] + a[:1] * h0
    if len(a) == 1:
        return first
    even, odd = slice(0, len(a) - len(a) % 2, 2), slice(1, None, 2)
    odds = _plain_scan(a[odd] * a[even], b[odd] + a[odd] * b[even], h0)
    evens = torch.cat([first, b[2::2] + a[2::2] * odds[: len(b[2::2])]])
    pairs = torch.stack([evens[: len(odds)], odds], 1).reshape(-1, *b.shape[1:])
    return torch.cat([pairs, evens[len(odds) :]])


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
        steps = max(1, CHUNK // h0.numel()) if b.device.type == "cpu" else len(b)
        h, state = torch.empty_like(b), h0
        for a_part, b_part, part in zip(*(torch.split(x, steps) for x in (a, b, h)), strict=True):
            _scan(a_part, b_part, state, part)
            state = part[-1]
        ctx.save_for_backward(a, h0, h)
        return h

    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, h0, h = ctx.saved_tensors
        return gradients(a, h0, h, dh, linear_recurrence_scan)


def gradients(
    a: Tensor, h0: Tensor, h: Tensor, dh: Tensor, solve: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a, b and h0, given that of the states h; differentiable again.

    ``solve`` is :func:`linear_recurrence`, or a function that does the same.
    """
    # db[t] = dh[t] + a[t + 1] * db[t + 1]: the same recurrence, backwards in time.
    later = torch.cat([a[1:], torch.zeros_like(a[:1])]).conj()
    db = solve(later.flip(0), dh.flip(0)).flip(0)
    before = torch.cat([h0[None], h[:-1]])
    return (db * before.conj()).sum_to_size(a.shape), db, db[0] * a[0].conj()
