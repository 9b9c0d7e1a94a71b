"""The checks that problem sets call: what passes, what fails, and what the student reads."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.grading import expect_close, expect_equal, expect_shape, student, variant

THREE = np.array([1.0, -2.0, 4.0])


@pytest.mark.parametrize(
    "got",
    [
        THREE,
        THREE.tolist(),
        tuple(THREE),
        THREE.astype(np.float32),
        torch.tensor(THREE, requires_grad=True),
        torch.tensor(THREE, dtype=torch.bfloat16),
        THREE + 0.003,  # a thousandth of the largest is 0.004
    ],
)
def test_any_form_of_the_right_numbers_passes(got):
    expect_close("x", got, THREE)
    expect_shape("x", got, (3,))


@pytest.mark.parametrize(
    ("got", "message"),
    [
        (THREE + 0.005, r"x: expected 1 at \[0\], got 1.005$"),
        ([1, -2, np.nan], r"x: expected 4 at \[2\], got nan: is something divided by zero"),
        ([1, -2, np.inf], r"x: expected 4 at \[2\], got inf: is something divided"),
        (None, r"x: expected numbers, got None: is a return missing\?"),
        ("abc", r"x: expected numbers, got str"),
        ([[1], [2, 3]], r"x: expected numbers, got list"),
        (THREE[None], r"x: expected shape \(3,\), got \(1, 3\)$"),
        (-THREE, r"x: expected 1 at \[0\], got -1: is the sign wrong\?$"),
    ],
)
def test_wrong_numbers_are_explained(got, message):
    with pytest.raises(AssertionError, match=message):
        expect_close(
            "x", got, THREE, hints={"is it twice?": 2 * THREE, "is the sign wrong?": -THREE}
        )


def test_one_number_has_no_place():
    with pytest.raises(AssertionError, match=r"^x: expected 2, got 3$"):
        expect_close("x", 3, 2)
    expect_close("x", np.float32(2), 2)
    expect_close("x", 0.0004, 0.0, atol=0.001)
    with pytest.raises(AssertionError):
        expect_close("x", 1e-6, 0.0)


@given(st.permutations(range(3)))
def test_a_wrong_order_of_axes_is_named(order):
    shape = (5, 2, 3)
    got = np.zeros([shape[i] for i in order])
    if tuple(order) == (0, 1, 2):
        expect_shape("h", got, shape, "T, B, H")
    else:
        letters = ", ".join("TBH"[i] for i in order)
        with pytest.raises(AssertionError, match=rf"is the order {letters}\?"):
            expect_shape("h", got, shape, "T, B, H")


def test_shape_without_a_known_order():
    with pytest.raises(AssertionError, match=r"h: expected shape \(T, B\) = \(2, 3\), got \(7,\)$"):
        expect_shape("h", np.zeros(7), (2, 3), "T, B")


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (3, 3),
        (np.int64(3), 3),
        (torch.tensor(3), 3),
        (3.0, 3),
        ((1, 2), [1, 2]),
        (np.array([1, 2]), [1, 2]),
        ([np.int64(1), [np.float64(2)]], [1, [2]]),
        (np.True_, True),
        ("ab", "ab"),
    ],
)
def test_equal_in_any_form(got, want):
    expect_equal("n", got, want)


@pytest.mark.parametrize(
    ("got", "want", "message"),
    [
        (4, 3, r"^n: expected 3, got 4: is one too many\?$"),
        (5, 3, r"^n: expected 3, got 5$"),
        (None, 3, r"got None: is a return missing\?"),
        (1, True, r"^n: expected True, got 1$"),
        ([1, 2], [2, 1], r"^n: expected \[2, 1\], got \[1, 2\]$"),
    ],
)
def test_unequal_is_explained(got, want, message):
    with pytest.raises(AssertionError, match=message):
        expect_equal("n", got, want, {"is one too many?": 4})


def test_variants_belong_to_a_student(monkeypatch):
    def numbers(name, question="q"):
        return variant(name, question).integers(10**6, size=5).tolist()

    assert numbers("ada") == numbers(" Ada ") != numbers("bob")
    assert numbers("ada") != numbers("ada", "r")
    assert student() == ""
    with pytest.raises(AssertionError, match="STUDENT: expected your user name, got an empty text"):
        variant(" ", "q")
    monkeypatch.setenv("RNNCOURSE_STUDENT", "ada")
    assert numbers("") == numbers("ada")
    with pytest.raises(AssertionError, match="expected 'ada', whose submission this is, got 'bob'"):
        variant("bob", "q")


def test_what_compares_as_it_likes_is_refused():
    class Yes(int):
        def __eq__(self, other):
            return True

        __hash__ = None

    class Always:
        def __eq__(self, other):
            return True

        __hash__ = None

    with pytest.raises(AssertionError, match="n: expected 3, got 1"):
        expect_equal("n", Yes(1), 3)
    with pytest.raises(AssertionError, match="expected a number, a text or a list, got Always"):
        expect_equal("n", [Always()], [3])
    with pytest.raises(AssertionError, match="expected numbers, got Always"):
        expect_close("n", Always(), 3)
