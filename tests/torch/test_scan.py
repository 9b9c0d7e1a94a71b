"""The scan equals the loop, forward and backward, at any length."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rnncourse.torch import scan
from rnncourse.torch.scan import (
    CHUNK,
    linear_recurrence,
    linear_recurrence_loop,
    linear_recurrence_scan,
)
from tests.torch.agreement import close


def draw(T, seed, dtype=torch.float64, kind="gates"):
    torch.manual_seed(seed)
    a, b, h0 = torch.rand(T, 2, 3), torch.randn(T, 2, 3), torch.randn(2, 3)
    if kind == "long memory":
        a = 1 - a / 1000
    if kind == "closed":
        a = a * (a > 0.5)
    return [v.to(dtype) for v in (a, b, h0)]


@given(T=st.integers(1, 300), seed=st.integers(0, 999), with_state=st.booleans())
@example(T=16384, seed=0, with_state=True)
@example(T=16383, seed=1, with_state=False)
@settings(max_examples=30)
def test_scan_equals_loop_with_its_gradients(T, seed, with_state):
    inputs = draw(T, seed)[: 2 + with_state]
    weight, found = torch.randn(T, 2, 3, dtype=torch.float64), []
    for f in (linear_recurrence, linear_recurrence_loop):
        leaves = [v.clone().requires_grad_() for v in inputs]
        h = f(*leaves)
        found.append([h, *torch.autograd.grad((h * weight).sum(), leaves)])
    for a, b, what in zip(*found, ("h", "da", "db", "dh0"), strict=False):
        close(a, b, torch.float64, what)


@given(T=st.integers(1, 40), B=st.integers(1, 3), H=st.integers(1, 3), shared=st.booleans())
def test_factors_that_a_batch_shares(T, B, H, shared):
    torch.manual_seed(T)
    a = torch.rand(T, 1, H) if shared else torch.rand(T, B, 1)
    values = [x.double() for x in (a, torch.randn(T, B, H), torch.randn(B, H))]
    weight, found = torch.randn(T, B, H, dtype=torch.float64), []
    for f in (linear_recurrence, linear_recurrence_loop):
        leaves = [v.clone().requires_grad_() for v in values]
        h = f(*leaves)
        found.append([h, *torch.autograd.grad((h * weight).sum(), leaves)])
    for x, y, what in zip(*found, ("h", "da", "db", "dh0"), strict=True):
        close(x, y, torch.float64, what)


@pytest.mark.parametrize("width", [1, CHUNK // 7, CHUNK // 2, 2 * CHUNK])
def test_pieces_that_fit_into_the_cache(width):
    torch.manual_seed(0)
    a, b, h0 = (
        torch.rand(20, 1).double(),
        torch.randn(20, width).double(),
        torch.randn(width).double(),
    )
    found, expected = (f(a, b, h0) for f in (linear_recurrence, linear_recurrence_loop))
    close(found, expected, torch.float64, "h")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_on_each_device(dtype, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    inputs = draw(1000, 0, dtype)
    expected = linear_recurrence(*inputs)
    found = linear_recurrence(*(v.to(device) for v in inputs))
    assert found.device.type == device
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)


def test_by_operations_whatever_the_device():
    a, b, h0 = draw(100, 0)
    assert torch.equal(linear_recurrence_scan(a, b, h0), linear_recurrence(a, b, h0))
    assert torch.equal(linear_recurrence_scan(a, b), linear_recurrence(a, b))
    with pytest.raises(ValueError, match="b: expected shape"):
        linear_recurrence_scan(a, b[:1])


def stand_in(device="cuda:0", dtype=torch.float32):
    device = torch.device(device)
    return SimpleNamespace(device=device, is_cuda=device.type == "cuda", dtype=dtype)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"dtype": torch.bfloat16}, True),
        ({"dtype": torch.complex32}, False),
        ({"device": "cpu"}, False),
        ({"a": stand_in("cuda:1")}, False),
        ({"h0": stand_in("cpu")}, False),
        ({"major": 6}, False),
        ({"triton": False}, False),
    ],
)
def test_one_kernel_where_triton_and_its_gpu_are(change, expected, monkeypatch):
    device, dtype, major = (
        change.get(name, value)
        for name, value in (("device", "cuda:0"), ("dtype", torch.float32), ("major", 8))
    )
    a, b, h0 = (change.get(name, stand_in(device, dtype)) for name in ("a", "b", "h0"))
    monkeypatch.setattr(scan, "TRITON", change.get("triton", True))
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(major=major)
    )
    assert scan._one_kernel(a, b, h0) is expected


@pytest.mark.parametrize("kind", ["gates", "long memory", "closed"])
@pytest.mark.parametrize("T", [1, 2, 1000, 16384])
def test_error_in_float32(T, kind):
    inputs = draw(T, 0, torch.float32, kind)
    exact = linear_recurrence_loop(*(v.double() for v in inputs))
    error = (linear_recurrence(*inputs) - exact).abs().max() / exact.abs().max()
    assert error < 2e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("T", [1, 2, 5])
def test_first_and_second_derivatives(T, shared, dtype):
    torch.manual_seed(0)
    shapes = ((T, 1 if shared else 2), (T, 2), (2,))
    inputs = [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(linear_recurrence, inputs)
    assert torch.autograd.gradgradcheck(linear_recurrence, inputs)


def test_transforms_of_torch_func():
    a, b, h0 = draw(7, 0)
    grads = torch.func.grad(lambda *v: linear_recurrence(*v).sum(), argnums=(0, 1, 2))(a, b, h0)
    leaves = [v.clone().requires_grad_() for v in (a, b, h0)]
    expected = torch.autograd.grad(linear_recurrence(*leaves).sum(), leaves)
    for found, value in zip(grads, expected, strict=True):
        close(found, value, torch.float64, "gradient")
    out = torch.func.vmap(linear_recurrence, in_dims=(1, 1, 0), out_dims=1)(a, b, h0)
    close(out, linear_recurrence(a, b, h0), torch.float64, "vmap")


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("T", [1, 2, 7])
@pytest.mark.parametrize("shared", [False, True])
def test_many_gradients_at_once(T, shared, dtype):
    torch.manual_seed(0)
    shapes = ((T, 1 if shared else 2), (T, 2), (2,))
    inputs = tuple(torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes)
    h = linear_recurrence(*inputs)
    grads = torch.randn(3, *h.shape, dtype=dtype)
    found = torch.autograd.grad(h, inputs, grads, is_grads_batched=True, retain_graph=True)
    for k, grad in enumerate(grads):
        for many, one in zip(found, torch.autograd.grad(h, inputs, grad, True), strict=True):
            close(many[k], one, torch.float64, "gradient")
    if dtype == torch.float64:
        jacobian = torch.autograd.functional.jacobian
        many, one = (jacobian(linear_recurrence, inputs, vectorize=v) for v in (True, False))
        for a, b in zip(many, one, strict=True):
            close(a, b, torch.float64, "jacobian")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.ones(0, 2), torch.ones(0, 2)), ValueError, "a: expected T of at least 1"),
        ((torch.ones(3, 2), torch.ones(4, 2)), ValueError, r"b: expected shape \(3, 2\)"),
        ((torch.ones(1, 2), torch.ones(4, 2)), ValueError, r"b: expected shape \(1, 2\)"),
        ((torch.ones(3, 1), torch.ones(3)), ValueError, r"b: expected 2 axes \(3, n\)"),
        ((torch.ones(3, 1), torch.ones(3, 0)), ValueError, "b: expected n of at least 1"),
        ((torch.ones(3, 0), torch.ones(3, 0)), ValueError, "a: expected n of at least 1"),
        ((torch.ones(3, 2),) * 3, ValueError, r"h0: expected 1 axes \(2,\)"),
        (([0.5], [1.0]), TypeError, "a: expected torch.Tensor, got list"),
        ((torch.ones(2), torch.ones(2), 0.0), TypeError, "h0: expected torch.Tensor, got float"),
        ((torch.ones(3).long(),) * 2, TypeError, "a: expected a floating-point or complex dtype"),
        ((torch.ones(3), torch.ones(3).double()), TypeError, "b: expected dtype torch.float32"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        linear_recurrence(*arguments)
