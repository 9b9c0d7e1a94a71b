"""Whether a fading gradient is what keeps a network from finding the animal in chapter 3's stories.

What varies
    The start of the recurrent weights, the gradient, the sentences between the animal and its food
    (none: it stands 6 steps back; one: 11 or 12), the learning rate and the seed. ``PyTorch`` is
    the default of ``torch.nn.RNN``, with spectral radius 0.58, ``PyTorch x 1.73`` the same draw
    scaled to radius 1, and ``orthogonal`` a random orthogonal matrix. With the gradient ``held
    down``, each step back multiplies it by 0.58 once more, during the whole of training. The
    forward pass, and so what the state keeps, is the same as without.

What is held equal
    A network of 128 units with tanh, batches of 64 stories (chapter 3 mixes in its other two kinds
    of sentences), Adam, clipping at norm 1 and, for the same seed, the stories and all weights that
    do not recur.

How each side is tuned
    At 11 or 12 steps each side has the same two learning rates, and each rate the same five seeds.
    At 6 steps there is one rate, since everything learns.

When a run ends
    As soon as more than nine in ten foods are right on fresh stories, or after 2000 updates. A run
    without ``learned_at`` has not learned within these, which says nothing about more.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.sentences import pad_sentences, sentences, vocabulary

SIDES = (
    ("PyTorch", "as it is"),
    ("PyTorch x 1.73", "as it is"),
    ("orthogonal", "as it is"),
    ("orthogonal", "held down"),
)
SETTINGS = [
    {"start": start, "gradient": gradient, "fillers": fillers, "rate": rate}
    for fillers, rate in ((0, 0.003), (1, 0.003), (1, 0.01))
    for start, gradient in SIDES
]
SEEDS = range(5)

CHEAP = {"start": "orthogonal", "gradient": "held down", "fillers": 0, "rate": 0.003}
TOLERANCE = {"learned_at": 100, "food": 0.1, "reach_start": 0.005}

MOST_UPDATES, CHECK_EVERY = 2000, 100
BATCH, UNITS = 64, 128
HELD = 0.58


class StoryRNN(nn.Module):
    """Embedding, a recurrent layer with tanh, output.

    Parameters
    ----------
    n_words
        Size of the vocabulary.
    start
        Start of the recurrent weights.
    passes
        What each step back multiplies the gradient of the state by, beside the true factor.
    """

    def __init__(self, n_words: int, start: str, passes: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_words, 32)
        rnn = dict(nn.RNN(32, UNITS).named_parameters())
        self.W_xh, self.W_hh = rnn["weight_ih_l0"], rnn["weight_hh_l0"]
        self.b_h = nn.Parameter(rnn["bias_ih_l0"].detach() + rnn["bias_hh_l0"].detach())
        self.out = nn.Linear(UNITS, n_words)
        self.passes = passes
        with torch.no_grad():
            if start == "orthogonal":
                nn.init.orthogonal_(self.W_hh)
            elif start == "PyTorch x 1.73":
                self.W_hh.mul_(3**0.5)

    def forward(self, embedded: Tensor) -> Tensor:
        """Take embedded words ``(T, B, 32)``, return the scores of the next word ``(T, B, V)``."""
        h, states = embedded.new_zeros(embedded.shape[1], UNITS), []
        for a in (embedded @ self.W_xh.T + self.b_h).unbind():  # (B, H)
            # The same numbers as h. Only the first term hands a gradient back.
            before = self.passes * h + ((1 - self.passes) * h).detach() if self.passes < 1 else h
            h = torch.tanh(torch.addmm(a, before, self.W_hh.T))
            states.append(h)
        scores: Tensor = self.out(torch.stack(states))
        return scores


def run(
    start: str, gradient: str, fillers: int, rate: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``learned_at``, the updates until more than 0.9 of the foods were right, NaN if that did
        not happen; ``food``, the share at the end; ``updates``, how many were done; ``reach_start``
        and ``reach_end``, before and after training: the length of the gradient that comes to the
        animal, relative to that of the last word read. It is the gradient that training sees.
    """
    words, kinds = vocabulary(), (fillers, fillers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        passes = HELD if gradient == "held down" else 1.0
        model = StoryRNN(len(words), start, passes).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    rng = np.random.default_rng(seed)
    fresh = sentences(500, np.random.default_rng(99), kinds=("story",), fillers=kinds)
    shown = torch.from_numpy(pad_sentences(fresh, words).x).to(device)
    n = torch.arange(len(fresh), device=device)
    food = [s.questions[-1] for s in fresh]
    asked = torch.tensor([q.position - 1 for q in food], device=device)
    animal = torch.tensor([q.position - q.distance for q in food], device=device)
    foods = torch.tensor(
        [words[s.words[q.position]] for s, q in zip(fresh, food, strict=True)], device=device
    )

    def reach() -> float:
        embedded = model.embed(shown).detach().requires_grad_()
        loss = F.cross_entropy(model(embedded)[asked, n], foods, reduction="sum")
        lengths = torch.autograd.grad(loss, embedded)[0].norm(dim=-1)  # (T, B)
        return float(lengths[animal, n].mean() / lengths[asked, n].mean())

    figures = {"learned_at": math.nan, "food": math.nan, "updates": math.nan}
    figures["reach_start"] = reach()
    for update in range(1, MOST_UPDATES + 1):
        batch = pad_sentences(sentences(BATCH, rng, kinds=("story",), fillers=kinds), words)
        x, y, mask = (torch.from_numpy(part).to(device) for part in batch)
        loss = F.cross_entropy(model(model.embed(x))[mask], y[mask])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update % CHECK_EVERY:
            continue
        with torch.no_grad():
            guess = model(model.embed(shown)).argmax(-1)[asked, n]
        figures["food"] = (guess == foods).double().mean().item()
        figures["updates"] = update
        if figures["food"] > 0.9:
            figures["learned_at"] = update
            break
    figures["reach_end"] = reach()
    return figures
