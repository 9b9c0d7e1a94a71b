"""Pictures and captions agree, and chance is what it is said to be."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncourse.data.shapes import (
    CHANCE,
    COLORS,
    INVERSE,
    KINDS,
    RELATIONS,
    SIZES,
    Scene,
    Thing,
    caption_batch,
    captions,
    draw_scenes,
    is_true,
    render,
    vocabulary,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_picture_shows_what_the_caption_says(seed):
    (scene,) = draw_scenes(1, np.random.default_rng(seed))
    picture = render(scene)
    assert picture.shape == (28, 28, 3)
    assert picture.dtype == np.float32
    centers = []
    for thing in (scene.first, scene.second):
        color = np.array(COLORS[thing.color]) / 255
        where = np.argwhere(np.abs(picture - color).max(-1) < 1e-3)
        if scene.first.color != scene.second.color:
            assert np.abs(where.mean(0) - (thing.row, thing.column)).max() < 2.5
            assert where.max(0)[1] - where.min(0)[1] == 2 * SIZES[thing.size]
        centers.append((thing.row, thing.column))
    row, column = np.subtract(*centers)
    down, right = RELATIONS[scene.relation]
    assert row * down > 5 or column * right > 5  # on the side that the relation says
    assert abs(row * right) <= 2
    assert abs(column * down) <= 2
    assert all(is_true(c, scene) for c in captions(scene))
    assert not is_true(captions(scene)[0].replace(scene.relation, INVERSE[scene.relation]), scene)


def test_things_do_not_overlap():
    for scene in draw_scenes(300, np.random.default_rng(0)):
        both = [
            (render(Scene(t, scene.relation, t)) < 1).any(-1) for t in (scene.first, scene.second)
        ]
        assert not (both[0] & both[1]).any()
        assert both[0].any()
        assert both[1].any()
        for thing, inside in zip((scene.first, scene.second), both, strict=True):  # none is cut
            centered = thing._replace(row=14, column=14)
            whole = render(Scene(centered, scene.relation, centered)) < 1
            assert inside.sum() == whole.any(-1).sum()


def test_chance_by_counting():
    scene = draw_scenes(1, np.random.default_rng(0))[0]
    said = [
        f"a {' '.join(a)} {relation} a {' '.join(b)}"
        for (a, b), relation in product(permutations(KINDS, 2), RELATIONS)
    ]
    assert len(set(said)) == len(said)
    assert np.mean([is_true(text, scene) for text in said]) == pytest.approx(CHANCE)


def test_a_batch_can_be_read_back():
    words = vocabulary()
    batch = caption_batch(40, np.random.default_rng(0))
    firsts = 0
    for b, scene in enumerate(batch.scenes):
        tokens = [words.tokens[i] for i in batch.words[:, b]]
        n = batch.lengths[b]
        assert (tokens[0], tokens[n - 1]) == ("<bos>", "<eos>")
        assert set(tokens[n:]) <= {"<pad>"}
        text = " ".join(tokens[1 : n - 1])
        assert is_true(text, scene)
        firsts += text == captions(scene)[0]
        assert np.array_equal(batch.images[b], render(scene))
    assert 8 < firsts < 32
    again = caption_batch(40, np.random.default_rng(0), which="first")
    assert again.scenes == batch.scenes
    assert words.decode(again.words[1:-1, 0], " ").startswith(captions(again.scenes[0])[0][:20])


def test_other_texts_are_not_true():
    scene = Scene(
        Thing("small", "red", "circle", 7, 14), "above", Thing("large", "blue", "square", 21, 14)
    )
    assert is_true("a small red circle  above a large blue square", scene)
    for text in (
        "",
        "a red circle",
        "a small red circle above",
        "a large blue square above a small red circle",
    ):
        assert not is_true(text, scene)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: draw_scenes(-1, r), ValueError, "n: expected at least 0"),
        (lambda r: draw_scenes(1, 0), TypeError, "rng: expected numpy.Generator, got int"),
        (lambda r: caption_batch(1, 0), TypeError, "rng: expected numpy.Generator, got int"),
        (lambda r: caption_batch(0, r), ValueError, "B: expected at least 1"),
        (lambda r: caption_batch(1, r, "second"), ValueError, "which: expected 'first' or"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(np.random.default_rng(0))
