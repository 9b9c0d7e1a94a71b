"""Which model reads handwritten digits best, in which order, from how many images.

Five models of scikit-learn's 1797 digits of 8 rows of 8 pixels: an *LSTM*, a *GRU*, a *CNN*
(convolutional network), *logistic* regression and the *nearest* neighbors.

What varies
    The model, its knob and the seed. Besides: the order in which the pixels come; whether the
    images are split by form, so that no writer is on both sides, or at random; and the number of
    training images.

What is held equal
    Seed s tests on fold s of five and chooses the knob on the next fold; all models have the same
    folds, the same shuffle and, with fewer images, the same ones. The networks have about 5700
    weights (4800 if pixels come one by one), Adam, 300 updates of up to 64 images (500 if one by
    one), clipping at norm 1 and a cosine. A random split has folds of the same sizes: the forms of
    the images are permuted.

How each side is tuned
    Each model has one knob with three values, the learning rate, the inverse strength C of the
    penalty, or the number of neighbors. Each seed chooses by ``valid``; the comparison reads
    ``test``. A fourth value, ``BEYOND``, is for looking whether the grid ends too early.

What this leaves open
    The networks have no weight decay, dropout or enlarged data. ``train``, the error on the
    training images, says where 300 or 500 updates are too few.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.digits import Digits, digit_forms
from rnncourse.torch import GRU, LSTM
from rnncourse.training import DivergenceError, fit

__all__ = ["BEYOND", "KNOBS", "SEEDS", "SETTINGS", "Convolution", "Reader", "build", "folds", "run"]

RATES = (0.01, 0.025, 0.06)
KNOBS = {
    "LSTM": RATES,
    "GRU": RATES,
    "CNN": RATES,
    "logistic": (0.1, 1, 10),
    "nearest": (1, 3, 5),
}
BEYOND = {"LSTM": 0.12, "GRU": 0.12, "CNN": 0.12, "logistic": 100, "nearest": 7}  # not chosen from
NETWORKS = ("LSTM", "GRU", "CNN")
FEW = ("GRU", "CNN", "logistic", "nearest")
PARTS: list[tuple[str, str, int, tuple[str, ...]]] = [  # order, split, images (0 is all), models
    ("rows", "forms", 0, tuple(KNOBS)),
    ("rows", "random", 0, tuple(KNOBS)),
    ("pixels shuffled", "forms", 0, NETWORKS),
    ("rows shuffled", "forms", 0, NETWORKS),
    ("columns", "forms", 0, ("LSTM", "GRU")),
    ("one by one", "forms", 0, ("GRU",)),
    ("one by one, shuffled", "forms", 0, ("GRU",)),
    ("rows", "forms", 50, FEW),
    ("rows", "forms", 200, FEW),
]
SETTINGS = [
    {"order": order, "split": split, "images": images, "model": model, "knob": knob}
    for order, split, images, models in PARTS
    for model in models
    for knob in KNOBS[model]
]
SETTINGS += [
    {"order": "rows", "split": "forms", "images": 0, "model": model, "knob": knob}
    for model, knob in BEYOND.items()
]
SEEDS = range(5)

CHEAP = {"order": "rows", "split": "forms", "images": 0, "model": "GRU", "knob": 0.025}
TOLERANCE = {"parameters": 0, "train": 0.5, "test": 3}

FOLDS, BATCH = 5, 64
UPDATES = {8: 300, 64: 500}  # by the number of steps
UNITS = {"LSTM": 32, "GRU": 37}

Labels = NDArray[np.int64]
Rows = NDArray[np.int64]


class Reader(nn.Module):
    """One recurrent layer and an output layer: ``(T, B, I)`` to scores ``(T, B, 10)``."""

    def __init__(self, cell: str, I: int) -> None:
        super().__init__()
        H = UNITS[cell]
        self.layer = {"LSTM": LSTM, "GRU": GRU}[cell](I, H)
        self.out = nn.Linear(H, 10)
        with torch.no_grad():  # the second block of weights is f in an LSTM and z in a GRU
            self.layer.bias_ih_l0[H : 2 * H] = 1
            self.layer.bias_hh_l0[H : 2 * H] = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores after each step."""
        scores: Tensor = self.out(self.layer(x)[0])
        return scores


class Convolution(nn.Module):
    """Two rounds of filter, ReLU and pooling, and an output layer: ``(T, B, I)`` to ``(B, 10)``."""

    def __init__(self, side: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 30, 3, padding=1)
        self.out = nn.Linear(30 * (side // 4) ** 2, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of images that come as rows."""
        maps = x.transpose(0, 1).unsqueeze(1)  # (B, 1, T, I)
        maps = F.max_pool2d(torch.relu(self.conv1(maps)), 2)
        maps = F.max_pool2d(torch.relu(self.conv2(maps)), 2)
        scores: Tensor = self.out(maps.flatten(1))
        return scores


@cache
def data() -> tuple[Digits, Labels]:
    """Return the images and their forms; they are read once."""
    return digit_forms()


def folds(groups: Labels) -> Rows:
    """Return the fold of each image, ``(N,)``; images of one group are in one fold."""
    fold_of_group = np.random.default_rng(0).permutation(14) % FOLDS
    return np.asarray(fold_of_group[groups])


def layout(x: NDArray[np.float32], order: str, seed: int) -> NDArray[np.float32]:
    """Turn rows ``(8, N, 8)`` into the sequence ``(T, N, I)`` that is read; the seed shuffles."""
    rng = np.random.default_rng(seed)
    pixels = x.transpose(0, 2, 1).reshape(64, -1)  # row after row, (64, N)
    if order == "rows":
        return x
    if order == "columns":
        return x.transpose(2, 1, 0)
    if order == "rows shuffled":
        return x[rng.permutation(8)]
    if order == "pixels shuffled":
        return pixels[rng.permutation(64)].reshape(8, 8, -1).transpose(0, 2, 1)
    if order == "one by one":
        return pixels[:, :, None]
    if order == "one by one, shuffled":
        return pixels[rng.permutation(64)][:, :, None]
    raise ValueError(f"order: expected one of those in SETTINGS, got {order!r}")


def build(model: str, I: int, seed: int) -> nn.Module:
    """Return a network whose weights are drawn from a seed; the global generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Convolution() if model == "CNN" else Reader(model, I)


def last(scores: Tensor) -> Tensor:
    """Return the scores that count: those after the last step, ``(B, 10)``."""
    return scores[-1] if scores.dim() == 3 else scores


def train(net: nn.Module, x: Tensor, y: Tensor, rate: float, seed: int) -> bool:
    """Train a network; return whether its losses and gradients stayed finite."""
    rng, updates = np.random.default_rng(seed), UPDATES[len(x)]
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    size = min(BATCH, len(y))
    batches = (rng.choice(len(y), size, replace=False) for _ in range(updates))

    def loss(net: nn.Module, rows: Rows) -> Tensor:
        return F.cross_entropy(last(net(x[:, rows])), y[rows])

    try:
        fit(net, loss, batches, optimizer, clip_norm=1.0, scheduler=cosine, progress=False)
    except DivergenceError:
        return False
    return True


def run(
    order: str, split: str, images: int, model: str, knob: float, *, seed: int, device: str
) -> dict[str, float]:
    """Train one model on three folds.

    Returns
    -------
    figures
        ``parameters``; ``train``, ``valid`` and ``test``, the percentages of wrong answers.
    """
    (x, y), forms = data()
    groups = forms if split == "forms" else np.random.default_rng(99).permutation(forms)
    fold = folds(groups)
    parts = {"test": fold == seed, "valid": fold == (seed + 1) % FOLDS}
    parts["train"] = ~parts["test"] & ~parts["valid"]
    rows = np.flatnonzero(parts["train"])
    if images:
        rows = np.random.default_rng(seed).permutation(rows)[:images]
    x = np.ascontiguousarray(layout(x, order, seed))
    figures: dict[str, float] = {}
    if model in NETWORKS:
        net = build(model, x.shape[2], seed).to(device)
        figures["parameters"] = sum(p.numel() for p in net.parameters())
        seen, truth = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
        if not train(net, seen[:, rows], truth[rows], knob, seed):
            return figures
        with torch.no_grad():
            right = (last(net(seen)).argmax(-1) == truth).cpu().numpy()
    else:
        flat = x.transpose(1, 0, 2).reshape(len(y), 64)
        if model == "logistic":
            simple = LogisticRegression(C=knob, max_iter=3000).fit(flat[rows], y[rows])
            figures["parameters"] = simple.coef_.size + simple.intercept_.size
        else:
            simple = KNeighborsClassifier(int(knob)).fit(flat[rows], y[rows])
            figures["parameters"] = 0
        right = simple.predict(flat) == y
    for part, chosen in parts.items():
        chosen = rows if part == "train" else chosen
        figures[part] = 100 * (1 - right[chosen].mean())
    return figures
