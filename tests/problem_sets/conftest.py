"""One look at the gradebook's version for all courses that the tests make."""

from functools import cache

import nbgrader.api
import pytest


@pytest.fixture(scope="session", autouse=True)
def version_of_the_gradebook():
    """nbgrader starts a program to ask for it, seconds each time; it is always the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nbgrader.api, "get_alembic_version", cache(nbgrader.api.get_alembic_version))
        yield
