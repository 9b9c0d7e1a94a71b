"""How RNN, GRU and LSTM go through time, forwards and backwards.

The rows of all steps are stacked in one matrix. All the layouts that ``torch.nn`` takes become one:
``N = sum(sizes)`` rows, where step ``t`` owns the next ``sizes[t]`` rows. That is how PyTorch packs
sequences of unequal length, longest first; for a plain batch every size is B.

A :class:`Cell` knows one step of a layer and its derivative. :func:`recurrence` runs it and lets
autograd record every step; :class:`HandDerived` gives the same numbers, with the gradient derived
by hand.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rnncourse.torch.private import watched

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Sequence[Tensor]
Parts = Sequence[tuple[slice, Tensor]]

# How many numbers the backward pass works on at a time, so that they stay in the processor's cache.
# Measured: twice as many save up to 7 % of the time, and take more memory than torch.nn where a
# layer keeps little ("memory" in the benchmark); all steps at once take more of both.
CHUNK = 2**17

# Derivatives, written into memory that is already there.
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input  # d * y * (1 - y)
tanh_backward = torch.ops.aten.tanh_backward.grad_input  # d * (1 - y**2)
relu_backward = torch.ops.aten.threshold_backward.grad_input  # d * (y > threshold)


class Steps:
    """The steps of a batch, in the order in which they run.

    Parameters
    ----------
    sizes
        How many sequences are still there at each step, never increasing; ``sizes[0]`` is B.
    reverse
        Start at the last step.
    """

    def __init__(self, sizes: Sequence[int], reverse: bool = False) -> None:
        self.sizes, self.reverse = list(sizes), reverse
        self.starts = [0, *accumulate(self.sizes)]

    def cut(self, *matrices: Tensor | Array) -> list[tuple[int, tuple[Any, ...]]]:
        """Cut matrices of N rows into steps: one ``(size, views)`` per step, in running order."""
        pieces = [
            m.split_with_sizes(self.sizes)  # like split, without its 3 µs in Python
            if isinstance(m, Tensor)
            else [m[start:stop] for start, stop in pairwise(self.starts)]
            for m in matrices
        ]
        steps = list(zip(self.sizes, zip(*pieces, strict=True), strict=True))
        return steps[::-1] if self.reverse else steps

    def forward(
        self, states: Tensors, initial: Tensors, *matrices: Tensor | Array
    ) -> Iterator[tuple[Any, ...]]:
        """Go through time; each step writes its rows of the states.

        Yields
        ------
        *before, *now, *views
            States that go into the step; those that come out of it, to be written; its rows of the
            matrices.
        """
        count, before, have = len(states), initial, self.sizes[0]
        for size, views in self.cut(*states, *matrices):
            if size != have:
                before, have = resize(before, initial, size), size
            yield *before, *views
            before = views[:count]

    def backward(self, grads: Tensors, *matrices: Tensor | Array) -> Iterator[tuple[Any, ...]]:
        """Go back through time; each step changes the gradients of the states in place.

        Yields
        ------
        *grads, *views
            Gradients with respect to the states of the sequences that are there at this
            step, ``(size, H)``; the step's rows of the matrices.
        """
        have = 0
        for size, views in reversed(self.cut(*matrices)):
            if size != have:
                present, have = [g[:size] for g in grads], size
            yield *present, *views

    def last(self, states: Tensors) -> list[Tensor]:
        """Return copies of the states that each sequence ends in, ``(B, H)`` each."""
        sizes = [*self.sizes, 0]
        rows = [
            slice(start + after, start + size)
            for start, size, after in zip(self.starts, sizes, sizes[1:], strict=False)
            if size > after
        ]
        rows = [slice(sizes[0])] if self.reverse else rows[::-1]  # the longest sequence is first
        return [torch.cat([s[r] for r in rows]) for s in states]

    def chunks(self, width: int) -> list[tuple[slice, slice, "Steps"]]:
        """Cut time into chunks of about ``CHUNK / width`` rows, in running order.

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
        # No sequence begins or ends in between: the states, shifted by one step.
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


def resize(states: Tensors, initial: Tensors, size: int) -> list[Tensor]:
    """Drop the sequences that have ended; or let others join, with their initial states."""
    pairs = zip(states, initial, strict=True)
    return [torch.cat([s, s0[len(s) : size]]) if size > len(s) else s[:size] for s, s0 in pairs]


class Chunk(NamedTuple):
    """Some steps, and the rows of each matrix that belong to them."""

    steps: Steps
    dout: Tensor  #: gradient with respect to the outputs
    states: Tensors  #: after each step
    kept: Tensors  #: what the forward pass kept
    before: Callable[[int], Tensor]  #: given k, returns the k-th state before each step


class Cell(ABC):
    """What one kind of layer does at a step, and its derivative.

    Weights are ``w_ih`` ``(G, I)``, ``w_hh`` ``(G, H)``, ``b_ih`` and ``b_hh`` ``(G,)``, where G is
    H times the number of gates and candidates. States are ``(B, H)``, the output first.
    """

    width: ClassVar[int]
    """How many times H numbers the backward pass counts per row of a chunk: measured."""

    @abstractmethod
    def step(self, a: Tensor, b: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return the states after a step: the definition.

        ``a = W_ih x + b_ih`` and ``b = W_hh h + b_hh`` are what comes from the input and from the
        state, ``(B, G)``.
        """

    @abstractmethod
    def forward(
        self, steps: Steps, x: Tensor, initial: Tensors, weights: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Run all steps on ``x`` ``(N, I)``, in place where that is faster.

        Returns
        -------
        states
            Those after each step, ``(N, H)`` each.
        kept
            What the backward pass needs besides them, N rows each.
        """

    @abstractmethod
    def backward(self, chunk: Chunk, grads: Tensors, w_hh: Tensor) -> tuple[Parts, Tensor]:
        """Go back through some steps.

        ``grads``, the gradients with respect to the states after the last of them, ``(B, H)`` each,
        are turned in place into those with respect to the states before the first.

        Returns
        -------
        da, db
            Gradients with respect to ``a`` and ``b`` of :meth:`step`, ``(rows, G)``; that of ``a``
            in parts, each with the entries of G that it covers.
        """


def recurrence(cell: Cell, steps: Steps, x: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Run one layer in one direction and let autograd record every step: the plain definition.

    Parameters
    ----------
    cell
        The kind of layer.
    steps
        The steps.
    x
        Inputs of all steps, ``(N, I)``.
    tensors
        Initial states ``(B, H)``, then ``w_ih`` ``(G, I)``, ``w_hh`` ``(G, H)``, ``b_ih`` and
        ``b_hh`` ``(G,)``.

    Returns
    -------
    out, *last
        Outputs of all steps ``(N, H)``, and the states that each sequence ends in ``(B, H)``.
    """
    *initial, w_ih, w_hh, b_ih, b_hh = tensors
    states, made = tuple(initial), []
    for size, (a,) in steps.cut(F.linear(x, w_ih, b_ih)):
        states = tuple(resize(states, initial, size))
        states = cell.step(a, F.linear(states[0], w_hh, b_hh), *states)
        made.append(states)
    each = zip(*made[:: -1 if steps.reverse else 1], strict=True)
    matrices = [torch.cat(of_all_steps) for of_all_steps in each]
    return matrices[0], *steps.last(matrices)


def by_hand(cell: Cell, steps: Steps, x: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Do what :func:`recurrence` does, by the fast passes of the cell.

    Where no gradient is recorded there is nothing to keep: at 32 small steps
    :class:`HandDerived` would take a fifth longer.
    """
    if torch.is_grad_enabled():
        found: tuple[Tensor, ...] = HandDerived.apply(cell, steps, x, *tensors)  # type: ignore[no-untyped-call]
        return found
    states, _ = cell.forward(steps, x, tensors[:-4], tensors[-4:])
    return states[0], *steps.last(states)


class HandDerived(torch.autograd.Function):
    """:func:`recurrence` with a backward pass written by hand (chapter 4).

    Faster than a recorded loop for three reasons: nothing is recorded, each step works in place
    in memory that is already there, and the weights' gradients are a few large products, one for
    each chunk of time that fits in the processor's cache, instead of one small product per step.
    """

    @staticmethod
    def forward(
        ctx: Any, cell: Cell, steps: Steps, x: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """Take and return what :func:`recurrence` does."""
        states, kept = cell.forward(steps, x, tensors[:-4], tensors[-4:])
        ctx.cell, ctx.steps = cell, steps
        ctx.save_for_backward(x, *tensors, *states, *kept)
        ctx.set_materialize_grads(False)
        return states[0], *steps.last(states)

    @staticmethod
    def backward(ctx: Any, dout: Tensor | None, *dlast: Tensor | None) -> tuple[Any, ...]:
        """Return the gradients with respect to the tensors."""
        cell, needs = ctx.cell, ctx.needs_input_grad[2:]
        steps: Steps = ctx.steps
        inputs, made = ctx.saved_tensors[: len(needs)], ctx.saved_tensors[len(needs) :]
        (x, *initial, w_ih, w_hh, _, _), states = inputs, made[: len(dlast)]
        grads = zip((dout, *dlast), (states[0], *initial), strict=True)
        dout, *carried = (torch.zeros_like(v) if d is None else d for d, v in grads)
        if torch.is_grad_enabled() or watched(dout, *carried):
            return None, None, *recorded(cell, steps, inputs, needs, (dout, *carried))

        # A gradient may be a view that PyTorch negates when it reads it, which NumPy would not.
        dout, *carried = (d.resolve_neg() for d in (dout, *carried))
        carried = [d.clone() for d in carried]
        dx: Tensor | None = None
        weights = zip(inputs[-4:], needs[-4:], strict=True)
        dw_ih, dw_hh, db_ih, db_hh = (torch.zeros_like(w) if need else None for w, need in weights)
        for span, rows, part in reversed(steps.chunks(cell.width * w_hh.shape[1])):
            pieces = [m[rows] for m in made]

            def before(k: int, span: slice = span) -> Tensor:
                return steps.before(states[k], initial[k], span)

            chunk = Chunk(part, dout[rows], pieces[: len(dlast)], pieces[len(dlast) :], before)
            da, db = cell.backward(chunk, carried, w_hh)
            if dw_hh is not None:
                dw_hh.addmm_(db.t(), before(0))
            if db_hh is not None:
                db_hh.add_(db.sum(0))
            if dx is None and needs[0]:
                dx = torch.zeros_like(x)  # not earlier, on top of what the first chunk takes
            for place, d in da:
                if dx is not None:
                    dx[rows].addmm_(d, w_ih[place])
                if dw_ih is not None:
                    dw_ih[place].addmm_(d.t(), x[rows])
                if db_ih is not None:
                    db_ih[place].add_(d.sum(0))
            del da, d, db  # before the next ones are made
        return None, None, dx, *carried, dw_ih, dw_hh, db_ih, db_hh


def recorded(
    cell: Cell,
    steps: Steps,
    inputs: Tensors,
    needs: Sequence[bool],
    grads: Tensors,
) -> list[Tensor | None]:
    """Return the gradients through a recorded run, for what the hand-derived pass cannot do.

    That is: gradients that are differentiated again, and many gradients at once.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = [v.view_as(v) for v in inputs]  # two arguments may be one tensor: tell them apart
        wanted = [v for v, need in zip(inputs, needs, strict=True) if need]
        out = recurrence(cell, steps, *inputs)
    got = iter(torch.autograd.grad(out, wanted, grads, create_graph=again))
    return [next(got) if need else None for need in needs]


def light(*tensors: Tensor) -> tuple[Any, ...]:
    """Return ``(xp, *arrays)``: the tensors as arrays of the library with the cheaper calls.

    On a CPU, ``xp`` is NumPy, and an array is a view of its tensor's memory: measured, a tanh of
    parts of rows of a (32, 512) matrix takes 4.7 µs where PyTorch takes 17. Elsewhere ``xp`` is
    PyTorch. Code that uses what both have, such as ``xp.tanh(a, out=a)``, needs no second version.
    """
    if tensors[0].device.type == "cpu" and tensors[0].dtype in (torch.float32, torch.float64):
        return np, *(t.detach().numpy() for t in tensors)
    return torch, *tensors
