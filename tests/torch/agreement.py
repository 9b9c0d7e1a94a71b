"""Comparison of layers, shared by the tests of this folder."""

import numpy as np
import torch

from rnncourse.reference import relative_error

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def close(a, b, dtype, what, scale=0.0):
    """Compare relative to the largest entry, or to ``scale`` if that is larger."""
    a, b = (v.detach().cpu().numpy() if isinstance(v, torch.Tensor) else v for v in (a, b))
    assert a.shape == b.shape, what
    difference = relative_error(a, b) * max(np.abs(a).max(), np.abs(b).max())
    assert difference <= TOLERANCE[dtype] * max(np.abs(b).max(), scale), what


def all_close(found, expected, dtype):
    """Compare two dictionaries of outputs and gradients.

    A gradient is a sum over steps. Where its terms cancel to less than a tenth of the gradients'
    size, float32 has lost those digits in every implementation.
    """
    assert found.keys() == expected.keys()
    scale = max(v.abs().max().item() for v in expected.values()) / 10
    for what, value in expected.items():
        close(found[what], value, dtype, what, scale)
