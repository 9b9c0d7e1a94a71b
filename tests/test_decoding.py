import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.decoding import generate, sample_next


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
    assert generate(step, None, prompt, 0).shape == (0, 1)


def test_a_bad_prompt_is_refused():
    with pytest.raises(ValueError, match="prompt_ids: expected 2 axes"):
        generate(running_sum, 0, torch.zeros(3, dtype=torch.int64), 1)
    with pytest.raises(ValueError, match="prompt_ids: expected T of at least 1"):
        generate(running_sum, 0, torch.zeros(0, 1, dtype=torch.int64), 1)
    with pytest.raises(TypeError, match="prompt_ids: expected whole numbers, got dtype"):
        generate(running_sum, 0, torch.zeros(1, 1), 1)
    with pytest.raises(ValueError, match="n: expected at least 0, got -1"):
        generate(running_sum, 0, torch.zeros(1, 1, dtype=torch.int64), -1)
