"""How well classical methods forecast a year of three series, and how sure they are.

The series are weekly carbon dioxide, monthly sea temperature, and monthly turnover of the
electrical industry. From each origin a method forecasts the next year: 52 weeks or 12 months.
Origins roll through the last fifth of the series. A method is fitted once, on all steps before it,
and not again; what it reads grows with each origin.

What varies: the method and its three settings: the trend of exponential smoothing, the orders of a
seasonal ARIMA, the shrinkage of ridge regression, the learning rate of boosted trees. The last two
read what the networks of ``lab_forecasting`` read. For carbon dioxide the ARIMA has a season of
sines and cosines, is always differenced once, and its second number says whether the trend bends.
Two methods have nothing to choose: *seasonal naive*, and *usual*, which is what the networks say if
their output is 0 (last year and the mean change; for the sea, the mean year).
The setting is chosen by the error in the fifth before, forecast by a fit on the steps before that.

Held equal: the series, the cuts, the origins, the score. Nothing is drawn at random, so there is
one run per setting. The spread over the eight blocks of origins is in the table.
"""

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnncourse.experiments._forecast import (
    STRIDE,
    Fitted,
    Floats,
    Task,
    figures,
    inputs,
    task_of,
)

METHODS = {
    "seasonal naive": ("as it is",),
    "usual": ("as it is",),
    "smoothing": ("no trend", "trend", "damped trend"),
    "ARIMA": ("1, 0, 1", "2, 0, 0", "1, 1, 1"),
    "ridge": ("1", "30", "1000"),
    "trees": ("0.02", "0.05", "0.1"),
}
SETTINGS = [
    {"series": series, "method": method, "setting": setting}
    for series in ("co2", "elnino", "electrical")
    for method, settings in METHODS.items()
    for setting in settings
]
SEEDS = range(1)

CHEAP = {"series": "electrical", "method": "smoothing", "setting": "no trend"}
TOLERANCE = {"valid": 0.01, "test": 0.01, "coverage": 0.03}

NORMAL = np.array([-1.2815516, -0.6744898, 0, 0.6744898, 1.2815516])  # its quantiles at LEVELS


def seasonal_naive(task: Task, end: int) -> Fitted:
    """Return last year, with a normal spread as wide as the errors so far."""
    spread = np.sqrt(np.mean(np.square(task.x[task.m : end] - task.x[: end - task.m])))
    return lambda origins: task.last_year(origins)[..., None] + spread * NORMAL


def usual(task: Task, end: int) -> Fitted:
    """Return the reference and the mean difference from it, with a normal spread."""

    def forecast(origins: NDArray[np.int64]) -> Floats:
        asked = inputs(task, end, origins)
        return asked.undo(np.tile(NORMAL, (*asked.base.shape, 1)))

    return forecast


def smoothing(task: Task, end: int, trend: str) -> Fitted:
    """Return additive Holt-Winters smoothing in its state-space form."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    damped = trend == "damped trend"
    kind = {"error": "add", "seasonal": "add", "seasonal_periods": task.m, "damped_trend": damped}
    kind["trend"] = None if trend == "no trend" else "add"
    with warnings.catch_warnings():
        # An estimate may end early; its score says what it is worth.
        warnings.simplefilter("ignore")
        fitted = ETSModel(pd.Series(task.x[:end]), **kind).fit(disp=False, maxiter=200)
    states = {
        "initialization_method": "known",
        "initial_level": fitted.initial_level,
        "initial_trend": None if trend == "no trend" else fitted.initial_trend,
        "initial_seasonal": fitted.initial_seasonal,
    }
    weights = ("smoothing", "damping")
    params = [
        p for n, p in zip(fitted.param_names, fitted.params, strict=True) if n.startswith(weights)
    ]

    def forecast(origin: int) -> Floats:
        known = ETSModel(pd.Series(task.x[:origin]), **kind, **states).smooth(params)
        ahead = known.get_prediction(start=origin, end=origin + task.m - 1)
        frame = ahead.summary_frame(alpha=0.2)
        spread = (frame["pi_upper"] - frame["mean"]).to_numpy() / NORMAL[-1]
        found: Floats = frame["mean"].to_numpy()[:, None] + spread[:, None] * NORMAL
        return found

    return lambda origins: np.stack([forecast(int(origin)) for origin in origins])


def arima(task: Task, end: int, orders: str) -> Fitted:
    """Return a seasonal ARIMA; for a year of 52 steps, the season is three sines and cosines."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    p, d, q = map(int, orders.split(","))
    steps = np.arange(len(task.x) + task.m)
    angle = 2 * np.pi * np.outer(steps, [1, 2, 3]) * 7 / 365.25
    bend = [np.square(steps[:, None] / 1000)] * d
    waves = np.concatenate([np.sin(angle), np.cos(angle), *bend], 1)
    weekly = task.m == 52
    if weekly:
        model = SARIMAX(task.x[:end], waves[:end], order=(p, 1, q), trend="c")
    else:
        model = SARIMAX(task.x[:end], order=(p, d, q), seasonal_order=(0, 1, 1, task.m))
    with warnings.catch_warnings():
        # An estimate may end early; its score says what it is worth.
        warnings.simplefilter("ignore")
        fitted = model.fit(disp=False, maxiter=60)

    def forecast(origins: NDArray[np.int64]) -> Floats:
        known, so_far, found = fitted, end, []
        for origin in origins:
            if origin > so_far:  # take note of what has come since
                more = {"exog": waves[so_far:origin]} if weekly else {}
                known, so_far = known.extend(task.x[so_far:origin], **more), origin
            year = {"exog": waves[origin : origin + task.m]} if weekly else {}
            ahead = known.get_forecast(task.m, **year)
            found.append(ahead.predicted_mean[:, None] + ahead.se_mean[:, None] * NORMAL)
        return np.stack(found)

    return forecast


def ridge(task: Task, end: int, shrinkage: float) -> Fitted:
    """Return a weighted sum of the window, with weights of its own for each step ahead."""
    from sklearn.linear_model import Ridge

    known = inputs(task, end)
    model = Ridge(shrinkage).fit(known.windows.reshape(len(known.windows), -1), known.targets)

    def forecast(origins: NDArray[np.int64]) -> Floats:
        asked = inputs(task, end, origins)
        said = model.predict(asked.windows.reshape(len(origins), -1))
        return asked.undo(said)

    return forecast


def trees(task: Task, end: int, rate: float) -> Fitted:
    """Return boosted trees, which read the window, the time of year and how far ahead to look."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    known = inputs(task, end)
    ahead = np.arange(0, task.m, STRIDE_OF_TREES[task.m])

    def rows(windows: Floats, months: NDArray[np.int64]) -> Floats:
        """Return one row for each window and step ahead, ``(N * months, window + 3)``."""
        both = np.concatenate([windows[..., 0], windows[:, -1, 1:]], 1)
        return np.concatenate(
            [np.repeat(both, len(months), 0), np.tile(months, len(both))[:, None]], 1
        )

    model = HistGradientBoostingRegressor(
        loss="absolute_error", learning_rate=rate, max_iter=100, max_leaf_nodes=15, random_state=0
    ).fit(rows(known.windows, ahead), known.targets[:, ahead].ravel())

    def forecast(origins: NDArray[np.int64]) -> Floats:
        asked = inputs(task, end, origins)
        said = model.predict(rows(asked.windows, np.arange(task.m))).reshape(-1, task.m)
        return asked.undo(said)

    return forecast


STRIDE_OF_TREES = {12: 1, 52: 4}  # every fourth week ahead is enough to learn from


def run(series: str, method: str, setting: str, *, seed: int, device: str) -> dict[str, float]:
    """Fit one method, forecast and score it; see ``figures``. Trees and ridge give points only."""
    task = task_of(series)

    def fit(end: int) -> Fitted:
        if method == "seasonal naive":
            return seasonal_naive(task, end)
        if method == "usual":
            return usual(task, end)
        if method == "smoothing":
            return smoothing(task, end, setting)
        if method == "ARIMA":
            return arima(task, end, setting)
        return {"ridge": ridge, "trees": trees}[method](task, end, float(setting))

    return figures(task, fit, STRIDE[series])
