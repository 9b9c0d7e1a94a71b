"""The opponents of the character model are probabilities and bits."""

import numpy as np
import pytest

from rnncourse.experiments._opponents import KneserNey, bz2_bits

TEXT = "the cat sat on the mat. the rat sat on the cat. " * 20


@pytest.mark.parametrize("context", ["", "t", "the ", "xyz", "at on the"])
def test_probabilities_of_all_symbols_add_up_to_one(context):
    symbols = [*sorted(set(TEXT)), "unseen"]
    model = KneserNey(4, TEXT, len(symbols))
    total = sum(model.probability(context[-3:], symbol) for symbol in symbols)
    assert total == pytest.approx(1)


def test_kneser_ney_by_hand():
    # "abac": pairs ab, ba, ac, each once, so the amount of order 2 is 3 / (3 + 0) = 1. After a, all
    # of the mass goes to the shorter context, in which a, b and c came after one character each.
    model = KneserNey(2, "abac", 4)
    assert model.probability("a", "b") == pytest.approx(0 + 1 * 2 * model.probability("", "b") / 2)
    assert model.probability("", "a") == pytest.approx((0 + 1 * 3 / 4) / 3)


def test_a_text_that_is_known_takes_few_bits():
    rng = np.random.default_rng(0)
    noise = "".join(rng.choice(list("abcdefgh"), 4000))
    other = "".join(rng.choice(list("abcdefgh"), 2000))
    assert bz2_bits(noise, noise[:2000]) < bz2_bits(noise, other)
    model = KneserNey(4, TEXT, 30)
    assert model.bits(TEXT) < model.bits(TEXT[::-1])
