"""Whether a network forecasts tomorrow's stock index better than the random walk does.

From 20 days of the S&P 500 a network says what comes on the next day, trained by the squared error:
the close (*price*), the change of its logarithm in percent (*return*), or the absolute value of
that change (*size*). *planted* is the control: the same returns, to each of which 0.3 of the day
before was added, so there is something to find.

The fit ends with 2005 to choose the rate by the years 2006 and 2007, and then with 2007. The test
has two parts: *near* is 2008 to 2012, when the index moves within the range of the fit, and *far*
is 2013 to 2018, when it has left it.

What varies: the target, the network (GRU, and a weighted sum of the window), three learning
rates. Held equal: 16 units, 300 updates on 32 windows, a cosine from the rate to 0, clipping at 1.
The baselines are the random walk, which says "as today", and for the size the mean of the fit.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.series import load_prices
from rnncourse.torch import GRU
from rnncourse.training import fit

__all__ = ["CHEAP", "SEEDS", "SETTINGS", "TOLERANCE", "Net", "data_of", "forecasts"]

SETTINGS = [
    {"target": target, "network": network, "rate": rate}
    for target in ("price", "return", "size", "planted")
    for network in ("GRU", "linear")
    for rate in (0.001, 0.003, 0.01)
]
SEEDS = range(5)

CHEAP = {"target": "price", "network": "GRU", "rate": 0.01}
TOLERANCE = {"near": 0.1, "looks": 0.01}

UNITS, UPDATES, BATCH, WINDOW, PLANTED = 16, 300, 32, 20, 0.3
DAYS = ("2006-01-01", "2008-01-01", "2013-01-01", "2019-01-01")  # begin validation, near, far; end

Floats = NDArray[np.float64]


class Data(NamedTuple):
    """What is read on each day and what is asked for, T days."""

    close: Floats  # (T,)
    inputs: Floats  # (T, I): known at the end of the day
    target: Floats  # (T,): of the day itself, so a forecast for it reads the days before
    cuts: tuple[int, ...]  # the days on which validation, near and far begin, and the end


def data_of(target: str) -> Data:
    """Return the index as one target asks for it."""
    prices = load_prices("sp500")
    close = prices.values[:, prices.names.index("close")]
    cuts = tuple(int(cut) for cut in np.searchsorted(prices.dates, np.array(DAYS, "datetime64[D]")))
    if target == "price":
        return Data(close, close[:, None], close, cuts)
    change = np.zeros_like(close)
    change[1:] = 100 * np.diff(np.log(close))  # in percent
    if target == "planted":
        for t in range(1, len(change)):
            change[t] += PLANTED * change[t - 1]
    both = np.stack([change, np.abs(change)], 1)
    return Data(close, both, both[:, 1] if target == "size" else change, cuts)


class Net(nn.Module):
    """Read a window of days, say one number."""

    def __init__(self, network: str, I: int, H: int = UNITS) -> None:
        super().__init__()
        self.linear = network == "linear"
        self.layer = nn.Flatten() if self.linear else GRU(I, H)
        self.out = nn.Linear(I * WINDOW if self.linear else H, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B,)`` from ``(T, B, I)``."""
        h = self.layer(x.transpose(0, 1)) if self.linear else self.layer(x)[0][-1]
        said: Tensor = self.out(h)[:, 0]
        return said


def forecasts(
    data: Data, network: str, rate: float, end: int, days: NDArray[np.int64], seed: int, device: str
) -> Floats:
    """Train on the days before ``end``, and return what the network says for some days."""
    shift, scale = data.inputs[:end].mean(0), data.inputs[:end].std(0)
    middle, width = data.target[:end].mean(), data.target[:end].std()
    before = np.arange(-WINDOW, 0)

    def read(at: NDArray[np.int64]) -> Tensor:  # (T, B, I)
        x = (data.inputs[at + before[:, None]] - shift) / scale
        return torch.tensor(x, dtype=torch.float32, device=device)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Net(network, data.inputs.shape[1]).to(device)
    known = np.arange(WINDOW + 1, end)
    z = (data.target - middle) / width
    rng = np.random.default_rng(seed)
    rows = (rng.choice(known, BATCH) for _ in range(UPDATES))

    def loss(model: nn.Module, at: NDArray[np.int64]) -> Tensor:
        true = torch.tensor(z[at], dtype=torch.float32, device=device)
        return F.mse_loss(model(read(at)), true)

    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)
    fit(model, loss, rows, optimizer, clip_norm=1.0, scheduler=cosine, progress=False)
    with torch.no_grad():
        said = model(read(days)).double().cpu().numpy()
    found: Floats = middle + width * said
    return found


def run(target: str, network: str, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train a network before each span and score it.

    Returns
    -------
    figures
        Root mean square error over that of the baseline: in validation (``valid``) and in both
        parts of the test (``near``, ``far``). For price and return the error of the close in
        points (``points_near``, ``points_far``), and the share of days whose direction was right
        (``direction``, all of the test). For the price ``looks``, the share of the variance of the
        close that is explained in the near part, and ``late``, the error against the close of the
        day before over that against the close of the day.
    """
    data = data_of(target)
    start, near, far, stop = data.cuts

    def scored(said: Floats, days: NDArray[np.int64], end: int) -> float:
        if target == "price":
            base = data.close[days - 1]
        else:
            base = np.full(len(days), data.target[:end].mean() if target == "size" else 0.0)
        true = data.target[days]
        return float(np.sqrt(np.mean((said - true) ** 2) / np.mean((base - true) ** 2)))

    days = np.arange(start, near)
    found = {
        "valid": scored(forecasts(data, network, rate, start, days, seed, device), days, start)
    }
    test = np.arange(near, stop)
    all_said = forecasts(data, network, rate, near, test, seed, device)
    for name, part in (("near", test < far), ("far", test >= far)):
        said, days = all_said[part], test[part]
        found[name] = scored(said, days, near)
        if target in ("price", "return"):
            today, close = data.close[days - 1], data.close[days]
            price = said if target == "price" else today * np.exp(said / 100)
            found[f"points_{name}"] = float(np.sqrt(np.mean((price - close) ** 2)))
            right = float(np.mean((price > today) == (close > today)))
            found["direction"] = found.get("direction", 0) + right * len(days) / len(test)
        if target == "price" and name == "near":
            missed = np.mean((said - close) ** 2)
            found["looks"] = float(1 - missed / close.var())
            found["late"] = float(np.sqrt(np.mean((said - today) ** 2) / missed))
    return found
