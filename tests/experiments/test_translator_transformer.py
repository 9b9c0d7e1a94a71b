"""The transformer that translates: padding is invisible, and the future too."""

import pytest
import torch

from rnncourse.data.translation import vocabularies
from rnncourse.experiments import translator_transformer, translator_transformer_rates
from rnncourse.experiments._translator_transformer import SIDES, build


@pytest.fixture(params=SIDES, ids=" ".join)
def model(request):
    return build(*request.param, seed=0).eval()


def drawn(T, B):
    return torch.randint(4, 40, (T, B), generator=torch.Generator().manual_seed(T))


def test_padding_is_invisible(model):
    source, words = drawn(7, 2), drawn(4, 2)
    alone = model.decode(words, model.encode(source[:5], torch.tensor([5, 5])))
    source[5:] = 3
    padded = model.decode(words, model.encode(source, torch.tensor([5, 5])))
    torch.testing.assert_close(alone, padded)


def test_the_decoder_does_not_see_the_future_and_sees_the_source(model):
    source, words = drawn(6, 1), drawn(5, 1)
    state = model.encode(source, torch.tensor([6]))
    scores = model.decode(words, state)
    other = words.clone()
    other[3:] += 1
    torch.testing.assert_close(model.decode(other, state)[:3], scores[:3])
    assert not torch.allclose(model.decode(other, state)[3:], scores[3:])
    source[2] += 1
    changed = model.decode(words, model.encode(source, torch.tensor([6])))
    assert not torch.allclose(changed[0], scores[0])


def test_a_step_gives_what_the_whole_gives(model):
    state, words = model.encode(drawn(6, 3), torch.tensor([6, 4, 5])), drawn(4, 3)
    whole, steps = model.decode(words, state), []
    for word in words:
        scores, state = model.step(word, state)
        steps.append(scores)
    torch.testing.assert_close(torch.stack(steps), whole)


def test_the_loss_leaves_padding_out(model):
    spanish = vocabularies()[1]
    source, target = drawn(6, 2), drawn(5, 2)
    target[0] = spanish["<bos>"]
    lengths = torch.tensor([6, 6]), torch.tensor([5, 3])
    loss = model.loss(source, lengths[0], target, lengths[1])
    target[3:, 1] = 2
    torch.testing.assert_close(model.loss(source, lengths[0], target, lengths[1]), loss)


def test_both_sides_search_the_same_rates():
    tried = [s for s in translator_transformer_rates.SETTINGS if s["updates"] == 400]
    rates = {
        side: [s["rate"] for s in tried if (s["norm"], s["positions"]) == side] for side in SIDES
    }
    assert rates[SIDES[0]] == rates[SIDES[1]]
    assert set(translator_transformer.RATES) == set(SIDES)
