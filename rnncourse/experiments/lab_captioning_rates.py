"""Which learning rate is the best for each network of the lab on captions.

What varies
    The network, *attention*, *one vector* or *parts* (see ``lab_captioning``), and the learning
    rate, four for each.

What is held equal
    All else, as in ``lab_captioning``. The seed is not one of those, so that no test is chosen for.

When a run ends
    After 3000 updates, those of *parts* after 1000.

What this leaves open
    Rates between these four; other schedules.
"""

from rnncourse.experiments._captions import (
    UPDATES,
    Network,
    caption_with,
    judge,
    learned,
    train,
    validation,
)

__all__ = ["CHEAP", "SEEDS", "SETTINGS", "run"]

RATES = (0.001, 0.002, 0.005, 0.01)
SETTINGS = [
    {"model": model, "rate": rate}
    for model in ("attention", "one vector", "parts")
    for rate in RATES
]
SEEDS = range(100, 101)

CHEAP = {"model": "parts", "rate": 0.002}
TOLERANCE = {"true_3": 3}


def run(model: str, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``true_1``, ``true_2`` and ``true_3``: the percentage of true captions of 300 pictures for
        validation, after one, two and three thirds of the updates.
    """
    figures: dict[str, float] = {}
    valid, third = validation(seed), UPDATES[model] // 3

    def look(net: Network, step: int) -> None:
        if step % third == 0:
            figures[f"true_{step // third}"] = judge(caption_with(net, valid.images), valid)["true"]

    net = train(model, learned(seed), rate, seed, UPDATES[model], device, look)
    return {} if net is None else figures
