"""What attention and a pointer buy: reports whose summary is known.

The task is that of :mod:`rnncourse.data.reports`: one fact among distractors, in other words.

What varies
    The network (one vector, attention, attention and a pointer) and the seed.

What is held equal
    Sizes, data for the same seed, updates, the learning rate, Adam with warm-up and cosine,
    clipping at norm 1. Training is on 3 to 6 sentences with known names.

How each side is tuned
    Not at all, since two of the networks make no mistake on the training kind of report. The
    third gets three times as many updates in
    :mod:`rnncourse.experiments.lab_summarizing_longer`.

What this leaves open
    The language is small and has no exceptions. Real reports differ.
"""

from functools import cache

import numpy as np
import torch

from rnncourse.data.reports import KNOWN_NAMES, NEW_NAMES, Report, reports
from rnncourse.data.text import Vocabulary
from rnncourse.experiments._summaries import (
    Batch,
    Summarizer,
    batch_of,
    build,
    in_words,
    train,
    vocabulary,
)

__all__ = ["LENGTHS", "SEEDS", "SETTINGS", "known_words", "run", "scores", "train_on_reports"]

NETWORKS = ("one vector", "attention", "pointer")
SETTINGS = [{"network": network, "rate": 0.01} for network in NETWORKS]
SEEDS = range(5)

CHEAP = {"network": "pointer", "rate": 0.01}
TOLERANCE = {"parameters": 0, "right_new_6": 0.15, "right_known_6": 0.1}

UPDATES = 350
BATCH = 32
TESTED = 100  # reports of each length
LENGTHS = (3, 6, 12, 24, 48)  # in sentences
LONGEST = 10  # words that may be written
ALL_NAMES = frozenset(KNOWN_NAMES + NEW_NAMES)


@cache
def known_words() -> Vocabulary:
    """Return the words of reports with known names."""
    drawn = reports(2000, np.random.default_rng(0))
    return vocabulary([(report.words, report.summary) for report in drawn])


def encoded(drawn: list[Report], device: str = "cpu") -> Batch:
    """Return a batch."""
    return batch_of([(report.words, report.summary) for report in drawn], known_words(), device)


def train_on_reports(network: str, rate: float, seed: int, device: str = "cpu") -> Summarizer:
    """Train one network on short reports with known names."""
    model = build(len(known_words()), network, seed).to(device)
    train(model, lambda rng: encoded(reports(BATCH, rng), device), rate, UPDATES, seed)
    return model


def scores(drawn: list[Report], written: list[list[str]]) -> dict[str, float]:
    """Return the shares of summaries that are right, and that name somebody not in the report."""
    right = [list(report.summary) == words for report, words in zip(drawn, written, strict=True)]
    invented = [
        bool(ALL_NAMES & {*words} - {*report.words})
        for report, words in zip(drawn, written, strict=True)
    ]
    return {"right": float(np.mean(right)), "invented": float(np.mean(invented))}


def run(network: str, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``; ``valid``, nats per word on fresh reports of 3 to 6 sentences;
        ``right_known_6`` and so on, the share of summaries in which each word is right, by kind of
        names and number of sentences; ``invented_known_6`` and so on, the share that contains a
        name that the report does not.
    """
    model = train_on_reports(network, rate, seed, device)
    figures: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    model.eval()
    with torch.no_grad():
        fresh = encoded(reports(200, np.random.default_rng([seed, 1])), device)
        figures["valid"] = model.loss(fresh).item()
    for names in ("known", "new"):
        for n in LENGTHS:
            drawn = reports(TESTED, np.random.default_rng([seed, 2, n]), (n, n), names)
            batch = encoded(drawn, device)
            written = in_words(model.summarize(batch, LONGEST)[0], batch, known_words())
            for name, value in scores(drawn, written).items():
                figures[f"{name}_{names}_{n}"] = value
    return figures
