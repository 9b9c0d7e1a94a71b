"""The frame of the races: no mixer sees the future, sizes are equal, and arithmetic is counted."""

import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import rnncourse.torch
from rnncourse.experiments._frame import (
    MIXERS,
    Attention,
    LinearAttention,
    Network,
    arithmetic,
    build,
    linear_attention,
    n_parameters,
    train,
    width,
)
from rnncourse.experiments._tasks import BITS, KEYS, lamp, last, loss, names
from rnncourse.experiments._text import HALF, WINDOW, bits, manual, ngram_bits
from rnncourse.ngram import NGram

ALL = {**MIXERS, "linear attention": [linear_attention(4)] * 2}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("previous", [False, True])
def test_no_step_sees_a_later_one(name, previous):
    model = build(ALL[name], 10, 16, seed=0, previous=previous)
    ids = torch.randint(10, (40, 2), generator=torch.Generator().manual_seed(1))
    changed = ids.clone()
    changed[25:] = (ids[25:] + 1) % 10
    with torch.no_grad():
        scores, others = model(ids), model(changed)
    torch.testing.assert_close(scores[:25], others[:25], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(scores[25:], others[25:], atol=1e-3)


def test_the_previous_symbol_is_given():
    model = build([], 10, 16, seed=0, previous=True)
    ids = torch.tensor([[1], [2], [3], [2]])
    with torch.no_grad():
        scores = model(ids)
    assert not torch.allclose(scores[1], scores[3])
    with torch.no_grad():
        again = model(torch.tensor([[9], [1], [2], [3], [2]]))
    torch.testing.assert_close(again[2:], scores[1:])


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("budget", [24_000, 60_000, 150_000])
def test_networks_of_a_budget_have_about_as_many_weights(name, budget):
    E = width(MIXERS[name], 100, budget)
    assert n_parameters(Network(MIXERS[name], 100, E)) == pytest.approx(budget, rel=0.1)


def test_the_seed_decides_the_weights_and_the_global_generator_stays():
    state = torch.get_rng_state()
    a, b, c = (build(MIXERS["LSTM"], 5, 8, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(a.out.weight, b.out.weight)
    assert not torch.equal(a.out.weight, c.out.weight)


@pytest.mark.parametrize("positions", ["rotary", "ALiBi", "none"])
def test_weights_of_attention_are_those_that_mix(positions):
    torch.manual_seed(0)
    layer, x = Attention(16, positions=positions), torch.randn(7, 3, 16)
    weights = layer.weights(x)  # (B, N, T, T)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 4, 7))
    assert (weights.triu(1) == 0).all()
    _, _, v = layer._project(x)
    mixed = layer.heads.out_proj((weights @ v).transpose(1, 2).flatten(2)).transpose(0, 1)
    torch.testing.assert_close(layer(x), mixed, rtol=1e-4, atol=1e-5)


def test_alibi_lowers_scores_with_the_distance():
    layer = Attention(16, num_heads=4, positions="ALiBi")
    with torch.no_grad():
        layer.heads.in_proj_weight.zero_()  # all scores alike
    weights = layer.weights(torch.randn(3, 1, 16))[0]
    for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
        ratio = weights[head, 2, 1] / weights[head, 2, 2]
        assert ratio.item() == pytest.approx(math.exp(-slope), rel=1e-5)


def test_linear_attention_is_that_of_the_package():
    torch.manual_seed(0)
    ours, x = LinearAttention(16, 4), torch.randn(7, 3, 16)
    package = rnncourse.torch.LinearAttention(16, 4)
    package.load_state_dict(ours.heads.state_dict())
    torch.testing.assert_close(ours(x), package(x)[0])


def test_distances_can_be_hidden():
    layer = Attention(16)
    layer.allowed = lambda distance: distance != 1
    weights = layer.weights(torch.randn(5, 1, 16))[0]
    assert (weights.diagonal(-1, -2, -1) == 0).all()
    assert (weights.diagonal(-2, -2, -1) > 0).all()


@pytest.mark.parametrize("name", ["transformer", "convolution", "minGRU"])
def test_arithmetic_is_what_pytorch_counts(name):
    T, B = 32, 4
    model = build(MIXERS[name], 50, 16, seed=0)
    ids = torch.randint(50, (T, B))
    with FlopCounterMode(display=False) as counter:
        loss(model, (ids, ids)).backward()
    attention = 0
    if name == "transformer":  # scores and mean, layers; PyTorch counts it not at all, or in full
        attention = 3 * sum(2 * 2 * 16 * (t + 1) for t in range(T)) * B * 2
    counts = counter.get_flop_counts()["Global"].items()
    counted = attention + sum(n for operation, n in counts if "attention" not in str(operation))
    assert arithmetic(model, T) * T * B == pytest.approx(counted, rel=0.01)


def test_training_learns_warms_up_and_can_be_ended():
    model = build(MIXERS["minGRU"], 3, 16, seed=0)
    rng, seen = np.random.default_rng(0), []
    first = loss(model, lamp(2, 2, 64, rng, "cpu")).item()

    def stop(updates):
        seen.append(updates)
        return updates == 150

    batches = (lamp(2, 2, 64, rng, "cpu") for _ in range(200))
    assert train(model, loss, batches, 200, 0.01, stop)
    assert seen == list(range(1, 151))
    assert loss(model, lamp(2, 2, 64, rng, "cpu")).item() < first / 2


def test_training_says_so_when_it_diverges():
    model = build(MIXERS["minGRU"], 3, 16, seed=0)
    with torch.no_grad():
        model.out.weight.fill_(math.nan)
    rng = np.random.default_rng(0)
    assert not train(model, loss, [lamp(2, 4, 8, rng, "cpu")], 1, 0.01, lambda _: None)


def test_a_lamp_with_colors_counts_modulo_their_number():
    x, y = lamp(3, 20, 5, np.random.default_rng(0), "cpu")
    assert torch.equal(y, x.cumsum(0) % 3)
    assert torch.equal(last((x, y))[1], y[-1:])


@pytest.mark.parametrize("order", ["any", "fixed"])
def test_the_answers_of_a_list_are_the_values_of_its_keys(order):
    x, y = names(order, 4, 50, np.random.default_rng(0), "cpu")
    assert x.shape == (12, 50)
    assert y.shape == (4, 50)
    for column, answers in zip(x.T.tolist(), y.T.tolist(), strict=True):
        pairs = dict(zip(column[:8:2], column[1:8:2], strict=True))
        assert sorted(pairs) == sorted(column[8:])
        assert [pairs[key] for key in column[8:]] == answers
        assert all(key < KEYS <= value < BITS for key, value in pairs.items())
        if order == "fixed":
            assert column[:8:2] == [0, 1, 2, 3]
    assert order == "fixed" or len(x[0].unique()) > 4


def test_each_character_is_scored_once_by_networks_and_ngrams():
    _, _, test_ids, n_symbols = manual()
    ids = test_ids[: 40 * HALF]

    class Counter(torch.nn.Module):
        """Says the unigram of the text."""

        def forward(self, x):
            return unigram.expand(*x.shape, -1)

    model = NGram(1, n_symbols).fit(ids)
    unigram = torch.from_numpy(np.log(model.probs([])))
    scored = ids[HALF + 1 : HALF + 1 + HALF * len(range(0, len(ids) - WINDOW, HALF))]
    assert bits(Counter(), ids, "cpu") == pytest.approx(model.bits_per_character(scored), rel=1e-6)
    assert 2.0 < ngram_bits(5) < 2.3 < ngram_bits(3)
