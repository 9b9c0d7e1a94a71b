"""Counting up and back down: the sequences, the tied LSTM, and when a network says zero."""

import math

import pytest
import torch
from torch import nn

from rnncourse.experiments.counting import (
    NETWORKS,
    CountNet,
    TiedLSTM,
    build,
    downs_until_zero,
    sequences,
)


def test_a_sequence_goes_up_and_down_and_is_at_zero_after_as_many_downs():
    x, above = sequences(torch.tensor([1, 3]), 9)
    count = (x[:, :, 0] - x[:, :, 1]).cumsum(0)
    assert x.shape == (9, 2, 2)
    assert (x.sum(2) == 1).all()
    assert torch.equal(above, (count > 0).float())
    assert count[5, 1] == 0
    assert above[:, 1].sum() == 5


def test_the_tied_lstm_writes_what_it_does_not_keep():
    torch.manual_seed(0)
    layer, x = TiedLSTM(2, 3), torch.randn(6, 4, 2)
    w_ih, w_hh, b_ih, b_hh = layer.parameters()
    h = c = torch.zeros(4, 3)
    states = []
    for x_t in x:
        f, g, o = (x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(3, dim=1)
        f = f.sigmoid()
        c = f * c + (1 - f) * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    out, last = layer(x)
    torch.testing.assert_close(out, torch.stack(states))
    torch.testing.assert_close(last[0], h)


class Counter(nn.Module):
    """Count exactly, and see zero ``late`` steps late."""

    def __init__(self, late):
        super().__init__()
        self.late = nn.Parameter(torch.tensor(float(late)))

    def forward(self, x):
        return (x[:, :, 0] - x[:, :, 1]).cumsum(0) - 0.5 + self.late


@pytest.mark.parametrize(("late", "says"), [(0, 7), (2, 9)])
def test_downs_until_zero(late, says):
    assert downs_until_zero(Counter(late), 7) == says


def test_zero_during_the_ups_counts_as_no_downs_and_never_as_nan():
    assert downs_until_zero(Counter(-4), 7) == 0
    assert math.isnan(downs_until_zero(Counter(100), 7))


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_repeat_and_start_with_a_gate_that_keeps(network):
    first, again = build(network, 0), build(network, 0)
    assert isinstance(first, CountNet)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    cell, _, units = network.rpartition(" ")
    H, bias = int(units), dict(first.layer.named_parameters())["bias_ih_l0"]
    if cell != "plain":
        gate = bias[:H] if cell == "tied LSTM" else bias[H : 2 * H]
        assert (gate == 1).all()
        assert (bias == 1).sum() == H
