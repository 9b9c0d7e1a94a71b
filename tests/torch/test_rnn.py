"""NumPy reference, ours and torch.nn give the same outputs, states and gradients."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnncourse import reference
from rnncourse.reference import relative_error
from rnncourse.torch import RNN
from rnncourse.torch.rnn import HandDerived, recurrence

DEVICES = ["cpu", "cuda"]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}

CONFIG = {
    "T": st.integers(1, 9),
    "B": st.integers(1, 5),
    "I": st.integers(1, 6),
    "H": st.integers(1, 8),
    "layers": st.integers(1, 3),
    "bidirectional": st.booleans(),
    "nonlinearity": st.sampled_from(["tanh", "relu"]),
    "dtype": st.sampled_from([torch.float64, torch.float32]),
    "seed": st.integers(0, 2**31),
}


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return request.param


def three(I, H, layers, bidirectional, nonlinearity, dtype, seed):
    """Return reference, ours and torch.nn with the same weights."""
    rng = np.random.default_rng(seed)
    name = "float64" if dtype == torch.float64 else "float32"
    ref = reference.RNN(I, H, layers, nonlinearity, bidirectional, dtype=getattr(np, name), rng=rng)
    ours = RNN(I, H, layers, nonlinearity=nonlinearity, bidirectional=bidirectional, dtype=dtype)
    ours.load_state_dict({k: torch.from_numpy(v) for k, v in ref.state_dict().items()})
    theirs = nn.RNN(I, H, layers, nonlinearity=nonlinearity, bidirectional=bidirectional)
    theirs = theirs.to(dtype)
    theirs.load_state_dict(ours.state_dict())
    return ref, ours, theirs, rng


def close(a, b, dtype, what, scale=0.0):
    """Compare relative to the largest entry, or to ``scale`` if that is larger."""
    a, b = (v.detach().numpy() if isinstance(v, torch.Tensor) else v for v in (a, b))
    difference = relative_error(a, b) * max(np.abs(a).max(), np.abs(b).max())
    assert difference <= TOLERANCE[dtype] * max(np.abs(b).max(), scale), what


@given(**CONFIG, padded=st.booleans(), with_state=st.booleans())
def test_all_three_agree(
    T, B, I, H, layers, bidirectional, nonlinearity, dtype, seed, padded, with_state
):
    ref, ours, theirs, rng = three(I, H, layers, bidirectional, nonlinearity, dtype, seed)
    rows, D = layers * (1 + bidirectional), H * (1 + bidirectional)
    x = torch.tensor(rng.normal(size=(T, B, I)), dtype=dtype)
    h0 = torch.tensor(rng.normal(size=(rows, B, H)) * with_state, dtype=dtype)
    w_out = torch.tensor(rng.normal(size=(T, B, D)), dtype=dtype)
    w_n = torch.tensor(rng.normal(size=(rows, B, H)), dtype=dtype)
    lengths = rng.integers(1, T + 1, B) if padded else None
    if padded:
        lengths[rng.integers(B)] = T  # pad_packed_sequence gives back the longest length

    found = {}
    out, h_n = ref.forward(x.numpy(), h0.numpy(), lengths)
    dx, dh0 = ref.backward(w_out.numpy(), w_n.numpy())
    found["reference"] = {"out": out, "h_n": h_n, "dx": dx, "dh0": dh0, **ref.grads}
    for name, net in (("ours", ours), ("torch.nn", theirs)):
        x1, h1 = (v.clone().requires_grad_() for v in (x, h0))
        if padded:
            packed = pack_padded_sequence(x1, torch.tensor(lengths), enforce_sorted=False)
            packed_out, h_n = net(packed, h1 if with_state else None)
            out, _ = pad_packed_sequence(packed_out)
        else:
            out, h_n = net(x1, h1 if with_state else None)
        ((out * w_out).sum() + (h_n * w_n).sum()).backward()
        found[name] = {"out": out, "h_n": h_n, "dx": x1.grad}
        found[name] |= {k: p.grad for k, p in net.named_parameters()}
        if with_state:
            found[name]["dh0"] = h1.grad
    # A gradient is a sum over steps. Where its terms cancel to less than a tenth of the
    # gradients' size, float32 has lost those digits in every implementation.
    scale = max(v.abs().max().item() for v in found["torch.nn"].values()) / 10
    for what, value in found["torch.nn"].items():
        close(found["ours"][what], value, dtype, f"ours and torch.nn: {what}", scale)
        close(found["reference"][what], value, dtype, f"reference and torch.nn: {what}", scale)


@given(T=st.integers(1, 9), B=st.integers(1, 5), seed=st.integers(0, 999), both=st.booleans())
def test_lengths_equal_packing_and_padding_is_invisible(T, B, seed, both):
    torch.manual_seed(seed)
    net = RNN(3, 4, 2, bidirectional=both, dtype=torch.float64)
    lengths = torch.randint(1, T + 1, (B,))
    x = torch.randn(T, B, 3, dtype=torch.float64)
    for b, n in enumerate(lengths):
        x[n:, b] = float("nan")
    x.requires_grad_()
    out, h_n = net(x, lengths=lengths)
    out.square().sum().backward()
    assert out.shape == (T, B, 4 * (1 + both))
    for b, n in enumerate(lengths):
        x1 = x[:n, b : b + 1].detach().requires_grad_()
        one, one_n = net(x1)
        one.square().sum().backward()
        close(out[:n, b : b + 1], one, torch.float64, "out")
        close(h_n[:, b : b + 1], one_n, torch.float64, "h_n")
        close(x.grad[:n, b : b + 1], x1.grad, torch.float64, "dx")
        assert (out[n:, b] == 0).all()
        assert (x.grad[n:, b] == 0).all()


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6).map(lambda s: sorted(s)[::-1]),
    reverse=st.booleans(),
    nonlinearity=st.sampled_from(["tanh", "relu"]),
)
@settings(max_examples=30)
def test_first_and_second_derivatives(sizes, reverse, nonlinearity):
    torch.manual_seed(0)
    N, B, I, H = sum(sizes), sizes[0], 2, 3
    shapes = ((N, I), (B, H), (H, I), (H, H), (H,))
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]

    def run(*args):
        return HandDerived.apply(*args, sizes, nonlinearity, reverse)

    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)
    for a, b in zip(run(*inputs), recurrence(*inputs, sizes, nonlinearity, reverse), strict=True):
        close(a, b, torch.float64, "plain loop")


def test_dropout_draws_the_same_numbers_as_torch():
    theirs = nn.RNN(3, 5, 3, dropout=0.5, bidirectional=True)
    ours = RNN(3, 5, 3, dropout=0.5, bidirectional=True)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(6, 2, 3)
    outs = []
    for net in (ours, theirs):
        torch.manual_seed(1)
        outs.append(net(x)[0])
    close(outs[0], outs[1], torch.float32, "dropout")
    assert relative_error(ours.eval()(x)[0].detach().numpy(), outs[0].detach().numpy()) > 0.01


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_layouts(batch_first, bias):
    theirs = nn.RNN(3, 4, 2, batch_first=batch_first, bias=bias, bidirectional=True)
    ours = RNN(3, 4, 2, batch_first=batch_first, bias=bias, bidirectional=True)
    ours.load_state_dict(theirs.state_dict())
    for shape, state in (((5, 2, 3), (4, 5 if batch_first else 2, 4)), ((5, 3), (4, 4))):
        x, h0 = torch.randn(shape), torch.randn(state)
        for hx in (None, h0):
            for a, b in zip(ours(x, hx), theirs(x, hx), strict=True):
                assert a.shape == b.shape
                close(a, b, torch.float32, (shape, hx is None))


def test_on_each_device(device):
    theirs = nn.RNN(8, 16, 2, bidirectional=True, device=device)
    ours = RNN(8, 16, 2, bidirectional=True, device=device)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(20, 4, 8, device=device)
    grads = []
    for net in (ours, theirs):
        net(x)[0].square().sum().backward()
        grads.append([p.grad.cpu() for p in net.parameters()])
    for a, b in zip(*grads, strict=True):
        assert relative_error(a.numpy(), b.numpy()) < 1e-4


def test_no_gradient_is_recorded_without_need():
    net = RNN(3, 4)
    with torch.no_grad():
        out, h_n = net(torch.zeros(5, 2, 3))
    assert not out.requires_grad
    assert not h_n.requires_grad
    net.requires_grad_(False)
    x = torch.randn(5, 2, 3, requires_grad=True)
    net(x)[0].sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in net.parameters())


def test_writing_into_the_output_before_backward_is_refused():
    out, _ = RNN(3, 4)(torch.zeros(5, 2, 3))
    loss = out.sum()
    with torch.no_grad():
        out.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_it_can_be_copied_and_saved():
    net = RNN(3, 4, 2)
    twin = copy.deepcopy(net)
    x = torch.randn(5, 2, 3)
    assert torch.equal(net(x)[0], twin(x)[0])
    assert isinstance(net, nn.RNN)
    assert repr(net) == "RNN(3, 4, num_layers=2)"


X = torch.zeros(5, 2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n: n(X[None]), ValueError, r"input: expected 3 axes \(T, B, 3\), got 4 axes"),
        (lambda n: n(X[0, 0]), ValueError, r"input: expected 3 axes \(T, B, 3\), got 1 axes"),
        (
            lambda n: n(X[..., :2]),
            ValueError,
            r"input: expected shape \(T, B, 3\), got \(5, 2, 2\)",
        ),
        (lambda n: n(X[:0]), ValueError, "input: expected T of at least 1"),
        (lambda n: n(X[0, :0]), ValueError, "input: expected T of at least 1"),
        (lambda n: n(X.long()), TypeError, "input: expected dtype torch.float32 .* torch.int64"),
        (
            lambda n: n(X.double()),
            TypeError,
            "input: expected dtype torch.float32 .* torch.float64",
        ),
        (lambda n: n(X.numpy()), TypeError, "input: expected a Tensor .* got ndarray"),
        (lambda n: n(X, X), ValueError, r"hx: expected shape \(1, 2, 4\), got \(5, 2, 3\)"),
        (lambda n: n(X[0], X), ValueError, r"hx: expected 2 axes \(1, 4\), got 3 axes"),
        (lambda n: n(X, X[:1].double()), ValueError, r"hx: expected shape"),
        (
            lambda n: n(X, torch.zeros(1, 2, 4).double()),
            TypeError,
            "hx: expected dtype torch.float32",
        ),
        (
            lambda n: n(X, lengths=torch.tensor([5, 6])),
            ValueError,
            r"lengths\[1\]: expected at most T = 5, got 6",
        ),
        (
            lambda n: n(X, lengths=torch.tensor([0, 5])),
            ValueError,
            r"lengths\[0\]: expected at least 1, got 0",
        ),
        (lambda n: n(X, lengths=torch.tensor([5])), ValueError, "lengths: expected 2 lengths"),
        (
            lambda n: n(X, lengths=torch.tensor([1.5, 2])),
            TypeError,
            r"lengths\[0\]: expected a who",
        ),
        (
            lambda n: n(pack_padded_sequence(X, [5, 3]), lengths=torch.tensor([5, 3])),
            ValueError,
            "lengths: expected None with a PackedSequence",
        ),
        (
            lambda n: n(pack_padded_sequence(X[..., :2], [5, 3])),
            ValueError,
            r"input.data: expected shape \(N, 3\), got \(8, 2\)",
        ),
        (
            lambda n: n(pack_padded_sequence(X, [3, 5], enforce_sorted=False), X),
            ValueError,
            r"hx: expected shape \(1, 2, 4\), got",
        ),
    ],
)
def test_bad_input_names_argument_expected_and_got(call, error, message):
    with pytest.raises(error, match=message):
        call(RNN(3, 4))


@pytest.mark.parametrize(
    "make",
    [lambda: RNN(3, 4, nonlinearity="gelu"), lambda: RNN(3, 4, 1, "gelu")],
)
def test_unknown_nonlinearity(make):
    with pytest.raises(ValueError, match="nonlinearity: expected 'tanh' or 'relu', got 'gelu'"):
        make()


def test_proj_size_is_refused():
    with pytest.raises(ValueError, match="proj_size"):
        RNN(3, 4, proj_size=2)
