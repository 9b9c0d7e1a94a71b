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


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.3, 0.9), Adam])
@pytest.mark.parametrize(
    ("grad", "error", "message"),
    [
        (np.ones((1, 3)), ValueError, r"grads\['b'\]: expected shape \(2, 3\), got \(1, 3\)"),
        (1.0, ValueError, r"grads\['b'\]: expected shape \(2, 3\), got \(\)"),
        (np.ones((2, 3), complex), TypeError, r"grads\['b'\]: expected floating.*got complex128"),
        (None, TypeError, r"grads\['b'\]: expected floating-point numbers, got object"),
    ],
)
def test_a_refused_gradient_moves_nothing(make, grad, error, message):
    params = {"a": np.zeros(2), "b": np.zeros((2, 3))}
    optimizer, untouched = make(params), make({k: p.copy() for k, p in params.items()})
    with pytest.raises(error, match=message):
        optimizer.step({"a": np.ones(2), "b": grad})
    assert not params["a"].any()
    right = {"a": np.ones(2), "b": np.ones((2, 3)).tolist()}
    optimizer.step(right)
    untouched.step(right)
    for name, p in params.items():
        np.testing.assert_array_equal(p, untouched.params[name])


def test_a_weight_without_axes_moves():
    """A gradient computed from it is a number of NumPy, not an array."""
    w = np.array(3.0)
    SGD({"w": w}, lr=0.1).step({"w": 2 * w})
    assert w == pytest.approx(2.4)


def read_only():
    a = np.ones(2)
    a.flags.writeable = False
    return {"w": a}


OK = {"w": np.ones(2)}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SGD(OK, 0), ValueError, "lr: expected a number above 0, got 0"),
        (lambda: SGD(OK, 0.1, 1), ValueError, "momentum: expected a number from 0 to below 1, got"),
        (
            lambda: Adam(OK, betas=(0.9, 2)),
            ValueError,
            r"betas\[1\]: expected a number from 0 to be",
        ),
        (lambda: Adam(OK, betas=(0.9, 0.9, 0.9)), ValueError, r"betas: expected shape \(2,\), got"),
        (lambda: Adam(OK, betas=0.9), ValueError, r"betas: expected 1 axes \(2,\), got 0 axes"),
        (lambda: Adam(OK, eps=-1), ValueError, "eps: expected a number of at least 0, got -1"),
        (
            lambda: Adam(OK).step({"v": np.ones(2)}),
            KeyError,
            r"grads: expected the names .*'w'.* differs in .*'v', 'w'",
        ),
        (lambda: SGD({"w": 3.0}, 0.1), TypeError, r"params\['w'\]: expected numpy.*, got float"),
        (lambda: Adam(OK, lr=0.0), ValueError, "lr: expected a number above 0, got 0"),
        (lambda: Adam({"w": [3.0]}), TypeError, r"params\['w'\]: expected numpy.*, got list"),
        (
            lambda: Adam({"w": np.ones(2, int)}),
            TypeError,
            r"params\['w'\]: expected floating-point numbers, got int64",
        ),
        (lambda: SGD(read_only(), 0.1), ValueError, r"params\['w'\]: expected an array to change"),
        (lambda: clip_by_norm(OK, float("nan")), ValueError, "max_norm: expected a number above 0"),
        (
            lambda: clip_by_norm({"w": np.array([np.inf])}, 1),
            ValueError,
            "grads: expected finite gradients, got a norm of inf",
        ),
        (
            lambda: clip_by_norm({"w": 6.0}, 1),
            TypeError,
            r"grads\['w'\]: expected numpy.*got float",
        ),
        (
            lambda: clip_by_norm(read_only(), 1),
            ValueError,
            r"grads\['w'\]: expected an array to ch",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
