"""Plain data goes through the door as it is; nothing else does."""

import collections
import contextlib
import os
import socket
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rnncourse.grading.door import LARGEST, Door, DoorError, Handle, Raised

SUBMISSION = """
import collections
import enum

import numpy as np
import torch

class Yes(int):
    def __eq__(self, other):
        return True
    __hash__ = int.__hash__

class Color(enum.IntEnum):
    RED = 3

class Own:
    pass

Pair = collections.namedtuple("Pair", "a b")
own = Own()

def same(x):
    return x

def fill(x, value):
    x[...] = value

def append(x):
    x.append(4)
    return x

def fail(x):
    raise KeyError("no such word")

def is_own(x):
    return x is own

def is_tensor(x):
    return isinstance(x, torch.Tensor)

def counted(n):
    for i in range(n):
        yield i
"""


@contextlib.contextmanager
def behind(names):
    """Open a door with these names behind it."""
    here, there = socket.socketpair()
    thread = threading.Thread(target=Door(there, names).serve, daemon=True)
    thread.start()
    with here, there:
        door = Door(here)
        yield door
        door.end()
        thread.join(5)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def submission():
    """A door with the names of a submission behind it."""
    names = {}
    exec(SUBMISSION, names)
    with behind(names) as door:
        yield door


def same(a, b):
    if isinstance(a, np.ndarray | np.generic):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return type(b) is dict and same(list(a), list(b)) and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and (a == b or (a != a and b != b))


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.complex_numbers(allow_nan=False)
    | arrays.arrays(
        st.sampled_from(["f8", "f4", "i8", "?", "c16", "u1"]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    )
)
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.tuples(v, v) | st.dictionaries(st.text(), v)
)


@settings(max_examples=50)
@given(values)
def test_plain_data_comes_back_as_it_went(submission, value):
    assert same(value, submission.get("same")(value))


@pytest.mark.parametrize(
    "value", [{1, 2}, frozenset("ab"), range(2, 9, 3), {(0, 1): [2]}, np.float32(1.5), b"\xff"]
)
def test_other_containers_come_back_too(submission, value):
    back = submission.get("same")(value)
    assert back == value
    assert type(back) is type(value)


def test_a_name_that_is_not_there_is_a_key_error(submission):
    with pytest.raises(KeyError, match="nothing_of_this_name"):
        submission.get("nothing_of_this_name")


def test_what_a_call_changes_in_its_arguments_is_changed_here(submission):
    array, numbers = np.zeros((2, 3)), [1, [2, 3]]
    view = array[1]
    assert submission.get("fill")(view, 7.0) is None
    np.testing.assert_array_equal(array, [[0, 0, 0], [7, 7, 7]])
    inner = numbers[1]
    assert submission.get("append")(inner) == [2, 3, 4]
    assert numbers == [1, [2, 3, 4]]


def test_what_a_call_draws_is_drawn_here(submission):
    mine, other = np.random.default_rng(3), np.random.default_rng(3)
    draw = submission.get("same")(mine)
    assert draw.normal() == other.normal()
    with behind({"draw": lambda rng: rng.normal()}) as door:
        assert door.get("draw")(mine) == np.random.default_rng(3).normal()
    assert mine.normal() == other.normal()  # the second number now


def test_an_exception_says_what_and_nothing_of_this_side(submission):
    with pytest.raises(Raised, match="KeyError: 'no such word'") as caught:
        submission.get("fail")(1)
    assert caught.value.name == "KeyError"


def test_a_function_of_this_side_can_be_called_there(submission):
    calls = []

    def square(x):
        calls.append(x)
        return x * x

    def refuse():
        raise ValueError("not here")

    with behind({"twice": lambda f, x: f(f(x)), "catch": lambda f: f()}) as door:
        assert door.get("twice")(square, 3) == 81
        assert calls == [3, 9]
        with pytest.raises(Raised, match="not here"):
            door.get("catch")(refuse)


def test_what_is_not_plain_stays_and_comes_back_as_itself(submission):
    own = submission.get("own")
    assert isinstance(own, Handle)
    assert submission.get("is_own")(own) is True
    assert submission.get("is_own")([own]) is False
    with pytest.raises(TypeError, match="expected numbers, a text or a list, got Own"):
        np.asarray(own)
    with pytest.raises(AttributeError, match="Own: expected plain data"):
        own.secret  # noqa: B018


def test_a_tensor_can_be_read_and_is_still_a_tensor_there():
    held = {"t": torch.tensor([1.0, 2.0], requires_grad=True), "is_tensor": torch.is_tensor}
    with behind(held) as door:
        tensor = door.get("t")
        np.testing.assert_array_equal(np.asarray(tensor), [1, 2])
        np.testing.assert_array_equal(2 * tensor + np.ones(2), [3, 5])
        np.testing.assert_array_equal(np.ones(2) @ tensor, 3)
        assert tensor.shape == (2,)
        assert tensor[1] == 2
        assert len(tensor) == 2
        assert tensor.tolist() == [1.0, 2.0]
        assert door.get("is_tensor")(tensor) is True


def test_classes_of_its_own_cannot_compare_as_they_like():
    always = {"__eq__": lambda *a: True, "__hash__": lambda a: 0}
    names = {
        str(base): type("Yes", (base,), always)(value)
        for base, value in ((int, 5), (str, "no"), (float, 0.5))
    }
    with behind(names) as door:
        for base in (int, str, float):
            assert names[str(base)] == "anything"
            assert type(door.get(str(base))) is base


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.deque([1, 2]), [1, 2]),
        (collections.namedtuple("Pair", "a b")(1, 2), (1, 2)),
        ({"a": 1}.keys(), ["a"]),
        (map(str, [1, 2]), ["1", "2"]),
        (np.array([[1], [2, 3]], dtype=object), [[1], [2, 3]]),
    ],
)
def test_other_containers_can_be_read(value, plain):
    with behind({"value": value}) as door:
        found = door.get("value")
    if isinstance(plain, dict):
        assert dict(found.items()) == plain
    else:
        assert [v.tolist() if hasattr(v, "tolist") else v for v in found] == list(plain)


class Liar:
    """The other end, when it does not speak the language."""

    def __init__(self, data):
        self.here, there = socket.socketpair()
        there.sendall(data)
        there.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        (LARGEST + 1).to_bytes(4, "big") + b"{}",
        b"\0\0\0\x09" + b"{}",
        b"\0\0\0\x02" + b"[]",
        b"\0\0\0\x03" + b"{]}",
        (200_001).to_bytes(4, "big") + b'{"value":' + b"[" * 199_992,
        b"\0\0\0\x17" + b'{"value":{"yours":1000}}'[:23],
        *(
            len(text).to_bytes(4, "big") + text
            for text in (
                b'{"value":{"array":["|O",[1],"AAAA"]}}',
                b'{"value":{"array":["<f8",[9],"AAAA"]}}',
                b'{"value":{"array":["<f8",[-1,-1],""]}}',
                b'{"value":{"pickle":"gASVAAAA"}}',
                b'{"value":{"yours":0}}',
                b'{"value":{"range":[1,2,3],"set":[]}}',
                b'{"value":{"dict":[[[1],2]]}}',
                b'{"value":{"generator":[1]}}',
                b"{}",
            )
        ),
    ],
)
def test_what_is_no_message_is_refused(data):
    door = Door(Liar(data).here)
    with pytest.raises((DoorError, EOFError, KeyError, BrokenPipeError)):
        door.get("x")


def test_a_file_of_this_side_cannot_be_asked_for():
    """The judge keeps nothing but the functions that a test has handed over."""
    here, there = socket.socketpair()
    judge = Door(here)
    secret = os.fspath(__file__)

    def attack():
        from rnncourse.grading import door as doors

        other = doors.Door(there)
        request = other._receive()
        other._send({"call": 0, "with": [[], {"dict": []}]})
        other._receive()
        assert request
        other._send({"value": {"yours": 0}})

    threading.Thread(target=attack, daemon=True).start()
    with pytest.raises(DoorError):
        judge.get(secret)
