"""The NumPy RNN: its gradients, its invariants, its errors. Agreement with PyTorch: tests/torch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.reference import RNN, check_gradients, relative_error

SHAPES = {
    "T": st.integers(1, 7),
    "B": st.integers(1, 4),
    "I": st.integers(1, 4),
    "H": st.integers(1, 5),
    "layers": st.integers(1, 3),
    "bidirectional": st.booleans(),
    "nonlinearity": st.sampled_from(["tanh", "relu"]),
    "padded": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
}


@given(**SHAPES)
def test_every_gradient_agrees_with_central_differences(
    T, B, I, H, layers, bidirectional, nonlinearity, padded, seed
):
    rng = np.random.default_rng(seed)
    net = RNN(I, H, layers, nonlinearity, bidirectional, rng=rng)
    x = rng.normal(size=(T, B, I))
    lengths = rng.integers(1, T + 1, B) if padded else None
    rows = layers * (1 + bidirectional)
    h0 = rng.normal(size=(rows, B, H))
    w_out, w_n = rng.normal(size=(T, B, H * (1 + bidirectional))), rng.normal(size=(rows, B, H))

    active = set()  # which units are above zero, in each call

    def loss():
        out, h_n = net.forward(x, h0, lengths)
        active.add(b"".join((h > 0).tobytes() for _, h in net._kept))
        return float((out * w_out).sum() + (h_n * w_n).sum())

    loss()
    dx, dh0 = net.backward(w_out, w_n)
    values = net.params | {"x": x, "h0": h0}
    grads = net.grads | {"x": dx, "h0": dh0}
    errors = check_gradients(loss, values, grads, eps=1e-5)
    if nonlinearity == "relu" and len(active) > 1:
        return  # a difference across the kink at zero measures no slope
    # A true gradient that is nearly zero leaves only rounding to compare with.
    scale = max(np.abs(g).max() for g in grads.values())
    for name, error in errors.items():
        assert error < 1e-6 or error * np.abs(grads[name]).max() < 1e-8 * scale, (name, error)


@given(T=st.integers(1, 8), seed=st.integers(0, 999), both=st.booleans())
def test_padding_is_invisible(T, seed, both):
    rng = np.random.default_rng(seed)
    net = RNN(3, 4, 2, bidirectional=both, rng=rng)
    B = 3
    lengths = rng.integers(1, T + 1, B)
    x = rng.normal(size=(T, B, 3))
    for b, n in enumerate(lengths):
        x[n:, b] = np.nan
    out, h_n = net.forward(x, lengths=lengths)
    g = rng.normal(size=out.shape)
    dx, _ = net.backward(g)
    assert np.isfinite(out).all()
    assert np.isfinite(dx).all()
    alone_grads = dict.fromkeys(net.params, 0.0)
    together = net.grads.copy()
    for b, n in enumerate(lengths):
        one, one_n = net.forward(x[:n, b : b + 1])
        dx1, _ = net.backward(g[:n, b : b + 1])
        assert relative_error(out[:n, b : b + 1], one) < 1e-12
        assert relative_error(h_n[:, b : b + 1], one_n) < 1e-12
        assert relative_error(dx[:n, b : b + 1], dx1) < 1e-12
        assert (out[n:, b] == 0).all()
        assert (dx[n:, b] == 0).all()
        alone_grads = {k: v + net.grads[k] for k, v in alone_grads.items()}
    for name, g1 in together.items():
        assert relative_error(g1, alone_grads[name]) < 1e-11


def test_state_dict_is_a_copy_and_refuses_what_does_not_fit():
    rng = np.random.default_rng(0)
    net = RNN(2, 3, rng=rng)
    state = net.state_dict()
    state["bias_ih_l0"][:] = 7
    assert not (net.params["bias_ih_l0"] == 7).any()
    net.load_state_dict(state)
    assert (net.params["bias_ih_l0"] == 7).all()
    with pytest.raises(KeyError, match="bias_hh_l0"):
        net.load_state_dict({k: v for k, v in state.items() if k != "bias_hh_l0"})
    state["weight_ih_l0"] = np.zeros((3, 9))
    state["bias_ih_l0"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"weight_ih_l0: expected shape \(3, 2\), got \(3, 9\)"):
        net.load_state_dict(state)
    assert (net.params["bias_ih_l0"] == 7).all(), "a refused state must change nothing"


X = np.zeros((5, 2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n: n.forward(X[0]), ValueError, r"x: expected 3 axes \(T, B, 3\), got 2 axes"),
        (lambda n: n.forward(X[..., :2]), ValueError, r"x: expected shape \(T, B, 3\), got"),
        (lambda n: n.forward(X[:0]), ValueError, r"x: expected T of at least 1 .* got \(0, 2, 3\)"),
        (lambda n: n.forward(X.astype(int)), TypeError, "x: expected dtype float64 .* got int64"),
        (lambda n: n.forward(X, X), ValueError, r"h0: expected shape \(1, 2, 4\), got"),
        (
            lambda n: n.forward(X, lengths=[5, 6]),
            ValueError,
            r"lengths\[1\]: expected at most T = 5",
        ),
        (lambda n: n.forward(X, lengths=[0, 5]), ValueError, r"lengths\[0\]: expected at least 1"),
        (lambda n: n.forward(X, lengths=[5]), ValueError, r"lengths: expected shape \(2,\), got"),
        (lambda n: n.forward(X, lengths=[1.5, 2]), TypeError, r"lengths\[0\]: expected a whole"),
        (lambda n: n.backward(X), RuntimeError, "expected a call of forward"),
        (
            lambda n: (n.forward(X), n.backward(X)),
            ValueError,
            r"dout: expected shape \(5, 2, 4\), got \(5, 2, 3\)",
        ),
    ],
)
def test_bad_input_names_argument_expected_and_got(call, error, message):
    with pytest.raises(error, match=message):
        call(RNN(3, 4, rng=np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((0, 4), "input_size: expected at least 1, got 0"),
        ((3, 4, 0), "num_layers: expected at least 1, got 0"),
        ((3, 4, 1, "gelu"), "nonlinearity: expected 'tanh' or 'relu', got 'gelu'"),
    ],
)
def test_bad_constructor_arguments(args, message):
    with pytest.raises(ValueError, match=message):
        RNN(*args, rng=np.random.default_rng(0))
