"""How close an LSTM, a GRU and an n-gram come to the entropy of the grammar's melodies.

What varies
    The model, its knob and the seed, which draws melodies and weights.

What is held equal
    Melodies of two phrases: 3000 to learn from, 500 to choose the knob and 500 to test. The
    networks have 64 units, Adam, 400 updates of 64 melodies, clipping at norm 1 and a cosine.
    Every model starts each melody anew. 200 melodies are generated, of as many notes as fill two
    phrases.

How each side is tuned
    One knob each with two values: the length n of the n-gram, or the learning rate. Each seed
    chooses by ``valid_bits``; the comparison reads the figures of the test melodies.

What this leaves open
    More melodies help the n-gram more than the networks.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.music import (
    N_TOKENS,
    Melody,
    compose,
    from_tokens,
    log2_probability,
    to_tokens,
)
from rnncourse.ngram import NGram
from rnncourse.torch import GRU, LSTM
from rnncourse.training import DivergenceError, fit

__all__ = ["KNOBS", "SEEDS", "SETTINGS", "Teller", "build", "draw", "obeys", "pad", "run", "train"]

RATES = (0.01, 0.03)
KNOBS = {"n-gram": (3, 4), "GRU": RATES, "LSTM": RATES}
SETTINGS = [{"model": model, "knob": knob} for model in KNOBS for knob in KNOBS[model]]
SEEDS = range(5)

CHEAP = {"model": "n-gram", "knob": 3}
TOLERANCE = {"parameters": 0, "bits": 0.01, "floor": 0.01, "obey": 2}

START = N_TOKENS  # stands before the first note
V = N_TOKENS + 1
UPDATES, BATCH, H = 400, 64, 64
COUNTS = {"train": 3000, "valid": 500, "test": 500}
N_GENERATED, PHRASES = 200, 2

Ids = NDArray[np.int64]


@cache
def draw(seed: int) -> dict[str, list[Melody]]:
    """Return the melodies of a seed, by part."""
    rng = np.random.default_rng(seed)
    return {part: [compose(rng, PHRASES) for _ in range(n)] for part, n in COUNTS.items()}


def pad(melodies: list[Melody]) -> Ids:
    """Return tokens ``(T + 1, B)``: the start, then the notes; -1 after the last."""
    rows = [to_tokens(melody) for melody in melodies]
    tokens = np.full((max(map(len, rows)) + 1, len(rows)), -1)
    tokens[0] = START
    for b, row in enumerate(rows):
        tokens[1 : len(row) + 1, b] = row
    return tokens


class Teller(nn.Module):
    """Tokens ``(T, B)`` to scores of the next one, ``(T, B, V)``."""

    def __init__(self, cell: str, H: int = H) -> None:
        super().__init__()
        self.embed = nn.Embedding(V, 32)
        self.layer = {"LSTM": LSTM, "GRU": GRU}[cell](32, H)
        self.out = nn.Linear(H, V)

    def forward(self, tokens: Tensor, state: object = None) -> tuple[Tensor, object]:
        """Return the scores and the state after the last token."""
        h, state = self.layer(self.embed(tokens.clamp(min=0)), state)
        return self.out(h), state


def build(cell: str, seed: int) -> Teller:
    """Return a network whose weights are drawn from a seed; the global generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Teller(cell)


def loss(net: nn.Module, tokens: Tensor) -> Tensor:
    """Return the mean cross-entropy of a note, in nats."""
    scores, _ = net(tokens[:-1])
    return F.cross_entropy(scores.flatten(0, 1), tokens[1:].flatten(), ignore_index=-1)


def train(net: Teller, tokens: Tensor, rate: float, seed: int, updates: int = UPDATES) -> bool:
    """Train on melodies ``(T + 1, N)``; return whether losses and gradients stayed finite."""
    rng = np.random.default_rng(seed)
    batches = (tokens[:, rng.choice(tokens.shape[1], BATCH)] for _ in range(updates))
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    try:
        fit(net, loss, batches, optimizer, clip_norm=1.0, scheduler=cosine, progress=False)
    except DivergenceError:
        return False
    return True


def until_full(tokens: list[int]) -> list[int]:
    """Return the tokens that begin within the length of two phrases."""
    if not tokens:
        return []
    starts = np.cumsum([0, *from_tokens(tokens).eighths.tolist()])[:-1]
    return [token for token, start in zip(tokens, starts, strict=True) if start < 32 * PHRASES]


def obeys(melody: Melody) -> bool:
    """Return whether the grammar could have written the melody."""
    try:
        return bool(np.isfinite(log2_probability(melody)))
    except ValueError:
        return False


def phrases_kept(melody: Melody) -> tuple[int, int]:
    """Return how many phrases of four bars obey the grammar, and how many there are."""
    starts = np.cumsum(melody.eighths) - melody.eighths
    kept = 0
    for k in range(PHRASES):
        inside = starts // 32 == k
        kept += obeys(Melody(melody.degrees[inside], melody.eighths[inside], melody.tonic))
    return kept, PHRASES


def run(model: str, knob: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one model.

    Returns
    -------
    figures
        ``parameters``; ``valid_bits`` and ``bits`` per note; ``floor``, the bits of the grammar
        itself on the test melodies; ``obey``, the percentage of generated phrases that the grammar
        could have written.
    """
    melodies = draw(seed)
    figures: dict[str, float] = {}
    most = 16 * PHRASES * 2  # a melody has at most five notes in each of eight bars
    if model == "n-gram":
        n = int(knob)
        ngram = NGram(n, V)
        ngram.fit(np.concatenate([_row(melody, n) for melody in melodies["train"]]))
        figures["parameters"] = ngram.n_parameters
        for part, name in (("valid", "valid_bits"), ("test", "bits")):
            costs = [-ngram.log_probs(_row(m, n))[max(n - 1, 1) :] for m in melodies[part]]
            figures[name] = float(np.concatenate(costs).mean() / np.log(2))
        rng = np.random.default_rng(seed)
        prompt = [START] * max(n - 1, 1)
        made = []
        for _ in range(N_GENERATED):
            row: list[int] = []
            while len(row) < most and len(until_full(row)) == len(row):
                p = ngram.probs([*prompt, *row][-n:])[:N_TOKENS].cumsum()
                row.append(int(np.searchsorted(p, rng.random() * p[-1])))
            made.append(until_full(row))
    else:
        net = build(model, seed).to(device)
        figures["parameters"] = sum(p.numel() for p in net.parameters())
        tokens = {part: torch.from_numpy(pad(rows)).to(device) for part, rows in melodies.items()}
        if not train(net, tokens["train"], knob, seed):
            return figures
        net.eval()
        with torch.no_grad():
            for part, name in (("valid", "valid_bits"), ("test", "bits")):
                figures[name] = float(loss(net, tokens[part]) / np.log(2))
        made = [until_full(row) for row in sample(net, N_GENERATED, most, seed)]
    floor = -sum(log2_probability(melody) for melody in melodies["test"])
    figures["floor"] = floor / sum(len(melody.degrees) for melody in melodies["test"])
    kept = np.array([phrases_kept(from_tokens(row)) for row in made]).sum(0)
    figures["obey"] = float(100 * kept[0] / kept[1])
    return figures


@torch.no_grad()
def sample(net: Teller, n: int, length: int, seed: int) -> list[list[int]]:
    """Return melodies of some length, drawn note by note."""
    device = next(net.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    token = torch.full((1, n), START, device=device)
    state, rows = None, []
    for _ in range(length):
        scores, state = net(token, state)
        chances = scores[0, :, :N_TOKENS].softmax(-1)
        token = torch.multinomial(chances, 1, generator=generator).T
        rows.append(token[0].cpu())
    drawn: list[list[int]] = torch.stack(rows, 1).tolist()
    return drawn


def _row(melody: Melody, n: int) -> Ids:
    return np.array([START] * max(n - 1, 1) + to_tokens(melody).tolist())
