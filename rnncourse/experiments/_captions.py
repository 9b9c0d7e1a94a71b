"""Pictures, networks and measures of the lab on image captioning."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data import shapes
from rnncourse.data.shapes import COLORS, KINDS, SHAPES, SIZES, Scene
from rnncourse.metrics import bleu
from rnncourse.training import DivergenceError, fit

Images = NDArray[np.float32]
Ids = NDArray[np.int64]
WORDS = shapes.vocabulary()
PLACES, FEATURES = 49, 32
LONGEST = 14  # words that a decoder may write

TESTS = {"known": "known", "pair": "new pair", "look": "new look"}
LEARNED, TESTED, BATCH = 3000, 300, 32
UPDATES = {"attention": 3000, "one vector": 3000, "parts": 1000}


class Split(NamedTuple):
    """What training never shows: colors with a shape, and pairs of kinds."""

    looks: set[tuple[str, str]]
    pairs: set[frozenset[tuple[str, str, str]]]

    def part(self, scene: Scene) -> str:
        """Say to which part a scene belongs: known, new pair, new look, or two new looks."""
        things = [tuple(thing[:3]) for thing in (scene.first, scene.second)]
        new = sum(thing[1:] in self.looks for thing in things)
        if new:
            return ("new look", "two new looks")[new - 1]
        return "new pair" if frozenset(things) in self.pairs else "known"


def split_of(seed: int) -> Split:
    """Return what a seed withholds: three looks (red triangles, say), and a fifth of the pairs."""
    rng = np.random.default_rng([seed, 9])
    colors = rng.permutation(list(COLORS))[:3].tolist()
    looks = set(zip(colors, rng.permutation(SHAPES).tolist(), strict=True))
    kept = [kind for kind in KINDS if kind[1:] not in looks]
    pairs = [frozenset((a, b)) for i, a in enumerate(kept) for b in kept[:i]]
    chosen = rng.choice(len(pairs), len(pairs) // 5, replace=False)
    return Split(looks, {pairs[k] for k in chosen})


class Album(NamedTuple):
    """Pictures with their scenes, and one caption each, drawn from the two true ones."""

    images: Images  # (N, 28, 28, 3)
    scenes: list[Scene]
    texts: list[str]


def album(n: int, part: str, split: Split, rng: np.random.Generator) -> Album:
    """Draw pictures of one part of a split, or of ``"all"``."""
    scenes: list[Scene] = []
    while len(scenes) < n:
        drawn = shapes.draw_scenes(n, rng)
        scenes += [scene for scene in drawn if part in ("all", split.part(scene))]
    scenes = scenes[:n]
    coins = rng.integers(2, size=n)
    texts = [shapes.captions(s)[c] for s, c in zip(scenes, coins, strict=True)]
    return Album(np.stack([shapes.render(s) for s in scenes]), scenes, texts)


def learned(seed: int, withheld: str = "looks and pairs") -> Album:
    """Return the pictures of training."""
    part = "all" if withheld == "nothing" else "known"
    return album(LEARNED, part, split_of(seed), np.random.default_rng([seed, 0]))


def shown(seed: int, test: str) -> Album:
    """Return the pictures of a test: ``"known"``, ``"pair"`` or ``"look"``."""
    number = [*TESTS].index(test) + 1
    part = TESTS[test]
    return album(TESTED, part, split_of(seed), np.random.default_rng([seed, number]))


def validation(seed: int) -> Album:
    """Return pictures like those of training, to choose a learning rate with."""
    return album(TESTED, "known", split_of(seed), np.random.default_rng([seed, 4]))


def encode(texts: list[str]) -> Ids:
    """Return word numbers ``(T, N)``: "<bos>", the caption, "<eos>", then "<pad>", number 0."""
    rows = [WORDS.encode(["<bos>", *text.split(), "<eos>"]) for text in texts]
    ids = np.zeros((max(map(len, rows)), len(rows)), np.int64)
    for b, row in enumerate(rows):
        ids[: len(row), b] = row
    return ids


class Eye(nn.Module):
    """Two rounds of filters: pictures ``(B, 28, 28, 3)`` to 49 places ``(B, 49, 32)``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(16, FEATURES, 3, padding=1)
        self.where = nn.Parameter(0.5 * torch.randn(PLACES, FEATURES))

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of each place, and where it is."""
        maps = 1 - images.permute(0, 3, 1, 2)
        maps = torch.relu(self.conv1(maps))
        maps = F.max_pool2d(torch.relu(self.conv2(maps)), 2)
        return maps.flatten(2).transpose(1, 2) + self.where


class Captioner(nn.Module):
    """An eye and a GRU that writes, with attention over the places or with one vector."""

    def __init__(self, look: str, H: int = 96) -> None:
        super().__init__()
        V = len(WORDS.tokens)
        self.look, self.eye = look, Eye()
        self.embed, self.gru = nn.Embedding(V, 32), nn.GRU(32, H)
        self.start = nn.Linear(FEATURES, H)
        self.query, self.key = nn.Linear(H, 64), nn.Linear(FEATURES, 64)
        self.squeeze = nn.Linear(PLACES * FEATURES, FEATURES)
        self.hidden, self.out = nn.Linear(H + FEATURES, H), nn.Linear(H, V)

    def begin(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the eye sees, ``(B, S, 32)``, and the first state, ``(1, B, H)``."""
        places = self.eye(images)  # (B, 49, 32)
        if self.look == "one vector":
            places = self.squeeze(places.flatten(1))[:, None]  # (B, 1, 32)
        return places, torch.tanh(self.start(places.mean(1)))[None]

    def write(self, words: Tensor, h: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores of the next word ``(B, T, V)``, the state, and weights ``(B, T, S)``."""
        states, h = self.gru(self.embed(words), h)
        states = states.transpose(0, 1)  # (B, T, H)
        match = self.query(states) @ self.key(places).transpose(1, 2) / 8  # (B, T, S)
        weights = match.softmax(2)
        glimpse = weights @ places  # (B, T, 32)
        seen = torch.relu(self.hidden(torch.cat([states, glimpse], 2)))
        return self.out(seen), h, weights

    def forward(self, images: Tensor, words: Tensor) -> Tensor:
        """Return the scores after each of the words, ``(T, B, V)``."""
        places, h = self.begin(images)
        return self.write(words, h, places)[0].transpose(0, 1)


@torch.no_grad()
def describe(net: Captioner, images: Images) -> tuple[list[str], NDArray[np.float32]]:
    """Write captions, the likeliest word each time; also the weights ``(T, N, S)``."""
    device = next(net.parameters()).device
    places, h = net.begin(torch.from_numpy(images).to(device))
    word = torch.full((1, len(images)), WORDS["<bos>"], device=device)
    ids, looked = [], []
    for _ in range(LONGEST):
        scores, h, weights = net.write(word, h, places)
        word = scores[:, 0].argmax(1)[None]
        ids.append(word[0])
        looked.append(weights[:, 0])
    texts = []
    for row in torch.stack(ids, 1).tolist():
        end = row.index(WORDS["<eos>"]) if WORDS["<eos>"] in row else LONGEST
        texts.append(" ".join(WORDS.tokens[i] for i in row[:end]))
    return texts, torch.stack(looked).cpu().numpy()


SLOTS = (len(SIZES), len(COLORS), len(SHAPES), 2, len(SIZES), len(COLORS), len(SHAPES))


class PartsReader(nn.Module):
    """The same eye, and one classifier for each part of the caption; the grammar is built in."""

    def __init__(self, H: int = 64) -> None:
        super().__init__()
        self.eye = Eye()
        self.hidden = nn.Linear(PLACES * FEATURES, H)
        self.out = nn.Linear(H, sum(SLOTS))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the scores of each part, ``(B, 2)``, ``(B, 4)`` and so on."""
        scores: Tensor = self.out(torch.relu(self.hidden(self.eye(images).flatten(1))))
        return torch.split(scores, list(SLOTS), 1)


def parts_of(scenes: list[Scene]) -> Ids:
    """Return the seven answers ``(N, 7)``; the thing above, or on the left, comes first."""
    rows = []
    for scene in scenes:
        a, b = scene.first, scene.second
        if scene.relation in ("below", "right of"):
            a, b = b, a
        upright = int(scene.relation in ("above", "below"))
        first, second = (
            [list(SIZES).index(t.size), list(COLORS).index(t.color), SHAPES.index(t.shape)]
            for t in (a, b)
        )
        rows.append([*first, upright, *second])
    return np.array(rows)


def sentence(parts: list[int]) -> str:
    """Fill the form of a caption."""
    a, b = (
        f"a {list(SIZES)[s]} {list(COLORS)[c]} {SHAPES[k]}" for s, c, k in (parts[:3], parts[4:])
    )
    return f"{a} {('left of', 'above')[parts[3]]} {b}"


@torch.no_grad()
def fill_form(net: PartsReader, images: Images) -> list[str]:
    """Caption pictures part by part."""
    device = next(net.parameters()).device
    answers = [scores.argmax(1) for scores in net(torch.from_numpy(images).to(device))]
    return [sentence(row) for row in torch.stack(answers, 1).tolist()]


def nearest(learn: Album, images: Images) -> list[str]:
    """Return for each picture the caption of the picture of training with the closest pixels."""
    known, new = learn.images.reshape(len(learn.images), -1), images.reshape(len(images), -1)
    apart = (known**2).sum(1) - 2 * new @ known.T
    return [learn.texts[i] for i in apart.argmin(1)]


def judge(said: list[str], shown: Album) -> dict[str, float]:
    """Return percentages of exact and of true captions, and BLEU with one and two references."""
    true = [shapes.is_true(text, scene) for text, scene in zip(said, shown.scenes, strict=True)]
    both = [shapes.captions(scene) for scene in shown.scenes]
    return {
        "exact": 100 * float(np.mean([a == b for a, b in zip(said, shown.texts, strict=True)])),
        "true": 100 * float(np.mean(true)),
        "bleu_1": bleu(said, shown.texts),
        "bleu_2": bleu(said, both),
    }


Network = Captioner | PartsReader


def caption_with(net: Network, images: Images) -> list[str]:
    """Caption pictures with a network of either kind."""
    return fill_form(net, images) if isinstance(net, PartsReader) else describe(net, images)[0]


def _caption_loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    images, words = batch
    return F.cross_entropy(
        net(images, words[:-1]).flatten(0, 1), words[1:].flatten(), ignore_index=0
    )


def _parts_loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    images, parts = batch
    return torch.stack(
        [F.cross_entropy(scores, parts[:, k]) for k, scores in enumerate(net(images))]
    ).sum()


def train(
    model: str,
    learn: Album,
    rate: float,
    seed: int,
    updates: int,
    device: str = "cpu",
    on_step: Callable[[Network, int], None] | None = None,
) -> Network | None:
    """Train a network, and show it to ``on_step`` after each update; None if it diverges."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net: Network = (PartsReader() if model == "parts" else Captioner(model)).to(device)
    rng = np.random.default_rng([seed, 5])
    images = torch.from_numpy(learn.images).to(device)
    if model == "parts":
        answers = torch.from_numpy(parts_of(learn.scenes)).to(device)
    else:
        answers = torch.from_numpy(encode(learn.texts).T.copy()).to(device)
    rows = (torch.from_numpy(rng.integers(len(images), size=BATCH)) for _ in range(updates))
    batches = ((images[r], answers[r] if model == "parts" else answers[r].T) for r in rows)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    warm = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=updates, pct_start=0.15)
    try:
        fit(
            net, _parts_loss if model == "parts" else _caption_loss, batches, optimizer,
            clip_norm=1.0, scheduler=warm, progress=False,
            on_step=None if on_step is None else lambda step, _: on_step(net, step + 1),
        )  # fmt: skip
    except DivergenceError:
        return None
    return net.eval()


@torch.no_grad()
def shape_after(net: Captioner, images: Images, texts: list[str]) -> list[str]:
    """Return the likeliest shape after the beginnings of captions, all of one length."""
    device = next(net.parameters()).device
    words = np.array([WORDS.encode(["<bos>", *text.split()]) for text in texts]).T.copy()
    places, h = net.begin(torch.from_numpy(images).to(device))
    scores = net.write(torch.from_numpy(words).to(device), h, places)[0][:, -1]  # (N, V)
    best = scores[:, WORDS.encode(list(SHAPES))].argmax(1)
    return [SHAPES[k] for k in best.tolist()]


def swap_test(net: Captioner, shown: Album, split: Split) -> dict[str, float]:
    """Say how often a shape is named rightly after its own color, and after a false one.

    The decoder is made to read *a small red*, say, and is asked for the shape; and once more with a
    color that no thing in the picture has, and that training showed with this shape. Only things
    count that differ in size from the other one, so that the size says which is meant, and in
    pictures of new looks only those with the new look.
    """
    rng = np.random.default_rng(0)
    rows, right, own, false = [], [], [], []
    for i, scene in enumerate(shown.scenes):
        new = split.part(scene) == "new look"
        for a, b in ((scene.first, scene.second), (scene.second, scene.first)):
            colors = [c for c in COLORS if c not in (a.color, b.color)]
            colors = [c for c in colors if (c, a.shape) not in split.looks]
            if a.size == b.size or not colors or new != ((a.color, a.shape) in split.looks):
                continue
            rows.append(i)
            right.append(a.shape)
            own.append(f"a {a.size} {a.color}")
            false.append(f"a {a.size} {rng.choice(colors)}")
    return {
        name: 100
        * float(np.mean(np.array(shape_after(net, shown.images[rows], texts)) == np.array(right)))
        for name, texts in (("own", own), ("false", false))
    }
