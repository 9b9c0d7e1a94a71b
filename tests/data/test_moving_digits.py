"""Digits that bounce: the motion is certain, digits stay whole, baselines are as documented."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncourse.data.digits import Digits, digit_rows
from rnncourse.data.moving_digits import continue_motion, copy_last_frame_error, moving_digits

TRAIN, _ = digit_rows(np.random.default_rng(0))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(10, 24),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_the_future_is_certain(T, B, size, n, seed):
    films = [
        moving_digits(TRAIN, steps, B, np.random.default_rng(seed), size, n) for steps in (T, T + 5)
    ]
    assert films[0].frames.shape == (T, B, size, size)
    assert films[0].frames.dtype == np.float32
    assert np.array_equal(films[0].frames, films[1].frames[:T])
    assert np.array_equal(continue_motion(films[0], 5), films[1].frames[T:])
    assert films[0].frames.min() >= 0
    assert films[0].frames.max() <= 1


def test_one_digit_is_always_whole_and_moves_by_its_speed():
    clips = moving_digits(TRAIN, 30, 20, np.random.default_rng(1))
    ink = clips.images.sum((1, 2, 3))
    assert np.allclose(clips.frames.sum((2, 3)), ink, rtol=1e-5)
    full = Digits(np.ones((8, 1, 8), np.float32), np.array([1]))
    clips = moving_digits(full, 30, 20, np.random.default_rng(1))
    row = clips.frames.any(3).argmax(2)  # (T, B)
    moved = np.abs(np.diff(row, axis=0))
    assert moved.max() == 2
    speed = np.abs(clips.velocity[:, 0, 0])
    assert (moved <= speed).all()
    assert (moved == speed).mean() > 0.8
    assert (np.diff(row, axis=0) > 0).any()


def test_labels_are_those_of_the_images():
    clips = moving_digits(TRAIN, 1, 50, np.random.default_rng(2), n_digits=2)
    images = TRAIN.x.transpose(1, 0, 2)
    known = {image.tobytes(): y for image, y in zip(images, TRAIN.y, strict=True)}
    found = [[known[np.ascontiguousarray(i).tobytes()] for i in two] for two in clips.images]
    assert np.array_equal(found, clips.labels)


def test_baselines():
    clips = moving_digits(TRAIN, 20, 200, np.random.default_rng(0))
    assert copy_last_frame_error(clips.frames) == pytest.approx(0.07, abs=0.005)
    assert np.mean(clips.frames**2) == pytest.approx(0.06, abs=0.005)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: moving_digits(TRAIN, 0, 1, r), ValueError, "T: expected at least 1"),
        (lambda r: moving_digits(TRAIN, 1, 1.5, r), TypeError, "B: expected a whole number"),
        (lambda r: moving_digits(TRAIN, 1, 1, 0), TypeError, "rng: expected numpy.Generator"),
        (lambda r: moving_digits(TRAIN, 1, 1, r, 9), ValueError, "size: expected at least 10"),
        (lambda r: moving_digits(TRAIN, 1, 1, r, 16, 0), ValueError, "n_digits: expected at"),
        (
            lambda r: moving_digits(Digits(np.zeros((7, 2, 8)), np.zeros(2)), 1, 1, r),
            ValueError,
            r"digits.x: expected shape \(8, N, 8\)",
        ),
        (lambda r: continue_motion(moving_digits(TRAIN, 1, 1, r), 0), ValueError, "steps: "),
        (lambda r: copy_last_frame_error(np.zeros((1, 2, 3, 3))), ValueError, "T: expected at"),
        (lambda r: copy_last_frame_error(np.zeros((2, 3, 3))), ValueError, "frames: expected"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(np.random.default_rng(0))
