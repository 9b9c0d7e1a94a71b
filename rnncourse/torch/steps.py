"""How RNN, GRU and LSTM lay out time: the rows of all steps stand in one matrix.

All the layouts that ``torch.nn`` takes become one: ``N = sum(sizes)`` rows, where step ``t`` owns
the next ``sizes[t]`` rows. That is how PyTorch packs sequences of unequal length, longest first;
for a plain batch every size is B.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

# How many numbers a pass works on at a time, so that they stay in the processor's cache.
# Measured: twice as many gain up to 7 % of time, and take more memory than torch.nn where a layer
# keeps little ("memory" in the benchmark); all steps at once is slower and larger.
CHUNK = 2**17


class Steps:
    """The steps of a batch, in the order in which they run.

    Parameters
    ----------
    sizes
        How many sequences are still there at each step, never growing; ``sizes[0]`` is B.
    reverse
        Start at the last step.
    """

    def __init__(self, sizes: Sequence[int], reverse: bool) -> None:
        self.sizes, self.reverse = list(sizes), reverse
        self.starts = [0, *accumulate(self.sizes)]

    def cut(self, *matrices: Tensor | Array) -> list[tuple[Any, ...]]:
        """Cut matrices of N rows into steps: one ``(size, *views)`` a step, in running order."""
        pieces = [
            m.split_with_sizes(self.sizes)  # as split, without its 3 µs in Python
            if isinstance(m, Tensor)
            else [m[start:stop] for start, stop in pairwise(self.starts)]
            for m in matrices
        ]
        steps = list(zip(self.sizes, *pieces, strict=True))
        return steps[::-1] if self.reverse else steps

    def chunks(self, width: int) -> list[tuple[slice, slice, "Steps"]]:
        """Cut time into chunks of some ``CHUNK / width`` rows, in running order.

        Returns
        -------
        span
            First step of the chunk, and the one after its last.
        rows
            The rows of these steps.
        steps
            These steps alone.
        """
        chunks, first = [], 0
        for end in range(1, len(self.starts)):
            rows = slice(self.starts[first], self.starts[end])
            if rows.stop - rows.start >= CHUNK // width or end == len(self.sizes):
                span = slice(first, end)
                chunks.append((span, rows, Steps(self.sizes[span], self.reverse)))
                first = end
        return chunks[::-1] if self.reverse else chunks

    def before(self, states: Tensor, initial: Tensor, span: slice) -> Tensor:
        """Return the states that go into the steps of a span, one row each: ``(rows, H)``."""
        first, last = span.start, span.stop - 1
        start, stop, B = self.starts[first], self.starts[span.stop], self.sizes[first]
        if self.sizes[last] != B:
            each = (self._into(t, states, initial) for t in range(first, last + 1))
            return torch.cat([piece for pieces in each for piece in pieces])
        # No sequence begins or ends in between: the states, one step aside.
        if self.reverse:
            pieces = [states[start + B : stop], *self._into(last, states, initial)]
        elif first > 0 and self.sizes[first - 1] == B:
            return states[start - B : stop - B]
        else:
            pieces = [*self._into(first, states, initial), states[start : stop - B]]
        return torch.cat(pieces)

    def _into(self, t: int, states: Tensor, initial: Tensor) -> list[Tensor]:
        """Return the states that go into step ``t``, in one or two pieces."""
        earlier = t + 1 if self.reverse else t - 1
        if not 0 <= earlier < len(self.sizes):
            return [initial[: self.sizes[t]]]
        have = min(self.sizes[t], self.sizes[earlier])
        start = self.starts[earlier]
        return [states[start : start + have], initial[have : self.sizes[t]]]


def light(*tensors: Tensor) -> tuple[Any, ...]:
    """Return ``(xp, *arrays)``: the tensors as arrays of the library with the lighter calls.

    On a CPU, ``xp`` is NumPy, and an array is a view of its tensor's memory: measured, a product
    of single numbers takes 0.3 µs where PyTorch's takes 1.0, cutting out a step 0.13 µs where
    PyTorch takes 0.40, and a tanh of parts of rows of a (32, 512) matrix 4.7 µs where PyTorch takes
    17. Elsewhere ``xp`` is PyTorch. Code that uses what both have, such as
    ``xp.multiply(a, b, out=c)``, needs no second version.
    """
    if tensors[0].device.type == "cpu" and tensors[0].dtype in (torch.float32, torch.float64):
        return np, *(t.detach().numpy() for t in tensors)
    return torch, *tensors


def resize(state: Any, rows: int, joining: Any, ended: Any) -> Any:
    """Give a state ``rows`` rows: new ones come from ``joining``, those dropped go to ``ended``.

    All three are tensors, or all are NumPy's arrays.
    """
    have = len(state)
    if rows > have:
        joined = [state, joining[have:rows]]
        return torch.cat(joined) if isinstance(state, Tensor) else np.concatenate(joined)
    if rows < have:
        ended[rows:have] = state[rows:]
    return state[:rows]


def unroll(
    cell: Callable[..., tuple[Tensor, ...]], inputs: Tensor, initial: Sequence[Tensor], steps: Steps
) -> tuple[Tensor, ...]:
    """Run a cell over all steps and let autograd record each of them.

    Parameters
    ----------
    cell
        Takes a step's inputs and its states, and returns the new states, the output first.
    inputs
        Of all steps, ``(N, features)``.
    initial
        States before the first step, ``(B, H)`` each.
    steps
        The steps.

    Returns
    -------
    out, *last
        Outputs of all steps ``(N, H)``, and the states that each sequence ends in ``(B, H)``.
    """
    outs, ended = [], []
    cut = steps.cut(inputs)
    states = tuple(s[: cut[0][0]] for s in initial)
    for rows, a in cut:
        have = len(states[0])
        if rows > have:  # backwards in time, longer sequences come first: shorter ones join
            states = tuple(
                torch.cat([s, new[have:rows]]) for s, new in zip(states, initial, strict=True)
            )
        elif rows < have:
            ended.append([s[rows:] for s in states])
        states = cell(a, *(s[:rows] for s in states))
        outs.append(states[0])
    last = (torch.cat([s, *(e[k] for e in reversed(ended))]) for k, s in enumerate(states))
    return torch.cat(outs[::-1] if steps.reverse else outs), *last


def recorded(
    plain: Callable[..., tuple[Tensor, ...]],
    inputs: Sequence[Tensor],
    needs: Sequence[bool],
    grads: Sequence[Tensor],
    *settings: object,
) -> list[Tensor | None]:
    """Return the gradients through a recorded run of ``plain``, for what the fast pass cannot do.

    That is to be differentiated again, and to take many gradients at once.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = [v.view_as(v) for v in inputs]  # two arguments may be one tensor: tell them apart
        wanted = [v for v, need in zip(inputs, needs, strict=False) if need]
        out = plain(*inputs, *settings)
    got = iter(torch.autograd.grad(out, wanted, grads, create_graph=again))
    return [next(got) if need else None for _, need in zip(inputs, needs, strict=False)]
