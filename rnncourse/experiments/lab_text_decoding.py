"""What the way of drawing does to a text: how surprising it is, how repetitive, how much copied.

Each run continues 16 beginnings of paragraphs of the test text, by 600 characters each, and
measures the continuations. The seed determines the beginnings, the network and the draws.

What varies
    ``writer``: the network with 1024 pieces of ``lab_text_generation``; the same network, trained
    with as many updates on the first tenth of the text; the best n-gram table of the same pieces.
    ``method`` and ``value``: temperature (0 is greedy), top-k or top-p, of which the last two draw
    at temperature 1.

Controls
    ``held-out text`` is the real continuation. ``training text`` are passages of the training text.

The judges
    Two Kneser–Ney 5-grams of characters. The ``judge`` has counted the validation text, which no
    writer has read. The ``insider`` has counted the text on which the writers were trained.

What this leaves open
    No number here says whether a text means anything.
"""

import re
from functools import cache

import numpy as np
import torch
from torch import Tensor

from rnncourse.decoding import generate
from rnncourse.experiments._pieces import (
    PieceLSTM,
    State,
    build,
    byte_pairs,
    encode,
    texts,
    train,
    updates_of,
)
from rnncourse.experiments._pieces import bits as bits_of
from rnncourse.metrics import copied_share, repeated_share
from rnncourse.ngram import NGram

SIZE, UNITS, RATE = 1024, 128, 0.02
N, LENGTH, PROMPT = 16, 600, 16  # texts, characters of each, pieces of each beginning
SPAN = 20  # characters in a row that count as copied

VALUES = {
    "temperature": (0, 0.3, 0.5, 0.7, 1, 1.25, 1.5),
    "top-p": (0.3, 0.6, 0.8, 0.95),
    "top-k": (2, 5, 20, 100),
}
SETTINGS = [
    {"writer": "network", "method": method, "value": value}
    for method, values in VALUES.items()
    for value in values
]
SETTINGS += [
    {"writer": writer, "method": "temperature", "value": value}
    for writer, values in {"network, a tenth": (1,), "table": (0.7, 1)}.items()
    for value in values
]
SETTINGS += [
    {"writer": writer, "method": "none", "value": 0}
    for writer in ("held-out text", "training text")
]
SEEDS = range(5)

CHEAP = {"writer": "held-out text", "method": "none", "value": 0}
TOLERANCE = {"judge": 0.3, "repeated": 0.1, "copied": 0.15}  # the manual differs between versions


def places(text: str, seed: int) -> list[int]:
    """Draw beginnings of paragraphs that have enough text after them."""
    starts = [m.end() for m in re.finditer("\n\n", text) if m.end() < len(text) - LENGTH - 200]
    drawn = np.random.default_rng(seed).choice(len(starts), N, replace=False)
    return [starts[i] for i in sorted(drawn)]


def beginnings(seed: int) -> tuple[list[list[int]], list[str]]:
    """Return the first pieces of drawn paragraphs of the test text, and how these go on."""
    pieces, test = byte_pairs(SIZE), texts()[2]
    prompts, real = [], []
    for at in places(test, seed):
        ids = encode(pieces, test[at : at + 200])[:PROMPT].tolist()
        prompts.append(ids)
        after = at + len(pieces.decode(ids))
        real.append(test[after : after + LENGTH])
    return prompts, real


@cache
def trained(seed: int, share: float) -> PieceLSTM:
    """Train a network on a share of the training text."""
    pieces = byte_pairs(SIZE)
    model = build(pieces.get_vocab_size(), UNITS, seed)
    ids = encode(pieces, texts()[0])
    train(model, ids[: int(share * len(ids))], RATE, updates_of(model))
    return model.eval()


def network_writes(
    model: PieceLSTM,
    prompts: list[list[int]],
    seed: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> list[str]:
    """Continue each prompt by pieces until there are enough characters."""

    def step(ids: Tensor, state: State | None) -> tuple[Tensor, State | None]:
        scores, state = model(ids[None], state)  # (1, B, V)
        scores[..., 0] = -torch.inf  # never <unk>
        return scores[0], state

    drawn = generate(
        step,
        None,
        torch.tensor(prompts).T,  # (T, B)
        LENGTH,  # no piece is empty
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        generator=torch.Generator().manual_seed(seed),
    )
    return [text[:LENGTH] for text in byte_pairs(SIZE).decode_batch(drawn.T.tolist())]


@cache
def table() -> NGram:
    """Count the n-grams of pieces of the training text."""
    pieces = byte_pairs(SIZE)
    model = NGram(5, pieces.get_vocab_size(), smoothing="Kneser–Ney")
    return model.fit(encode(pieces, texts()[0]))


def table_writes(prompts: list[list[int]], seed: int, temperature: float) -> list[str]:
    """Continue each prompt by pieces that the n-gram table draws."""
    pieces, rng = byte_pairs(SIZE), np.random.default_rng(seed)
    written = []
    for prompt in prompts:
        ids, text = list(prompt), ""
        while len(text) < LENGTH:
            p = table().probs(ids[-4:]) ** (1 / temperature)
            p[0] = 0  # never <unk>
            ids.append(int(rng.choice(len(p), p=p / p.sum())))
            text += pieces.decode(ids[-1:])
        written.append(text[:LENGTH])
    return written


@cache
def judge(part: int) -> NGram:
    """Count the characters of the training text, 0, or of the validation text, 1."""
    model = NGram(5, byte_pairs(104).get_vocab_size(), smoothing="Kneser–Ney")
    return model.fit(encode(byte_pairs(104), texts()[part]))


@cache
def known_words() -> set[str]:
    """Return the words of the training text."""
    return set(re.findall(r"[a-z]{3,}", texts()[0].lower()))


def unmatched(text: str) -> int:
    """Count the brackets that have no partner."""
    waiting: list[str] = []
    lonely = 0
    for sign in text:
        if sign in "([{":
            waiting.append(sign)
        elif sign in ")]}":
            if waiting and waiting[-1] + sign in ("()", "[]", "{}"):
                waiting.pop()
            else:
                lonely += 1
    return lonely + len(waiting)


def plain(text: str) -> str:
    """Replace layout, such as rules, borders of tables and indentation, by one space."""
    return re.sub(r"[-+|=*~^\s]{2,}", " ", text)


def tokens(text: str) -> list[str]:
    """Return the words and signs of a text without its layout."""
    return re.findall(r"\w+|[^\w\s]", plain(text))


def measure(written: list[str]) -> dict[str, float]:
    """Return the figures of some texts; see :func:`run`."""
    ids = [encode(byte_pairs(104), text) for text in written]
    split = [tokens(text) for text in written]
    words = re.findall(r"[a-z]{3,}", "\n".join(written).lower())
    return {
        "judge": float(np.mean([judge(1).bits_per_character(text) for text in ids])),
        "insider": float(np.mean([judge(0).bits_per_character(text) for text in ids])),
        "repeated": float(np.mean([repeated_share(t, 4) if len(t) > 3 else 1 for t in split])),
        "loops": float(np.mean([text[-50:] in text[:-1] for text in written])),
        # Across the border of two texts nothing counts as copied, in all writers alike.
        "copied": copied_share("\0".join(map(plain, written)), plain(texts()[0]), SPAN),
        "unmatched": sum(map(unmatched, written)) / sum(map(len, written)) * 1000,
        "new_words": float(np.mean([word not in known_words() for word in words])),
    }


def run(writer: str, method: str, value: float, *, seed: int, device: str) -> dict[str, float]:
    """Have texts written and measure them.

    Returns
    -------
    figures
        ``judge`` and ``insider``, the bits per character that they need; ``repeated``, the share of
        4-grams of words and signs that came earlier in the same text; ``loops``, the share of texts
        whose last 50 characters came earlier; ``copied``, the share of spans of 20 characters that
        are in the training text (of both without layout, as by :func:`plain`); ``unmatched``,
        brackets without a partner per 1000 characters; ``new_words``, the share of words that the
        training text lacks. Of networks at temperature 1 also ``test`` and ``train``: bits per
        character of the test text, and of the first tenth of the training text.
    """
    prompts, real = beginnings(seed)
    if writer == "held-out text":
        return measure(real)
    learned = texts()[0]
    if writer == "training text":
        return measure([learned[at : at + LENGTH] for at in places(learned, seed)])
    if writer == "table":
        return measure(table_writes(prompts, seed, value))
    model = trained(seed, 0.1 if writer == "network, a tenth" else 1.0)
    if method == "temperature":
        figures = measure(network_writes(model, prompts, seed, temperature=value))
    elif method == "top-p":
        figures = measure(network_writes(model, prompts, seed, top_p=value))
    else:
        figures = measure(network_writes(model, prompts, seed, top_k=int(value)))
    if method == "temperature" and value == 1:
        figures["test"] = bits_of(model, byte_pairs(SIZE), texts()[2])
        figures["train"] = bits_of(model, byte_pairs(SIZE), learned[: len(learned) // 10])
    return figures
