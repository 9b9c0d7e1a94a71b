"""RNN, GRU and LSTM: ours and torch.nn give the same outputs, states and gradients."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
)

from rnncourse.torch import GRU, LSTM, RNN, layers
from rnncourse.torch.steps import Steps, by_hand, recurrence
from tests.torch.agreement import TOLERANCE, all_close, close

CELLS = {
    "tanh": (RNN, nn.RNN, {}),
    "relu": (RNN, nn.RNN, {"nonlinearity": "relu"}),
    "GRU": (GRU, nn.GRU, {}),
    "LSTM": (LSTM, nn.LSTM, {}),
}
each_cell = pytest.mark.parametrize("cell", CELLS)


def pair(cell, *args, kernel="hand-derived", **kwargs):
    """Return our layer and that of torch.nn with the same weights."""
    ours, theirs, more = CELLS[cell]
    ours, theirs = ours(*args, kernel=kernel, **more, **kwargs), theirs(*args, **more, **kwargs)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def state(cell, *shape, dtype=torch.float32):
    """Return a random initial state: one tensor, for an LSTM a pair."""
    drawn = tuple(torch.randn(shape, dtype=dtype) for _ in range(1 + (cell == "LSTM")))
    return drawn if cell == "LSTM" else drawn[0]


def listed(states):
    return list(states) if isinstance(states, tuple) else [states]


def train(net, x, hx, pack=lambda x: x):
    """Return outputs, states and all gradients of a random weighted sum of both."""
    torch.manual_seed(1)
    x = x.clone().requires_grad_()
    if hx is not None:
        leaves = [h.clone().requires_grad_() for h in listed(hx)]
        hx = tuple(leaves) if isinstance(hx, tuple) else leaves[0]
    out, last = net(pack(x), hx)
    out = pad_packed_sequence(out)[0] if isinstance(out, PackedSequence) else out
    found = {"out": out, **{f"last {k}": s for k, s in enumerate(listed(last))}}
    sum((v * torch.randn(v.shape, dtype=v.dtype)).sum() for v in found.values()).backward()
    found |= {name: p.grad for name, p in net.named_parameters()} | {"dx": x.grad}
    if hx is not None:
        found |= {f"d initial {k}": h.grad for k, h in enumerate(leaves)}
    return found


@each_cell
@given(
    T=st.integers(1, 9),
    B=st.integers(1, 5),
    I=st.integers(1, 6),
    H=st.integers(1, 8),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    dtype=st.sampled_from(list(TOLERANCE)),
    padded=st.booleans(),
    with_state=st.booleans(),
    kernel=st.sampled_from(["hand-derived", "hand-derived", "auto"]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=50)
def test_same_numbers_as_torch(
    cell, T, B, I, H, layers, bidirectional, bias, dtype, padded, with_state, kernel, seed
):
    torch.manual_seed(seed)
    config = {"bidirectional": bidirectional, "bias": bias, "dtype": dtype}
    ours, theirs = pair(cell, I, H, layers, kernel=kernel, **config)
    x = torch.randn(T, B, I, dtype=dtype)
    hx = state(cell, layers * (1 + bidirectional), B, H, dtype=dtype) if with_state else None
    lengths = torch.randint(1, T + 1, (B,))

    def pack(x):
        return pack_padded_sequence(x, lengths, enforce_sorted=False) if padded else x

    all_close(train(ours, x, hx, pack), train(theirs, x, hx, pack), dtype)


@each_cell
def test_long_sequences_of_unequal_length_go_through_time_in_chunks(cell, monkeypatch):
    monkeypatch.setattr("rnncourse.torch.steps.CHUNK", 200)
    torch.manual_seed(0)
    ours, theirs = pair(cell, 3, 5, bidirectional=True, dtype=torch.float64)
    x = [torch.randn(n, 3, dtype=torch.float64) for n in (40, 40, 33, 33, 33, 7, 1)]
    for sequences in (x, x[:2]):
        data = pad_sequence(sequences)
        pack = partial(pack_padded_sequence, lengths=[len(s) for s in sequences])
        all_close(train(ours, data, None, pack), train(theirs, data, None, pack), torch.float64)


@each_cell
@pytest.mark.parametrize("kernel", ["hand-derived", "torch"])
@given(T=st.integers(1, 9), B=st.integers(1, 5), seed=st.integers(0, 999), both=st.booleans())
@settings(max_examples=20)
def test_lengths_equal_packing_and_padding_is_invisible(cell, kernel, T, B, seed, both):
    torch.manual_seed(seed)
    net, _ = pair(cell, 3, 4, 2, bidirectional=both, dtype=torch.float64, kernel=kernel)
    lengths = torch.randint(1, T + 1, (B,))
    x = torch.randn(T, B, 3, dtype=torch.float64)
    for b, n in enumerate(lengths):
        x[n:, b] = float("nan")
    x.requires_grad_()
    out, last = net(x, lengths=lengths)
    out.square().sum().backward()
    assert out.shape == (T, B, 4 * (1 + both))
    for b, n in enumerate(lengths):
        x1 = x[:n, b : b + 1].detach().requires_grad_()
        one, one_last = net(x1)
        one.square().sum().backward()
        close(out[:n, b : b + 1], one, torch.float64, "out")
        close(x.grad[:n, b : b + 1], x1.grad, torch.float64, "dx")
        for s, one_s in zip(listed(last), listed(one_last), strict=True):
            close(s[:, b : b + 1], one_s, torch.float64, "last")
        assert (out[n:, b] == 0).all()
        assert (x.grad[n:, b] == 0).all()


@each_cell
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5).map(lambda s: sorted(s)[::-1]),
    reverse=st.booleans(),
)
@settings(max_examples=10)
def test_first_and_second_derivatives(cell, sizes, reverse):
    torch.manual_seed(0)
    (N, B, I, H), steps = (sum(sizes), sizes[0], 2, 3), Steps(sizes, reverse)
    net, _ = pair(cell, I, H, dtype=torch.float64)
    states = [(B, H)] * len(net.state_names)
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in [(N, I), *states]]
    inputs += [torch.randn_like(w).requires_grad_() for w in net.parameters()]
    run = partial(by_hand, net._cell, steps)
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)
    for a, b in zip(run(*inputs), recurrence(net._cell, steps, *inputs), strict=True):
        close(a, b, torch.float64, "plain loop")


@each_cell
@pytest.mark.parametrize(
    ("kernel", "dtype"), [("hand-derived", torch.float64), ("auto", torch.float32)]
)
def test_second_derivative_where_two_weights_are_one_tensor(cell, kernel, dtype):
    ours, theirs = pair(cell, 3, 3, dtype=torch.float64, kernel="hand-derived")
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    ours.kernel = kernel
    found = []
    for net in (ours, theirs):
        torch.manual_seed(0)
        net.weight_hh_l0 = net.weight_ih_l0
        x = torch.randn(4, 2, 3, dtype=torch.float64).to(dtype).requires_grad_()
        (dx,) = torch.autograd.grad(net(x)[0].sum(), x, create_graph=True)
        dx.square().sum().backward()
        found.append({"dx": x.grad, "dw": net.weight_ih_l0.grad})
    all_close(*found, dtype)


@each_cell
@pytest.mark.parametrize("wanted", ["x", "h", "weight_ih_l0", "weight_hh_l0", "bias_hh_l0"])
def test_only_what_is_needed(cell, wanted):
    found = []
    for net in pair(cell, 3, 4, dtype=torch.float64):
        torch.manual_seed(0)
        net.requires_grad_(False)
        x = torch.randn(5, 2, 3, dtype=torch.float64)
        hx = state(cell, 1, 2, 4, dtype=torch.float64)
        leaf = {"x": x, "h": listed(hx)[-1]}.get(wanted)
        leaf = getattr(net, wanted) if leaf is None else leaf
        leaf.requires_grad_()
        _, last = net(x, hx)  # of the final state alone
        listed(last)[-1].square().sum().backward()
        found.append({wanted: leaf.grad})
    all_close(*found, torch.float64)


@each_cell
def test_dropout_draws_the_same_numbers_as_torch(cell):
    ours, theirs = pair(cell, 3, 5, 3, dropout=0.5, bidirectional=True)
    x = torch.randn(6, 2, 3)
    outs = []
    for net in (ours, theirs):
        torch.manual_seed(1)
        outs.append(net(x)[0])
    close(*outs, torch.float32, "dropout")
    assert not torch.allclose(ours.eval()(x)[0], outs[0])


@each_cell
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kernel", ["hand-derived", "torch"])
def test_layouts(cell, batch_first, kernel):
    ours, theirs = pair(cell, 3, 4, 2, batch_first=batch_first, bidirectional=True, kernel=kernel)
    for shape, rest in (((5, 2, 3), (4, 5 if batch_first else 2, 4)), ((5, 3), (4, 4))):
        x = torch.randn(shape)
        for hx in (None, state(cell, *rest)):
            (out, last), (out2, last2) = ours(x, hx), theirs(x, hx)
            for a, b in zip([out, *listed(last)], [out2, *listed(last2)], strict=True):
                close(a, b, torch.float32, (shape, hx is None))


@each_cell
@pytest.mark.parametrize("kernel", ["hand-derived", "auto"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_on_each_device(cell, kernel, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    ours, theirs = pair(cell, 8, 16, 2, bidirectional=True, device=device, kernel=kernel)
    x, grads = torch.randn(20, 4, 8, device=device), []
    for net in (ours, theirs):
        net(x)[0].square().sum().backward()
        grads.append(torch.cat([p.grad.flatten() for p in net.parameters()]).cpu())
    assert (grads[0] - grads[1]).abs().max() < 1e-4 * grads[1].abs().max()


@each_cell
def test_no_gradient_is_recorded_without_need(cell):
    net, _ = pair(cell, 3, 4)
    with torch.no_grad():
        out, last = net(torch.zeros(5, 2, 3))
    assert not any(v.requires_grad for v in (out, *listed(last)))
    net.requires_grad_(False)
    x = torch.randn(5, 2, 3, requires_grad=True)
    net(x)[0].sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in net.parameters())


@each_cell
@pytest.mark.parametrize("kernel", ["auto", "hand-derived", "torch"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_an_empty_batch(cell, kernel, batch_first, with_state):
    nets = pair(cell, 3, 4, 2, batch_first=batch_first, bidirectional=True, kernel=kernel)
    x = torch.zeros((0, 9, 3) if batch_first else (9, 0, 3))
    hx = state(cell, 4, 0, 4) if with_state else None
    found, expected = (train(net, x, hx) for net in nets)
    assert found.keys() == expected.keys()
    for what, value in expected.items():
        assert torch.equal(found[what], value), what  # of the weights' gradients: zeros
    assert nets[0].kernel_for(x) == "torch"
    with torch.no_grad():
        assert nets[0](x, hx)[0].shape == expected["out"].shape
        assert nets[0](x, hx, lengths=[])[0].shape == expected["out"].shape
    with pytest.raises(ValueError, match="expected shape"):
        nets[0](x, state(cell, 4, 1, 4))


@each_cell
def test_kernel_for_refuses_an_input_without_steps(cell):
    net, _ = pair(cell, 3, 4)
    with pytest.raises(ValueError, match=r"expected at least one step, got shape \(0, 2, 3\)"):
        net.kernel_for(torch.zeros(0, 2, 3))


def negated(x):
    """Return x as a view of -x that PyTorch negates only when it is read."""
    view = torch.complex(torch.zeros_like(x), -x).conj().imag
    assert view.is_neg()
    return view


@each_cell
@pytest.mark.parametrize("kernel", ["auto", "hand-derived"])
def test_gradients_may_be_negated_views(cell, kernel):
    """As those are that come from the conjugate of a complex number."""

    def loss(net):
        out, last = net(x)
        found = 0.0
        for value in (out, *listed(last)):
            z = torch.complex(torch.zeros_like(value), value).conj()
            w = torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
            found = found + (z * torch.complex(torch.ones_like(w), w)).real.sum()
        return found

    torch.manual_seed(0)
    x, found = torch.randn(10, 2, 3), []
    for net in pair(cell, 3, 4, 2, bidirectional=True, kernel=kernel):
        loss(net).backward()
        found.append({name: p.grad for name, p in net.named_parameters()})
    all_close(*found, torch.float32)


@each_cell
@pytest.mark.parametrize("kernel", ["auto", "hand-derived"])
def test_inputs_states_and_weights_may_be_negated_views(cell, kernel):
    torch.manual_seed(0)
    ours, theirs = pair(cell, 3, 4, kernel=kernel)
    hx = state(cell, 1, 2, 4)
    lazy = tuple(map(negated, hx)) if cell == "LSTM" else negated(hx)
    x = torch.randn(10, 2, 3)
    with torch.no_grad():
        close(ours(negated(x), lazy)[0], theirs(x, hx)[0], torch.float32, "out")
    found = train(ours, negated(x), lazy)
    all_close(found, train(theirs, x, hx), torch.float32)
    ours.flatten_parameters = lambda: None
    for name, p in theirs.named_parameters():
        delattr(ours, name)
        setattr(ours, name, negated(p.detach()).requires_grad_())
    ours(negated(x), lazy)[0].sum().backward()
    theirs.zero_grad()
    theirs(x, hx)[0].sum().backward()
    names = [name for name, _ in theirs.named_parameters()]
    grads = ({name: getattr(net, name).grad for name in names} for net in (ours, theirs))
    all_close(*grads, torch.float32)


@each_cell
def test_backward_twice_gives_the_same(cell):
    net, _ = pair(cell, 3, 4)
    out = net(torch.randn(5, 2, 3))[0].square().sum()
    out.backward(retain_graph=True)
    once = net.weight_hh_l0.grad.clone()
    out.backward()
    assert torch.equal(net.weight_hh_l0.grad, 2 * once)


@each_cell
def test_writing_into_the_output_before_backward_is_refused(cell):
    out, _ = pair(cell, 3, 4)[0](torch.zeros(5, 2, 3))
    loss = out.sum()
    with torch.no_grad():
        out.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@each_cell
@pytest.mark.parametrize("kernel", ["hand-derived", "torch"])
def test_lengths_come_by_name_or_place_as_tensor_or_list(cell, kernel):
    net, _ = pair(cell, 3, 4, kernel=kernel)
    x, hx = torch.randn(5, 2, 3), state(cell, 1, 2, 4)
    expected = net(x, hx, torch.tensor([5, 3]))[0]
    for lengths in ([5, 3], (5, 3), torch.tensor([5, 3], dtype=torch.uint8), np.array([5, 3])):
        assert torch.equal(net(x, hx, lengths)[0], expected)
        assert torch.equal(net(x, hx, lengths=lengths)[0], expected)


@each_cell
@pytest.mark.parametrize("kernel", ["auto", "hand-derived", "torch"])
def test_lengths_whatever_the_default_device_is(cell, kernel):
    net, _ = pair(cell, 3, 4, kernel=kernel)
    x = torch.randn(9, 2, 3)
    expected = net(x, lengths=[9, 3])[0]
    with torch.device("meta"):
        found = net(x, lengths=[9, 3])[0]
        found.sum().backward()
    assert torch.equal(found, expected)
    assert net.weight_hh_l0.grad is not None


@each_cell
@pytest.mark.parametrize("kernel", ["auto", "hand-derived", "torch"])
def test_weights_may_be_any_tensors(cell, kernel):
    """As another network computes them, or as ``DataParallel`` hands them to its replicas."""
    found = []
    for net in pair(cell, 3, 4, 2, kernel=kernel):
        net.flatten_parameters = lambda: None
        leaves = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}
        for name in leaves:
            delattr(net, name)
        for name, leaf in leaves.items():
            setattr(net, name, 2 * leaf)
        torch.manual_seed(0)
        out, last = net(torch.randn(9, 2, 3))
        grads = torch.autograd.grad(out.square().sum(), list(leaves.values()))
        found.append({"out": out, "last": listed(last)[0], **dict(zip(leaves, grads, strict=True))})
    all_close(*found, torch.float32)


@each_cell
def test_replicas_of_data_parallel_work(cell):
    for net in pair(cell, 3, 4, kernel="auto"):
        for T in (1, 9):
            replica = net._replicate_for_data_parallel()
            for name, p in net.named_parameters():
                replica._parameters.pop(name, None)
                setattr(replica, name, p * 1)  # no parameter, but it has a gradient
            assert not list(replica.parameters())
            x = torch.randn(T, 2, 3)
            out = replica(x)[0]
            close(out, net(x)[0], torch.float32, "out")
            net.zero_grad()
            out.sum().backward()
            assert net.weight_hh_l0.grad is not None
            with torch.no_grad():
                replica(x)


@each_cell
@pytest.mark.parametrize("bias", [True, False])
def test_from_torch_shares_the_weights(cell, bias):
    ours, theirs, more = CELLS[cell]
    settings = {"bidirectional": True, "batch_first": True, "dropout": 0.3, "bias": bias}
    module = theirs(3, 4, 2, dtype=torch.float64, **settings, **more).eval()
    module.weight_hh_l0.requires_grad_(False)
    net = ours.from_torch(module, kernel="hand-derived")
    assert type(net) is ours
    assert net.kernel == "hand-derived"
    assert net.mode == module.mode
    assert repr(net).startswith(repr(module)[:-1])
    assert not net.training
    assert [(n, id(p)) for n, p in net.named_parameters()] == [
        (n, id(p)) for n, p in module.named_parameters()
    ]
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    close(net(x)[0], module(x)[0], torch.float64, "out")
    assert ours.from_torch(module.train()).training
    copy_of = ours.from_torch(net)
    assert copy_of.kernel == "auto"
    assert copy_of.weight_ih_l0 is module.weight_ih_l0


def test_from_torch_refuses_what_is_no_such_layer():
    with pytest.raises(TypeError, match=r"module: expected torch.nn.GRU, got LSTM"):
        GRU.from_torch(nn.LSTM(3, 4))
    with pytest.raises(TypeError, match=r"module: expected torch.nn.RNN, got Linear"):
        RNN.from_torch(nn.Linear(3, 4))
    with pytest.raises(ValueError, match=r"proj_size: expected 0 .*, got 2"):
        LSTM.from_torch(nn.LSTM(3, 4, proj_size=2))
    normed = nn.utils.parametrizations.weight_norm(nn.GRU(3, 4), "weight_hh_l0")
    with pytest.raises(ValueError, match=r"module: expected the parameters .*weight_hh_l0.*, got"):
        GRU.from_torch(normed)


@each_cell
def test_arguments_stand_in_the_order_of_torch(cell):
    ours, theirs, more = CELLS[cell]
    place = [more["nonlinearity"]] if more else ["tanh"] if ours is RNN else []
    args = [3, 4, 2, *place, False, True, 0.5, True]
    assert repr(ours(*args)) == repr(theirs(*args))
    meta = [0] * (ours is LSTM) + ["meta", torch.float64]
    assert ours(*args, *meta).weight_ih_l0.is_meta
    assert ours(*args, *meta).weight_ih_l0.dtype == torch.float64
    with pytest.raises(TypeError, match="unexpected keyword argument 'layers'"):
        ours(3, 4, layers=2)


@each_cell
@pytest.mark.parametrize("kernel", ["auto", "hand-derived", "torch"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_many_gradients_at_once(cell, kernel, bidirectional):
    net, _ = pair(cell, 3, 4, kernel=kernel, dtype=torch.float64, bidirectional=bidirectional)
    x = torch.randn(9, 2, 3, dtype=torch.float64, requires_grad=True)
    wanted = (x, *net.parameters())
    out, last = net(x)
    for value in (out, listed(last)[-1]):
        grads = torch.randn(3, *value.shape, dtype=torch.float64)
        found = torch.autograd.grad(
            value, wanted, grads, is_grads_batched=True, retain_graph=True, allow_unused=True
        )
        for k, grad in enumerate(grads):
            expected = torch.autograd.grad(
                value, wanted, grad, retain_graph=True, allow_unused=True
            )
            for many, one in zip(found, expected, strict=True):
                close(many[k], one, torch.float64, "gradient")


@each_cell
@pytest.mark.parametrize("kernel", ["auto", "hand-derived"])
def test_a_jacobian_in_one_go(cell, kernel):
    net, theirs = pair(cell, 3, 4, kernel=kernel, dtype=torch.float64)
    x = torch.randn(9, 2, 3, dtype=torch.float64)
    jacobian = partial(torch.autograd.functional.jacobian, vectorize=True)
    expected = jacobian(lambda x: theirs(x)[0], x)
    close(jacobian(lambda x: net(x)[0], x), expected, torch.float64, "jacobian")
    out, vjp = net(leaf := x.clone().requires_grad_())[0], torch.autograd.grad
    rows = torch.eye(out.numel(), dtype=torch.float64).view(-1, *out.shape)
    found = torch.func.vmap(lambda row: vjp(out, leaf, row, retain_graph=True)[0])(rows)
    close(found.view(*out.shape, *x.shape), expected, torch.float64, "vmap")


@each_cell
def test_it_can_be_copied_and_is_a_layer_of_torch(cell):
    net, theirs = pair(cell, 3, 4, 2, kernel="auto")
    x = torch.randn(5, 2, 3)
    assert torch.equal(net(x)[0], copy.deepcopy(net)(x)[0])
    assert isinstance(net, type(theirs))
    assert repr(net) == f"{type(net).__name__}({theirs.extra_repr()})"
    net.kernel = "torch"
    assert repr(net).endswith(", kernel='torch')")


def passes(monkeypatch):
    """Return a list that grows with each run of the hand-derived pass."""
    ran, run = [], layers.by_hand
    monkeypatch.setattr(layers, "by_hand", lambda *args: ran.append("by hand") or run(*args))
    return ran


@each_cell
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kernel", ["auto", "hand-derived", "torch"])
def test_the_pass_that_is_announced_runs(cell, grad, packed, kernel, monkeypatch):
    ran = passes(monkeypatch)
    net, _ = pair(cell, 3, 4, kernel=kernel)
    for T in (1, 9, 200):
        x = torch.randn(T, 2, 3)
        for data in [pack_sequence([x[:, 0]])] if packed else [x, x[:, 0]]:
            with torch.set_grad_enabled(grad):
                announced = net.kernel_for(data)
                net(data)
            assert announced in ({"hand-derived", "torch"} if kernel == "auto" else {kernel})
            assert bool(ran) == (announced == "hand-derived")
            ran.clear()


@each_cell
@pytest.mark.parametrize("batch_first", [True, False])
def test_the_default_trains_by_hand_where_that_is_faster(cell, batch_first):
    dtype = torch.float64 if cell == "LSTM" else torch.float32  # in float32 oneDNN has an LSTM
    net, _ = pair(cell, 3, 4, kernel="auto", batch_first=batch_first, dtype=dtype)
    for T, kernel in ((1, "torch"), (7, "torch"), (8, "hand-derived"), (300, "hand-derived")):
        x = torch.zeros((9, T, 3) if batch_first else (T, 9, 3), dtype=dtype)
        assert net.kernel_for(x) == net.kernel_for(x[:, 0] if not batch_first else x[0]) == kernel
        assert net.kernel_for(pack_sequence([x[0] if batch_first else x[:, 0]])) == kernel
    net.requires_grad_(False)
    assert net.kernel_for(x[:, :8] if batch_first else x[:8]) == "torch"  # nothing to train
    assert net.kernel_for(x.requires_grad_()) == "hand-derived"
    net.weight_hh_l0.requires_grad_()
    assert net.kernel_for(x.detach()) == "hand-derived"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net.kernel_for(x) == "torch"
    assert net.kernel_for(x.to("meta")) == "torch"


def test_without_onednn_the_lstm_trains_by_hand(monkeypatch):
    net, x = LSTM(3, 4), torch.zeros(9, 2, 3)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert net.kernel_for(x) == "torch"
    assert net.kernel_for(pack_sequence([x[:, 0]])) == "hand-derived"
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert net.kernel_for(x) == "hand-derived"


@each_cell
def test_an_unknown_kernel_is_refused(cell):
    with pytest.raises(ValueError, match=r"kernel: .* got 'slow'"):
        pair(cell, 3, 4, kernel="slow")
    net, _ = pair(cell, 3, 4)
    net.kernel = "fast"
    for grad in (False, True):
        with (
            pytest.raises(ValueError, match="kernel: expected 'auto' or"),
            torch.set_grad_enabled(grad),
        ):
            net(X)


@each_cell
def test_transforms_of_torch_func_work_with_the_default(cell):
    ours, theirs = pair(cell, 3, 4, kernel="auto")
    x, found = torch.randn(5, 2, 3), []
    for net in (ours, theirs):
        call = partial(lambda net, p: functional_call(net, p, (x,))[0].square().sum(), net)
        found.append(torch.func.grad(call)(dict(net.named_parameters())))
    all_close(*found, torch.float32)


@each_cell
def test_forward_mode_differentiation_works_with_the_default(cell):
    x, dx = torch.randn(2, 5, 2, 3, dtype=torch.float64)
    found = []
    for net in pair(cell, 3, 4, kernel="auto", dtype=torch.float64):
        with forward_ad.dual_level():
            out = forward_ad.unpack_dual(net(forward_ad.make_dual(x, dx))[0])
            found.append({"out": out.primal, "tangent": out.tangent})
    all_close(*found, torch.float64)


@each_cell
@pytest.mark.parametrize("kernel", ["auto", "hand-derived"])
def test_shapes_alone_can_be_computed(cell, kernel):
    ours, _ = pair(cell, 3, 4, kernel=kernel)
    out, last = ours.to("meta")(torch.empty(5, 2, 3, device="meta"))
    assert out.shape == (5, 2, 4)
    assert all(s.shape == (1, 2, 4) for s in listed(last))


@each_cell
@pytest.mark.parametrize("kernel", ["auto", "hand-derived"])
def test_autocast(cell, kernel):
    ours, theirs = pair(cell, 3, 4, kernel=kernel)
    x, hx = torch.randn(5, 2, 3), state(cell, 1, 2, 4)
    exact = theirs(x, hx)[0]
    onednn = cell == "LSTM" and torch.backends.mkldnn.is_available()
    if onednn and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("on this processor oneDNN has no LSTM in bfloat16")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for data in (x, x.bfloat16()):
            for start in (None, hx):
                out, _ = ours(data, start)
                assert ours.kernel_for(data) == "torch"
                if start is hx:
                    assert (out.float() - exact).abs().max() < 0.05
        out = ours(x.bfloat16(), hx, lengths=torch.tensor([5, 3]))[0]
        assert (out[:3].float() - exact[:3]).abs().max() < 0.05
    out.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in ours.parameters())
    with pytest.raises(TypeError, match="input: expected dtype"):
        ours(x.bfloat16())


X = torch.zeros(5, 2, 3)
BAD = [
    (lambda n: n(X[None]), ValueError, r"input: expected 3 axes \(T, B, 3\), got 4 axes"),
    (lambda n: n(X[0, 0]), ValueError, r"input: expected 3 axes \(T, B, 3\), got 1 axes"),
    (lambda n: n(X[..., :2]), ValueError, r"input: expected shape \(T, B, 3\), got \(5, 2, 2\)"),
    (lambda n: n(X[:0]), ValueError, "input: expected T of at least 1"),
    (lambda n: n(X[:0, :0]), ValueError, "input: expected T of at least 1"),
    (lambda n: n(X[:, :0, :2]), ValueError, r"input: expected shape \(T, 0, 3\), got \(5, 0, 2\)"),
    (lambda n: n(X, lengths=[]), ValueError, "lengths: expected 2 lengths"),
    (lambda n: n(X[:, :0], lengths=[5]), ValueError, "lengths: expected 0 lengths"),
    (lambda n: n(X[0, :0]), ValueError, "input: expected T of at least 1"),
    (lambda n: n(X.long()), TypeError, "input: expected dtype torch.float32 .* torch.int64"),
    (lambda n: n(X.double()), TypeError, "input: expected dtype torch.float32 .* torch.float64"),
    (lambda n: n(X.numpy()), TypeError, "input: expected a Tensor .* got ndarray"),
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
    (lambda n: n(X, lengths=[5, 6]), ValueError, r"lengths\[1\]: expected at most T = 5, got 6"),
    (lambda n: n(X, lengths="53"), TypeError, r"lengths\[0\]: expected a whole number, got str"),
    (lambda n: n(X, lengths=torch.tensor(3)), TypeError, "lengths: expected one number per seq"),
    (lambda n: n(X, lengths=torch.tensor([1.5, 2])), TypeError, r"lengths\[0\]: expected a who"),
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
]


@each_cell
@pytest.mark.parametrize("kernel", ["hand-derived", "torch"])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_names_argument_expected_and_got(cell, kernel, grad, call, error, message):
    with pytest.raises(error, match=message), torch.set_grad_enabled(grad):
        call(pair(cell, 3, 4, kernel=kernel)[0])


@each_cell
@pytest.mark.parametrize(
    ("x", "bad", "error", "message"),
    [
        (X, X, ValueError, r"expected shape \(1, 2, 4\), got \(5, 2, 3\)"),
        (X[:, 0], X, ValueError, r"expected 2 axes \(1, 4\), got 3 axes"),
        (X, torch.zeros(1, 2, 4).double(), TypeError, "expected dtype torch.float32"),
        (X, "zeros", TypeError, "expected torch.Tensor, got str"),
        (
            pack_padded_sequence(X, [3, 5], enforce_sorted=False),
            X,
            ValueError,
            r"expected shape \(1, 2, 4\), got",
        ),
    ],
)
@pytest.mark.parametrize("grad", [True, False])
def test_bad_state(cell, x, bad, error, message, grad):
    net, _ = pair(cell, 3, 4)
    hx, name = ((torch.zeros(1, 2, 4), bad), "c_0") if cell == "LSTM" else (bad, "hx")
    if cell == "LSTM" and x.data.dim() == 2 and not isinstance(x, PackedSequence):
        hx = (torch.zeros(1, 4), bad)
    with pytest.raises(error, match=f"{name}: {message}"), torch.set_grad_enabled(grad):
        net(x, hx)


@each_cell
def test_half_precision(cell):
    ours, theirs = pair(cell, 3, 4, dtype=torch.bfloat16)
    x = torch.randn(5, 2, 3, dtype=torch.bfloat16)
    found, expected = (train(net, x, None) for net in (ours, theirs))
    for what, value in expected.items():
        torch.testing.assert_close(found[what], value, rtol=0.1, atol=0.1, msg=what)


@each_cell
def test_the_plain_loop_runs_forward_in_time_unless_told_otherwise(cell):
    net, _ = pair(cell, 3, 4)
    states = [torch.zeros(2, 4)] * len(net.state_names)
    x, steps = torch.randn(6, 3), Steps([2, 2, 2])
    out = recurrence(net._cell, steps, x, *states, *net.parameters())[0]
    start = x * (torch.arange(6) < 2)[:, None]
    later = recurrence(net._cell, steps, start, *states, *net.parameters())[0]
    assert torch.equal(out[:2], later[:2])
    assert not torch.equal(out[2:], later[2:])
