"""Sentiment of reviews: a network against a bag of words, with few and many reviews.

What varies
    The reader, the number of reviews for training, the cure against overfitting, and the seed,
    which draws reviews and weights. Readers: logistic regression on counts of words (*bag*) or of
    words and pairs of neighbors (*bigrams*); an LSTM whose *last* state is classified, or the
    largest value that each unit reaches (*max*).

What is held equal
    The test reviews, with nouns that no training review has. 600 reviews for validation, drawn
    like the training reviews. Networks: batches of 32 reviews, Adam, a cosine, clipping at norm 1,
    1600 updates with 8000 reviews, 800 with 2000, 600 with 500. Each network is also kept as it was
    at its lowest validation loss, and at its highest validation accuracy.

How each side is tuned
    Each has two values of ``knob``: C of the logistic regression, or the learning rate. The value
    is chosen by validation, and each has the same five seeds.

What this leaves open
    The reviews are generated. A tenth or ten times as many updates may change the order.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.reviews import CASES, Review, ReviewBatch, pad_reviews, reviews, vocabulary
from rnncourse.data.text import Vocabulary
from rnncourse.torch import LSTM
from rnncourse.training import fit

__all__ = [
    "SEEDS",
    "SETTINGS",
    "Reader",
    "batches",
    "data",
    "deletion",
    "gradients",
    "log_probs",
    "run",
    "tensors",
]

LINEAR = {"units": 0, "dropout": 0.0, "updates": 0}
NETS = (  # read, reviews, units, dropout, updates
    ("max", 500, 48, 0.0, 600),
    ("max", 500, 48, 0.5, 600),
    ("max", 500, 12, 0.0, 600),
    ("max", 2000, 48, 0.0, 800),
    ("last", 2000, 48, 0.0, 800),
    ("max", 8000, 48, 0.0, 1600),
    ("last", 8000, 48, 0.0, 1600),
)
SETTINGS: list[dict[str, str | int | float]] = [
    {"reader": reader, "size": size, **LINEAR, "knob": C}
    for reader in ("bag", "bigrams")
    for size in (500, 2000, 8000)
    for C in (1.0, 10.0)
] + [
    dict(zip(("reader", "size", "units", "dropout", "updates", "knob"), (*net, rate), strict=True))
    for net in NETS
    for rate in (0.01, 0.02)
]
SEEDS = range(5)

CHEAP = {"reader": "max", "size": 500, "units": 48, "dropout": 0.0, "updates": 600, "knob": 0.01}
TOLERANCE = {"parameters": 0, "train_accuracy": 0.02, "test_accuracy": 0.06}

E, BATCH, LOOKS = 32, 32, 20
LARGEST, HELD_OUT, TESTED, EXPLAINED = 8000, 600, 3000, 250
MARKS = (".", ",")  # never deleted

Floats = NDArray[np.float64]
Batch = tuple[Tensor, Tensor, Tensor]


class Reader(nn.Module):
    """Embedding, LSTM, and one linear layer on the last state or on the maximum over time."""

    def __init__(self, n_words: int, H: int = 48, read: str = "max", dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_words, E, padding_idx=0)
        self.layer = LSTM(E, H)
        self.drop, self.out, self.read = nn.Dropout(dropout), nn.Linear(H, 3), read
        with torch.no_grad():
            self.layer.get_parameter("bias_ih_l0")[H : 2 * H] = 1  # the forget gate begins open

    def states(self, e: Tensor, lengths: Tensor) -> Tensor:
        """Return what is classified, ``(B, H)``, for embedded words ``(T, B, E)``."""
        h: Tensor = self.layer(e)[0]
        if self.read == "last":
            return h[lengths - 1, torch.arange(len(lengths), device=h.device)]
        real = torch.arange(len(h), device=h.device)[:, None] < lengths
        return h.masked_fill(real.logical_not()[..., None], -2).amax(0)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the scores of the classes, ``(B, 3)``, for words ``(T, B)``."""
        scores: Tensor = self.out(self.drop(self.states(self.drop(self.embed(x)), lengths)))
        return scores


@cache
def data(seed: int) -> tuple[list[Review], list[Review], list[Review]]:
    """Return the reviews for training, validation and test; the last are the same for all seeds."""
    train = reviews(LARGEST, np.random.default_rng([0, seed]))
    valid = reviews(HELD_OUT, np.random.default_rng([1, seed]))
    return train, valid, reviews(TESTED, np.random.default_rng(2), "test")


def tensors(batch: ReviewBatch, device: str = "cpu") -> Batch:
    """Return words, lengths and labels as tensors."""
    x, lengths, y = (torch.from_numpy(array).to(device) for array in batch)
    return x, lengths, y


def batches(
    drawn: Sequence[Review], words: Vocabulary, rng: np.random.Generator, device: str = "cpu"
) -> Iterator[Batch]:
    """Yield batches of reviews of similar length, again and again, in random order."""
    while True:
        order = rng.permutation(len(drawn))
        buckets = [order[k : k + 16 * BATCH] for k in range(0, len(order), 16 * BATCH)]
        rows = [sorted(bucket, key=lambda r: len(drawn[r].words)) for bucket in buckets]
        cut = [some[k : k + BATCH] for some in rows for k in range(0, len(some), BATCH)]
        for k in rng.permutation(len(cut)):
            yield tensors(pad_reviews([drawn[r] for r in cut[k]], words), device)


def loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the cross-entropy of a batch, in nats."""
    x, lengths, y = batch
    return F.cross_entropy(model(x, lengths), y)


def log_probs(model: nn.Module, drawn: Sequence[Review], words: Vocabulary) -> Floats:
    """Return the logarithms of the probabilities of the classes, ``(N, 3)``, without dropout."""
    device = str(next(model.parameters()).device)
    order = np.argsort([len(review.words) for review in drawn], kind="stable")
    found = np.empty((len(drawn), 3))
    was = model.training
    model.eval()
    with torch.no_grad():
        for rows in np.array_split(order, max(1, len(order) // 200)):
            x, lengths, _ = tensors(pad_reviews([drawn[r] for r in rows], words), device)
            found[rows] = model(x, lengths).log_softmax(-1).cpu().numpy()
    model.train(was)
    return found


def scores(logs: Floats, drawn: Sequence[Review]) -> tuple[float, float]:
    """Return loss and accuracy on the labels as they were noted."""
    y = np.array([review.label for review in drawn])
    return float(-logs[np.arange(len(y)), y].mean()), float((logs.argmax(1) == y).mean())


def by_case(logs: Floats, drawn: Sequence[Review]) -> dict[str, float]:
    """Return the accuracy in each case."""
    right = logs.argmax(1) == np.array([review.label for review in drawn])
    cases = np.array([review.case for review in drawn])
    return {case: float(right[cases == case].mean()) for case in CASES}


def gradients(
    model: Reader, drawn: Sequence[Review], words: Vocabulary
) -> tuple[list[Floats], list[Floats]]:
    """Return two saliencies of each word for the class that the network says.

    Returns
    -------
    size, share
        For each review ``(T,)``: the norm of the gradient of the class's log-probability with
        respect to the word's vector, and the product of gradient and vector, which has a sign.
    """
    was = model.training
    model.eval()
    x, lengths, _ = tensors(pad_reviews(drawn, words), str(next(model.parameters()).device))
    e = model.embed(x).detach().requires_grad_()  # (T, B, E)
    logs = model.out(model.states(e, lengths)).log_softmax(-1)
    (grad,) = torch.autograd.grad(logs.amax(-1).sum(), e)
    model.train(was)
    size, share = grad.norm(dim=-1).cpu().numpy(), (grad * e).sum(-1).detach().cpu().numpy()
    ends = lengths.tolist()
    return ([size[:n, b] for b, n in enumerate(ends)], [share[:n, b] for b, n in enumerate(ends)])


def candidates(review: Review) -> list[int]:
    """Return the positions of a review's words, punctuation left out."""
    return [i for i, word in enumerate(review.words) if word not in MARKS]


def without(review: Review, places: Sequence[int]) -> Review:
    """Return a review from which the words at some positions are deleted."""
    gone = set(places)
    return review._replace(words=tuple(w for i, w in enumerate(review.words) if i not in gone))


def one_out(model: Reader, drawn: Sequence[Review], words: Vocabulary) -> list[Floats]:
    """Return by how much the log-probability of the network's class falls without each word."""
    said = log_probs(model, drawn, words)
    shorter = [without(review, [i]) for review in drawn for i in range(len(review.words))]
    logs = log_probs(model, shorter, words)
    falls: list[Floats] = []
    k = 0
    for before in said:
        n = len(drawn[len(falls)].words)
        falls.append(before.max() - logs[k : k + n, before.argmax()])
        k += n
    return falls


def deletion(
    model: Reader, drawn: Sequence[Review], words: Vocabulary, rng: np.random.Generator
) -> dict[str, float]:
    """Delete the words that a saliency ranks highest, and random words, and compare.

    Returns
    -------
    figures
        ``NAME_fall_k``, by how much the log-probability of the class that the network said falls,
        and ``NAME_kept_k``, how often it still says that class, when k words are deleted.
        ``NAME_hit``, how often the highest word is one of those that decide, among the reviews
        that have such words.
    """
    said = log_probs(model, drawn, words)
    size, share = gradients(model, drawn, words)
    rankings = {
        "random": [rng.random(len(review.words)) for review in drawn],
        "size": size,
        "share": share,
        "one_out": one_out(model, drawn, words),
    }
    figures = {}
    for name, values in rankings.items():
        ranked = [
            sorted(candidates(review), key=lambda i: -value[i])
            for review, value in zip(drawn, values, strict=True)
        ]
        hits = [r[0] in review.evidence for review, r in zip(drawn, ranked, strict=True)]
        told = np.array([len(review.evidence) > 0 for review in drawn])
        figures[f"{name}_hit"] = float(np.array(hits)[told].mean())
        for k in (1, 2, 3):
            cut = [without(review, r[:k]) for review, r in zip(drawn, ranked, strict=True)]
            after = log_probs(model, cut, words)
            rows = np.arange(len(drawn))
            fall = said.max(1) - after[rows, said.argmax(1)]
            figures[f"{name}_fall_{k}"] = float(fall.mean())
            figures[f"{name}_kept_{k}"] = float((after.argmax(1) == said.argmax(1)).mean())
    return figures


def run(
    reader: str,
    size: int,
    units: int,
    dropout: float,
    updates: int,
    knob: float,
    *,
    seed: int,
    device: str,
) -> dict[str, float]:
    """Train one reader.

    Returns
    -------
    figures
        ``parameters``; ``train_``, ``valid_`` and ``test_``, each with ``loss`` (nats) and
        ``accuracy``, at the end. For networks the same after ``low_`` (lowest validation loss) and
        ``high_`` (highest validation accuracy), and ``train_loss_k``, ``valid_loss_k`` and
        ``valid_accuracy_k`` after k of 20 equal parts of the updates. For each case the test
        accuracy, of a network at ``high_``. For *max* with 8000 reviews the figures of
        :func:`deletion`.
    """
    train, valid, test = data(seed)
    if reader in ("bag", "bigrams"):
        return _linear(reader, train[:size], valid, test, knob)
    return _network(
        reader, train[:size], valid, test,
        units=units, dropout=dropout, updates=updates, rate=knob, seed=seed, device=device,
    )  # fmt: skip


def counted(reader: str) -> Callable[[Review], list[str]]:
    """Return what a bag counts: words, or words and pairs of neighbors."""

    def pieces(review: Review) -> list[str]:
        pairs = zip(review.words, review.words[1:], strict=False)
        return [*review.words, *(" ".join(pair) for pair in pairs if reader == "bigrams")]

    return pieces


def _linear(
    reader: str, train: list[Review], valid: list[Review], test: list[Review], C: float
) -> dict[str, float]:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    counts = CountVectorizer(analyzer=counted(reader), min_df=2)
    x = counts.fit_transform(train)
    model = LogisticRegression(C=C, max_iter=300, tol=1e-3)
    model.fit(x, [review.label for review in train])
    figures: dict[str, float] = {"parameters": model.coef_.size + model.intercept_.size}
    parts = {"train": train, "valid": valid, "test": test}
    for part, drawn in parts.items():
        logs = model.predict_log_proba(counts.transform(drawn))
        figures[f"{part}_loss"], figures[f"{part}_accuracy"] = scores(logs, drawn)
    return figures | by_case(logs, test)


def _network(
    read: str,
    train: list[Review],
    valid: list[Review],
    test: list[Review],
    *,
    units: int,
    dropout: float,
    updates: int,
    rate: float,
    seed: int,
    device: str,
) -> dict[str, float]:
    words = vocabulary(train)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Reader(len(words), units, read, dropout).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
        figures: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
        best: dict[str, tuple[float, dict[str, Any]]] = {}
        some = train[: HELD_OUT // 2]

        def look(step: int, _: float) -> bool:
            if (step + 1) % (updates // LOOKS):
                return False
            n = (step + 1) * LOOKS // updates
            figures[f"train_loss_{n}"], _ = scores(log_probs(model, some, words), some)
            low, high = scores(log_probs(model, valid, words), valid)
            figures[f"valid_loss_{n}"], figures[f"valid_accuracy_{n}"] = low, high
            for name, value in (("low", -low), ("high", high)):
                if name not in best or value > best[name][0]:
                    best[name] = value, copy.deepcopy(model.state_dict())
                    figures[f"{name}_step"] = step + 1
            return n == LOOKS

        drawn = batches(train, words, np.random.default_rng(seed), device)
        fit(
            model, loss, drawn, optimizer,
            clip_norm=1.0, scheduler=cosine, on_step=look, progress=False,
        )  # fmt: skip
    parts = {"train": train[:2000], "valid": valid, "test": test}
    kept = {"": model.state_dict()} | {f"{name}_": weights for name, (_, weights) in best.items()}
    for name, weights in kept.items():
        model.load_state_dict(weights)
        for part, drawn_of in parts.items():
            logs = log_probs(model, drawn_of, words)
            found = scores(logs, drawn_of)
            figures[f"{name}{part}_loss"], figures[f"{name}{part}_accuracy"] = found
    figures |= by_case(logs, test)
    if read == "max" and len(train) == LARGEST:
        figures |= deletion(model, test[:EXPLAINED], words, np.random.default_rng(seed))
    return figures
