import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.data.memory import (
    ADDING_BASELINE,
    adding,
    associative_recall,
    copying,
    copying_baseline,
    delayed_echo,
    parity,
    recall_first,
)


@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 19), st.integers(2, 9))
def test_the_target_is_the_symbol_some_steps_ago(T, B, delay, n_symbols):
    delay = min(delay, T - 1)
    x, y, mask = delayed_echo(T, B, delay, np.random.default_rng(0), n_symbols)
    assert x.shape == y.shape == mask.shape == (T, B)
    assert x.dtype == y.dtype == np.int64
    assert x.min() >= 0
    assert x.max() < n_symbols
    for t in range(T):
        assert mask[t].all() == mask[t].any() == (t >= delay)
        if t >= delay:
            np.testing.assert_array_equal(y[t], x[t - delay])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0), "T: expected at least 1"),
        ((5, 0, 1), "B: expected at least 1"),
        ((5, 1, -1), "delay: expected at least 0"),
        ((5, 1, 5), "delay: expected less than T = 5, got 5"),
        ((5, 1, 1.5), "delay: expected a whole number"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        delayed_echo(*arguments, np.random.default_rng(0))
    with pytest.raises(ValueError, match="n_symbols: expected at least 2"):
        delayed_echo(5, 1, 1, np.random.default_rng(0), n_symbols=1)


def test_adding(rng):
    for T in (2, 3, 11):
        x, y = adding(T, 5, rng)
        assert x.shape == (T, 5, 2)
        assert y.shape == (5,)
        marked = x[..., 1] == 1
        np.testing.assert_array_equal(marked[: T // 2].sum(0), 1)
        np.testing.assert_array_equal(marked[T // 2 :].sum(0), 1)
        np.testing.assert_allclose(x.prod(-1).sum(0), y)


def test_each_sequence_has_its_own_marks_evenly_spread(rng):
    marks = adding(5, 20_000, rng)[0][..., 1]
    np.testing.assert_allclose(marks.mean(1), [1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3], atol=0.02)


def test_adding_baseline(rng):
    x, y = adding(10, 100_000, rng)
    assert y.mean() == pytest.approx(1, abs=0.01)
    assert ((y - 1) ** 2).mean() == pytest.approx(ADDING_BASELINE, abs=0.002)
    second = x[5:].prod(-1).sum(0)
    assert ((y - second - 0.5) ** 2).mean() == pytest.approx(1 / 12, abs=0.002)


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 5), st.integers(2, 9))
def test_copying(B, delay, n, k):
    x, y, mask = copying(B, delay, np.random.default_rng(0), n, k)
    assert x.shape == y.shape == mask.shape == (delay + 2 * n, B)
    np.testing.assert_array_equal(x[:n], y[-n:])
    assert x[:n].max() < k
    assert (x[n:-n] == k).sum() == B * (delay - 1)
    assert (x[n + delay - 1] == k + 1).all()
    assert (x[-n:] == k).all()
    assert (y[:-n] == k).all()
    np.testing.assert_array_equal(mask, y != k)


def test_copying_baseline(rng):
    _, y, mask = copying(20_000, 7, rng, n_items=3, n_symbols=4)
    shares = np.bincount(y[mask]) / mask.sum()
    entropy = -(shares * np.log(shares)).sum()
    assert mask.mean() * entropy == pytest.approx(copying_baseline(7, 3, 4), abs=1e-3)


def test_recall_first(rng):
    x, y = recall_first(5, 40_000, rng, n_symbols=4)
    np.testing.assert_array_equal(x[0], y)
    for last in range(4):  # the other symbols tell nothing
        shares = np.bincount(y[x[-1] == last]) / (x[-1] == last).sum()
        np.testing.assert_allclose(shares, 1 / 4, atol=0.02)
    y[:] = -1  # the target is no view of the input
    assert (x >= 0).all()


@given(st.integers(1, 6), st.integers(2, 5))
def test_associative_recall(n_pairs, n_values):
    x, y = associative_recall(3, n_pairs, np.random.default_rng(n_pairs), 6, n_values)
    assert x.shape == (2 * n_pairs + 1, 3)
    for row, answer in zip(x.T.tolist(), y, strict=True):
        pairs = dict(zip(row[:-1:2], row[1::2], strict=True))
        assert len(pairs) == n_pairs
        assert pairs[row[-1]] == answer
        assert set(pairs) <= set(range(6))
        assert set(pairs.values()) <= set(range(6, 6 + n_values))


def test_keys_are_drawn_like_cards(rng):
    x, _ = associative_recall(20_000, 3, rng, n_keys=5)
    for keys in x[:-1:2]:
        np.testing.assert_allclose(np.bincount(keys, minlength=5) / 20_000, 1 / 5, atol=0.02)


def test_associative_recall_baselines(rng):
    x, y = associative_recall(50_000, 4, rng, n_values=5)
    assert (y == 16).mean() == pytest.approx(1 / 5, abs=0.01)
    known = x[-1] == x[-3]  # remembers the last pair alone
    guess = np.where(known, x[-2], 16)
    assert (guess == y).mean() == pytest.approx(1 / 4 + 3 / 4 / 5, abs=0.01)


def test_parity(rng):
    x, y = parity(6, 50_000, rng)
    np.testing.assert_array_equal(np.bitwise_xor.accumulate(x), y)
    missed = x[1:].sum(0) % 2  # all but the first bit
    assert (missed == y[-1]).mean() == pytest.approx(0.5, abs=0.01)
    assert (x[1:] == y[1:]).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        (adding, {"T": 1, "B": 1}, "T: expected at least 2, got 1"),
        (adding, {"T": 2, "B": 0}, "B: expected at least 1"),
        (copying, {"B": 0, "delay": 1}, "B: expected at least 1"),
        (copying, {"B": 1, "delay": 0}, "delay: expected at least 1"),
        (copying, {"B": 1, "delay": 1, "n_items": 0}, "n_items: expected at least 1"),
        (copying, {"B": 1, "delay": 1, "n_symbols": 1}, "n_symbols: expected at least 2"),
        (recall_first, {"T": 0, "B": 1}, "T: expected at least 1"),
        (recall_first, {"T": 1, "B": 1.0}, "B: expected a whole number"),
        (recall_first, {"T": 1, "B": 1, "n_symbols": 1}, "n_symbols: expected at least 2"),
        (associative_recall, {"B": 1, "n_pairs": 17}, "n_pairs: expected at most n_keys = 16"),
        (associative_recall, {"B": 1, "n_pairs": 1, "n_values": 1}, "n_values: expected at least"),
        (parity, {"T": 0, "B": 1}, "T: expected at least 1"),
        (parity, {"T": 1, "B": 0}, "B: expected at least 1"),
    ],
)
def test_tasks_refuse_bad_input(task, arguments, message, rng):
    with pytest.raises((TypeError, ValueError), match=message):
        task(**arguments, rng=rng)


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        (delayed_echo, {"T": 3, "B": 1, "delay": 1}),
        (adding, {"T": 2, "B": 1}),
        (copying, {"B": 1, "delay": 1}),
        (recall_first, {"T": 1, "B": 1}),
        (associative_recall, {"B": 1, "n_pairs": 1}),
        (parity, {"T": 1, "B": 1}),
    ],
)
def test_a_seed_is_no_generator(task, arguments):
    with pytest.raises(TypeError, match=r"rng: expected numpy\.Generator, got int"):
        task(**arguments, rng=0)


@pytest.mark.parametrize(
    ("task", "arguments", "defaults"),
    [
        (delayed_echo, (5, 2, 1), {"n_symbols": 8}),
        (copying, (2, 3), {"n_items": 10, "n_symbols": 8}),
        (recall_first, (5, 2), {"n_symbols": 8}),
        (associative_recall, (2, 3), {"n_keys": 16, "n_values": 8}),
    ],
)
def test_how_many_symbols_there_are_unless_told_otherwise(task, arguments, defaults):
    left_out, told = (task(*arguments, np.random.default_rng(0), **more) for more in ({}, defaults))
    for a, b in zip(left_out, told, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-20,), "delay: expected at least 1, got -20"),
        ((1, 0), "n_items: expected at least 1"),
        ((1, 1, 1), "n_symbols: expected at least 2"),
    ],
)
def test_the_copying_baseline_refuses_what_copying_does(arguments, message):
    with pytest.raises(ValueError, match=message):
        copying_baseline(*arguments)
