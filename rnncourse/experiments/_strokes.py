"""Handwritten digits as strokes of a pen, and a network that draws them."""

from functools import cache
from itertools import pairwise
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
    left, strokes = set(points), list[Floats]()
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
        for a, b in pairwise(stroke):
            n = int(np.hypot(*(b - a))) * 2 + 2
            at = (a + (b - a) * np.linspace(0, 1, n)[:, None]) / UNIT - 0.5  # in cells
            low = np.floor(at).astype(int)
            for i in (0, 1):
                for j in (0, 1):
                    cell = low + np.array([i, j])
                    share = np.prod(1 - np.abs(at - cell), 1) * np.hypot(*(b - a)) / UNIT / n
                    inside = ((cell >= 0) & (cell < 8)).all(1)
                    np.add.at(picture, (cell[inside, 1], cell[inside, 0]), share[inside])
    return np.minimum(picture, 1)


class Pen(nn.Module):
    """A GRU that draws: for each move a mixture of Gaussians, and scores of what the pen does."""

    def __init__(self, mixture: int, H: int = 128) -> None:
        super().__init__()
        self.mixture = mixture
        self.gru = nn.GRU(2 + 3 + 10, H)
        self.out = nn.Linear(H, 5 * mixture + 3)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return log weights ``(T, B, M)``, means and log widths ``(T, B, M, 2)``, pen, state."""
        states, h = self.gru(x, h)
        y, M = self.out(states), self.mixture
        mean, width = y[..., : 4 * M].unflatten(-1, (2, M, 2)).unbind(-3)
        weight = y[..., 4 * M : 5 * M].log_softmax(-1)
        return (weight, mean, width.clamp(-5, 2), y[..., 5 * M :]), h


def pack(moves: list[Floats], y: NDArray[np.int64]) -> tuple[Tensor, ...]:
    """Return what is read ``(T, B, 15)``, the moves to draw ``(T, B, 2)``, the pen ``(T, B)``.

    What is read is the move before, zeros at first, and the digit that is asked for. After the end
    the pen is -1, which does not count.
    """
    T, B = max(map(len, moves)), len(moves)
    move, pen = np.zeros((T, B, 2), np.float32), np.full((T, B), -1)
    for b, m in enumerate(moves):
        move[: len(m), b], pen[: len(m), b] = m[:, :2], m[:, 2]
    x = np.zeros((T, B, 15), np.float32)
    x[1:, :, :2] = move[:-1]
    x[1:, :, 2:5] = np.eye(4, 3, dtype=np.float32)[pen[:-1]]
    x[:, np.arange(B), 5 + y] = 1
    return torch.from_numpy(x), torch.from_numpy(move), torch.from_numpy(pen)


def pen_loss(net: Pen, batch: tuple[Tensor, ...]) -> Tensor:
    """Return the negative log likelihood per step of the moves and of the pen."""
    x, move, pen = batch
    (weight, mean, width, scores), _ = net(x)
    off = (move[:, :, None] - mean) / width.exp()
    log_normal = (-0.5 * off**2 - width).sum(-1) - np.log(2 * np.pi)  # (T, B, M)
    where = -torch.logsumexp(weight + log_normal, -1)  # (T, B)
    drawn = (pen == INK) | (pen == AIR)
    nll = where[drawn].sum() + F.cross_entropy(
        scores.flatten(0, 1), pen.flatten(), ignore_index=-1, reduction="sum"
    )
    return nll / (pen >= 0).sum()


@torch.no_grad()
def draw(
    net: Pen, y: NDArray[np.int64], temperature: float, generator: torch.Generator
) -> list[Floats]:
    """Draw digits. A low temperature takes likelier parts of the mixture and smaller deviations."""
    B, h = len(y), None
    x = torch.zeros(1, B, 15)
    x[0, torch.arange(B), 5 + torch.from_numpy(y)] = 1
    rows = []
    for _ in range(LONGEST):
        (weight, mean, width, scores), h = net(x, h)
        part = _choose(weight[0], temperature, generator)
        pen = _choose(scores[0], temperature, generator)
        at = torch.arange(B)
        noise = torch.randn(B, 2, generator=generator)
        move = mean[0, at, part] + temperature**0.5 * width[0, at, part].exp() * noise
        rows.append(torch.cat([move, pen[:, None]], 1))
        x[0, :, :2], x[0, :, 2:5] = move, F.one_hot(pen, 3)
    all_moves = torch.stack(rows, 1).numpy()  # (B, T, 3)
    ends = [int(np.argmax([*(m[:, 2] == END), True])) + 1 for m in all_moves]
    return [m[:end] for m, end in zip(all_moves, ends, strict=True)]


def _choose(scores: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    if temperature == 0:
        return scores.argmax(-1)
    chances = (scores / temperature).softmax(-1)
    return torch.multinomial(chances, 1, generator=generator)[:, 0]


def chain(
    learn: list[Floats], digits: NDArray[np.int64], y: NDArray[np.int64], order: int,
    rng: np.random.Generator,
) -> list[Floats]:  # fmt: skip
    """Draw without a network: after the last ``order`` moves, go on as some drawing did.

    Moves count as the same if the pen and the direction, one of eight, are. If no drawing has the
    last moves, fewer have to be the same.
    """

    def kind(move: NDArray[np.float32]) -> tuple[int, int]:
        return round(float(np.arctan2(move[1], move[0])) / (np.pi / 4)) % 8, int(move[2])

    after: dict[tuple[object, ...], list[NDArray[np.float32]]] = {}
    for moves, digit in zip(learn, digits, strict=True):
        past: tuple[object, ...] = ("start",)
        for move in moves:
            for n in range(order + 1):
                after.setdefault((int(digit), *past[len(past) - n :]), []).append(move)
            past = (*past, kind(move))[-max(order, 1) :]
    drawings = []
    for digit in y.tolist():
        rows: list[NDArray[np.float32]] = []
        past = ("start",)
        while len(rows) < LONGEST and not (rows and rows[-1][2] == END):
            n = next(n for n in range(order, -1, -1) if (digit, *past[len(past) - n :]) in after)
            options = after[(digit, *past[len(past) - n :])]
            rows.append(options[rng.integers(len(options))])
            past = (*past, kind(rows[-1]))[-max(order, 1) :]
        drawings.append(np.array(rows))
    return drawings
