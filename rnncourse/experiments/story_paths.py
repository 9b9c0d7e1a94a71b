"""Which paths a network needs to find the animal in stories of mixed length.

What varies
    The network, the learning rate and the seed. With an ``RNN`` (tanh, orthogonal start), an
    ``LSTM`` (forget gate started at 5, which did best in chapter 6), an ``RNN that looks`` and a
    ``transformer`` of two layers: what carries over steps. With transformers of six layers, as they
    are (``deep``) and without the sums of the residual connections (``deep, without sums``): what
    carries over layers.

What is held equal
    Batches of 32 stories with 0 to 4 sentences between the animal and its food, so at distance 7 to
    31; a loss for each next word; embeddings as wide as a transformer's stream; Adam with the rate
    warmed up over 40 updates and constant after that, clipping at norm 1 and, for the same seed,
    the stories. The four of the first question have 104 to 112 thousand weights. Those of the
    second have half the width, and 80 thousand.

How each side is tuned
    All sides of the first question have the same three learning rates, those of the second the same
    two, and each rate the same five seeds.

When a run ends
    As soon as more than nine in ten foods are right at each of the five distances, or after 600
    updates, 200 in the second question. A run without ``learned_at`` has not learned within these,
    which says nothing about more.
"""

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.sentences import pad_sentences, sentences, vocabulary
from rnncourse.experiments._paths import FORGET, Recurrent, drawn, transformer

NETWORKS = ("RNN", "LSTM", "RNN that looks", "transformer")
DEEP = ("deep", "deep, without sums")
SETTINGS = [
    {"network": name, "rate": rate}
    for rates, names in (((0.01, 0.003), NETWORKS), ((0.003, 0.01), DEEP), ((0.03,), NETWORKS))
    for rate in rates
    for name in names
]
SEEDS = range(5)

CHEAP = {"network": "RNN that looks", "rate": 0.01}
TOLERANCE = {"parameters": 0, "learned_at": 75}

MOST_UPDATES, MOST_IF_DEEP, CHECK_EVERY, WARM_UP = 600, 200, 25, 40
BATCH, FILLERS, ASKED = 32, 4, 200
E = 64


class Reader(nn.Module):
    """Embedding, a body from ``(T, B, E)`` to ``(T, B, H)``, output."""

    def __init__(self, n_words: int, embed_dim: int, body: nn.Module, size: int) -> None:
        super().__init__()
        self.embed: nn.Embedding = nn.Embedding(n_words, embed_dim)
        self.body = body
        self.out = nn.Linear(size, n_words)

    def forward(self, embedded: Tensor) -> Tensor:
        """Score the next words, ``(T, B, V)``."""
        scores: Tensor = self.out(self.body(embedded))
        return scores


def build(network: str, seed: int) -> Reader:
    """Return an untrained network."""
    n_words = len(vocabulary())

    def make() -> Reader:
        if network.startswith("deep"):
            without = network.removeprefix("deep, without ") if "," in network else "nothing"
            return Reader(n_words, E // 2, transformer(E // 2, 6, None, without), E // 2)
        if network == "transformer":
            return Reader(n_words, E, transformer(E, 2), E)
        H = {"RNN": 272, "LSTM": 124, "RNN that looks": 136}[network]
        kind = network.split()[0]
        return Reader(n_words, E, Recurrent(E, H, kind, FORGET, network.endswith("looks")), H)

    return cast(Reader, drawn(seed, make))


def run(network: str, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``; ``learned_at``, the updates until more than 0.9 of the foods were right at
        every distance, NaN if that did not happen; ``food_0`` to ``food_4``, the share of foods
        that are right at the end, with so many sentences between; ``loss``, of the last batch.
    """
    words = vocabulary()
    model = build(network, seed).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1, (n + 1) / WARM_UP))
    tests = []
    for fillers in range(FILLERS + 1):
        shown = sentences(ASKED, np.random.default_rng(99), ("story",), (fillers, fillers))
        places = [s.questions[-1].position for s in shown]
        foods = [words[s.words[place]] for s, place in zip(shown, places, strict=True)]
        x = torch.from_numpy(pad_sentences(shown, words).x).to(device)
        tests.append(
            (x, torch.tensor(places, device=device) - 1, torch.tensor(foods, device=device))
        )
    rng, n = np.random.default_rng(seed), torch.arange(ASKED, device=device)
    figures: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    figures["learned_at"] = math.nan
    most = MOST_IF_DEEP if network.startswith("deep") else MOST_UPDATES
    for update in range(1, most + 1):
        batch = pad_sentences(sentences(BATCH, rng, ("story",), (0, FILLERS)), words)
        x, y, mask = (torch.from_numpy(part).to(device) for part in batch)
        loss = F.cross_entropy(model(model.embed(x))[mask], y[mask])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        warm_up.step()
        if update % CHECK_EVERY:
            continue
        for fillers, (shown_x, asked, answers) in enumerate(tests):
            with torch.no_grad():
                guess = model(model.embed(shown_x))[asked, n].argmax(-1)
            figures[f"food_{fillers}"] = (guess == answers).double().mean().item()
        figures["loss"] = loss.item()
        if min(figures[f"food_{fillers}"] for fillers in range(FILLERS + 1)) > 0.9:
            figures["learned_at"] = update
            break
    return figures
