"""Real time series, brought by statsmodels and arch, and the forecast that a model has to beat."""

from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least, check_choice


class Series(NamedTuple):
    """Measurements at regular times: one variable per column."""

    values: NDArray[np.float64]  # (T, I)
    dates: NDArray[np.datetime64]  # (T,): days; the first of a month or a quarter
    names: tuple[str, ...]  # (I,)
    units: tuple[str, ...]  # (I,)
    period: int  # steps in a year
    measured: NDArray[np.bool_]  # (T,): False where a gap was filled in

    def span(self, start: int, stop: int) -> Self:
        """Return the steps from ``start`` up to, but not including, ``stop``."""
        s = slice(start, stop)
        return self._replace(values=self.values[s], dates=self.dates[s], measured=self.measured[s])


GDP_UNIT = "billion dollars of 2005 a year"

MACRO = {
    "realgdp": ("gross domestic product", GDP_UNIT),
    "realcons": ("consumption", GDP_UNIT),
    "realinv": ("private investment", GDP_UNIT),
    "realgovt": ("government spending", GDP_UNIT),
    "realdpi": ("disposable income", GDP_UNIT),
    "cpi": ("consumer prices", "index, 1982-84 is 100"),
    "m1": ("money stock M1", "billion dollars"),
    "tbilrate": ("treasury bill rate", "% a year"),
    "unemp": ("unemployment", "%"),
    "pop": ("population", "million"),
    "infl": ("inflation", "% a year"),
    "realint": ("real interest rate", "% a year"),
}
"""Name and unit of each variable of the American economy, under statsmodels' column name."""

SERIES = ("co2", "elnino", "electrical", "macro")
"""The names that :func:`load_series` knows."""


def load_series(name: str) -> Series:
    """Load one of statsmodels' time series. It needs no network.

    ========== ====================================================== ============ ===== ===
    name       what                                                   from, to     T     I
    ========== ====================================================== ============ ===== ===
    co2        weekly carbon dioxide in the air of Mauna Loa, Hawaii  1958 to 2001 2284  1
    elnino     monthly sea surface temperature, Pacific off Peru      1950 to 2010 732   1
    electrical monthly turnover of electrical industry, euro area     1995 to 2016 257   1
    macro      quarterly economy of the United States                 1959 to 2009 203   12
    ========== ====================================================== ============ ===== ===

    59 weeks of ``co2`` were not measured. They are filled in by linear interpolation, and
    ``measured`` is False there. Interpolation looks at later weeks, so leave these steps out of a
    score.

    The baseline predicts for each step the value of a year before (:func:`seasonal_naive`). On the
    last fifth of a series it is off by 1.65 ppmv (``co2``), 1.06 °C (``elnino``) and 2.95 points
    (``electrical``) on average. ``macro`` is seasonally adjusted: its naive forecast is the last
    value, ``period=1``, which is off by 0.25 points for unemployment one quarter ahead.

    Parameters
    ----------
    name
        One of :data:`SERIES`.

    Returns
    -------
    series
        Values float64 ``(T, I)``, dates ``(T,)``, names and units of the I variables, the number
        of steps in a year, and which steps were measured. :func:`seasonal_naive` is the baseline.

    Raises
    ------
    ImportError
        If statsmodels, which carries the data, is not installed.
    ValueError
        If the name is unknown.

    References
    ----------
    Keeling and Whorf (2004), "Atmospheric CO2 concentrations derived from flask air samples";
    NOAA, ERSST.V3B, Niño 1+2; Eurostat, total turnover index, NACE 26-27; Federal Reserve Bank of
    St. Louis, FRED.

    Examples
    --------
    >>> co2 = load_series("co2")
    >>> co2.values.shape, co2.units, co2.dates[0]
    ((2284, 1), ('ppmv',), np.datetime64('1958-03-29'))
    """
    check_choice("name", name, SERIES)
    table: Any = _table({"electrical": "elec_equip", "macro": "macrodata"}.get(name, name))
    if name == "co2":
        names, units, period = ("carbon dioxide",), ("ppmv",), 52
        dates = table.index.to_numpy()
    elif name == "elnino":
        names, units, period = ("sea surface temperature",), ("°C",), 12
        start = int(table.pop("YEAR").iloc[0])
        dates = np.datetime64(f"{start}-01") + np.arange(table.size)
    elif name == "electrical":
        names, units, period = ("turnover",), ("index",), 12
        dates = table.index.to_numpy()
    else:
        names, units = zip(*MACRO.values(), strict=True)
        period = 4
        dates = np.datetime64("1959-01") + 3 * np.arange(len(table))
        table = table[list(MACRO)]
    values = table.to_numpy(np.float64).reshape(-1, len(names))
    measured = ~np.isnan(values).any(axis=1)
    steps = np.arange(len(values))
    filled = [np.interp(steps, steps[measured], column[measured]) for column in values.T]
    return Series(
        np.stack(filled, axis=1), dates.astype("datetime64[D]"), names, units, period, measured
    )


PRICES = {"sp500": "S&P 500", "nasdaq": "NASDAQ Composite"}
"""The stock indices that :func:`load_prices` knows, and their full names."""


def load_prices(name: str = "sp500") -> Series:
    """Load the daily prices of an American stock index, which come with arch. It needs no network.

    A price is there for each day of trading, so the dates leave out weekends and holidays, and a
    step is a day of trading. Both indices run from January 4, 1999 to December 31, 2018, T = 5031
    days.

    The baseline is the random walk: tomorrow's close is today's (:func:`seasonal_naive` with
    ``period=1``). On the last fifth of the days, the close of ``sp500`` differs from it by 20.0
    points and its logarithm by 0.0086 (root mean square); that of ``nasdaq`` by 62.0 and 0.0103.

    Parameters
    ----------
    name
        One of :data:`PRICES`.

    Returns
    -------
    series
        Values float64 ``(T, 5)``: open, high, low and close in points of the index, and the volume
        in shares, which is 0 on the two days for which ``nasdaq`` has none. A period is 252 steps,
        the days of trading in a year.

    Raises
    ------
    ImportError
        If arch, which carries the data, is not installed.
    ValueError
        If the name is unknown.

    References
    ----------
    Sheppard, ``arch``, data sets ``sp500`` and ``nasdaq``.

    Examples
    --------
    >>> prices = load_prices("sp500")
    >>> close = prices.values[:, prices.names.index("close")]
    >>> prices.dates[-1], float(close[-1].round(2))
    (np.datetime64('2018-12-31'), 2506.85)
    """
    check_choice("name", name, PRICES)
    try:
        module = import_module(f"arch.data.{name}")
    except ImportError as error:
        raise ImportError(
            "load_prices: expected arch, which carries the data; install it with: pip install arch"
        ) from error
    columns = ("Open", "High", "Low", "Close", "Volume")
    table = module.load()
    values = table[list(columns)].to_numpy(np.float64)
    return Series(
        values,
        table.index.to_numpy().astype("datetime64[D]"),
        tuple(column.lower() for column in columns),
        ("points",) * 4 + ("shares",),
        252,
        np.ones(len(values), bool),
    )


def split_series(series: Series, *fractions: float) -> tuple[Series, ...]:
    """Cut a series into spans that follow each other in time: never shuffle a series.

    Parameters
    ----------
    series
        What to cut.
    fractions
        The share of each span but the last, which gets the rest.

    Returns
    -------
    spans
        One more than there are fractions.

    Raises
    ------
    ValueError
        If a span would be empty.

    Examples
    --------
    >>> dates = np.arange(np.datetime64("2000-01-01"), np.datetime64("2000-01-11"))
    >>> days = Series(np.zeros((10, 1)), dates, ("zero",), ("m",), 7, np.ones(10, bool))
    >>> [len(span.values) for span in split_series(days, 0.6, 0.2)]
    [6, 2, 2]
    """
    T = len(series.values)
    edges = np.array([0, *np.rint(T * np.cumsum(fractions)), T])
    if not (np.diff(edges) >= 1).all():
        raise ValueError(
            f"fractions: expected positive shares that leave steps for every span, got {fractions}"
        )
    return tuple(series.span(a, b) for a, b in pairwise(edges.astype(int).tolist()))


def seasonal_naive(history: ArrayLike, period: int, horizon: int) -> NDArray[np.float64]:
    """Forecast that each season repeats as it was one period ago.

    With a period of 1 it is the last value forever.

    Parameters
    ----------
    history
        What is known, ``(T,)`` or ``(T, I)``, T at least ``period``.
    period
        Steps after which the season repeats.
    horizon
        How many steps to forecast.

    Returns
    -------
    forecast
        Float64 ``(horizon,)`` or ``(horizon, I)``.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or too small, or the history is shorter than a period.

    References
    ----------
    Hyndman and Athanasopoulos (2021), "Forecasting: principles and practice", section 5.2.

    Examples
    --------
    >>> seasonal_naive([1, 2, 3, 4, 5], period=3, horizon=4).tolist()
    [3.0, 4.0, 5.0, 3.0]
    """
    check_at_least("period", period, 1)
    check_at_least("horizon", horizon, 1)
    past = np.asarray(history, np.float64)
    if past.ndim not in (1, 2) or len(past) < period:
        raise ValueError(
            f"history: expected (T,) or (T, I) with T of at least period = {period}, "
            f"got shape {past.shape}"
        )
    return past[len(past) - period + np.arange(horizon) % period]


def _table(name: str) -> object:
    """Return one of statsmodels' tables."""
    try:
        module = import_module(f"statsmodels.datasets.{name}")
    except ImportError as error:
        raise ImportError(
            "load_series: expected statsmodels, which carries the data; "
            "install it with: pip install statsmodels"
        ) from error
    return module.load_pandas().data
