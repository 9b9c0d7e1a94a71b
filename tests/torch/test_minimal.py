"""minGRU and minLSTM: parallel equals step by step, and no gate overflows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncourse.torch.minimal import MinGRU, MinLSTM
from tests.torch.agreement import close

both = pytest.mark.parametrize("cls", [MinGRU, MinLSTM])


@both
@given(
    T=st.integers(1, 40), B=st.integers(1, 4), I=st.integers(1, 5), H=st.integers(1, 6),
    bias=st.booleans(), batch_first=st.booleans(), with_state=st.booleans(),
)  # fmt: skip
@settings(max_examples=20)
def test_parallel_equals_step_by_step(cls, T, B, I, H, bias, batch_first, with_state):
    torch.manual_seed(T)
    net = cls(I, H, bias, batch_first, dtype=torch.float64)
    x, h0 = (torch.randn(s, dtype=torch.float64) for s in ((T, B, I), (1, B, H)))
    out, h_n = net(x.transpose(0, 1) if batch_first else x, h0 if with_state else None)
    h = h0[0] if with_state else torch.zeros_like(h0[0])
    for x_t, h_t in zip(x, out.transpose(0, 1) if batch_first else out, strict=True):
        h = net.step(x_t, h)
        close(h_t, h, torch.float64, "h")
    close(h_n[0], h, torch.float64, "h_n")


def test_the_equations():
    x, h = torch.randn(3, 4), torch.randn(3, 5)
    gru, lstm = MinGRU(4, 5), MinLSTM(4, 5)
    z, c = gru.linear(x).chunk(2, -1)
    z = torch.sigmoid(z)
    torch.testing.assert_close(gru.step(x, h), (1 - z) * h + z * c)
    f, i, c = lstm.linear(x).chunk(3, -1)
    f, i = torch.sigmoid(f), torch.sigmoid(i)
    torch.testing.assert_close(lstm.step(x, h), f / (f + i) * h + i / (f + i) * c)


@both
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


@both
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n: n(torch.zeros(5, 3)), ValueError, r"input: expected 3 axes \(T, B, 3\)"),
        (lambda n: n(torch.zeros(5, 2, 3).double()), TypeError, "input: expected dtype"),
        (lambda n: n(torch.zeros(5, 2, 3), torch.zeros(2, 4)), ValueError, "hx: expected 3 axes"),
        (
            lambda n: n(torch.zeros(5, 2, 3), torch.zeros(1, 2, 4).double()),
            TypeError,
            "hx: expected dtype",
        ),
        (lambda n: n.step(torch.zeros(2, 2), None), ValueError, r"x: expected shape \(B, 3\)"),
        (lambda n: n.step(torch.zeros(2, 3), torch.zeros(1, 4)), ValueError, "h: expected shape"),
    ],
)
def test_bad_input(cls, call, error, message):
    with pytest.raises(error, match=message):
        call(cls(3, 4))


@both
def test_bad_size(cls):
    with pytest.raises(ValueError, match="hidden_size: expected at least 1, got 0"):
        cls(3, 0)
