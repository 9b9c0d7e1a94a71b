import itertools
import math
from collections import namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.decoding import beam_search, ctc_beam_search, ctc_greedy, generate, sample_next


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(
    st.integers(1, 5),
    st.integers(1, 9),
    st.floats(0, 5) | st.sampled_from([0.0, 1e-8]),
    st.integers(0, 100),
)
def test_symbols_are_among_the_best_k(B, V, temperature, seed):
    logits = torch.randn(B, V, generator=generator(seed))
    for k in range(1, V + 1):
        ids = sample_next(logits, temperature=temperature, top_k=k, generator=generator(seed))
        assert ids.shape == (B,)
        assert ids.dtype == torch.int64
        rank = (logits > logits.gather(1, ids[:, None])).sum(1)
        assert (rank < k).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax(temperature):
    logits = torch.tensor([[0.0, 1.0, 2.0, -torch.inf]])
    ids = sample_next(logits.expand(20_000, -1), temperature=temperature, generator=generator())
    share = ids.bincount(minlength=4) / 20_000
    torch.testing.assert_close(share, (logits[0] / temperature).softmax(0), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("knobs", "share"),
    [
        ({"top_p": 0.3}, [0, 0, 0, 1]),
        ({"top_p": 0.6}, [0, 0, 3 / 7, 4 / 7]),
        ({"top_p": 0.8}, [0, 2 / 9, 3 / 9, 4 / 9]),
        ({"top_p": 1}, [0.1, 0.2, 0.3, 0.4]),
        ({"top_p": 0.6, "top_k": 3}, [0, 0, 3 / 7, 4 / 7]),
        ({"top_p": 0.8, "top_k": 3}, [0, 2 / 9, 3 / 9, 4 / 9]),
        ({"top_p": 0.55, "top_k": 2}, [0, 0, 0, 1]),  # of the two, the first alone: 4/7
        ({"top_p": 0.5, "temperature": 0.5}, [0, 0, 0, 1]),  # 16/30
    ],
)
def test_the_nucleus_is_the_fewest_symbols_with_the_probability(knobs, share):
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log()
    ids = sample_next(logits.expand(20_000, -1), generator=generator(), **knobs)
    found = ids.bincount(minlength=4) / 20_000
    torch.testing.assert_close(found, torch.tensor(share).float(), atol=0.02, rtol=0)
    assert (found[torch.tensor(share) == 0] == 0).all()


def test_a_symbol_that_begins_where_the_nucleus_ends_is_not_in_it():
    ids = sample_next(torch.zeros(1000, 2), top_p=0.5, generator=generator())
    assert len(ids.unique()) == 1


@pytest.mark.parametrize("knobs", [{}, {"top_k": 2}, {"top_p": 0.9}])
def test_a_tiny_temperature_does_not_overflow(knobs):
    logits = torch.tensor([[100.0, 99.0], [98.0, 100.0]])
    drawn = sample_next(logits, temperature=1e-37, generator=generator(), **knobs)
    assert drawn.tolist() == [0, 1]


def test_the_same_generator_gives_the_same_symbols():
    logits = torch.randn(50, 9, generator=generator())
    a, b, c = (sample_next(logits, generator=generator(seed)) for seed in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


def test_greedy_and_almost_greedy():
    logits = torch.randn(50, 9, generator=generator())
    best = logits.argmax(1)
    assert (sample_next(logits, temperature=0) == best).all()
    assert (sample_next(logits, temperature=1e-30, generator=generator()) == best).all()
    assert (sample_next(logits, top_k=1, generator=generator()) == best).all()


@pytest.mark.parametrize(
    ("logits", "arguments", "message"),
    [
        ([[0.0, 1.0]], {}, "logits: expected torch.Tensor, got list"),
        (torch.zeros(3), {}, "logits: expected 2 axes"),
        (torch.zeros(2, 0), {}, "logits: expected V of at least 1"),
        (torch.zeros(2, 3, dtype=torch.int64), {}, "logits: expected a floating-point dtype"),
        (torch.tensor([[0.0, torch.nan]]), {}, "logits: expected no NaN"),
        (torch.tensor([[0.0, torch.nan]]), {"temperature": 0}, "logits: expected no NaN"),
        (torch.tensor([[0.0, torch.inf]]), {}, "logits: expected no NaN"),
        (torch.full((1, 2), -torch.inf), {}, "logits: expected no NaN"),
        (torch.zeros(2, 3), {"temperature": -1}, "temperature: expected a finite number"),
        (torch.zeros(2, 3), {"temperature": torch.nan}, "temperature: expected a finite number"),
        (torch.zeros(2, 3), {"top_k": 0}, "top_k: expected at least 1, got 0"),
        (torch.zeros(2, 3), {"top_k": 4}, "top_k: expected at most V = 3, got 4"),
        (torch.zeros(2, 3), {"top_p": 0}, "top_p: expected a number above 0 and at most 1, got 0"),
        (torch.zeros(2, 3), {"top_p": 1.1}, "top_p: expected a number above 0"),
        (torch.zeros(2, 3), {"top_k": 1.5}, "top_k: expected a whole number"),
    ],
)
def test_bad_scores_and_settings_are_refused(logits, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sample_next(logits, **arguments)


def running_sum(ids, state):
    """The next symbol is the sum of all so far, modulo 7."""
    state = (state + ids) % 7
    return torch.nn.functional.one_hot(state, 7).float(), state


def test_generation_reads_the_prompt_and_feeds_back_what_it_draws():
    prompt = torch.tensor([[1, 2], [2, 2]])
    ids = generate(running_sum, torch.zeros(2, dtype=torch.int64), prompt, 4, temperature=0)
    assert ids.T.tolist() == [[3, 6, 5, 3], [4, 1, 2, 4]]


def test_the_model_is_asked_no_more_often_than_needed_and_records_nothing():
    calls = []

    def step(ids, state):
        calls.append(torch.is_grad_enabled())
        return torch.zeros(len(ids), 3), state

    prompt = torch.zeros(2, 1, dtype=torch.int64)
    assert generate(step, None, prompt, 3, generator=generator()).shape == (3, 1)
    assert calls == [False] * 4
    for dtype in (torch.int64, torch.int32):
        none = generate(step, None, prompt.to(dtype), 0)
        assert none.shape == (0, 1)
        assert none.dtype == torch.int64


def test_the_scores_are_looked_at_once_where_a_look_would_wait_for_the_device():
    """A meta device has no numbers: what asks for one fails."""
    asked = []

    def step(ids, state):
        asked.append(len(ids))
        return torch.zeros(2, 5, device="meta"), state

    prompt = torch.zeros(1, 2, dtype=torch.long, device="meta")
    with pytest.raises((NotImplementedError, RuntimeError)):
        generate(step, None, prompt, 6, top_k=3)
    assert len(asked) == 6


def test_scores_that_are_no_numbers_end_the_generation_at_once():
    asked = []

    def step(ids, state):
        asked.append(len(ids))
        return torch.full((1, 3), torch.nan), state

    with pytest.raises(ValueError, match="logits: expected no NaN"):
        generate(step, None, torch.tensor([[0]]), 6)
    assert asked == [1]


def test_a_bad_prompt_is_refused():
    with pytest.raises(TypeError, match=r"prompt_ids: expected torch\.Tensor, got list"):
        generate(running_sum, 0, [[1]], 1)
    with pytest.raises(ValueError, match="prompt_ids: expected 2 axes"):
        generate(running_sum, 0, torch.zeros(3, dtype=torch.int64), 1)
    with pytest.raises(ValueError, match="prompt_ids: expected T of at least 1"):
        generate(running_sum, 0, torch.zeros(0, 1, dtype=torch.int64), 1)
    with pytest.raises(TypeError, match="prompt_ids: expected whole numbers, got dtype"):
        generate(running_sum, 0, torch.zeros(1, 1), 1)
    with pytest.raises(ValueError, match="n: expected at least 0, got -1"):
        generate(running_sum, 0, torch.zeros(1, 1, dtype=torch.int64), -1)


class Tiny:
    """A random recurrent model; the state is nested and has the batch on the given axis."""

    def __init__(self, V, seed=0, H=5, axis=-2):
        def draw(*shape):
            return 2 * torch.randn(shape, dtype=torch.double, generator=generator(seed))

        self.embed, self.recur, self.read = draw(V, H), draw(H, H), draw(H, V)
        self.axis = axis
        self.rows = []

    def state(self, B):
        zeros = torch.zeros(B, self.recur.shape[0], dtype=torch.double)
        return ((zeros.movedim(0, self.axis), [None]), 3)

    def __call__(self, ids, state):
        (h, rest), three = state
        assert rest == [None]
        assert three == 3
        self.rows.append(len(ids))
        h = (self.embed[ids] + h.movedim(self.axis, 0) @ self.recur).tanh()
        return h @ self.read, ((h.movedim(0, self.axis), rest), three)


def every_text(model, start, n, eos, length_penalty):
    """Return the score of every text that is complete, the best first."""
    V = len(model.embed)
    found = {}
    for text in itertools.product(range(V), repeat=n):
        if eos in text:
            text = text[: text.index(eos) + 1]
        state, total = model.state(1), 0.0
        for symbol, after in zip((start, *text), text, strict=False):
            logits, state = model(torch.tensor([symbol]), state)
            total += logits.log_softmax(1)[0, after].item()
        found[text] = total / len(text) ** length_penalty
    return sorted(found.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("eos", [None, 2])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("axis", [-2, 1])
def test_a_beam_that_holds_all_finds_what_trying_all_finds(eos, length_penalty, axis):
    V, n = 3, 4
    model = Tiny(V, axis=axis)
    start = torch.tensor([0, 1])
    beams = beam_search(
        model,
        model.state(2),
        start,
        n,
        beam=V**n,
        eos=eos,
        length_penalty=length_penalty,
        batch_axis=axis,
    )
    assert beams.ids.shape == (n, 2, V**n)
    for b in range(2):
        expected = every_text(model, start[b].item(), n, eos, length_penalty)
        for k, (text, score) in enumerate(expected):
            length = beams.lengths[b, k]
            assert beams.ids[:length, b, k].tolist() == list(text)
            assert (beams.ids[length:, b, k] == (eos or 0)).all()
            assert beams.scores[b, k].item() == pytest.approx(score, abs=1e-12)
        assert (beams.scores[b, len(expected) :] == -torch.inf).all()


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_beam_of_one_is_greedy_decoding(length_penalty):
    for seed in range(20):
        model, start = Tiny(6, seed), torch.tensor([3, 1, 4])
        beams = beam_search(
            model, model.state(3), start, 10, beam=1, eos=0, length_penalty=length_penalty
        )
        greedy = generate(model, model.state(3), start[None], 10, temperature=0)
        for b in range(3):
            length = beams.lengths[b, 0]
            assert beams.ids[:length, b, 0].equal(greedy[:length, b])
            assert (greedy[: length - 1, b] != 0).all()
            assert length == 10 or greedy[length - 1, b] == 0


def plain_search(model, start, n, beam, eos, length_penalty):
    """Return what a search with Python lists finds, hypothesis by hypothesis."""
    beams = [((), 0.0, model.state(1), False)]

    def score(item):
        return item[1] / len(item[0]) ** length_penalty

    for _ in range(n):
        grown = []
        for text, total, state, ended in beams:
            if ended:
                grown.append((text, total, state, True))
                continue
            logits, after = model(torch.tensor([(start, *text)[-1]]), state)
            for v, new in enumerate(logits.log_softmax(1)[0].tolist()):
                grown.append(((*text, v), total + new, after, v == eos))
        beams = sorted(grown, key=score, reverse=True)[:beam]
    return [(text, score((text, total))) for text, total, _, _ in beams]


def test_a_narrow_beam_follows_its_hypotheses_and_the_batch_changes_nothing():
    for seed in range(10):
        model, start = Tiny(5, seed), torch.tensor([3, 1, 4, 0])
        beams = beam_search(model, model.state(4), start, 7, beam=3, eos=0, length_penalty=0.7)
        for b in range(4):
            plain = plain_search(model, start[b].item(), 7, 3, 0, 0.7)
            for k, (text, score) in enumerate(plain):
                assert beams.ids[: beams.lengths[b, k], b, k].tolist() == list(text)
                assert beams.scores[b, k].item() == pytest.approx(score, abs=1e-12)


def test_the_search_stops_when_all_have_ended_and_ignores_what_cannot_be():
    """Symbol 2 ends a text; after 1 comes 2; nothing may come after 0, and NaN comes."""
    scores = torch.tensor([[torch.nan] * 3, [-torch.inf, -torch.inf, 0], [torch.nan] * 3])
    scores = torch.cat([scores, torch.tensor([[-torch.inf, 1.0, 0.0]])])  # the start, 3
    calls = []

    def step(ids, state):
        calls.append((len(ids), torch.is_grad_enabled()))
        return scores[ids].half(), state

    pair = namedtuple("pair", "h c")
    state = pair(torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))
    beams = beam_search(step, state, torch.tensor([3]), 9, beam=3, eos=2)
    assert calls == [(1, False), (3, False)]
    assert beams.ids[:, 0, :2].T.tolist() == [[1, 2], [2, 2]]
    assert beams.lengths[0, :2].tolist() == [2, 1]
    assert beams.scores.dtype == torch.float32
    torch.testing.assert_close(beams.scores[0], torch.tensor([1.0, 0.0, -torch.inf]).log_softmax(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": [1]}, "start: expected torch.Tensor, got list"),
        ({"start": torch.zeros(1, 1).long()}, "start: expected 1 axes"),
        ({"start": torch.zeros(1)}, "start: expected whole numbers, got dtype torch.float32"),
        ({"n": 0}, "n: expected at least 1, got 0"),
        ({"beam": 0}, "beam: expected at least 1, got 0"),
        ({"eos": -1}, "eos: expected at least 0, got -1"),
        ({"eos": 4}, "eos: expected a number below V = 4, got 4"),
        ({"length_penalty": -1}, "length_penalty: expected a finite number of at least 0, got -1"),
        ({"state": torch.zeros(2, 5)}, r"state: expected 1 sequences on axis -2 .*\(2, 5\)"),
        ({"state": torch.zeros(1)}, "state: expected 1 sequences on axis -2"),
        ({"state": ({},)}, "state: expected tensors, in tuples or lists at any depth, got dict"),
        ({"step": lambda ids, s: (torch.zeros(2, 4), s)}, "step: expected scores of 1 rows, got 2"),
        (
            {"step": lambda ids, s: (torch.full((1, 4), torch.nan), s)},
            "logits: expected no NaN",
        ),
    ],
)
def test_a_bad_search_is_refused(arguments, message):
    given = {
        "step": lambda ids, state: (torch.zeros(len(ids), 4), state),
        "state": None,
        "start": torch.tensor([1]),
        "n": 3,
        "beam": 2,
    }
    with pytest.raises((TypeError, ValueError), match=message):
        beam_search(**given | arguments)


def collapse(path, blank):
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_ctc_beam_sums_all_paths(seed, blank):
    T, C = 5, 3
    rng = np.random.default_rng(seed)
    log_probs = np.log(rng.dirichlet(np.ones(C), T))
    chances = {}
    for path in itertools.product(range(C), repeat=T):
        text = collapse(path, blank)
        p = np.exp(sum(log_probs[t, c] for t, c in enumerate(path)))
        chances[text] = chances.get(text, 0) + p
    found = ctc_beam_search(log_probs, 1000, blank=blank)
    assert {text.labels for text in found} == set(chances)
    for text in found:
        assert np.exp(text.log_prob) == pytest.approx(chances[text.labels])
        assert text.score == text.log_prob
    assert found == sorted(found, key=lambda text: -text.score)
    best_path = tuple(log_probs.argmax(1))
    assert tuple(ctc_greedy(log_probs, blank)) == collapse(best_path, blank)


@pytest.mark.parametrize(("weight", "bonus"), [(1.0, 0.0), (0.5, 0.7), (2.0, -0.3)])
def test_a_language_model_counts_for_each_label_and_the_end(weight, bonus):
    rng = np.random.default_rng(1)
    log_probs = np.log(rng.dirichlet(np.ones(3), 4))
    table = np.log(rng.dirichlet(np.ones(3), 4))  # by the last label, 3 before any

    def language(text):
        return table[text[-1] if text else 3]

    plain = {text.labels: text.log_prob for text in ctc_beam_search(log_probs, 1000)}
    found = ctc_beam_search(log_probs, 1000, language=language, weight=weight, bonus=bonus, end=0)
    for labels, score, log_prob in found:
        prior = sum(language(labels[:i])[label] for i, label in enumerate(labels))
        expected = plain[labels] + weight * (prior + language(labels)[0]) + bonus * len(labels)
        assert score == pytest.approx(expected)
        assert log_prob == pytest.approx(plain[labels])


CHANCES = np.log([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3], [0.4, 0.3, 0.3]])
ONLY_TWO = [-math.inf, -math.inf, 0.0]  # a language model that allows neither an end nor label 1


def test_a_weight_of_zero_ignores_the_language_model():
    plain = ctc_beam_search(CHANCES, 5, bonus=0.1)
    for end in (None, 0):
        found = ctc_beam_search(
            CHANCES, 5, language=lambda text: ONLY_TWO, weight=0, bonus=0.1, end=end
        )
        assert found == plain


def test_a_ctc_beam_returns_no_impossible_text():
    possible = [t for t in ctc_beam_search(CHANCES, 1000) if set(t.labels) <= {2}]
    assert ctc_beam_search(CHANCES, 1000, language=lambda text: ONLY_TWO) == possible
    for beam in (1, 2, 5):
        found = ctc_beam_search(CHANCES, beam, language=lambda text: ONLY_TWO)
        assert 0 < len(found) <= beam
        assert all(set(t.labels) <= {2} and math.isfinite(t.score) for t in found)


def test_a_ctc_beam_returns_no_text_that_cannot_end():
    def language(text):
        return np.log([0.5, 0.25, 0.25]) if len(text) == 1 else [-math.inf, -0.7, -0.7]

    found = ctc_beam_search(CHANCES, 1000, language=language, end=0)
    assert sorted(text.labels for text in found) == [(1,), (2,)]
    assert all(math.isfinite(text.score) for text in found)


def test_where_no_text_is_possible_a_ctc_beam_returns_none():
    assert ctc_beam_search(CHANCES, 5, language=lambda text: ONLY_TWO, end=0) == []
    one = [[-math.inf, 0.0, -math.inf]] * 2  # the sound is label 1 for sure
    assert ctc_beam_search(one, 5, language=lambda text: ONLY_TWO) == []
    assert ctc_beam_search(np.full((2, 3), -math.inf), 5) == []


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_makes_no_sense_is_refused(weight):
    with pytest.raises(ValueError, match="weight: expected a finite number of at least 0, got"):
        ctc_beam_search(CHANCES, 5, language=lambda text: ONLY_TWO, weight=weight)


@pytest.mark.parametrize("bonus", [math.nan, math.inf, -math.inf])
def test_a_bonus_that_makes_no_sense_is_refused(bonus):
    with pytest.raises(ValueError, match="bonus: expected a finite number, got"):
        ctc_beam_search(CHANCES, 5, bonus=bonus)


def test_a_narrow_ctc_beam_returns_few_texts_and_bad_arguments_are_refused():
    log_probs = np.log(np.full((6, 4), 0.25))
    assert len(ctc_beam_search(log_probs, 2)) == 2
    with pytest.raises(ValueError, match="log_probs: expected 2 axes"):
        ctc_greedy(log_probs[0])
    with pytest.raises(ValueError, match="blank: expected"):
        ctc_greedy(log_probs, blank=4)
    with pytest.raises(ValueError, match="beam: expected"):
        ctc_beam_search(log_probs, 0)
    with pytest.raises(ValueError, match="log_probs: expected no NaN"):
        ctc_beam_search(np.full((2, 2), np.nan), 1)
