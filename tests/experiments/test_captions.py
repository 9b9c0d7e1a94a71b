"""Pictures, splits and strokes of the lab on captions."""

import numpy as np
import pytest
import torch

from rnncourse.data import shapes
from rnncourse.experiments import _captions, _strokes, lab_captioning


def test_training_shows_nothing_that_is_withheld():
    split = _captions.split_of(3)
    assert len(split.looks) == 3
    for name, part in lab_captioning.TESTS.items():
        album = lab_captioning.shown(3, name)
        assert {split.part(scene) for scene in album.scenes} == {part}
    assert {split.part(scene) for scene in lab_captioning.learned(3).scenes} == {"known"}


def test_a_form_that_is_filled_in_rightly_is_true():
    scenes = shapes.draw_scenes(50, np.random.default_rng(0))
    for scene, parts in zip(scenes, _captions.parts_of(scenes).tolist(), strict=True):
        assert shapes.is_true(_captions.sentence(parts), scene)


@pytest.mark.parametrize("part", ["known", "look"])
def test_a_false_color_is_in_no_picture_and_was_in_training(part, monkeypatch):
    """The intervention asks about the right things, with a color that can only mislead."""
    split, album, asked = _captions.split_of(1), _captions.shown(1, part), []

    def answer(net, images, texts):
        asked.append((images, texts))
        return ["circle"] * len(texts)

    monkeypatch.setattr(_captions, "shape_after", answer)
    figures = _captions.swap_test(None, album, split)
    (images, own), (same, false) = asked
    assert np.array_equal(images, same)
    scenes = [album.scenes[np.argmax((album.images == x).all((1, 2, 3)))] for x in images]
    circles = 0
    for scene, true, wrong in zip(scenes, own, false, strict=True):
        _, size, color = true.split()
        (thing,) = [t for t in (scene.first, scene.second) if t.size == size]
        assert thing.color == color
        assert ((color, thing.shape) in split.looks) == (part == "look")
        assert wrong.startswith(f"a {size} ")
        false_color = wrong.split()[2]
        assert false_color not in (scene.first.color, scene.second.color)
        assert (false_color, thing.shape) not in split.looks
        circles += thing.shape == "circle"
    assert len(own) > 100
    assert figures["own"] == figures["false"] == pytest.approx(100 * circles / len(own))


def test_attention_is_a_distribution_over_places():
    torch.manual_seed(0)
    net = _captions.Captioner("attention")
    images = lab_captioning.shown(0, "known").images[:3]
    texts, weights = _captions.describe(net, images)
    assert len(texts) == 3
    assert weights.shape == (_captions.LONGEST, 3, 49)
    np.testing.assert_allclose(weights.sum(2), 1, atol=1e-5)


def test_thinning_and_tracing_a_bar():
    bar = np.zeros((1, 32, 32), bool)
    bar[0, 4:28, 14:18] = True
    line = _strokes.thin(bar)[0]
    assert 15 <= line.sum() <= 26
    strokes = _strokes.trace(line)
    assert len(strokes) == 1
    moves = _strokes.steps(strokes)
    assert moves[0, 2] == _strokes.AIR
    assert moves[-1, 2] == _strokes.END
    assert (moves[1:-1, 2] == _strokes.INK).all()
    assert len(_strokes.points(moves)) == 1
    assert 4 < _strokes.paint(moves).sum() < 8


def test_a_long_chain_repeats_a_drawing():
    moves = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 2]], np.float32)
    drawn = _strokes.chain([moves], np.array([7]), np.array([7]), 8, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn[0], moves)
