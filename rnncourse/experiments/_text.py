"""The Python manual, character by character: training and scoring for races on text.

Networks train on windows of 64 characters that start with an empty state. A text is scored in
windows of 64 that overlap by half, and of each window the second half counts. So each character
of the text but the first ones is scored once, with 32 to 63 characters before it.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rnncourse.data.text import Vocabulary, python_manual, split_text
from rnncourse.experiments._frame import (
    Batch,
    Mixer,
    Network,
    arithmetic,
    build,
    n_parameters,
    train,
    width,
)
from rnncourse.ngram import NGram

Ids = NDArray[np.int64]

WINDOW = 64
HALF = WINDOW // 2
BATCH = 32
REPORTED = (62, 125, 250, 500, 1000, 2000, 4000)  # updates


@cache
def manual() -> tuple[Ids, Ids, Ids, int]:
    """Return the text of training, validation and test, and the number of symbols."""
    parts = split_text(python_manual())
    vocabulary = Vocabulary.from_text(parts[0])
    train_ids, valid_ids, test_ids = (vocabulary.encode(part) for part in parts)
    return train_ids, valid_ids, test_ids, len(vocabulary)


def draw(ids: Ids, updates: int, seed: int, device: str) -> Iterator[Batch]:
    """Yield batches of windows and of what comes next, ``(64, B)`` each."""
    rng = np.random.default_rng(seed)
    for _ in range(updates):
        starts = rng.integers(len(ids) - WINDOW, size=BATCH)
        windows = torch.from_numpy(ids[starts + np.arange(WINDOW + 1)[:, None]]).to(device)
        yield windows[:-1], windows[1:]


def loss(model: Network, batch: Batch) -> Tensor:
    """Return the mean loss over all steps, in nats."""
    x, y = batch
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


def bits(model: Network, ids: Ids, device: str) -> float:
    """Return the bits per character of a text."""
    starts = np.arange(0, len(ids) - WINDOW, HALF)
    windows = torch.from_numpy(ids[starts + np.arange(WINDOW + 1)[:, None]]).to(device)
    with torch.no_grad():
        nats = [
            F.cross_entropy(
                model(part[:-1])[HALF:].flatten(0, 1), part[HALF + 1 :].flatten(), reduction="sum"
            ).item()
            for part in torch.split(windows, 256, 1)
        ]
    return sum(nats) / (HALF * len(starts)) / math.log(2)


def ngram_bits(order: int, share: float = 1.0, part: str = "test") -> float:
    """Return the bits per character of an n-gram model, on the characters that networks answer."""
    train_ids, valid_ids, test_ids, n_symbols = manual()
    ids = {"test": test_ids, "valid": valid_ids}[part]
    model = NGram(order, n_symbols).fit(train_ids[: int(share * len(train_ids))])
    scored = HALF * len(range(0, len(ids) - WINDOW, HALF))
    found: float = -model.log_probs(ids)[HALF + 1 : HALF + 1 + scored].mean() / math.log(2)
    return found


def race(
    mixers: Sequence[Mixer],
    budget: int,
    share: float,
    updates: int,
    rate: float,
    seed: int,
    device: str,
    look: Callable[[Network], dict[str, float]] | None = None,
) -> dict[str, float]:
    """Train one network on a share of the text and return its figures.

    Parameters
    ----------
    mixers, budget
        The mixers of the network, and about how many weights it has.
    share
        How much of the text of training is used, from its beginning.
    updates, rate, seed, device
        Of the training.
    look
        Returns more figures of the network at the end.

    Returns
    -------
    figures
        ``parameters`` and ``width``; ``teraflop``, the arithmetic of training in products, as
        :func:`rnncourse.experiments._frame.arithmetic` counts it; ``train_seconds``, the time
        that the processor spent on training; ``valid_62`` and so on, bits per character of the
        validation text after so many updates; ``valid`` and ``test``, bits at the end;
        ``best_valid`` and ``best_test``, where the validation text was best along the way.
    """
    train_ids, valid_ids, test_ids, n_symbols = manual()
    train_ids = train_ids[: int(share * len(train_ids))]
    E = width(mixers, n_symbols, budget)
    model = build(mixers, n_symbols, E, seed).to(device)
    work = arithmetic(model, WINDOW) * WINDOW * BATCH * updates
    figures = {"parameters": n_parameters(model), "width": E, "teraflop": work / 1e12}
    best = math.inf
    looked = 0.0  # seconds

    def check(done: int) -> None:
        nonlocal best, looked
        if done not in REPORTED and done != updates:
            return
        began = time.process_time()
        found = bits(model, valid_ids, device)
        if done in REPORTED:
            figures[f"valid_{done}"] = found
        if found < best or done == updates:
            test = bits(model, test_ids, device)
        if done == updates:
            figures["valid"], figures["test"] = found, test
        if found < best:
            best = found
            figures["best_valid"], figures["best_test"] = found, test
        looked += time.process_time() - began

    began = time.process_time()
    well = train(model, loss, draw(train_ids, updates, seed, device), updates, rate, check)
    figures["train_seconds"] = time.process_time() - began - looked
    if well and look is not None:
        figures |= look(model)
    return figures
