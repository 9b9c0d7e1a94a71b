"""What forecasts of one year are made from, and how they are scored: shared by two experiments."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncourse.data.series import load_series
from rnncourse.metrics import naive_scale, pinball_loss

Floats = NDArray[np.float64]

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
MEDIAN, LOW, HIGH = 2, 0, 4  # where they stand in LEVELS; an 80 % interval from LOW to HIGH
WINDOW = {"co2": 52, "elnino": 24, "electrical": 24}  # steps that a window shows
STRIDE = {"co2": 4, "elnino": 1, "electrical": 1}  # steps from one origin to the next
REFERENCE = {"co2": "last year", "elnino": "mean year", "electrical": "last year"}
MONTHS, BLOCKS = 12, 8  # parts of the horizon, and of the time of the test, that are scored alone


class Task(NamedTuple):
    """A series, and where it is cut.

    An *origin* is a step at which somebody stands who knows the steps before it, and forecasts a
    year: ``m`` steps from the origin on.
    """

    x: Floats  # (T,)
    m: int  # steps in a year: the period, and the horizon
    window: int
    cuts: tuple[int, int, int]  # where validation and test begin, and the end
    reference: str  # what networks and regressions compare with

    def origins(self, span: int, stride: int) -> NDArray[np.int64]:
        """Return the origins of the validation span (0) or of the test span (1)."""
        return np.arange(self.cuts[span], self.cuts[span + 1] - self.m + 1, stride)

    def truth(self, origins: NDArray[np.int64]) -> Floats:
        """Return the year from each origin on, ``(N, m)``."""
        year: Floats = self.x[origins[:, None] + np.arange(self.m)]
        return year

    def last_year(self, origins: NDArray[np.int64]) -> Floats:
        """Return the year before each origin, ``(N, m)``: the seasonal-naive forecast."""
        year: Floats = self.x[origins[:, None] - self.m + np.arange(self.m)]
        return year


@cache
def task_of(series: str) -> Task:
    """Return a series, cut in time: 60 % to fit, 20 % to choose a setting, 20 % to test."""
    data = load_series(series)
    x = data.values[:, 0]
    T = len(x)
    cuts = (round(0.6 * T), round(0.8 * T), T)
    return Task(x, data.period, WINDOW[series], cuts, REFERENCE[series])


def reference_of(task: Task, end: int) -> Floats:
    """Return what each step is compared with, ``(T,)``; it is known a year ahead.

    Either the same step of the year before, and in the first year the step itself; or the mean of
    that time of year over the steps before ``end``.
    """
    steps = np.arange(len(task.x))
    if task.reference == "last year":
        return task.x[np.where(steps < task.m, steps, steps - task.m)]
    known = np.arange(end)
    means = np.array([task.x[known[known % task.m == i]].mean() for i in range(task.m)])
    return means[steps % task.m]


class Inputs(NamedTuple):
    """What a network or a regression reads and says, for N starts.

    The first input of a step is its difference from the reference, minus its mean, over its
    standard deviation. The others are sine and cosine of the time of year.
    """

    steps: Floats  # (T, 3): the inputs of all steps
    windows: Floats  # (N, window, 3): those before each start
    targets: Floats  # (N, m): the first input of the year from each start on
    base: Floats  # (N, m): what is forecast if the network says 0
    scale: float  # what a 1 of the network means

    def undo(self, said: Floats) -> Floats:
        """Return forecasts in the unit of the series, from ``(N, m)`` or ``(N, m, 5)``."""
        return (self.base if said.ndim == 2 else self.base[..., None]) + self.scale * said


def inputs(task: Task, end: int, starts: NDArray[np.int64] | None = None) -> Inputs:
    """Return windows and the years after them.

    Parameters
    ----------
    task
        The series.
    end
        Nothing at or after this step is used to scale.
    starts
        The first step after each window; by default all with a whole year before ``end``.
    """
    reference = reference_of(task, end)
    change = task.x - reference  # (T,)
    shift, scale = change[task.m : end].mean(), change[task.m : end].std()
    angle = 2 * np.pi * np.arange(len(task.x)) / task.m
    steps = np.stack([(change - shift) / scale, np.sin(angle), np.cos(angle)], 1)
    if starts is None:
        starts = np.arange(task.m + task.window, end - task.m + 1)
    year = starts[:, None] + np.arange(task.m)
    windows = steps[starts[:, None] - task.window + np.arange(task.window)]
    return Inputs(steps, windows, steps[year, 0], reference[year] + shift, float(scale))


Forecast = Floats  # (N, m) points, or (N, m, 5) quantiles at LEVELS
Fitted = Callable[[NDArray[np.int64]], Forecast]


def figures(task: Task, fit: Callable[[int], Fitted], stride: int) -> dict[str, float]:
    """Fit before each span, forecast a year from each origin in it, and score.

    Within a span nothing is fitted again: the parameters stay, and what is known grows.

    Parameters
    ----------
    task
        The series.
    fit
        Takes the step at which the known part ends, returns what forecasts from origins.
    stride
        Steps from one origin to the next.

    Returns
    -------
    figures
        ``valid`` and ``test``, the mean absolute error over that of the seasonal-naive forecast in
        the steps before the span; the latter also by month ahead (``month_1``, …) and in eight
        blocks of origins (``block_1``, …). The pinball loss of each level, over the same scale: of
        the point forecast (``point_10``, …) and of the point with a safety stock from the errors
        in the validation span (``safety_10``, …). For quantiles also of the quantiles
        (``quantile_10``, …), ``coverage`` of the interval from 10 to 90 %, its scaled ``width``,
        the coverage by month ahead (``coverage_1``, …), and ``mended`` and ``mended_width``, the
        same after a correction that makes it right in the validation span.
    """
    spans = []
    for span in (0, 1):
        origins = task.origins(span, stride)
        said = fit(task.cuts[span])(origins)
        quantiles = np.sort(said, axis=2) if said.ndim == 3 else None
        point = said if quantiles is None else quantiles[..., MEDIAN]
        spans.append((task.truth(origins), point, quantiles))
    scales = [naive_scale(task.x[: task.cuts[span]], task.m) for span in (0, 1)]
    (past, past_point, past_quantiles), (true, point, quantiles) = spans
    scale = scales[1]
    errors = np.abs(true - point) / scale  # (N, m)
    months = np.array_split(np.arange(task.m), MONTHS)
    found = {"valid": float(np.abs(past - past_point).mean()) / scales[0], "test": errors.mean()}
    found |= {f"month_{i}": errors[:, month].mean() for i, month in enumerate(months, 1)}
    parts = np.array_split(errors, BLOCKS)
    found |= {f"block_{i}": part.mean() for i, part in enumerate(parts, 1)}

    missed = np.quantile(past - past_point, LEVELS, axis=0)  # (5, m): of each month ahead
    for i, level in enumerate(LEVELS):
        name = round(100 * level)
        found[f"point_{name}"] = pinball_loss(point, true, level) / scale
        found[f"safety_{name}"] = pinball_loss(point + missed[i], true, level) / scale
        if quantiles is not None:
            found[f"quantile_{name}"] = pinball_loss(quantiles[..., i], true, level) / scale
    if quantiles is not None and past_quantiles is not None:
        low, high = quantiles[..., LOW], quantiles[..., HIGH]
        inside = (low <= true) & (true <= high)
        found |= {"coverage": inside.mean(), "width": (high - low).mean() / scale}
        found |= {f"coverage_{i}": inside[:, month].mean() for i, month in enumerate(months, 1)}
        # By how much the truth left the interval (minus: stayed inside) in the validation span.
        out = np.maximum(past_quantiles[..., LOW] - past, past - past_quantiles[..., HIGH])
        more = np.quantile(out, 0.8, axis=0)  # (m,)
        low, high = low - more, np.maximum(low - more, high + more)
        found["mended"] = ((low <= true) & (true <= high)).mean()
        found["mended_width"] = (high - low).mean() / scale
    return {name: float(value) for name, value in found.items()}
