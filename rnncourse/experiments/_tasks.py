"""The lamp and the list: two tasks that ask for opposite kinds of memory."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rnncourse.experiments._frame import Batch, Network

KEYS, VALUES = 32, 8
BITS = KEYS + VALUES  # the symbol of a zero; that of a one comes after it


def lamp(colors: int, T: int, B: int, rng: np.random.Generator, device: str) -> Batch:
    """Draw bits ``(T, B)``; the answer at each step is how many ones there were, modulo colors."""
    x = rng.integers(2, size=(T, B))
    y = x.cumsum(0) % colors
    return torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)


def names(order: str, pairs: int, B: int, rng: np.random.Generator, device: str) -> Batch:
    """Draw pairs of a key and a value, then all these keys again; the answers are their values.

    Parameters
    ----------
    order
        ``"any"``: the keys are drawn from 32; ``"fixed"``: they are the first ones, in order.
    pairs, B
        Pairs in a list, and lists.
    rng, device
        Where the random numbers come from, and where the result goes.

    Returns
    -------
    x, y
        Symbols ``(3 * pairs, B)``, and the answers ``(pairs, B)`` to the last ``pairs`` of them.
    """
    keys = np.tile(np.arange(KEYS)[:, None], B)
    if order == "any":
        keys = rng.permuted(keys, axis=0)
    keys = keys[:pairs]
    values = rng.integers(KEYS, KEYS + VALUES, size=keys.shape)
    asked = rng.permuted(np.tile(np.arange(pairs)[:, None], B), axis=0)
    x = np.empty((3 * pairs, B), np.int64)
    x[: 2 * pairs : 2], x[1 : 2 * pairs : 2] = keys, values
    x[2 * pairs :] = np.take_along_axis(keys, asked, 0)
    y = np.take_along_axis(values, asked, 0)
    return torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)


def loss(model: Network, batch: Batch) -> Tensor:
    """Return the mean loss over the answers, which belong to the last steps."""
    x, y = batch
    return F.cross_entropy(model(x)[-len(y) :].flatten(0, 1), y.flatten())


def accuracy(model: Network, batch: Batch) -> float:
    """Return the share of right answers."""
    x, y = batch
    with torch.no_grad():
        right = model(x)[-len(y) :].argmax(-1) == y
    return float(right.float().mean())


def last(batch: Batch) -> Batch:
    """Keep the answer at the last step alone."""
    x, y = batch
    return x, y[-1:]
