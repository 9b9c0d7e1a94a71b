"""The kernel in Triton equals the loop: on a GPU, or in Triton's interpreter without one.

Without a GPU: ``pip install triton``, then ``TRITON_INTERPRET=1 pytest tests/torch/test_fused.py``.
The interpreter must be chosen before Triton is imported, so no test can choose it by itself.
"""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from rnncourse.torch import MinGRU, MinLSTM, StateSpace, scan
from rnncourse.torch.scan import linear_recurrence, linear_recurrence_loop, linear_recurrence_scan
from tests.torch.agreement import all_close, close

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
if not scan.TRITON:
    pytest.skip("Triton is not installed", allow_module_level=True)
if not (INTERPRETED or torch.cuda.is_available()):
    pytest.skip(
        "no CUDA device on this machine; TRITON_INTERPRET=1 runs the kernel on the processor",
        allow_module_level=True,
    )

from rnncourse.torch import fused  # noqa: E402

ONE_KERNEL, TILE = scan._one_kernel, fused.TILE
LAYERS = {"MinGRU": MinGRU, "MinLSTM": MinLSTM, "StateSpace": StateSpace}
every = pytest.mark.parametrize("name", LAYERS)
wide = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])


@pytest.fixture(autouse=True, scope="module")
def small_tiles():
    """Let the kernel take any device and few steps at a time, so that all has several tiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_one_kernel", lambda *tensors: True)
        patch.setattr(fused, "TILE", 64)
        yield


@pytest.fixture
def runs(monkeypatch):
    """Return a list that grows with each run of the kernel: whether it ran backward."""
    seen, run = [], fused._run

    def spy(*args):
        seen.append(args[-1])
        run(*args)

    monkeypatch.setattr(fused, "_run", spy)
    return seen


def draw(*shapes, dtype=torch.float64, seed=0):
    """Return factors up to one in size, and numbers."""
    torch.manual_seed(seed)
    values = [torch.randn(shape, dtype=dtype, device=DEVICE) for shape in shapes]
    values[0] = values[0] / values[0].abs().clamp(min=1)
    return values


def with_gradients(f, inputs, weight):
    leaves = [x.clone().requires_grad_() for x in inputs]
    h = f(*leaves)
    grads = torch.autograd.grad(h, leaves, weight.to(h.dtype))
    return dict(zip(("h", "da", "db", "dh0"), (h, *grads), strict=False))


def same_as_loop(*inputs):
    weight = torch.randn_like(inputs[1])
    found, expected = (
        with_gradients(f, inputs, weight) for f in (linear_recurrence, linear_recurrence_loop)
    )
    assert "rnncourse" in found["h"].grad_fn.name()
    all_close(found, expected, torch.float64)


@wide
@given(
    T=st.integers(1, 20),
    B=st.integers(1, 3),
    H=st.integers(1, 19),
    seed=st.integers(0, 999),
    with_state=st.booleans(),
)
@example(T=1, B=1, H=1, seed=0, with_state=False)
@example(T=4, B=1, H=16, seed=1, with_state=True)
@example(T=65, B=2, H=9, seed=2, with_state=True)
@settings(max_examples=15)
def test_kernel_equals_loop_with_its_gradients(dtype, T, B, H, seed, with_state):
    same_as_loop(*draw((T, B, H), (T, B, H), (B, H), dtype=dtype, seed=seed)[: 2 + with_state])


@wide
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((9,), (9,)),
        ((9, 5), (9, 5)),
        ((9, 1), (9, 5)),
        ((9, 1, 5), (9, 3, 5)),
        ((9, 3, 1), (9, 3, 5)),
        ((9, 1, 1), (9, 3, 5)),
        ((9, 2, 3, 4), (9, 2, 3, 4)),
        ((9, 1, 3, 1), (9, 2, 3, 4)),
        ((9, 2, 1, 4), (9, 2, 3, 4)),
    ],
)
def test_any_axes_and_factors_that_are_shared(a, b, dtype):
    same_as_loop(*draw(a, b, b[1:], dtype=dtype))


@wide
def test_any_layout_in_memory(dtype):
    a, b, h0 = draw((7, 3, 5), (14, 3, 5), (5, 3), dtype=dtype)
    views = a.flip(0).mT.contiguous().mT, b[::2], h0.T
    same_as_loop(*views)
    views = a[:1].expand(7, 3, 5), b.transpose(0, 2).contiguous().transpose(0, 2)[1::2], h0.T
    expected = linear_recurrence_loop(*views)
    close(linear_recurrence(*views), expected, torch.float64, "views")


@wide
def test_nothing_outside_the_tensors_is_read(dtype):
    a, b, h0, dh = draw((9, 3), (9, 3), (1, 3), (9, 3), dtype=dtype)
    h = linear_recurrence(a, b, h0[0])
    da, db = fused.fused_gradients(a, h0[0], h, dh)
    nan = torch.full_like(h0, torch.nan)
    a, b, h0, dh, inside = (torch.cat((nan, x, nan))[1:-1] for x in (a, b, h0, dh, h))
    assert torch.equal(linear_recurrence(a, b, h0[0]), h)
    found = fused.fused_gradients(a, h0[0], inside, dh)
    assert all(torch.equal(x, y) for x, y in zip(found, (da, db), strict=True))


def test_conjugates_and_negatives_that_are_only_marked():
    z = torch.randn(6, 2, 3, 2, dtype=torch.complex128, device=DEVICE)
    views = z[..., 0].conj(), torch._neg_view(z[..., 1]), z[0, ..., 0].conj()
    close(linear_recurrence(*views), linear_recurrence_loop(*views), torch.float64, "h")


@wide
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("T", [1, 5])
def test_first_and_second_derivatives(T, shared, dtype):
    inputs = draw((T, 1 if shared else 2), (T, 2), (2,), dtype=dtype)
    leaves = [x.requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(linear_recurrence, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(linear_recurrence, leaves, fast_mode=True)


def test_one_run_forward_and_one_backward(runs):
    leaves = [x.requires_grad_() for x in draw((9, 5), (9, 5), (5,))]
    linear_recurrence(*leaves).sum().backward()
    assert runs == [False, True]
    with torch.no_grad():
        linear_recurrence(*leaves)
    assert runs == [False, True, False]


def test_third_derivatives():
    a, b = (x.requires_grad_() for x in draw((6, 3), (6, 3)))
    found = []
    for f in (linear_recurrence, linear_recurrence_loop):
        value = f(a, b).square().sum()
        for _ in range(3):
            (grad,) = torch.autograd.grad(value, a, create_graph=True)
            value = grad.square().sum()
        found.append(grad)
    close(*found, torch.float64, "third derivative")


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]
)
def test_each_dtype_is_rounded_once(dtype):
    exact = torch.complex128 if dtype.is_complex else torch.float64
    inputs = [x.to(dtype) for x in draw((50, 2, 3), (50, 2, 3), (2, 3), dtype=exact)]
    weight = torch.randn(50, 2, 3, dtype=exact, device=DEVICE).to(dtype)
    found = with_gradients(linear_recurrence, inputs, weight)
    expected = with_gradients(linear_recurrence_loop, [x.to(exact) for x in inputs], weight)
    least = max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    for name, value in expected.items():
        assert found[name].dtype == dtype
        error = (found[name].to(exact) - value).abs().max() / value.abs().max()
        assert error < (1 if name == "h" else 4) * least, name


def test_a_closed_gate_forgets_exactly():
    a, b = draw((9, 4), (9, 4), dtype=torch.float32)
    a[5] = 0
    assert torch.equal(linear_recurrence(a, b)[5], b[5])


@wide
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_in_its_channel_and_its_time(value, dtype):
    a, b, h0 = draw((11, 3, 6), (11, 3, 6), (3, 6), dtype=dtype)
    weight = torch.randn_like(b)
    clean = with_gradients(linear_recurrence, (a, b, h0), weight)
    others = torch.ones(3, 6, dtype=torch.bool, device=DEVICE)
    others[1, 2] = False
    for k in range(3):
        inputs = [x.clone() for x in (a, b, h0)]
        (inputs[k] if k == 2 else inputs[k][5])[1, 2] = value
        h = linear_recurrence(*inputs)
        assert torch.equal(h[:, others], clean["h"][:, others])
        assert not h[5:, 1, 2].isfinite().any()
        assert k == 2 or torch.equal(h[:5], clean["h"][:5])
        leaves = [x.requires_grad_() for x in inputs]
        grads = torch.autograd.grad(linear_recurrence(*leaves), leaves, weight * others)
        assert all(x.isfinite()[..., others].all() for x in grads)


def test_a_gradient_that_is_not_finite_stays_in_its_channel():
    leaves = [x.requires_grad_() for x in draw((11, 6), (11, 6), (6,))]
    h, dh = linear_recurrence(*leaves), torch.ones(11, 6, dtype=torch.float64, device=DEVICE)
    clean = torch.autograd.grad(h, leaves, dh, retain_graph=True)
    dh[5, 2] = torch.nan
    others = torch.arange(6) != 2
    for found, expected in zip(torch.autograd.grad(h, leaves, dh), clean, strict=True):
        assert torch.equal(found[..., others], expected[..., others])
        assert found[..., 2].isnan().any()


def test_many_gradients_at_once_and_transforms_take_the_operations(runs):
    leaves = [x.requires_grad_() for x in draw((7, 3), (7, 3), (3,))]
    h = linear_recurrence(*leaves)
    grads = torch.randn(2, 7, 3, dtype=torch.float64, device=DEVICE)
    many = torch.autograd.grad(h, leaves, grads, is_grads_batched=True, retain_graph=True)
    each = torch.func.vmap(lambda g: torch.autograd.grad(h, leaves, g, retain_graph=True))(grads)
    assert runs == [False]
    for k, grad in enumerate(grads):
        for *found, one in zip(many, each, torch.autograd.grad(h, leaves, grad, True), strict=True):
            for x in found:
                close(x[k], one, torch.float64, "gradient")
    del runs[:]
    found = torch.func.grad(lambda *x: linear_recurrence(*x).sum(), argnums=(0, 1, 2))(*leaves)
    for x, y in zip(found, torch.autograd.grad(h.sum(), leaves), strict=True):
        close(x, y, torch.float64, "torch.func")
    _, tangent = torch.func.jvp(linear_recurrence, tuple(leaves), tuple(leaves))
    close(tangent[0], (2 * leaves[0] * leaves[2] + leaves[1])[0], torch.float64, "jvp")
    assert runs == [True]  # autograd's alone


@wide
def test_pytorch_finds_the_operators_sound(dtype):
    a, b, h0 = (x.requires_grad_() for x in draw((5, 1, 3), (5, 2, 3), (2, 3), dtype=dtype))
    torch.library.opcheck(fused.fused_recurrence, (a, b, h0))
    h = fused.fused_recurrence(a, b, h0).detach()
    args = (a.detach(), h0.detach(), h, torch.randn_like(h))
    torch.library.opcheck(fused.fused_gradients, args)


def make(name, dtype=torch.float32):
    torch.manual_seed(0)
    return LAYERS[name](4, 5, dtype=dtype, device=DEVICE), torch.randn(
        11, 2, 4, dtype=dtype, device=DEVICE
    )


def trained(net: nn.Module, run, x):
    net.zero_grad()
    out = run(x, lengths=[11, 6])[0]
    out.float().square().sum().backward()
    return {"out": out.detach()} | {n: p.grad.clone() for n, p in net.named_parameters()}


@every
def test_layers_train_as_by_operations(name, monkeypatch, runs):
    net, x = make(name)
    found = trained(net, net, x)
    assert runs == [False, True]
    monkeypatch.setattr(scan, "_one_kernel", lambda *tensors: False)
    all_close(found, trained(net, net, x), torch.float32)


@every
@pytest.mark.parametrize("autocast", [False, True])
def test_layers_train_in_one_graph_and_under_autocast(name, autocast, runs):
    torch._dynamo.reset()
    net, x = make(name)
    backend = "aot_eager" if DEVICE == "cpu" else "inductor"
    compiled = torch.compile(net, fullgraph=True, backend=backend)
    expected = trained(net, net, x)
    del runs[:]
    with torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
        found = trained(net, compiled, x)
    assert runs == [False, True]
    if not autocast:
        return all_close(found, expected, torch.float32)
    for what, value in expected.items():
        assert (found[what].float() - value).abs().max() < 0.05 * value.abs().max(), what


def test_compiled_transforms_take_the_operations(runs):
    torch._dynamo.reset()
    a, b = draw((7, 3), (7, 3))
    grad = torch.func.grad(lambda a, b: linear_recurrence(a, b).square().sum())
    found = torch.compile(grad, fullgraph=True, backend="aot_eager")(a, b)
    close(found, grad(a, b), torch.float64, "gradient")
    assert runs == []


@every
@pytest.mark.parametrize("strict", [False, True])
def test_exported_programs_need_no_kernel(name, strict):
    net, x = make(name)
    with torch._dynamo.config.patch(allow_rnn=True):
        program = torch.export.export(net, (x,), strict=strict)
    assert "rnncourse" not in "".join(str(node.target) for node in program.graph.nodes)
    close(program.module()(x)[0], net(x)[0], torch.float32, "out")


BUILD = """
from itertools import product
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from rnncourse.torch.fused import _kernel

names = [p.name for p in _kernel.params]
sizes, modes = names[6:12], names[12:]
dtypes = "fp16", "fp32", "fp64", "complex"
for dtype, back, capability in product(dtypes, (False, True), (75, 90)):
    is_complex = dtype == "complex"
    pointer = "*fp32" if is_complex else "*" + dtype
    values = dict(zip(modes, (64, 16, is_complex, back), strict=True))
    for ones in ((), ("a_column",), sizes):
        fixed = {**dict.fromkeys(ones, 1), **values}
        types = {n: "constexpr" if n in fixed else "i32" if n in sizes else pointer for n in names}
        constants = {(names.index(n),): value for n, value in fixed.items()}
        source = ASTSource(_kernel, types, constants, {})
        compile(source, target=GPUTarget("cuda", capability, 32))
print("built")
"""


def test_builds_for_gpus_that_are_not_there(root, tmp_path):
    """The interpreter takes what the compiler may refuse."""
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    env["TRITON_CACHE_DIR"] = str(tmp_path)
    run = subprocess.run([sys.executable, "-c", BUILD], env=env, cwd=root, capture_output=True)
    assert run.stdout == b"built\n", run.stderr.decode()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("shape", [(16384, 1, 3), (1000, 32, 100), (35, 20, 4000), (2, 1, 2**20)])
def test_large_on_a_gpu(shape, dtype, monkeypatch):
    if DEVICE == "cpu":
        pytest.skip("no CUDA device on this machine")
    monkeypatch.setattr(scan, "_one_kernel", ONE_KERNEL)
    monkeypatch.setattr(fused, "TILE", TILE)
    inputs = draw(shape, shape, shape[1:], dtype=dtype)
    weight = torch.randn_like(inputs[1])
    found = with_gradients(linear_recurrence, inputs, weight)
    wide = torch.complex128 if dtype.is_complex else torch.float64
    expected = with_gradients(linear_recurrence_scan, [x.to(wide) for x in inputs], weight)
    for name, value in expected.items():
        error = (found[name].to(wide) - value).abs().max() / value.abs().max()
        assert error < (0.02 if dtype == torch.bfloat16 else 1e-4), name
