import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rnncourse.reference import check_gradients, ctc_loss, relative_error


def by_enumeration(log_p, target, blank):
    """Return the loss of one sequence as a sum over all paths."""
    total = 0.0
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        spelled = [c for c, _ in itertools.groupby(path) if c != blank]
        if spelled == list(target):
            total += np.exp(sum(log_p[t, c] for t, c in enumerate(path)))
    return -np.log(total)


@given(
    T=st.integers(1, 5),
    target=st.lists(st.integers(0, 2), max_size=3),
    blank=st.integers(0, 2),
    seed=st.integers(0, 999),
)
def test_it_is_the_sum_over_all_paths(T, target, blank, seed):
    assume(blank not in target)
    repeats = sum(a == b for a, b in itertools.pairwise(target))
    assume(len(target) + repeats <= T)
    logits = np.random.default_rng(seed).normal(size=(T, 1, 3))
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = by_enumeration(log_p[:, 0], target, blank) / max(len(target), 1)
    targets = np.array([target], int)
    loss, _ = ctc_loss(logits, targets, np.array([T]), np.array([len(target)]), blank)
    assert loss == pytest.approx(expected, rel=1e-12)


TARGETS = np.array([[1, 1, 2], [3, 0, 0], [0, 0, 0], [2, 1, 2]])
INPUT_LENGTHS, TARGET_LENGTHS = np.array([6, 4, 3, 3]), np.array([3, 1, 0, 3])


def test_gradient(rng):
    logits = rng.normal(size=(6, 4, 4))
    rest = (TARGETS, INPUT_LENGTHS, TARGET_LENGTHS)
    _, d = ctc_loss(logits, *rest)
    errors = check_gradients(lambda: ctc_loss(logits, *rest)[0], {"z": logits}, {"z": d})
    assert errors["z"] < 1e-8
    np.testing.assert_allclose(d.sum(-1), 0, atol=1e-12)


def test_padding_is_invisible(rng):
    logits = rng.normal(size=(6, 4, 4))
    padded, targets = logits.copy(), TARGETS.copy()
    for b, (n, m) in enumerate(zip(INPUT_LENGTHS, TARGET_LENGTHS, strict=True)):
        padded[n:, b] = np.nan
        targets[b, m:] = 99
    loss, d = ctc_loss(padded, targets, INPUT_LENGTHS, TARGET_LENGTHS)
    alone = 0.0
    for b, (n, m) in enumerate(zip(INPUT_LENGTHS, TARGET_LENGTHS, strict=True)):
        one, d1 = ctc_loss(
            logits[:n, b : b + 1], TARGETS[b : b + 1, :m], np.array([n]), np.array([m])
        )
        alone += one / 4
        assert relative_error(d[:n, b] * 4, d1[:, 0]) < 1e-12
        assert (d[n:, b] == 0).all()
    assert loss == pytest.approx(alone, rel=1e-12)


def test_long_and_improbable_sequences_stay_finite():
    logits = np.zeros((2000, 1, 3), np.float32)
    logits[:, :, 0] = 100  # the blank is all but certain
    loss, d = ctc_loss(logits, np.array([[1, 2] * 20]), np.array([2000]), np.array([40]))
    assert 90 < loss < 100
    assert np.isfinite(d).all()
    assert d.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"logits": np.zeros((6, 4))}, ValueError, "logits: expected 3 axes"),
        ({"logits": np.zeros((6, 4, 4), int)}, TypeError, "logits: expected floating.*got int64"),
        ({"logits": [[[0.0]]]}, TypeError, "logits: expected numpy.ndarray, got list"),
        (
            {"input_lengths": np.array([4, 4, 3, 2])},
            ValueError,
            r"input_lengths\[3\]: expected at least 3 steps for a target of 3 labels with 0 rep",
        ),
        (
            {"input_lengths": np.array([3, 4, 3, 3])},
            ValueError,
            r"input_lengths\[0\]: expected at least 4 steps for a target of 3 labels with 1 rep",
        ),
        ({"input_lengths": np.array([7, 4, 3, 3])}, ValueError, "expected at most T = 6, got 7"),
        ({"input_lengths": np.array([6])}, ValueError, r"input_lengths: expected shape \(4,\)"),
        ({"target_lengths": np.array([6])}, ValueError, r"target_lengths: expected shape \(4,\)"),
        (
            {"target_lengths": np.array([4, 1, 0, 3])},
            ValueError,
            r"target_lengths\[0\]: expected at most 3, got 4",
        ),
        (
            {"target_lengths": np.array([3, -1, 0, 3])},
            ValueError,
            r"target_lengths\[1\]: expected at least 0, got -1",
        ),
        ({"targets": TARGETS[0]}, ValueError, r"targets: expected shape \(4, S\), got \(3,\)"),
        ({"targets": TARGETS * 2}, ValueError, r"targets\[0\]: expected numbers from 0 to 3"),
        ({"targets": TARGETS * 1.0}, TypeError, r"targets\[0\]: expected whole numbers"),
        ({"blank": 3}, ValueError, r"targets\[1\]: expected no blank \(3\), got \[3\]"),
        ({"blank": -1}, ValueError, "blank: expected numbers from 0 to 3, got -1"),
        ({"blank": 4}, ValueError, "blank: expected numbers from 0 to 3, got 4"),
        ({"blank": None}, TypeError, "blank: expected whole numbers, got object"),
        ({"blank": 1.0}, TypeError, "blank: expected whole numbers, got float64"),
    ],
)
def test_bad_input(change, error, message):
    given_ = {
        "logits": np.zeros((6, 4, 4)),
        "targets": TARGETS,
        "input_lengths": INPUT_LENGTHS,
        "target_lengths": TARGET_LENGTHS,
    }
    with pytest.raises(error, match=message):
        ctc_loss(**(given_ | change))
