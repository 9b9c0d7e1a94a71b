"""How well small networks summarize real text: docstrings, one package held out.

Each text is a function's or class's name and description, and its summary is the first line of the
docstring. Half of scikit-learn's texts are the test.

What varies
    The network (attention, or attention and a pointer), the number of updates, the seed. The
    training texts: of four other packages; or, as a control, as many texts with the other half of
    scikit-learn among them.

What is held equal
    Sizes, the test, Adam with warm-up and cosine, the learning rate, clipping at norm 1, dropout,
    the length to which texts are cut.

How each side is tuned
    The networks by the number of updates alone: ``valid``, the loss per word on NumPy's texts, says
    whether more would help. The methods without training have two settings each, such as one or
    two sentences.

What this leaves open
    Four thousand pairs are few, and the networks are small. Other versions of the packages have
    slightly different texts; the rows were made with Python 3.11.7, scikit-learn 1.9.1, NumPy
    2.4.6, SciPy 1.17.1, pandas 3.1.1 and Matplotlib 3.11.2.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from rnncourse.data.docstrings import Docstring, docstrings, name_words, sentences, words
from rnncourse.data.text import Vocabulary
from rnncourse.experiments._summaries import (
    Batch,
    Pair,
    Summarizer,
    batch_of,
    build,
    in_words,
    train,
    vocabulary,
)

__all__ = [
    "GLUE",
    "SEEDS",
    "SETTINGS",
    "content",
    "content_score",
    "data",
    "known_words",
    "new_share",
    "pair_of",
    "rouge",
    "run",
    "summaries",
    "train_on_docstrings",
    "without_repeats",
]

SETTINGS = [
    {"network": network, "trained_on": trained_on, "updates": updates}
    for network, trained_on, updates in (
        ("pointer", "other packages", 350),
        ("attention", "other packages", 350),
        ("pointer", "twins too", 350),
        ("pointer", "other packages", 1000),
        ("attention", "other packages", 1000),
    )
]
SEEDS = range(5)

CHEAP = {"network": "pointer", "trained_on": "other packages", "updates": 350}
TOLERANCE = {"valid": 0.3, "rouge1": 4, "swapped_rouge1": 4}

RATE = 0.005
BATCH = 32
DROPOUT = 0.2
CUT = 50  # words of a text that are read, its name included
LONGEST = 16  # words that may be written
AT_LEAST = 4  # times that a known word occurs

GLUE = frozenset(
    """a all an and any are as at be been between by can each for from given has have if in into is
    it its may not of on one or other return returns set so such that the their then these they this
    to two used using was when where which will with""".split()  # noqa: SIM905
)
"""Words that tell little about the subject of a text."""


def pair_of(found: Docstring) -> Pair:
    """Return the words that a network reads, name first, and the words of the summary."""
    text = [*name_words(found.name), "."]
    for sentence in sentences(found.description):
        text += [*words(sentence), "."]
    return text[:CUT], words(found.summary)


@cache
def data(trained_on: str) -> tuple[list[Docstring], list[Docstring], list[Docstring]]:
    """Return the texts for training, validation and test."""
    found = docstrings()
    of = {package: [d for d in found if d.package == package] for package in ("sklearn", "numpy")}
    others = [d for d in found if d.package not in of]
    test, twins = of["sklearn"][::2], of["sklearn"][1::2]
    mixed = [others[i] for i in np.random.default_rng(0).permutation(len(others))]
    learn = {
        "other packages": others,
        "twins too": mixed[: len(others) - len(twins)] + twins,
    }
    return learn[trained_on], of["numpy"], test


@cache
def known_words(trained_on: str) -> Vocabulary:
    """Return the words that occur often enough in the training texts."""
    return vocabulary([pair_of(found) for found in data(trained_on)[0]], AT_LEAST)


def without_repeats(text: Sequence[str]) -> list[str]:
    """Strike out the content words that stood before."""
    return [word for i, word in enumerate(text) if word in GLUE or word not in text[:i]]


def summaries(model: Summarizer, pairs: Sequence[Pair], known: Vocabulary) -> list[list[str]]:
    """Return what the network writes about each text."""
    device = str(model.embed.weight.device)
    written = []
    for start in range(0, len(pairs), 125):
        batch = batch_of(pairs[start : start + 125], known, device)
        written += in_words(model.summarize(batch, LONGEST)[0], batch, known)
    return written


def rouge(written: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return the means of ROUGE-1, ROUGE-2 and ROUGE-L (F1, in percent)."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = [scorer.score(right, text) for right, text in zip(references, written, strict=True)]
    return {name: 100 * float(np.mean([one[name].fmeasure for one in found])) for name in found[0]}


def content(text: Sequence[str]) -> set[str]:
    """Return the different words of a text that are not :data:`GLUE`."""
    return set(text) - GLUE


def content_score(written: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """Return the mean F1 of the content words, in percent."""
    scores = []
    for text, right in zip(written, references, strict=True):
        a, b = content(text), content(right)
        scores.append(2 * len(a & b) / max(1, len(a) + len(b)))
    return 100 * float(np.mean(scores))


def new_share(written: Sequence[Sequence[str]], texts: Sequence[Sequence[str]], n: int) -> float:
    """Return which share of the n-grams of the summaries is not in their texts, in percent."""

    def grams(tokens: Sequence[str]) -> list[tuple[str, ...]]:
        return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]

    new = total = 0
    for summary, text in zip(written, texts, strict=True):
        there = set(grams(text))
        new += sum(gram not in there for gram in grams(summary))
        total += len(grams(summary))
    return 100 * new / max(1, total)


def train_on_docstrings(
    network: str, trained_on: str, updates: int, seed: int, device: str = "cpu"
) -> Summarizer:
    """Train one network."""
    learn = [pair_of(one) for one in data(trained_on)[0]]
    known = known_words(trained_on)

    def draw(rng: np.random.Generator) -> Batch:
        return batch_of([learn[i] for i in rng.integers(len(learn), size=BATCH)], known, device)

    model = build(len(known), network, seed, DROPOUT).to(device)
    train(model, draw, RATE, updates, seed)
    return model.eval()


def run(network: str, trained_on: str, updates: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``parameters``, ``texts`` and ``words``: of the network, for training, and known; ``valid``,
        nats per word; on the test, in percent, ``rouge1``, ``rouge2``, ``rougeL``, the F1 of the
        ``content`` words; ``new_1`` and ``new_2``, the share of words and pairs of words that are
        not in the text; ``repeats``, the share of summaries with a content word twice;
        ``struck_rouge1`` and so on, with the repeated content words struck out; ``swapped_rouge1``
        and ``swapped_content``, when each summary is exchanged for that of another text.
    """
    model = train_on_docstrings(network, trained_on, updates, seed, device)
    known = known_words(trained_on)
    learn, valid, test = data(trained_on)
    figures: dict[str, float] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "texts": len(learn),
        "words": len(known),
    }
    with torch.no_grad():
        numpy_texts = batch_of([pair_of(one) for one in valid], known, device)
        figures["valid"] = model.loss(numpy_texts).item()
    pairs = [pair_of(one) for one in test]
    texts, right = [text for text, _ in pairs], [summary for _, summary in pairs]
    joined = [" ".join(summary) for summary in right]
    written = summaries(model, pairs, known)
    figures |= rouge([" ".join(one) for one in written], joined)
    figures["content"] = content_score(written, right)
    for n in (1, 2):
        figures[f"new_{n}"] = new_share(written, texts, n)
    struck = [without_repeats(one) for one in written]
    figures["repeats"] = 100 * float(
        np.mean([a != b for a, b in zip(written, struck, strict=True)])
    )
    for name, value in rouge([" ".join(one) for one in struck], joined).items():
        figures[f"struck_{name}"] = value
    figures["struck_content"] = content_score(struck, right)
    # The summary of the next text: what is right by habit alone.
    swapped = written[1:] + written[:1]
    figures["swapped_rouge1"] = rouge([" ".join(one) for one in swapped], joined)["rouge1"]
    figures["swapped_content"] = content_score(swapped, right)
    return figures
