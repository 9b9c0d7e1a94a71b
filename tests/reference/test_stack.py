"""The recurrent models: gradients, invariants, errors. Agreement with PyTorch: tests/torch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.reference import GRU, LSTM, RNN, check_gradients, gru, relative_error
from rnncourse.reference.stack import turn

MODELS = {
    "RNN tanh": (RNN, {}),
    "RNN relu": (RNN, {"nonlinearity": "relu"}),
    "LSTM": (LSTM, {}),
    "LSTM with peepholes": (LSTM, {"peepholes": True}),
    "GRU": (GRU, {}),
    "GRU, reset before": (GRU, {"reset_after": False}),
}
SHAPES = {
    "model": st.sampled_from(sorted(MODELS)),
    "T": st.integers(1, 6),
    "B": st.integers(1, 4),
    "I": st.integers(1, 4),
    "H": st.integers(1, 4),
    "layers": st.integers(1, 2),
    "bidirectional": st.booleans(),
    "padded": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
}


def make(model, I, H, layers=1, bidirectional=False, **more):
    cls, options = MODELS[model]
    return cls(I, H, layers, bidirectional=bidirectional, **options, **more)


def parts(state):
    """Return the arrays of a state: one, or two for an LSTM."""
    return list(state) if isinstance(state, tuple) else [state]


def state_of(model, arrays):
    return tuple(arrays) if model.startswith("LSTM") else arrays[0]


@given(**SHAPES)
def test_every_gradient_agrees_with_central_differences(
    model, T, B, I, H, layers, bidirectional, padded, seed
):
    rng = np.random.default_rng(seed)
    net = make(model, I, H, layers, bidirectional, rng=rng)
    x = rng.standard_normal((T, B, I))
    lengths = rng.integers(1, T + 1, B) if padded else None
    rows = layers * (1 + bidirectional)
    s0 = state_of(model, rng.normal(size=(2, rows, B, H)))
    w_n = state_of(model, rng.normal(size=(2, rows, B, H)))
    w_out = rng.normal(size=(T, B, H * (1 + bidirectional)))

    active = set()  # which units are above zero, in each call

    def loss():
        out, s_n = net.forward(x, s0, lengths)
        active.add(b"".join((kept[1] > 0).tobytes() for kept in net._kept))
        ends = zip(parts(s_n), parts(w_n), strict=True)
        return float((out * w_out).sum() + sum((s * w).sum() for s, w in ends))

    loss()
    dx, ds0 = net.backward(w_out, w_n)
    values = net.params | {"x": x} | {f"s0[{i}]": s for i, s in enumerate(parts(s0))}
    grads = net.grads | {"x": dx} | {f"s0[{i}]": s for i, s in enumerate(parts(ds0))}
    errors = check_gradients(loss, values, grads, eps=1e-5)
    if model == "RNN relu" and len(active) > 1:
        return  # a difference across the kink at zero measures no slope
    # A true gradient that is nearly zero leaves only rounding to compare with.
    scale = max(np.abs(g).max() for g in grads.values())
    for name, error in errors.items():
        assert error < 1e-6 or error * np.abs(grads[name]).max() < 1e-8 * scale, (name, error)


@given(model=SHAPES["model"], T=st.integers(1, 8), seed=st.integers(0, 999), both=st.booleans())
def test_padding_is_invisible(model, T, seed, both):
    rng = np.random.default_rng(seed)
    net = make(model, 3, 4, 2, both, rng=rng)
    B = 3
    lengths = rng.integers(1, T + 1, B)
    x = rng.normal(size=(T, B, 3))
    for b, n in enumerate(lengths):
        x[n:, b] = np.nan
    out, s_n = net.forward(x, lengths=lengths)
    g = rng.normal(size=out.shape)
    g_n = state_of(model, rng.normal(size=(2, 2 * (1 + both), B, 4)))
    dx, _ = net.backward(g, g_n)
    assert np.isfinite(out).all()
    assert np.isfinite(dx).all()
    alone_grads = dict.fromkeys(net.params, 0.0)
    together = net.grads.copy()
    for b, n in enumerate(lengths):
        one, one_n = net.forward(x[:n, b : b + 1])
        dx1, _ = net.backward(
            g[:n, b : b + 1], state_of(model, [d[:, b : b + 1] for d in parts(g_n)])
        )
        assert relative_error(out[:n, b : b + 1], one) < 1e-12
        for s, s1 in zip(parts(s_n), parts(one_n), strict=True):
            assert relative_error(s[:, b : b + 1], s1) < 1e-12
        assert relative_error(dx[:n, b : b + 1], dx1) < 1e-12
        assert (out[n:, b] == 0).all()
        assert (dx[n:, b] == 0).all()
        alone_grads = {k: v + net.grads[k] for k, v in alone_grads.items()}
    scale = max(np.abs(v).max() for v in alone_grads.values())
    for name, g1 in together.items():
        assert np.abs(g1 - alone_grads[name]).max() < 1e-11 * scale


def test_turning_reverses_each_sequence_and_leaves_its_padding():
    a = np.arange(10).reshape(5, 2, 1)
    turned = turn(a, np.array([3, 5]))
    assert turned[:, 0, 0].tolist() == [4, 2, 0, 6, 8]
    assert turned[:, 1, 0].tolist() == [9, 7, 5, 3, 1]
    np.testing.assert_array_equal(turn(a, None), a[::-1])


def test_a_state_that_explodes_behind_the_end_stays_there():
    net = RNN(1, 1, nonlinearity="relu", dtype=np.float32, rng=np.random.default_rng(0))
    net.load_state_dict({k: np.full_like(v, 9) for k, v in net.params.items()})
    x = np.ones((200, 2, 1), np.float32)
    with np.errstate(over="ignore"):
        out, h_n = net.forward(x, lengths=[3, 2])
    dx, _ = net.backward(np.ones_like(out))
    alone, _ = net.forward(x[:3, :1])
    np.testing.assert_array_equal(out[:3, :1], alone)
    assert np.isfinite(h_n).all()
    assert np.isfinite(dx).all()
    assert all(np.isfinite(g).all() for g in net.grads.values())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays(model, dtype):
    net = make(model, 3, 4, 2, True, dtype=dtype, rng=np.random.default_rng(0))
    out, s_n = net.forward(np.ones((5, 2, 3), dtype), lengths=[5, 3])
    dx, ds0 = net.backward(out)
    arrays = [out, dx, *parts(s_n), *parts(ds0), *net.params.values(), *net.grads.values()]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}
    assert net.grads.keys() == net.params.keys()
    assert all(net.grads[k].shape == p.shape for k, p in net.params.items())


def test_the_output_is_a_copy():
    net = RNN(3, 4, rng=np.random.default_rng(0))
    out, _ = net.forward(X)
    grads = []
    for _ in range(2):
        net.backward(np.ones_like(out))
        grads.append(net.grads["weight_hh_l0"])
        out[:] = 7
    np.testing.assert_array_equal(*grads)


@pytest.mark.parametrize("model", MODELS)
def test_from_state_dict_reads_the_sizes(model):
    net = make(model, 3, 4, 2, True, dtype=np.float32, rng=np.random.default_rng(0))
    twin = type(net).from_state_dict(net.state_dict(), **MODELS[model][1])
    assert (twin.input_size, twin.hidden_size, twin.num_layers) == (3, 4, 2)
    x = np.ones((5, 2, 3), np.float32)
    np.testing.assert_array_equal(net.forward(x)[0], twin.forward(x)[0])
    with pytest.raises(KeyError, match=r"expected weight_ih_l0 and weight_hh_l0, got \['w'\]"):
        type(net).from_state_dict({"w": x})


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


STATE = RNN(2, 3, rng=np.random.default_rng(0)).state_dict()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight_ih_l0": np.zeros(3)}, ValueError, "weight_ih_l0: expected 2 axes .* got 1 axes"),
        ({"weight_hh_l0": np.zeros(3)}, ValueError, "weight_hh_l0: expected 2 axes .* got 1 axes"),
        ({"weight_ih_l0": np.ones((3, 2), int)}, TypeError, "weight_ih_l0: expected floating-poi"),
        ({"weight_ih_l0": np.ones((3, 2), complex)}, TypeError, "weight_ih_l0: expected real numb"),
        ({"bias_hh_l0": np.ones(3, complex)}, TypeError, "bias_hh_l0: expected real numbers, got"),
    ],
)
def test_a_bad_weight_is_named(change, error, message):
    with pytest.raises(error, match=message):
        RNN.from_state_dict(STATE | change)


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
        (
            lambda n: n.backward(n.forward(X)[0].astype(np.float32)),
            TypeError,
            "dout: expected dtype float64 .* got float32",
        ),
        (
            lambda n: n.backward(n.forward(X)[0], X),
            ValueError,
            r"dh_n: expected shape \(1, 2, 4\), got \(5, 2, 3\)",
        ),
    ],
)
def test_bad_input_names_argument_expected_and_got(call, error, message):
    with pytest.raises(error, match=message):
        call(RNN(3, 4, rng=np.random.default_rng(0)))


H0 = np.zeros((1, 2, 4))


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (H0, ValueError, r"h0: expected a tuple \(h0, c0\), got 1 array"),
        ((H0,), ValueError, r"h0: expected a tuple \(h0, c0\), got 1 array"),
        ((H0, X), ValueError, r"c0: expected shape \(1, 2, 4\), got \(5, 2, 3\)"),
        ((H0, H0.astype(int)), TypeError, "c0: expected dtype float64 .* got int64"),
    ],
)
def test_bad_state_of_an_lstm(state, error, message):
    with pytest.raises(error, match=message):
        LSTM(3, 4, rng=np.random.default_rng(0)).forward(X, state)


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


@pytest.mark.parametrize("cls", [RNN, LSTM, GRU])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": int}, "dtype: expected floating-point numbers, got int64"),
        ({"dtype": complex}, "dtype: expected floating-point numbers, got complex128"),
        ({"rng": 0}, "rng: expected numpy.Generator, got int"),
        ({"rng": None}, "rng: expected numpy.Generator, got NoneType"),
    ],
)
def test_bad_dtype_or_generator(cls, options, message):
    with pytest.raises(TypeError, match=message):
        cls(3, 4, **({"rng": np.random.default_rng(0)} | options))


@pytest.mark.parametrize("cls", [RNN, LSTM, GRU])
def test_weights_start_evenly_spread_below_one_over_the_root_of_their_number(cls, rng):
    net = cls(30, 100, rng=rng)
    assert net.directions == [""]
    assert net.num_layers == 1
    for name, w in net.params.items():
        assert np.abs(w).max() <= 0.1, name
        if w.size > 1000:
            assert np.abs(w).max() == pytest.approx(0.1, rel=0.01)
            assert w.std() == pytest.approx(0.1 / 3**0.5, rel=0.05)
            assert abs(w.mean()) < 0.005


def test_the_reset_comes_after_the_product_unless_told_otherwise(rng):
    x, h0 = rng.normal(size=(3, 2, 4)), rng.normal(size=(2, 5))
    shapes = ((15, 4), (15, 5), (15,), (15,))
    W_ih, W_hh, b_ih, b_hh = (rng.normal(size=shape) for shape in shapes)
    found = gru.forward(x, h0, W_ih, W_hh, b_ih, b_hh)
    for after, same in ((True, True), (False, False)):
        told = gru.forward(x, h0, W_ih, W_hh, b_ih, b_hh, after)
        assert np.array_equal(found[0], told[0]) == same
    dh = rng.normal(size=(3, 2, 5))
    grads = gru.backward(dh, x, *found, W_ih, W_hh)
    for after, same in ((True, True), (False, False)):
        told = gru.backward(dh, x, *found, W_ih, W_hh, after)
        assert np.array_equal(grads[0], told[0]) == same
