"""Chapter 9's translation with a transformer: how it does beside the recurrent translators.

An encoder and a decoder of two layers each, the decoder with cross-attention. They learn from
sentences of 5 to 12 words, and are tested on these lengths and on longer ones. Beside them on the
same plot stand the recurrent translators of :mod:`rnncourse.experiments.look_back`.

What varies
    The year of the design, and the seed, which draws the start of the weights and the batches. In
    2017 the norm stands after each sum (``post``) and sinusoidal positions are added to the
    embeddings (Vaswani et al.). The later design has the norm before each part (``pre``), and
    turns the queries and keys of self-attention (``rotary``). Two things change at once, so the
    table does not say which of them matters.

What is held equal
    The sentences, updates, batches, embeddings of 64 numbers, optimizer, schedule, clipping, greedy
    decoding and test sentences are those of the recurrent translators; the network for each step is
    four times as wide as the embeddings, with a ReLU. Its number of weights is close to theirs.

How each side is tuned
    Each has four learning rates, on a seed of its own, as the recurrent ones had:
    :mod:`rnncourse.experiments.translator_transformer_rates`.

When a run ends
    After 400 updates, a little more than one round through the sentences.
"""

from rnncourse.experiments._translator_transformer import SIDES, build
from rnncourse.experiments._translators import judge, train

RATES = {  # found by translator_transformer_rates
    ("post", "sinusoidal"): 0.008,
    ("pre", "rotary"): 0.008,
}
SETTINGS = [
    *({"norm": norm, "positions": positions, "updates": 400} for norm, positions in SIDES),
    {"norm": "pre", "positions": "rotary", "updates": 60},
]
SEEDS = range(5)

CHEAP = {"norm": "pre", "positions": "rotary", "updates": 60}
TOLERANCE = {"parameters": 0, "valid": 0.1}


def run(norm: str, positions: str, updates: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one translator.

    Returns
    -------
    figures
        Those of :func:`rnncourse.experiments._translators.judge`.
    """
    model = build(norm, positions, seed).to(device)
    train(model, RATES[norm, positions], updates, seed)
    return judge(model)
