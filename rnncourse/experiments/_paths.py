"""Networks that differ in the paths which a gradient can take: over steps, and over layers."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from rnncourse.torch import LSTM, RNN, MultiHeadAttention
from rnncourse.torch.attention import rotary

HEADS = 4
FORGET = 5.0  # the start of an LSTM's forget gate that did best in chapter 6


class Look(nn.Module):
    """Causal self-attention on ``(T, B, E)``, with rotary positions.

    Parameters
    ----------
    embed_dim
        Features E.
    reach
        How many steps back a step may look, beside itself; None for all.
    """

    def __init__(self, embed_dim: int, reach: int | None = None) -> None:
        super().__init__()
        self.heads = MultiHeadAttention(embed_dim, HEADS)
        self.reach = reach

    def forward(self, x: Tensor) -> Tensor:
        """Look back from each step."""
        x = x.transpose(0, 1)
        q, k, v = self.heads.project(x, x, x)
        places = torch.arange(x.shape[1], device=x.device)
        q, k = rotary(q, places), rotary(k, places)
        back = places[:, None] - places
        mask = (back >= 0) & (back <= (len(places) if self.reach is None else self.reach))
        return self.heads.attend(q, k, v, mask, need_weights=False)[0].transpose(0, 1)


class Block(nn.Module):
    """A layer of a transformer, from which the sums and the norms can be taken out."""

    def __init__(self, embed_dim: int, reach: int | None, without: str) -> None:
        super().__init__()
        E = embed_dim
        self.look = Look(E, reach)
        self.think = nn.Sequential(nn.Linear(E, 4 * E), nn.GELU(), nn.Linear(4 * E, E))
        self.adds = without not in ("sums", "both")
        norm = nn.Identity if without in ("norms", "both") else functools.partial(nn.LayerNorm, E)
        self.norm1, self.norm2 = norm(), norm()

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer on ``(T, B, E)``."""
        looked = self.look(self.norm1(x))
        x = x + looked if self.adds else looked
        thought: Tensor = self.think(self.norm2(x))
        return x + thought if self.adds else thought


class Recurrent(nn.Module):
    """A recurrent layer from ``(T, B, E)`` to ``(T, B, H)``.

    Parameters
    ----------
    embed_dim, hidden_size
        Features E and units H.
    kind
        ``"RNN"`` has tanh and an orthogonal start.
    forget
        Start of the bias of an LSTM's forget gate.
    looks
        Whether each step also looks back at the states of earlier steps, once, at the end. The
        states are computed one after the other all the same.
    """

    def __init__(
        self, embed_dim: int, hidden_size: int, kind: str, forget: float = 0, looks: bool = False
    ) -> None:
        super().__init__()
        self.layer: RNN | LSTM
        if kind == "RNN":
            self.layer = RNN(embed_dim, hidden_size)
            nn.init.orthogonal_(dict(self.layer.named_parameters())["weight_hh_l0"])
        else:
            self.layer = LSTM(embed_dim, hidden_size)
            gate = slice(hidden_size, 2 * hidden_size)  # i, f, g, o
            with torch.no_grad():
                dict(self.layer.named_parameters())["bias_ih_l0"][gate] = forget
                dict(self.layer.named_parameters())["bias_hh_l0"][gate] = 0
        self.look = Look(hidden_size) if looks else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the states."""
        h: Tensor = self.layer(x)[0]
        return h if self.look is None else h + self.look(h)


def transformer(
    embed_dim: int, layers: int, reach: int | None = None, without: str = "nothing"
) -> nn.Module:
    """Return the layers of a transformer, ``(T, B, E)`` to ``(T, B, E)``, with a norm at the end.

    ``without`` is ``"nothing"``, ``"sums"`` (the residual connections), ``"norms"``, or ``"both"``.
    """
    blocks = [Block(embed_dim, reach, without) for _ in range(layers)]
    has_norms = without not in ("norms", "both")
    return nn.Sequential(*blocks, nn.LayerNorm(embed_dim) if has_norms else nn.Identity())


def drawn(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """Return a network whose weights are drawn from a seed; the global generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
