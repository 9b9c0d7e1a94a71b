"""The bottleneck between encoder and decoder: its size, the training, and how it is handed over.

A translator has one vector between two recurrent networks. Long sentences come out worse than
short ones. Four causes are possible: the vector is too small, the network has not learned to fill
it, the decoder forgets it while it writes, or it cannot read it.

What varies
    The units of both networks, which are the size of the vector; whether the decoder gets the
    vector once, as its first state, or at every step too; the number of updates; and the seed.

What is held equal
    20 000 sentences of 5 to 12 words from a grammar with 8 words of each kind, batches of 32,
    embeddings of 64 numbers, Adam with the learning rate warmed up over a tenth of the updates and
    brought down by a cosine, clipping at norm 1, greedy decoding. With the vector at every step, a
    decoder has more weights.

How each side is tuned
    Each of the six networks has the same four learning rates, on a seed of its own:
    :mod:`rnncourse.experiments.bottleneck_rates`.

How forgetting is told from not having
    After training with 128 units and 1200 updates, the encoder is frozen. Two new decoders learn to
    read its vectors, for 600 updates and with the learning rates of the search: one gets the
    vector once, one at every step. What the second cannot write is not lost on the way.

When a run ends
    After its updates. 1200 are two rounds through the sentences. With 64 units and the vector once,
    there are also runs of 4800, as a look at what more training does at the same size.
"""

from rnncourse.experiments._bottleneck import (
    HAND_OVERS,
    SIZES,
    Translator,
    build,
    figures_of,
    new_decoder,
    train,
)

RATES = {  # found by bottleneck_rates
    (32, "once"): 0.04,
    (32, "every step"): 0.02,
    (64, "once"): 0.02,
    (64, "every step"): 0.02,
    (128, "once"): 0.02,
    (128, "every step"): 0.02,
}
FRESH = 128, 1200  # units and updates after which fresh decoders learn
SETTINGS = [
    *(
        {"units": units, "context": context, "updates": updates}
        for updates in (300, 1200)
        for units in SIZES
        for context in HAND_OVERS
    ),
    {"units": 64, "context": "once", "updates": 4800},
    {"units": 32, "context": "once", "updates": 60},
]
SEEDS = range(5)

CHEAP = {"units": 32, "context": "once", "updates": 60}
TOLERANCE = {"parameters": 0, "valid": 0.1}


def run(units: int, context: str, updates: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one translator.

    Returns
    -------
    figures
        ``parameters``; ``valid``, loss on held-out sentences of 5 to 12 words, in nats per word;
        for sentences of so many English words ``bleu_5_6`` and so on, ``right_5_6``, the share of
        translations without a fault, and ``word_5_6``, the share of words that are right where the
        decoder reads the true ones before. The same with ``fresh_once_`` and ``fresh_every_step_``
        in front for new decoders on the frozen encoder.
    """
    model = build(units, context, seed).to(device)
    train(model, RATES[units, context], updates, seed)
    figures: dict[str, float] = {"parameters": sum(p.numel() for p in model.parameters())}
    figures |= figures_of(model)
    if (units, updates) == FRESH:
        model.encoder.requires_grad_(requires_grad=False)
        for way in HAND_OVERS:
            fresh = Translator(model.encoder, new_decoder(units, way, 100 + seed)).to(device)
            train(fresh, RATES[units, way], 600, 100 + seed)
            name = f"fresh_{way.replace(' ', '_')}_"
            figures |= {name + key: value for key, value in figures_of(fresh).items()}
    return figures
