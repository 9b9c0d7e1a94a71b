"""Handwritten digits as strokes of a pen, and a network that draws them."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data import digit_forms

Floats = NDArray[np.float32]
SIDE, UNIT = 32, 4.0  # pixels of the enlarged picture; of a step of length 1
INK, AIR, END = 0, 1, 2  # what the pen does on a step
LONGEST = 60  # steps of a drawing


def thin(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take away the edges of strokes until they are one pixel wide (Zhang and Suen, 1984).

    All pictures ``(N, SIDE, SIDE)`` at once.
    """
    ink = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    around = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    changed = True
    while changed:
        changed = False
        for a, b in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            n = np.stack([np.roll(ink, (-y, -x), (1, 2)) for y, x in around])  # (8, N, …)
            turns = (~n & np.roll(n, -1, 0)).sum(0)
            drop = ink & (n.sum(0) >= 2) & (n.sum(0) <= 6) & (turns == 1)
            drop &= ~n[list(a)].all(0) & ~n[list(b)].all(0)
            ink = ink & ~drop
            changed |= bool(drop.any())
    return np.asarray(ink[:, 1:-1, 1:-1])


def _near(point: tuple[int, int], points: set[tuple[int, int]]) -> list[tuple[int, int]]:
    y, x = point
    square = ((y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)
    return [p for p in square if p in points]


def trace(line: NDArray[np.bool_]) -> list[Floats]:
    """Follow the lines of one picture, from an end at the top, and as straight as possible."""
    points = {(int(y), int(x)) for y, x in np.argwhere(line)}
    left, strokes = set(points), []
    while left:
        ends = [p for p in left if len(_near(p, left)) == 1]
        here = min(ends or left)
        path = [here]
        left.discard(here)
        while nexts := _near(here, left):
            back = path[max(0, len(path) - 4)]
            ahead = np.subtract(here, back)
            here = max(nexts, key=lambda p: float(np.dot(ahead, np.subtract(p, path[-1]))))
            path.append(here)
            left.discard(here)
            for p in _near(path[-2], left):  # corners of a thick step
                if len(_near(p, left)) == 0:
                    left.discard(p)
        closing = [p for p in _near(path[-1], points) if p not in path[-4:]]
        opening = [p for p in _near(path[0], points) if p not in path[:4]]
        if len(path) >= 4:
            path = opening[:1] * bool(strokes) + path + closing[:1]
            strokes.append(np.array(path, np.float32)[:, ::-1])  # (x, y)
    return strokes


def steps(strokes: list[Floats]) -> Floats:
    """Return moves from point to point, ``(T, 3)``: across, down, and what the pen does."""
    rows, here = [], np.full(2, SIDE / 2, np.float32)
    for stroke in strokes:
        smooth = stroke.copy()
        smooth[1:-1] = (stroke[:-2] + stroke[1:-1] + stroke[2:]) / 3
        n = max(2, round(len(stroke) / UNIT) + 1)
        for i, k in enumerate(np.linspace(0, len(stroke) - 1, n).round().astype(int)):
            rows.append([*(smooth[k] - here) / UNIT, INK if i else AIR])
            here = smooth[k]
    rows.append([0, 0, END])
    return np.array(rows, np.float32)


class Drawings(NamedTuple):
    """Drawings as moves of a pen, which digit each shows, and which form it is from."""

    moves: list[Floats]  # (T, 3) each
    y: NDArray[np.int64]
    forms: NDArray[np.int64]


@cache
def pen_digits() -> Drawings:
    """Return scikit-learn's digits as strokes. The order of strokes is ours, not the writer's."""
    (x, y), forms = digit_forms()
    images = torch.from_numpy(x.transpose(1, 0, 2).copy())[:, None]  # (N, 1, 8, 8)
    large = F.interpolate(images, size=(SIDE, SIDE), mode="bicubic")[:, 0].numpy()
    lines = thin(large > 0.45)
    moves = [steps(trace(line)) for line in lines]
    kept = np.array([5 <= len(m) <= LONGEST for m in moves])
    return Drawings([m for m, k in zip(moves, kept, strict=True) if k], y[kept], forms[kept])


def points(moves: Floats) -> list[Floats]:
    """Return the strokes of a drawing as points ``(n, 2)``, across and down, in pixels."""
    strokes: list[list[NDArray[np.float32]]] = []
    here = np.full(2, SIDE / 2, np.float32)
    for *move, pen in moves:
        if pen == END:
            break
        here = here + UNIT * np.array(move, np.float32)
        if pen == AIR or not strokes:
            strokes.append([])
        strokes[-1].append(here)
    return [np.array(stroke) for stroke in strokes]


def paint(moves: Floats) -> Floats:
    """Paint a drawing, ``(8, 8)``: how much of a line passes through each cell, 1 at most."""
    picture = np.zeros((8, 8), np.float32)
    for stroke in points(moves):
        for a, b in zip(stroke[:-1], stroke[1:], strict=True):
            n = int(np.hypot(*(b - a))) * 2 + 2
            at = (a + (b - a) * np.linspace(0, 1, n)[:, None]) / UNIT - 0.5  # in cells
            low = np.floor(at).astype(int)
            for i in (0, 1):
                for j in (0, 1):
                    cell = low + (i, j)
                    share = np.prod(1 - np.abs(at - cell), 1) * np.hypot(*(b - a)) / UNIT / n
                    inside = ((cell >= 0) & (cell < 8)).all(1)
                    np.add.at(picture, (cell[inside, 1], cell[inside, 0]), share[inside])
    return np.minimum(picture, 1)
