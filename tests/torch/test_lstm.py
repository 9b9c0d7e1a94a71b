"""What only the LSTM has: two states, and projections that are refused."""

import pytest
import torch

from rnncourse.torch import LSTM

X = torch.zeros(5, 2, 3)


@pytest.mark.parametrize("hx", [torch.zeros(1, 2, 4), (torch.zeros(1, 2, 4),), 3])
def test_state_must_be_a_pair(hx):
    with pytest.raises(TypeError, match=r"hx: expected a pair \(h_0, c_0\) of Tensors, got"):
        LSTM(3, 4)(X, hx)


def test_projections_are_refused():
    with pytest.raises(ValueError, match=r"proj_size: expected 0 .*torch.nn.LSTM.*, got 2"):
        LSTM(3, 4, proj_size=2)
    assert LSTM(3, 4, proj_size=0)(X)[0].shape == (5, 2, 4)
