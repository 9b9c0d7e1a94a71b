"""The opponents of the networks on text."""

import math

import numpy as np

from rnncourse.experiments import _opponents
from rnncourse.experiments._opponents import bz2_bits, kneser_ney
from rnncourse.experiments._text import HALF, WINDOW
from rnncourse.ngram import NGram


def test_counting_answers_the_characters_that_the_networks_answer(monkeypatch):
    rng = np.random.default_rng(0)
    train, valid, test = (rng.integers(5, size=n) for n in (900, 3 * WINDOW, 4 * WINDOW + 7))
    monkeypatch.setattr(_opponents, "manual", lambda: (train, valid, test, 5))
    found = kneser_ney(3, share=0.5)
    model = NGram(3, 5, smoothing="Kneser–Ney").fit(train[:450])
    assert found["counts"] == model.n_parameters
    for part, ids in (("valid", valid), ("test", test)):
        answers = [  # as in `_text.bits`: of each window the second half
            start + HALF + 1 + i for start in range(0, len(ids) - WINDOW, HALF) for i in range(HALF)
        ]
        nats = -np.mean([math.log(model.probs(ids[:at])[ids[at]]) for at in answers])
        assert math.isclose(found[part], nats / math.log(2), rel_tol=1e-9)


def test_a_text_that_is_known_takes_few_bits():
    rng = np.random.default_rng(0)
    noise = "".join(rng.choice(list("abcdefgh"), 4000))
    other = "".join(rng.choice(list("abcdefgh"), 2000))
    assert bz2_bits(noise, noise[:2000]) < bz2_bits(noise, other)
