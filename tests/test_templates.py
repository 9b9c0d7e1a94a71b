"""Words found by time warping: against all paths, one by one."""

import itertools

import numpy as np
import pytest

from rnncourse.templates import Templates, distances, warp


def paths(N, M):
    """Yield every way from the first pair to the last."""

    def onward(i, j):
        if (i, j) == (N - 1, M - 1):
            yield [(i, j)]
            return
        for a, b in ((1, 0), (0, 1), (1, 1)):
            if i + a < N and j + b < M:
                for rest in onward(i + a, j + b):
                    yield [(i, j), *rest]

    return onward(0, 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("N", "M"), [(1, 1), (1, 4), (4, 1), (4, 5), (5, 3)])
def test_warping_finds_the_cheapest_of_all_paths(seed, N, M):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(N, 2)), rng.normal(size=(M, 2))
    d = distances(a, b)
    assert d == pytest.approx(((a[:, None] - b) ** 2).mean(-1))
    costs = {tuple(path): sum(d[at] for at in path) for path in paths(N, M)}
    found = warp(a, b)
    assert found.cost == pytest.approx(min(costs.values()))
    assert costs[tuple(found.path)] == pytest.approx(found.cost)


def test_a_slow_copy_costs_nothing():
    x = np.random.default_rng(0).normal(size=(6, 3))
    assert warp(x, np.repeat(x, 3, axis=0)).cost == pytest.approx(0, abs=1e-9)


def strings(T, lengths):
    """Yield every way to lay T frames on the frames of words: lists of (word, frame)."""

    def onward(done):
        if len(done) == T:
            if done[-1][1] == lengths[done[-1][0]] - 1:
                yield done
            return
        ways = [(w, 0, True) for w in range(len(lengths))]
        if done:
            w, j, _ = done[-1]
            over = j == lengths[w] - 1
            ways = [(w, j + k, False) for k in range(3) if j + k < lengths[w]] + ways * over
        for way in ways:
            yield from onward([*done, way])

    return onward([])


@pytest.mark.parametrize("penalty", [0.0, 0.3, 2.0, -0.5])
@pytest.mark.parametrize("lengths", [(2, 3), (1, 4), (3, 1, 2)])
def test_recognizing_finds_the_cheapest_string_of_words(lengths, penalty):
    rng = np.random.default_rng(sum(lengths))
    frames = [rng.normal(size=(n, 2)) for n in lengths]
    words = [-1, *range(5, 4 + len(lengths))]  # the first one is silence
    for T in (3, 5, 6):
        x = rng.normal(size=(T, 2))
        best, spelled = np.inf, None
        for way in strings(T, lengths):
            cost = sum(((x[t] - frames[w][j]) ** 2).mean() for t, (w, j, _) in enumerate(way))
            cost += penalty * sum(enters and words[w] >= 0 for w, _, enters in way)
            if cost < best:
                best, spelled = cost, [words[w] for w, _, enters in way if enters]
        found = Templates(frames, words).recognize(x, penalty)
        assert found.cost == pytest.approx(best)
        assert found.words == [w for w in spelled if w >= 0]
        assert len(found.spans) == len(found.words)
        assert all(0 <= a < b <= T for a, b in found.spans)
        assert all(b <= c for (_, b), (c, _) in itertools.pairwise(found.spans))


def test_messages():
    with pytest.raises(ValueError, match=r"len\(frames\): expected"):
        Templates([], [])
    with pytest.raises(ValueError, match="words: expected"):
        Templates([[[1.0]]], [1, 2])
    with pytest.raises(ValueError, match=r"frames\[1\]: expected"):
        Templates([[[1.0]], [[1.0, 2.0]]], [1, 2])
    stored = Templates([[[0.0], [1.0], [2.0], [3.0]]], [1])
    with pytest.raises(ValueError, match="enough frames for a word, got 1"):
        stored.recognize([[0.0]])
    with pytest.raises(ValueError, match="b: expected"):
        distances([[0.0]], [[0.0, 1.0]])
