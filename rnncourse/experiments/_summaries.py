"""A network that summarizes, by writing words and by pointing at them, for two experiments."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rnncourse.data.text import Vocabulary
from rnncourse.torch.attention import AdditiveAttention, length_mask
from rnncourse.training import DivergenceError, fit

Words = Sequence[str]
Pair = tuple[Words, Words]
"""Words of a source and of its summary."""

PAD, UNKNOWN, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"
KINDS = ("one vector", "attention", "pointer")


def vocabulary(pairs: Sequence[Pair], at_least: int = 1) -> Vocabulary:
    """Return the words that occur at least so often in sources and summaries together."""
    counts = Counter(word for pair in pairs for side in pair for word in side)
    known = sorted(word for word, n in counts.items() if n >= at_least)
    return Vocabulary(known, specials=(PAD, UNKNOWN, BOS, EOS))


class Batch(NamedTuple):
    """Sources and summaries as numbers. An unknown word of a source has a number from V on.

    Attributes
    ----------
    source, lengths
        ``(S, B)`` and ``(B,)``.
    target
        ``(T + 1, B)``, from ``<bos>`` to ``<eos>``, then padding.
    strange
        For each source the unknown words, in the order of their numbers.
    """

    source: Tensor
    lengths: Tensor
    target: Tensor
    strange: list[list[str]]


def batch_of(pairs: Sequence[Pair], known: Vocabulary, device: str = "cpu") -> Batch:
    """Turn pairs into numbers, on a device.

    A word of a summary that is neither known nor in its source is ``<unk>``.
    """
    V, unknown = len(known), known[UNKNOWN]
    sources, targets, strange = [], [], []
    for source, summary in pairs:
        new: dict[str, int] = {}  # unknown words of this source, numbered from V
        ids = known.encode(source)
        for s in np.flatnonzero(ids == unknown).tolist():
            ids[s] = new.setdefault(source[s], V + len(new))
        target = known.encode([BOS, *summary, EOS])
        for t in np.flatnonzero(target == unknown).tolist():
            target[t] = new.get(summary[t - 1], unknown)
        sources.append(ids)
        targets.append(target)
        strange.append(list(new))
    lengths = torch.tensor([len(ids) for ids in sources])
    return Batch(_padded(sources).to(device), lengths, _padded(targets).to(device), strange)


def _padded(rows: Sequence[NDArray[np.int64]]) -> Tensor:
    tensors = [torch.from_numpy(row) for row in rows]
    return nn.utils.rnn.pad_sequence(tensors, padding_value=0)  # the number of <pad>


class Summarizer(nn.Module):
    """Encoder and decoder, one GRU each; with attention, or attention and a pointer.

    The gate, the pointer and the numbers of unknown words are those of See et al. (2017), with one
    matrix for the words that are read and written (Press and Wolf, 2017), and without coverage.
    """

    def __init__(self, V: int, kind: str, E: int = 48, H: int = 64, dropout: float = 0) -> None:
        super().__init__()
        self.V, self.unknown = V, 1
        self.embed = nn.Embedding(V, E)
        self.encoder = nn.GRU(E, H // 2, bidirectional=True)
        self.decoder = nn.GRU(E, H)
        self.score = AdditiveAttention(H, H, H) if kind != "one vector" else None
        self.combine = nn.Linear(2 * H if self.score else H, E)
        self.gate = nn.Linear(E, 1) if kind == "pointer" else None
        self.drop = nn.Dropout(dropout)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return all states ``(B, S, H)``, the last ``(1, B, H)`` and the mask ``(B, 1, S)``."""
        x = self.drop(self.embed(source.where(source < self.V, self.unknown)))  # (S, B, E)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
        out, last = self.encoder(packed)
        h, _ = nn.utils.rnn.pad_packed_sequence(out)  # (S, B, H)
        mask = length_mask(lengths.to(source.device), len(h))
        return h.transpose(0, 1), torch.cat([last[0], last[1]], -1)[None], mask

    def decode(
        self, ids: Tensor, d0: Tensor, h: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor]:
        """Read words ``(T, B)``; return scores, log odds of writing, where it looks, and the state.

        They have the shapes ``(T, B, V)``, ``(T, B, 1)``, ``(T, B, S)`` and ``(1, B, H)``.
        """
        x = self.drop(self.embed(ids.where(ids < self.V, self.unknown)))  # (T, B, E)
        d, state = self.decoder(x, d0)  # (T, B, H)
        looked = None
        if self.score is not None:
            context, looked = self.score(d.transpose(0, 1), h, h, mask)  # (B, T, H), (B, T, S)
            d = torch.cat([context.transpose(0, 1), d], -1)
            looked = looked.transpose(0, 1)
        y = self.drop(torch.tanh(self.combine(d)))  # (T, B, E)
        scores = y @ self.embed.weight.T  # the same vectors for reading and for writing
        return scores, None if self.gate is None else self.gate(y), looked, state

    def log_likelihood(self, batch: Batch) -> Tensor:
        """Return the log probability of each word of the summaries, ``(T, B)``."""
        target = batch.target[1:]
        h, d0, mask = self.encode(batch.source, batch.lengths)
        scores, gate, looked, _ = self.decode(batch.target[:-1], d0, h, mask)
        writable = target.where(target < self.V, self.unknown)
        written = scores.log_softmax(-1).gather(-1, writable[..., None])[..., 0]  # (T, B)
        if gate is None or looked is None:
            return written
        gate = gate[..., 0]
        written = written.masked_fill(target >= self.V, -math.inf)
        there = target[..., None] == batch.source.T  # (T, B, S)
        pointed = ((looked * there).sum(-1) + 1e-9).log()
        return torch.logaddexp(
            nn.functional.logsigmoid(gate) + written, nn.functional.logsigmoid(-gate) + pointed
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy per word, in nats."""
        return -self.log_likelihood(batch)[batch.target[1:] != 0].mean()

    def probabilities(
        self, scores: Tensor, gate: Tensor | None, looked: Tensor | None, source: Tensor
    ) -> Tensor:
        """Mix writing and pointing: probabilities ``(B, V + N)`` of one step, N unknown words."""
        p = scores.softmax(-1)
        if gate is None or looked is None:
            return p
        gamma = torch.sigmoid(gate)  # (B, 1)
        extra = max(0, int(source.max()) + 1 - self.V)
        p = nn.functional.pad(gamma * p, (0, extra))
        return p.scatter_add(1, source.T, (1 - gamma) * looked)

    @torch.no_grad()
    def summarize(self, batch: Batch, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Write the likeliest word at each of n steps, other than padding, unknown or start.

        Returns
        -------
        ids, gates, looked
            ``(n, B)``; the weight of writing, ``(n, B)``, 1 without a pointer; and ``(n, B, S)``,
            0 without attention.
        """
        self.eval()
        h, d, mask = self.encode(batch.source, batch.lengths)
        ids = torch.full_like(batch.source[:1], 2)  # <bos>
        written, gates, places = [], [], []
        for _ in range(n):
            scores, gate, looked, d = self.decode(ids, d, h, mask)
            gate, looked = (None if x is None else x[0] for x in (gate, looked))
            p = self.probabilities(scores[0], gate, looked, batch.source)  # (B, V + N)
            p[:, :3] = 0
            ids = p.argmax(-1)[None]
            written.append(ids[0])
            gates.append(torch.ones_like(p[:, 0]) if gate is None else torch.sigmoid(gate[:, 0]))
            places.append(torch.zeros_like(h[..., 0]) if looked is None else looked)
        return torch.stack(written), torch.stack(gates), torch.stack(places)


def in_words(ids: Tensor, batch: Batch, known: Vocabulary) -> list[list[str]]:
    """Return the words of each column of ``(n, B)`` numbers, up to ``<eos>``."""
    found = []
    for column, strange in zip(ids.T.tolist(), batch.strange, strict=True):
        tokens = (*known.tokens, *strange)
        stop = column.index(3) if 3 in column else len(column)
        found.append([tokens[i] for i in column[:stop]])
    return found


def build(V: int, kind: str, seed: int, dropout: float = 0) -> Summarizer:
    """Return a network whose weights are drawn from a seed; the global generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Summarizer(V, kind, dropout=dropout)


def train(
    model: Summarizer,
    draw: Callable[[np.random.Generator], Batch],
    rate: float,
    updates: int,
    seed: int,
) -> bool:
    """Train a network, and return whether its losses and gradients stayed finite."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    warm = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=updates, pct_start=0.1)
    batches = (draw(rng) for _ in range(updates))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of dropout
        try:
            fit(
                model, Summarizer.loss, batches, optimizer,
                clip_norm=1.0, scheduler=warm, progress=False,
            )  # fmt: skip
        except DivergenceError:
            return False
    return True
