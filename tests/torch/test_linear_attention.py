"""Linear attention: both forms agree, a masked step is invisible, and so is the future."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from rnncourse.torch.attention import MultiHeadAttention, length_mask
from rnncourse.torch.linear_attention import (
    LinearAttention,
    _prepare,
    feature_map,
    linear_attention,
    linear_attention_step,
)
from rnncourse.torch.scan import linear_recurrence
from tests.torch.agreement import close

SIZES = {"T": st.integers(1, 40), "E": st.integers(1, 5), "V": st.integers(1, 5)}
SIZES |= {"lead": st.lists(st.integers(1, 3), max_size=2), "seed": st.integers(0, 2**31)}


def draw(T, E, V, lead, seed, dtype=torch.float64):
    """Return queries, keys, values, and sums as some earlier steps leave them."""
    torch.manual_seed(seed)
    q, k = torch.randn(2, *lead, T, E, dtype=dtype)
    v = torch.randn(*lead, T, V, dtype=dtype)
    state = torch.randn(*lead, E, V, dtype=dtype), torch.rand(*lead, E, dtype=dtype)
    return q, k, v, state


def same(found, expected, dtype=torch.float64):
    """Compare outputs and both sums."""
    (out, state), (expected, expected_state) = found, expected
    pairs = zip((out, *state), (expected, *expected_state), strict=True)
    for (a, b), what in zip(pairs, ("out", "S", "z"), strict=True):
        close(a, b, dtype, what)


@given(**SIZES, chunk=st.integers(1, 50), with_state=st.booleans())
@example(T=1000, E=4, V=3, lead=[2], seed=0, chunk=64, with_state=False)
def test_parallel_equals_step_by_step(T, E, V, lead, seed, chunk, with_state):
    q, k, v, start = draw(T, E, V, lead, seed)
    found = linear_attention(q, k, v, start if with_state else None, chunk=chunk)
    state, outs = start if with_state else None, []
    for t in range(T):
        out, state = linear_attention_step(q[..., t, :], k[..., t, :], v[..., t, :], state)
        outs.append(out)
    same(found, (torch.stack(outs, -2), state))


@given(**SIZES)
def test_is_attention_with_features_in_place_of_the_softmax(T, E, V, lead, seed):
    q, k, v, _ = draw(T, E, V, lead, seed)
    weights = (feature_map(q) @ feature_map(k).mT).tril()
    weights = weights / weights.sum(-1, keepdim=True)
    out, (S, _) = linear_attention(q, k, v)
    close(out, weights @ v, torch.float64, "out")
    steps = torch.einsum("...te,...tv->t...ev", feature_map(k), v)
    close(S, linear_recurrence(torch.ones_like(steps), steps)[-1], torch.float64, "S")


@given(**SIZES, data=st.data())
def test_pieces_with_the_state_handed_over_are_one_pass(T, E, V, lead, seed, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, T), max_size=4)) | {0, T})
    *inputs, _ = draw(T, E, V, lead, seed)
    state, outs = None, []
    for start, stop in pairwise(cuts):
        out, state = linear_attention(*(x[..., start:stop, :] for x in inputs), state)
        outs.append(out)
    same((torch.cat(outs, -2), state), linear_attention(*inputs))


@given(**SIZES, chunk=st.integers(1, 50), data=st.data())
def test_later_inputs_do_not_reach_earlier_outputs(T, E, V, lead, seed, chunk, data):
    t = data.draw(st.integers(1, T))
    q, k, v, state = draw(T, E, V, lead, seed)
    expected, _ = linear_attention(q, k, v, state, chunk=chunk)
    for x in (q, k, v):
        x[..., t:, :] = 50 * torch.randn_like(x[..., t:, :])
    assert torch.equal(
        linear_attention(q, k, v, state, chunk=chunk)[0][..., :t, :], expected[..., :t, :]
    )


def test_features_are_elu_plus_one_and_positive():
    x = torch.linspace(-80, 80, 641)
    assert (feature_map(x) > 0).all()  # in float32, elu(x) + 1 is zero below -17
    exact = torch.nn.functional.elu(x.double()) + 1
    torch.testing.assert_close(feature_map(x.double()), exact, rtol=0, atol=1e-14)
    x = torch.tensor([-1e30, -200.0, 0.0, 200.0, 1e30], requires_grad=True)
    feature_map(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_central_differences(masked):
    q, k, v, state = draw(5, 2, 3, [2], 0)
    mask = torch.tensor([[[True, True, False, True, True]], [[False] * 5]]) if masked else None
    leaves = [x.requires_grad_() for x in (q, k, v, *state)]

    def run(q, k, v, S, z):
        out, state = linear_attention(q, k, v, (S, z), mask, chunk=2)
        return out, *state

    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize("batch_first", [False, True])
def test_masked_steps_and_neighbors_are_invisible(batch_first):
    torch.manual_seed(0)
    net = LinearAttention(4, 2, batch_first=batch_first, dtype=torch.float64)
    torch.nn.init.normal_(net.in_proj_bias)
    lengths, x = torch.tensor([7, 3]), torch.randn(2, 7, 4, dtype=torch.float64)

    def run(x, mask):
        leaf = x.clone().requires_grad_()
        out, state = net(leaf if batch_first else leaf.transpose(0, 1), None, mask)
        out = out if batch_first else out.transpose(0, 1)
        net.zero_grad()
        real = torch.ones(out.shape[:2]).bool() if mask is None else mask[:, 0]
        (out[real].square().sum() + sum(s.square().sum() for s in state)).backward()
        return [out, *state, leaf.grad, *(p.grad.clone() for p in net.parameters())]

    found = []
    for padding in (0.0, 1e30, torch.inf, torch.nan):
        filled = x.clone()
        filled[1, 3:] = padding
        found.append(run(filled, length_mask(lengths, 7)))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
    out, S, z, dx, *grads = found[0]
    assert (out[1, 3:] == net.out_proj.bias).all()
    assert (dx[1, 3:] == 0).all()
    first, second = run(x[:1], None), run(x[1:, :3], None)
    for name, b, n, alone in (("first", 0, 7, first), ("second", 1, 3, second)):
        close(out[b : b + 1, :n], alone[0], torch.float64, name)
        close(S[b : b + 1], alone[1], torch.float64, name)
        close(z[b : b + 1], alone[2], torch.float64, name)
        close(dx[b : b + 1, :n], alone[3], torch.float64, name)
    for total, a, b in zip(grads, first[4:], second[4:], strict=True):
        close(total, a + b, torch.float64, "a parameter's gradient")


def test_where_nothing_was_seen_are_zeros():
    q, k, v, _ = draw(5, 2, 3, [2], 0, torch.float32)
    q.requires_grad_()
    mask = torch.zeros(2, 1, 5, dtype=torch.bool)
    out, (S, z) = linear_attention(q, k, v, mask=mask)
    assert all((value == 0).all() for value in (out, S, z))
    out, _ = linear_attention(q - 1000, k - 1000, v)  # features round to zero
    out.sum().backward()
    assert all((value == 0).all() for value in (out, q.grad))


@pytest.mark.parametrize("T", [1, 100, 16384])
def test_error_in_float32(T):
    q, k, v, _ = draw(T, 16, 16, [2], 0, torch.float32)
    out, sums = linear_attention(q, k, v)
    exact, exact_sums = linear_attention(q.double(), k.double(), v.double())
    for a, b in zip((out, *sums), (exact, *exact_sums), strict=True):
        assert (a - b).abs().max() < 1e-6 * b.abs().max()


@pytest.mark.parametrize(("least", "spread"), [(-51, 1), (-87, 1), (-87, 90), (0, 1e19)])
def test_error_in_float32_at_any_size_of_the_features(least, spread):
    torch.manual_seed(0)
    k, v = torch.rand(50, 4) * spread + least, torch.randn(50, 2)
    for q in (k, k - 1000):
        q.requires_grad_()
        outs, grads = [], []
        for dtype in (torch.float32, torch.float64):
            outs.append(linear_attention(q.to(dtype), k.detach().to(dtype), v.to(dtype))[0])
            grads += torch.autograd.grad(outs[-1].square().sum(), q)
            y, state = [], None
            for x in zip(q.to(dtype), k.to(dtype), v.to(dtype), strict=True):
                y_t, state = linear_attention_step(*x, state)
                y.append(y_t)
            outs.append(torch.stack(y))
        exact = outs[2]
        for out in outs:
            assert (out - exact).abs().max() < 1e-6 * exact.abs().max()
        assert (grads[0] - grads[1]).abs().max() <= 1e-5 * grads[1].abs().max()


def test_autocast():
    net, x = LinearAttention(4, 2), torch.randn(5, 2, 4)
    exact, state = net(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for data in (x, x.bfloat16()):
            out, end = net(data)
            step, _ = net.step(data[-1], state)
            again, _ = net.step(data[-1], end)
            assert (out.float() - exact).abs().max() < 0.05
            assert (step - again).abs().max() < 0.05
    out.float().sum().backward()
    assert net.in_proj_weight.grad.dtype == torch.float32


@given(
    T=st.integers(1, 20), B=st.integers(1, 3), N=st.integers(1, 3), D=st.integers(1, 3),
    seed=st.integers(0, 2**31), bias=st.booleans(), batch_first=st.booleans(),
)  # fmt: skip
def test_module_is_a_projection_of_the_function(T, B, N, D, seed, bias, batch_first):
    torch.manual_seed(seed)
    other = MultiHeadAttention(N * D, N, bias, dtype=torch.float64)
    net = LinearAttention(N * D, N, bias, batch_first, dtype=torch.float64)
    net.load_state_dict(other.state_dict())
    x = torch.randn(B, T, N * D, dtype=torch.float64)
    out, state = net(x if batch_first else x.transpose(0, 1))
    out = out if batch_first else out.transpose(0, 1)
    expected, expected_state = linear_attention(*other.project(x, x, x))
    expected = other.out_proj(torch.cat(list(expected.unbind(1)), -1))
    same((out, state), (expected, expected_state))
    outs, state = [], None
    for t in range(T):
        y, state = net.step(x[:, t], state)
        outs.append(y)
    same((out, expected_state), (torch.stack(outs, 1), state))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_on_each_device(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    torch.manual_seed(0)
    net, x, mask = LinearAttention(8, 2), torch.randn(9, 2, 8), length_mask(torch.tensor([9, 4]), 9)
    expected, _ = net(x, None, mask)
    out, state = net.to(device)(x.to(device), None, mask.to(device))
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-4, atol=1e-5)
    assert net.step(x[0].to(device), state)[0].device.type == device


Q, V = torch.zeros(2, 3, 4), torch.zeros(2, 3, 5)
X, NET = torch.zeros(5, 2, 8), LinearAttention(8, 2)
S, Z = torch.zeros(2, 4, 5), torch.zeros(2, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: linear_attention(Q[0, 0], Q, V), ValueError, "q: expected 2 axes"),
        (
            lambda: linear_attention(Q, Q[..., :2], V),
            ValueError,
            r"k: expected shape \(2, 3, 4\), got \(2, 3, 2\)",
        ),
        (
            lambda: linear_attention(Q[:, :2], Q, V),
            ValueError,
            r"k: expected shape \(2, 2, 4\), got \(2, 3, 4\)",
        ),
        (lambda: linear_attention(Q, Q, V[:, :2]), ValueError, r"v: expected shape \(2, 3, V\)"),
        (
            lambda: linear_attention(Q, Q, V.double()),
            TypeError,
            "v: expected dtype torch.float32 as q has, got torch.float64",
        ),
        (lambda: linear_attention(Q, [Q], V), TypeError, "k: expected torch.Tensor, got list"),
        (
            lambda: linear_attention(Q.long(), Q.long(), V.long()),
            TypeError,
            "q: expected a floating-point dtype, got torch.int64",
        ),
        (
            lambda: linear_attention(Q, Q, V, (S.numpy(), Z)),
            TypeError,
            r"state\[0\]: expected torch.Tensor, got ndarray",
        ),
        (lambda: NET(X.numpy()), TypeError, "input: expected torch.Tensor, got ndarray"),
        (
            lambda: linear_attention(Q, Q, V, (S[:1], Z)),
            ValueError,
            r"state\[0\]: expected shape \(2, 4, 5\), got \(1, 4, 5\)",
        ),
        (
            lambda: linear_attention(Q, Q, V, (S, Z[:, :2])),
            ValueError,
            r"state\[1\]: expected shape \(2, 4\), got \(2, 2\)",
        ),
        (
            lambda: linear_attention(Q, Q, V, (S, Z.double())),
            TypeError,
            r"state\[1\]: expected dtype torch.float32 as q, got torch.float64",
        ),
        (
            lambda: linear_attention(Q, Q, V, mask=torch.ones(2, 3, 3).bool()),
            ValueError,
            r"mask: expected a shape that broadcasts to \(2, 1, 3\), got \(2, 3, 3\)",
        ),
        (
            lambda: linear_attention(Q, Q, V, mask=torch.ones(1, 3)),
            TypeError,
            "mask: expected dtype torch.bool, got torch.float32",
        ),
        (
            lambda: linear_attention(Q, Q, V, chunk=0),
            ValueError,
            "chunk: expected at least 1, got 0",
        ),
        (lambda: linear_attention_step(Q[0, 0], Q[0], V[0]), ValueError, "k: expected 2 axes"),
        (
            lambda: NET(X[..., :4]),
            ValueError,
            r"input: expected shape \(T, B, 8\), got \(5, 2, 4\)",
        ),
        (lambda: NET(X.double()), TypeError, "input: expected dtype torch.float32"),
        (
            lambda: NET(X, None, torch.ones(2, 5).bool()),
            ValueError,
            r"mask: expected a shape that broadcasts to \(2, 1, 5\), got \(2, 5\)",
        ),
        (lambda: NET.step(X), ValueError, r"x: expected 2 axes \(B, 8\)"),
        (lambda: NET.step(X[0].double()), TypeError, "x: expected dtype torch.float32"),
        (lambda: LinearAttention(6, 4), ValueError, "num_heads: expected a divisor of 6, got 4"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_largest_feature_of_a_query_is_one():
    """So the products with the features of the keys neither overflow nor round to zero."""
    q = torch.tensor([[3.0, -1.0], [-40.0, -50.0], [1e30, 0.0], [0.0, -2.0]])
    features = _prepare(q, q, q, None)[0]
    assert features.amax(-1).tolist() == pytest.approx([1] * 4)
    assert features[0, 1].item() == pytest.approx(math.exp(-1) / 4)
