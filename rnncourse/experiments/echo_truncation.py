"""What truncation lets a network learn, and what memory it has without learning any.

The task is an echo: say which of four symbols came six steps ago. Guessing gives 0.25.

What varies
    The truncation length ``k``; the start of the recurrent weights, PyTorch's or orthogonal;
    whether the recurrent layer is trained, or frozen at its start so that the output layer alone
    learns; the seed. A frozen layer is the control: what it gets right is memory that no gradient
    has taught. Where nothing recurrent is trained, ``k`` only sets how the data
    are cut, so two lengths are enough there.

What is held equal
    The 48 units, 400 updates on 640 places each, Adam, clipping at norm 1 and, for the same seed
    and ``k``, the data. The state is always carried across the cuts.

How each side is tuned
    There is one learning rate for all, 0.003.

When a run ends
    After 400 updates. A trained layer that still guesses below ``k = 7`` gets no gradient from the
    symbol that it has to keep, so there more updates have nothing to work with.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.memory import delayed_echo
from rnncourse.torch import RNN

SETTINGS = [
    {"start": start, "layer": layer, "k": k}
    for start in ("PyTorch", "orthogonal")
    for layer, lengths in (("trained", (1, 2, 4, 6, 7, 12, 20)), ("frozen", (1, 7)))
    for k in lengths
]
SEEDS = range(5)

CHEAP = {"start": "PyTorch", "layer": "trained", "k": 7}
TOLERANCE = {"accuracy": 0.08}

DELAY, UNITS, SYMBOLS = 6, 48, 4
UPDATES, PLACES, RATE = 400, 640, 0.003


def draw(T: int, B: int, seed: int, device: str) -> tuple[Tensor, Tensor]:
    """Return T steps of the task: symbols as vectors ``(T, B, 4)``, echoes ``(T, B)``."""
    rng = np.random.default_rng(seed)
    symbols, echo, _ = delayed_echo(T + DELAY, B, DELAY, rng, n_symbols=SYMBOLS)
    x = F.one_hot(torch.from_numpy(symbols[DELAY:]), SYMBOLS).float()
    return x.to(device), torch.from_numpy(echo[DELAY:]).to(device)


def run(start: str, layer: str, k: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one network; the figure is ``accuracy``, on fresh data."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rnn, out = RNN(SYMBOLS, UNITS).to(device), nn.Linear(UNITS, SYMBOLS).to(device)
        if start == "orthogonal":
            nn.init.orthogonal_(rnn.get_parameter("weight_hh_l0"))
    rnn.requires_grad_(layer == "trained")
    trained = [p for p in [*rnn.parameters(), *out.parameters()] if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=RATE)
    x, y = draw(UPDATES * k, PLACES // k, seed, device)
    state = None
    for s in range(0, len(x), k):
        h, state = rnn(x[s : s + k], state)
        state = state.detach()
        loss = F.cross_entropy(out(h).flatten(0, 1), y[s : s + k].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    x, y = draw(200, 32, seed + 1000, device)
    with torch.no_grad():
        right = out(rnn(x)[0]).argmax(-1) == y
    return {"accuracy": right[DELAY:].double().mean().item()}
