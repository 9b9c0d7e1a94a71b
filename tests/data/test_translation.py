from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.data.text import Vocabulary
from rnncourse.data.translation import (
    DETERMINERS,
    PEOPLE,
    THINGS,
    VERBS,
    Pair,
    pad_pairs,
    translation_pairs,
    vocabularies,
    word_by_word,
)

GENDERS = {row[form]: row[4] for row in PEOPLE + THINGS for form in (2, 3)}
PLURALS = {row[form]: form == 3 for row in PEOPLE + THINGS for form in (2, 3)}
SUBJECTS = {row[form] for row in PEOPLE for form in (2, 3)}
VERB_PLURALS = {row[form]: form % 2 == 0 for row in VERBS for form in (3, 4, 5, 6)}


@given(st.integers(0, 2**32), st.integers(5, 40))
def test_lengths_are_as_asked_for(seed, n):
    (pair,) = translation_pairs(1, np.random.default_rng(seed), lengths=(n, n))
    assert len(pair.english) == n
    assert n * 0.7 < len(pair.spanish) < n * 1.7


def test_each_length_comes_equally_often(rng):
    counts = Counter(len(p.english) for p in translation_pairs(11_000, rng))
    assert set(counts) == set(range(5, 16))
    assert max(abs(count - 1000) for count in counts.values()) < 130


def test_the_spanish_follows_from_the_english(rng):
    """A translator can be right every time: the same English phrase is never rendered otherwise."""
    pairs = translation_pairs(20_000, rng, lengths=(5, 5))
    assert len({pair.english for pair in pairs}) == 20_000
    rendered = {}
    for english, spanish, _ in pairs:
        for phrase in (slice(0, 2), slice(1, 3), slice(3, 5)):
            key = (phrase.start, english[phrase])
            assert rendered.setdefault(key, spanish[phrase]) == spanish[phrase]


def test_determiners_and_verbs_agree(rng):
    forms = {word: Counter() for row in DETERMINERS for word in row[2:]}
    forms |= {"del": Counter()}
    for pair in translation_pairs(3000, rng):
        words = pair.spanish
        for word, after in pairwise(words):
            if word in forms:
                forms[word][GENDERS[after] + "sp"[PLURALS[after]]] += 1
        # The subject is the first noun of a clause.
        subject = None
        for word in words:
            if word in SUBJECTS and subject is None:
                subject = word
            elif word in VERB_PLURALS:
                assert VERB_PLURALS[word] == PLURALS[subject]
            elif word in ("y", "pero", "porque", "cuando", "mientras"):
                subject = None
    for row in DETERMINERS:
        for form, word in zip(("ms", "fs", "mp", "fp"), row[2:], strict=True):
            wanted = {"mi": {"ms", "fs"}, "mis": {"mp", "fp"}}.get(word, {form})
            assert set(forms[word]) == wanted
    assert set(forms["del"]) == {"ms"}


def test_english_is_spelled_right(rng):
    for pair in translation_pairs(3000, rng, lengths=(5, 20)):
        for word, after in pairwise(pair.english):
            if word in ("a", "an"):
                assert (word == "an") == (after[0] in "aeiou")
            if after == "'":
                assert word.endswith("s")
        assert " de el " not in " ".join(pair.spanish)


def test_adjectives_agree_and_stand_behind_in_reverse():
    found = {}
    for pair in translation_pairs(40_000, np.random.default_rng(1), lengths=(5, 8)):
        for word in ("red", "big", "blue", "brown", "polite", "young"):
            if word in pair.english:
                i = pair.english.index(word)
                (j,) = (j for k, j in pair.alignment if k == i)
                noun = next(w for w in reversed(pair.spanish[:j]) if w in GENDERS)
                form = GENDERS[noun] + "sp"[PLURALS[noun]]
                found.setdefault(word, {}).setdefault(form, set()).add(pair.spanish[j])
                if word == "red" and pair.english[i - 1] == "big":
                    assert pair.spanish[j + 1] in ("grande", "grandes")
    assert found["red"] == {"ms": {"rojo"}, "fs": {"roja"}, "mp": {"rojos"}, "fp": {"rojas"}}
    assert found["blue"]["fp"] == {"azules"}
    assert found["brown"]["mp"] == {"marrones"}
    assert found["big"]["fs"] == {"grande"}
    assert found["young"]["fp"] == {"jóvenes"}
    assert found["polite"]["mp"] == {"corteses"}


def test_alignments(rng):
    for pair in translation_pairs(1000, rng):
        assert {j for _, j in pair.alignment} == set(range(len(pair.spanish)))
        assert {i for i, _ in pair.alignment} == set(range(len(pair.english)))
        assert [j for _, j in pair.alignment] == sorted(j for _, j in pair.alignment)
        for i, j in pair.alignment:
            if pair.spanish[j] == "no":
                assert pair.english[i] == "not"
            if pair.spanish[j] in ("de", "del"):
                assert pair.english[i] in ("'s", "'", "the")
            if pair.spanish[j] == "viejas":
                assert pair.english[i] == "old"


def test_a_dictionary_translates_words_but_hardly_a_sentence(rng):
    pairs = translation_pairs(10_000, rng)
    dictionary = word_by_word(pairs[:8000])
    assert dictionary["house"] == "casa"
    right, words, sentences = 0, 0, 0
    for pair in pairs[8000:]:
        sentences += tuple(map(dictionary.get, pair.english)) == pair.spanish
        words += len(pair.spanish)
        right += len(
            {j for i, j in pair.alignment if dictionary[pair.english[i]] == pair.spanish[j]}
        )
    assert right / words == pytest.approx(0.65, abs=0.02)
    assert sentences / 2000 == pytest.approx(0.015, abs=0.01)


def test_the_vocabularies_hold_every_word(rng):
    english, spanish = vocabularies()
    used_english, used_spanish = set(), set()
    for pair in translation_pairs(20_000, rng):
        used_english |= set(pair.english)
        used_spanish |= set(pair.spanish)
    assert used_english == set(english.tokens[4:])
    assert used_spanish == set(spanish.tokens[4:])
    assert english.tokens[:4] == spanish.tokens[:4] == ("<pad>", "<bos>", "<eos>", "<unk>")


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_padding(seed, n):
    english, spanish = vocabularies()
    pairs = translation_pairs(n, np.random.default_rng(seed))
    source, source_lengths, target, target_lengths = pad_pairs(pairs, english, spanish)
    assert source.shape == (source_lengths.max(), n)
    assert target.shape == (target_lengths.max() + 1, n)
    for b, pair in enumerate(pairs):
        s, t = source_lengths[b], target_lengths[b] + 1
        assert english.decode(source[:s, b], " ") == " ".join(pair.english) + " <eos>"
        assert spanish.decode(target[:t, b], " ") == f"<bos> {' '.join(pair.spanish)} <eos>"
        assert not source[s:, b].any()
        assert not target[t:, b].any()


def test_fewer_words_make_the_same_kind_of_sentence(rng):
    """Small enough for a short experiment, and large enough for new sentences of each length."""
    used_english, used_spanish = set(), set()
    for pair in translation_pairs(5000, rng, (5, 12), words=8):
        used_english |= set(pair.english)
        used_spanish |= set(pair.spanish)
    assert {row[0] for row in PEOPLE + THINGS if row[0] in used_english} == {
        row[0] for row in PEOPLE[:8] + THINGS[:8]
    }
    assert {row[0] for row in VERBS[:8]} <= used_english
    assert not used_english & {row[0] for row in VERBS[8:]}
    english, spanish = vocabularies()
    assert used_english < set(english.tokens)
    assert used_spanish < set(spanish.tokens)


def test_all_words_are_the_default():
    few = translation_pairs(50, np.random.default_rng(3), words=1000)
    assert few == translation_pairs(50, np.random.default_rng(3))


def test_bad_input_is_refused(rng):
    with pytest.raises(ValueError, match="words: expected at least 8, got 7"):
        translation_pairs(1, rng, words=7)
    with pytest.raises(ValueError, match="n: expected at least 0"):
        translation_pairs(-1, rng)
    with pytest.raises(ValueError, match="n: expected at most a million"):
        translation_pairs(10**6 + 1, rng)
    with pytest.raises(ValueError, match=r"lengths\[0\]: expected at least 5, got 4"):
        translation_pairs(1, rng, lengths=(4, 9))
    with pytest.raises(ValueError, match=r"lengths\[1\]: expected at least 6, got 5"):
        translation_pairs(1, rng, lengths=(6, 5))
    with pytest.raises(ValueError, match=r"lengths: expected shape \(2,\), got \(1,\)"):
        translation_pairs(2, rng, lengths=(5,))
    with pytest.raises(TypeError, match=r"rng: expected numpy\.Generator, got int"):
        translation_pairs(10**6, 0)  # a million are not too many
    english, spanish = vocabularies()
    with pytest.raises(ValueError, match="pairs: expected at least one"):
        pad_pairs([], english, spanish)
    with pytest.raises(ValueError, match="spanish: expected a vocabulary with '<pad>'"):
        pad_pairs([Pair(("egg",), ("huevo",), ((0, 0),))], english, Vocabulary(["huevo"]))
