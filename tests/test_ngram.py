import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.data import Vocabulary, python_manual, split_text
from rnncourse.ngram import NGram


def plain_probability(train, history, symbol, order, V):
    """Witten–Bell by the formula, with lists."""
    p = 1 / V
    for n in range(1, order + 1):
        if n - 1 > len(history):
            return p
        h = history[len(history) - n + 1 :]
        after = [train[i + n - 1] for i in range(len(train) - n + 1) if train[i : i + n - 1] == h]
        if after:
            p = (after.count(symbol) + len(set(after)) * p) / (len(after) + len(set(after)))
    return p


small = st.lists(st.integers(0, 3), min_size=4, max_size=40)


@given(small, small, st.integers(1, 4))
def test_agrees_with_the_plain_formula_and_sums_to_one(train, test, order):
    model = NGram(order, 4).fit(train)
    log_probs = model.log_probs(test)
    for t, symbol in enumerate(test):
        expected = plain_probability(train, test[:t], symbol, order, 4)
        probs = model.probs(test[:t])
        assert np.exp(log_probs[t]) == pytest.approx(expected)
        assert probs[symbol] == pytest.approx(expected)
        assert probs.sum() == pytest.approx(1)
        assert (probs > 0).all()


def plain_kneser_ney(train, history, symbol, order, V):
    """Kneser–Ney by the formula, with lists."""

    def grams(n):
        return [tuple(train[i : i + n]) for i in range(len(train) - n + 1)]

    p = 1 / V
    for n in range(1, order + 1):
        if n - 1 > len(history):
            return p
        h = tuple(history[len(history) - n + 1 :])
        seen = grams(n) if n == order else [longer[1:] for longer in set(grams(n + 1))]
        counts = [seen.count(gram) for gram in set(seen)]
        once, twice = counts.count(1), counts.count(2)
        D = once / (once + 2 * twice) if once else 0.5
        after = [gram[-1] for gram in seen if gram[:-1] == h]
        if after:
            kept = max(after.count(symbol) - D, 0)
            p = (kept + D * len(set(after)) * p) / len(after)
    return p


@given(small, small, st.integers(1, 4))
def test_kneser_ney_agrees_with_the_plain_formula_and_sums_to_one(train, test, order):
    model = NGram(order, 4, smoothing="Kneser–Ney").fit(train)
    log_probs = model.log_probs(test)
    for t, symbol in enumerate(test):
        expected = plain_kneser_ney(train, test[:t], symbol, order, 4)
        probs = model.probs(test[:t])
        assert np.exp(log_probs[t]) == pytest.approx(expected)
        assert probs[symbol] == pytest.approx(expected)
        assert probs.sum() == pytest.approx(1)
        assert (probs > 0).all()


def test_kneser_ney_is_the_better_smoothing_of_long_contexts():
    train, _, test = split_text(python_manual())
    chars = Vocabulary.from_text(train)
    for order in (5, 6):
        bits = [
            NGram(order, len(chars), smoothing=smoothing)
            .fit(chars.encode(train))
            .bits_per_character(chars.encode(test))
            for smoothing in ("Witten–Bell", "Kneser–Ney")
        ]
        assert bits[1] < bits[0] - 0.05


def test_an_unknown_smoothing_is_refused():
    with pytest.raises(ValueError, match="smoothing"):
        NGram(2, 3, smoothing="none")


def test_counts():
    model = NGram(2, 3).fit([0, 1, 0, 1, 2])
    assert model.n_parameters == 3 + 3  # 0, 1, 2 and 01, 10, 12


def test_a_single_symbol_is_certain():
    assert NGram(2, 1).fit([0, 0]).probs([0]).tolist() == [1]


def test_a_repeated_pattern_becomes_certain():
    model = NGram(3, 5).fit(np.tile([0, 1, 2], 1000))
    assert model.bits_per_character(np.tile([0, 1, 2], 100)) < 0.1
    assert model.sample(6, np.random.default_rng(0), prompt=[0, 1]).tolist() == [2, 0, 1, 2, 0, 1]


def test_samples_follow_the_distribution():
    model = NGram(1, 3).fit([0, 0, 0, 1])
    drawn = model.sample(5000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 5000, model.probs([]), atol=0.03)


def test_longer_contexts_help_on_english():
    train, _, test = split_text(python_manual())
    vocabulary = Vocabulary.from_text(train)
    ids, held_out = vocabulary.encode(train), vocabulary.encode(test)
    bits = [NGram(n, len(vocabulary)).fit(ids).bits_per_character(held_out) for n in (1, 3, 5)]
    assert 4.2 < bits[0] < 5.2
    assert bits[1] < bits[0] - 1
    assert bits[2] < bits[1] - 0.4


def test_no_text_has_no_log_probabilities():
    model = NGram(2, 3).fit([0, 1])
    assert model.log_probs([]).shape == (0,)
    with pytest.raises(ValueError, match="ids: expected at least 1 symbol"):
        model.bits_per_character([])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="order: expected at least 1, got 0"):
        NGram(0, 3)
    with pytest.raises(TypeError, match="n_symbols: expected a whole number"):
        NGram(2, 3.0)
    with pytest.raises(ValueError, match=r"order: expected n_symbols\*\*order below 2\*\*63"):
        NGram(10, 105)
    NGram(9, 105)
    with pytest.raises(ValueError, match=r"got 2\*\*63"):
        NGram(63, 2)
    NGram(62, 2)
    model = NGram(3, 4)
    with pytest.raises(RuntimeError, match="call fit first"):
        model.log_probs([0, 1, 2])
    with pytest.raises(ValueError, match="ids: expected at least order = 3 symbols, got 2"):
        model.fit([0, 1])
    with pytest.raises(ValueError, match="ids: expected numbers from 0 to 3, got 0 to 4"):
        model.fit([0, 1, 4])
    with pytest.raises(ValueError, match="ids: expected 1 axis"):
        model.fit([[0, 1, 2]])
    with pytest.raises(TypeError, match="ids: expected whole numbers"):
        model.fit([0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="n: expected at least 0"):
        model.fit([0, 1, 2]).sample(-1, np.random.default_rng(0))
    with pytest.raises(TypeError, match=r"rng: expected numpy\.Generator, got int"):
        model.sample(1, 0)


def test_a_text_as_long_as_an_n_gram_sees_all_of_it():
    model = NGram(2, 3).fit([0, 1] * 10)
    both, more = model.log_probs([0, 1]), model.log_probs([0, 1, 0])
    np.testing.assert_array_equal(both, more[:2])
    assert both[1] > np.log(0.9)
