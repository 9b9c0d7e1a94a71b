import functools
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.metrics import (
    bits_per_character,
    bleu,
    calibration,
    copied_share,
    coverage,
    edit_distance,
    error_rate,
    longest_copy,
    naive_scale,
    perplexity,
    pinball_loss,
    repeated_share,
    scaled_error,
)


def test_a_uniform_guess_over_v_symbols():
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert bits_per_character(math.log(50)) == pytest.approx(math.log2(50))
    assert perplexity(0) == 1
    assert perplexity(709.7) == pytest.approx(math.exp(709.7))
    assert perplexity(709.8) == perplexity(math.inf) == math.inf


@pytest.mark.parametrize("measure", [perplexity, bits_per_character])
def test_a_loss_may_be_a_tensor_and_the_measure_is_a_number(measure):
    for nll in (torch.tensor(1.0), np.float32(1.0)):
        assert type(measure(nll)) is float
        assert measure(nll) == measure(1.0)


@pytest.mark.parametrize("measure", [perplexity, bits_per_character])
@pytest.mark.parametrize("nll", [-0.1, math.nan])
def test_what_is_no_mean_loss_is_refused(measure, nll):
    with pytest.raises(ValueError, match="nll: expected a mean loss in nats of at least 0"):
        measure(nll)


def distance_by_definition(a, b):
    @functools.cache
    def distance(i, j):
        if min(i, j) == 0:
            return max(i, j)
        replaced = distance(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, replaced)

    return distance(len(a), len(b))


texts = st.text("abc", max_size=8)


@given(texts, texts, texts)
def test_edit_distance(a, b, c):
    d = edit_distance(a, b)
    assert d == distance_by_definition(a, b) == edit_distance(b, a) == edit_distance([*a], [*b])
    assert (d == 0) == (a == b)
    assert edit_distance(a, c) <= d + edit_distance(b, c)


def test_the_error_rate_weighs_by_length():
    assert error_rate(["", "abcdefghi"], ["x", "abcdefghi"]) == pytest.approx(0.1)
    assert error_rate(["abc"], ["x"]) == 3
    assert error_rate([[1, 2], [3]], [[1, 2], [4]]) == pytest.approx(1 / 3)
    with pytest.raises(TypeError, match="hypotheses: expected a list of texts, got a single one"):
        error_rate("abc", ["abc"])
    with pytest.raises(ValueError, match=r"as many as hypotheses \(1\), got 2"):
        error_rate(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="references: expected at least one"):
        error_rate([], [])
    with pytest.raises(ValueError, match="references: expected one that is not empty"):
        error_rate(["a"], [""])


def test_a_text_is_not_compared_with_words():
    for a, b in (("a cat", ["a", "cat"]), (["a", "cat"], "a cat"), ("", [])):
        with pytest.raises(TypeError, match=r"b: expected (a|no) str, as a is, got (list|str)"):
            edit_distance(a, b)
        with pytest.raises(TypeError, match=r"references\[1\]: expected .*, as hypotheses\[1\] is"):
            error_rate(["a", a], ["a", b])
    with pytest.raises(TypeError, match="source: expected a str, as text is, got list"):
        copied_share("a cat sat", ["the", "cat", "sat", "down"], 2)
    with pytest.raises(TypeError, match="source: expected no str, as text is, got str"):
        copied_share(["a", "cat", "sat"], "the cat sat down", 2)
    assert error_rate([("a", "cat")], [["a", "cat"]]) == 0
    assert error_rate(["a cat", ["a", "cat"]], ["a cat", ["a", "cat"]]) == 0


def test_calibration_by_hand():
    probs = [[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]]
    found = calibration(torch.tensor(probs, dtype=torch.float64), torch.tensor([0, 0, 1, 2]), 2)
    assert found.counts.tolist() == [1, 3]  # 0.5 is in the lower bin
    np.testing.assert_allclose(found.confidence, [0.5, 2.5 / 3])
    np.testing.assert_allclose(found.accuracy, [1, 2 / 3])
    assert found.error == pytest.approx((0.5 + 0.5) / 4)


def test_probabilities_may_be_rounded():
    assert calibration([[0.5, 0.5009]], [1]).counts.sum() == 1


def test_who_draws_labels_from_the_probabilities_is_calibrated(rng):
    probs = rng.dirichlet([0.5] * 4, size=50_000).astype(np.float32)
    labels = (probs.cumsum(1) < rng.random((50_000, 1))).sum(1).clip(max=3)
    honest = calibration(probs, labels)
    assert honest.error < 0.01
    assert honest.counts.sum() == 50_000
    assert np.isnan(honest.accuracy[:2]).all()  # the highest of four is at least 1/4
    np.testing.assert_allclose(honest.accuracy[3:], honest.confidence[3:], atol=0.03)
    boast = probs**4
    assert calibration(boast / boast.sum(1, keepdims=True), labels).error > 0.1


@pytest.mark.parametrize(
    ("probs", "labels", "n_bins", "message"),
    [
        ([0.5, 0.5], [0], 5, "probs: expected 2 axes"),
        ([[0.5, 0.5]], [0, 1], 5, r"labels: expected shape \(1,\)"),
        ([[0.5, 0.5]], [0], 0, "n_bins: expected at least 1"),
        ([[2.0, -1.0]], [0], 5, "probs: expected rows of probabilities"),
        ([[0.5, 0.502]], [0], 5, "probs: expected rows of probabilities"),
        ([[math.nan, 0.5]], [0], 5, "probs: expected rows of probabilities"),
        ([[0.5, 0.5]], [0.0], 5, "labels: expected whole numbers, got dtype float64"),
        ([[0.5, 0.5]], [2], 5, "labels: expected numbers from 0 to 1"),
        ([[0.5, 0.5]], [-1], 5, "labels: expected numbers from 0 to 1"),
        ([[0.5, 0.5]] * 2, [0, 2], 5, "labels: expected numbers from 0 to 1"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(probs, labels, n_bins, message):
    with pytest.raises((TypeError, ValueError), match=message):
        calibration(probs, labels, n_bins)


def test_bleu_by_hand():
    pytest.importorskip("sacrebleu")
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 fours; as long as the reference.
    score = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    hypothesis, reference = "the cat sat on the mat", "the cat sat on a mat"
    assert bleu([hypothesis], [reference]) == pytest.approx(score)
    # As many again right with the same counts: the corpus, not the mean of its sentences.
    both = 100 * (11 / 12 * 8 / 10 * 6 / 8 * 4 / 6) ** 0.25
    assert bleu([hypothesis, reference], [reference] * 2) == pytest.approx(both)
    assert bleu([hypothesis, reference], [[reference, hypothesis], [reference]]) == 100
    assert bleu(["abcd"], ["abce"], tokenize="char") > bleu(["abcd"], ["abce"])
    with pytest.raises(TypeError, match="references: expected a list of texts"):
        bleu(["a"], "a")
    for references in ([[]], [["a"], []]):
        with pytest.raises(ValueError, match="references: expected at least one for each"):
            bleu(["a"] * len(references), references)
    with pytest.raises(ValueError, match=r"tokenize: expected 'none' or .*, got 'x'"):
        bleu(["a"], ["a"], tokenize="x")


def test_bleu_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ImportError, match="bleu needs sacrebleu: pip install sacrebleu"):
        bleu(["a"], ["a"])


def test_the_scaled_error_is_that_of_the_naive_forecast_on_the_history():
    history = [1.0, 4.0, 3.0, 6.0]
    assert naive_scale(history) == pytest.approx((3 + 1 + 3) / 3)
    assert naive_scale(history, period=2) == 2.0
    assert scaled_error([5.0, 9.0], [6.0, 6.0], history, period=2) == pytest.approx((1 + 3) / 2 / 2)


@given(st.integers(0, 2**31 - 1), st.floats(0.01, 100), st.floats(-100, 100))
def test_the_scaled_error_has_no_unit(seed, factor, shift):
    rng = np.random.default_rng(seed)
    forecast, actual, history = rng.normal(size=(3, 20))
    there = scaled_error(forecast, actual, history, 4)
    again = scaled_error(*(factor * x + shift for x in (forecast, actual, history)), 4)
    assert again == pytest.approx(there, rel=1e-6)


@given(st.integers(0, 2**31 - 1), st.floats(0.01, 0.99))
def test_the_pinball_loss_is_scikit_learns_and_smallest_at_the_quantile(seed, level):
    from sklearn.metrics import mean_pinball_loss

    actual = np.random.default_rng(seed).normal(size=99)
    at = np.quantile(actual, level, method="inverted_cdf")
    best = pinball_loss(at, actual, level)
    assert best == pytest.approx(mean_pinball_loss(actual, np.full(99, at), alpha=level))
    for other in (at - 0.3, at + 0.3):
        assert pinball_loss(other, actual, level) >= best


def test_the_pinball_loss_charges_both_sides():
    assert pinball_loss([1.0], [3.0], 0.8) == pytest.approx(1.6)
    assert pinball_loss([3.0], [1.0], 0.8) == pytest.approx(0.4)
    assert pinball_loss([[1.0, 2.0]], [[3.0, 2.0]], 0.5) == pytest.approx(0.5)


def test_coverage_counts_what_lies_inside():
    assert coverage([0, 0, 0, 0], [1, 1, 1, 1], [0.5, 1.0, 1.5, -0.5]) == 0.5
    assert coverage(np.zeros((2, 3)), np.ones((2, 3)), np.full((2, 3), 0.5)) == 1.0


letters = st.text("ab", min_size=3, max_size=20)


@given(letters, st.integers(1, 3))
def test_what_is_repeated_came_earlier(text, n):
    spans = [text[i : i + n] for i in range(len(text) - n + 1)]
    earlier = [span in spans[:i] for i, span in enumerate(spans)]
    assert repeated_share(text, n) == pytest.approx(np.mean(earlier))
    assert repeated_share(list(text), n) == repeated_share(text, n)


@given(letters, letters, st.integers(1, 3))
def test_what_is_copied_occurs_in_the_source(text, source, n):
    spans = [text[i : i + n] for i in range(len(text) - n + 1)]
    assert copied_share(text, source, n) == np.mean([span in source for span in spans])
    assert copied_share(list(text), list(source), n) == copied_share(text, source, n)
    assert copied_share(text, text, n) == 1


@given(st.text("ab", max_size=20), st.text("ab", max_size=20))
def test_the_longest_copy_is_the_first_of_the_longest(text, source):
    spans = [text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1)]
    shared = [span for span in spans if span in source]
    assert longest_copy(text, source) == max(shared, key=len, default="")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: naive_scale([1.0, 1.0], 2), "history: expected more than period = 2 numbers"),
        (lambda: naive_scale([[1.0]], 1), "history: expected 1 axes"),
        (lambda: naive_scale([2.0, 2.0, 2.0]), "history: expected a series that changes"),
        (lambda: naive_scale([1.0, np.nan, 2.0]), "history: expected finite numbers"),
        (lambda: naive_scale([1.0, 2.0], 0), "period: expected at least 1"),
        (lambda: scaled_error([1.0], [1.0, 2.0], [1.0, 2.0]), "forecast: expected the shape"),
        (lambda: scaled_error([np.nan], [1.0], [1.0, 2.0]), "forecast: expected finite numbers"),
        (lambda: pinball_loss([1.0], [2.0], 1.0), "level: expected a number between 0 and 1"),
        (lambda: pinball_loss([1.0], [2.0, 3.0, 4.0], 0.5), "forecast: expected the shape"),
        (lambda: pinball_loss([], [], 0.5), "actual: expected at least one number"),
        (lambda: coverage([1.0], [0.0], [0.5]), "low: expected numbers no greater than those of"),
        (lambda: coverage([1.0, 1.0], [2.0], [0.5]), "low: expected the shape"),
    ],
)
def test_wrong_forecasts_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: repeated_share("ab", 3), "tokens: expected at least n = 3 tokens, got 2"),
        (lambda: copied_share("ab", "abcd", 3), "text: expected at least n = 3 tokens, got 2"),
        (lambda: copied_share("abc", "", 1), "source: expected at least n = 1 tokens, got 0"),
        (lambda: repeated_share("ab", 0), "n: expected"),
    ],
)
def test_texts_too_short_for_their_spans_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
