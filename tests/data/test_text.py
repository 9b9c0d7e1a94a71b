import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnncourse.data import Vocabulary, python_manual, split_text, stream_batches
from rnncourse.data import text as text_module


def test_the_manual_is_english_and_the_same_each_time():
    text = python_manual()
    assert 340_000 < len(text) < 400_000
    assert 'The "while" statement' in text
    assert python_manual() == text
    other = python_manual(seed=1)
    assert other != text
    assert sorted(other.split("\n\n"))[:50] == sorted(text.split("\n\n"))[:50]


def test_another_version_of_python_adds_no_section_and_moves_none(monkeypatch):
    manual = python_manual()
    more = {"another": "Something new\n=============\n\nOnly here.", "zz": "And this.\n\nToo."}
    monkeypatch.setattr(text_module, "topics", text_module.topics | more)
    assert python_manual() == manual
    sections = text_module._SECTIONS
    assert len(set(sections)) == len(sections) == 165
    monkeypatch.setattr(text_module, "_SECTIONS", [*sections, "00000000"])  # not in this version
    assert len(python_manual()) == len(manual)


def test_training_and_test_text_share_no_long_passage():
    train, _, test = split_text(python_manual())
    width = 100
    seen = {train[i : i + width] for i in range(len(train) - width)}
    shared = sum(test[i : i + width] in seen for i in range(len(test) - width))
    assert shared < 0.005 * len(test)


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises((TypeError, ValueError), match="seed: expected"):
        python_manual(seed)


short = st.text("ab \n", max_size=10).map(lambda s: "x" + s.strip())


@given(st.lists(short, min_size=60), st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5), (1.0,)]))
def test_spans_join_to_the_text_and_end_at_paragraphs(parts, fractions):
    text = "\n\n".join(parts)
    spans = split_text(text, fractions)
    assert "".join(spans) == text
    assert len(spans) == len(fractions)
    assert all(span.endswith("\n\n") for span in spans[:-1])


def test_spans_have_about_their_share():
    spans = split_text(python_manual(), (0.8, 0.1, 0.1))
    total = sum(map(len, spans))
    assert [round(len(span) / total, 1) for span in spans] == [0.8, 0.1, 0.1]


@pytest.mark.parametrize("fractions", [(), (0.5, 0.4), (1.2, -0.2), (1.0, 0.0)])
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(ValueError, match="fractions: expected positive numbers"):
        split_text("a\n\nb", fractions)


def test_a_text_without_paragraphs_cannot_be_split():
    with pytest.raises(ValueError, match="text: expected paragraphs enough for 3 spans"):
        split_text("one long line")


@given(st.text(min_size=1))
def test_encoding_and_decoding_are_inverse(text):
    vocabulary = Vocabulary.from_text(text)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int64
    assert ids.shape == (len(text),)
    assert vocabulary.decode(ids) == text
    assert len(vocabulary) == len(set(text)) + 1


def test_words_and_specials():
    vocabulary = Vocabulary(["cat", "dog"], specials=("<pad>", "<unk>"))
    assert vocabulary["<pad>"] == 0
    assert vocabulary["emu"] == vocabulary["<unk>"] == 1
    assert "cat" in vocabulary
    assert "emu" not in vocabulary
    assert vocabulary.decode([3, 2], separator=" ") == "dog cat"
    assert vocabulary.encode([]).shape == (0,)
    assert vocabulary.decode([]) == ""


def test_without_a_sign_for_the_unknown_the_known_is_encoded():
    assert Vocabulary("ab", specials=()).encode("ab").tolist() == [0, 1]


def test_a_vocabulary_refuses_bad_input():
    with pytest.raises(ValueError, match=r"tokens: expected each token once, got 'a' twice"):
        Vocabulary("aba")
    with pytest.raises(TypeError, match=r"specials: expected a sequence of tokens"):
        Vocabulary("ab", specials="<unk>")
    with pytest.raises(ValueError, match=r"text: expected tokens of the vocabulary, got 'c'"):
        Vocabulary("ab", specials=()).encode("abc")
    vocabulary = Vocabulary("ab")
    with pytest.raises(ValueError, match=r"ids: expected numbers from 0 to 2, got 0 to 3"):
        vocabulary.decode([0, 3])
    with pytest.raises(ValueError, match=r"ids: expected 1 axis"):
        vocabulary.decode([[0]])
    with pytest.raises(TypeError, match=r"ids: expected whole numbers, got dtype float64"):
        vocabulary.decode([0.5])


@given(st.integers(2, 200), st.integers(1, 7), st.integers(1, 9))
@example(6, 2, 3)  # the last symbol has none after it
@example(7, 2, 3)
@example(12, 2, 3)
def test_streams_go_on_from_batch_to_batch(N, B, T):
    ids = np.random.default_rng(N).integers(0, 1000, N)
    if B * T + 1 > N:
        with pytest.raises(ValueError, match="ids: expected at least batch_size"):
            stream_batches(ids, B, T)
        return
    batches = stream_batches(ids, B, T)
    assert all(a.shape == (T, B) and a.dtype == np.int64 for pair in batches for a in pair)
    x = np.concatenate([x for x, _ in batches]).T.ravel()
    y = np.concatenate([y for _, y in batches]).T.ravel()
    np.testing.assert_array_equal(x, ids[: len(x)])
    np.testing.assert_array_equal(y, ids[1 : len(y) + 1])
    assert N - len(x) <= B * T


def test_streams_refuse_bad_input():
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        stream_batches(np.arange(9), 0, 2)
    with pytest.raises(ValueError, match="seq_len: expected at least 1, got 0"):
        stream_batches(np.arange(9), 1, 0)
    with pytest.raises(TypeError, match="seq_len: expected a whole number"):
        stream_batches(np.arange(9), 1, 2.0)
    with pytest.raises(ValueError, match="ids: expected 1 axis"):
        stream_batches(np.zeros((3, 3), int), 1, 2)
    with pytest.raises(TypeError, match="ids: expected whole numbers"):
        stream_batches(np.zeros(9), 1, 2)


def test_a_heading_begins_a_section(monkeypatch):
    """Sections are put in another order, so what a heading parts need not stay side by side."""
    monkeypatch.setattr("rnncourse.data.text.topics", {"a": "one\n\nTwo\n***\n\nthree"})
    known = [f"{zlib.crc32(words):08x}" for words in (b"one", b"two")]
    monkeypatch.setattr("rnncourse.data.text._SECTIONS", known)
    texts = {python_manual(seed) for seed in range(20)}
    assert texts == {"one\n\nTwo\n***\n\nthree\n", "Two\n***\n\nthree\n\none\n"}


def test_a_span_may_end_with_the_first_paragraph_although_it_is_empty():
    assert split_text("\n\nx", (0.01, 0.99)) == ["\n\n", "x"]
