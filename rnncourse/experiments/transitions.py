"""What a linear recurrence may do to its state, and which tasks that decides.

A linear recurrence multiplies its state by a *transition*, then adds something. Four tasks ask
for different things: to flip, to go around in threes, to keep a list, and to choose. A fifth asks
those that can keep a list to rewrite it.

What varies
    The transition, the task, the learning rate and the seed. Transitions of a vector, each number
    of which has a factor of its own:

    - ``fixed``: a complex factor that is learned and the same for every input;
    - ``0 to 1``, ``-1 to 1``: a real factor, computed from the input;
    - ``complex``: a factor of absolute value 0 to 1 and any angle, computed from the input.

    Transitions of a matrix ``S``, to which ``beta * v k^T`` is added, with a key ``k`` of length 1:

    - ``matrix, sum``: none, S is only added to (linear attention without its division);
    - ``matrix, delta 0 to 1``: first S is multiplied by ``I - beta * k k^T``, with ``beta`` between
      0 and 1, which takes out what S kept under this key (the delta rule);
    - ``matrix, delta 0 to 2``: the same with ``beta`` up to 2, which may also flip its sign.

    The three with a matrix have the same number of weights. So have ``0 to 1``, ``-1 to 1`` and
    ``complex``, which also have as many numbers of state, and start with factors of the same sizes.

Tasks
    - ``lamp`` and ``three colors``: the number of ones so far, modulo 2 or 3, in training on 16
      bits. Learned means the rule, not the length: 99 of 100 right after 64 bits. Only those
      transitions whose factors can leave the range from 0 to 1 are asked for three colors.
    - ``list``: six pairs of a key and a value, then the value of each key. All networks are given
      the previous symbol beside each symbol, so that one look can join a key and its value.
      Learned: 99 of 100 right.
    - ``rewritten list``, for matrices alone: twelve pairs with six keys, so that most keys get
      several values, then the last value of each key. Learned: 99 of 100 right.
    - ``adding``: of 50 numbers two are marked, and their sum is asked at the end. Learned: a mean
      squared error below 1/24, a quarter of the baseline.

Not every transition is given every task (:data:`ASKED`); each task has those that differ in what
the task is about.

What is held equal
    The frame of two blocks (:mod:`rnncourse.experiments._frame`), about 10,000 weights (on the list
    about 13,300), batches of 32 sequences, the same for the same seed, and Adam with warm-up,
    cosine and clipping. The frame has a feed-forward part between its two recurrences, so that
    one that treats every input alike can still be given inputs of which some were made small.

How each side is tuned
    Each transition has the same three learning rates on each task, each with the same five seeds.

Interventions after training, without training any further
    - ``unsigned``: each factor is replaced by its absolute value. A flip then only keeps, and so
      does a turn; of ``I - beta * k k^T`` the factor along the key is replaced. If flips and turns
      are what the network computes with, the accuracy falls to chance.
    - ``unerased``: nothing is taken out of the matrix anymore, only added.

When a run ends
    As soon as the task is learned, or after the task's updates (:data:`UPDATES`). A run without
    ``learned_at`` has not learned within these, which says nothing about more.
"""

import math
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from rnncourse.data.memory import adding
from rnncourse.experiments import _tasks
from rnncourse.experiments._frame import (
    Batch,
    Network,
    build,
    n_parameters,
    train,
)
from rnncourse.torch.scan import linear_recurrence

VECTORS = ("fixed", "0 to 1", "-1 to 1", "complex")
MATRICES = ("matrix, sum", "matrix, delta 0 to 1", "matrix, delta 0 to 2")
TASKS = ("lamp", "three colors", "list", "rewritten list", "adding")
RATES = (0.004, 0.008, 0.016)
ASKED = {
    "lamp": (*VECTORS, *MATRICES[1:]),
    "three colors": ("fixed", "-1 to 1", "complex", "matrix, delta 0 to 2"),
    "list": (*VECTORS[1:], "matrix, sum", "matrix, delta 0 to 2"),
    "rewritten list": ("matrix, sum", "matrix, delta 0 to 2"),
    "adding": (*VECTORS, "matrix, sum", "matrix, delta 0 to 2"),
}
SETTINGS = [
    {"transition": transition, "task": task, "rate": rate}
    for task in TASKS
    for rate in RATES
    for transition in ASKED[task]
]
SEEDS = range(5)

CHEAP = {"transition": "-1 to 1", "task": "lamp", "rate": 0.008}
TOLERANCE = {"parameters": 0, "score": 0.02}

WIDTHS = {"fixed": 30, **dict.fromkeys(VECTORS[1:], 28), **dict.fromkeys(MATRICES, 26)}
BATCH = 32
UPDATES = {"lamp": 400, "three colors": 400, "list": 600, "adding": 600, "rewritten list": 800}
CHECK_EVERY = 50  # updates
BITS, LONGER, LONGEST = 16, 64, 256
PAIRS, NUMBERS = 6, 50
RIGHT, ERROR = 0.99, 1 / 24

Change = Callable[[Tensor], Tensor]


class Diagonal(nn.Module):
    """``h[t] = a[t] * h[t - 1] + b[t]``, each number of the state on its own.

    Parameters
    ----------
    size
        Features E of input and output, an even number.
    kind
        One of :data:`VECTORS`. Complex states have E / 2 numbers of two parts.

    Attributes
    ----------
    change
        What is applied to the factors, for interventions after training.
    """

    def __init__(self, size: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.erases = False  # only a matrix can
        self.turns = kind in ("fixed", "complex")
        self.factor = nn.Linear(size, size)
        self.add = nn.Linear(size, size)
        self.change: Change | None = None
        n = size // 2 if self.turns else size
        sizes = torch.linspace(0.5, 0.99, n)  # of the factors at the start
        with torch.no_grad():
            self.factor.bias[:n] = torch.logit((1 + sizes) / 2 if kind == "-1 to 1" else sizes)
            if kind == "fixed":
                self.factor.bias[n:] = torch.randn(n) / 3  # angles, spread as those of inputs are
        if kind == "fixed":
            self.factor.register_parameter("weight", None)

    def factors(self, x: Tensor) -> Tensor:
        """Return the factors of the steps, ``(T, B, E)``, or complex with half as many."""
        p = self.factor.bias.expand_as(x) if self.kind == "fixed" else self.factor(x)
        if self.turns:
            p, angle = p.chunk(2, dim=-1)
            a = torch.polar(torch.sigmoid(p), angle)
        else:
            a = 2 * torch.sigmoid(p) - 1 if self.kind == "-1 to 1" else torch.sigmoid(p)
        return a if self.change is None else self.change(a)

    def forward(self, x: Tensor) -> Tensor:
        """Run ``(T, B, E)``."""
        a, b = self.factors(x), self.add(x)
        if not self.turns:
            return linear_recurrence(a, b)
        h = linear_recurrence(a + 0j, torch.complex(*b.chunk(2, dim=-1)))
        return torch.cat((h.real, h.imag), -1)


class Delta(nn.Module):
    """``S[t] = S[t - 1] (I - beta[t] k[t] k[t]^T) + beta[t] v[t] k[t]^T``, read as ``S[t] q[t]``.

    Parameters
    ----------
    size
        Features E of input and output; S is ``(E, E)``.
    kind
        One of :data:`MATRICES`; ``"matrix, sum"`` leaves the bracket out.

    Attributes
    ----------
    change
        What is applied to ``1 - beta``, the factor along the key, for interventions after training.
    """

    def __init__(self, size: int, kind: str) -> None:
        super().__init__()
        self.most = 2 if kind.endswith("2") else 1
        self.erases = kind != "matrix, sum"
        self.project = nn.Linear(size, 3 * size + 1)
        self.change: Change | None = None

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return queries, keys and values ``(B, T, E)``, and beta ``(B, T, 1)``."""
        E = x.shape[-1]
        q, k, v, p = self.project(x.transpose(0, 1)).split((E, E, E, 1), dim=-1)
        beta = self.most * torch.sigmoid(p)
        if self.change is not None:
            beta = 1 - self.change(1 - beta)
        q, k = (nn.functional.normalize(u, dim=-1) for u in (q, k))
        return q, k, v, beta

    def forward(self, x: Tensor) -> Tensor:
        """Run ``(T, B, E)``, all steps at once.

        After step t, S is the sum of ``u[s] k[s]^T`` over s up to t. What step t adds is what it
        writes less what it takes out, ``u[t] = beta[t] (v[t] - sum of u[s] (k[s] . k[t]))`` over
        the earlier s. For all t, that is one triangular system of equations.
        """
        q, k, v, beta = self.parts(x)
        u = beta * v
        if self.erases:
            seen = (beta * (k @ k.mT)).tril(-1)
            u = torch.linalg.solve_triangular(seen, u, upper=False, unitriangular=True)
        return ((q @ k.mT).tril() @ u).transpose(0, 1)


def mixer(transition: str) -> Callable[[int], nn.Module]:
    """Return what makes the layer of a transition."""
    return lambda E: (Diagonal if transition in VECTORS else Delta)(E, transition)


def state_numbers(transition: str) -> int:
    """Return how many numbers one layer keeps of the past."""
    return WIDTHS[transition] ** (1 if transition in VECTORS else 2)


def squared_error(model: Network, batch: Batch) -> Tensor:
    """Return the mean squared error of the last output."""
    x, y = batch
    error: Tensor = (model(x)[-1, :, 0] - y).square().mean()
    return error


def rewritten(pairs: int, size: int, rng: np.random.Generator, device: str) -> Batch:
    """Draw twice as many pairs as there are keys, then each key; the answers are the last values.

    Returns
    -------
    x, y
        Symbols ``(5 * pairs, B)``, and the answers ``(pairs, B)`` to the last ``pairs`` of them.
    """
    keys = rng.permuted(np.tile(np.arange(_tasks.KEYS)[:, None], size), axis=0)[:pairs]
    each = np.tile(np.arange(pairs)[:, None], size)
    order = np.concatenate([each, rng.integers(pairs, size=each.shape)])
    order = rng.permuted(order, axis=0)  # which of the keys is written, (2 * pairs, B)
    values = rng.integers(_tasks.KEYS, _tasks.KEYS + _tasks.VALUES, size=order.shape)
    latest = np.empty_like(each)
    for places, value in zip(order, values, strict=True):
        latest[places, np.arange(size)] = value
    asked = rng.permuted(each, axis=0)
    x = np.empty((5 * pairs, size), np.int64)
    x[: 4 * pairs : 2], x[1 : 4 * pairs : 2] = np.take_along_axis(keys, order, 0), values
    x[4 * pairs :] = np.take_along_axis(keys, asked, 0)
    y = np.take_along_axis(latest, asked, 0)
    return torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)


def draw(task: str, size: int, rng: np.random.Generator, device: str, longer: int = 1) -> Batch:
    """Draw sequences of a task, ``longer`` times as long as in training."""
    if task == "adding":
        x, y = (torch.from_numpy(part) for part in adding(longer * NUMBERS, size, rng))
        return x.to(device, torch.float32), y.to(device, torch.float32)
    if task == "list":
        return _tasks.names("any", longer * PAIRS, size, rng, device)
    if task == "rewritten list":
        return rewritten(longer * PAIRS, size, rng, device)
    return _tasks.lamp(2 if task == "lamp" else 3, longer * BITS, size, rng, device)


def make(transition: str, task: str, seed: int) -> Network:
    """Return the network for a task, with weights drawn from a seed."""
    lists = task.endswith("list")
    symbols = _tasks.KEYS + _tasks.VALUES if lists else 3
    E = WIDTHS[transition]
    model = build([mixer(transition)] * 2, symbols, E, seed, previous=lists)
    if task == "adding":  # a number and a mark come in, a number goes out
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model.embed, model.out = nn.Linear(2, E), nn.Linear(E, 1)  # type: ignore[assignment]
    return model


def run(transition: str, task: str, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``, and ``state``, the numbers that a layer keeps; ``updates`` done, and
        ``learned_at``, NaN if the task was not learned; ``score`` on fresh sequences as in
        training: the share of right answers (of a lamp, the last), for adding the mean squared
        error; for lamps and lists ``unsigned`` and, for the delta rule, ``unerased``, the scores
        after an intervention; ``longer``, the score at four times the bits, twice the pairs or
        twice the numbers, and for lamps ``longest``, at sixteen times the bits.
    """
    model = make(transition, task, seed).to(device)
    lamp = task in ("lamp", "three colors")
    figures: dict[str, float] = {
        "parameters": n_parameters(model),
        "state": state_numbers(transition),
        "updates": 0,
        "learned_at": math.nan,
    }
    rng = np.random.default_rng(seed)

    def fresh(longer: int) -> Batch:
        batch = draw(task, 250, np.random.default_rng([1000 + seed, longer]), device, longer)
        return _tasks.last(batch) if lamp else batch

    def score(batch: Batch) -> float:
        if task != "adding":
            return _tasks.accuracy(model, batch)
        with torch.no_grad():
            return squared_error(model, batch).item()

    tested = {"score": fresh(1), "longer": fresh(4 if lamp else 2)}
    decides = tested["longer" if lamp else "score"]

    def check(done: int) -> bool:
        figures["updates"] = done
        if done % CHECK_EVERY:
            return False
        learned = score(decides) < ERROR if task == "adding" else score(decides) > RIGHT
        if learned:
            figures["learned_at"] = done
        return learned

    loss = squared_error if task == "adding" else _tasks.loss
    batches = (draw(task, BATCH, rng, device) for _ in range(UPDATES[task]))
    if not train(model, loss, batches, UPDATES[task], rate, check):
        return figures
    figures |= {name: score(batch) for name, batch in tested.items()}
    if lamp:
        figures["longest"] = score(fresh(16))
    if task != "adding":
        layers = [cast(Diagonal | Delta, block.mix) for block in model.blocks]
        for layer in layers:
            layer.change = torch.abs
        figures["unsigned"] = score(tested["score"])
        for layer in layers:
            layer.change, layer.erases = None, False
        if transition in MATRICES[1:]:
            figures["unerased"] = score(tested["score"])
    return figures
