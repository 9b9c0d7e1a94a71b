import numpy as np
import pytest

from rnncourse.reference import check_gradients, numerical_gradient, relative_error


def test_numerical_gradient_of_a_cubic_and_the_array_is_restored():
    a = np.array([[1.0, -2.0], [0.5, 3.0]])
    kept = a.copy()
    got = numerical_gradient(lambda: float((a**3).sum()), a)
    np.testing.assert_allclose(got, 3 * a**2, rtol=1e-8)
    np.testing.assert_array_equal(a, kept)


def test_a_wrong_gradient_is_found():
    w = np.array([1.0, 2.0])
    errors = check_gradients(lambda: float((w**2).sum()), {"w": w}, {"w": 2 * w + [0, 0.1]})
    assert errors["w"] > 0.01


def test_relative_error():
    assert relative_error(np.zeros(3), np.zeros(3)) == 0
    assert relative_error(np.zeros(0), np.zeros(0)) == 0
    assert relative_error(np.ones(3), np.zeros(3)) == 1
    assert np.isnan(relative_error(np.array([np.nan]), np.ones(1)))
    with pytest.raises(ValueError, match=r"b: expected shape \(3,\) as a has, got \(2,\)"):
        relative_error(np.ones(3), np.ones(2))


def test_the_array_is_restored_when_the_function_raises():
    a = np.array([1.0, 2.0])
    with pytest.raises(ZeroDivisionError):
        numerical_gradient(lambda: 1 / 0, a)
    np.testing.assert_array_equal(a, [1, 2])


def test_a_gradient_whose_array_is_not_given_is_not_checked():
    w = np.array([3.0])
    errors = check_gradients(lambda: float(w[0] ** 2), {"w": w}, {"w": 2 * w, "v": w})
    assert errors.keys() == {"w"}


ONES = np.ones(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: numerical_gradient(float, ONES.astype(np.float32)),
            TypeError,
            "a: expected dtype float64, got float32",
        ),
        (lambda: numerical_gradient(float, [1.0]), TypeError, "a: expected numpy.ndarray, got lis"),
        (lambda: numerical_gradient(float, ONES, 0), ValueError, "eps: expected a number above 0"),
        (
            lambda: check_gradients(float, {"w": ONES}, {"v": ONES}),
            KeyError,
            r"grads: expected the names \['w'\], got \['v'\]",
        ),
        (
            lambda: check_gradients(float, {"w": ONES}, {"w": np.ones((1, 2))}),
            ValueError,
            r"grads\['w'\]: expected 1 axes \(2,\), got 2 axes \(1, 2\)",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
