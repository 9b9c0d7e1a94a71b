"""What bfloat16 costs in loss: a character model trained in three precisions.

What varies
    Where bfloat16 is used (``precision``). ``float32``: nowhere. ``autocast``: the weights and
    Adam's averages are float32, and the products run in bfloat16, as ``torch.autocast`` decides.
    ``bfloat16``: all weights, and with them Adam's averages, are bfloat16 too.

What is held equal
    The model (embedding 64, LSTM 128, linear), the text (Python's manual), 400 updates of Adam at
    a rate of 0.003 on 32 windows of 64 characters, gradients clipped at norm 1. A seed determines
    the first weights, before they are rounded, and the batches.

How it is measured
    ``bits`` is the loss per character on the first 60,000 characters of the validation text,
    computed in float32 whatever the training was. ``milliseconds`` is the median processor time
    of an update. Nothing is tuned: the question is what changes if one thing is changed.
"""

import math
import statistics
import time
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data import Vocabulary, python_manual, split_text

PRECISIONS = ("float32", "autocast", "bfloat16")
SETTINGS = [{"precision": precision, "updates": 400} for precision in PRECISIONS]
SETTINGS += [{"precision": "float32", "updates": 20}]
SEEDS = range(5)

CHEAP = {"precision": "float32", "updates": 20}
TOLERANCE = {"bits": 0.2}  # after 20 updates; the manual is another in each version of Python

T, B, E, H = 64, 32, 64, 128


class Model(nn.Module):
    """Embedding, LSTM and output layer."""

    def __init__(self, n_symbols: int) -> None:
        super().__init__()
        self.embed, self.lstm = nn.Embedding(n_symbols, E), nn.LSTM(E, H)
        self.out = nn.Linear(H, n_symbols)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of the next symbol, ``(T, B, O)``."""
        return self.out(self.lstm(self.embed(x))[0])  # type: ignore[no-any-return]


@cache
def text() -> tuple[Tensor, Tensor, int]:
    """Return the training and the validation text, and the number of symbols."""
    train, valid, _ = split_text(python_manual())
    vocabulary = Vocabulary.from_text(train)
    ids = [torch.from_numpy(vocabulary.encode(part)) for part in (train, valid)]
    return ids[0], ids[1], len(vocabulary)


def loss_of(model: nn.Module, windows: Tensor) -> Tensor:
    """Return the mean loss over windows ``(T + 1, B)``, in nats."""
    return F.cross_entropy(model(windows[:-1]).flatten(0, 1).float(), windows[1:].flatten())


def run(precision: str, updates: int, *, seed: int, device: str) -> dict[str, float]:
    """Train once; it is for a CPU.

    Returns
    -------
    figures
        ``bits`` and ``milliseconds``, as above.
    """
    if device != "cpu":
        raise ValueError(f"device: expected 'cpu', got {device!r}")
    train, valid, n_symbols = text()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = Model(n_symbols)
    if precision == "bfloat16":
        model.to(torch.bfloat16)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    rng, seconds = np.random.default_rng(seed), []
    for _ in range(updates):
        starts = rng.integers(len(train) - T, size=B)
        windows = train[starts + np.arange(T + 1)[:, None]]
        start = time.process_time()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
            loss = loss_of(model, windows)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.process_time() - start)
    model.float()
    with torch.no_grad():
        columns = len(valid[:60_000]) // (T + 1)
        windows = valid[: columns * (T + 1)].view(columns, T + 1).T
        bits = loss_of(model, windows).item() / math.log(2)
    return {"bits": bits, "milliseconds": 1000 * statistics.median(seconds)}
