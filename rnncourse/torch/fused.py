"""The linear recurrence on a GPU, in one kernel: each number is read once and written once.

Arithmetic is cheap there, memory is not. A scan made of PyTorch's operations reads from memory and
writes back at each of its ``2 * log2(T)`` levels. This kernel takes a few channels through all
steps, one tile of them after the other, and keeps what is in between on the chip:

1. Read the factors and the inputs of the tile.
2. Scan them within the tile, as :mod:`rnncourse.torch.scan` explains (Blelloch, 1990).
3. Add what the state before the tile contributes; write the states; keep the last one.

The backward pass is the same recurrence from the last step to the first, and the same kernel.

:func:`rnncourse.torch.scan.linear_recurrence` calls it where it can run. It is written in Triton
(Tillet et al., 2019). PyTorch's builds for CUDA include it, so there is nothing to install;
where it is missing, this module is never imported.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import custom_op, register_autograd, register_fake

from rnncourse.torch.private import transformed
from rnncourse.torch.scan import gradients, linear_recurrence

# How many steps times channels a program holds in registers, and how many programs keep a large
# GPU busy. Estimated from registers and latency, not measured.
TILE, PROGRAMS = 2048, 512


@triton.jit
def _after(a, b, later_a, later_b):
    """Take two steps as one: ``later_a * (a * h + b) + later_b``."""
    return later_a * a, later_a * b + later_b


@triton.jit
def _after_complex(a, ai, b, bi, c, ci, d, di):
    """Do the same with complex numbers, each a real and an imaginary part."""
    return c * a - ci * ai, c * ai + ci * a, c * b - ci * bi + d, c * bi + ci * b + di


@triton.jit
def _load(x, at, there, COMPLEX: tl.constexpr):
    """Return real and imaginary part, in float32 or float64; zeros where nothing is there."""
    wide: tl.constexpr = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    if COMPLEX:
        return tl.load(x + 2 * at, there, 0).to(wide), tl.load(x + 2 * at + 1, there, 0).to(wide)
    else:
        return tl.load(x + at, there, 0).to(wide), 0.0


@triton.jit
def _store(x, at, there, real, imaginary, COMPLEX: tl.constexpr):
    if COMPLEX:
        tl.store(x + 2 * at, real, there)
        tl.store(x + 2 * at + 1, imaginary, there)
    else:
        tl.store(x + at, real, there)


@triton.jit
def _kernel(
    a,
    b,
    out,
    h0,
    h,
    da,
    T,
    N,
    columns,
    a_step,
    a_row,
    a_column,
    STEPS: tl.constexpr,
    BLOCK: tl.constexpr,
    COMPLEX: tl.constexpr,
    BACKWARD: tl.constexpr,
):
    """Solve ``out[t] = a[t] * out[t - 1] + b[t]`` for BLOCK of the N channels.

    Backward it is ``out[t] = a[t + 1] * out[t + 1] + b[t]``, a conjugated, and
    ``da[t] = out[t] * h[t - 1]``, h conjugated. All are contiguous but a, which has strides.
    """
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[None, :]  # (1, BLOCK)
    row = tl.arange(0, STEPS)[:, None]  # (STEPS, 1)
    a_n = n // columns * a_row + n % columns * a_column
    state, state_i = _load(h0, n, (n < N) & (BACKWARD == 0), COMPLEX)
    for start in range(0, T, STEPS):
        step = (start + row).to(tl.int64)
        t = T - 1 - step if BACKWARD else step
        factor_t = t + 1 if BACKWARD else t
        at, there = t * N + n, (step < T) & (n < N)  # (STEPS, BLOCK)
        x, x_i = _load(b, at, there, COMPLEX)
        f, f_i = _load(a, factor_t * a_step + a_n, there & (factor_t < T), COMPLEX)
        if COMPLEX:
            f_i = -f_i if BACKWARD else f_i
            f, f_i, x, x_i = tl.associative_scan((f, f_i, x, x_i), 0, _after_complex)
            x, x_i = x + f * state - f_i * state_i, x_i + f * state_i + f_i * state
            state_i = tl.sum(tl.where(row == STEPS - 1, x_i, 0), 0, keep_dims=True)
        else:
            f, x = tl.associative_scan((f, x), 0, _after)
            x += f * state
        state = tl.sum(tl.where(row == STEPS - 1, x, 0), 0, keep_dims=True)
        _store(out, at, there, x, x_i, COMPLEX)
        if BACKWARD:
            first, first_i = _load(h0, n + 0 * t, there & (t == 0), COMPLEX)
            p, p_i = _load(h, at - N, there & (t > 0), COMPLEX)
            p, p_i = p + first, p_i + first_i  # the state before: one of the two is zero
            _store(da, at, there, x * p + x_i * p_i, x_i * p - x * p_i, COMPLEX)


def _run(a: Tensor, b: Tensor, out: Tensor, h0: Tensor, h: Tensor, da: Tensor, back: bool) -> None:
    """Start the kernel: one program for each block of channels."""
    T, N, columns = len(b), h0.numel(), h0.shape[-1] if h0.dim() else 1
    a = a.expand(b.shape).reshape(T, -1, columns)  # a copy only where strides cannot express it
    block = min(max(16, triton.next_power_of_2(N) // PROGRAMS), 64)
    steps = min(triton.next_power_of_2(T), TILE // block // (2 if b.is_complex() else 1))
    tensors = [a, b.contiguous(), out, h0.contiguous(), h, da]
    if b.is_complex():
        tensors = [torch.view_as_real(x) for x in tensors]
    with torch.cuda.device(b.get_device()):  # on a CPU -1, which changes nothing
        _kernel[(triton.cdiv(N, block),)](
            *tensors, T, N, columns, *a.stride(), steps, block, b.is_complex(), back
        )


@custom_op("rnncourse::linear_recurrence", mutates_args=())
def fused_recurrence(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Return the states of ``h[t] = a[t] * h[t - 1] + b[t]``, as one operator of PyTorch.

    Half-precision values are added up in float32 and rounded once, as they are written.

    Parameters
    ----------
    a, b, h0
        As in :func:`rnncourse.torch.scan.linear_recurrence`, which checks them; h0 is needed.

    Returns
    -------
    h
        States, ``(T, ...)``.
    """
    h = torch.empty_like(b, memory_format=torch.contiguous_format)
    _run(a, b, h, h0, h, h, False)
    return h


@custom_op("rnncourse::linear_recurrence_backward", mutates_args=())
def fused_gradients(a: Tensor, h0: Tensor, h: Tensor, dh: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of factors and inputs, both ``(T, ...)`` like h, given that of h."""
    da, db = (torch.empty_like(h, memory_format=torch.contiguous_format) for _ in range(2))
    _run(a, dh, db, h0, h.contiguous(), da, True)
    return da, db


def _backward(ctx: Any, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, h0, h = ctx.saved_tensors
    if torch.is_grad_enabled() or transformed(dh):  # derivatives of derivatives, or many at once
        return gradients(a, h0, h, dh, linear_recurrence)
    da, db = fused_gradients(a, h0, h, dh)
    return da.sum_to_size(a.shape), db, db[0] * a[0].conj()


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], inputs[2], output)


register_fake("rnncourse::linear_recurrence", lambda a, b, h0: b.new_empty(b.shape))
register_fake(
    "rnncourse::linear_recurrence_backward",
    lambda a, h0, h, dh: (h.new_empty(h.shape), h.new_empty(h.shape)),
)
register_autograd("rnncourse::linear_recurrence", _backward, setup_context=_keep)

__all__ = ["fused_gradients", "fused_recurrence"]
