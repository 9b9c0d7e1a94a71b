"""After how many updates a plain recurrent network finds the animal in chapter 3's stories.

What varies
    The sentences between the animal and its food: none, so that the state carries the animal for
    6 steps, or one, which makes it 11 or 12. And the seed.

What is held equal
    The network of 128 units, batches of 128 sentences of all kinds, Adam at
    0.003, clipping at norm 1.

When a run ends
    As soon as more than nine in ten foods are right on fresh sentences, or after 2000 updates. A
    run without ``learned_at`` has not learned within these, which says nothing about more.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.sentences import pad_sentences, sentences, vocabulary
from rnncourse.torch import RNN

SETTINGS = [{"fillers": 0}, {"fillers": 1}]
SEEDS = range(5)

CHEAP = {"fillers": 0}
TOLERANCE = {"food": 0.1}

MOST_UPDATES, CHECK_EVERY = 2000, 100
BATCH, RATE = 128, 0.003


class WordRNN(nn.Module):
    """Embedding, one recurrent layer, output."""

    def __init__(self, n_words: int, embed_size: int = 32, hidden_size: int = 128) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_words, embed_size)
        self.rnn = RNN(embed_size, hidden_size)
        self.out = nn.Linear(hidden_size, n_words)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of the next word, ``(T, B, V)``."""
        scores: Tensor = self.out(self.rnn(self.embed(x))[0])
        return scores


def run(fillers: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``learned_at``, the updates until more than 0.9 of the foods were right, NaN if that did
        not happen; ``food_500``, the share after 500 updates, if it came to that; ``food``, the
        share at the end.
    """
    words, kinds = vocabulary(), (fillers, fillers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = WordRNN(len(words)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    rng = np.random.default_rng(seed)
    fresh = sentences(500, np.random.default_rng(99), kinds=("story",), fillers=kinds)
    shown = torch.from_numpy(pad_sentences(fresh, words).x).to(device)
    asked = torch.tensor([s.questions[-1].position - 1 for s in fresh], device=device)
    foods = torch.tensor([words[s.words[s.questions[-1].position]] for s in fresh], device=device)
    figures = {"learned_at": math.nan, "food_500": math.nan, "food": math.nan}
    for update in range(1, MOST_UPDATES + 1):
        batch = pad_sentences(sentences(BATCH, rng, fillers=kinds), words)
        x, y, mask = (torch.from_numpy(part).to(device) for part in batch)
        loss = F.cross_entropy(model(x)[mask], y[mask])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update % CHECK_EVERY:
            continue
        with torch.no_grad():
            guess = model(shown).argmax(-1)[asked, torch.arange(len(fresh), device=device)]
        figures["food"] = (guess == foods).double().mean().item()
        if update == 500:
            figures["food_500"] = figures["food"]
        if figures["food"] > 0.9:
            figures["learned_at"] = update
            break
    return figures
