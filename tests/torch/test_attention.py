"""Attention agrees with PyTorch's and with the reference, and a mask hides what it should."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from rnncourse import reference
from rnncourse.torch.attention import (
    AdditiveAttention,
    MultiHeadAttention,
    additive_attention,
    causal_mask,
    dot_product_attention,
    length_mask,
    rotary,
    sinusoidal,
)

DEVICES = ["cpu", "cuda"]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
SIZES = st.tuples(*[st.integers(1, 6)] * 4)
DTYPES = st.sampled_from([torch.float64, torch.float32])
SEEDS = st.integers(0, 2**31)


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return request.param


def agree(found, expected, dtype):
    """Compare by name, relative to the largest entry of all: gradients may cancel to nothing."""
    assert found.keys() == expected.keys()
    scale = max(v.abs().max().item() for v in expected.values())
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        size = max(value.abs().max().item(), scale / 10)
        assert (found[name] - value).abs().max().item() <= TOLERANCE[dtype] * size, name


def results(run, inputs, w):
    """Return the output and the gradients of its weighted sum by name."""
    inputs = {name: x.detach().clone().requires_grad_() for name, x in inputs.items()}
    out = run(**inputs)
    (out * w).sum().backward()
    return {"out": out.detach()} | {name: x.grad for name, x in inputs.items()}


@given(sizes=SIZES, B=st.integers(1, 3), dtype=DTYPES, seed=SEEDS, masked=st.booleans())
def test_dot_product_attention_is_that_of_torch(sizes, B, dtype, seed, masked):
    L, S, E, V = sizes
    torch.manual_seed(seed)
    shapes = {"q": (B, 2, L, E), "k": (B, 2, S, E), "v": (B, 2, S, V)}
    inputs = {name: torch.randn(shape, dtype=dtype) for name, shape in shapes.items()}
    mask = torch.rand(B, 1, L, S) < 0.6 if masked else None
    if masked:
        mask[..., 0] = True
    w = torch.randn(B, 2, L, V, dtype=dtype)
    found = results(lambda q, k, v: dot_product_attention(q, k, v, mask)[0], inputs, w)
    expected = results(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask), inputs, w
    )
    agree(found, expected, dtype)


@given(sizes=SIZES, dtype=DTYPES, seed=SEEDS, masked=st.booleans(), additive=st.booleans())
def test_both_scores_are_those_of_the_reference(sizes, dtype, seed, masked, additive):
    L, S, E, A = sizes
    rng, B = np.random.default_rng(seed), 2
    shapes = {"q": (B, L, E), "k": (B, S, E + additive), "v": (B, S, 3)}
    if additive:
        shapes |= {"W_q": (A, E), "W_k": (A, E + 1), "w": (A,)}
    numpy_type = np.float64 if dtype == torch.float64 else np.float32
    arrays = {name: rng.normal(size=shape).astype(numpy_type) for name, shape in shapes.items()}
    mask = rng.random((B, L, S)) < 0.6 if masked else None  # some queries may look nowhere
    dout = rng.normal(size=(B, L, 3)).astype(numpy_type)
    if additive:
        out, *kept = reference.additive_attention(**arrays, mask=mask)
        grads = reference.additive_attention_backward(dout, *kept, **arrays, mask=mask)
    else:
        out, *kept = reference.dot_product_attention(**arrays, mask=mask)
        grads = reference.dot_product_attention_backward(dout, *kept, **arrays, mask=mask)
    expected = {"out": out} | dict(zip(arrays, grads, strict=True))
    ours = additive_attention if additive else dot_product_attention
    mask = None if mask is None else torch.tensor(mask)
    inputs = {name: torch.tensor(x) for name, x in arrays.items()}
    found = results(lambda **x: ours(**x, mask=mask)[0], inputs, torch.tensor(dout))
    agree(found, {name: torch.tensor(x) for name, x in expected.items()}, dtype)


@given(
    sizes=SIZES,
    B=st.integers(1, 3),
    dtype=DTYPES,
    seed=SEEDS,
    masked=st.booleans(),
    self_attention=st.booleans(),
    bias=st.booleans(),
    batch_first=st.booleans(),
    need_weights=st.booleans(),
)
def test_multi_head_attention_is_that_of_torch(
    sizes, B, dtype, seed, masked, self_attention, bias, batch_first, need_weights
):
    L, S, N, D = sizes
    S, E = (L, N * D) if self_attention else (S, N * D)
    torch.manual_seed(seed)
    ours = MultiHeadAttention(E, N, bias, batch_first, dtype=dtype)
    theirs = nn.MultiheadAttention(E, N, bias=bias, batch_first=batch_first, dtype=dtype)
    for p in theirs.parameters():
        nn.init.normal_(p, std=E**-0.5)  # PyTorch starts with biases of zero
    ours.load_state_dict(theirs.state_dict())
    names = ["query"] if self_attention else ["query", "key", "value"]
    inputs = {}
    for name in names:
        T = L if name == "query" else S
        inputs[name] = torch.randn((B, T, E) if batch_first else (T, B, E), dtype=dtype)
    mask = torch.rand(B, L, S) < 0.6 if masked else None
    hidden = None
    if masked:
        mask[..., 0] = True
        hidden = ~mask.repeat_interleave(N, 0)  # true where a query may NOT look
    w = torch.randn(inputs["query"].shape, dtype=dtype)
    found = {}
    for name, net in (("ours", ours), ("theirs", theirs)):
        keep = {}

        def run(query, key=None, value=None, net=net, keep=keep):
            key, value = (query, query) if key is None else (key, value)
            if net is ours:
                out, keep["weights"] = net(query, key, value, mask, need_weights)
                return out
            out, keep["weights"] = net(
                query, key, value, attn_mask=hidden, average_attn_weights=False
            )
            return out

        values = results(run, inputs, w)
        assert need_weights or net is theirs or keep["weights"] is None
        if need_weights:
            values |= {"weights": keep["weights"].detach()}
        found[name] = values | {f"d{k}": p.grad for k, p in net.named_parameters()}
    agree(found["ours"], found["theirs"], dtype)


@pytest.mark.parametrize("kind", ["dot", "additive", "multi-head", "multi-head, no weights"])
def test_masked_places_are_invisible(kind):
    torch.manual_seed(0)
    dtype = torch.float64
    net = {
        "dot": lambda *args: dot_product_attention(*args),
        "additive": AdditiveAttention(4, 4, 5, dtype=dtype),
        "multi-head": MultiHeadAttention(4, 2, batch_first=True, dtype=dtype),
    }[kind.split(",")[0]]
    x = torch.randn(2, 5, 4, dtype=dtype)
    valid = length_mask(torch.tensor([5, 3]), 5)  # (2, 1, 5)
    mask = valid & valid.transpose(1, 2)  # a padded step neither looks nor is looked at
    found = []
    for padding in (1.0, 1e30, float("nan"), float("inf")):
        filled = x.clone()
        filled[1, 3:] = padding
        inputs = [filled.clone().requires_grad_() for _ in range(3)]
        out, weights = net(*inputs, mask, *[False] * kind.endswith("no weights"))
        out[valid[:, 0]].square().sum().backward()
        parameters = list(net.parameters()) if isinstance(net, nn.Module) else []
        found.append([out, *(v.grad for v in inputs + parameters)])
        for p in parameters:
            p.grad = None
        if weights is not None:
            assert (weights[1, ..., 3:, :] == 0).all()
            assert (weights[1, ..., :, 3:] == 0).all()
        assert all((v.grad[1, 3:] == 0).all() for v in inputs)
        assert (out[1, 3:] == (net.out_proj.bias if "multi" in kind else 0)).all()
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
    alone, _ = net(*[x[1:, :3]] * 3, None)
    torch.testing.assert_close(found[0][0][1:, :3], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("need_weights", [True, False])
def test_autocast(need_weights):
    torch.manual_seed(0)
    nets = AdditiveAttention(4, 4, 5), MultiHeadAttention(4, 2)
    x, mask = torch.randn(5, 2, 4), causal_mask(5, 5)
    for net, *more in zip(nets, ([mask[:2, :2]], [mask, need_weights]), strict=True):
        exact = net(x, x, x, *more[0])[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for q, k in ((x, x), (x.bfloat16(), x.bfloat16()), (x.bfloat16(), x)):
                out, _ = net(q, k, k, *more[0])
                assert (out.float() - exact).abs().max() < 0.05
        out.float().sum().backward()
        assert all(p.grad.dtype == torch.float32 for p in net.parameters())
        with pytest.raises(TypeError, match="expected dtype"):
            net(*[x.bfloat16()] * 3)


@pytest.mark.parametrize("additive", [True, False])
def test_second_derivatives(additive):
    torch.manual_seed(0)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    shapes = [(2, 3), (3, 3), (3, 2)] + [(4, 3), (4, 3), (4,)] * additive
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    attend = additive_attention if additive else dot_product_attention

    def run(*args):
        return attend(*args, mask=mask)[0]

    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_large_scores_do_not_overflow():
    q, k = torch.full((1, 1), 1e30), torch.tensor([[1.0], [-1.0]])
    out, _ = dot_product_attention(q, k, torch.tensor([[1.0], [2.0]]))
    assert out.item() == 1
    k, mask = torch.tensor([[-1.0], [-2.0], [1.0]]), torch.tensor([[True, True, False]])
    _, weights = dot_product_attention(q, k, k, mask)
    assert weights.tolist() == [[1, 0, 0]]


def test_masks_let_through_what_they_say():
    assert torch.equal(causal_mask(4, 4), torch.ones(4, 4).tril().bool())
    assert torch.equal(causal_mask(1, 4), torch.ones(1, 4).bool())
    assert length_mask(torch.tensor([2, 1]), 3).tolist() == [[[1, 1, 0]], [[1, 0, 0]]]


@given(E=st.integers(1, 8).map(lambda n: 2 * n), start=st.integers(0, 1000), seed=SEEDS)
def test_rotary_positions_depend_on_the_distance_alone(E, start, seed):
    torch.manual_seed(seed)
    q, k = torch.randn(2, 3, 5, E, dtype=torch.float64)
    here, there = torch.arange(5), torch.arange(5) + start
    scores = [rotary(q, p) @ rotary(k, p).transpose(-1, -2) for p in (here, there)]
    torch.testing.assert_close(*scores, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(rotary(q, there).norm(dim=-1), q.norm(dim=-1))
    assert torch.equal(rotary(q, torch.zeros(5)), q)


def test_rotary_is_the_product_of_complex_numbers():
    x = torch.randn(7, 6, dtype=torch.float64)
    angle = torch.outer(torch.arange(7.0), 10000 ** -torch.tensor([0, 2, 4]).double().div(6))
    turned = torch.view_as_complex(x.view(7, 3, 2)) * torch.polar(torch.ones(()).double(), angle)
    torch.testing.assert_close(rotary(x, torch.arange(7)), torch.view_as_real(turned).flatten(1))


def test_sinusoidal_positions():
    found = sinusoidal(torch.arange(50), 6, torch.float64)
    for t, i in ((0, 0), (7, 1), (49, 2)):
        angle = t / 10000 ** (2 * i / 6)
        assert found[t, 2 * i].item() == pytest.approx(np.sin(angle))
        assert found[t, 2 * i + 1].item() == pytest.approx(np.cos(angle))
    half = sinusoidal(torch.tensor([4097]), 2, torch.float16)
    assert half[0, 0].item() == pytest.approx(np.sin(4097), abs=1e-3)


def test_on_each_device(device):
    torch.manual_seed(0)
    x, net = torch.randn(5, 2, 8), MultiHeadAttention(8, 2)
    mask = causal_mask(5, 5, device) & length_mask(torch.tensor([5, 3], device=device), 5)
    expected, _ = net(x, x, x, mask.cpu())
    x, net = x.to(device), net.to(device)
    torch.testing.assert_close(net(x, x, x, mask)[0].cpu(), expected, rtol=1e-4, atol=1e-5)
    assert rotary(x, torch.arange(2, device=device)).device.type == device
    assert sinusoidal(torch.arange(2, device=device), 4).device.type == device


Q, K = torch.zeros(2, 3, 4), torch.zeros(2, 5, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dot_product_attention(Q[0, 0], K, K), ValueError, "q: expected 2 axes"),
        (
            lambda: dot_product_attention(Q, K[..., :2], K),
            ValueError,
            r"k: expected shape \(2, S, 4\), got \(2, 5, 2\)",
        ),
        (
            lambda: dot_product_attention(Q, K, K[:, :4]),
            ValueError,
            r"v: expected shape \(2, 5, V\), got \(2, 4, 4\)",
        ),
        (
            lambda: dot_product_attention(Q, K.double(), K),
            TypeError,
            "k: expected dtype torch.float32 as q has, got torch.float64",
        ),
        (
            lambda: dot_product_attention(Q.tolist(), K, K),
            TypeError,
            "q: expected torch.Tensor, got list",
        ),
        (
            lambda: dot_product_attention(Q.long(), K.long(), K.long()),
            TypeError,
            "q: expected a floating-point dtype, got torch.int64",
        ),
        (
            lambda: dot_product_attention(Q, K, K, torch.ones(3, 5).bool().numpy()),
            TypeError,
            "mask: expected torch.Tensor, got ndarray",
        ),
        (
            lambda: additive_attention(Q, K, K, [1.0], [1.0], [1.0]),
            TypeError,
            "W_q: expected torch.Tensor, got list",
        ),
        (
            lambda: dot_product_attention(Q, K, K, torch.ones(3, 5)),
            TypeError,
            "mask: expected dtype torch.bool, got torch.float32",
        ),
        (
            lambda: dot_product_attention(Q, K, K, torch.ones(5, 3).bool()),
            ValueError,
            r"mask: expected a shape that broadcasts to \(2, 3, 5\), got \(5, 3\)",
        ),
        (
            lambda: dot_product_attention(Q, K, K, torch.ones(5).bool()),
            ValueError,
            r"mask: expected a shape that broadcasts to \(2, 3, 5\), got \(5,\)",
        ),
        (
            lambda: AdditiveAttention(4, 3, 6)(Q, K, K),
            ValueError,
            r"W_k: expected shape \(6, 4\), got \(6, 3\)",
        ),
        (
            lambda: AdditiveAttention(4, 4, 6)(*[t.double() for t in (Q, K, K)]),
            TypeError,
            "q: expected dtype torch.float32 as the weights have, got torch.float64",
        ),
        (lambda: AdditiveAttention(4, 0, 6), ValueError, "key_size: expected at least 1, got 0"),
        (lambda: AdditiveAttention(0, 4, 6), ValueError, "query_size: expected at least 1, got 0"),
        (lambda: AdditiveAttention(4, 4, 0), ValueError, "hidden_size: expected at least 1, got 0"),
        (
            lambda: AdditiveAttention(4, 4, 6)(Q, K, K, torch.ones(3, 5)),
            TypeError,
            "mask: expected dtype torch.bool, got torch.float32",
        ),
        (
            lambda: AdditiveAttention(4, 4, 6)(Q.tolist(), K, K),
            TypeError,
            "q: expected torch.Tensor, got list",
        ),
        (
            lambda: additive_attention(
                Q, K, K, torch.ones(6, 4), torch.ones(6, 4), torch.ones(6, 1)
            ),
            ValueError,
            r"w: expected 1 axes \(A,\), got 2 axes",
        ),
        (lambda: rotary([0.0], torch.arange(1)), TypeError, "x: expected torch.Tensor, got list"),
        (
            lambda: MultiHeadAttention(6, 4),
            ValueError,
            "num_heads: expected a divisor of 6, got 4",
        ),
        (
            lambda: MultiHeadAttention(6, 2)(Q, Q, Q),
            ValueError,
            r"query: expected shape \(T, B, 6\), got \(2, 3, 4\)",
        ),
        (
            lambda: MultiHeadAttention(4, 2)(Q, Q.numpy(), Q),
            TypeError,
            "key: expected torch.Tensor, got ndarray",
        ),
        (
            lambda: MultiHeadAttention(4, 2)(Q, Q.double(), Q),
            TypeError,
            "key: expected dtype torch.float32",
        ),
        (
            lambda: MultiHeadAttention(4, 2, batch_first=True)(Q, K[:1], K),
            ValueError,
            r"key: expected shape \(2, S, 4\), got \(1, 5, 4\)",
        ),
        (
            lambda: MultiHeadAttention(4, 2, batch_first=True)(Q, K, Q),
            ValueError,
            r"value: expected shape \(2, 5, 4\), got \(2, 3, 4\)",
        ),
        (lambda: causal_mask(4, 3), ValueError, "S: expected at least 4, got 3"),
        (
            lambda: length_mask(torch.tensor([4]), 3),
            ValueError,
            r"lengths\[0\]: expected at most T = 3, got 4",
        ),
        (lambda: length_mask(torch.tensor(3), 3), TypeError, "lengths: expected one number per"),
        (
            lambda: length_mask(torch.ones(2, 1).long(), 3),
            TypeError,
            r"lengths\[0\]: expected a wh",
        ),
        (
            lambda: length_mask([3, 4], 3),
            ValueError,
            r"lengths\[1\]: expected at most T = 3, got 4",
        ),
        (
            lambda: rotary(Q.long(), torch.arange(3)),
            TypeError,
            "x: expected a floating-point dtype, got torch.int64",
        ),
        (lambda: rotary(Q, [0, 1, 2]), TypeError, "positions: expected torch.Tensor, got list"),
        (lambda: sinusoidal([0, 1], 4), TypeError, "positions: expected torch.Tensor, got list"),
        (
            lambda: sinusoidal(torch.arange(2), 4, torch.int64),
            TypeError,
            "dtype: expected a floating-point dtype, got torch.int64",
        ),
        (
            lambda: rotary(Q, torch.arange(4)),
            ValueError,
            r"positions: expected shape \(3,\), got \(4,\)",
        ),
        (
            lambda: rotary(Q[..., :3], torch.arange(3)),
            ValueError,
            "size: expected an even number of features, got 3",
        ),
        (lambda: sinusoidal(torch.zeros(2, 2), 4), ValueError, "positions: expected 1 axes"),
        (lambda: sinusoidal(torch.zeros(2), 0), ValueError, "size: expected at least 2, got 0"),
    ],
)
def test_bad_input_names_argument_expected_and_got(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_weights_that_compare_start_as_they_should():
    """Xavier's bounds for both maps, and a vector whose products have the size of one entry."""
    torch.manual_seed(0)
    net = AdditiveAttention(300, 200, 400)
    for W, size in ((net.W_q, 300), (net.W_k, 200)):
        bound = (6 / (400 + size)) ** 0.5
        assert W.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert W.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert net.w.std().item() == pytest.approx(400**-0.5, rel=0.1)
    assert not torch.equal(net.W_q[:, :200], net.W_k)


def test_heads_give_their_weights_unless_told_otherwise():
    net, x = MultiHeadAttention(4, 2), torch.randn(2, 3, 4)
    parts = net.project(x, x, x)
    assert net.attend(*parts)[1].shape == (2, 2, 3, 3)
    assert net.attend(*parts, need_weights=False)[1] is None


@pytest.mark.parametrize("bias", [True, False])
def test_heads_start_with_the_weights_that_torch_draws(bias):
    states = []
    for cls in (MultiHeadAttention, nn.MultiheadAttention):
        torch.manual_seed(0)
        states.append(cls(8, 2, bias=bias).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(w, states[1][name]) for name, w in states[0].items())


@pytest.mark.parametrize("make", [partial(AdditiveAttention, 4, 3), partial(MultiHeadAttention, 4)])
def test_all_weights_are_on_the_device_and_of_the_dtype(make):
    net = make(2, device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in net.parameters()} == {("meta", torch.float64)}
