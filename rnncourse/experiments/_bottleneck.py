"""What the experiments on chapter 9's bottleneck share: sentences, network, training, scores."""

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnncourse.data.translation import Pair, pad_pairs, translation_pairs, vocabularies
from rnncourse.metrics import bleu
from rnncourse.torch import GRU
from rnncourse.training import fit

EMBED = 64
BATCH = 32
SIZES = (32, 64, 128)  # units of encoder, context vector and decoder
HAND_OVERS = ("once", "every step")
WORDS = 8  # of each kind, so that 1200 updates teach the short sentences
LONGEST = 25  # words of a translation
GROUPS = ((5, 6), (7, 8), (9, 10), (11, 12))
TESTED = 200  # sentences of each group

Decoding = tuple[Tensor, Tensor]  # state of the decoder and the context vector, (1, B, H) each


class Batch(NamedTuple):
    """Pairs as whole numbers."""

    source: Tensor  # (S, B)
    source_lengths: Tensor  # (B,)
    target: Tensor  # (T + 1, B), from <bos>
    lengths: Tensor  # (B,), without <bos>

    def pick(self, n: Tensor) -> "Batch":
        """Return the chosen pairs without needless padding."""
        S, T = int(self.source_lengths[n].max()), int(self.lengths[n].max())
        return Batch(
            self.source[:S, n], self.source_lengths[n], self.target[: T + 1, n], self.lengths[n]
        )

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(*(part.to(device) for part in self))


def batch_of(pairs: list[Pair]) -> Batch:
    """Turn pairs into numbers."""
    return Batch(*(torch.from_numpy(a) for a in pad_pairs(pairs, *vocabularies())))


@functools.cache
def sentences() -> tuple[Batch, Batch, dict[tuple[int, int], tuple[Batch, list[str]]]]:
    """Return what to learn from, what to validate with, and what to test with by length."""
    pairs = translation_pairs(21_000, np.random.default_rng(0), (5, 12), WORDS)
    known = {pair.english for pair in pairs}
    tests = {}
    for group in GROUPS:
        drawn = translation_pairs(2 * TESTED, np.random.default_rng([9, *group]), group, WORDS)
        chosen = [pair for pair in drawn if pair.english not in known][:TESTED]
        tests[group] = batch_of(chosen), [" ".join(pair.spanish) for pair in chosen]
    return batch_of(pairs[1000:]), batch_of(pairs[:1000]), tests


class Encoder(nn.Module):
    """Read a sentence into a vector: its last state."""

    def __init__(self, n_words: int, units: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_words, EMBED)
        self.layer = GRU(EMBED, units)

    def forward(self, batch: Batch) -> Tensor:
        """Return the context vectors, (1, B, H)."""
        x = self.embedding(batch.source)
        packed = pack_padded_sequence(x, batch.source_lengths.cpu(), enforce_sorted=False)
        context: Tensor = self.layer(packed)[1]
        return context


class Decoder(nn.Module):
    """Write from a vector that starts the state, and that each step may see again."""

    def __init__(self, n_words: int, units: int, context: str) -> None:
        super().__init__()
        self.every_step = context == "every step"
        self.embedding = nn.Embedding(n_words, EMBED)
        self.layer = GRU(EMBED + units * self.every_step, units)
        self.output = nn.Linear(units, n_words)

    def forward(
        self, words: Tensor, state: Decoding, lengths: Tensor | None = None
    ) -> tuple[Tensor, Decoding]:
        """Read (T, B) words; return the scores of the words after them and the state."""
        d, context = state
        x = self.embedding(words)
        if self.every_step:
            x = torch.cat((x, context.expand(len(x), -1, -1)), -1)
        if lengths is None:
            out, d = self.layer(x, d)
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
            packed, d = self.layer(packed, d)
            out, _ = pad_packed_sequence(packed, total_length=len(x))
        return self.output(out), (d, context)


class Translator(nn.Module):
    """Encoder and decoder with one vector between them."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the scores of all words that count, and these words."""
        context = self.encoder(batch)
        scores, _ = self.decoder(batch.target[:-1], (context, context), batch.lengths)
        counts = torch.arange(len(scores))[:, None] < batch.lengths
        return scores[counts], batch.target[1:][counts]


def new_decoder(units: int, context: str, seed: int) -> Decoder:
    """Return an untrained decoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Decoder(len(vocabularies()[1]), units, context)


def build(units: int, context: str, seed: int) -> Translator:
    """Return an untrained translator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000 + seed)
        encoder = Encoder(len(vocabularies()[0]), units)
    return Translator(encoder, new_decoder(units, context, seed))


def loss(model: Translator, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of the Spanish words, the end included."""
    return F.cross_entropy(*model.scores(batch))


def train(model: Translator, rate: float, updates: int, seed: int) -> None:
    """Train whatever is not frozen."""
    learns = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learns, lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, updates, pct_start=0.1)
    known, chance = sentences()[0], np.random.default_rng(seed)
    device, n_known = learns[0].device, len(known.lengths)
    batches = (
        known.pick(torch.from_numpy(chance.integers(n_known, size=BATCH))).to(device)
        for _ in range(updates)
    )
    fit(model, loss, batches, optimizer, clip_norm=1.0, scheduler=schedule, progress=False)


def device_of(model: Translator) -> torch.device:
    """Return where the model is."""
    return model.decoder.output.weight.device


def validate(model: Translator) -> float:
    """Return the loss on the held-out sentences, in nats per word."""
    model.eval()
    with torch.no_grad():
        return loss(model, sentences()[1].to(device_of(model))).item()


def translations(model: Translator, batch: Batch) -> list[str]:
    """Translate by taking the likeliest word each time."""
    spanish = vocabularies()[1]
    context, written = model.encoder(batch), []
    state = context, context
    words = torch.full((1, len(batch.lengths)), spanish["<bos>"], device=context.device)
    for _ in range(LONGEST):
        scores, state = model.decoder(words, state)
        words = scores.argmax(-1)
        written.append(words[0])
    ids = torch.stack(written, 1).cpu().numpy()  # (B, T)
    return [spanish.decode(row, " ").partition("<eos>")[0].strip() for row in ids]


def figures_of(model: Translator) -> dict[str, float]:
    """Return ``valid``, and for each group of lengths ``bleu``, ``right`` and ``word``."""
    figures = {"valid": validate(model)}
    with torch.no_grad():
        for (low, high), (pairs, truth) in sentences()[2].items():
            batch, size = pairs.to(device_of(model)), f"{low}_{high}"
            written = translations(model, batch)
            scores, goal = model.scores(batch)
            figures[f"bleu_{size}"] = bleu(written, truth)
            figures[f"right_{size}"] = float(np.mean(np.array(written) == np.array(truth)))
            figures[f"word_{size}"] = (scores.argmax(-1) == goal).double().mean().item()
    return figures
