"""NumPy reference, ours and torch.nn give the same outputs, states and gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnncourse import reference
from rnncourse.torch import RNN
from tests.torch.agreement import all_close

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
    for name in ("ours", "reference"):
        expected = {k: v for k, v in found["torch.nn"].items() if k in found[name]}
        all_close({k: found[name][k] for k in expected}, expected, dtype)


@pytest.mark.parametrize(
    "make",
    [lambda: RNN(3, 4, nonlinearity="gelu"), lambda: RNN(3, 4, 1, "gelu")],
)
def test_unknown_nonlinearity(make):
    with pytest.raises(ValueError, match="nonlinearity: expected 'tanh' or 'relu', got 'gelu'"):
        make()
