"""Checks of arguments, shared by the NumPy and the PyTorch side.

Every message names the argument, what was expected and what was passed. The functions look only at
shapes and names, so they need neither library.
"""

from collections.abc import Iterable, Sequence


def check_shape(name: str, shape: Sequence[int], expected: Sequence[int | str]) -> None:
    """Check the shape of an array.

    Parameters
    ----------
    name
        The argument's name, for the message.
    shape
        The actual shape.
    expected
        One entry per axis: a number that must match, or a letter that stands for any size of at
        least one.

    Raises
    ------
    ValueError
        If the number of axes or the size of one of them is wrong.

    Examples
    --------
    >>> check_shape("x", (5, 2, 3), ("T", "B", 3))
    >>> check_shape("x", (5, 2, 3), ("T", "B", 4))
    Traceback (most recent call last):
        ...
    ValueError: x: expected shape (T, B, 4), got (5, 2, 3)
    """
    shape = tuple(shape)
    wanted = "(" + ", ".join(map(str, expected)) + ("," if len(expected) == 1 else "") + ")"
    if len(shape) != len(expected):
        raise ValueError(
            f"{name}: expected {len(expected)} axes {wanted}, got {len(shape)} axes {shape}"
        )
    for size, want in zip(shape, expected, strict=True):
        if isinstance(want, str) and size < 1:
            raise ValueError(f"{name}: expected {want} of at least 1 in {wanted}, got {shape}")
        if isinstance(want, int) and size != want:
            raise ValueError(f"{name}: expected shape {wanted}, got {shape}")


def check_type(name: str, value: object, kind: type) -> None:
    """Check that a value has a type, such as NumPy's array or generator, or PyTorch's tensor.

    Raises
    ------
    TypeError
        If it is not.

    Examples
    --------
    >>> check_type("tokens", [1, 2], dict)
    Traceback (most recent call last):
        ...
    TypeError: tokens: expected builtins.dict, got list
    """
    if not isinstance(value, kind):
        expected = f"{kind.__module__.split('.')[0]}.{kind.__name__}"
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}")


def check_dtype(name: str, got: object, expected: object) -> None:
    """Check that an array has the number type of the weights.

    Raises
    ------
    TypeError
        If the two differ.
    """
    if got != expected:
        raise TypeError(f"{name}: expected dtype {expected} as the weights have, got {got}")


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Check that a value is one of a few.

    Raises
    ------
    ValueError
        If it is not.
    """
    choices = list(choices)
    if value not in choices:
        expected = " or ".join(map(repr, choices))
        raise ValueError(f"{name}: expected {expected}, got {value!r}")


def check_at_least(name: str, value: int, least: int) -> None:
    """Check a whole number against its lower bound.

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If it is too small.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected a whole number, got {type(value).__name__} {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")


def check_lengths(lengths: Sequence[int], steps: int, batch: int | None = None) -> None:
    """Check the true lengths of a padded batch.

    Parameters
    ----------
    lengths
        One whole number per sequence.
    steps, batch
        The batch's T and B; any B if left out.

    Raises
    ------
    TypeError
        If a length is not a whole number.
    ValueError
        If there is not one length per sequence, or one is below 1 or above T.
    """
    if not hasattr(lengths, "__len__"):
        raise TypeError(f"lengths: expected one number per sequence, got {lengths!r}")
    if batch is not None and len(lengths) != batch:
        raise ValueError(f"lengths: expected {batch} lengths, one per sequence, got {len(lengths)}")
    for i, n in enumerate(lengths):
        check_at_least(f"lengths[{i}]", n, 1)
        if n > steps:
            raise ValueError(f"lengths[{i}]: expected at most T = {steps}, got {n}")
