"""Fixtures and settings for all tests."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# The same examples at every run, and no complaint when a shared machine is slow.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def rng() -> np.random.Generator:
    """Return NumPy random numbers that are the same at every run."""
    return np.random.default_rng(0)


@pytest.fixture
def root() -> Path:
    """Return the folder of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture
def none() -> Callable[[Iterable[str]], None]:
    """Return a function that fails with the problems it is given, and passes without any."""

    def expect_none(problems: Iterable[str]) -> None:
        lines = list(problems)
        if lines:
            pytest.fail("\n".join(lines), pytrace=False)

    return expect_none
