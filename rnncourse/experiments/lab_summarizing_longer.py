"""Whether one vector only needs more training: reports whose summary is known.

In :mod:`rnncourse.experiments.lab_summarizing` the network without attention is still learning when
training ends. Here it gets three times as many updates.

What varies
    The number of updates, the seed.

What is held equal
    All that is held equal there.
"""

import numpy as np
import torch

from rnncourse.data.reports import reports
from rnncourse.experiments._summaries import build, in_words, train
from rnncourse.experiments.lab_summarizing import (
    BATCH,
    LENGTHS,
    LONGEST,
    TESTED,
    encoded,
    known_words,
    scores,
)

__all__ = ["SEEDS", "SETTINGS", "run"]

SETTINGS = [{"updates": 350}, {"updates": 1050}]
SEEDS = range(5)

CHEAP = {"updates": 350}
TOLERANCE = {"parameters": 0, "right_known_6": 0.35}

RATE = 0.01


def run(updates: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one network without attention.

    Returns
    -------
    figures
        ``parameters``, ``valid``, ``right_known_6`` and so on, as in
        :mod:`rnncourse.experiments.lab_summarizing`.
    """
    model = build(len(known_words()), "one vector", seed).to(device)
    train(model, lambda rng: encoded(reports(BATCH, rng), device), RATE, updates, seed)
    model.eval()
    figures: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    with torch.no_grad():
        fresh = encoded(reports(200, np.random.default_rng([seed, 1])), device)
        figures["valid"] = model.loss(fresh).item()
    for n in LENGTHS:
        drawn = reports(TESTED, np.random.default_rng([seed, 2, n]), (n, n))
        batch = encoded(drawn, device)
        written = in_words(model.summarize(batch, LONGEST)[0], batch, known_words())
        figures[f"right_known_{n}"] = scores(drawn, written)["right"]
    return figures
