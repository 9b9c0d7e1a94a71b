"""What the start of an LSTM's forget gate is worth when the animal of a story is far away.

What varies
    The network, the gradient, the learning rate and the seed. Five sentences lie between the animal
    and the food, so the animal is at distance 31 to 36 when the food is asked. An LSTM is named
    after its forget bias: with 0 its gates start half open, with 5 at 0.993. ``plain 64`` has tanh
    and an orthogonal start, ``plain 136`` the same with as many parameters as the LSTM, and
    ``identity`` has ReLU and starts with the identity. Two sides tell the gradient from the memory.
    Their forward pass is that of any LSTM, and their gates are trained; on the way back along the
    cell state a constant stands in place of the forget gate. With the gradient ``held down`` it is
    0.5, with ``let through`` 0.993. The paths through the hidden state are as they are.

What is held equal
    Embeddings of 16 numbers, 64 units except in ``plain 136``, batches of 32 out of 4000 stories, a
    loss for the food alone, Adam, clipping at norm 1 and, for the same seed, the stories.

How each side is tuned
    Each side has the same three learning rates, and each rate the same five seeds.

When a run ends
    As soon as more than 95 in 100 foods are right on fresh stories, or after 400 updates. A run
    without ``learned_at`` has not learned within these, which says nothing about more.
"""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.sentences import pad_sentences, story, vocabulary
from rnncourse.torch import LSTM, RNN

__all__ = ["SEEDS", "SETTINGS", "accuracy", "edits", "run", "stories"]

SIDES = (
    ("LSTM 5", "as it is"),
    ("LSTM 5", "held down"),
    ("LSTM 0", "as it is"),
    ("LSTM 0", "let through"),
    ("LSTM 1", "as it is"),
    ("LSTM 3.5", "as it is"),
    ("identity", "as it is"),
    ("plain 64", "as it is"),
    ("plain 136", "as it is"),
)
RATES = (0.01, 0.003, 0.03)
SETTINGS = [
    {"network": network, "gradient": gradient, "rate": rate}
    for rate in RATES
    for network, gradient in SIDES
]
SEEDS = range(5)

CHEAP = {"network": "LSTM 5", "gradient": "as it is", "rate": 0.003}
TOLERANCE = {"learned_at": 150, "food": 0.1, "reach_start": 0.05}

MOST_UPDATES, CHECK_EVERY = 400, 25
STORIES, BATCH, INPUTS, UNITS = 4000, 32, 16, 64
FILLERS = 5
OTHERS = {"at_6": 0, "at_17": 2, "at_111": 20, "at_321": 60}  # distance: sentences between
MIDDLE = 15  # a word about halfway, in the third sentence of five
BACK = {"held down": 0.5, "let through": 0.9933}

Batch = tuple[Tensor, Tensor, Tensor]
Edit = tuple[str, float, Tensor]


class StoryNet(nn.Module):
    """Embedding, a recurrent layer, and an output that looks where the food is asked.

    Parameters
    ----------
    n_words
        Size of the vocabulary.
    layer
        The recurrent layer.
    back
        What each step back along the cell state multiplies the gradient by; None for the gate.
    """

    def __init__(self, n_words: int, layer: RNN | LSTM, back: float | None = None) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_words, INPUTS)
        self.layer = layer
        self.out = nn.Linear(layer.hidden_size, n_words)
        self.back = back

    def forward(self, embedded: Tensor, asked: Tensor, edit: Edit | None = None) -> Tensor:
        """Take embedded words ``(T, B, 16)`` and places ``(B,)``, return scores ``(B, V)``."""
        if self.back is None and edit is None:
            h = self.layer(embedded)[0]
        else:
            h = steps(embedded, dict(self.layer.named_parameters()), self.back, edit)
        scores: Tensor = self.out(h[asked, torch.arange(len(asked), device=asked.device)])
        return scores


def steps(
    x: Tensor, p: dict[str, Tensor], back: float | None = None, edit: Edit | None = None
) -> Tensor:
    """Return the states ``(T, B, H)`` of an LSTM with weights ``p``, with its steps changed.

    Parameters
    ----------
    x, p
        Inputs ``(T, B, I)``, and weights with the names of PyTorch.
    back
        A constant in place of the forget gate on the way back along the cell state.
    edit
        What is set, ``"i"``, ``"f"`` or ``"h"`` (the state that the gates read), to which value,
        and where, ``(T, B)``.
    """
    inputs = F.linear(x, p["weight_ih_l0"], p["bias_ih_l0"] + p["bias_hh_l0"])
    h = c = x.new_zeros(x.shape[1], inputs.shape[2] // 4)
    what, value, where = edit or ("", 0.0, torch.zeros(x.shape[:2], dtype=torch.bool))
    states = []
    for a, here in zip(inputs.unbind(), where[:, :, None].unbind(), strict=True):
        h = h.masked_fill(here, value) if what == "h" else h
        i, f, g, o = torch.addmm(a, h, p["weight_hh_l0"].T).chunk(4, dim=1)
        i, f = i.sigmoid(), f.sigmoid()
        i = i.masked_fill(here, value) if what == "i" else i
        f = f.masked_fill(here, value) if what == "f" else f
        kept = f * c
        if back is not None:
            before = c.detach()
            # The second term is zero. It alone hands a gradient to the state of the step before.
            kept = f * before + back * (c - before)
        c = kept + i * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states)


def build(network: str, gradient: str, seed: int) -> StoryNet:
    """Return a network before training."""
    kind, _, number = network.partition(" ")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer: RNN | LSTM
        if kind == "LSTM":
            layer = LSTM(INPUTS, UNITS)
            with torch.no_grad():  # i, f, g, o: the second quarter is the forget gate's
                dict(layer.named_parameters())["bias_ih_l0"][UNITS : 2 * UNITS] = float(number)
                dict(layer.named_parameters())["bias_hh_l0"][UNITS : 2 * UNITS] = 0
        elif kind == "plain":
            layer = RNN(INPUTS, int(number))
            nn.init.orthogonal_(dict(layer.named_parameters())["weight_hh_l0"])
        else:
            layer = RNN(INPUTS, UNITS, nonlinearity="relu")
            weights = dict(layer.named_parameters())
            nn.init.eye_(weights["weight_hh_l0"])
            nn.init.normal_(weights["weight_ih_l0"], std=0.05)  # small, since nothing fades
            nn.init.zeros_(weights["bias_ih_l0"])
            nn.init.zeros_(weights["bias_hh_l0"])
        return StoryNet(len(vocabulary()), layer, BACK.get(gradient))


def stories(n: int, fillers: int, rng: np.random.Generator, device: str = "cpu") -> Batch:
    """Return words ``(T, B)``, where the food is asked ``(B,)``, and the foods ``(B,)``."""
    words = vocabulary()
    drawn = [story(rng, fillers) for _ in range(n)]
    places = [s.questions[-1].position for s in drawn]
    foods = [words[s.words[place]] for s, place in zip(drawn, places, strict=True)]
    x = torch.from_numpy(pad_sentences(drawn, words).x)
    return x.to(device), torch.tensor(places, device=device) - 1, torch.tensor(foods, device=device)


@cache
def corpus(seed: int) -> Batch:
    """Return the stories of the training; a run with the same seed has the same ones."""
    return stories(STORIES, FILLERS, np.random.default_rng(seed))


def accuracy(model: StoryNet, batch: Batch, edit: Edit | None = None) -> float:
    """Return the share of foods that are right."""
    x, asked, foods = batch
    with torch.no_grad():
        guess = model(model.embed(x), asked, edit).argmax(-1)
    return float((guess == foods).double().mean())


def edits(batch: Batch) -> dict[str, Edit]:
    """Return what is changed in a trained LSTM: at all words between, or at one of them."""
    x, asked, _ = batch
    t = torch.arange(len(x), device=x.device)[:, None]
    between = (t > 3) & (t < asked - 4)  # the animal is word 3, the name in the question asked - 4
    once = (t == MIDDLE).expand_as(between)
    return {
        "forget_1": ("f", 1.0, between),
        "forget_09": ("f", 0.9, between),
        "forget_half": ("f", 0.5, between),
        "input_0": ("i", 0.0, between),
        "erased_c": ("f", 0.0, once),
        "erased_h": ("h", 0.0, once),
    }


def reach(model: StoryNet, batch: Batch) -> float:
    """Return the gradient at the animal, which is word 3, relative to that at the last word."""
    x, asked, foods = batch
    embedded = model.embed(x).detach().requires_grad_()
    loss = F.cross_entropy(model(embedded, asked), foods, reduction="sum")
    lengths = torch.autograd.grad(loss, embedded)[0].norm(dim=-1)  # (T, B)
    return float(lengths[3].mean() / lengths[asked, torch.arange(len(asked))].mean())


def train(
    network: str, gradient: str, rate: float, seed: int, device: str = "cpu"
) -> tuple[StoryNet, dict[str, float]]:
    """Train one network; return it and the figures of the training."""
    model = build(network, gradient, seed).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    rng, (words, places, answers) = np.random.default_rng(seed), corpus(seed)
    fresh = stories(500, FILLERS, np.random.default_rng(99), device)
    figures = {"learned_at": math.nan, "food": math.nan, "updates": math.nan}
    figures["reach_start"] = reach(model, fresh)
    for update in range(1, MOST_UPDATES + 1):
        drawn = torch.from_numpy(rng.integers(STORIES, size=BATCH))
        batch = words[:, drawn], places[drawn], answers[drawn]
        x, asked, foods = (part.to(device) for part in batch)
        loss = F.cross_entropy(model(model.embed(x), asked), foods)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update % CHECK_EVERY:
            continue
        figures["food"], figures["updates"] = accuracy(model, fresh), update
        if figures["food"] > 0.95:
            figures["learned_at"] = update
            break
    figures["reach_end"] = reach(model, fresh)
    return model, figures


def run(network: str, gradient: str, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network, and ask it at other distances.

    Returns
    -------
    figures
        ``learned_at``, the updates until more than 0.95 of the foods were right, NaN if that did
        not happen; ``food``, the share at the end; ``updates``, how many were done; ``reach_start``
        and ``reach_end``, :func:`reach` before and after, as training sees it; ``at_6`` to
        ``at_321``, the share of foods that are right at these distances, without more training;
        for LSTMs ``forget_1`` to ``erased_h``, the share with one of :func:`edits`.
    """
    model, figures = train(network, gradient, rate, seed, device)
    for name, fillers in OTHERS.items():
        figures[name] = accuracy(model, stories(200, fillers, np.random.default_rng(98), device))
    batch = stories(500, FILLERS, np.random.default_rng(99), device)
    is_lstm = isinstance(model.layer, LSTM) and gradient == "as it is"
    for name, edit in edits(batch).items():
        figures[name] = accuracy(model, batch, edit) if is_lstm else math.nan
    return figures
