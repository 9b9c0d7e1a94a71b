"""The state-space layer: three ways to the same numbers, and no state that explodes.

What it shares with the other linear recurrences is tested in ``test_minimal``.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.torch.state_space import StateSpace
from tests.torch.agreement import close

SEEDS = st.integers(0, 2**31)


@given(
    T=st.integers(1, 40), B=st.integers(1, 3), I=st.integers(1, 4), H=st.integers(1, 5), seed=SEEDS
)
def test_is_a_convolution_with_its_kernel(T, B, I, H, seed):
    torch.manual_seed(seed)
    net = StateSpace(I, H, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)
    K, expected = net.kernel(T), x @ net.D.T
    for t in range(T):
        for k in range(t + 1):
            expected[t] = expected[t] + x[t - k] @ K[k].T
    close(net(x)[0], expected, torch.float64, "y")


def test_the_equations():
    torch.manual_seed(0)
    net, x, h = StateSpace(2, 3), torch.randn(4, 2), torch.randn(4, 3, dtype=torch.complex64)
    r = torch.exp(-torch.exp(net.nu))
    a = r * torch.exp(1j * net.theta)
    B, C = (W[0] + 1j * W[1] for W in (net.B, net.C))
    expected = a * h + torch.sqrt(1 - r**2) * ((x + 0j) @ B.T)
    y, found = net.step(x, h)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(y, (expected @ C.T).real + x @ net.D.T)
    torch.testing.assert_close(net.eigenvalues(), a)


def test_starts_in_the_ring_with_states_as_large_as_the_inputs():
    torch.manual_seed(0)
    net = StateSpace(1, 1000, radius=(0.5, 0.99), max_phase=1.0)
    a = net.eigenvalues()
    assert a.abs().min() >= 0.5 - 1e-6
    assert a.abs().max() <= 0.99 + 1e-6
    assert a.angle().min() >= 0
    assert a.angle().max() <= 1
    inside = (a.abs() ** 2 < (0.5**2 + 0.99**2) / 2).float().mean()  # half of the area
    assert inside.item() == pytest.approx(0.5, abs=0.05)
    assert a.angle().mean().item() == pytest.approx(0.5, abs=0.05)  # evenly spread
    assert a.angle().max() > 0.95
    assert StateSpace(1, 1000).theta.max().item() == pytest.approx(math.pi, abs=0.05)
    wide = StateSpace(50, 200)
    assert wide.C.square().mean((1, 2)).tolist() == pytest.approx([1 / 200] * 2, rel=0.05)
    assert wide.D.square().mean().item() == pytest.approx(1 / 50, rel=0.05)
    net = StateSpace(20, 20, radius=(0.5, 0.95))
    _, h_n = net(torch.randn(200, 1000, 20))
    expected = net.B.square().sum((0, 2)).mean().item()  # mean square of B x; about 1
    assert h_n.abs().square().mean().item() == pytest.approx(expected, rel=0.05)
    assert expected == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("nu", [-100.0, -20.0, -7.0, 0.0, 4.0, 80.0])
def test_nothing_overflows_in_16384_steps(nu):
    torch.manual_seed(0)
    net = StateSpace(2, 3)
    torch.nn.init.constant_(net.nu, nu)
    assert net.eigenvalues().abs().max() <= 1 + 1e-7
    y, _ = net(torch.ones(16384, 1, 2))
    y.square().mean().backward()
    assert y.abs().max() < 3000
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("T", [1, 100, 16384])
def test_error_in_float32(T):
    torch.manual_seed(0)
    net, x = StateSpace(4, 32), torch.randn(T, 2, 4)
    y, h_n = net(x)
    exact, exact_h_n = net.double()(x.double())
    assert (y - exact).abs().max() < 1e-5 * exact.abs().max()
    assert (h_n - exact_h_n).abs().max() < 1e-4 * exact_h_n.abs().max()


def test_learns_to_output_its_input_20_steps_late():
    torch.manual_seed(0)
    net, x = StateSpace(1, 16, radius=(0.8, 0.99)), torch.randn(200, 8, 1)
    target = torch.zeros_like(x).index_copy_(0, torch.arange(20, 200), x[:-20])
    read = torch.nn.Linear(16, 1)
    adam = torch.optim.Adam([*net.parameters(), *read.parameters()], lr=0.01)
    losses = []
    for _ in range(300):
        loss = (read(net(x)[0]) - target)[20:].square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 < 0.9 < losses[0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: StateSpace(3, 4, radius=(0.9, 1.0)),
            ValueError,
            r"radius: expected 0 < least < most < 1, got \(0.9, 1.0\)",
        ),
        (
            lambda: StateSpace(3, 4, radius=(0.0, 0.9)),
            ValueError,
            r"radius: expected 0 < least < most < 1, got \(0.0, 0.9\)",
        ),
        (
            lambda: StateSpace(3, 4, radius=(0.5, 0.5)),
            ValueError,
            r"radius: expected 0 < least < most < 1, got \(0.5, 0.5\)",
        ),
        (
            lambda: StateSpace(3, 4).bfloat16()(torch.zeros(5, 2, 3).bfloat16()),
            TypeError,
            "dtype: expected weights in float32 or float64, got torch.bfloat16, .* use autocast",
        ),
        (
            lambda: StateSpace(3, 4).half().step(torch.zeros(2, 3).half()),
            TypeError,
            "dtype: expected weights in float32 or float64, got torch.float16",
        ),
        (
            lambda: StateSpace(3, 4).bfloat16().kernel(3),
            TypeError,
            "dtype: expected weights in float32 or float64, got torch.bfloat16",
        ),
        (
            lambda: StateSpace(3, 4, max_phase=0),
            ValueError,
            "max_phase: expected a number above 0, got 0",
        ),
        (
            lambda: StateSpace(3, 4, dtype=torch.bfloat16),
            ValueError,
            "dtype: expected torch.float32 or torch.float64, got torch.bfloat16",
        ),
        (lambda: StateSpace(3, 4).kernel(0), ValueError, "T: expected at least 1, got 0"),
        (lambda: StateSpace(3, 4).kernel(2.5), TypeError, "T: expected a whole number"),
        (
            lambda: StateSpace(3, 4)(torch.zeros(5, 2, 3), torch.zeros(1, 2, 4)),
            TypeError,
            "hx: expected dtype torch.complex64, got torch.float32",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
