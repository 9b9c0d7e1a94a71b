"""What a submission changes in a library is changed back, and named."""

import sys
import types

import pytest

from rnncourse.grading import guard

SOURCE = """
limit = 5

def double(x):
    return 2 * x

class Net:
    def forward(self):
        return 1
"""


@pytest.fixture
def library(monkeypatch):
    """A small library, watched."""
    module = types.ModuleType("small_library")
    exec(SOURCE, module.__dict__)
    monkeypatch.setitem(sys.modules, "small_library", module)
    monkeypatch.setattr(guard, "_seen", [])
    monkeypatch.setattr(guard, "_code", [])
    guard.watch("small_library")
    return module


def test_untouched_is_silent(library):
    library.mine = 3  # a new name does no harm
    assert guard.restore() == []


def test_changes_are_taken_back_and_named(library):
    library.double = lambda x: 0
    library.Net.forward = lambda self: 0
    del library.limit
    assert guard.restore() == [
        "small_library.limit",
        "small_library.double",
        "small_library.Net.forward",
    ]
    assert (library.double(2), library.Net().forward(), library.limit) == (4, 1, 5)
    assert guard.restore() == []


def test_new_code_in_an_old_function(library):
    library.double.__code__ = (lambda x: 0).__code__
    assert guard.restore() == ["small_library.double"]
    assert library.double(2) == 4


def test_a_fake_module_is_thrown_out(library):
    sys.modules["small_library"] = types.ModuleType("fake")
    guard.restore()
    assert sys.modules["small_library"] is library


def test_the_course_is_watched_as_a_whole(monkeypatch):
    monkeypatch.setattr(guard, "_seen", [])
    monkeypatch.setattr(guard, "_code", [])
    from rnncourse.reference import RNN

    guard.watch("rnncourse.reference")
    RNN.forward = None  # hides what the class inherits
    assert "rnncourse.reference.rnn.RNN.forward" in guard.restore()
    assert "forward" not in vars(RNN)
