"""What positions have to do with texts that are longer than those of training.

Networks train on windows of 64 characters, as in :mod:`rnncourse.experiments.text_models`, and then
read windows of 512.

What varies
    How attention is told positions: rotary, ALiBi, or not at all. An LSTM stands beside it.

What is held equal
    The frame, 60 thousand weights, the text, the windows of training, and 1000 updates; a run of
    125 is there for the tests to repeat. The learning rate is the one that
    :mod:`rnncourse.experiments.text_rates` found for all of them.

Two controls, both after training
    - *Window*: each step may look at the last 64 steps alone (``window_128`` and so on). If long
      distances are what fails, this heals it.
    - *Restart*: the same characters, read in fresh windows of 64 (``restart_512``). A network that
      gains from a long text has fewer bits at the same characters without the restart.
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

from rnncourse.experiments._frame import MIXERS, Attention, Network
from rnncourse.experiments._text import HALF, WINDOW, manual, race

RATE = 0.016
SETTINGS = [{"network": "LSTM", "updates": 125, "rate": RATE}]  # for the tests
SETTINGS += [
    {"network": network, "updates": 1000, "rate": RATE}
    for network in ("transformer", "transformer, ALiBi", "transformer, no positions", "LSTM")
]
SEEDS = range(5)

CHEAP = SETTINGS[0]
TOLERANCE = {"parameters": 200, "valid": 0.1, "bits_512": 0.1}  # the manual varies with Python

BUDGET = 60_000
LONG = 512
SPANS = ((32, 64), (64, 128), (128, 256), (256, 512))  # places in the window


def nats(model: Network, length: int, start: int, device: str) -> torch.Tensor:
    """Cut the test text into pieces of 512 and read ``length`` steps of each, ``(length, B)``."""
    ids = manual()[2]
    starts = np.arange(0, len(ids) - LONG, LONG) + start
    windows = torch.from_numpy(ids[starts + np.arange(length + 1)[:, None]]).to(device)
    with torch.no_grad():
        scores = model(windows[:-1])
    found = F.cross_entropy(scores.flatten(0, 1), windows[1:].flatten(), reduction="none")
    return found.view(length, -1)


def look(model: Network, device: str) -> dict[str, float]:
    """Return bits per character by the place in a long window, with the controls."""
    figures = {}
    layers = [block.mix for block in model.blocks if isinstance(block.mix, Attention)]
    for name in ("bits", "window") if layers else ("bits",):
        for layer in layers:
            layer.allowed = (lambda distance: distance < WINDOW) if name == "window" else None
        by_place = nats(model, LONG, 0, device).mean(1) / math.log(2)
        for low, high in SPANS:
            figures[f"{name}_{high}"] = by_place[low:high].mean().item()
    for layer in layers:
        layer.allowed = None
    low, high = SPANS[-1]
    fresh = [
        nats(model, WINDOW, place - HALF, device)[HALF:].mean().item()
        for place in range(low, high, HALF)
    ]
    figures["restart_512"] = sum(fresh) / len(fresh) / math.log(2)
    return figures


def run(network: str, updates: int, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        Those of :func:`rnncourse.experiments._text.race`; ``bits_64`` to ``bits_512``, bits per
        character of the test text at places 33 to 64, 65 to 128, 129 to 256 and 257 to 512 of
        long windows; ``window_64`` to ``window_512``, the same where attention sees the last 64
        steps alone; ``restart_512``, at the same characters as ``bits_512``, read in windows of 64.
    """
    return race(
        MIXERS[network], BUDGET, 1.0, updates, rate, seed, device, lambda m: look(m, device)
    )
