"""What the experiment on stories does to the LSTM, and what it leaves alone."""

import math

import numpy as np
import pytest
import torch

from rnncourse.experiments import lstm_story
from rnncourse.experiments.lstm_story import FILLERS, accuracy, build, edits, reach, steps, stories


@pytest.fixture
def batch():
    return stories(8, FILLERS, np.random.default_rng(0))


@pytest.mark.parametrize("back", [None, 0.5, 0.9933])
def test_a_constant_on_the_way_back_leaves_the_states_as_they_are(back, batch):
    model = build("LSTM 1", "as it is", seed=0)
    embedded = model.embed(batch[0])
    found = steps(embedded, dict(model.layer.named_parameters()), back)
    torch.testing.assert_close(found, model.layer(embedded)[0])


def test_the_gate_itself_has_its_gradient_with_the_constant():
    x, p = torch.randn(1, 2, 3), dict(torch.nn.LSTM(3, 4).named_parameters())
    grads = [torch.autograd.grad(steps(x, p, back).sum(), list(p.values())) for back in (None, 0.5)]
    for one, other in zip(*grads, strict=True):  # with one step nothing goes back along the cell
        torch.testing.assert_close(one, other)


def test_held_down_and_let_through_change_how_far_the_gradient_reaches(batch):
    found = {
        (bias, gradient): reach(build(f"LSTM {bias}", gradient, seed=0), batch)
        for bias in (0, 5)
        for gradient in ("as it is", "held down", "let through")
    }
    assert found[5, "held down"] < 0.01 * found[5, "as it is"]
    assert found[0, "let through"] > 100 * found[0, "as it is"]
    assert math.isclose(found[5, "let through"], found[5, "as it is"], rel_tol=0.2)


def test_edits_change_what_lies_between(batch):
    x, asked, _ = batch
    for what, _, where in edits(batch).values():
        assert what in "fih"
        assert where.shape == x.shape
        assert not where[:4].any()
        assert all(not where[asked[b] - 4 :, b].any() for b in range(8))
    words = lstm_story.vocabulary()
    _, _, between = edits(batch)["input_0"]
    shown = words.decode(x[:, 0][between[:, 0]], separator=" ")
    assert shown.startswith(". ")
    assert shown.endswith(" .")


def test_an_edit_of_the_trained_network_counts():
    model = build("LSTM 5", "as it is", seed=0)
    batch = stories(50, FILLERS, np.random.default_rng(1))
    assert 0 <= accuracy(model, batch, edits(batch)["erased_c"]) <= 1
