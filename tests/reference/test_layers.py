import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.reference import (
    check_gradients,
    linear,
    linear_backward,
    softmax_cross_entropy,
)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(2, 6), st.integers(0))
def test_linear_and_loss_gradients(T, B, H, O, seed):
    rng = np.random.default_rng(seed)
    h, W, b = rng.normal(size=(T, B, H)), rng.normal(size=(O, H)), rng.normal(size=O)
    targets = rng.integers(0, O, (T, B))
    mask = rng.random((T, B)) < 0.7
    mask[0, 0] = True

    def loss():
        return softmax_cross_entropy(linear(h, W, b), targets, mask)[0]

    _, dy = softmax_cross_entropy(linear(h, W, b), targets, mask)
    assert (dy[~mask] == 0).all()
    dh, dW, db = linear_backward(dy, h, W)
    errors = check_gradients(loss, {"h": h, "W": W, "b": b}, {"h": dh, "W": dW, "b": db})
    for name, error in errors.items():
        scale = np.abs({"h": dh, "W": dW, "b": db}[name]).max()
        assert error < 1e-6 or error * scale < 1e-9, (name, error)


def test_the_loss_does_not_overflow_and_ignores_masked_places():
    logits = np.array([[1e4, 0.0], [0.0, 1e4], [np.nan, np.nan]])
    loss, d = softmax_cross_entropy(logits, np.array([0, 0, 99]), np.array([True, True, False]))
    assert loss == pytest.approx(5e3)
    np.testing.assert_array_equal(d[2], 0)


def test_targets_may_be_a_list():
    logits = np.array([[1.0, 2.0], [0.0, 5.0]])
    loss, d = softmax_cross_entropy(logits, np.array([0, 1]))
    loss_of_list, d_of_list = softmax_cross_entropy(logits, [0, 1])
    assert loss_of_list == loss
    np.testing.assert_array_equal(d_of_list, d)


Z, Y = np.zeros((4, 3)), np.zeros(4, int)
W = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: softmax_cross_entropy(Z, np.arange(4)),
            ValueError,
            "targets: expected numbers from 0 to 2, got 0 to 3",
        ),
        (
            lambda: softmax_cross_entropy(Z, Y, Y > 0),
            ValueError,
            "mask: expected at least one true place",
        ),
        (lambda: softmax_cross_entropy(Z, Y[:3]), ValueError, r"targets: expected shape \(4,\)"),
        (lambda: softmax_cross_entropy(Z, Y * 1.0), TypeError, "targets: expected whole numbers"),
        (lambda: softmax_cross_entropy(Z, Y > 0), TypeError, "targets: .*whole numbers, got bool"),
        (
            lambda: softmax_cross_entropy(np.array([[1, 2, 3]]), np.array([1])),
            TypeError,
            "logits: expected floating-point numbers, got int64",
        ),
        (lambda: softmax_cross_entropy(Z.tolist(), Y), TypeError, "logits: .*ndarray, got list"),
        (lambda: softmax_cross_entropy(np.array(1.0), 0), ValueError, r"logits: expected 1 axes"),
        (lambda: linear(Z, np.zeros((2, 5)), Y), ValueError, r"W: expected shape \(O, 3\), got"),
        (lambda: linear(Z.tolist(), W, W[:, 0]), TypeError, "h: expected numpy.ndarray, got list"),
        (
            lambda: linear(np.array(1.0), W, W[:, 0]),
            ValueError,
            r"h: expected 1 axes \(H,\), got 0",
        ),
        (lambda: linear(Z, W, [0.0, 0.0]), TypeError, "b: expected numpy.ndarray, got list"),
        (
            lambda: linear_backward(Z, Z, W),
            ValueError,
            r"dy: expected shape \(4, 2\), got \(4, 3\)",
        ),
        (lambda: linear_backward(Z, Z, W[0]), ValueError, "W: expected 2 axes"),
        (
            lambda: softmax_cross_entropy(Z, Y, Y[:3] == 0),
            ValueError,
            r"mask: expected shape \(4,\)",
        ),
        (lambda: linear_backward(Z, [0.0], W), TypeError, "h: expected numpy.ndarray, got list"),
        (lambda: linear_backward([0.0], Z, W), TypeError, "dy: expected numpy.ndarray, got list"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
