"""Why the backward pass derived by hand is faster than autograd's loop: one reason at a time.

What varies
    How one layer is trained for one step (``way``). ``recorded`` is the loop that autograd
    records; ``recorded, inputs at once`` takes the input's product out of it. ``derived`` puts the
    derived pass in place of the recording and changes nothing else: each step still asks for new
    memory, and still adds its share to the gradient of the recurrent weights. ``+ one product``
    computes that gradient in one product after the loop. ``chapter`` also works in place, and is
    what chapter 4 shows. ``- inputs at once`` and ``- one product`` take one of these away from it;
    to take the work in place away gives ``+ one product`` again. ``torch.nn.RNN`` is a recorded
    loop in C++.

What is held equal
    T = 64, B = 32, I = 64, H = 128, float32, one thread, the same weights and inputs. Each way
    computes the gradients of the input, the first state and all weights.

How it is measured
    Each way runs in turn with ``chapter``, 40 pairs, by the processor's time. ``ratio`` is the
    median of the ratios: how many times as long it takes. Seeds only repeat the measurement.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rnncourse.bench import ratios

WAYS = (
    "recorded",
    "recorded, inputs at once",
    "derived",
    "+ one product",
    "chapter",
    "- inputs at once",
    "- one product",
    "torch.nn.RNN",
)
SETTINGS = [{"way": way} for way in WAYS]
SEEDS = range(5)

CHEAP = {"way": "chapter"}
TOLERANCE = {"ratio": 0.3}  # the same against itself; the others depend on the machine

T, B, I, H = 64, 32, 64, 128
PAIRS = 40


def recorded(
    x: Tensor, h0: Tensor, W_xh: Tensor, W_hh: Tensor, b_h: Tensor, inputs_at_once: bool
) -> Tensor:
    """Return the states ``(T, B, H)``; autograd records every step."""
    state, states = h0, []
    for x_t in x @ W_xh.T + b_h if inputs_at_once else x:
        a = x_t if inputs_at_once else x_t @ W_xh.T + b_h
        state = torch.tanh(a + state @ W_hh.T)
        states.append(state)
    return torch.stack(states)


class Derived(torch.autograd.Function):
    """The pass of chapter 4, with each of its three savings to switch on or off."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        W_xh: Tensor,
        W_hh: Tensor,
        b_h: Tensor,
        inputs_at_once: bool,
        one_product: bool,
        in_place: bool,
    ) -> Tensor:
        """Return the states ``(T, B, H)``."""
        steps, batch = x.shape[:2]
        a = x
        if inputs_at_once:
            a = torch.addmm(b_h, x.view(steps * batch, -1), W_xh.T).view(steps, batch, -1)
        state, states = h0, []
        for a_t in a.unbind():
            if not inputs_at_once:
                a_t = torch.addmm(b_h, a_t, W_xh.T)
            if in_place:
                state = a_t.addmm_(state, W_hh.T).tanh_()
            else:
                state = torch.tanh(torch.addmm(a_t, state, W_hh.T))
            states.append(state)
        h = a if in_place and inputs_at_once else torch.stack(states)
        ctx.save_for_backward(x, h0, W_xh, W_hh, h)
        ctx.switches = inputs_at_once, one_product, in_place
        return h

    @staticmethod
    def backward(ctx: Any, dh_out: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients."""
        x, h0, W_xh, W_hh, h = ctx.saved_tensors
        inputs_at_once, one_product, in_place = ctx.switches
        rows = h.shape[0] * h.shape[1]
        slope = 1 - h.square()
        da = torch.empty_like(h)
        dW_hh, dW_xh = torch.zeros_like(W_hh), torch.zeros_like(W_xh)
        dx, kept = torch.empty_like(x), []
        future = torch.zeros_like(h0)
        for t in reversed(range(len(h))):
            if in_place:
                da_t = torch.add(dh_out[t], future, out=da[t]).mul_(slope[t])
                torch.mm(da_t, W_hh, out=future)
            else:
                da_t = (dh_out[t] + future) * slope[t]
                future = da_t @ W_hh
                kept.append(da_t)
            if not one_product:
                dW_hh = dW_hh + da_t.T @ (h[t - 1] if t else h0)
            if not inputs_at_once:
                dW_xh = dW_xh + da_t.T @ x[t]
                dx[t] = da_t @ W_xh
        if not in_place:
            da = torch.stack(kept[::-1])
        flat = da.view(rows, -1)
        if one_product:
            dW_hh = flat.T @ torch.cat([h0[None], h[:-1]]).view(rows, -1)
        if inputs_at_once:
            dW_xh, dx = flat.T @ x.view(rows, -1), da @ W_xh
        return dx, future, dW_xh, dW_hh, flat.sum(0), None, None, None


SWITCHES = {  # inputs at once, one product, in place
    "derived": (True, False, False),
    "+ one product": (True, True, False),
    "chapter": (True, True, True),
    "- inputs at once": (False, True, True),
    "- one product": (True, False, True),
}


def prepare(way: str, seed: int) -> tuple[Callable[[], Tensor], dict[str, Tensor]]:
    """Return a function that runs the layer, and the tensors that get gradients."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = nn.RNN(I, H)
    tensors = {
        "x": torch.randn(T, B, I, generator=generator),
        "h0": torch.randn(B, H, generator=generator),
    }
    if way == "torch.nn.RNN":
        for tensor in tensors.values():
            tensor.requires_grad_()
        return lambda: layer(tensors["x"], tensors["h0"][None])[0], tensors
    weights = dict(layer.named_parameters())
    tensors["W_xh"] = weights["weight_ih_l0"].detach().clone()
    tensors["W_hh"] = weights["weight_hh_l0"].detach().clone()
    tensors["b_h"] = (weights["bias_ih_l0"] + weights["bias_hh_l0"]).detach()
    for tensor in tensors.values():
        tensor.requires_grad_()
    x, h0, W_xh, W_hh, b_h = tensors.values()
    if way in SWITCHES:
        switches = SWITCHES[way]
        return lambda: Derived.apply(x, h0, W_xh, W_hh, b_h, *switches), tensors  # type: ignore[no-untyped-call]
    return lambda: recorded(x, h0, W_xh, W_hh, b_h, "inputs" in way), tensors


def step(layer: Callable[[], Tensor], g: Tensor) -> None:
    """Run a layer forward and back."""
    layer().backward(g)  # type: ignore[no-untyped-call]


def run(way: str, *, seed: int, device: str) -> dict[str, float]:
    """Time one way against the chapter's; it is for a CPU.

    Returns
    -------
    figures
        ``ratio``, and ``milliseconds``, the median processor time of one training step.
    """
    if device != "cpu":
        raise ValueError(f"device: expected 'cpu', got {device!r}")
    g = torch.randn(T, B, H, generator=torch.Generator().manual_seed(seed + 100))
    ways = [prepare(name, seed)[0] for name in (way, "chapter")]
    steps = [partial(step, f, g) for f in ways]
    slow, fast = ratios(steps[0], steps[1], PAIRS, time.process_time)
    return {
        "ratio": statistics.median(s / f for s, f in zip(slow, fast, strict=True)),
        "milliseconds": 1000 * statistics.median(slow),
    }
