"""The translators of the experiment on the bottleneck do what their names say."""

import pytest
import torch

from rnncourse.data.translation import translation_pairs
from rnncourse.experiments._bottleneck import (
    HAND_OVERS,
    Translator,
    batch_of,
    build,
    loss,
    new_decoder,
    train,
    translations,
)
from rnncourse.experiments.bottleneck import RATES, SETTINGS
from rnncourse.experiments.bottleneck_rates import SETTINGS as TUNED


@pytest.fixture
def batch(rng):
    return batch_of(translation_pairs(6, rng, (5, 12)))


@pytest.mark.parametrize(("context", "same"), [("once", True), ("every step", False)])
def test_the_context_is_read_again_only_where_it_should_be(context, same, batch):
    model = build(8, context, seed=0)
    first = model.encoder(batch)
    words = batch.target[:-1]
    scores = model.decoder(words, (first, first))[0]
    other = model.decoder(words, (first, torch.zeros_like(first)))[0]
    assert torch.equal(scores, other) == same


@pytest.mark.parametrize("context", HAND_OVERS)
def test_a_sentence_is_the_same_alone_and_in_a_batch(context, batch):
    model = build(8, context, seed=0)
    alone = [batch.pick(torch.tensor([b])) for b in range(6)]
    together = model.encoder(batch)
    for b, one in enumerate(alone):
        assert torch.allclose(model.encoder(one)[:, 0], together[:, b], atol=1e-6)
        assert translations(model, one) == [translations(model, batch)[b]]
    total = sum(loss(model, one) * one.lengths.sum() for one in alone)
    assert torch.allclose(total / batch.lengths.sum(), loss(model, batch), atol=1e-5)


def test_a_frozen_encoder_keeps_its_weights_and_the_new_decoder_learns():
    model = build(8, "once", seed=0)
    model.encoder.requires_grad_(requires_grad=False)
    before = {name: p.clone() for name, p in model.encoder.named_parameters()}
    fresh = Translator(model.encoder, new_decoder(8, "every step", seed=1))
    start = fresh.decoder.output.weight.clone()
    train(fresh, 0.01, 3, seed=1)
    assert all(torch.equal(p, before[name]) for name, p in fresh.encoder.named_parameters())
    assert not torch.equal(fresh.decoder.output.weight, start)


def test_each_network_of_the_comparison_has_been_tuned():
    assert {(s["units"], s["context"]) for s in SETTINGS} == RATES.keys()
    assert {(s["units"], s["context"]) for s in TUNED} == RATES.keys()
