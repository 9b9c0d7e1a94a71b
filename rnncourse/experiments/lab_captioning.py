"""How often a small network describes a picture truly, also one with new combinations.

A picture shows two things out of 24 kinds, in one of four relations, and has two true captions.

What varies
    The model: an eye (a convolutional network) and a GRU that writes, with *attention* over the 49
    places of the eye, or with *one vector* made of all places by a linear map; *parts*, the same
    eye with a classifier for each part of the caption, which has the grammar built in; the caption
    of the *nearest* picture of training; the most *frequent* caption. Whether training withholds
    something: three *looks* (a color with a shape) and a fifth of the pairs of kinds, or nothing.
    The seed, which also draws what is withheld.

What is held equal
    3000 pictures of training with one caption each, batches of 32, Adam, warm-up and cosine, and
    clipping at norm 1. The 300 pictures of each test.

How each side is tuned
    Each network has the best of four learning rates, chosen with another seed and by pictures for
    validation: the experiment ``lab_captioning_rates``.

When a run ends
    After 3000 updates, those of *parts* after 1000. Figures are also taken after one and two
    thirds of them; the learning rate is then not yet low.

What this leaves open
    Larger networks, other eyes and longer training.
"""

from collections import Counter

from rnncourse.experiments._captions import (
    TESTED,
    TESTS,
    UPDATES,
    Captioner,
    Network,
    caption_with,
    judge,
    learned,
    nearest,
    shown,
    split_of,
    swap_test,
    train,
)

__all__ = ["CHEAP", "RATES", "SEEDS", "SETTINGS", "run"]

RATES = {"attention": 0.005, "one vector": 0.005, "parts": 0.002}
SETTINGS = [
    {"model": model, "withheld": "looks and pairs"} for model in (*RATES, "nearest", "frequent")
]
SETTINGS += [{"model": model, "withheld": "nothing"} for model in ("attention", "parts")]
SEEDS = range(5)

CHEAP = {"model": "parts", "withheld": "looks and pairs"}
TOLERANCE = {"parameters": 0, "true_known": 3, "bleu_2_known": 3}


def run(model: str, withheld: str, *, seed: int, device: str) -> dict[str, float]:
    """Judge one model.

    Returns
    -------
    figures
        ``parameters``, and for each test *known*, *pair* and *look*: ``exact_known``, the
        percentage of captions that are the one which was drawn; ``true_known``, of true ones;
        ``bleu_1_known`` and ``bleu_2_known``, with one and with both true captions as references.
        Of networks also ``true_known_1`` and ``true_known_2``, after one and two thirds of the
        updates; of those that write, ``own_known`` and ``false_known``: how often they name a shape
        rightly after they have read its own color, and a false one.
    """
    figures: dict[str, float] = {"parameters": 0}
    tests = {test: shown(seed, test) for test in TESTS}
    learn = learned(seed, withheld)
    if model in ("nearest", "frequent"):
        common = Counter(learn.texts).most_common(1)[0][0]
        said = {
            test: nearest(learn, part.images) if model == "nearest" else [common] * TESTED
            for test, part in tests.items()
        }
    else:
        third = UPDATES[model] // 3

        def look(net: Network, step: int) -> None:
            if step in (third, 2 * third):
                for test, part in tests.items():
                    true = judge(caption_with(net, part.images), part)["true"]
                    figures[f"true_{test}_{step // third}"] = true

        net = train(model, learn, RATES[model], seed, UPDATES[model], device, look)
        if net is None:
            return {}
        figures["parameters"] = sum(p.numel() for p in net.parameters())
        said = {test: caption_with(net, part.images) for test, part in tests.items()}
        if isinstance(net, Captioner):
            for test, part in tests.items():
                swapped = swap_test(net, part, split_of(seed))
                figures |= {f"{name}_{test}": value for name, value in swapped.items()}
    for test, texts in said.items():
        found = judge(texts, tests[test])
        figures |= {f"{name}_{test}": value for name, value in found.items()}
    return figures
