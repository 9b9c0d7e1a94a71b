"""The NumPy LSTM and GRU against torch.nn. The RNN's agreement: test_rnn.py."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnncourse import reference
from rnncourse.reference import relative_error

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def parts(state):
    return list(state) if isinstance(state, tuple) else [state]


def results(out, s_n, dx, ds0, grads):
    """Return everything that is compared, by name."""
    found = {"out": out, "dx": dx, **grads}
    found |= {f"s_n[{i}]": s for i, s in enumerate(parts(s_n))}
    found |= {f"ds0[{i}]": s for i, s in enumerate(parts(ds0))}
    return {k: v.detach().numpy() if torch.is_tensor(v) else v for k, v in found.items()}


@given(
    model=st.sampled_from(["LSTM", "GRU"]),
    T=st.integers(1, 9),
    B=st.integers(1, 5),
    I=st.integers(1, 6),
    H=st.integers(1, 8),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    padded=st.booleans(),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    seed=st.integers(0, 2**31),
)
def test_reference_and_torch_agree(model, T, B, I, H, layers, bidirectional, padded, dtype, seed):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    theirs = getattr(nn, model)(I, H, layers, bidirectional=bidirectional, dtype=dtype)
    ref = getattr(reference, model).from_state_dict(theirs.state_dict())
    rows = layers * (1 + bidirectional)

    def draw(*shape):
        return torch.tensor(rng.normal(size=shape), dtype=dtype)

    def state():
        arrays = tuple(draw(rows, B, H) for _ in ref.states)
        return arrays if model == "LSTM" else arrays[0]

    x, s0, w_n, w_out = draw(T, B, I), state(), state(), draw(T, B, H * (1 + bidirectional))
    lengths = rng.integers(1, T + 1, B) if padded else None

    def numpy(s):
        return tuple(v.numpy() for v in s) if model == "LSTM" else s.numpy()

    out, s_n = ref.forward(x.numpy(), numpy(s0), lengths)
    mine = results(out, s_n, *ref.backward(w_out.numpy(), numpy(w_n)), ref.grads)

    for v in (x, *parts(s0)):
        v.requires_grad_()
    if padded:
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        packed_out, s_n = theirs(packed, s0)
        out, _ = pad_packed_sequence(packed_out, total_length=T)
    else:
        out, s_n = theirs(x, s0)
    ends = zip(parts(s_n), parts(w_n), strict=True)
    ((out * w_out).sum() + sum((s * w).sum() for s, w in ends)).backward()
    ds0 = tuple(s.grad for s in parts(s0))
    grads = {k: p.grad for k, p in theirs.named_parameters()}
    expected = results(out, s_n, x.grad, ds0, grads)

    assert mine.keys() == expected.keys()
    # A gradient is a sum over steps. Where its terms cancel to less than a tenth of the
    # gradients' size, float32 has lost those digits in every implementation.
    scale = max(np.abs(v).max() for v in expected.values()) / 10
    for what, value in expected.items():
        size = max(np.abs(mine[what]).max(), np.abs(value).max())
        difference = relative_error(mine[what], value) * size
        assert difference <= TOLERANCE[dtype] * max(np.abs(value).max(), scale), what


@pytest.mark.parametrize("model", ["RNN", "LSTM", "GRU"])
def test_weights_go_to_torch_and_come_back(model):
    ref = getattr(reference, model)(3, 4, 2, bidirectional=True, rng=np.random.default_rng(0))
    theirs = getattr(nn, model)(3, 4, 2, bidirectional=True, dtype=torch.float64)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ref.state_dict().items()})
    back = type(ref).from_state_dict(theirs.state_dict())
    assert back.dtype == np.float64
    for name, value in ref.params.items():
        np.testing.assert_array_equal(back.params[name], value)


def test_weights_may_need_a_gradient_but_must_be_numbers_that_numpy_has():
    theirs = nn.GRU(3, 4)
    back = reference.GRU.from_state_dict(dict(theirs.named_parameters()))
    np.testing.assert_array_equal(back.params["bias_hh_l0"], theirs.bias_hh_l0.detach())
    with pytest.raises(TypeError, match=r"weight_ih_l0: expected numbers that NumPy .*BFloat16"):
        reference.GRU.from_state_dict(theirs.bfloat16().state_dict())
