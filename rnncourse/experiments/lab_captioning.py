"""How often a small network describes a picture truly, also one with new combinations.

A picture shows two things out of 24 kinds, in one of four relations, and has two true captions.

What varies
    The model: an eye (a convolutional network) and a GRU that writes, with *attention* over the 49
    places of the eye, or with *one vector* made of all places by a linear map; *parts*, the same
    eye with a classifier for each part of the caption, which has the grammar built in; the caption
    of the *nearest* picture of training; the most *frequent* caption. Whether training withholds
    something: three *looks* (a color with a shape) and a fifth of the pairs of kinds, or nothing.
    The seed, which also draws what is withheld.

What is held equal
    3000 pictures of training with one caption each, 1200 updates of 32 of them for those that
    write (400 for *parts*, which needs no more), the learning rate, Adam, warm-up and cosine, and
    clipping at norm 1. The 300 pictures of each test.

How each side is tuned
    Not at all: all networks have the same learning rate, chosen on seed 0 for *attention*.

What this leaves open
    Other learning rates, larger networks and longer training.
"""

from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.experiments._captions import (
    Album,
    Captioner,
    PartsReader,
    album,
    describe,
    encode,
    fill_form,
    judge,
    nearest,
    parts_of,
    split_of,
)
from rnncourse.training import DivergenceError, fit

__all__ = ["CHEAP", "SEEDS", "SETTINGS", "TESTS", "learned", "run", "shown", "train"]

NETWORKS = ("attention", "one vector", "parts")
RATE = 0.005
SETTINGS = [
    {"model": model, "withheld": "looks and pairs"} for model in (*NETWORKS, "nearest", "frequent")
]
SETTINGS += [{"model": "parts", "withheld": "nothing"}]
SEEDS = range(5)

CHEAP = {"model": "parts", "withheld": "looks and pairs"}
TOLERANCE = {"parameters": 0, "true_known": 5, "bleu_2_known": 4}

TESTS = {"known": "known", "pair": "new pair", "look": "new look"}
LEARNED, TESTED, BATCH = 3000, 300, 32
UPDATES = {"attention": 1200, "one vector": 1200, "parts": 400}


def learned(seed: int, withheld: str = "looks and pairs") -> Album:
    """Return the pictures of training."""
    part = "all" if withheld == "nothing" else "known"
    return album(LEARNED, part, split_of(seed), np.random.default_rng([seed, 0]))


def shown(seed: int, test: str) -> Album:
    """Return the pictures of a test: ``"known"``, ``"pair"`` or ``"look"``."""
    number = [*TESTS].index(test) + 1
    part = TESTS[test]
    return album(TESTED, part, split_of(seed), np.random.default_rng([seed, number]))


def _caption_loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    images, words = batch
    return F.cross_entropy(
        net(images, words[:-1]).flatten(0, 1), words[1:].flatten(), ignore_index=0
    )


def _parts_loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    images, parts = batch
    return torch.stack(
        [F.cross_entropy(scores, parts[:, k]) for k, scores in enumerate(net(images))]
    ).sum()


def train(
    model: str,
    withheld: str,
    seed: int,
    device: str = "cpu",
    updates: int | None = None,
) -> Captioner | PartsReader | None:
    """Train a network; None if a loss or gradient was not finite."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = (PartsReader() if model == "parts" else Captioner(model)).to(device)
    updates = UPDATES[model] if updates is None else updates
    learn, rng = learned(seed, withheld), np.random.default_rng([seed, 5])
    images = torch.from_numpy(learn.images).to(device)
    if model == "parts":
        answers = torch.from_numpy(parts_of(learn.scenes)).to(device)
    else:
        answers = torch.from_numpy(encode(learn.texts).T.copy()).to(device)
    rows = (torch.from_numpy(rng.integers(len(images), size=BATCH)) for _ in range(updates))
    batches = ((images[r], answers[r] if model == "parts" else answers[r].T) for r in rows)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    warm = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=updates, pct_start=0.15)
    loss = _parts_loss if model == "parts" else _caption_loss
    try:
        fit(net, loss, batches, optimizer, clip_norm=1.0, scheduler=warm, progress=False)
    except DivergenceError:
        return None
    return net.eval()


def run(model: str, withheld: str, *, seed: int, device: str) -> dict[str, float]:
    """Judge one model.

    Returns
    -------
    figures
        ``parameters``, and for each test *known*, *pair* and *look*: ``exact_known``, the
        percentage of captions that are the one which was drawn; ``true_known``, of true ones;
        ``bleu_1_known`` and ``bleu_2_known``, with one and with both true captions as references.
    """
    figures: dict[str, float] = {"parameters": 0}
    tests = {test: shown(seed, test) for test in TESTS}
    if model in ("nearest", "frequent"):
        learn = learned(seed, withheld)
        common = Counter(learn.texts).most_common(1)[0][0]
        said = {
            test: nearest(learn, part.images) if model == "nearest" else [common] * TESTED
            for test, part in tests.items()
        }
    else:
        net = train(model, withheld, seed, device)
        if net is None:
            return {}
        figures["parameters"] = sum(p.numel() for p in net.parameters())
        said = {
            test: fill_form(net, part.images)
            if isinstance(net, PartsReader)
            else describe(net, part.images)[0]
            for test, part in tests.items()
        }
    for test, texts in said.items():
        found = judge(texts, tests[test])
        figures |= {f"{name}_{test}": value for name, value in found.items()}
    return figures
