"""Recognize words without learning: compare with stored recordings, along the best time warp."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least, check_shape

Floats = NDArray[np.floating]


class Warp(NamedTuple):
    """The cheapest way to lay one sequence on another."""

    cost: float
    path: list[tuple[int, int]]  # pairs of frames that belong together, from (0, 0) to the ends


class Spoken(NamedTuple):
    """The words that fit a recording best."""

    words: list[int]
    spans: list[tuple[int, int]]  # each word's first frame, and the one after its last
    cost: float


def distances(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return the squared distance of every frame of ``a`` to every frame of ``b``.

    Parameters
    ----------
    a, b
        Frames of ``I`` features, ``(N, I)`` and ``(M, I)``.

    Returns
    -------
    distances
        ``(N, M)``, divided by ``I``.

    Raises
    ------
    ValueError
        If the shapes are wrong.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    check_shape("a", x.shape, ("N", "I"))
    check_shape("b", y.shape, ("M", x.shape[1]))
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    found: NDArray[np.float64] = np.maximum(squares, 0) / x.shape[1]
    return found


def warp(a: ArrayLike, b: ArrayLike) -> Warp:
    """Lay two sequences on each other: dynamic time warping.

    A path goes on by one frame in ``a``, in ``b`` or in both. Its cost is the sum of
    :func:`distances` over its pairs. Source: Sakoe and Chiba (1978), with equal weights.

    Parameters
    ----------
    a, b
        Frames of ``I`` features, ``(N, I)`` and ``(M, I)``.

    Raises
    ------
    ValueError
        If the shapes are wrong.

    Examples
    --------
    >>> warp([[0], [1], [5]], [[0], [1], [1], [1], [5]]).cost
    0.0
    """
    d = distances(a, b)
    N, M = d.shape
    total = np.full((N + 1, M + 1), np.inf)  # a border keeps the three steps alike
    total[0, 0] = 0
    for i in range(N):
        for j in range(M):
            total[i + 1, j + 1] = d[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    i, j = N, M
    path = []
    while i:
        path.append((i - 1, j - 1))
        i, j = min([(i - 1, j - 1), (i - 1, j), (i, j - 1)], key=lambda at: total[at])
    return Warp(float(total[N, M]), path[::-1])


class Templates:
    """Stored recordings of words, and a search for the string of words that fits a recording best.

    Each frame of the recording is laid on a frame of a word. Within a word, the next frame of the
    recording goes to the same frame of the word, to the next, or to the one after it. After a
    word's last frame comes the first frame of any word. The search goes through the recording
    once, with all words side by side: Vintsyuk (1971); Ney (1984).

    Parameters
    ----------
    frames
        For each stored recording its frames, ``(N, I)``.
    words
        For each of them its word, a whole number; -1 for silence, which is not reported.

    Raises
    ------
    ValueError
        If there is no recording, there is not one word per recording, or a shape is wrong.

    Examples
    --------
    >>> stored = Templates([[[0.0], [1.0]], [[5.0]]], [7, 8])
    >>> stored.recognize([[0.1], [0.9], [1.0], [5.2], [0.0], [1.0]]).words
    [7, 8, 7]
    """

    def __init__(self, frames: Sequence[ArrayLike], words: Sequence[int]) -> None:
        check_at_least("len(frames)", len(frames), 1)
        check_shape("words", np.shape(words), (len(frames),))
        parts = [np.asarray(part, np.float64) for part in frames]
        for k, part in enumerate(parts):
            check_shape(f"frames[{k}]", part.shape, ("N", parts[0].shape[-1]))
        self.words = np.asarray(words)
        self.stored = np.concatenate(parts)  # (J, I): all words' frames in a row
        lengths = np.array([len(part) for part in parts])
        self.last = lengths.cumsum() - 1  # (K,): each word's last frame
        self.first = self.last - lengths + 1

    def recognize(self, x: ArrayLike, penalty: float = 0.0) -> Spoken:
        """Return the words whose frames, one word after the other, fit a recording best.

        Parameters
        ----------
        x
            The recording's frames, ``(T, I)``.
        penalty
            What each word costs besides its distances, silence excepted: a larger one means fewer
            words.

        Raises
        ------
        ValueError
            If the shape is wrong, or the recording is too short for every word.
        """
        d = distances(x, self.stored)  # (T, J)
        T, J = d.shape
        price = np.where(self.words >= 0, penalty, 0.0)  # (K,)
        total = np.full(J + 2, np.inf)  # of the best way to be at each stored frame, from index 2
        entered = np.zeros(J + 2, np.int64)  # when that way came into its word
        wall = np.zeros((2, J))  # no way leads from one word's frames into the next one's
        wall[:, self.first] = np.inf
        wall[1, self.first[self.first < self.last] + 1] = np.inf
        ends: list[tuple[float, int, int]] = []  # the best word that ends at t: cost, word, entry
        before = 0.0
        for t in range(T):
            best, since = total[2:].copy(), entered[2:].copy()  # stay
            for back in (1, 2):
                other = total[2 - back : -back] + wall[back - 1]
                better = other < best
                np.copyto(best, other, where=better)
                np.copyto(since, entered[2 - back : -back], where=better)
            new = before + price  # (K,): into a word's first frame
            better = new < best[self.first]
            best[self.first] = np.where(better, new, best[self.first])
            since[self.first] = np.where(better, t, since[self.first])
            total[2:], entered[2:] = best + d[t], since
            k = int(total[2 + self.last].argmin())
            before = float(total[2 + self.last[k]])
            ends.append((before, k, int(entered[2 + self.last[k]])))
        if not np.isfinite(before):
            raise ValueError(f"x: expected enough frames for a word, got {T}")
        found, stop = Spoken([], [], before), T
        while stop:
            _, k, start = ends[stop - 1]
            if self.words[k] >= 0:
                found.words.insert(0, int(self.words[k]))
                found.spans.insert(0, (start, stop))
            stop = start
        return found
