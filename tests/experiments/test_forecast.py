"""No forecast looks ahead, and the shared scores are what they say."""

import numpy as np
import pytest

pytest.importorskip("statsmodels", reason="statsmodels, which carries the data, is missing")

from rnncourse.data.series import seasonal_naive
from rnncourse.experiments import lab_forecasting as networks
from rnncourse.experiments import lab_forecasting_baselines as baselines
from rnncourse.experiments import lab_forecasting_index as index
from rnncourse.experiments._forecast import LEVELS, figures, inputs, reference_of, task_of
from rnncourse.metrics import naive_scale, scaled_error


def network(name, way):
    def fit(task, end):
        model = networks.build(task, name, way, 0)
        networks.train(model, inputs(task, end), 0.01, 2, 0)

        def say(origins):
            asked = inputs(task, end, origins)
            season = asked.steps[origins[:, None] + np.arange(task.m), 1:]
            return networks.forecast(model, asked, season)

        return say

    return fit


FITS = {
    "seasonal naive": baselines.seasonal_naive,
    "usual": baselines.usual,
    "smoothing": lambda task, end: baselines.smoothing(task, end, "damped trend"),
    "ARIMA": lambda task, end: baselines.arima(task, end, "1, 0, 1"),
    "ridge": lambda task, end: baselines.ridge(task, end, 1.0),
    "trees": lambda task, end: baselines.trees(task, end, 0.1),
    "linear": network("linear", "direct"),
    "GRU direct": network("GRU", "direct"),
    "LSTM recursive": network("LSTM", "recursive"),
}


@pytest.mark.parametrize("method", FITS)
@pytest.mark.parametrize("reference", ["last year", "mean year"])
def test_no_forecast_looks_ahead(method, reference):
    """What comes at or after the origin may be anything."""
    task = task_of("electrical")._replace(reference=reference)
    end, origins = task.cuts[0], np.array([task.cuts[0] + 5])
    other = task.x.copy()
    other[origins[0] :] *= 7
    said = FITS[method](task, end)(origins)
    np.testing.assert_array_equal(FITS[method](task._replace(x=other), end)(origins), said)
    assert said.shape[:2] == (1, task.m)
    assert np.isfinite(said).all()


@pytest.mark.parametrize("orders", ["1, 0, 1", "1, 1, 1"])
def test_the_weekly_arima_goes_on_without_looking_ahead(orders):
    task = task_of("co2")
    task = task._replace(x=task.x[:400], cuts=(250, 300, 400))
    other = task.x.copy()
    other[260:] += 9
    said, again = (
        baselines.arima(t, 250, orders)(np.array([250, 255, 260]))
        for t in (task, task._replace(x=other))
    )
    np.testing.assert_array_equal(said, again)
    (at_once,) = baselines.arima(task, 250, orders)(np.array([260]))
    np.testing.assert_allclose(said[2], at_once, rtol=1e-8)
    drift = said[2, :, 2] - task.x[260 - 52 : 260]  # about as much as in the years before
    assert abs(drift.mean() - np.mean(task.x[52:250] - task.x[:198])) < 1


@pytest.mark.parametrize("series", ["co2", "elnino", "electrical"])
def test_what_is_read_can_be_undone(series):
    task = task_of(series)
    origins = task.origins(1, 7)
    found = inputs(task, task.cuts[1], origins)
    np.testing.assert_allclose(found.undo(found.targets), task.truth(origins))
    np.testing.assert_allclose(found.undo(found.targets[..., None])[..., 0], task.truth(origins))
    np.testing.assert_array_equal(
        found.windows[3], found.steps[origins[3] - task.window : origins[3]]
    )
    known = inputs(task, task.cuts[1]).steps[: task.cuts[1], 0]
    assert abs(known[task.m :].mean()) < 1e-9
    assert known[task.m :].std() == pytest.approx(1)


def test_the_reference_is_known_a_year_ahead():
    task = task_of("electrical")
    np.testing.assert_array_equal(reference_of(task, 100)[12:], task.x[:-12])
    mean = reference_of(task._replace(reference="mean year"), 24)
    np.testing.assert_allclose(mean[:12], (task.x[:12] + task.x[12:24]) / 2)
    np.testing.assert_allclose(mean[12:24], mean[:12])


def test_figures_are_those_of_the_metrics():
    task = task_of("electrical")
    found = figures(task, lambda end: lambda origins: task.last_year(origins), 1)
    origins = task.origins(1, 1)
    history = task.x[: task.cuts[1]]
    one = seasonal_naive(task.x[: origins[5]], 12, 12)
    np.testing.assert_array_equal(task.last_year(origins)[5], one)
    mase = scaled_error(task.last_year(origins), task.truth(origins), history, 12)
    assert found["test"] == pytest.approx(mase)
    assert np.mean([found[f"month_{i}"] for i in range(1, 13)]) == pytest.approx(mase)
    assert found["point_50"] == pytest.approx(mase / 2)
    assert "coverage" not in found
    wide = figures(
        task,
        lambda end: lambda origins: task.truth(origins)[..., None] + np.array([-1, 0, 0, 0, 1]),
        1,
    )
    assert wide["test"] == 0
    assert wide["coverage"] == wide["coverage_12"] == 1
    assert wide["width"] == pytest.approx(2 / naive_scale(history, 12))
    assert wide["mended_width"] == pytest.approx(0, abs=1e-9)
    assert len(LEVELS) == 5


@pytest.mark.parametrize("target", ["price", "return", "size", "planted"])
def test_the_index_does_not_look_ahead(target, monkeypatch):
    pytest.importorskip("arch", reason="arch, which carries the data, is missing")
    monkeypatch.setattr(index, "UPDATES", 2)
    data = index.data_of(target)
    day = np.array([data.cuts[1]])
    other = data._replace(inputs=data.inputs.copy(), target=data.target.copy())
    other.inputs[day[0] :] += 5
    other.target[day[0] :] += 5
    said, again = (
        index.forecasts(d, "GRU", 0.01, data.cuts[0], day, 0, "cpu") for d in (data, other)
    )
    assert said == again
    assert [str(d)[:4] for d in index.DAYS] == ["2006", "2008", "2013", "2019"]
    assert list(data.cuts) == sorted(data.cuts)
    assert data.cuts[-1] == len(data.close)


def test_planted_returns_can_be_forecast_from_the_day_before():
    pytest.importorskip("arch", reason="arch, which carries the data, is missing")
    plain, planted = index.data_of("return").target, index.data_of("planted").target
    np.testing.assert_allclose(planted[1:] - 0.3 * planted[:-1], plain[1:])
