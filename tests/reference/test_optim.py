import numpy as np
import pytest

from rnncourse.reference import LSTM, SGD, Adam, clip_by_norm, linear, linear_backward


def test_clipping(rng):
    grads = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]], np.float32)}
    assert clip_by_norm(grads, 10) == 5
    np.testing.assert_array_equal(grads["a"], [3, 0])
    assert clip_by_norm(grads, 0.5) == 5
    np.testing.assert_allclose(grads["a"], [0.3, 0])
    np.testing.assert_allclose(grads["b"], [[0.4]])
    assert grads["b"].dtype == np.float32


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.3, 0.9), lambda p: Adam(p, 1e-2)])
def test_an_lstm_learns_and_the_weights_change_in_place(make, rng):
    """The last output must be the sum of the first two inputs."""
    net = LSTM(1, 8, dtype=np.float32, rng=rng)
    x = rng.uniform(-1, 1, (5, 64, 1)).astype(np.float32)
    target = x[0] + x[1]
    params = net.params | {"W": np.zeros((1, 8), np.float32), "b": np.zeros(1, np.float32)}
    optimizer, losses = make(params), []
    for _ in range(150):
        out, _ = net.forward(x)
        error = linear(out[-1], params["W"], params["b"]) - target
        losses.append(float((error**2).mean()))
        dout = np.zeros_like(out)
        dout[-1], dW, db = linear_backward(2 * error / error.size, out[-1], params["W"])
        net.backward(dout)
        grads = net.grads | {"W": dW, "b": db}
        clip_by_norm(grads, 1.0)
        optimizer.step(grads)
    assert losses[-1] < 0.2 * losses[0]
    assert {p.dtype for p in params.values()} == {np.dtype(np.float32)}


def test_bad_input():
    w = {"w": np.ones(2)}
    with pytest.raises(ValueError, match="lr: expected a number above 0, got 0"):
        SGD(w, 0)
    with pytest.raises(ValueError, match="momentum: expected a number from 0 to below 1, got 1"):
        SGD(w, 0.1, 1)
    with pytest.raises(ValueError, match=r"betas\[1\]: expected a number from 0 to below 1, got 2"):
        Adam(w, betas=(0.9, 2))
    with pytest.raises(KeyError, match=r"grads: expected the names .*'w'.* differs in .*'v', 'w'"):
        Adam(w).step({"v": np.ones(2)})
    with pytest.raises(ValueError, match="max_norm: expected a number above 0, got nan"):
        clip_by_norm(w, float("nan"))
    with pytest.raises(ValueError, match="grads: expected finite gradients, got a norm of inf"):
        clip_by_norm({"w": np.array([np.inf])}, 1)
