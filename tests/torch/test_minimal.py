"""Layers with a linear recurrence: parallel equals step by step, and padding is invisible.

The state-space layer is one of them: what it shares with minGRU and minLSTM is tested here, what
is its own in ``test_state_space``.
"""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import forward_ad

from rnncourse.torch.minimal import LinearRecurrent, MinGRU, MinLSTM
from rnncourse.torch.state_space import StateSpace
from tests.torch.agreement import close

minimal = pytest.mark.parametrize("cls", [MinGRU, MinLSTM])
every = pytest.mark.parametrize("cls", [MinGRU, MinLSTM, StateSpace])
SIZES = {"T": st.integers(1, 40), "B": st.integers(1, 4), "I": st.integers(1, 5)}
SIZES |= {"H": st.integers(1, 6), "seed": st.integers(0, 2**31)}


def make(cls, I, H, dtype=torch.float64, **settings):
    """Return a layer and the dtype of its states."""
    net = cls(I, H, dtype=dtype, **settings)
    return net, dtype.to_complex() if cls is StateSpace else dtype


@every
@given(**SIZES, batch_first=st.booleans(), with_state=st.booleans())
def test_parallel_equals_step_by_step(cls, T, B, I, H, seed, batch_first, with_state):
    torch.manual_seed(seed)
    net, states = make(cls, I, H, batch_first=batch_first)
    x, h0 = torch.randn(T, B, I, dtype=torch.float64), torch.randn(1, B, H, dtype=states)
    out, h_n = net(x.transpose(0, 1) if batch_first else x, h0 if with_state else None)
    h = h0[0] if with_state else None
    for x_t, out_t in zip(x, out.transpose(0, 1) if batch_first else out, strict=True):
        y, h = net.step(x_t, h)
        close(out_t, y, torch.float64, "out")
    close(h_n[0], h, torch.float64, "h_n")


@every
@given(**SIZES, data=st.data())
def test_pieces_with_the_state_handed_over_are_one_pass(cls, T, B, I, H, seed, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, T), max_size=4)) | {0, T})
    torch.manual_seed(seed)
    net, _ = make(cls, I, H)
    x = torch.randn(T, B, I, dtype=torch.float64)
    expected, h_n = net(x)
    h, pieces = None, []
    for start, stop in pairwise(cuts):
        out, h = net(x[start:stop], h)
        pieces.append(out)
    close(torch.cat(pieces), expected, torch.float64, "out")
    close(h, h_n, torch.float64, "h_n")


@every
@given(**SIZES, data=st.data())
def test_later_inputs_do_not_reach_earlier_outputs(cls, T, B, I, H, seed, data):
    t = data.draw(st.integers(1, T))
    torch.manual_seed(seed)
    net, _ = make(cls, I, H)
    x = torch.randn(T, B, I, dtype=torch.float64)
    expected, _ = net(x)
    x[t:] = torch.nan
    assert torch.equal(net(x)[0][:t], expected[:t])


@every
def test_transforms_of_torch_func_and_forward_mode(cls):
    net, _ = make(cls, 3, 4)
    x, dx = torch.randn(2, 5, 2, 3, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    net(leaf)[0].square().sum().backward()

    def loss(x):
        return net(x)[0].square().sum()

    close(torch.func.grad(loss)(x), leaf.grad, torch.float64, "grad")
    close(torch.func.jvp(loss, (x,), (dx,))[1], (leaf.grad * dx).sum(), torch.float64, "jvp")
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(loss(forward_ad.make_dual(x, dx))).tangent
    close(tangent, (leaf.grad * dx).sum(), torch.float64, "forward mode")
    outs = torch.func.vmap(lambda x: net(x)[0])(torch.stack((x, dx)))
    for data, out in zip((x, dx), outs, strict=True):
        close(out, net(data)[0], torch.float64, "vmap")


@every
def test_autocast(cls):
    torch.manual_seed(0)
    net, states = make(cls, 3, 4, torch.float32)
    x, hx = torch.randn(5, 2, 3), torch.randn(1, 2, 4, dtype=states)
    exact, h_n = net(x, hx)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for data in (x, x.bfloat16()):
            out, end = net(data, hx)
            assert (out.float() - exact).abs().max() < 0.05
            assert (end - h_n).abs().max() < 0.05
            h = hx[0]
            for x_t, out_t in zip(data, exact, strict=True):
                y, h = net.step(x_t, h)
                assert (y.float() - out_t).abs().max() < 0.05
    out.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in net.parameters())


@every
@pytest.mark.parametrize("batch_first", [False, True])
def test_padding_and_neighbors_are_invisible(cls, batch_first):
    torch.manual_seed(0)
    net, states = make(cls, 3, 4, batch_first=batch_first)
    lengths = torch.tensor([7, 3, 1], dtype=torch.uint8)
    x = torch.randn(7, 3, 3, dtype=torch.float64)
    hx = torch.randn(1, 3, 4, dtype=states)

    def run(padding, chosen=slice(None)):
        leaf, longest = x.clone(), int(lengths[chosen].max())
        for b, n in enumerate(lengths):
            leaf[n:, b] = padding
        leaf = leaf[:longest, chosen].requires_grad_()
        start = hx[:, chosen].clone().requires_grad_()
        out, h_n = net(leaf.transpose(0, 1) if batch_first else leaf, start, lengths[chosen])
        net.zero_grad()
        (out.square().sum() + h_n.abs().square().sum()).backward()
        out = out.transpose(0, 1) if batch_first else out
        return [out, h_n.transpose(0, 1), leaf.grad, start.grad.transpose(0, 1)], [
            p.grad.clone() for p in net.parameters()
        ]

    values, grads = run(0.0)
    assert all((values[0][n:, b] == 0).all() for b, n in enumerate(lengths))
    for padding in (1e30, torch.inf, torch.nan):
        again, grads_again = run(padding)
        for a, b in zip(values + grads, again + grads_again, strict=True):
            assert torch.equal(a, b)
    total = [torch.zeros_like(g) for g in grads]
    for b, n in enumerate(lengths):
        (out, h_n, dx, dh0), some = run(0.0, slice(b, b + 1))
        close(out, values[0][:n, b : b + 1], torch.float64, "out")
        close(h_n, values[1][b : b + 1], torch.float64, "h_n")
        close(dx, values[2][:n, b : b + 1], torch.float64, "dx")
        close(dh0, values[3][b : b + 1], torch.float64, "dh0")
        total = [g + s for g, s in zip(total, some, strict=True)]
    for found, expected in zip(total, grads, strict=True):
        close(found, expected, torch.float64, "a parameter's gradient")


@every
def test_gradients_are_central_differences(cls):
    torch.manual_seed(0)
    net, states = make(cls, 2, 3)
    x = torch.randn(5, 2, 2, dtype=torch.float64, requires_grad=True)
    h0 = torch.randn(1, 2, 3, dtype=states, requires_grad=True)
    names, values = zip(*net.named_parameters(), strict=True)

    def run(x, h0, *values):
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(net, given, (x, h0, torch.tensor([5, 3])))

    assert torch.autograd.gradcheck(run, (x, h0, *values))
    assert torch.autograd.gradgradcheck(run, (x, h0, *values))


@every
def test_lengths_come_by_name_or_place_as_tensor_or_list(cls):
    net, states = make(cls, 3, 4)
    x, hx = torch.randn(5, 2, 3, dtype=torch.float64), torch.randn(1, 2, 4, dtype=states)
    expected = net(x, hx, torch.tensor([5, 3]))[0]
    for lengths in ([5, 3], (5, 3)):
        assert torch.equal(net(x, hx, lengths)[0], expected)
        assert torch.equal(net(x, hx, lengths=lengths)[0], expected)


@every
def test_weights_may_be_any_tensors(cls):
    net, _ = make(cls, 3, 4)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    expected, h = net(x)
    step = net.step(x[0], h[0])[0]
    for module in net.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            setattr(module, name, p * 1)
    assert not list(net.parameters())
    assert torch.equal(net(x)[0], expected)
    assert torch.equal(net.step(x[0], h[0])[0], step)


@every
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_on_each_device(cls, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    torch.manual_seed(0)
    net, _ = make(cls, 3, 4, torch.float32)
    x, lengths = torch.randn(9, 2, 3), torch.tensor([9, 4])
    expected = net(x, lengths=lengths)
    net, x, lengths = net.to(device), x.to(device), lengths.to(device)
    for found, value in zip(net(x, lengths=lengths), expected, strict=True):
        assert found.device.type == device
        torch.testing.assert_close(found.cpu(), value, rtol=1e-4, atol=1e-5)
    assert cls(3, 4, device=device)(x)[0].device.type == device


def test_the_equations():
    x, h = torch.randn(3, 4), torch.randn(3, 5)
    gru, lstm = MinGRU(4, 5), MinLSTM(4, 5, bias=False)
    z, c = gru.linear(x).chunk(2, -1)
    z = torch.sigmoid(z)
    torch.testing.assert_close(gru.step(x, h)[1], (1 - z) * h + z * c)
    f, i, c = lstm.linear(x).chunk(3, -1)
    f, i = torch.sigmoid(f), torch.sigmoid(i)
    torch.testing.assert_close(lstm.step(x, h)[1], f / (f + i) * h + i / (f + i) * c)


@minimal
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e2, 1e4, 1e30])
def test_no_overflow_at_any_gate_value(cls, size):
    torch.manual_seed(0)
    net = cls(3, 4)
    with torch.no_grad():
        net.linear.weight[:-4] *= size  # the gates, not the candidate
    x = torch.randn(100, 2, 3, requires_grad=True)
    out, _ = net(x)
    assert out.abs().max() <= net.linear(x)[..., -4:].abs().max()  # a mean of candidates
    out.sum().backward()
    assert net.linear.weight.grad.isfinite().all()


X = torch.zeros(5, 2, 3)


@every
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n: n(X[0]), ValueError, r"input: expected 3 axes \(T, B, 3\)"),
        (lambda n: n(X[:0]), ValueError, "input: expected T of at least 1"),
        (
            lambda n: n(X.double()),
            TypeError,
            "input: expected dtype torch.float32, got torch.float64",
        ),
        (lambda n: n(X.tolist()), TypeError, "input: expected torch.Tensor, got list"),
        (lambda n: n(X, torch.zeros(2, 4)), ValueError, "hx: expected 3 axes"),
        (lambda n: n(X, torch.zeros(1, 2, 4).double()), TypeError, "hx: expected dtype"),
        (lambda n: n(X, lengths=3), TypeError, "lengths: expected one number per sequence, got 3"),
        (
            lambda n: n(X, lengths=torch.tensor([5])),
            ValueError,
            "lengths: expected 2 lengths, one per sequence, got 1",
        ),
        (
            lambda n: n(X, lengths=torch.tensor([6, 1])),
            ValueError,
            r"lengths\[0\]: expected at most T = 5, got 6",
        ),
        (
            lambda n: n(X, lengths=torch.tensor([5.0, 1.0])),
            TypeError,
            r"lengths\[0\]: expected a whole number",
        ),
        (lambda n: n.step(X[0, :, :2]), ValueError, r"x: expected shape \(B, 3\)"),
        (lambda n: n.step(X[0].double()), TypeError, "x: expected dtype torch.float32"),
        (lambda n: n.step(X[0], torch.zeros(1, 4)), ValueError, "h: expected shape"),
        (lambda n: n.step(X[0], torch.zeros(2, 4).double()), TypeError, "h: expected dtype"),
    ],
)
def test_bad_input(cls, call, error, message):
    with pytest.raises(error, match=message):
        call(cls(3, 4))


@every
def test_bad_size(cls):
    with pytest.raises(ValueError, match="hidden_size: expected at least 1, got 0"):
        cls(3, 0)


def test_a_layer_says_what_it_keeps():
    with pytest.raises(NotImplementedError):
        LinearRecurrent(3, 4, batch_first=False).coefficients(X)
    with pytest.raises(NotImplementedError):
        LinearRecurrent(3, 4, batch_first=False)(X)


@minimal
def test_there_is_a_bias_unless_told_otherwise(cls):
    assert cls(3, 4).linear.bias is not None
    assert cls(3, 4, False).linear.bias is None


@every
def test_all_weights_are_on_the_device_and_of_the_dtype(cls):
    net = cls(3, 4, device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in net.parameters()} == {("meta", torch.float64)}
