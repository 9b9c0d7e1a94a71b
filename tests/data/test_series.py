import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.data.series import (
    PRICES,
    SERIES,
    Series,
    load_prices,
    load_series,
    seasonal_naive,
    split_series,
)


@pytest.fixture
def needs_statsmodels():
    pytest.importorskip("statsmodels", reason="statsmodels, which carries the data, is missing")


@pytest.fixture
def needs_arch():
    pytest.importorskip("arch", reason="arch, which carries the data, is missing")


def line(T):
    dates = np.datetime64("2000-01-01") + np.arange(T)
    values = np.arange(2.0 * T).reshape(T, 2)
    return Series(values, dates, ("a", "b"), ("m", "s"), 4, np.arange(T) != 1)


@pytest.mark.usefixtures("needs_statsmodels")
@pytest.mark.parametrize("name", SERIES)
def test_series_are_complete_and_regular(name):
    series = load_series(name)
    T, n = series.values.shape
    assert (T, n) == {
        "co2": (2284, 1),
        "elnino": (732, 1),
        "electrical": (257, 1),
        "macro": (203, 12),
    }.get(name)
    assert np.isfinite(series.values).all()
    assert len(series.names) == len(series.units) == n
    assert series.dates.shape == series.measured.shape == (T,)
    assert series.dates.dtype == "datetime64[D]"
    steps = np.diff(series.dates).astype(int)
    assert steps.min() >= steps.max() - 3
    assert abs(series.period * steps.mean() - 365) < 2
    assert (~series.measured).sum() == (59 if name == "co2" else 0)


@pytest.mark.usefixtures("needs_statsmodels")
def test_known_values_stand_at_their_dates():
    def at(name, date):
        series = load_series(name)
        return series.values[series.dates == np.datetime64(date), 0].tolist()

    assert at("co2", "1958-03-29") == [316.1]
    assert at("co2", "2001-12-29") == [371.5]
    assert at("elnino", "1950-01-01") == [23.11]
    assert at("elnino", "1951-03-01") == [25.6]
    assert at("elnino", "2010-12-01") == [22.07]
    assert at("electrical", "2016-05-01") == [97.86]
    assert at("macro", "2009-07-01") == [12990.341]


@pytest.mark.usefixtures("needs_statsmodels")
def test_the_season_beats_the_last_value_where_there_is_one():
    """Half a year ahead on the last fifth, the mean over all starting points."""
    for name in ("co2", "elnino", "electrical"):
        x = load_series(name).values[:, 0]
        errors = []
        period, horizon = load_series(name).period, load_series(name).period // 2
        for p in (1, period):
            starts = range(len(x) * 4 // 5, len(x) - horizon)
            errors.append(
                np.mean(
                    [abs(seasonal_naive(x[:t], p, horizon) - x[t : t + horizon]) for t in starts]
                )
            )
        assert errors[1] < errors[0]


@pytest.mark.usefixtures("needs_statsmodels")
@pytest.mark.parametrize(
    ("name", "variable", "period", "error"),
    [
        ("co2", "carbon dioxide", 52, 1.65),
        ("elnino", "sea surface temperature", 12, 1.06),
        ("electrical", "turnover", 12, 2.95),
        ("macro", "unemployment", 1, 0.25),
    ],
)
def test_the_baselines_are_as_documented(name, variable, period, error):
    series = load_series(name)
    x = series.values[:, series.names.index(variable)]
    misses = [
        abs(seasonal_naive(x[: t - period + 1], period, period)[-1] - x[t])
        for t in range(len(x) * 4 // 5, len(x))
        if series.measured[t]
    ]
    assert np.mean(misses) == pytest.approx(error, abs=0.006)


@given(st.integers(1, 9), st.integers(1, 30), st.integers(0, 20))
def test_the_seasonal_naive_forecast_repeats_the_last_period(period, horizon, more):
    history = np.random.default_rng(0).normal(size=(period + more, 2))
    both = np.concatenate([history, seasonal_naive(history, period, horizon)])
    for t in range(len(history), len(both)):
        np.testing.assert_array_equal(both[t], both[t - period])
    np.testing.assert_array_equal(
        seasonal_naive(history[:, 0], period, horizon), both[len(history) :, 0]
    )


def test_spans_follow_each_other():
    series = line(10)
    spans = split_series(series, 0.5, 0.2)
    assert [len(span.values) for span in spans] == [5, 2, 3]
    for field in ("values", "dates", "measured"):
        joined = np.concatenate([getattr(span, field) for span in spans])
        np.testing.assert_array_equal(joined, getattr(series, field))
    assert spans[1].names == ("a", "b")
    assert spans[1].period == 4


def test_a_span_may_have_one_step():
    assert [len(span.values) for span in split_series(line(10), 0.1, 0.8)] == [1, 8, 1]


@pytest.mark.parametrize(
    "fractions", [(1.0,), (0.0,), (0.7, 0.4), (0.5, -0.2), (0.01,), (np.nan,), (0.5, np.inf)]
)
def test_a_span_without_steps_is_refused(fractions):
    with pytest.raises(ValueError, match="fractions: expected positive shares"):
        split_series(line(10), *fractions)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="name: expected 'co2' or 'elnino'"):
        load_series("weather")
    with pytest.raises(ValueError, match="period: expected at least 1"):
        seasonal_naive([1.0], 0, 1)
    with pytest.raises(TypeError, match="horizon: expected a whole number"):
        seasonal_naive([1.0], 1, 1.5)
    with pytest.raises(ValueError, match=r"history: .* at least period = 3, got shape \(2,\)"):
        seasonal_naive([1.0, 2.0], 3, 1)
    with pytest.raises(ValueError, match=r"history: .* got shape \(2, 1, 1\)"):
        seasonal_naive(np.zeros((2, 1, 1)), 1, 1)


def test_without_statsmodels_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.datasets.co2", None)
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    with pytest.raises(ImportError, match="pip install statsmodels"):
        load_series("co2")


@pytest.mark.usefixtures("needs_arch")
@pytest.mark.parametrize("name", PRICES)
def test_prices_are_complete_and_in_order(name):
    prices = load_prices(name)
    assert prices.values.shape == (5031, 5)
    assert prices.names == ("open", "high", "low", "close", "volume")
    assert prices.units == ("points", "points", "points", "points", "shares")
    assert (prices.values[:, :4] > 0).all()
    assert (prices.values[:, 4] == 0).sum() == {"nasdaq": 2}.get(name, 0)
    opened, high, low, close, _ = prices.values.T
    assert (low <= np.minimum(opened, close)).all()
    assert (high >= np.maximum(opened, close)).all()
    assert prices.dates.dtype == "datetime64[D]"
    assert prices.dates[[0, -1]].astype(str).tolist() == ["1999-01-04", "2018-12-31"]
    steps = np.diff(prices.dates).astype(int)
    assert steps.min() == 1
    assert steps.max() == 7  # September 2001
    assert np.is_busday(prices.dates).all()
    assert prices.measured.all()
    assert abs(len(close) / 20 - prices.period) < 1


@pytest.mark.usefixtures("needs_arch")
def test_known_prices_stand_at_their_dates():
    prices = load_prices()
    day = prices.dates == np.datetime64("2008-10-15")  # the index lost 9 %
    assert prices.values[day, 3].tolist() == [907.840027]
    assert load_prices("nasdaq").values[-1, 3] == pytest.approx(6635.28, abs=0.01)


@pytest.mark.usefixtures("needs_arch")
@pytest.mark.parametrize(
    ("name", "points", "logarithm"), [("sp500", 20.0, 0.0086), ("nasdaq", 62.0, 0.0103)]
)
def test_the_random_walk_is_as_documented(name, points, logarithm):
    close = load_prices(name).values[:, 3]
    for x, error in ((close, points), (np.log(close), logarithm)):
        misses = [seasonal_naive(x[:t], 1, 1)[0] - x[t] for t in range(len(x) * 4 // 5, len(x))]
        assert np.sqrt(np.mean(np.square(misses))) == pytest.approx(error, rel=0.005)


def test_unknown_prices_are_refused():
    with pytest.raises(ValueError, match="name: expected 'sp500' or 'nasdaq'"):
        load_prices("dax")


def test_without_arch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "arch.data.sp500", None)
    monkeypatch.setitem(sys.modules, "arch.data", None)
    with pytest.raises(ImportError, match="pip install arch"):
        load_prices()
