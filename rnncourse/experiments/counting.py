"""Which cells count up and back down, and how far beyond the counts that they have seen.

A sequence goes up ``n`` times, and then down. At each step the network says whether it is still
above zero. After ``n`` steps down it must say no, and never before. It has seen ``n`` from 1 to 12.

What varies
    The network, the learning rate and the seed. ``LSTM 8`` has 8 units. ``tied LSTM 8`` differs
    from it in one factor: its input gate is one minus its forget gate, so that keeping and writing
    share one budget, as in a GRU. ``GRU 16`` has more weights than any other; ``plain 16`` has
    nearly as many as ``LSTM 8``.

What is held equal
    1000 updates with batches of 32 sequences of 36 steps, Adam with a cosine, clipping at norm 1
    and, for the same seed, the sequences. Each cell starts as suits it: orthogonal for the plain
    network, a bias of 1 for the gate that keeps.

How each side is tuned
    Each network has the same four learning rates, and each rate the same five seeds. The rate is
    chosen by ``loss``, the loss for counts from 1 to 12; larger counts have no say.

What this leaves open
    How far a network counts that has seen larger counts, or that was trained for longer.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.torch import GRU, LSTM, RNN
from rnncourse.training import fit

__all__ = ["SEEDS", "SETTINGS", "CountNet", "downs_until_zero", "run", "sequences", "train"]

NETWORKS = ("LSTM 8", "tied LSTM 8", "GRU 8", "GRU 16", "plain 16")
RATES = (0.1, 0.03, 0.3, 0.01)
SETTINGS = [{"network": network, "rate": rate} for rate in RATES for network in NETWORKS]
SEEDS = range(5)

CHEAP = {"network": "LSTM 8", "rate": 0.1}
TOLERANCE = {"parameters": 0, "within": 0.1, "said_24": 3}

MOST = 12  # the largest count in training
UPDATES, BATCH = 1000, 32
ASKED = (12, 24, 48, 96, 192, 384)


class TiedLSTM(nn.Module):
    """An LSTM whose input gate is one minus its forget gate: three blocks of weights, f, g and o.

    Since ``1 - sigmoid(a) = sigmoid(-a)``, it runs an LSTM whose weights for the input gate are
    minus those for the forget gate.
    """

    def __init__(self, I: int, H: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(H)  # as PyTorch draws the weights of its layers
        shapes = {"weight_ih_l0": (3 * H, I), "weight_hh_l0": (3 * H, H)}
        for name, shape in (shapes | {"bias_ih_l0": (3 * H,), "bias_hh_l0": (3 * H,)}).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))
        self.hidden_size = H

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden states ``(T, B, H)``, and the last one ``(1, B, H)``."""
        blocks = [weight.chunk(3) for weight in self.parameters()]
        tied = [torch.cat([-f, f, g, o]) for f, g, o in blocks]  # i, f, g, o
        zero = x.new_zeros(1, x.shape[1], self.hidden_size)
        out, h, _ = torch.lstm(x, (zero, zero), tied, True, 1, 0.0, self.training, False, False)
        return out, h


class CountNet(nn.Module):
    """A recurrent layer that reads ups and downs, and an output above 0 for "above zero"."""

    def __init__(self, network: str) -> None:
        super().__init__()
        cell, _, units = network.rpartition(" ")
        H = int(units)
        kinds: dict[str, Callable[[int, int], nn.Module]]
        kinds = {"plain": RNN, "GRU": GRU, "LSTM": LSTM, "tied LSTM": TiedLSTM}
        self.layer: nn.Module = kinds[cell](2, H)
        self.out = nn.Linear(H, 1)
        weights = dict(self.layer.named_parameters())
        if cell == "plain":
            nn.init.orthogonal_(weights["weight_hh_l0"])
        else:  # f and z are the second block of weights; f is the first of a tied LSTM
            gate = slice(H) if cell == "tied LSTM" else slice(H, 2 * H)
            with torch.no_grad():
                weights["bias_ih_l0"][gate] = 1
                weights["bias_hh_l0"][gate] = 0

    def forward(self, x: Tensor) -> Tensor:
        """Take ``(T, B, 2)`` and return ``(T, B)``."""
        scores: Tensor = self.out(self.layer(x)[0])[:, :, 0]
        return scores


def sequences(n: Tensor, T: int) -> tuple[Tensor, Tensor]:
    """Return ``n`` ups each and then downs, ``(T, B, 2)``, and whether it is above zero then."""
    t = torch.arange(T, device=n.device)[:, None]
    up = t < n
    return torch.stack([up, ~up], dim=2).float(), (t < 2 * n - 1).float()


def build(network: str, seed: int) -> CountNet:
    """Return a network before training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CountNet(network)


def train(network: str, rate: float, seed: int, device: str = "cpu") -> CountNet:
    """Train one network."""
    model, rng = build(network, seed).to(device), np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)

    def loss(model: CountNet, n: Tensor) -> Tensor:
        x, above = sequences(n, 3 * MOST)
        return F.binary_cross_entropy_with_logits(model(x), above)

    counts = (rng.integers(1, MOST + 1, size=BATCH) for _ in range(UPDATES))
    batches = (torch.from_numpy(n).to(device) for n in counts)
    fit(model, loss, batches, optimizer, clip_norm=1.0, scheduler=cosine, progress=False)
    return model


@torch.no_grad()
def downs_until_zero(model: CountNet, n: int) -> float:
    """Return after how many downs the network first says that it is not above zero.

    It reads ``n`` ups and ``2 n`` downs. The answer is 0 if it says so during the ups already, and
    NaN if it never does.
    """
    x, _ = sequences(torch.tensor([n], device=next(model.parameters()).device), 3 * n)
    zero = (model(x)[:, 0] <= 0).nonzero()
    return max(0.0, float(zero[0]) + 1 - n) if len(zero) else math.nan


def run(network: str, rate: float, *, seed: int, device: str) -> dict[str, float]:
    """Train one network, and let it count further than it has seen.

    Returns
    -------
    figures
        ``parameters``; ``loss``, the binary cross-entropy for each count from 1 to 12, in nats;
        ``within``, the share of these counts at which the network says zero at the right step;
        ``said_12`` to ``said_384``, :func:`downs_until_zero` after that many ups.
    """
    model = train(network, rate, seed, device)
    x, above = sequences(torch.arange(1, MOST + 1, device=device), 3 * MOST)
    with torch.no_grad():
        loss = F.binary_cross_entropy_with_logits(model(x), above).item()
    right = [downs_until_zero(model, n) == n for n in range(1, MOST + 1)]
    said = {f"said_{n}": downs_until_zero(model, n) for n in ASKED}
    parameters = sum(p.numel() for p in model.parameters())
    return {"parameters": parameters, "loss": loss, "within": sum(right) / MOST, **said}
