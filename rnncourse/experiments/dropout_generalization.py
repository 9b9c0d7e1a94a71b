"""What dropout does to a network that reads little text: overfitting, underfitting, early stopping.

A character model reads 15 000 characters of the Python manual again and again, and is scored on
text that it has not read.

What varies
    The dropout rate, the learning rate and the seed. Another seed means other initial weights,
    other noise and another piece of the manual.

What is held equal
    Two GRU layers of 96 units, dropout at the same places (on the input, between the layers, before
    the output), 16 streams of 32 characters with the state carried from batch to batch and empty at
    the beginning of each epoch, Adam, clipping at norm 1, 24 epochs and, for the same seed, the
    text.

How each side is tuned
    Each dropout rate has the same two learning rates. ``valid`` chooses between them; ``test`` is
    another text, on which nothing was chosen.

When a run ends
    After 24 epochs. It is scored after every second one, so that early stopping can be read from
    the row: ``valid`` is the lowest score on the validation text, and ``test`` the score at that
    moment. A high dropout rate learns slowly, and its curve may still fall at the end.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.text import Vocabulary, python_manual, split_text, stream_batches
from rnncourse.ngram import NGram
from rnncourse.torch import GRU
from rnncourse.training import fit

DROPOUTS = (0.0, 0.2, 0.4, 0.7)
RATES = (0.003, 0.006)
SETTINGS = [{"dropout": dropout, "rate": rate} for dropout in DROPOUTS for rate in RATES]
SEEDS = range(5)

CHEAP = {"dropout": 0.2, "rate": 0.006}
TOLERANCE = {"valid": 0.15, "test": 0.15}  # the manual is another in each version of Python

EPOCHS, CHECK_EVERY = 24, 2
READ, SCORED = 15_000, 10_000  # characters
BATCH, WINDOW = 16, 32
EMBED, UNITS = 32, 96

Ids = NDArray[np.int64]


class CharacterGRU(nn.Module):
    """Two recurrent layers, with dropout on every way up."""

    def __init__(self, n_symbols: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_symbols, EMBED)
        self.gru = GRU(EMBED, UNITS, num_layers=2, dropout=dropout)  # between the layers
        self.drop = nn.Dropout(dropout)  # on the input and before the output
        self.out = nn.Linear(UNITS, n_symbols)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the scores of the next symbol, ``(T, B, V)``, and the last state."""
        h, state = self.gru(self.drop(self.embed(x)), state)
        return self.out(self.drop(h)), state


def texts(seed: int) -> tuple[int, Ids, Ids, Ids]:
    """Return the number of symbols, this seed's text to read, and text for validation and test."""
    train, valid, test = split_text(python_manual())
    symbols = Vocabulary.from_text(train)
    start = seed * (len(train) // len(SEEDS))
    parts = (train[start : start + READ], valid[:SCORED], test[:SCORED])
    read, valid_ids, test_ids = (symbols.encode(part) for part in parts)
    return len(symbols), read, valid_ids, test_ids


def kneser_ney(seed: int) -> dict[str, float]:
    """Return bits per character of the n-grams of the same text; ``valid`` chooses the order."""
    n_symbols, read, valid, test = texts(seed)
    tables = [NGram(n, n_symbols, smoothing="Kneser–Ney").fit(read) for n in range(2, 9)]
    best = min(tables, key=lambda ngram: ngram.bits_per_character(valid))
    return {
        "order": best.order,
        "valid": best.bits_per_character(valid),
        "test": best.bits_per_character(test),
    }


def cross_entropy(
    model: CharacterGRU, x: Ids, y: Ids, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the mean loss in nats and the last state."""
    device = model.out.weight.device
    scores, state = model(torch.from_numpy(x).to(device), state)
    target = torch.from_numpy(y).to(device).flatten()
    return F.cross_entropy(scores.flatten(0, 1), target), state


@torch.no_grad()
def bits(model: CharacterGRU, ids: Ids) -> float:
    """Return the bits per character of a text, without dropout."""
    model.eval()
    ((x, y),) = stream_batches(ids, BATCH, (len(ids) - 1) // BATCH)
    loss = cross_entropy(model, x, y, None)[0].item()
    model.train()
    return loss / math.log(2)


def run(dropout: float, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``train_2``, ``valid_2`` and so on to ``train_24`` and ``valid_24``: bits per character
        after that many epochs, both without dropout, of 10 000 characters that it has read and of
        the validation text; ``valid``, the lowest of them, ``epoch``, when that was, and ``test``
        at that moment; ``test_end``, after the last epoch.
    """
    n_symbols, read, valid, test = texts(seed)
    batches = stream_batches(read, BATCH, WINDOW)
    figures = {"valid": math.inf}
    state: Tensor | None = None

    def loss(model: CharacterGRU, batch: tuple[Ids, Ids]) -> Tensor:
        nonlocal state  # is carried over to the next window, without its gradient
        value, after = cross_entropy(model, *batch, state)
        state = after.detach()
        return value

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for the weights and for the noise
        model = CharacterGRU(n_symbols, dropout).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        for epoch in range(1, EPOCHS + 1):
            state = None
            fit(model, loss, batches, optimizer, clip_norm=1.0, progress=False)
            if epoch % CHECK_EVERY:
                continue
            figures[f"train_{epoch}"] = bits(model, read[:SCORED])
            figures[f"valid_{epoch}"] = bits(model, valid)
            if figures[f"valid_{epoch}"] < figures["valid"]:
                figures["valid"], figures["epoch"] = figures[f"valid_{epoch}"], epoch
                figures["test"] = bits(model, test)
        figures["test_end"] = bits(model, test)
    return figures
