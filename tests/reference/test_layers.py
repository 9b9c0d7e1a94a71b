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


def test_bad_input():
    z = np.zeros((4, 3))
    with pytest.raises(ValueError, match="targets: expected classes 0 to 2, got 0 to 3"):
        softmax_cross_entropy(z, np.array([0, 1, 2, 3]))
    with pytest.raises(ValueError, match="mask: expected at least one true place"):
        softmax_cross_entropy(z, np.zeros(4, int), np.zeros(4, bool))
    with pytest.raises(ValueError, match=r"targets: expected shape \(4,\), got \(3,\)"):
        softmax_cross_entropy(z, np.zeros(3, int))
    with pytest.raises(ValueError, match=r"W: expected shape \(O, 3\), got \(2, 5\)"):
        linear(z, np.zeros((2, 5)), np.zeros(2))
    with pytest.raises(ValueError, match=r"dy: expected shape \(4, 2\), got \(4, 3\)"):
        linear_backward(z, z, np.zeros((2, 3)))
