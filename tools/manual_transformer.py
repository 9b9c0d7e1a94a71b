"""Make the weights of chapter 11's transformer that travel with the package.

    python -m tools.manual_transformer            train, and write the file

It takes some three minutes of one core: seed 0. The same versions of Python and PyTorch on the same
kind of processor write the same file. The rate was not searched for. In chapter 12 the best of five
rates for a transformer of 150 thousand weights are 0.016 and 0.032, level with each other; this one
is larger and takes 0.01.
"""

import math
import sys
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.text import Vocabulary, python_manual, split_text
from rnncourse.decoding import generate
from rnncourse.experiments import _text
from rnncourse.torch import Transformer
from rnncourse.training import fit
from rnncourse.weights import MANUAL_TRANSFORMER, save_weights

E, HEADS, LAYERS = 96, 4, 2
WINDOW, BATCH, UPDATES, WARM_UP, RATE, DROPOUT = 256, 16, 700, 100, 0.01, 0.1
LOOKS = (30, 100, 300)  # updates after which it is tested along the way
PROMPT = "The "

Batch = tuple[Tensor, Tensor]


def batches(ids: NDArray[np.int64], updates: int, seed: int) -> Iterator[Batch]:
    """Yield windows of the text and what comes next, ``(T, B)`` each."""
    rng = np.random.default_rng(seed)
    for _ in range(updates):
        starts = rng.integers(len(ids) - WINDOW, size=BATCH)
        windows = torch.from_numpy(ids[starts + np.arange(WINDOW + 1)[:, None]])
        yield windows[:-1], windows[1:]


def loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy in nats per character."""
    x, y = batch
    return F.cross_entropy(model(x)[0].flatten(0, 1), y.flatten())


def look(model: Transformer, symbols: Vocabulary) -> tuple[float, str]:
    """Return the bits per character of the validation text, as in chapter 12, and a sample."""
    valid = symbols.encode(split_text(python_manual())[1])
    bits = _text.bits(lambda x: model(x)[0], valid, "cpu")  # type: ignore[arg-type]
    prompt = torch.from_numpy(symbols.encode(PROMPT))[:, None]
    seed = torch.Generator().manual_seed(0)
    written = generate(model.step, None, prompt, 100, temperature=0.7, generator=seed)
    return bits, PROMPT + symbols.decode(written[:, 0])


def trained(
    updates: int = UPDATES, seed: int = 0
) -> tuple[Transformer, Vocabulary, dict[int, tuple[float, str]]]:
    """Train the network; the rate rises for 100 updates, then falls along a cosine.

    Returns the network, its symbols, and what :func:`look` saw along the way, by updates.
    """
    text = split_text(python_manual())[0]
    symbols = Vocabulary.from_text(text)
    seen = {}
    torch.manual_seed(seed)
    model = Transformer(len(symbols), E, HEADS, LAYERS, dropout=DROPOUT)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda n: min(1, (n + 1) / WARM_UP) * (1 + math.cos(math.pi * n / updates)) / 2,
    )

    def on_step(step: int, _: float) -> None:
        if step + 1 in LOOKS:
            model.eval()
            seen[step + 1] = look(model, symbols)
            model.train()

    seen[0] = look(model.eval(), symbols)
    fit(
        model,
        loss,
        batches(symbols.encode(text), updates, seed),
        optimizer,
        clip_norm=1.0,
        scheduler=scheduler,
        on_step=on_step,
    )
    seen[updates] = look(model.eval(), symbols)
    return model, symbols, seen


def main() -> None:
    """Write the file."""
    torch.set_num_threads(1)
    model, symbols, seen = trained()
    facts = {
        "embed_dim": E,
        "num_heads": HEADS,
        "num_layers": LAYERS,
        "window": WINDOW,
        "seen": seen,
        "symbols": list(symbols.tokens),
        "trained": f"{UPDATES} updates on the training part of Python's manual, seed 0",
        "python": sys.version.split()[0],
    }
    halves = {name: w.half() for name, w in model.state_dict().items()}
    save_weights(MANUAL_TRANSFORMER, halves, facts)


if __name__ == "__main__":
    main()
