"""How two layers of attention learn to look things up: the induction head, as it forms.

The list of :mod:`rnncourse.experiments.list_state`, with two layers of attention and the rate
that worked for all five seeds there. Two weights are followed through training, each for the head
in which it is largest:

- ``before``: how much a value looks at the step before it, its key, in the first layer;
- ``found``: how much a question looks at the value that belongs to it, in the second layer.

What varies
    The seed, and what is hidden from the first layer in training: nothing; the step before; all
    other steps; or, as a control, the third step before, which is the key of another pair. (If
    the step before is hidden, there is still a detour: the value of the next pair can look at key
    and value at once, since they are two and three steps before it.)

What is held equal
    Everything else.

After training with nothing hidden, two interventions: the first layer is kept from the step
before (``without_before``), and, as a control, from the third (``without_third``).
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rnncourse.experiments._frame import Attention, Batch, Network, build, n_parameters, train
from rnncourse.experiments._tasks import KEYS, VALUES, accuracy, loss, names

HIDDEN: dict[str, Callable[[Tensor], Tensor]] = {
    "the step before": lambda distance: distance != 1,
    "all other steps": lambda distance: distance == 0,
    "the third step before": lambda distance: distance != 3,
}
SETTINGS = [{"hidden": hidden} for hidden in ("nothing", *HIDDEN)]
SEEDS = range(5)

CHEAP = {"hidden": "nothing"}
TOLERANCE = {"parameters": 0, "accuracy_1000": 0.05}

PAIRS = 6
BATCH = 32
WIDTH = 32
RATE = 0.005
UPDATES = 1000
REPORTED = (0, 25, 50, 75, 100, 125, 150, 175, 200, 250, 300, 350, 400, 500, 600, 700, 850, 1000)


def hide(model: Network, what: str) -> None:
    """Keep the first layer from looking at some steps."""
    first = model.blocks[0].mix
    assert isinstance(first, Attention)
    first.allowed = HIDDEN.get(what)


def looks(model: Network, batch: Batch) -> tuple[float, float]:
    """Return how much values look at their keys, and questions at their values."""
    seen: list[Tensor] = []

    def note(layer: Attention, arguments: tuple[Tensor, ...]) -> None:
        seen.append(layer.weights(arguments[0]))

    layers = [block.mix for block in model.blocks if isinstance(block.mix, Attention)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    x, y = batch
    pairs = len(y)
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    first, second = seen  # (B, N, T, T)
    value = torch.arange(1, 2 * pairs, 2, device=x.device)
    before = first[:, :, value, value - 1].mean((0, 2))  # (N,)
    same = x[2 * pairs :, None] == x[: 2 * pairs : 2]  # (question, pair, B)
    to_values = second[:, :, 2 * pairs :, :][..., value]  # (B, N, question, pair)
    found = (to_values * same.permute(2, 0, 1)[:, None]).sum(-1).mean((0, 2))
    return before.max().item(), found.max().item()


def run(hidden: str, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``; ``accuracy_0`` and so on, and ``before_0`` and ``found_0`` and so
        on, after so many updates; ``without_before`` and ``without_third``, the accuracy at the
        end when the first layer is kept from these steps.
    """
    model = build([Attention] * 2, KEYS + VALUES, WIDTH, seed).to(device)
    hide(model, hidden)
    figures: dict[str, float] = {"parameters": n_parameters(model)}
    rng = np.random.default_rng(seed)
    fresh = names("any", PAIRS, 250, np.random.default_rng([1000 + seed, PAIRS]), device)

    def check(updates: int) -> None:
        if updates in REPORTED:
            figures[f"accuracy_{updates}"] = accuracy(model, fresh)
            before, found = looks(model, fresh)
            figures[f"before_{updates}"], figures[f"found_{updates}"] = before, found

    check(0)
    batches = (names("any", PAIRS, BATCH, rng, device) for _ in range(UPDATES))
    if not train(model, loss, batches, UPDATES, RATE, check):
        return {name: math.nan for name in figures}
    if hidden == "nothing":
        hide(model, "the step before")
        figures["without_before"] = accuracy(model, fresh)
        hide(model, "the third step before")
        figures["without_third"] = accuracy(model, fresh)
    return figures
