"""All ways to train a layer give the same numbers."""

import pytest
import torch
from torch import nn

from rnncourse.experiments import training_fast


def result(way, layer, x, dout):
    layer.zero_grad()
    out = training_fast.forward_of(way, layer, x)()
    out.backward(dout)
    return [out.detach(), *(p.grad.clone() for p in layer.parameters())]


@pytest.mark.parametrize("way", ["hoisted", "by hand", "kernel", "torch.nn"])
@pytest.mark.parametrize("cell", [nn.LSTM, nn.RNN])
@pytest.mark.parametrize("scale", [1, 300], ids=["usual", "saturated"])
def test_a_way_agrees_with_autograd_on_the_formulas(cell, way, scale):
    if way == "kernel":
        if cell is nn.RNN:
            pytest.skip("the kernel is that of an LSTM")
        try:
            training_fast.library()
        except Exception as error:
            pytest.skip(f"no compiler: {error}")
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    layer = cell(5, 19)  # not a whole number of vector registers
    x = scale * torch.randn(7, 3, 5, generator=generator)
    dout = torch.randn(7, 3, 19, generator=generator)
    found, truth = result(way, layer, x, dout), result("textbook", layer, x, dout)
    for value, true in zip(found, truth, strict=True):
        torch.testing.assert_close(value, true, rtol=1e-4, atol=1e-5 * scale)


def test_the_floor_is_for_a_cpu():
    with pytest.raises(ValueError, match="device: expected 'cpu', got 'cuda'"):
        training_fast.run(**training_fast.CHEAP, seed=0, device="cuda")


def test_the_settings_stand_once():
    keys = [tuple(setting.values()) for setting in training_fast.SETTINGS]
    assert len(keys) == len(set(keys))
