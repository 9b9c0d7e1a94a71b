import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.data.sentences import (
    ANSWERS,
    COLORS,
    FOODS,
    HEADS,
    Question,
    best_score,
    color_sentence,
    compound_sentence,
    pad_sentences,
    sentences,
    story,
    vocabulary,
)
from rnncourse.data.text import Vocabulary


def decided_by(sentence, question):
    return sentence.words[question.position - question.distance]


def answer(sentence, question):
    return sentence.words[question.position]


@given(st.integers(0, 2**32), st.integers(0, 6))
def test_every_question_points_at_the_word_that_decides_it(seed, n_fillers):
    sentence = story(np.random.default_rng(seed), n_fillers)
    heads = {h: a for h, (_, a) in HEADS.items()} | {p: a for p, a in HEADS.values()}
    numbers = dict.fromkeys(HEADS, "is") | {p: "are" for p, _ in HEADS.values()}
    rules = {"color": COLORS, "food": FOODS, "adjective": heads, "verb": numbers}
    for question in sentence.questions:
        assert rules[question.name][decided_by(sentence, question)] == answer(sentence, question)
    food = sentence.questions[-1]
    assert food.name == "food"
    assert food.position == len(sentence.words) - 2
    assert 7 + 5 * n_fillers <= food.distance <= 7 + 6 * n_fillers


def test_the_three_worked_sentences_belong_to_the_language(rng):
    drawn = {" ".join(s.words) for s in sentences(20_000, rng, fillers=(0, 0))}
    assert "the apple is red ." in drawn
    assert "apple trees are tall ." in drawn
    assert "Tom is a cat . Tom 's favorite food is fish ." in drawn


def test_no_model_that_counts_beats_the_best_score(rng):
    """The mean log loss of the true conditional frequencies is what the function promises."""
    drawn = sentences(20_000, rng, fillers=(0, 1))
    for name in ANSWERS:
        for memory in range(2, 8):
            counts = defaultdict(Counter)
            promised = 0.0
            for s in drawn:
                for q in s.questions:
                    if q.name == name:
                        seen = s.words[max(0, q.position - memory) : q.position]
                        counts[seen if q.distance <= memory else "blind"][answer(s, q)] += 1
                        promised += best_score(q, memory)[1]
            n = sum(c.total() for c in counts.values())
            loss = -sum(k * math.log(k / c.total()) for c in counts.values() for k in c.values())
            assert loss / n == pytest.approx(promised / n, abs=0.01)


def test_best_scores():
    assert best_score(Question("color", 3, 2)) == (1, 0)
    assert best_score(Question("color", 3, 2), 2) == (1, 0)
    assert best_score(Question("color", 3, 2), 1) == pytest.approx((1 / 4, math.log(4)))
    assert best_score(Question("verb", 3, 1), 0) == pytest.approx((1 / 2, math.log(2)))
    assert best_score(Question("adjective", 3, 2), 1) == pytest.approx((1 / 3, math.log(3)))
    assert best_score(Question("food", 10, 7), 6) == pytest.approx((1 / 8, math.log(8)))


def test_no_two_animals_share_a_food():
    assert len(set(FOODS.values())) == len(FOODS)


def test_the_vocabulary_holds_every_word(rng):
    words = vocabulary()
    assert all(w in words for s in sentences(500, rng) for w in s.words)
    assert words["<pad>"] == 0


@given(st.integers(0, 2**32), st.integers(1, 8))
def test_padding(seed, n):
    words = vocabulary()
    drawn = sentences(n, np.random.default_rng(seed))
    x, y, mask = pad_sentences(drawn, words)
    T = max(len(s.words) for s in drawn) - 1
    assert x.shape == y.shape == mask.shape == (T, n)
    for b, s in enumerate(drawn):
        m = len(s.words) - 1
        assert mask[:, b].sum() == m
        assert mask[:m, b].all()
        assert words.decode(x[:m, b], " ") == " ".join(s.words[:-1])
        assert words.decode(y[:m, b], " ") == " ".join(s.words[1:])
        assert (x[m:, b] == 0).all()
        assert (y[m:, b] == 0).all()
        for q in s.questions:
            assert words.tokens[y[q.position - 1, b]] == answer(s, q)


def test_the_kinds_that_are_asked_for_come(rng):
    assert all(len(s.words) == 5 for s in sentences(20, rng, kinds=["color"]))
    assert sentences(0, rng) == []
    assert color_sentence(rng).questions == (Question("color", 3, 2),)
    assert [q.name for q in compound_sentence(rng).questions] == ["verb", "adjective"]


def test_all_kinds_and_up_to_four_fillers_unless_told_otherwise():
    told = {"kinds": ("color", "compound", "story"), "fillers": (0, 4)}
    assert sentences(50, np.random.default_rng(0)) == sentences(
        50, np.random.default_rng(0), **told
    )


def test_bad_input_is_refused(rng):
    with pytest.raises(ValueError, match="n: expected at least 0"):
        sentences(-1, rng)
    with pytest.raises(ValueError, match="kinds: expected 'color' or 'compound' or 'story'"):
        sentences(1, rng, kinds=["poem"])
    with pytest.raises(ValueError, match="kinds: expected at least one"):
        sentences(1, rng, kinds=[])
    with pytest.raises(ValueError, match=r"fillers\[1\]: expected at least 3, got 2"):
        sentences(1, rng, fillers=(3, 2))
    with pytest.raises(ValueError, match=r"fillers: expected shape \(2,\), got \(1,\)"):
        sentences(1, rng, fillers=(1,))
    for draw in (
        lambda: sentences(1, 0),
        lambda: story(0, 1),
        lambda: color_sentence(0),
        lambda: compound_sentence(0),
    ):
        with pytest.raises(TypeError, match=r"rng: expected numpy\.Generator, got int"):
            draw()
    with pytest.raises(TypeError, match="n_fillers: expected a whole number"):
        story(rng, 1.5)
    with pytest.raises(ValueError, match="question: expected 'color'"):
        best_score(Question("weather", 3, 1), 1)
    with pytest.raises(ValueError, match="memory: expected at least 0"):
        best_score(Question("food", 10, 7), -1)
    with pytest.raises(ValueError, match="drawn: expected at least one sentence"):
        pad_sentences([], vocabulary())
    with pytest.raises(ValueError, match="words: expected a vocabulary with '<pad>'"):
        pad_sentences(sentences(1, rng), Vocabulary(["cat"]))
