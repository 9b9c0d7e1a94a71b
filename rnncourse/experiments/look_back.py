"""Reading both ways, or looking back: what lets a translator hold its level on long sentences.

Four translators from English to Spanish. Two hand the decoder one vector, two let it look back at
all states of the encoder. Of each pair, one reads in one direction and one in both. All learn from
sentences of 5 to 12 words, and are tested on these lengths and on longer ones.

What varies
    Attention, the direction of the encoder, and the seed, which draws the start of the weights and
    the batches.

What is held equal
    The 20 000 sentences, 400 updates with 64 sentences each, embeddings of 64 numbers, Adam with
    the learning rate warmed up over a tenth of the updates and brought down by a cosine, clipping
    at norm 1, greedy decoding. A translator without attention has 192 units and one with attention
    128, so the first has more weights.

How each side is tuned
    Each of the four has the same four learning rates, on a seed of its own:
    :mod:`rnncourse.experiments.look_back_rates`.

When a run ends
    After 400 updates, a little more than one round through the sentences.
"""

from rnncourse.experiments._translators import build, judge, train

RATES = {  # found by look_back_rates
    ("one vector", "one way"): 0.01,
    ("one vector", "both ways"): 0.02,
    ("attention", "one way"): 0.01,
    ("attention", "both ways"): 0.01,
}
SETTINGS = [
    *({"memory": memory, "reads": reads, "updates": 400} for memory, reads in RATES),
    {"memory": "attention", "reads": "both ways", "updates": 60},
]
SEEDS = range(5)

CHEAP = {"memory": "attention", "reads": "both ways", "updates": 60}
TOLERANCE = {"parameters": 0, "valid": 0.1}


def run(memory: str, reads: str, updates: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one translator.

    Returns
    -------
    figures
        Those of :func:`rnncourse.experiments._translators.judge`.
    """
    model = build(memory, reads, seed).to(device)
    train(model, RATES[memory, reads], updates, seed)
    return judge(model)
