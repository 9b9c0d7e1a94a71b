"""Lengths as numbers, and helper tensors that do not depend on the default device."""

import pytest
import torch

from rnncourse.torch import (
    GRU,
    EncoderDecoder,
    LinearAttention,
    MinGRU,
    MinLSTM,
    MultiHeadAttention,
    StateSpace,
    Transformer,
)
from rnncourse.torch.attention import length_mask
from rnncourse.torch.inputs import true_lengths

IDS = torch.zeros(5, 2, dtype=torch.long)
X = torch.linspace(-1, 1, 5 * 2 * 8).view(5, 2, 8)


def test_lengths_are_whole_numbers_on_the_cpu():
    for device in ("cpu", "meta"):
        with torch.device(device):
            for lengths in ([3, 5], (3, 5), torch.tensor([3, 5], device="cpu")):
                found = true_lengths(lengths, 5, 2)
                assert (found.device.type, found.dtype) == ("cpu", torch.int64)
                assert found.tolist() == [3, 5]
            none = true_lengths([], 5, 0)
            assert (none.device.type, none.dtype, none.shape) == ("cpu", torch.int64, (0,))
            assert length_mask([3, 5], 5).device.type == "cpu"


def masked(net):
    mask = length_mask([5, 3], 5)
    return net(X, X, X, mask)[0]


@pytest.mark.parametrize(
    ("make", "run"),
    [
        (lambda: GRU(8, 4), lambda net: net(X, lengths=[5, 3])[0]),
        (lambda: MinGRU(8, 4), lambda net: net(X, lengths=[5, 3])[0]),
        (lambda: MinLSTM(8, 4), lambda net: net(X, lengths=[5, 3])[0]),
        (lambda: StateSpace(8, 4), lambda net: net(X, lengths=[5, 3])[0]),
        (lambda: StateSpace(8, 4), lambda net: net(X)[0]),
        (lambda: LinearAttention(8, 4), lambda net: net(X)[0]),
        (lambda: MultiHeadAttention(8, 4), masked),
        (lambda: EncoderDecoder(3, 3, 4, 4), lambda net: net.loss(IDS, [5, 3], IDS, [5, 3])),
        (lambda: EncoderDecoder(3, 3, 4, 4, attention="dot"), lambda net: net.loss(IDS, None, IDS)),
        (
            lambda: EncoderDecoder(3, 3, 4, 4, attention="additive", bidirectional=True),
            lambda net: net.loss(IDS, [5, 3], IDS, [5, 3]),
        ),
        (lambda: Transformer(3, 8, 2, 1), lambda net: net(IDS)[0]),
        (lambda: Transformer(3, 8, 2, 1, positions="sinusoidal"), lambda net: net(IDS)[0]),
    ],
)
def test_a_layer_runs_where_its_weights_are_whatever_the_default_device_is(make, run):
    torch.manual_seed(0)
    net = make()
    expected = run(net)
    with torch.device("meta"):
        found = run(net)
    assert torch.equal(found, expected)
