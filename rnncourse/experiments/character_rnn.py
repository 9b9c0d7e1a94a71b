"""What the learning rate's schedule and longer training are worth to chapter 3's character model.

What varies
    The schedule of the learning rate: constant, or falling to zero along half a cosine. The number
    of epochs: 6, as in the chapter, or 12. The learning rate and the seed.

What is held equal
    The Python manual and its split, the network of 256 units, 16 streams of
    64 characters with the state carried from batch to batch and empty at the beginning of each
    epoch, Adam, and clipping at norm 1.

How each side is tuned
    The constant schedule has two learning rates at 6 epochs, and ``valid`` chooses between them.
    The cosine has the larger of the two alone, so if it wins, it is not for its tuning. Each has
    the same five seeds; ``test`` is what is compared.

When a run ends
    After its epochs. The validation text is scored after each of them, so the table shows where
    more training stops to help.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.text import Vocabulary, python_manual, split_text, stream_batches
from rnncourse.torch import RNN

SETTINGS = [
    {"schedule": schedule, "rate": rate, "epochs": epochs}
    for schedule, rate, epochs in [
        ("cosine", 0.006, 6),
        ("constant", 0.002, 6),
        ("cosine", 0.006, 1),
        ("cosine", 0.006, 12),
        ("constant", 0.006, 6),
    ]
]
SEEDS = range(5)

CHEAP = {"schedule": "cosine", "rate": 0.006, "epochs": 1}
TOLERANCE = {"valid": 0.08}  # the manual is another in each version of Python

BATCH, WINDOW = 16, 64
SCORED = 32  # streams in which a text is scored between epochs

Ids = NDArray[np.int64]


class CharacterRNN(nn.Module):
    """Embedding, one recurrent layer, output."""

    def __init__(self, n_symbols: int, embed_size: int = 64, hidden_size: int = 256) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_symbols, embed_size)
        self.rnn = RNN(embed_size, hidden_size)
        self.out = nn.Linear(hidden_size, n_symbols)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the scores of the next symbol, ``(T, B, V)``, and the last state."""
        h, state = self.rnn(self.embed(x), state)
        return self.out(h), state


def cross_entropy(
    model: CharacterRNN, x: Ids, y: Ids, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the mean loss in nats and the last state."""
    device = next(model.parameters()).device
    scores, state = model(torch.from_numpy(x).to(device), state)
    target = torch.from_numpy(y).to(device).flatten()
    return F.cross_entropy(scores.flatten(0, 1), target), state


@torch.no_grad()
def bits(model: CharacterRNN, ids: Ids, streams: int = SCORED) -> float:
    """Return the bits per character of a text, cut into streams that start with an empty state."""
    ((x, y),) = stream_batches(ids, streams, (len(ids) - 1) // streams)
    return cross_entropy(model, x, y, None)[0].item() / math.log(2)


def run(schedule: str, rate: float, epochs: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``train_1``, ``valid_1`` and so on: bits per character after each epoch, of the validation
        text and of as many characters from the end of the training text. ``valid`` and ``test``,
        after the last epoch, each read in one go.
    """
    train_text, valid_text, test_text = split_text(python_manual())
    symbols = Vocabulary.from_text(train_text)
    train, valid, test = (symbols.encode(text) for text in (train_text, valid_text, test_text))
    batches = stream_batches(train, BATCH, WINDOW)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CharacterRNN(len(symbols)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    updates = epochs * len(batches)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    figures = {}
    for epoch in range(1, epochs + 1):
        state = None
        for x, y in batches:
            loss, state = cross_entropy(model, x, y, state)
            state = state.detach()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if schedule == "cosine":
                falling.step()
        figures[f"train_{epoch}"] = bits(model, train[-len(valid) :])
        figures[f"valid_{epoch}"] = bits(model, valid)
    figures["valid"], figures["test"] = bits(model, valid, 1), bits(model, test, 1)
    return figures
