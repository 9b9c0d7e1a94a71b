"""Runs that are too long for a notebook: one file per experiment, and its table beside it.

:func:`table` gives a notebook the rows. ``make experiments`` fills the tables, and
:mod:`rnncourse.experiments.machine` says what an experiment's file contains.
"""

from typing import TYPE_CHECKING

from rnncourse.experiments.machine import HERE, ExperimentError, names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExperimentError", "names", "table"]


def table(name: str) -> "pd.DataFrame":
    """Return the table of an experiment, one row per run.

    Parameters
    ----------
    name
        Name of the experiment: its file, without the ending.

    Returns
    -------
    rows
        The settings, the seed, the figures, and where and when the run was made. A figure that a
        run does not have is NaN.

    Raises
    ------
    ExperimentError
        If there is no experiment of this name, or it has no table yet.

    Examples
    --------
    >>> rows = table("adding_start")
    >>> sorted(rows["start"].unique())[:2]
    ['PyTorch', 'Xavier']
    """
    import pandas as pd  # not needed where runs are done

    known = names()
    if name not in known:
        raise ExperimentError(f"name: expected one of {known}, got {name!r}")
    path = HERE / f"{name}.csv"
    if not path.exists():
        raise ExperimentError(f"{name}: there is no table; run `make experiments ONLY={name}`")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])
