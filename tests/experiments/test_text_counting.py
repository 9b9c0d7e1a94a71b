"""Counting is scored where the networks are scored."""

import math

import numpy as np

from rnncourse.experiments import text_counting
from rnncourse.experiments._text import HALF, WINDOW
from rnncourse.ngram import NGram


def test_counting_answers_the_characters_that_the_networks_answer(monkeypatch):
    rng = np.random.default_rng(0)
    train, valid, test = (rng.integers(5, size=n) for n in (900, 3 * WINDOW, 4 * WINDOW + 7))
    monkeypatch.setattr(text_counting, "manual", lambda: (train, valid, test, 5))
    found = text_counting.run("Kneser–Ney", 3, 0.5, seed=0, device="cpu")
    model = NGram(3, 5, smoothing="Kneser–Ney").fit(train[:450])
    assert found["counts"] == model.n_parameters
    assert math.isclose(found["whole"], model.bits_per_character(test))
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
    known, new = (text_counting.bz2_bits(noise, text) for text in (noise[:2000], other))
    assert known < new
