import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.reference import check_gradients, layer_norm, layer_norm_backward


@given(st.integers(1, 4), st.integers(1, 3), st.integers(2, 6), st.integers(0, 999))
def test_gradients(T, B, F, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(2, T, B, F))
    gain, bias = rng.normal(size=(2, F))
    y, *kept = layer_norm(x, gain, bias, eps=0.1)
    np.testing.assert_allclose(((y - bias) / gain).mean(-1), 0, atol=1e-9)
    values = {"x": x, "gain": gain, "bias": bias}
    grads = dict(zip(values, layer_norm_backward(w, *kept, gain), strict=True))
    errors = check_gradients(
        lambda: float((layer_norm(x, gain, bias, eps=0.1)[0] * w).sum()), values, grads
    )
    scale = max(np.abs(g).max() for g in grads.values())
    for name, error in errors.items():
        assert error < 1e-6 or error * np.abs(grads[name]).max() < 1e-8 * scale, (name, error)


def test_bad_input():
    x = np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"gain: expected shape \(3,\), got \(4,\)"):
        layer_norm(x, np.zeros(4), np.zeros(3))
    with pytest.raises(ValueError, match=r"bias: expected shape \(3,\), got \(4,\)"):
        layer_norm(x, np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match=r"dy: expected shape \(4, 3\), got \(3, 4\)"):
        layer_norm_backward(x.T, x, x[:, :1], np.zeros(3))
    with pytest.raises(ValueError, match=r"gain: expected 1 axes \(3,\), got 0 axes"):
        layer_norm_backward(x, x, x[:, :1], np.array(1.0))
    with pytest.raises(ValueError, match=r"x: expected 1 axes \(F,\), got 0 axes"):
        layer_norm(np.array(1.0), np.zeros(3), np.zeros(3))
    with pytest.raises(TypeError, match=r"x: expected numpy\.ndarray, got list"):
        layer_norm([1.0], np.zeros(1), np.zeros(1))
    with pytest.raises(TypeError, match=r"x_hat: expected numpy\.ndarray, got list"):
        layer_norm_backward(x, x.tolist(), x[:, :1], np.zeros(3))
    with pytest.raises(TypeError, match=r"dy: expected numpy\.ndarray, got list"):
        layer_norm_backward(x.tolist(), x, x[:, :1], np.zeros(3))
