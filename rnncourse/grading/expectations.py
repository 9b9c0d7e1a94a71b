"""Checks whose messages say what to look at, and numbers that differ from student to student.

Every check raises ``AssertionError`` with one line for the student: what was asked of which name,
what was expected, what came, and, where the mistake is a known one, its likely cause.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STUDENT = "RNNCOURSE_STUDENT"


def _array(name: str, got: object) -> NDArray[np.float64]:
    """Return ``got`` as float64, whatever it is: a list, an array or a tensor."""
    if got is None:
        raise AssertionError(f"{name}: expected numbers, got None: is a return missing?")
    if callable(detach := getattr(got, "detach", None)):  # a tensor, perhaps with a graph
        got = detach().cpu().double()
    try:
        return np.asarray(got, dtype=np.float64)
    except (TypeError, ValueError):
        raise AssertionError(f"{name}: expected numbers, got {type(got).__name__}") from None


def _text(shape: Sequence[object]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def expect_shape(name: str, got: object, shape: Sequence[int], axes: str = "") -> None:
    """Expect a shape.

    Parameters
    ----------
    name
        What is looked at, for the message.
    got
        A list, array or tensor.
    shape
        The shape expected.
    axes
        The letters of the axes, ``"T, B, H"``.

    Raises
    ------
    AssertionError
        If the shape is another.

    Examples
    --------
    >>> expect_shape("h", np.zeros((2, 5, 3)), (5, 2, 3), "T, B, H")
    Traceback (most recent call last):
        ...
    AssertionError: h: expected shape (T, B, H) = (5, 2, 3), got (2, 5, 3): is the order B, T, H?
    """
    found, shape = _array(name, got).shape, tuple(shape)
    if found == shape:
        return
    letters = [letter.strip() for letter in axes.split(",")] if axes else []
    wanted = f"({axes}) = {_text(shape)}" if len(letters) > 1 else _text(shape)
    orders = [order for order in permutations(range(len(shape))) if len(letters) == len(shape)]
    order = next((o for o in orders if tuple(shape[i] for i in o) == found), None)
    hint = f": is the order {', '.join(letters[i] for i in order)}?" if order else ""
    raise AssertionError(f"{name}: expected shape {wanted}, got {_text(found)}{hint}")


def expect_close(
    name: str,
    got: object,
    want: ArrayLike,
    axes: str = "",
    hints: Mapping[str, ArrayLike] | None = None,
    rtol: float = 1e-3,
    atol: float = 1e-9,
) -> None:
    """Expect numbers, up to rounding.

    Parameters
    ----------
    name
        What is looked at, for the message.
    got
        A list, array or tensor of any number type.
    want
        The right numbers.
    axes
        The letters of the axes, for the message about a wrong shape.
    hints
        What known mistakes give: ``{"is the bias missing?": numbers}``. When one of them fits,
        the message ends with it.
    rtol, atol
        How far off a number may be: ``rtol`` in units of the largest number of ``want`` (enough
        for float32, too little for a mistake), plus ``atol``.

    Raises
    ------
    AssertionError
        If the shape is another, or a number is too far off or not finite.

    Examples
    --------
    >>> expect_close("h", [0.1, 0.2], [0.1, 0.3], hints={"is the bias missing?": [0.1, 0.2]})
    Traceback (most recent call last):
        ...
    AssertionError: h: expected 0.3 at [1], got 0.2: is the bias missing?
    """
    right = _array(name, want)
    found = _array(name, got)
    expect_shape(name, found, right.shape, axes)
    tolerance = rtol * np.abs(right).max(initial=0.0) + atol
    wrong = ~(np.abs(found - right) <= tolerance)  # NaN is wrong
    if not wrong.any():
        return
    hint = "" if np.isfinite(found).all() else "is something divided by zero or too large?"
    for text, other in (hints or {}).items():
        guess = np.asarray(other, dtype=np.float64)
        if guess.shape == found.shape and bool((np.abs(found - guess) <= tolerance).all()):
            hint = text
            break
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    at = f" at [{', '.join(map(str, place))}]" if place else ""
    message = f"{name}: expected {right[place]:.5g}{at}, got {found[place]:.5g}"
    raise AssertionError(f"{message}: {hint}" if hint else message)


def expect_equal(
    name: str, got: object, want: object, hints: Mapping[str, object] | None = None
) -> None:
    """Expect a whole number, a text, a truth value, or a list of them.

    Parameters
    ----------
    name
        What is looked at, for the message.
    got
        What the student's code gave; an array or a tensor counts as the list of its entries.
    want
        What is right.
    hints
        What known mistakes give, as for `expect_close`.

    Raises
    ------
    AssertionError
        If the two differ.

    Examples
    --------
    >>> expect_equal("words", 9, 10, hints={"is the last one missing?": 9})
    Traceback (most recent call last):
        ...
    AssertionError: words: expected 10, got 9: is the last one missing?
    """
    found, right = _plain(name, got), _plain(name, want)
    if found == right and isinstance(found, bool) == isinstance(right, bool):
        return
    if got is None:
        raise AssertionError(f"{name}: expected {right!r}, got None: is a return missing?")
    hint = next((text for text, other in (hints or {}).items() if found == _plain(name, other)), "")
    message = f"{name}: expected {right!r}, got {found!r}"
    raise AssertionError(f"{message}: {hint}" if hint else message)


def _plain(name: str, value: object) -> object:
    """Return Python's own numbers, texts and lists: nothing that compares as it likes."""
    if callable(tolist := getattr(value, "tolist", None)):
        value = tolist()
    if isinstance(value, list | tuple):
        return [_plain(name, entry) for entry in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if value is None or type(value) in (bool, float, str, complex):
        return value
    raise AssertionError(f"{name}: expected a number, a text or a list, got {type(value).__name__}")


def student() -> str:
    """Return whose submission is graded: the grader says so; elsewhere it is empty."""
    return os.environ.get(_STUDENT, "")


def variant(name: str, question: str) -> np.random.Generator:
    """Return the random numbers of one student for one question.

    Two students get different numbers, and the same student the same ones on every machine.

    Parameters
    ----------
    name
        The student's user name. Capitals and spaces around it do not count. Where the grader runs,
        it may be empty.
    question
        The question, ``"03-personal"``.

    Raises
    ------
    AssertionError
        If the name is empty, or is not the one that the grader knows this submission by.

    Examples
    --------
    >>> int(variant("ada", "03-personal").integers(100))
    26
    """
    known = student().strip().lower()
    name = name.strip().lower() or known
    if not name:
        raise AssertionError("STUDENT: expected your user name, got an empty text")
    if known not in ("", name):
        raise AssertionError(f"STUDENT: expected {known!r}, whose submission this is, got {name!r}")
    digest = hashlib.sha256(f"{question}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
