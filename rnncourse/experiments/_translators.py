"""What the experiments on translators share: sentences, networks, training."""

import functools

import numpy as np
import torch
from torch import Tensor

from rnncourse.data.translation import Pair, pad_pairs, translation_pairs, vocabularies
from rnncourse.metrics import bleu
from rnncourse.torch.seq2seq import EncoderDecoder
from rnncourse.training import fit

EMBED = 64
LEARNERS = [
    (memory, reads) for memory in ("one vector", "attention") for reads in ("one way", "both ways")
]

UNITS = {"one vector": 192, "attention": 128}
BATCH = 64
LONGEST = 30  # words of a translation
GROUPS = ((5, 8), (9, 12), (13, 16), (17, 20))
TESTED = 200  # sentences of each group


@functools.cache
def sentences() -> tuple[list[Pair], list[Pair], dict[tuple[int, int], list[Pair]]]:
    """Return the pairs to learn from, those to validate with, and those to test with by length."""
    pairs = translation_pairs(21_000, np.random.default_rng(0), lengths=(5, 12))
    known = {pair.english for pair in pairs}
    tests = {}
    for group in GROUPS:
        drawn = translation_pairs(2 * TESTED, np.random.default_rng([1, *group]), lengths=group)
        tests[group] = [pair for pair in drawn if pair.english not in known][:TESTED]
    return pairs[1000:], pairs[:1000], tests


def build(memory: str, reads: str, seed: int) -> EncoderDecoder:
    """Return an untrained translator."""
    english, spanish = vocabularies()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EncoderDecoder(
            len(english),
            len(spanish),
            EMBED,
            UNITS[memory],
            attention="additive" if memory == "attention" else None,
            bidirectional=reads == "both ways",
        )


def loss(model: EncoderDecoder, pairs: list[Pair]) -> Tensor:
    """Return the mean cross-entropy of the Spanish words, the end included."""
    device = model.output.weight.device
    arrays = pad_pairs(pairs, *vocabularies())
    source, source_lengths, target, lengths = (torch.from_numpy(a).to(device) for a in arrays)
    return model.loss(source, source_lengths, target, lengths + 1)  # these lengths leave out <bos>


def train(model: EncoderDecoder, rate: float, updates: int, seed: int) -> None:
    """Train on sentences of 5 to 12 words."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, updates, pct_start=0.1)
    learned, chance = sentences()[0], np.random.default_rng(seed)
    batches = (
        [learned[n] for n in chance.integers(len(learned), size=BATCH)] for _ in range(updates)
    )
    fit(model, loss, batches, optimizer, clip_norm=1.0, scheduler=schedule, progress=False)


def translations(model: EncoderDecoder, pairs: list[Pair]) -> list[str]:
    """Translate by taking the likeliest word each time."""
    english, spanish = vocabularies()
    device = model.output.weight.device
    source, lengths, *_ = pad_pairs(pairs, english, spanish)
    state = model.encode(torch.from_numpy(source).to(device), torch.from_numpy(lengths))
    word = torch.full((len(pairs),), spanish["<bos>"], device=device)
    written, ended = [], torch.zeros(len(pairs), dtype=torch.bool, device=device)  # type: ignore[var-annotated]
    while len(written) < LONGEST and not ended.all():
        scores, state = model.step(word, state)
        word = scores.argmax(-1)
        written.append(word)
        ended |= word == spanish["<eos>"]
    ids = torch.stack(written, 1).cpu().numpy()  # (B, T)
    return [spanish.decode(row, " ").partition("<eos>")[0].strip() for row in ids]


def validate(model: EncoderDecoder) -> float:
    """Return the loss on held-out sentences of 5 to 12 words, in nats per word."""
    model.eval()
    with torch.no_grad():
        return loss(model, sentences()[1]).item()


def judge(model: EncoderDecoder) -> dict[str, float]:
    """Return what the tables of translators hold of a trained one.

    Returns
    -------
    figures
        ``parameters``; ``valid``, loss on held-out sentences of 5 to 12 words, in nats per word;
        ``bleu_5_8``, ``right_5_8`` and so on: BLEU and the share of translations without a fault,
        for sentences of so many English words.
    """
    figures: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    figures["valid"] = validate(model)
    for (low, high), pairs in sentences()[2].items():
        truth = [" ".join(pair.spanish) for pair in pairs]
        with torch.no_grad():
            written = translations(model, pairs)
        figures[f"bleu_{low}_{high}"] = bleu(written, truth)
        figures[f"right_{low}_{high}"] = float(np.mean(np.array(written) == np.array(truth)))
    return figures
