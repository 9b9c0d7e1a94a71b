"""How well the next chord of a Bach chorale is predicted, and which rules what is generated keeps.

Four models of chords on a grid of sixteenths, note after note within a chord, from soprano to bass:
a *Markov* chain, a network that sees the *last chord* only, a *GRU* and an *LSTM*.

What varies
    The model, its knob and the seed. For the Markov chain also how the pieces are split: by tune,
    so that no melody is on both sides, or by piece.

What is held equal
    Pieces, in the key without sharps or flats; seed s tests on fold s of five and chooses the knob
    on the next fold. Every model knows all notes that were written before, and the place of the
    next chord within its quarter. The networks share embeddings and outputs, have Adam, 200 updates
    of 24 windows of 64 chords, clipping at norm 1 and a cosine. Generated pieces start with the
    first chord of the same 16 test pieces, and are sampled as the model says, without temperature.

How each side is tuned
    One knob each with two values: how many facts the Markov chain uses, or the learning rate. Each
    seed chooses by ``valid_bits``; the comparison reads the figures of the test pieces.

What this leaves open
    Size, dropout and longer training are the same for all networks. A note held and a note struck
    again look the same.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.chorales import (
    REST,
    changes,
    crossed,
    load_chorales,
    parallels,
    tunes,
)
from rnncourse.torch import GRU, LSTM
from rnncourse.training import DivergenceError, fit

__all__ = [
    "KNOBS",
    "SEEDS",
    "SETTINGS",
    "Composer",
    "Markov",
    "Piece",
    "build",
    "folds",
    "judge",
    "kept",
    "pieces",
    "run",
    "train",
]

RATES = (0.02, 0.01)
KNOBS = {"Markov": (4, 5), "last chord": RATES, "GRU": RATES, "LSTM": RATES}
SETTINGS = [
    {"split": "tunes", "model": model, "knob": KNOBS[model][i]} for i in (0, 1) for model in KNOBS
]
SETTINGS += [{"split": "pieces", "model": "Markov", "knob": knob} for knob in KNOBS["Markov"]]
SEEDS = range(5)

CHEAP = {"split": "tunes", "model": "last chord", "knob": 0.02}
TOLERANCE = {"parameters": 0, "bits": 0.1, "note": 1, "chord": 1.5, "changed": 2}

LOWEST = 30  # the MIDI number of symbol 0, which is the rest
V, PLACES, FOLDS = 56, 4, 5
E, H, DROPOUT = 24, 96, 0.3
UPDATES, WINDOWS, STEPS = 200, 24, 64
N_GENERATED, N_STEPS = 16, 256

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


class Piece(NamedTuple):
    """A chorale as symbols."""

    notes: Ids  # (T, 4), from 0, a rest, to V - 1
    place: Ids  # (T,): the sixteenth within the quarter, 0 to 3


@cache
def pieces() -> tuple[Piece, ...]:
    """Return all chorales in the key without sharps or flats."""
    found = []
    for chorale in load_chorales():
        chords = chorale.in_c()
        notes = np.where(chords == REST, 0, chords - LOWEST)
        found.append(Piece(notes, chorale.place % PLACES))
    return tuple(found)


def to_midi_numbers(notes: Ids) -> Ids:
    """Turn symbols ``(T, 4)`` back into MIDI numbers."""
    return np.where(notes == 0, REST, notes + LOWEST)


@cache
def folds(split: str) -> Ids:
    """Return the fold of each piece, ``(N,)``; by tunes, all pieces with one tune share it.

    Tunes with many pieces are dealt first, each to the fold that is smallest so far.
    """
    sizes = [len(piece.notes) for piece in pieces()]
    group = tunes(load_chorales()) if split == "tunes" else np.arange(len(sizes))
    rng = np.random.default_rng(0)
    length = np.bincount(group, sizes) + rng.random(group.max() + 1)
    fold, filled = np.zeros(len(length), np.int64), np.zeros(FOLDS)
    for g in np.argsort(-length):
        fold[g] = filled.argmin()
        filled[fold[g]] += length[g]
    return np.asarray(fold[group])


class Composer(nn.Module):
    """Embeddings of a chord, a layer with or without memory, and an output for each voice.

    The output of a voice is a small network of the state and the notes above it in the new chord.
    """

    def __init__(self, model: str) -> None:
        super().__init__()
        self.embed = nn.ModuleList(nn.Embedding(V, E) for _ in range(4))
        D = 4 * H if model == "last chord" else 2 * H  # so that all have about as many weights
        self.direct = nn.Sequential(nn.Linear(4 * E + PLACES, D), nn.Tanh())
        self.memory = {"LSTM": LSTM, "GRU": GRU}[model](D, H) if model != "last chord" else None
        self.dropout = nn.Dropout(DROPOUT)
        width = D + (self.memory is not None) * H
        self.inner = nn.ModuleList(nn.Linear(width, H) for _ in range(4))
        self.above = nn.ModuleList(nn.Embedding(v * V, H) for v in range(1, 4))
        self.out = nn.ModuleList(nn.Linear(H, V) for _ in range(4))

    def read(self, notes: Tensor, place: Tensor, state: object = None) -> tuple[Tensor, object]:
        """Return states ``(T, B, H)`` after chords ``(T, B, 4)``; ``place`` is the next chord's."""
        x = torch.cat([embed(notes[..., v]) for v, embed in enumerate(self.embed)], -1)
        x = torch.cat([x, F.one_hot(place, PLACES).to(x.dtype)], -1)  # (T, B, 4 E + 4)
        z = self.dropout(self.direct(x))  # (T, B, D): of the last chord alone
        if self.memory is None:
            return z, None
        h, state = self.memory(z, state)
        return torch.cat([z, self.dropout(h)], -1), state

    def scores(self, h: Tensor, notes: Tensor, voice: int) -> Tensor:
        """Return the scores ``(..., V)`` of a voice, given the notes above it in the same chord."""
        inner = self.inner[voice](h)
        for upper in range(voice):
            inner = inner + self.above[voice - 1](notes[..., upper] + upper * V)
        scores: Tensor = self.out[voice](torch.tanh(inner))
        return scores

    def forward(self, notes: Tensor, place: Tensor) -> Tensor:
        """Return scores ``(T - 1, B, 4, V)`` for all chords ``(T, B, 4)`` after the first."""
        h, _ = self.read(notes[:-1], place[1:])
        return torch.stack([self.scores(h, notes[1:], v) for v in range(4)], -2)

    @torch.no_grad()
    def compose(self, first: Tensor, place: Tensor, generator: torch.Generator) -> Tensor:
        """Continue from chords ``(B, 4)``, drawing note by note: ``(T, B, 4)`` for T places."""
        chord, state, written = first, None, [first]
        for now in place[1:]:
            h, state = self.read(chord[None], now[None], state)
            chord = torch.zeros_like(first)
            for v in range(4):
                chances = self.scores(h[0], chord, v).softmax(-1)
                chord[:, v] = torch.multinomial(chances, 1, generator=generator)[:, 0]
            written.append(chord)
        return torch.stack(written)


class Markov:
    """Counts of notes after what was written, with interpolated Witten-Bell smoothing.

    As :class:`rnncourse.ngram.NGram`, but the context is not what stands before: it is a list of
    facts, the most telling ones first, and one that training never saw leaves the answer to a
    shorter list. For a voice these are its own last note, the place, the notes above in the same
    chord (from the nearest up), and the last notes of the other voices (from the lowest up).

    Parameters
    ----------
    n
        How many facts are used at most.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._counts: list[dict[tuple[int, ...], Floats]] = [{} for _ in range(4)]
        self._known: dict[tuple[int, ...], Floats] = {}

    def facts(self, last: Sequence[int], place: int, now: Sequence[int]) -> tuple[int, ...]:
        """Return the context of the voice that comes after the notes ``now``."""
        v = len(now)
        others = [last[u] for u in (3, 2, 1, 0) if u != v]
        return tuple([last[v], place, *now[::-1], *others][: self.n])

    def fit(self, known: list[Piece]) -> "Markov":
        """Count."""
        for piece in known:
            rows = piece.notes.tolist()
            for last, row, place in zip(rows, rows[1:], piece.place[1:].tolist(), strict=False):
                for v, counts in enumerate(self._counts):
                    facts = self.facts(last, place, row[:v])
                    for k in range(len(facts) + 1):
                        counts.setdefault(facts[:k], np.zeros(V))[row[v]] += 1
        return self

    @property
    def n_parameters(self) -> int:
        """How many different counts are kept."""
        return sum(int((row > 0).sum()) for counts in self._counts for row in counts.values())

    def probs(self, last: Sequence[int], place: int, now: Sequence[int]) -> Floats:
        """Return the distribution of the next note, ``(V,)``."""
        v, facts = len(now), self.facts(last, place, now)
        if (v, *facts) not in self._known:
            p = np.full(V, 1 / V)
            for k in range(len(facts) + 1):
                row = self._counts[v].get(facts[:k])
                if row is None:
                    break
                kinds = int((row > 0).sum())
                p = (row + kinds * p) / (row.sum() + kinds)
            self._known[(v, *facts)] = p
        return self._known[(v, *facts)]

    def chances(self, piece: Piece) -> Floats:
        """Return the distributions of all notes after the first chord, ``(T - 1, 4, V)``."""
        rows = piece.notes.tolist()
        pairs = zip(rows, rows[1:], piece.place[1:].tolist(), strict=False)
        return np.array(
            [[self.probs(last, at, row[:v]) for v in range(4)] for last, row, at in pairs]
        )

    def compose(self, first: Ids, place: Ids, rng: np.random.Generator) -> Ids:
        """Continue from one chord ``(4,)``, drawing note by note: ``(T, 4)``."""
        written = [first.tolist()]
        for at in place[1:].tolist():
            now: list[int] = []
            for _ in range(4):
                chances = self.probs(written[-1], at, now).cumsum()
                now.append(int(np.searchsorted(chances, rng.random() * chances[-1])))
            written.append(now)
        return np.array(written)


def build(model: str, seed: int) -> Composer:
    """Return a network whose weights are drawn from a seed; the global generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Composer(model)


def loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy of a note, in nats, but for the chord that is given."""
    notes, place = batch
    return F.cross_entropy(net(notes, place).flatten(0, 2), notes[1:].flatten())


def train(net: Composer, known: list[Piece], rate: float, seed: int) -> bool:
    """Train on random windows; return whether losses and gradients stayed finite."""
    rng, device = np.random.default_rng(seed), next(net.parameters()).device
    notes = np.concatenate([piece.notes for piece in known])
    place = np.concatenate([piece.place for piece in known])
    ends = np.cumsum([len(piece.notes) for piece in known])
    inside = np.concatenate(
        [np.arange(end - len(p.notes), end - STEPS) for p, end in zip(known, ends, strict=True)]
    )

    def batch(starts: Ids) -> tuple[Tensor, Tensor]:
        rows = starts + np.arange(STEPS + 1)[:, None]  # (T + 1, B)
        return torch.from_numpy(notes[rows]).to(device), torch.from_numpy(place[rows]).to(device)

    batches = (batch(rng.choice(inside, WINDOWS)) for _ in range(UPDATES))
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)
    try:
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
            torch.manual_seed(seed)
            fit(net, loss, batches, optimizer, clip_norm=1.0, scheduler=cosine, progress=False)
    except DivergenceError:
        return False
    return True


def judge(model: "Composer | Markov", known: list[Piece]) -> tuple[float, list[Ids]]:
    """Return what is predicted, given all that was written before.

    Returns
    -------
    bits
        The mean cost of a note, of all chords after a piece's first.
    answers
        For each piece the most probable note at each place, ``(T - 1, 4)``.
    """
    bits, answers = [], []
    for piece in known:
        if isinstance(model, Composer):
            device = next(model.parameters()).device
            notes, place = (torch.from_numpy(x)[:, None].to(device) for x in piece)
            with torch.no_grad():
                chances = model(notes, place)[:, 0].softmax(-1).double().cpu().numpy()
        else:
            chances = model.chances(piece)
        truth = np.take_along_axis(chances, piece.notes[1:, :, None], -1)
        bits.append(-np.log2(truth))
        answers.append(chances.argmax(-1))
    return float(np.concatenate(bits).mean()), answers


def accuracies(answers: list[Ids], known: list[Piece]) -> dict[str, float]:
    """Return percentages of right answers: of notes, chords, and of those that changed alone."""
    right: NDArray[np.bool_] = np.concatenate(
        [a == p.notes[1:] for a, p in zip(answers, known, strict=True)]
    )
    moved: NDArray[np.bool_] = np.concatenate([p.notes[1:] != p.notes[:-1] for p in known])
    all_four = np.asarray(right.all(1))
    return {
        "note": 100 * float(right.mean()),
        "chord": 100 * float(all_four.mean()),
        "moved": 100 * float(right[moved].mean()),
        "changed": 100 * float(all_four[moved.any(1)].mean()),
    }


def kept(chords: list[Ids]) -> dict[str, float]:
    """Return how pieces ``(T, 4)`` of MIDI numbers keep the rules of the style.

    ``fifths`` and ``octaves``: parallels for 100 changes of chord. ``crossed``: percentage of
    chords with crossing voices. ``changes``: percentage of sixteenths at which the chord changes.
    """
    moves = sum(int(changes(c).sum()) for c in chords)
    steps = sum(len(c) for c in chords)
    figures = {
        f"{interval}s": 100 * sum(int(parallels(c, interval).any(1).sum()) for c in chords) / moves
        for interval in ("fifth", "octave")
    }
    figures["crossed"] = 100 * sum(int(crossed(c).any(1).sum()) for c in chords) / steps
    figures["changes"] = 100 * moves / (steps - len(chords))
    return figures


def run(split: str, model: str, knob: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one model on three folds.

    Returns
    -------
    figures
        ``parameters``; ``valid_bits`` and ``bits`` per note; ``note``, ``chord``, ``moved`` and
        ``changed`` of :func:`accuracies`; and those of :func:`kept` for generated pieces.
    """
    fold = folds(split)
    parts: dict[str, list[Piece]] = {"train": [], "valid": [], "test": []}
    for piece, f in zip(pieces(), fold, strict=True):
        parts[{seed: "test", (seed + 1) % FOLDS: "valid"}.get(int(f), "train")].append(piece)
    first = [piece for piece in parts["test"] if len(piece.notes) >= N_STEPS][:N_GENERATED]
    figures: dict[str, float] = {}
    fitted: Composer | Markov
    if model == "Markov":
        fitted = Markov(int(knob)).fit(parts["train"])
        figures["parameters"] = fitted.n_parameters
        rng = np.random.default_rng(seed)
        made = [fitted.compose(piece.notes[0], piece.place[:N_STEPS], rng) for piece in first]
    else:
        fitted = build(model, seed).to(device)
        figures["parameters"] = sum(p.numel() for p in fitted.parameters())
        if not train(fitted, parts["train"], knob, seed):
            return figures
        fitted.eval()
        start = torch.from_numpy(np.stack([piece.notes[0] for piece in first])).to(device)
        place = torch.from_numpy(np.stack([p.place[:N_STEPS] for p in first], 1)).to(device)
        generator = torch.Generator(device).manual_seed(seed)
        made = list(fitted.compose(start, place, generator).cpu().numpy().swapaxes(0, 1))
    figures["valid_bits"], _ = judge(fitted, parts["valid"])
    figures["bits"], answers = judge(fitted, parts["test"])
    figures |= accuracies(answers, parts["test"])
    figures |= kept([to_midi_numbers(notes) for notes in made])
    return figures
