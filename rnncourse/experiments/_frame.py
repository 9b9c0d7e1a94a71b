"""One frame for all networks of a race: blocks that mix between steps, then think at each step.

Only the mixer differs from network to network. Embedding, norms, sums, the part that thinks and
the output are the same. So are the optimizer, the warm-up, the fall of the rate and the clipping.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.torch import GRU, LSTM, MinGRU, MultiHeadAttention
from rnncourse.torch.attention import rotary
from rnncourse.torch.linear_attention import feature_map
from rnncourse.training import DivergenceError, fit

Mixer = Callable[[int], nn.Module]
"""Makes a layer from ``(T, B, E)`` to ``(T, B, E)``, given E; what it returns besides is unused."""

Batch = tuple[Tensor, Tensor]
AnyBatch = TypeVar("AnyBatch")

HEADS = 4
KERNEL = 5  # steps that a convolution sees; the second layer looks at every fifth one
WARM_UP = 100  # updates
CLIP = 1.0


class Attention(nn.Module):
    """Causal self-attention.

    Parameters
    ----------
    embed_dim, num_heads
        Features E and heads N.
    positions
        ``"rotary"`` turns queries and keys; ``"ALiBi"`` lowers the scores in proportion to the
        distance, with a slope for each head (Press et al., 2022); ``"none"`` has the causal mask
        alone.

    Attributes
    ----------
    allowed
        Which distances may be looked at, given the distances ``(T, T)``; None allows all. For
        interventions after training.
    """

    def __init__(self, embed_dim: int, num_heads: int = HEADS, positions: str = "rotary") -> None:
        super().__init__()
        self.heads = MultiHeadAttention(embed_dim, num_heads)
        self.positions = positions
        self.allowed: Callable[[Tensor], Tensor] | None = None

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values ``(B, N, T, E / N)``."""
        x = x.transpose(0, 1)
        q, k, v = self.heads.project(x, x, x)
        if self.positions == "rotary":
            places = torch.arange(x.shape[1], device=x.device)
            q, k = rotary(q, places), rotary(k, places)
        return q, k, v

    def _bias(self, T: int, like: Tensor) -> Tensor:
        """Return what is added to the scores, ``(N, T, T)`` or ``(T, T)``."""
        places = torch.arange(T, device=like.device)
        distance = places[:, None] - places  # how far back
        seen = distance >= 0
        if self.allowed is not None:
            seen = seen & self.allowed(distance)
        bias = torch.zeros(T, T, dtype=like.dtype, device=like.device)
        bias = bias.masked_fill(~seen, -math.inf)
        if self.positions == "ALiBi":
            N = self.heads.num_heads
            slopes = 2.0 ** (-8 * torch.arange(1, N + 1, device=like.device) / N)
            bias = bias - slopes.to(like.dtype)[:, None, None] * distance
        return bias

    def forward(self, x: Tensor) -> Tensor:
        """Attend from each step of ``(T, B, E)`` to itself and earlier ones."""
        q, k, v = self._project(x)
        if self.positions != "ALiBi" and self.allowed is None:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            out = F.scaled_dot_product_attention(q, k, v, self._bias(len(x), x))
        mixed: Tensor = self.heads.out_proj(out.transpose(1, 2).flatten(2))
        return mixed.transpose(0, 1)

    def weights(self, x: Tensor) -> Tensor:
        """Return how much each step looks at each other one, ``(B, N, T, T)``."""
        q, k, _ = self._project(x)
        weights: Tensor = (q @ k.mT / q.shape[-1] ** 0.5 + self._bias(len(x), x)).softmax(-1)
        return weights


class LinearAttention(Attention):
    """The layer of :class:`rnncourse.torch.LinearAttention`, with all its weights written out.

    For short sequences that is faster, and the numbers are the same.
    """

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__(embed_dim, num_heads, "none")

    def forward(self, x: Tensor) -> Tensor:
        """Attend from each step of ``(T, B, E)`` to itself and earlier ones."""
        q, k, v = self._project(x)
        scores = (feature_map(q) @ feature_map(k).mT).tril()
        out = scores @ v / scores.sum(-1, keepdim=True)
        mixed: Tensor = self.heads.out_proj(out.transpose(1, 2).flatten(2))
        return mixed.transpose(0, 1)


class Convolution(nn.Module):
    """Causal convolution: each step sees itself and earlier ones, every ``dilation``-th of them."""

    def __init__(self, embed_dim: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(embed_dim, embed_dim, KERNEL, dilation=dilation)
        self.reach = (KERNEL - 1) * dilation

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``(T, B, E)``."""
        out: Tensor = self.conv(F.pad(x.permute(1, 2, 0), (self.reach, 0)))
        return out.permute(2, 0, 1)


MIXERS: dict[str, Sequence[Mixer]] = {
    "LSTM": [lambda E: LSTM(E, E)] * 2,
    "GRU": [lambda E: GRU(E, E)] * 2,
    "minGRU": [lambda E: MinGRU(E, E)] * 2,
    "transformer": [Attention] * 2,
    "transformer, ALiBi": [lambda E: Attention(E, positions="ALiBi")] * 2,
    "transformer, no positions": [lambda E: Attention(E, positions="none")] * 2,
    "convolution": [lambda E: Convolution(E, 1), lambda E: Convolution(E, KERNEL)],
}


class Block(nn.Module):
    """Mix, then think, each added to what came in; a norm before each."""

    def __init__(self, mixer: Mixer, embed_dim: int) -> None:
        super().__init__()
        E = embed_dim
        self.mix = mixer(E)
        self.think = nn.Sequential(nn.Linear(E, 2 * E), nn.GELU(), nn.Linear(2 * E, E))
        self.norm1, self.norm2 = nn.LayerNorm(E), nn.LayerNorm(E)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block on ``(T, B, E)``."""
        mixed = self.mix(self.norm1(x))
        x = x + (mixed[0] if isinstance(mixed, tuple) else mixed)
        out: Tensor = x + self.think(self.norm2(x))
        return out


class Network(nn.Module):
    """Embedding, one block for each mixer, output.

    Parameters
    ----------
    mixers
        What makes the mixer of each block.
    n_symbols, embed_dim
        Symbols V and features E.
    previous
        Whether each step is also given the symbol before it, by an embedding of its own.
    """

    def __init__(
        self, mixers: Sequence[Mixer], n_symbols: int, embed_dim: int, previous: bool = False
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_symbols, embed_dim)
        self.before = nn.Embedding(n_symbols, embed_dim) if previous else None
        self.blocks = nn.ModuleList(Block(mixer, embed_dim) for mixer in mixers)
        self.norm, self.out = nn.LayerNorm(embed_dim), nn.Linear(embed_dim, n_symbols)

    def forward(self, ids: Tensor) -> Tensor:
        """Score the symbols, ``(T, B)`` to ``(T, B, V)``."""
        x = self.embed(ids)
        if self.before is not None:
            x = torch.cat((x[:1], x[1:] + self.before(ids[:-1])))
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.out(self.norm(x))
        return scores


def linear_attention(heads: int) -> Mixer:
    """Return a mixer whose state has ``E**2 / heads`` numbers, at the same number of weights."""
    return lambda E: LinearAttention(E, heads)


def n_parameters(model: nn.Module) -> int:
    """Return the number of weights."""
    return sum(p.numel() for p in model.parameters())


def build(
    mixers: Sequence[Mixer], n_symbols: int, embed_dim: int, seed: int, previous: bool = False
) -> Network:
    """Return a network whose weights are drawn from a seed; the global generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(mixers, n_symbols, embed_dim, previous)


def width(mixers: Sequence[Mixer], n_symbols: int, budget: int) -> int:
    """Return the width at which the number of weights is closest to a budget."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        attends = any(isinstance(mixer(8), Attention) for mixer in mixers)
        step = 2 * HEADS if attends else 2  # heads of equal, even width
        sizes = {E: n_parameters(Network(mixers, n_symbols, E)) for E in range(8, 264, step)}
    return min(sizes, key=lambda E: abs(sizes[E] - budget))


def arithmetic(model: Network, T: int) -> int:
    """Return the floating-point operations in products for one symbol of a training step.

    A weight of a matrix takes a multiplication and an addition forward, and twice that backward.
    Attention adds the scores and the mean over what is seen, on average ``(T + 1) / 2`` steps.
    What is done element by element (gates, norms, scans) is not counted.
    """
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    forward = sum(2 * p.numel() for p in model.parameters() if p.dim() > 1 and id(p) not in tables)
    attentions = [m for m in model.modules() if isinstance(m, Attention)]
    forward += sum(2 * a.heads.embed_dim * (T + 1) for a in attentions)
    return 3 * forward


def train(
    model: Network,
    loss: Callable[[Network, AnyBatch], Tensor],
    batches: Iterable[AnyBatch],
    updates: int,
    rate: float,
    on_step: Callable[[int], bool | None],
) -> bool:
    """Train with Adam: the rate rises for 100 updates, then falls to zero along a cosine.

    ``on_step`` is called with the number of updates done, and ends training by returning True.
    Returns whether all went well, and False if a loss or gradient was not finite.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * step / updates)) / 2,
    )
    try:
        fit(
            model,
            loss,
            batches,
            optimizer,
            clip_norm=CLIP,
            scheduler=scheduler,
            on_step=lambda step, _: on_step(step + 1),
            progress=False,
        )
    except DivergenceError:
        return False
    return True
