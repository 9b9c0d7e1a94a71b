"""A language model of word pieces on the Python manual: pieces, network, training and scoring.

Networks of all vocabularies are scored by the bits that the whole text costs, over its number of
characters, so that pieces of different lengths can be compared.
"""

import math
from functools import cache
from itertools import cycle, islice

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.text import python_manual, split_text, stream_batches
from rnncourse.ngram import NGram, Smoothing
from rnncourse.torch import LSTM
from rnncourse.training import fit

Ids = NDArray[np.int64]
State = tuple[Tensor, Tensor]
Batch = tuple[Ids, Ids]

WORD = r" ?\w+| ?[^\w\s]+|\s+"  # a word or signs, with the space before; or white space
START = "\n"  # what the network reads before the first piece of a text
B, T = 32, 32
BUDGET = 8e10  # products of a weight and a number in all forward passes of training

texts = cache(lambda: split_text(python_manual()))


@cache
def byte_pairs(size: int) -> Tokenizer:
    """Learn pieces from the training text: its characters, and merges up to a vocabulary's size."""
    pieces = Tokenizer(models.BPE(unk_token="<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "isolated")
    pieces.decoder = decoders.Fuse()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>"], show_progress=False)
    pieces.train_from_iterator([texts()[0]], trainer)
    return pieces


def encode(pieces: Tokenizer, text: str) -> Ids:
    """Return the numbers of a text's pieces, ``(N,)``."""
    return np.array(pieces.encode(text).ids, np.int64)


class PieceLSTM(nn.Module):
    """An LSTM that reads pieces and scores the next one; input and output share one table."""

    def __init__(self, V: int, H: int) -> None:
        super().__init__()
        self.embed, self.lstm, self.out = nn.Embedding(V, H), LSTM(H, H), nn.Linear(H, V)
        nn.init.normal_(self.embed.weight, std=0.3)
        self.out.weight = self.embed.weight
        self.lstm.get_parameter("bias_ih_l0").data[H : 2 * H] = 1  # the forget gate starts open

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return scores ``(T, B, V)`` and the new state."""
        h, state = self.lstm(self.embed(x), state)
        return self.out(h), state


def build(V: int, H: int, seed: int) -> PieceLSTM:
    """Return a network whose weights are drawn from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PieceLSTM(V, H)


def n_parameters(model: nn.Module) -> int:
    """Return the number of weights; shared ones count once."""
    return sum(p.numel() for p in model.parameters())


def updates_of(model: nn.Module) -> int:
    """Return the number of updates that the budget pays for."""
    return round(BUDGET / (n_parameters(model) * B * T))


def train(model: PieceLSTM, ids: Ids, rate: float, updates: int) -> None:
    """Read a text again and again, in 32 streams and steps of 32; the state is carried on."""
    state: State | None = None
    device = model.out.bias.device

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        nonlocal state
        x, y = (torch.from_numpy(ids).to(device) for ids in batch)
        scores, (h, c) = model(x, state)
        state = h.detach(), c.detach()
        return F.cross_entropy(scores.flatten(0, 1), y.flatten())

    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, updates, pct_start=0.1, cycle_momentum=False
    )
    batches = islice(cycle(stream_batches(ids, B, T)), updates)
    fit(model, loss, batches, optimizer, clip_norm=1.0, scheduler=schedule, progress=False)


def bits(model: PieceLSTM, pieces: Tokenizer, text: str) -> float:
    """Return the bits that a text costs, per character."""
    device = model.out.bias.device
    ids = torch.from_numpy(encode(pieces, START + text)).to(device)[:, None]  # (N, B=1)
    with torch.no_grad():
        scores, _ = model(ids[:-1])
    nats = F.cross_entropy(scores[:, 0], ids[1:, 0], reduction="sum").item()
    return nats / math.log(2) / len(text)


def table_bits(size: int, order: int, smoothing: Smoothing, part: int) -> float:
    """Return the bits per character of an n-gram table of pieces; part 1 validates, 2 tests."""
    pieces = byte_pairs(size)
    model = NGram(order, pieces.get_vocab_size(), smoothing=smoothing)
    model.fit(encode(pieces, texts()[0]))
    nats: float = -model.log_probs(encode(pieces, START + texts()[part]))[1:].sum()
    return nats / math.log(2) / len(texts()[part])
