"""A small decoder-only transformer: it reads symbols and scores the next one."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.checks import check_at_least, check_choice, check_shape, check_type
from rnncourse.torch.attention import MultiHeadAttention, causal_mask, rotary, sinusoidal
from rnncourse.torch.private import watched

POSITIONS = ("rotary", "sinusoidal", "none")

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values of the steps so far, two tensors ``(B, N, T, E / N)`` per layer."""


class Block(nn.Module):
    """One layer: attention, then a network for each step, each added to its input.

    The norm comes before each part (Xiong et al., 2020), so that the residual stream from the first
    layer to the last has none. Parameters have the names of ``torch.nn.TransformerEncoderLayer``.

    Parameters
    ----------
    embed_dim, num_heads, hidden_size
        Features E, heads N, and units of the network for each step.
    dropout
        Probability that a feature of each part's output is dropped in training.
    device, dtype
        As for any layer of ``torch.nn``.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        hidden_size: int,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        E = embed_dim
        self.self_attn = MultiHeadAttention(E, num_heads, device=device, dtype=dtype)
        self.linear1 = nn.Linear(E, hidden_size, device=device, dtype=dtype)
        self.linear2 = nn.Linear(hidden_size, E, device=device, dtype=dtype)
        self.norm1 = nn.LayerNorm(E, device=device, dtype=dtype)
        self.norm2 = nn.LayerNorm(E, device=device, dtype=dtype)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        positions: Tensor | None = None,
        past: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run the layer on new steps.

        Parameters
        ----------
        x
            ``(B, T, E)``.
        positions
            Positions of the steps, ``(T,)``, by which queries and keys turn; None turns nothing.
        past
            Keys and values of earlier steps, ``(B, N, T_past, E / N)``.

        Returns
        -------
        x
            ``(B, T, E)``.
        past
            Keys and values with those of the new steps, ``(B, N, T_past + T, E / N)``.
        """
        normed = self.norm1(x)
        q, k, v = self.self_attn.project(normed, normed, normed)  # (B, N, T, E / N)
        if positions is not None:
            q, k = rotary(q, positions), rotary(k, positions)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        mask = causal_mask(q.shape[2], k.shape[2], x.device)  # (T, T_past + T)
        mixed, _ = self.self_attn.attend(q, k, v, mask, need_weights=False)  # (B, T, E)
        x = x + self.dropout(mixed)
        x = x + self.dropout(self.linear2(F.gelu(self.linear1(self.norm2(x)))))
        return x, (k, v)


class Transformer(nn.Module):
    """A language model of transformer layers (Vaswani et al., 2017; Radford et al., 2018).

    A step sees only itself and earlier steps. So padding at a sequence's end never reaches its true
    steps, and needs no mask of its own: leave it out of the loss.

    Parameters
    ----------
    vocab_size
        Number of symbols V.
    embed_dim, num_heads, num_layers
        Features E, heads N and layers.
    hidden_size
        Units of the network for each step, ``4 * embed_dim`` if left out.
    positions
        ``"rotary"``, ``"sinusoidal"``, or ``"none"``, where the causal mask alone gives the order.
    dropout
        Probability that a feature is dropped in training.
    device, dtype
        As for any layer of ``torch.nn``.

    Raises
    ------
    TypeError, ValueError
        If an argument is unknown or out of range.

    Examples
    --------
    Read four steps at once, then one more with what was kept of them:

    >>> model = Transformer(vocab_size=10, embed_dim=8, num_heads=2, num_layers=2)
    >>> logits, cache = model(torch.zeros(4, 3, dtype=torch.long))
    >>> logits.shape
    torch.Size([4, 3, 10])
    >>> logits, cache = model.step(torch.zeros(3, dtype=torch.long), cache)
    >>> logits.shape, cache[0][0].shape
    (torch.Size([3, 10]), torch.Size([3, 2, 5, 4]))
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        num_heads: int,
        num_layers: int,
        hidden_size: int | None = None,
        positions: str = "rotary",
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        hidden_size = 4 * embed_dim if hidden_size is None else hidden_size
        sizes = {"vocab_size": vocab_size, "embed_dim": embed_dim, "num_heads": num_heads}
        sizes |= {"num_layers": num_layers, "hidden_size": hidden_size}
        for name, size in sizes.items():
            check_at_least(name, size, 1)
        check_choice("positions", positions, POSITIONS)
        self.positions, self.num_heads = positions, num_heads
        self.embedding = nn.Embedding(vocab_size, embed_dim, device=device, dtype=dtype)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            Block(embed_dim, num_heads, hidden_size, dropout, device, dtype)
            for _ in range(num_layers)
        )
        turned = {"rotary": embed_dim // num_heads, "sinusoidal": embed_dim, "none": 0}[positions]
        if turned % 2:
            raise ValueError(
                f"positions: expected 'none' with an odd number of features ({turned}), "
                f"got {positions!r}"
            )
        self.norm = nn.LayerNorm(embed_dim, device=device, dtype=dtype)
        self.output = nn.Linear(embed_dim, vocab_size, device=device, dtype=dtype)

    def forward(self, ids: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Score the symbol after each step.

        Parameters
        ----------
        ids
            New symbols, whole numbers ``(T, B)``.
        cache
            What an earlier call returned, to continue from there; None starts afresh.

        Returns
        -------
        logits
            ``(T, B, V)``.
        cache
            Keys and values of all steps so far, for the next call.

        Raises
        ------
        TypeError, ValueError
            If ``ids`` has the wrong shape or is not whole numbers from 0 to V - 1, or the cache is
            from a different model or batch.
        """
        check_ids("ids", ids, ("T", "B"), self.embedding.num_embeddings)
        T, B = ids.shape
        if cache is not None:
            D = self.embedding.embedding_dim // self.num_heads
            if len(cache) != len(self.layers):
                raise ValueError(f"cache: expected {len(self.layers)} layers, got {len(cache)}")
            for i, (k, _) in enumerate(cache):
                check_shape(f"cache[{i}]", k.shape, (B, self.num_heads, "T", D))
        start = cache[0][0].shape[2] if cache else 0
        positions = torch.arange(start, start + T, device=ids.device)
        x = self.embedding(ids.t())  # (B, T, E)
        if self.positions == "sinusoidal":
            x = x + sinusoidal(positions, x.shape[-1], x.dtype)
        x = self.dropout(x)
        kept = []
        for i, layer in enumerate(self.layers):
            past = cache[i] if cache else None
            x, past = layer(x, positions if self.positions == "rotary" else None, past)
            kept.append(past)
        return self.output(self.norm(x)).transpose(0, 1), kept

    def step(self, ids: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Read a symbol per sequence, ``(B,)``; return the next one's scores ``(B, V)`` and cache.

        This is the step that :func:`rnncourse.decoding.generate` takes, and
        :func:`rnncourse.decoding.beam_search` with ``batch_axis=0``; the first state is None.
        """
        check_type("ids", ids, Tensor)
        check_shape("ids", ids.shape, ("B",))
        logits, cache = self(ids[None], cache)
        return logits[0], cache


def check_ids(name: str, ids: Tensor, shape: tuple[int | str, ...], size: int) -> None:
    """Check that symbols have a shape and are whole numbers from 0 to ``size - 1``.

    Their values are checked only on the CPU. Elsewhere a look at them would wait for the device at
    each step, and the embedding itself refuses what it does not know.

    Raises
    ------
    TypeError
        If they are not a tensor or not whole numbers.
    ValueError
        If the shape is wrong or one is not in the vocabulary.
    """
    check_type(name, ids, Tensor)
    check_shape(name, ids.shape, shape)
    if ids.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{name}: expected int64 or int32 symbols, got dtype {ids.dtype}")
    if ids.device.type == "cpu" and not watched(ids):
        least, most = (v.item() for v in ids.aminmax())
        if not 0 <= least <= most < size:
            span = f"{least} to {most}"
            raise ValueError(f"{name}: expected numbers from 0 to {size - 1}, got {span}")


__all__ = ["Block", "Cache", "Transformer", "check_ids"]
