"""How far each way to train a recurrent layer is from its floor, the time of its products alone.

What varies
    The layer (``cell``), its size, and how it is trained for one step (``way``). ``textbook`` is
    the loop over the steps as its formulas stand; ``hoisted`` takes the input's product out of it.
    ``by hand`` is the hand-derived pass of :mod:`rnncourse.torch`. ``compiled 8`` gives 8 steps
    of ``hoisted`` at a time to ``torch.compile``. ``kernel`` is a hand-derived pass whose
    element-wise part is one function in C++ per step. ``torch.nn`` is PyTorch's own layer, and
    ``bfloat16`` is the same under autocast. ``products`` is the floor itself.

What is held equal
    float32 (but for ``bfloat16``), one thread, the same weights and inputs. A training step
    computes the outputs and the gradients of all weights, from the gradient of the outputs.

How it is measured
    Each way runs in turn with the floor, by the processor's time. ``ratio`` is the median over the
    pairs: how many times as long as the floor it takes. ``arithmetic`` is the time that the step's
    multiplications and additions would take at the rate of one large product, over the floor.
    ``first_seconds`` is the processor's time of the first call, compilers included: what is
    compiled for the first seed of a size serves the others. Seeds only repeat the measurement.
"""

import ctypes
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.bench import ratios
from rnncourse.torch import LSTM, RNN

# (T, B, I, H), from a single sequence to a layer whose products are large
SIZES = [(64, 1, 64, 128), (64, 8, 32, 64), (64, 32, 64, 128), (64, 32, 128, 256)]
SIZES += [(16, 64, 512, 512)]
LSTM_WAYS = ("products", "textbook", "hoisted", "by hand", "compiled 8", "kernel", "torch.nn")
RNN_WAYS = ("products", "textbook", "hoisted", "by hand", "torch.nn")


def _setting(cell: str, size: tuple[int, ...], way: str) -> dict[str, str | int]:
    return {"cell": cell, "way": way} | dict(zip("TBIH", size, strict=True))


SETTINGS = [_setting("LSTM", size, way) for size in SIZES for way in (*LSTM_WAYS, "bfloat16")]
SETTINGS += [_setting("LSTM", SIZES[2], way) for way in ("compiled 1", "compiled 32")]
SETTINGS += [_setting("RNN", size, way) for size in SIZES[2:3] for way in RNN_WAYS]
SEEDS = range(5)

CHEAP = _setting("LSTM", SIZES[1], "products")
TOLERANCE = {"ratio": 0.3}  # the floor against itself; the others depend on the machine

SECONDS = 0.4  # for the pairs of one row
ONE = 1024  # side of the one large product

SOURCE = r"""
#include <algorithm>
#include <cmath>
#include <cstdint>

// -ffast-math knows no infinity, and exp(89) is one.
inline float sigmoid(float x) { return 1 / (1 + std::exp(-std::max(x, -80.0f))); }
inline float tanh_of(float x) { return 2 * sigmoid(2 * x) - 1; }

// One step for B sequences. gates is (B, 4H): sums on entry, then i, f, g and o.
extern "C" void forward(float* gates, const float* c_before, float* c, float* h,
                        int64_t B, int64_t H) {
  for (int64_t b = 0; b < B; ++b, c_before += H, c += H, h += H) {
    float *i = gates + 4 * H * b, *f = i + H, *g = f + H, *o = g + H;
    #pragma GCC ivdep
    for (int64_t k = 0; k < H; ++k) {
      i[k] = sigmoid(i[k]);
      f[k] = sigmoid(f[k]);
      g[k] = tanh_of(g[k]);
      o[k] = sigmoid(o[k]);
      c[k] = f[k] * c_before[k] + i[k] * g[k];
      h[k] = o[k] * tanh_of(c[k]);
    }
  }
}

// The step back: da (B, 4H) comes out, and dc becomes the gradient of c_before.
extern "C" void backward(const float* dout, const float* future, float* dc, const float* gates,
                         const float* c, const float* c_before, float* da,
                         int64_t B, int64_t H) {
  for (int64_t b = 0; b < B; ++b) {
    const float *i = gates + 4 * H * b, *f = i + H, *g = f + H, *o = g + H;
    float *di = da + 4 * H * b, *df = di + H, *dg = df + H, *d_o = dg + H;
    #pragma GCC ivdep
    for (int64_t k = 0; k < H; ++k) {
      int64_t n = b * H + k;
      float s = tanh_of(c[n]), dh = dout[n] + future[n];
      float d = dc[n] + dh * o[k] * (1 - s * s);
      di[k] = d * g[k] * i[k] * (1 - i[k]);
      df[k] = d * c_before[n] * f[k] * (1 - f[k]);
      dg[k] = d * i[k] * (1 - g[k] * g[k]);
      d_o[k] = dh * s * o[k] * (1 - o[k]);
      dc[n] = d * f[k];
    }
  }
}
"""


@cache
def library() -> Any:
    """Compile the two functions of ``SOURCE``; fails where there is no compiler."""
    from torch.utils.cpp_extension import load_inline

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = load_inline(  # type: ignore[no-untyped-call]
            "lstm_step",
            SOURCE,
            extra_cflags=["-O3", "-march=native", "-ffast-math"],
            build_directory=folder,
            is_python_module=False,
            no_implicit_headers=True,
        )
        found = ctypes.CDLL(path)
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    found.forward.argtypes = [pointer] * 4 + [size] * 2
    found.backward.argtypes = [pointer] * 7 + [size] * 2
    found.forward.restype = found.backward.restype = None
    return found


class Kernel(torch.autograd.Function):
    """An LSTM whose element-wise part is one call per step; products are PyTorch's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b: Tensor) -> Tensor:
        """Return the states ``(T, B, H)``."""
        (T, B, _), H, step = x.shape, w_hh.shape[1], library().forward
        gates = torch.addmm(b, x.flatten(0, 1), w_ih.T).view(T, B, 4 * H)
        h, c = x.new_zeros(T + 1, B, H), x.new_zeros(T + 1, B, H)
        at, c_at, h_at, size = gates.data_ptr(), c.data_ptr(), h.data_ptr(), 4 * B * H
        w_t = w_hh.T
        for gates_t, h_before in zip(gates.unbind(), h.unbind(), strict=False):
            gates_t.addmm_(h_before, w_t)
            step(at, c_at, c_at + size, h_at + size, B, H)
            at, c_at, h_at = at + 4 * size, c_at + size, h_at + size
        ctx.save_for_backward(x, w_hh, gates, h, c)
        return h[1:]

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the weights."""
        (x, w_hh, gates, h, c), dout = ctx.saved_tensors, dout.contiguous()
        (_, B, H), step, size = dout.shape, library().backward, 4 * dout[0].numel()
        da, future, dc = torch.empty_like(gates), torch.zeros_like(h[0]), torch.zeros_like(h[0])
        starts = [v.data_ptr() for v in (dout, future, dc, gates, c, da)]
        dout_at, future_at, dc_at, gates_at, c_at, da_at = starts
        for t, da_t in reversed(list(enumerate(da.unbind()))):
            s = t * size
            gates_t, da_at_t = gates_at + 4 * s, da_at + 4 * s
            step(dout_at + s, future_at, dc_at, gates_t, c_at + s + size, c_at + s, da_at_t, B, H)
            torch.mm(da_t, w_hh, out=future)
        flat = da.flatten(0, 1)
        dw_ih, dw_hh = flat.T @ x.flatten(0, 1), flat.T @ h[:-1].flatten(0, 1)
        return None, dw_ih, dw_hh, flat.sum(0)


def gates(a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Return the states after a step of an LSTM, from its sums ``(B, 4H)`` and ``c``."""
    i, f, g, o = a.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def textbook_lstm(x: Tensor, layer: nn.LSTM) -> Tensor:
    """Return the states ``(T, B, H)``, by the formulas."""
    h = c = x.new_zeros(x.shape[1], layer.hidden_size)
    w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]
    out = []
    for x_t in x:
        h, c = gates(x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh, c)
        out.append(h)
    return torch.stack(out)


def steps(a: Tensor, h: Tensor, c: Tensor, w_hh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the states ``(T, B, H)``, and the last ``h`` and ``c``, from the inputs' share."""
    out = []
    for a_t in a:
        h, c = gates(a_t + h @ w_hh.T, c)
        out.append(h)
    return torch.stack(out), h, c


compiled_steps = torch.compile(steps, dynamic=False)


def hoisted_lstm(x: Tensor, layer: nn.LSTM) -> Tensor:
    """Return the states ``(T, B, H)``, all inputs in one product."""
    h = c = x.new_zeros(x.shape[1], layer.hidden_size)
    w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]
    return steps(F.linear(x, w_ih, b_ih + b_hh), h, c, w_hh)[0]


def compiled_lstm(x: Tensor, layer: nn.LSTM, chunk: int) -> Tensor:
    """Return the states ``(T, B, H)``, some steps at a time in compiled code."""
    # Two states that need gradients, as those of later chunks do: so it compiles once.
    h, c = (x.new_zeros(x.shape[1], layer.hidden_size).requires_grad_() for _ in range(2))
    w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]
    out = []
    for a in F.linear(x, w_ih, b_ih + b_hh).split(chunk):  # type: ignore[no-untyped-call]
        some, h, c = compiled_steps(a, h, c, w_hh)
        out.append(some)
    return torch.cat(out)


def textbook_rnn(x: Tensor, layer: nn.RNN) -> Tensor:
    """Return the states ``(T, B, H)``, by the formula."""
    h = x.new_zeros(x.shape[1], layer.hidden_size)
    w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]
    out = []
    for x_t in x:
        h = torch.tanh(x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh)
        out.append(h)
    return torch.stack(out)


def hoisted_rnn(x: Tensor, layer: nn.RNN) -> Tensor:
    """Return the states ``(T, B, H)``, all inputs in one product."""
    h = x.new_zeros(x.shape[1], layer.hidden_size)
    w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]
    out = []
    for a_t in F.linear(x, w_ih, b_ih + b_hh):
        h = torch.tanh(a_t + h @ w_hh.T)
        out.append(h)
    return torch.stack(out)


def forward_of(way: str, layer: Any, x: Tensor) -> Callable[[], Tensor]:
    """Return a function that runs the layer in one of the ways."""
    lstm = isinstance(layer, nn.LSTM)
    if way == "textbook":
        return lambda: textbook_lstm(x, layer) if lstm else textbook_rnn(x, layer)
    if way == "hoisted":
        return lambda: hoisted_lstm(x, layer) if lstm else hoisted_rnn(x, layer)
    if way.startswith("compiled"):
        return lambda: compiled_lstm(x, layer, int(way.split()[1]))
    if way == "kernel":
        w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]
        return lambda: Kernel.apply(x, w_ih, w_hh, b_ih + b_hh)  # type: ignore[no-untyped-call]
    if way == "by hand":
        ours: Any = (LSTM if lstm else RNN).from_torch(layer, kernel="hand-derived")
        return lambda: ours(x)[0]
    if way == "bfloat16":

        def low() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                out: Tensor = layer(x)[0]
                return out

        return low
    return lambda: layer(x)[0]


def training_step(way: str, layer: Any, x: Tensor, dout: Tensor) -> Callable[[], None]:
    """Return a function that runs the layer forward and back."""
    forward = forward_of(way, layer, x)

    def step() -> None:
        layer.zero_grad()
        out = forward()
        out.backward(dout.to(out.dtype))  # type: ignore[no-untyped-call]

    return step


def products(x: Tensor, w_ih: Tensor, w_hh: Tensor) -> Callable[[], None]:
    """Return a function that does the products of a training step and nothing else."""
    (T, B, _), (G, H) = x.shape, w_hh.shape
    rows, h, states = x.flatten(0, 1), x.new_ones(B, H), x.new_ones(T * B, H)
    sums, a, future, da = (x.new_ones(n, m) for n, m in ((T * B, G), (B, G), (B, H), (T * B, G)))
    by_step, dw_ih, dw_hh = (
        da.view(T, B, G).unbind(),
        torch.empty_like(w_ih),
        torch.empty_like(w_hh),
    )

    def run() -> None:
        torch.mm(rows, w_ih.T, out=sums)  # the inputs of all steps
        for _ in by_step:
            torch.mm(h, w_hh.T, out=a)  # forward, step by step
        for da_t in by_step:
            torch.mm(da_t, w_hh, out=future)  # back, step by step
        torch.mm(da.T, rows, out=dw_ih)
        torch.mm(da.T, states, out=dw_hh)

    return run


def run(
    cell: str, way: str, T: int, B: int, I: int, H: int, *, seed: int, device: str
) -> dict[str, float]:
    """Time one way against the products alone; it is for a CPU.

    Returns
    -------
    figures
        ``ratio`` and ``arithmetic`` as above; ``milliseconds`` and ``floor_milliseconds``, medians
        of the processor's time; ``gflops``, the rate of one large product in 1e9 per second;
        ``first_seconds`` as above.
    """
    if device != "cpu":
        raise ValueError(f"device: expected 'cpu', got {device!r}")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer: Any = nn.LSTM(I, H) if cell == "LSTM" else nn.RNN(I, H)
    x = torch.randn(T, B, I, generator=generator)
    dout = torch.randn(T, B, H, generator=generator)
    w_ih, w_hh = layer.weight_ih_l0.detach(), layer.weight_hh_l0.detach()
    floor = products(x, w_ih, w_hh)
    step = floor if way == "products" else training_step(way, layer, x, dout)

    before = os.times()
    step()  # compiles, where something is to be compiled
    first = sum(os.times()[:4]) - sum(before[:4])  # of this process, and of those that it started
    start = time.process_time()
    step()
    floor()
    pairs = int(min(40, max(6, SECONDS / (time.process_time() - start))))
    slow, fast = ratios(step, floor, pairs, time.process_time)
    one = torch.randn(ONE, ONE, generator=generator)
    seconds = []
    for _ in range(4):
        start = time.process_time()
        torch.mm(one, one)
        seconds.append(time.process_time() - start)
    rate = 2 * ONE**3 / min(seconds)
    least = statistics.median(fast)
    flops = 2 * T * B * len(w_hh) * (2 * I + 3 * H)
    return {
        "ratio": statistics.median(s / f for s, f in zip(slow, fast, strict=True)),
        "arithmetic": flops / rate / least,
        "milliseconds": 1000 * statistics.median(slow),
        "floor_milliseconds": 1000 * least,
        "gflops": rate / 1e9,
        "first_seconds": first,
    }
