"""The reference's layers, losses and optimizers against PyTorch's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from rnncourse import reference as ref
from rnncourse.reference import relative_error

DTYPES = st.sampled_from([torch.float64, torch.float32])
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
SEEDS = st.integers(0, 9999)


def assert_agree(mine, theirs, dtype):
    """Compare arrays pairwise, relative to the largest entry, or a tenth of all gradients'."""
    theirs = [v.detach().numpy() for v in theirs]
    scale = max(np.abs(v).max() for v in theirs) / 10
    for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert np.abs(a - b).max() <= TOLERANCE[dtype] * max(np.abs(b).max(), scale), i


def draw(seed, dtype, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=generator, dtype=dtype, requires_grad=True) for s in shapes]


def arrays(*tensors):
    return [t.detach().numpy() for t in tensors]


@given(dtype=DTYPES, seed=SEEDS, n=st.integers(1, 20), padding=st.sampled_from([None, 2]))
def test_embedding(dtype, seed, n, padding):
    W, w = draw(seed, dtype, (5, 3), (n, 3))
    tokens = torch.randint(0, 5, (n,), generator=torch.Generator().manual_seed(seed))
    y = F.embedding(tokens, W, padding_idx=padding)
    (y * w.detach()).sum().backward()
    got = ref.embedding(tokens.numpy(), *arrays(W))
    dW = ref.embedding_backward(*arrays(w), tokens.numpy(), *arrays(W), padding)
    assert_agree([got, dW], [y, W.grad], dtype)


@given(dtype=DTYPES, seed=SEEDS, sizes=st.tuples(*[st.integers(2, 6)] * 3))
def test_layer_norm(dtype, seed, sizes):
    x, gain, bias, w = draw(seed, dtype, sizes, sizes[-1:], sizes[-1:], sizes)
    # With eps of this size a vector whose entries happen to be alike costs float32 no digits.
    y = F.layer_norm(x, sizes[-1:], gain, bias, eps=0.1)
    (y * w.detach()).sum().backward()
    got, *kept = ref.layer_norm(*arrays(x, gain, bias), eps=0.1)
    grads = ref.layer_norm_backward(*arrays(w), *kept, *arrays(gain))
    assert_agree([got, *grads], [y, x.grad, gain.grad, bias.grad], dtype)


@given(
    dtype=DTYPES,
    seed=SEEDS,
    sizes=st.tuples(*[st.integers(1, 6)] * 4),
    masked=st.booleans(),
    scale=st.sampled_from([None, 1.0]),
)
def test_dot_product_attention(dtype, seed, sizes, masked, scale):
    B, L, S, E = sizes
    q, k, v, w = draw(seed, dtype, (B, L, E), (B, S, E), (B, S, 3), (B, L, 3))
    mask = torch.rand(B, L, S, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[:, :, 0] = True
    mask = mask if masked else None
    out = F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
    (out * w.detach()).sum().backward()
    m = None if mask is None else mask.numpy()
    got, weights = ref.dot_product_attention(*arrays(q, k, v), m, scale)
    grads = ref.dot_product_attention_backward(*arrays(w), weights, *arrays(q, k, v), m, scale)
    assert_agree([got, *grads], [out, q.grad, k.grad, v.grad], dtype)


@given(dtype=DTYPES, seed=SEEDS, sizes=st.tuples(*[st.integers(1, 6)] * 4), masked=st.booleans())
def test_additive_attention(dtype, seed, sizes, masked):
    B, L, S, A = sizes
    shapes = ((B, L, 3), (B, S, 2), (B, S, 4), (A, 3), (A, 2), (A,))
    *inputs, w_out = draw(seed, dtype, *shapes, (B, L, 4))
    q, k, v, W_q, W_k, w = inputs
    mask = torch.ones(B, L, S, dtype=torch.bool)
    if masked:
        mask = torch.rand(B, L, S, generator=torch.Generator().manual_seed(seed)) < 0.5
        mask[:, :, 0] = True
    scores = torch.tanh((q @ W_q.T)[:, :, None] + (k @ W_k.T)[:, None]) @ w
    out = scores.masked_fill(~mask, -torch.inf).softmax(-1) @ v
    (out * w_out.detach()).sum().backward()
    got, *kept = ref.additive_attention(*arrays(*inputs), mask.numpy())
    grads = ref.additive_attention_backward(
        *arrays(w_out), *kept, *arrays(*inputs), mask=mask.numpy()
    )
    assert_agree([got, *grads], [out, *(p.grad for p in inputs)], dtype)


@given(
    dtype=DTYPES,
    seed=SEEDS,
    T=st.integers(1, 12),
    B=st.integers(1, 4),
    C=st.integers(2, 5),
    data=st.data(),
)
def test_ctc_loss(dtype, seed, T, B, C, data):
    blank = data.draw(st.integers(0, C - 1))
    rng = np.random.default_rng(seed)
    (logits,) = draw(seed, dtype, (T, B, C))
    n = rng.integers(1, T + 1, B)
    m = rng.integers(0, (n + 1) // 2 + 1)  # fits even if all labels are equal
    S = max(1, m.max())
    targets = rng.choice([c for c in range(C) if c != blank], (B, S))
    log_p = logits.log_softmax(-1)
    loss = F.ctc_loss(log_p, *map(torch.from_numpy, (targets, n, m)), blank=blank)
    loss.backward()
    got, d = ref.ctc_loss(*arrays(logits), targets, n, m, blank)
    assert abs(got - loss.item()) <= TOLERANCE[dtype] * max(1, abs(loss.item()))
    assert_agree([d], [logits.grad], dtype)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (lambda p: ref.SGD(p, 0.1), lambda p: torch.optim.SGD(p, 0.1)),
        (lambda p: ref.SGD(p, 0.1, 0.9), lambda p: torch.optim.SGD(p, 0.1, 0.9)),
        (lambda p: ref.Adam(p), lambda p: torch.optim.Adam(p)),
        (
            lambda p: ref.Adam(p, 0.1, (0.5, 0.9), 0.01),
            lambda p: torch.optim.Adam(p, 0.1, (0.5, 0.9), 0.01),
        ),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_optimizers(mine, theirs, dtype):
    (w,) = draw(0, dtype, (3, 2))
    params = {"w": w.detach().numpy().copy()}
    ours, torchs = mine(params), theirs([w])
    for seed in range(20):
        (g,) = draw(seed, dtype, (3, 2))
        w.grad = g.detach()
        torchs.step()
        ours.step({"w": g.detach().numpy()})
    assert_agree([params["w"]], [w], dtype)


@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clipping(max_norm):
    params = [w.detach() for w in draw(0, torch.float64, (3, 2), (4,))]
    grads = {str(i): p.numpy().copy() for i, p in enumerate(params)}
    for p in params:
        p.grad = p.clone()
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
    assert ref.clip_by_norm(grads, max_norm) == pytest.approx(norm.item(), rel=1e-12)
    for i, p in enumerate(params):  # PyTorch adds 1e-6 to the norm before it divides
        assert relative_error(grads[str(i)], p.grad.numpy()) < 1e-6
