import numpy as np
import pytest
import torch
from torch import nn

from rnncourse.data.digits import Digits
from rnncourse.data.moving_digits import continue_motion, moving_digits
from rnncourse.experiments import lab_video, lab_video_motion
from rnncourse.experiments._video import (
    ConvLSTMCell,
    FlatPredictor,
    MotionReader,
    Predictor,
    by_physics,
    digits_of,
    moved,
    seen_motion,
)


@pytest.fixture
def full(rng):
    """Digits whose ink reaches all edges, so that nothing about their place is hidden."""
    return Digits(rng.uniform(0.2, 1, (8, 20, 8)).astype(np.float32), np.zeros(20, np.int64))


def test_on_a_page_of_one_place_the_cell_is_an_lstm(rng):
    torch.manual_seed(0)
    cell, lstm = ConvLSTMCell(3, 5, k=1), nn.LSTMCell(3, 5)
    with torch.no_grad():
        weight = cell.conv.weight[:, :, 0, 0]
        lstm.weight_ih.copy_(weight[:, :3])
        lstm.weight_hh.copy_(weight[:, 3:])
        lstm.bias_ih.copy_(cell.conv.bias)
        lstm.bias_hh.zero_()
    x, h, c = torch.randn(2, 3), torch.randn(2, 5), torch.randn(2, 5)
    ours = cell(x[:, :, None, None], h[:, :, None, None], c[:, :, None, None])
    for a, b in zip(ours, lstm(x, (h, c)), strict=True):
        assert torch.allclose(a[:, :, 0, 0], b, atol=1e-6)


def test_networks_read_on_from_what_they_draw():
    torch.manual_seed(0)
    frames = torch.rand(3, 2, 12, 12)
    for net in (Predictor(C=4), FlatPredictor(12, H=8)):
        said = net(frames, 3)
        assert said.shape == (5, 2, 12, 12)
        first = torch.sigmoid(net(frames, 1)[-1:])
        assert torch.allclose(net(torch.cat([frames, first]), 1)[-1], said[3], atol=1e-5)
    assert Predictor(C=4)(torch.rand(2, 1, 24, 20), 1).shape == (2, 1, 24, 20)
    assert MotionReader(C=4)(frames).shape == (3, 2, 4)


def test_shifts(rng):
    frames = rng.random((3, 6, 7), np.float32)
    there = moved(frames, np.array([1, 0, -9]), np.array([-2, 0, 0]))
    assert np.array_equal(there[0, 1:, :-2], frames[0, :-1, 2:])
    assert not there[0, 0].any()
    assert not there[0, :, -2:].any()
    assert np.array_equal(there[1], frames[1])
    assert not there[2].any()


def test_the_motion_and_the_physics_are_found(full, rng):
    clips = moving_digits(full, 5, 40, rng)
    said = by_physics(clips.frames, 9)
    assert np.allclose(said, continue_motion(clips, 9), atol=1e-6)
    inside = ((clips.start + clips.velocity >= 0) & (clips.start + clips.velocity <= 8)).all((1, 2))
    found = seen_motion(clips.frames[0], clips.frames[1])
    assert inside.sum() > 10
    assert np.array_equal(found[inside], clips.velocity[inside, 0])


def test_baselines_have_their_shapes_and_meanings(full, rng):
    films = moving_digits(full, 15, 6, rng).frames
    said = {name: lab_video.baseline(name, films[:5], films) for name in lab_video.BASELINES}
    assert {x.shape for x in said.values()} == {(10, 6, 16, 16)}
    assert np.array_equal(said["copy last"][7], films[4])
    step = np.clip(2 * films[4] - films[3], 0, 1)
    assert np.allclose(said["extrapolate pixels"][0], step, atol=1e-6)
    assert lab_video.errors(films[5:], films[5:])["contrast_3"] == 1
    assert lab_video.errors(said["empty"], films[5:])["contrast_3"] == 0
    assert lab_video.errors(said["physics"], films[5:])["error_10"] < 1e-6


def test_digits_of_the_test_are_by_other_hands():
    learn, test = digits_of(2)
    assert len(learn.y) + len(test.y) == 1797
    assert 200 < len(test.y) < 450


def test_no_single_frame_tells_the_kind(full):
    films, kinds = lab_video_motion.motion_films(full, 8000, np.random.default_rng(0))
    corner = (films > 0).any(3).argmax(2)  # (T, B): the row
    for t in range(len(films)):
        for kind in range(4):
            share = np.bincount(corner[t, kinds == kind], minlength=9) / (kinds == kind).sum()
            assert np.abs(share - np.array([0.5, *[1] * 7, 0.5]) / 8).max() < 0.025
    assert np.array_equal(lab_video_motion.by_rules(films[:2]), kinds)
    assert np.array_equal(lab_video_motion.by_rules(films), kinds)


def test_what_is_shown(full):
    rng = np.random.default_rng(0)
    films, _ = lab_video_motion.motion_films(full, 5, rng)
    assert [
        lab_video_motion.show(films, shown, rng).shape[0] for shown in lab_video_motion.SHOWN
    ] == [1, 2, 6, 6]
    mixed = lab_video_motion.show(films, "six shuffled", rng)
    assert np.allclose(np.sort(mixed.sum((2, 3)), 0), np.sort(films.sum((2, 3)), 0))
    assert not np.array_equal(mixed, films)
