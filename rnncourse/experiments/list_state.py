"""What it takes to look things up in a list: layers, state or time.

The list is *associative recall*: six pairs of a key and a value, then all six keys again in
another order, and after each of them the network says its value. There are 32 keys and 8 values.
Guessing is right in 1/8 of the cases. Always saying the most frequent value of the list, without
knowing which belongs to which, is right in 0.36 of them: :func:`bag`.

What varies
    The network, the size of what it keeps of the past, the list, the learning rate and the seed.

    - Attention in one layer and in two. A value does not say which key it belongs to: the key is
      in the step before. So a first look has to bring them together before a second one can find
      the value (an *induction head*; Olsson et al., 2022).
    - Attention in one layer that is given the previous symbol beside each symbol, by a second
      embedding. This is the control: it does for the one layer what the other layer is said to do.
    - One layer of linear attention with 1, 4 and 16 heads, given the previous symbol too. All have
      the same number of weights, and the state has about ``E**2 / heads`` numbers. So only the
      state varies.
    - An LSTM of two layers.
    - An LSTM on a list in a fixed order: the keys of each list are the first six in their order.
      Then the state needs to keep only the values, and where each belongs is known. This is the
      control for the claim that a state of this size cannot keep six values.

What is held equal
    The frame (:mod:`rnncourse.experiments._frame`), batches of 32 lists of six pairs, Adam with
    warm-up, cosine and clipping, and the largest number of updates. ``accuracy_125`` and so on are
    measured along the way, to tell what more training does from what more state does.

How each side is tuned
    Each has the same three learning rates, and each rate has the same five seeds.

When a run ends
    After ``updates``, or as soon as 99 of 100 answers are right. Accuracies of later updates are
    then those of the end.
"""

import math

import numpy as np

from rnncourse.experiments._frame import (
    MIXERS,
    Attention,
    Mixer,
    build,
    linear_attention,
    n_parameters,
    train,
)
from rnncourse.experiments._tasks import KEYS, VALUES, accuracy, loss, names

RATES = (0.005, 0.0025, 0.01)
SETTINGS = [
    {
        "network": network,
        "width": width,
        "heads": heads,
        "order": order,
        "updates": 1000,
        "rate": rate,
    }
    for rate in RATES
    for network, width, heads, order in [
        ("attention, one layer", 32, 4, "any"),
        ("attention, one layer, previous", 32, 4, "any"),
        ("attention, two layers", 32, 4, "any"),
        ("LSTM", 32, 0, "any"),
        ("LSTM", 32, 0, "fixed"),
        *(("linear attention, one layer, previous", 32, heads, "any") for heads in (1, 4, 16)),
    ]
]
SEEDS = range(5)

CHEAP = {
    "network": "attention, one layer, previous",
    "width": 32,
    "heads": 4,
    "order": "any",
    "updates": 1000,
    "rate": 0.005,
}
TOLERANCE = {"parameters": 0, "accuracy": 0.05}

PAIRS = 6
TESTED = (3, 6, 12)
BATCH = 32
CHECK_EVERY = 25  # updates
REPORTED = (125, 250, 500, 1000, 2000, 4000)
LEARNED = 0.99


def mixers(network: str, heads: int) -> list[Mixer]:
    """Return the mixers of a network."""
    name, *extras = network.split(", ")
    if name == "LSTM":
        return list(MIXERS["LSTM"])
    if name == "attention":
        return [lambda E: Attention(E, heads)] * (1 if "one layer" in extras else 2)
    return [linear_attention(heads)]


def state_numbers(network: str, width: int, heads: int) -> float:
    """Return how many numbers the network keeps of the past; NaN if that grows with the past."""
    if network == "LSTM":
        return 2 * 2 * width
    if network.startswith("linear"):
        return width**2 / heads + width
    return math.nan


def bag(pairs: int = PAIRS) -> float:
    """Return the accuracy of always saying the most frequent value of the list, by sampling."""
    values = np.random.default_rng(0).integers(VALUES, size=(100_000, pairs))
    most = (values[..., None] == np.arange(VALUES)).sum(1).max(-1)
    return float(most.mean() / pairs)


def run(
    network: str,
    width: int,
    heads: int,
    order: str,
    updates: int,
    rate: float,
    *,
    seed: int,
    device: str,
) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``; ``state``, how many numbers the network keeps, NaN for attention;
        ``learned_at``, the updates until 99 of 100 answers on fresh lists were right, NaN if they
        never were; ``accuracy_125`` and so on, the accuracy after so many updates; ``accuracy``,
        at the end; ``pairs_3`` and ``pairs_12``, the accuracy at the end for lists of other
        lengths.
    """
    model = build(mixers(network, heads), KEYS + VALUES, width, seed, "previous" in network)
    model = model.to(device)
    figures = {
        "parameters": n_parameters(model),
        "state": state_numbers(network, width, heads),
        "learned_at": math.nan,
    }
    rng = np.random.default_rng(seed)
    fresh = {
        n: names(order, n, 250, np.random.default_rng([1000 + seed, n]), device) for n in TESTED
    }

    def check(done: int) -> bool:
        if done % CHECK_EVERY:
            return False
        right = accuracy(model, fresh[PAIRS])
        learned = right > LEARNED
        if learned:
            figures["learned_at"] = done
        for place in REPORTED:
            if place == done or (learned and done < place <= updates):
                figures[f"accuracy_{place}"] = right
        return learned

    batches = (names(order, PAIRS, BATCH, rng, device) for _ in range(updates))
    if train(model, loss, batches, updates, rate, check):
        figures["accuracy"] = accuracy(model, fresh[PAIRS])
        for n in TESTED:
            if n != PAIRS:
                figures[f"pairs_{n}"] = accuracy(model, fresh[n])
    return figures
