"""How recurrent networks forecast a year of three series, beside simple methods.

Series, cuts, origins, inputs and scores are those of ``lab_forecasting_baselines``. A network reads
a window of 52 weeks or 24 months. *Direct*: it says the five quantiles of each step of the coming
year at once, trained by the pinball loss. *Recursive*: it says the next step, trained by the
absolute error at every step of the window, and reads its own answer to go on.

What varies: the network (LSTM, GRU; for the direct way also a weighted sum of the window, trained
in the same way, as the control without recurrence), the way, and three learning rates. The rate is
chosen by the error in the validation span, forecast by networks trained on the steps before it.
Then new networks are trained with it on all steps before the test span.

Held equal: 16 units, 150 updates on 32 windows, a cosine from the rate to 0, clipping at 1. A seed
draws the weights and the windows. Nothing ends early. One setting is repeated with 600 updates, to
see what longer training does to the intervals.
"""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rnncourse.experiments._forecast import (
    LEVELS,
    STRIDE,
    Fitted,
    Floats,
    Inputs,
    Task,
    figures,
    inputs,
    task_of,
)
from rnncourse.torch import GRU, LSTM
from rnncourse.training import fit

__all__ = ["CHEAP", "SEEDS", "SETTINGS", "TOLERANCE", "Direct", "Recursive", "Straight", "pinball"]

RATES = (0.003, 0.01, 0.03)
NETWORKS = [
    {"network": "LSTM", "way": "direct"},
    {"network": "GRU", "way": "direct"},
    {"network": "linear", "way": "direct"},
    {"network": "LSTM", "way": "recursive"},
    {"network": "GRU", "way": "recursive"},
]
SETTINGS = [
    {"series": series, **network, "rate": rate, "updates": 150}
    for series in ("co2", "elnino", "electrical")
    for network in NETWORKS
    for rate in RATES
] + [{"series": "elnino", **NETWORKS[1], "rate": 0.01, "updates": 600}]
SEEDS = range(5)

CHEAP = {"series": "elnino", **NETWORKS[1], "rate": 0.01, "updates": 150}
TOLERANCE = {"valid": 0.03, "test": 0.03, "coverage": 0.05}

UNITS, BATCH = 16, 32
LAYERS = {"LSTM": LSTM, "GRU": GRU}


class Direct(nn.Module):
    """Read a window, say all quantiles of the coming year."""

    def __init__(self, cell: str, H: int, horizon: int, levels: int) -> None:
        super().__init__()
        self.layer = LAYERS[cell](3, H)
        self.out = nn.Linear(H, horizon * levels)
        self.shape = (horizon, levels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, horizon, levels)`` from ``(T, B, 3)``."""
        last = self.layer(x)[0][-1]  # (B, H)
        said: Tensor = self.out(last).unflatten(-1, self.shape)
        return said


class Straight(nn.Module):
    """The control: the same answer, a weighted sum of the window."""

    def __init__(self, T: int, horizon: int, levels: int) -> None:
        super().__init__()
        self.out = nn.Linear(3 * T, horizon * levels)
        self.shape = (horizon, levels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, horizon, levels)`` from ``(T, B, 3)``."""
        said: Tensor = self.out(x.transpose(0, 1).flatten(1)).unflatten(-1, self.shape)
        return said


class Recursive(nn.Module):
    """Say the next step at each step; to look further ahead, read what it said itself."""

    def __init__(self, cell: str, H: int) -> None:
        super().__init__()
        self.layer = LAYERS[cell](3, H)
        self.out = nn.Linear(H, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(T, B)``, the next step after each, from ``(T, B, 3)``."""
        said: Tensor = self.out(self.layer(x)[0])[..., 0]
        return said

    def roll(self, x: Tensor, season: Tensor) -> Tensor:
        """Return the ``m`` steps after a window ``(T, B, 3)``; their sines are ``(m, B, 2)``."""
        h, state = self.layer(x)
        found = [self.out(h[-1])]  # (B, 1)
        for now in season[:-1]:
            step = torch.cat([found[-1], now], -1)[None]  # (1, B, 3)
            h, state = self.layer(step, state)
            found.append(self.out(h[-1]))
        return torch.cat(found, 1)  # (B, m)


def pinball(said: Tensor, true: Tensor, levels: Tensor) -> Tensor:
    """Return the mean pinball loss of ``(B, m, Q)`` for the truth ``(B, m)``."""
    missing = true[..., None] - said  # (B, m, Q): above 0 where too little was said
    return torch.maximum(levels * missing, (levels - 1) * missing).mean()


def build(task: Task, network: str, way: str, seed: int) -> nn.Module:
    """Return a network whose weights are drawn from a seed; the global generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if network == "linear":
            return Straight(task.window, task.m, len(LEVELS))
        if way == "direct":
            return Direct(network, UNITS, task.m, len(LEVELS))
        return Recursive(network, UNITS)


def loss(data: tuple[Tensor, Tensor], levels: Tensor, model: nn.Module, rows: Tensor) -> Tensor:
    """Return the loss of some windows."""
    windows, targets = data  # (window, N, 3), (N, m)
    x = windows[:, rows]
    if isinstance(model, Recursive):
        true = torch.cat([x[1:, :, 0], targets[rows, 0][None]])  # (window, B)
        missed: Tensor = (model(x) - true).abs().mean()
        return missed
    return pinball(model(x), targets[rows], levels)


def train(model: nn.Module, known: Inputs, rate: float, updates: int, seed: int) -> None:
    """Train a network on windows drawn from a seed."""
    device = next(model.parameters()).device
    windows = torch.tensor(known.windows, dtype=torch.float32, device=device).transpose(0, 1)
    targets = torch.tensor(known.targets, dtype=torch.float32, device=device)
    rng = np.random.default_rng(seed)
    rows = (torch.from_numpy(rng.integers(len(targets), size=BATCH)) for _ in range(updates))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    of_rows = partial(loss, (windows, targets), torch.tensor(LEVELS, device=device))
    fit(model, of_rows, rows, optimizer, clip_norm=1.0, scheduler=cosine, progress=False)


def forecast(model: nn.Module, asked: Inputs, season: Floats) -> Floats:
    """Return forecasts in the unit of the series; ``season`` is ``(N, m, 2)``."""
    device = next(model.parameters()).device
    x = torch.tensor(asked.windows, dtype=torch.float32, device=device).transpose(0, 1)
    with torch.no_grad():
        if isinstance(model, Recursive):
            waves = torch.tensor(season, dtype=torch.float32, device=device).transpose(0, 1)
            said = model.roll(x, waves)
        else:
            said = model(x)
    return asked.undo(said.double().cpu().numpy())


def run(
    series: str, network: str, way: str, rate: float, updates: int, *, seed: int, device: str
) -> dict[str, float]:
    """Train a network before each span, forecast and score it; see ``figures``."""
    task = task_of(series)

    def fitted(end: int) -> Fitted:
        model = build(task, network, way, seed).to(device)
        train(model, inputs(task, end), rate, updates, seed)

        def say(origins: NDArray[np.int64]) -> Floats:
            asked = inputs(task, end, origins)
            return forecast(model, asked, asked.steps[origins[:, None] + np.arange(task.m), 1:])

        return say

    found = figures(task, fitted, STRIDE[series])
    weights = build(task, network, way, seed).parameters()
    return {"parameters": sum(p.numel() for p in weights)} | found
