"""Networks and baselines for films of moving digits, for two experiments."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.digits import Digits, digit_forms

Films = NDArray[np.float32]
"""``(T, B, height, width)``, or one frame of each, ``(B, height, width)``."""

FOLDS = 5
DIGIT = 8  # height and width of a digit in pixels
PATCH = 2  # a patch of 2 x 2 pixels is one place with 4 channels


@cache
def digits_of(seed: int) -> tuple[Digits, Digits]:
    """Return digits for training and for the test, which come from different forms."""
    digits, forms = digit_forms()
    held_out = (np.random.default_rng(0).permutation(14) % FOLDS == seed % FOLDS)[forms]
    return (
        Digits(digits.x[:, ~held_out], digits.y[~held_out]),
        Digits(digits.x[:, held_out], digits.y[held_out]),
    )


class ConvLSTMCell(nn.Module):
    """One step of an LSTM whose state is a picture (Shi et al., 2015, without peepholes)."""

    def __init__(self, I: int, C: int, k: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(I + C, 4 * C, k, padding=k // 2)
        with torch.no_grad():
            self.conv.bias[C : 2 * C] = 1  # type: ignore[index]  # keep at first

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Take ``(B, I, height, width)`` and a state ``(B, C, height, width)`` twice."""
        i, f, g, o = self.conv(torch.cat([x, h], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Predictor(nn.Module):
    """Two ConvLSTM layers: reads frames, and goes on by reading what it said."""

    def __init__(self, C: int = 16, layers: int = 2) -> None:
        super().__init__()
        self.C = C
        self.cells = nn.ModuleList(
            ConvLSTMCell(PATCH**2 if layer == 0 else C, C) for layer in range(layers)
        )
        self.out = nn.Conv2d(layers * C, PATCH**2, 3, padding=1)

    def forward(self, frames: Tensor, steps: int) -> Tensor:
        """Return the logits of frames 1 to T + steps - 1, ``(T + steps - 1, B, height, width)``."""
        T, B, height, width = frames.shape
        zero = frames.new_zeros(B, self.C, height // PATCH, width // PATCH)
        states = [(zero, zero) for _ in self.cells]
        said: list[Tensor] = []
        for t in range(T + steps - 1):
            x = frames[t] if t < T else torch.sigmoid(said[-1])
            x = F.pixel_unshuffle(x[:, None], PATCH)  # (B, 4, height/2, width/2)
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(x, *states[layer])
                x = states[layer][0]
            y = self.out(torch.cat([h for h, _ in states], 1))
            said.append(F.pixel_shuffle(y, PATCH)[:, 0])
        return torch.stack(said)


class FlatPredictor(nn.Module):
    """The same with one LSTM that reads a frame as a row of numbers."""

    def __init__(self, size: int, H: int = 128) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(size**2, H)
        self.out = nn.Linear(H, size**2)

    def forward(self, frames: Tensor, steps: int) -> Tensor:
        """Return the logits of frames 1 to T + steps - 1, ``(T + steps - 1, B, height, width)``."""
        state = None
        said: list[Tensor] = []
        for t in range(len(frames) + steps - 1):
            x = frames[t].flatten(1) if t < len(frames) else torch.sigmoid(said[-1])
            state = self.cell(x, state)
            said.append(self.out(state[0]))
        return torch.stack(said).reshape(-1, *frames.shape[1:])


def moved(frames: Films, down: NDArray[np.int64], across: NDArray[np.int64]) -> Films:
    """Shift each of B frames by its own number of pixels; what leaves is lost."""
    B, height, width = frames.shape
    row = np.arange(height) - down[:, None]  # (B, height): where each pixel comes from
    column = np.arange(width) - across[:, None]
    inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None]
    there = frames[np.arange(B)[:, None, None], row[:, :, None] % height, column[:, None] % width]
    return np.where(inside, there, 0).astype(np.float32)


def seen_motion(before: Films, after: Films, reach: int = 2) -> NDArray[np.int64]:
    """Return by which shift, down and across, the second frame fits the first best, ``(B, 2)``."""
    ways = [(a, b) for a in range(-reach, reach + 1) for b in range(-reach, reach + 1)]
    B = len(before)
    misfit = [
        ((moved(before, np.full(B, a), np.full(B, b)) - after) ** 2).sum((1, 2)) for a, b in ways
    ]
    return np.asarray(np.array(ways)[np.argmin(misfit, 0)], np.int64)


def by_physics(frames: Films, steps: int) -> Films:
    """Go on with a film of one digit by someone who knows the rules of its flight.

    Of all places and speeds, take those under which the digit looks most alike in all frames, and
    continue.
    """
    T, B, size, _ = frames.shape
    last = size - DIGIT
    speeds = [v for v in range(-2, 3) if v]
    paths = {}  # of one coordinate: the corner in frames 0 to T + steps - 1
    for start in range(last + 1):
        for v in speeds:
            way = (start + v * np.arange(T + steps)) % (2 * last)
            paths[start, v] = np.minimum(way, 2 * last - way)
    best = np.full(B, -1.0)
    image = np.zeros((B, DIGIT, DIGIT), np.float32)
    corner = np.zeros((2, T + steps, B), np.int64)
    for down in paths.values():
        for across in paths.values():
            crops = [
                frames[t, :, down[t] : down[t] + DIGIT, across[t] : across[t] + DIGIT]
                for t in range(T)
            ]
            mean = np.mean(crops, 0)  # (B, 8, 8)
            fit = (mean**2).sum((1, 2))  # the misfit is a constant minus T times this
            better = fit > best + 1e-6
            best[better], image[better] = fit[better], mean[better]
            corner[0][:, better], corner[1][:, better] = down[:, None], across[:, None]
    said = np.zeros((steps, B, size, size), np.float32)
    for h in range(steps):
        row = corner[0, T + h, :, None] + np.arange(DIGIT)  # (B, 8)
        column = corner[1, T + h, :, None] + np.arange(DIGIT)
        said[h, np.arange(B)[:, None, None], row[:, :, None], column[:, None]] = image
    return said


class MotionReader(nn.Module):
    """A ConvLSTM that reads a film; the largest and the mean of each map of its state decide."""

    def __init__(self, C: int = 24, classes: int = 4) -> None:
        super().__init__()
        self.C = C
        self.cell = ConvLSTMCell(PATCH**2, C)
        self.out = nn.Linear(2 * C, classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the scores after each frame, ``(T, B, classes)``."""
        _, B, height, width = frames.shape
        h = c = frames.new_zeros(B, self.C, height // PATCH, width // PATCH)
        scores = []
        for frame in frames:
            h, c = self.cell(F.pixel_unshuffle(frame[:, None], PATCH), h, c)
            scores.append(self.out(torch.cat([h.amax((2, 3)), h.mean((2, 3))], 1)))
        return torch.stack(scores)
