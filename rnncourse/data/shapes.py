"""Pictures of two shapes with their captions, for image captioning.

*a small red circle above a large blue square*: two things out of 24 kinds, and one of four
relations. Each scene has two true captions of this form, one from each thing's point of view.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least, check_choice, check_type
from rnncourse.data.text import Vocabulary

SIZES = {"small": 3, "large": 5}  # radius in pixels
COLORS = {"red": (213, 94, 0), "blue": (0, 114, 178), "green": (0, 158, 115), "black": (0, 0, 0)}
SHAPES = ("circle", "square", "triangle")
RELATIONS = {"above": (-1, 0), "below": (1, 0), "left of": (0, -1), "right of": (0, 1)}
INVERSE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
SIDE = 28  # height and width of a picture
KINDS = tuple(product(SIZES, COLORS, SHAPES))
"""All kinds of thing: size, color, shape."""

CHANCE = 2 / (len(KINDS) * (len(KINDS) - 1) * len(RELATIONS))
"""Baseline: how often a caption drawn blindly, with two different things, is true: 1/1104."""


class Thing(NamedTuple):
    """A shape in a picture."""

    size: str
    color: str
    shape: str
    row: int
    column: int


class Scene(NamedTuple):
    """Two different things, the first in this relation to the second."""

    first: Thing
    relation: str
    second: Thing


def draw_scenes(n: int, rng: np.random.Generator) -> list[Scene]:
    """Draw scenes: kinds, relation and places are uniform.

    Raises TypeError or ValueError if ``n`` is not a whole number of at least 0, or ``rng`` is not a
    generator.

    Examples
    --------
    >>> captions(draw_scenes(1, np.random.default_rng(1))[0])[0]
    'a small black square right of a large red circle'
    """
    check_at_least("n", n, 0)
    check_type("rng", rng, np.random.Generator)
    scenes, middle = [], SIDE // 2
    for _ in range(n):
        kinds = [KINDS[k] for k in rng.choice(len(KINDS), 2, replace=False)]
        relation = str(rng.choice(list(RELATIONS)))
        away = 7 * np.array(RELATIONS[relation])
        places = [middle + side * away + rng.integers(-1, 2, size=2) for side in (1, -1)]
        first, second = (Thing(*kind, *map(int, p)) for kind, p in zip(kinds, places, strict=True))
        scenes.append(Scene(first, relation, second))
    return scenes


def render(scene: Scene) -> NDArray[np.float32]:
    """Paint a scene on white: ``(28, 28, 3)``, red, green and blue from 0 to 1."""
    picture = np.ones((SIDE, SIDE, 3), np.float32)
    row, column = np.mgrid[:SIDE, :SIDE]
    for thing in (scene.first, scene.second):
        y, x, r = row - thing.row, column - thing.column, SIZES[thing.size]
        inside = {
            "circle": x**2 + y**2 <= (r + 0.5) ** 2,
            "square": np.maximum(abs(x), abs(y)) <= r,
            "triangle": (abs(y) <= r) & (2 * abs(x) <= y + r),
        }[thing.shape]
        picture[inside] = np.array(COLORS[thing.color]) / 255
    return picture


def captions(scene: Scene) -> list[str]:
    """Return both true captions of a scene, that of its first thing first."""
    a, b = (f"a {thing.size} {thing.color} {thing.shape}" for thing in (scene.first, scene.second))
    return [f"{a} {scene.relation} {b}", f"{b} {INVERSE[scene.relation]} {a}"]


def is_true(caption: str, scene: Scene) -> bool:
    """Say whether a caption describes a scene, whatever its spacing; other texts are not true."""
    return " ".join(caption.split()) in captions(scene)


def vocabulary() -> Vocabulary:
    """Return all words, after ``"<pad>"`` (number 0), ``"<bos>"`` and ``"<eos>"``."""
    words = {"a", *SIZES, *COLORS, *SHAPES, *" ".join(RELATIONS).split()}
    return Vocabulary(sorted(words), ("<pad>", "<bos>", "<eos>"))


class CaptionBatch(NamedTuple):
    """Pictures and one caption each, as a decoder reads them."""

    images: NDArray[np.float32]  # (B, 28, 28, 3)
    words: NDArray[np.int64]  # (T, B): "<bos>", the caption, "<eos>", then "<pad>"
    lengths: NDArray[np.int64]  # (B,): with "<bos>" and "<eos>"
    scenes: list[Scene]  # what the pictures show


def caption_batch(B: int, rng: np.random.Generator, which: str = "either") -> CaptionBatch:
    """Draw scenes, paint them, and caption them.

    Parameters
    ----------
    B
        How many.
    rng
        Random generator.
    which
        Which of the two captions: ``"first"``, or ``"either"``, by the toss of a coin.

    Raises
    ------
    TypeError, ValueError
        If ``B`` is not a whole number of at least 1, ``rng`` is not a generator, or ``which`` is
        unknown.

    Examples
    --------
    >>> batch = caption_batch(3, np.random.default_rng(0))
    >>> batch.images.shape, batch.words.shape[1], vocabulary().tokens[batch.words[0, 0]]
    ((3, 28, 28, 3), 3, '<bos>')
    """
    check_at_least("B", B, 1)
    check_choice("which", which, ("first", "either"))
    scenes, words = draw_scenes(B, rng), vocabulary()
    chosen = rng.integers(2, size=B) if which == "either" else np.zeros(B, int)
    texts = [captions(s)[c].split() for s, c in zip(scenes, chosen, strict=True)]
    rows = [words.encode(["<bos>", *text, "<eos>"]) for text in texts]
    lengths = np.array([len(row) for row in rows])
    ids = np.full((lengths.max(), B), words["<pad>"])
    for b, row in enumerate(rows):
        ids[: len(row), b] = row
    return CaptionBatch(np.stack([render(s) for s in scenes]), ids, lengths, scenes)
