import pytest

from rnncourse.checks import check_at_least, check_choice, check_dtype, check_lengths, check_shape


def test_what_is_right_passes():
    check_shape("x", (5, 2, 3), ("T", "B", 3))
    check_dtype("x", float, float)
    check_choice("f", "tanh", ("tanh", "relu"))
    check_at_least("n", 3, 3)
    check_lengths([1, 5], 5, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: check_shape("x", (3,), ("N", 3)),
            ValueError,
            r"x: expected 2 axes \(N, 3\), got 1",
        ),
        (lambda: check_shape("b", (4,), (3,)), ValueError, r"b: expected shape \(3,\), got \(4,\)"),
        (lambda: check_shape("x", (0,), ("T",)), ValueError, r"x: expected T of at least 1"),
        (lambda: check_dtype("x", int, float), TypeError, "x: expected dtype .*float.* got .*int"),
        (lambda: check_choice("f", "a", ("b", "c")), ValueError, "f: expected 'b' or 'c', got 'a'"),
        (lambda: check_at_least("n", 2, 3), ValueError, "n: expected at least 3, got 2"),
        (
            lambda: check_at_least("n", 2.0, 1),
            TypeError,
            "n: expected a whole number, got float 2.0",
        ),
        (lambda: check_at_least("n", True, 1), TypeError, "n: expected a whole number, got bool"),
        (lambda: check_lengths([1], 5, 2), ValueError, "lengths: expected 2 lengths"),
        (lambda: check_lengths([1, 6], 5, 2), ValueError, r"lengths\[1\]: expected at most T = 5"),
        (lambda: check_lengths([0, 5], 5, 2), ValueError, r"lengths\[0\]: expected at least 1"),
    ],
)
def test_what_is_wrong_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
