import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.reference import (
    additive_attention,
    additive_attention_backward,
    check_gradients,
    dot_product_attention,
    dot_product_attention_backward,
)

KINDS = ["dot", "additive"]


def make(kind, rng, B, L, S):
    """Return arrays by name; queries and keys have different sizes where that is allowed."""
    E = {"dot": (3, 3), "additive": (3, 2)}[kind]
    shapes = {"q": (B, L, E[0]), "k": (B, S, E[1]), "v": (B, S, 4)}
    if kind == "additive":
        shapes |= {"W_q": (5, E[0]), "W_k": (5, E[1]), "w": (5,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def run(kind, values, mask, dout=None):
    """Return out and weights, and the gradients by name if ``dout`` is given."""
    if kind == "dot":
        out, weights = dot_product_attention(**values, mask=mask)
        back, kept = dot_product_attention_backward, [weights]
    else:
        out, weights, u = additive_attention(**values, mask=mask)
        back, kept = additive_attention_backward, [weights, u]
    if dout is None:
        return out, weights
    return out, weights, dict(zip(values, back(dout, *kept, **values, mask=mask), strict=True))


@given(
    kind=st.sampled_from(KINDS),
    sizes=st.tuples(*[st.integers(1, 4)] * 3),
    masked=st.booleans(),
    seed=st.integers(0, 999),
)
def test_gradients(kind, sizes, masked, seed):
    rng = np.random.default_rng(seed)
    B, L, S = sizes
    values = make(kind, rng, B, L, S)
    mask = rng.random((B, L, S)) < 0.6 if masked else None
    w = rng.normal(size=(B, L, 4))
    out, weights, grads = run(kind, values, mask, w)
    sees = np.ones((B, L), bool) if mask is None else mask.any(-1)
    np.testing.assert_allclose(weights.sum(-1), sees)
    assert (out[~sees] == 0).all(), "a query that sees nothing gets zeros"
    errors = check_gradients(lambda: float((run(kind, values, mask)[0] * w).sum()), values, grads)
    for name, error in errors.items():
        assert error < 1e-6 or error * np.abs(grads[name]).max() < 1e-9, (name, error)


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_query_may_see_is_invisible(kind, rng):
    values = make(kind, rng, 2, 3, 5)
    mask = np.arange(5) < np.array([5, 3])[:, None, None]  # (2, 1, 5): the second is shorter
    mask = np.repeat(mask, 3, axis=1)
    w = rng.normal(size=(2, 3, 4))
    expected = run(kind, values, mask, w)
    values["k"][1, 3:] = values["v"][1, 3:] = np.nan
    found = run(kind, values, mask, w)
    np.testing.assert_array_equal(found[0], expected[0])
    for name, g in expected[2].items():
        np.testing.assert_array_equal(found[2][name], g)
    assert (found[2]["v"][1, 3:] == 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_a_query_that_may_look_nowhere_is_invisible(kind, bad, rng):
    values, w = make(kind, rng, 2, 3, 5), rng.normal(size=(2, 3, 4))
    mask = np.ones((2, 3, 5), bool)
    mask[0, 1] = False
    expected = run(kind, values, mask, w)
    values["q"][0, 1] = w[0, 1] = bad
    found = run(kind, values, mask, w)
    np.testing.assert_array_equal(found[0], expected[0])
    for name, g in expected[2].items():
        np.testing.assert_array_equal(found[2][name], g)
    assert (found[2]["q"][0, 1] == 0).all()


def test_large_scores_do_not_overflow():
    q, v = np.full((1, 1, 1), 1e4), np.array([[[1.0], [2.0]]])
    out, _ = dot_product_attention(q, np.array([[[1.0], [-1.0]]]), v)
    np.testing.assert_array_equal(out, [[[1.0]]])


def test_bad_input(rng):
    q, k, v = (make("dot", rng, 2, 3, 5)[name] for name in "qkv")
    with pytest.raises(ValueError, match="q: expected 2 axes"):
        dot_product_attention(q[0, 0], k, v)
    with pytest.raises(ValueError, match=r"k: expected shape \(2, S, 3\), got \(2, 5, 2\)"):
        dot_product_attention(q, k[..., :2], v)
    with pytest.raises(ValueError, match=r"v: expected shape \(2, 5, V\), got \(2, 4, 4\)"):
        dot_product_attention(q, k, v[:, :4])
    with pytest.raises(ValueError, match=r"mask: expected shape \(2, 3, 5\), got \(2, 5, 3\)"):
        dot_product_attention(q, k, v, np.ones((2, 5, 3), bool))
    with pytest.raises(ValueError, match=r"W_k: expected shape \(6, 3\), got \(6, 2\)"):
        additive_attention(q, k, v, np.zeros((6, 3)), np.zeros((6, 2)), np.zeros(6))
    out, weights = dot_product_attention(q, k, v)
    with pytest.raises(ValueError, match=r"dout: expected shape \(2, 3, 4\), got \(2, 3, 3\)"):
        dot_product_attention_backward(out[..., :3], weights, q, k, v)
    with pytest.raises(ValueError, match=r"weights: expected shape \(2, 3, 5\), got \(2, 3, 4\)"):
        dot_product_attention_backward(out, weights[..., :4], q, k, v)
    with pytest.raises(TypeError, match=r"dout: expected numpy\.ndarray, got list"):
        dot_product_attention_backward(out.tolist(), weights, q, k, v)


BACK = {"dot": dot_product_attention_backward, "additive": additive_attention_backward}


@pytest.mark.parametrize(
    ("kind", "name", "shape", "message"),
    [
        ("dot", "q", (2, 3, 2), r"k: expected shape \(2, S, 2\), got \(2, 5, 3\)"),
        ("dot", "k", (2, 5, 2), r"k: expected shape \(2, S, 3\), got \(2, 5, 2\)"),
        ("dot", "v", (2, 4, 4), r"v: expected shape \(2, 5, V\), got \(2, 4, 4\)"),
        ("additive", "q", (2, 3, 4), r"W_q: expected shape \(5, 4\), got \(5, 3\)"),
        ("additive", "k", (2, 5, 1), r"W_k: expected shape \(5, 1\), got \(5, 2\)"),
        ("additive", "W_q", (5, 4), r"W_q: expected shape \(5, 3\), got \(5, 4\)"),
        ("additive", "W_k", (5, 1), r"W_k: expected shape \(5, 2\), got \(5, 1\)"),
        ("additive", "w", (1, 5), r"w: expected 1 axes \(A,\), got 2 axes"),
        ("additive", "w", (1,), r"W_q: expected shape \(1, 3\), got \(5, 3\)"),
    ],
)
def test_both_passes_refuse_the_same(kind, name, shape, message, rng):
    values, dout = make(kind, rng, 2, 3, 5), np.ones((2, 3, 4))
    kept = [np.zeros((2, 3, 5)), np.zeros((2, 3, 5, 5))][: 1 + (kind == "additive")]
    values[name] = np.zeros(shape)
    with pytest.raises(ValueError, match=message):
        run(kind, values, None)
    with pytest.raises(ValueError, match=message):
        BACK[kind](dout, *kept, **values)


def test_what_the_forward_pass_kept_is_checked(rng):
    values, dout = make("additive", rng, 2, 3, 5), np.ones((2, 3, 4))
    _, weights, u = additive_attention(**values)
    for bad in (u[..., :4], u[:, :, :4], u[:1]):
        with pytest.raises(ValueError, match=r"u: expected shape \(2, 3, 5, 5\), got "):
            additive_attention_backward(dout, weights, bad, **values)
    with pytest.raises(TypeError, match="u: expected numpy"):
        additive_attention_backward(dout, weights, u.tolist(), **values)
    with pytest.raises(ValueError, match=r"weights: expected shape \(2, 3, 5\), got \(2, 2, 5\)"):
        additive_attention_backward(dout[:, :2], weights[:, :2], u, **values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["q", "k", "v", "mask", "W_q", "W_k", "w"])
def test_lists_are_refused(kind, name, rng):
    values = make(kind, rng, 2, 3, 5) | {"mask": np.ones((2, 3, 5), bool)}
    if name not in values:
        return
    values[name] = values[name].tolist()
    kept = [np.zeros((2, 3, 5)), np.zeros((2, 3, 5, 5))][: 1 + (kind == "additive")]
    with pytest.raises(TypeError, match=f"{name}: expected numpy.ndarray, got list"):
        BACK[kind](np.ones((2, 3, 4)), *kept, **values)
    with pytest.raises(TypeError, match=f"{name}: expected numpy.ndarray, got list"):
        run(kind, values, values.pop("mask"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_that_is_added_to_the_scores_is_refused(kind, rng):
    values, dout = make(kind, rng, 2, 3, 5), np.ones((2, 3, 4))
    mask = np.zeros((2, 3, 5))  # in PyTorch a float mask of zeros hides nothing
    with pytest.raises(TypeError, match="mask: expected dtype bool, got float64"):
        run(kind, values, mask)
    kept = [np.zeros((2, 3, 5)), np.zeros((2, 3, 5, 5))][: 1 + (kind == "additive")]
    with pytest.raises(TypeError, match="mask: expected dtype bool, got float64"):
        BACK[kind](dout, *kept, **values, mask=mask)
