"""Handwritten digits that fly through a frame and bounce off its edges, for video prediction."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least, check_shape, check_type
from rnncourse.data.digits import Digits


class Clips(NamedTuple):
    """Short films, and what makes them up; each of a film's n digits has a place and a speed."""

    frames: NDArray[np.float32]  # (T, B, height, width), from 0 (paper) to 1 (ink)
    images: NDArray[np.float32]  # (B, n, 8, 8)
    labels: NDArray[np.int64]  # (B, n): which digits they are
    start: NDArray[np.int64]  # (B, n, 2): row and column of the upper left corner in frame 0
    velocity: NDArray[np.int64]  # (B, n, 2): pixels per frame, downward and to the right


def moving_digits(
    digits: Digits, T: int, B: int, rng: np.random.Generator, size: int = 16, n_digits: int = 1
) -> Clips:
    """Draw films in which each digit moves at constant speed, except for the bounces.

    Speeds are 1 or 2 pixels per frame along each axis. Where digits overlap, the darker ink shows.
    After two frames the rest of a film is certain (:func:`continue_motion` makes no error) unless
    its digits hide each other. The trivial baseline is :func:`copy_last_frame_error`: about 0.07
    for one digit in the default frame, where an empty frame has an error of about 0.06.

    Parameters
    ----------
    digits
        What to draw from, as :func:`rnncourse.data.digit_rows` returns it for training or test.
    T, B
        Frames and films.
    rng
        Random generator.
    size
        Height and width of a frame in pixels, at least 10. A digit has 8 by 8.
    n_digits
        How many digits are in a film.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range, ``rng`` is not a generator, or the digits are
        not ``(8, N, 8)``.

    References
    ----------
    Srivastava, Mansimov and Salakhutdinov (2015), "Unsupervised learning of video representations
    using LSTMs", section 4.2, with larger digits.

    Examples
    --------
    >>> dot = Digits(np.eye(1, 64).reshape(8, 1, 8).astype(np.float32), np.array([3]))
    >>> clips = moving_digits(dot, T=6, B=1, rng=np.random.default_rng(3), size=10)
    >>> [divmod(int(frame.argmax()), 10) for frame in clips.frames[:, 0]]  # row, column
    [(2, 0), (1, 1), (0, 2), (1, 1), (2, 0), (1, 1)]
    """
    check_at_least("T", T, 1)
    check_at_least("B", B, 1)
    check_at_least("size", size, 10)
    check_at_least("n_digits", n_digits, 1)
    check_type("rng", rng, np.random.Generator)
    check_shape("digits.x", digits.x.shape, (8, "N", 8))
    chosen = rng.integers(digits.x.shape[1], size=(B, n_digits))
    images = digits.x.transpose(1, 0, 2)[chosen]
    start = rng.integers(size - 7, size=(B, n_digits, 2))
    velocity = rng.integers(1, 3, start.shape) * rng.choice((-1, 1), start.shape)
    frames = _render(images, start, velocity, np.arange(T), size)
    return Clips(frames, images, digits.y[chosen], start, velocity)


def continue_motion(clips: Clips, steps: int) -> NDArray[np.float32]:
    """Return the next ``steps`` frames, ``(steps, B, height, width)``: no model beats them.

    Raises TypeError or ValueError if ``steps`` is not a whole number of at least 1.
    """
    check_at_least("steps", steps, 1)
    T, _, size, _ = clips.frames.shape
    return _render(clips.images, clips.start, clips.velocity, np.arange(T, T + steps), size)


def copy_last_frame_error(frames: ArrayLike) -> float:
    """Return the baseline: the squared error per pixel if each frame is guessed as the one before.

    ``frames`` is ``(T, B, height, width)``. Raises ValueError for any other shape, or T below 2.
    """
    frames = np.asarray(frames, np.float64)
    check_shape("frames", frames.shape, ("T", "B", "height", "width"))
    check_at_least("T", len(frames), 2)
    return float(np.mean(np.diff(frames, axis=0) ** 2))


def _render(
    images: NDArray[np.float32],
    start: NDArray[np.int64],
    velocity: NDArray[np.int64],
    times: NDArray[np.int64],
    size: int,
) -> NDArray[np.float32]:
    """Draw the frames at ``times``. A bounce folds the straight path back into the frame."""
    B, n, _ = start.shape
    way = (start + velocity * times[:, None, None, None]) % (2 * (size - 8))  # (T, B, n, 2)
    corner = np.minimum(way, 2 * (size - 8) - way)
    row = corner[..., 0, None, None] + np.arange(8)[:, None]  # (T, B, n, 8, 1)
    column = corner[..., 1, None, None] + np.arange(8)
    frames = np.zeros((len(times), B, size, size), np.float32)
    t, b = np.arange(len(times))[:, None, None, None], np.arange(B)[:, None, None]
    for i in range(n):
        place = t, b, row[:, :, i], column[:, :, i]
        frames[place] = np.maximum(frames[place], images[:, i])
    return frames
