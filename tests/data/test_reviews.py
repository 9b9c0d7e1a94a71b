import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.data.files import read_reviews
from rnncourse.data.reviews import (
    BAD,
    CASES,
    CLASSES,
    FACTS,
    GOOD,
    NEUTRAL,
    NOUNS,
    PLAIN,
    SHARES,
    Review,
    best_score,
    pad_reviews,
    reviews,
    vocabulary,
)
from rnncourse.data.text import Vocabulary

POLARITY = dict.fromkeys(BAD, -1) | dict.fromkeys(PLAIN, 0) | dict.fromkeys(GOOD, 1)
NEGATIONS = {"not", "far", "hardly", "no", "never", "neither", "nor"}
UNDONE = ("nobody can deny", "not only", "no doubt", "can not deny")
OTHERS = ("calls the", "critics", "last film")


def polarity(clause):
    """Return what a clause says of a noun, or None if it has no opinion."""
    said = [POLARITY[word] for word in clause if word in POLARITY]
    if not said:
        return None
    if len(said) == 2:  # neither … nor …
        return 0
    undone = any(phrase in " ".join(clause) for phrase in UNDONE)
    return said[0] if undone or not NEGATIONS & set(clause) else -said[0]


def rules(words):
    """Read the class from the words by rules written without a look at the grammar's code."""
    verdict = 0
    for sentence in " ".join(words).removesuffix(" .").split(" . "):
        if any(phrase in sentence for phrase in OTHERS):
            if "agree" in sentence.split():
                verdict = polarity(sentence.split())
            elif "disagree" in sentence:
                verdict = -polarity(sentence.split())
            continue
        whole = sentence.split()
        if polarity(whole) is None:
            continue
        verdict = polarity(whole)
        for joint in (" , but ", " , and ", " , although ", " , even if "):
            if joint in sentence:
                first, second = (polarity(half.split()) for half in sentence.split(joint))
                verdict = second if "but" in joint else 0 if "and" in joint else first
        if whole[0] == "although":
            verdict = polarity(sentence.split(" , ")[1].split())
    return verdict + 1


@given(st.integers(0, 2**32), st.sampled_from(CASES), st.sampled_from(["train", "test"]))
def test_the_words_decide_the_class(seed, case, part):
    for review in reviews(20, np.random.default_rng(seed), part, cases=[case]):
        assert rules(review.words) == review.clean, " ".join(review.words)
        assert review.case == case
        assert review.words[-1] == "."
        assert "{" not in " ".join(review.words)
        assert "*" not in " ".join(review.words)


def test_a_reader_who_understands_everything_scores_what_is_promised(rng):
    drawn = reviews(20_000, rng)
    accuracy, loss = best_score()
    right = np.array([review.clean == review.label for review in drawn])
    assert right.mean() == pytest.approx(accuracy, abs=0.01)
    p = np.where(right, accuracy, (1 - accuracy) / 2)
    assert -np.log(p).mean() == pytest.approx(loss, abs=0.02)
    wrong = Counter((r.clean, r.label) for r in drawn if r.clean != r.label)
    assert len(wrong) == 6
    assert min(wrong.values()) > 130  # 200 expected


def test_best_scores():
    assert best_score(0) == (1, 0)
    assert best_score(2 / 3) == pytest.approx((1 / 3, math.log(3)))
    assert best_score(0.1) == pytest.approx((0.9, -0.9 * math.log(0.9) - 0.1 * math.log(0.05)))


def test_classes_are_equally_frequent_in_each_case(rng):
    drawn = reviews(20_000, rng, noise=0)
    assert all(review.label == review.clean for review in drawn)
    cases = Counter(review.case for review in drawn)
    for case, share in zip(CASES, SHARES, strict=True):
        assert cases[case] / 20_000 == pytest.approx(share, abs=0.015)
        classes = Counter(review.clean for review in drawn if review.case == case)
        assert len(classes) == len(CLASSES)
        assert all(n / cases[case] == pytest.approx(1 / 3, abs=0.06) for n in classes.values())
    assert sum(SHARES) == pytest.approx(1)


def test_evidence_points_at_the_words_that_decide(rng):
    for review in reviews(3000, rng):
        said = {review.words[i] for i in review.evidence}
        if not said:
            assert review.clean == NEUTRAL
            continue
        assert said & POLARITY.keys()
        if review.case == "contrast":
            assert said & {"but", "although", "even", "and"}
        if review.case in ("negated", "distant") and review.clean != NEUTRAL:
            assert said & NEGATIONS
        if review.case == "plain":
            assert len(said) == 1


def test_negations_stand_near_or_far(rng):
    for case in ("negated", "distant"):
        for review in reviews(500, rng, cases=[case]):
            if review.clean != NEUTRAL:
                gap = review.evidence[-1] - review.evidence[-2]
                assert gap <= 2 if case == "negated" else gap >= 8
    far = reviews(500, rng, cases=["far"])
    assert min(len(r.words) - r.evidence[-1] for r in far) >= 15


def test_nouns_of_train_and_test_differ(rng):
    train = {word for review in reviews(5000, rng) for word in review.words}
    test = {word for review in reviews(5000, rng, "test") for word in review.words}
    assert set(NOUNS["train"]) <= train
    assert set(NOUNS["test"]) <= test
    assert train - test == set(NOUNS["train"])
    assert test - train == set(NOUNS["test"])


def test_no_word_has_two_meanings():
    assert len(POLARITY) == len(BAD) + len(PLAIN) + len(GOOD)
    for fact in FACTS:
        assert not POLARITY.keys() & set(fact.split())


def test_frequent_words_come_more_often(rng):
    counts = Counter(word for review in reviews(20_000, rng) for word in review.words)
    for words in (GOOD, BAD):
        assert 5 < counts[words[0]] / counts[words[-1]] < 13


@given(st.integers(0, 2**32), st.integers(1, 8))
def test_padding(seed, n):
    drawn = reviews(n, np.random.default_rng(seed))
    words = vocabulary(drawn, least=1)
    x, lengths, y = pad_reviews(drawn, words)
    assert x.shape == (max(map(len, (r.words for r in drawn))), n)
    for b, review in enumerate(drawn):
        assert lengths[b] == len(review.words)
        assert words.decode(x[: lengths[b], b], " ") == " ".join(review.words)
        assert (x[lengths[b] :, b] == 0).all()
        assert y[b] == review.label


def test_rare_words_are_unknown(rng):
    drawn = reviews(100, rng)
    counts = Counter(word for review in drawn for word in review.words)
    words = vocabulary(drawn, least=3)
    assert set(words.tokens[2:]) == {word for word, n in counts.items() if n >= 3}
    assert words.tokens[:2] == ("<pad>", "<unk>")


def test_folders_of_texts_come_back(tmp_path, rng):
    drawn = reviews(30, rng, noise=0)
    for i, review in enumerate(drawn):
        folder = tmp_path / CLASSES[review.label]
        folder.mkdir(exist_ok=True)
        (folder / f"{i:03}.txt").write_text(" ".join(review.words), encoding="utf-8")
    texts, labels = read_reviews(tmp_path, CLASSES)
    assert sorted(zip(texts, labels, strict=True)) == sorted(
        (" ".join(review.words), review.label) for review in drawn
    )


def test_all_cases_and_little_noise_unless_told_otherwise():
    told = {"part": "train", "cases": CASES, "noise": 0.06}
    assert reviews(50, np.random.default_rng(0)) == reviews(50, np.random.default_rng(0), **told)


def test_bad_input_is_refused(rng):
    with pytest.raises(ValueError, match="n: expected at least 0"):
        reviews(-1, rng)
    with pytest.raises(TypeError, match=r"rng: expected numpy\.Generator, got int"):
        reviews(1, 0)
    with pytest.raises(ValueError, match="part: expected 'train' or 'test', got 'valid'"):
        reviews(1, rng, "valid")
    with pytest.raises(ValueError, match="cases: expected 'plain' or"):
        reviews(1, rng, cases=["sad"])
    with pytest.raises(ValueError, match="cases: expected at least one"):
        reviews(1, rng, cases=[])
    for noise in (-0.1, 0.7, math.nan):
        with pytest.raises(ValueError, match="noise: expected a share from 0 to 2/3"):
            reviews(1, rng, noise=noise)
        with pytest.raises(ValueError, match="noise: expected a share from 0 to 2/3"):
            best_score(noise)
    with pytest.raises(ValueError, match="least: expected at least 1"):
        vocabulary([], 0)
    drawn = reviews(2, rng)
    with pytest.raises(ValueError, match="drawn: expected at least one review, got none"):
        pad_reviews([], vocabulary(drawn))
    with pytest.raises(ValueError, match=r"drawn\[1\]: expected at least one word, got none"):
        pad_reviews([drawn[0], Review((), 0, 0, "plain", ())], vocabulary(drawn))
    with pytest.raises(ValueError, match="words: expected a vocabulary with '<pad>'"):
        pad_reviews(drawn, Vocabulary(["dull"]))
