"""How far back a plain recurrent network learns to look, and how that depends on training.

The task is to name the first of ``distance + 1`` random letters after the last one. Guessing is
right in one of eight cases.

What varies
    The distance and the seed, which draws the start of the weights and the games. Each run is
    looked at after 100, 300 and 1000 updates.

What is held equal
    The network of chapter 2 (42 units, orthogonal recurrent weights), batches of 64 games, Adam
    with a learning rate of 0.003, clipping at norm 1, and 4000 fresh games for each test.

How each side is tuned
    There is one side only. The learning rate is that of the chapter, chosen before any of these
    runs, and not tuned for the long distances.

When a run ends
    After 1000 updates. What a run has not learned by then it may learn later.
"""

import numpy as np
import torch
from torch import Tensor, nn

from rnncourse.data.memory import recall_first
from rnncourse.torch import RNN
from rnncourse.training import fit

SETTINGS = [{"distance": distance} for distance in (20, 40, 80)]
SEEDS = range(5)

CHEAP = {"distance": 20}
TOLERANCE = {"accuracy_300": 0.1, "accuracy_1000": 0.02}

LETTERS = 8
UNITS = 42
BATCH = 64
RATE = 0.003
LOOKS = (100, 300, 1000)  # updates
GAMES = 4000

Batch = tuple[Tensor, Tensor]


class Reader(nn.Module):
    """Read letters ``(T, B)``, return the scores of the answer ``(B, 8)``."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = RNN(LETTERS, UNITS), nn.Linear(UNITS, LETTERS)
        nn.init.orthogonal_(dict(self.rnn.named_parameters())["weight_hh_l0"])

    def forward(self, x: Tensor) -> Tensor:
        """Look only at the last state."""
        one_hot = nn.functional.one_hot(x, LETTERS).float()
        scores: Tensor = self.out(self.rnn(one_hot)[0][-1])
        return scores


def run(distance: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one network.

    Returns
    -------
    figures
        ``accuracy_100``, ``accuracy_300``, ``accuracy_1000``: share of right answers on fresh
        games after so many updates.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Reader().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    games = np.random.default_rng(seed)

    def draw(size: int, rng: np.random.Generator) -> Batch:
        x, y = recall_first(distance + 1, size, rng, n_symbols=LETTERS)
        return torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    figures, done = {}, 0
    for look in LOOKS:
        batches = (draw(BATCH, games) for _ in range(look - done))
        fit(model, loss, batches, optimizer, clip_norm=1.0, progress=False)
        done = look
        x, y = draw(GAMES, np.random.default_rng(99))
        with torch.no_grad():
            right = (model(x).argmax(-1) == y).float().mean().item()
        figures[f"accuracy_{look}"] = right
    return figures
