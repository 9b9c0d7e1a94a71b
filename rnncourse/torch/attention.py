"""Attention: for each query, a mean of the values, weighted by how well their keys match it.

Shapes follow ``torch.nn.functional.scaled_dot_product_attention``: queries ``(..., L, E)``, keys
``(..., S, E)``, values ``(..., S, V)``. A mask is true where a query may look; it broadcasts to
``(..., L, S)``. What is masked gets a weight of exactly zero and no gradient. A query that may
look nowhere gets zeros. Neither such a query nor a key or value that no query may look at is ever
read, so that even a NaN stays where it is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.checks import check_at_least, check_dtype, check_shape, check_type
from rnncourse.torch.inputs import Lengths, check_input, fits, true_lengths


def dot_product_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Attend with scores ``scale * q @ k.T`` (Vaswani et al., 2017, equation 1).

    Parameters
    ----------
    q, k, v, mask
        ``(..., L, E)``, ``(..., S, E)``, ``(..., S, V)`` and ``(..., L, S)``.
    scale
        ``1 / sqrt(E)`` if left out; 1 is Luong's dot score (Luong et al., 2015).

    Returns
    -------
    out
        ``(..., L, V)``.
    weights
        ``(..., L, S)``; each row sums to 1, or to 0 where a query may look nowhere.

    Raises
    ------
    TypeError, ValueError
        If a shape or a dtype is wrong, or the mask does not broadcast.

    Examples
    --------
    >>> q, k = torch.tensor([[8.0, 0.0]]), torch.tensor([[9.0, 0.0], [0.0, 9.0]])
    >>> dot_product_attention(q, k, v=torch.tensor([[1.0], [2.0]]))[0]
    tensor([[1.]])
    """
    check_queries(q, k, v, mask)
    check_shape("k", k.shape, (*q.shape[:-2], "S", q.shape[-1]))
    q, k, v = _readable(q, k, v, mask)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    weights = _softmax(scale * q @ k.transpose(-1, -2), mask)  # (..., L, S)
    return weights @ v, weights


def additive_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    W_q: Tensor,
    W_k: Tensor,
    w: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attend with scores ``w · tanh(W_q q + W_k k)`` (Bahdanau et al., 2015, appendix A.1.2).

    Parameters
    ----------
    q, k, v, mask
        ``(..., L, E)``, ``(..., S, E)``, ``(..., S, V)`` and ``(..., L, S)``; queries
        and keys may differ in their number of features.
    W_q, W_k, w
        Weights ``(A, E_q)``, ``(A, E_k)`` and ``(A,)``.

    Returns
    -------
    out, weights
        As in :func:`dot_product_attention`.

    Raises
    ------
    TypeError, ValueError
        If a shape or a dtype is wrong, or the mask does not broadcast.
    """
    check_queries(q, k, v, mask)
    for name, value in (("W_q", W_q), ("W_k", W_k), ("w", w)):
        check_type(name, value, Tensor)
    check_shape("w", w.shape, ("A",))
    check_shape("W_q", W_q.shape, (len(w), q.shape[-1]))
    check_shape("W_k", W_k.shape, (len(w), k.shape[-1]))
    for name, value in (("q", q), ("W_k", W_k), ("w", w)):
        if not fits(value, W_q):
            check_dtype(name, value.dtype, W_q.dtype)
    q, k, v = _readable(q, k, v, mask)
    a_q = F.linear(q, W_q)[..., :, None, :]  # (..., L, 1, A)
    a_k = F.linear(k, W_k)[..., None, :, :]  # (..., 1, S, A)
    weights = _softmax(torch.tanh(a_q + a_k) @ w, mask)  # (..., L, S)
    return weights @ v, weights


class AdditiveAttention(nn.Module):
    """:func:`additive_attention` with its weights: call it with ``q, k, v, mask``.

    Parameters
    ----------
    query_size, key_size, hidden_size
        Features of a query and of a key, and how many units A compare them.
    device, dtype
        As for any layer of ``torch.nn``.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        hidden_size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = {"query_size": query_size, "key_size": key_size, "hidden_size": hidden_size}
        for name, size in sizes.items():
            check_at_least(name, size, 1)
        self.W_q = nn.Parameter(torch.empty(hidden_size, query_size, device=device, dtype=dtype))
        self.W_k = nn.Parameter(torch.empty(hidden_size, key_size, device=device, dtype=dtype))
        self.w = nn.Parameter(torch.empty(hidden_size, device=device, dtype=dtype))
        nn.init.xavier_uniform_(self.W_q)
        nn.init.xavier_uniform_(self.W_k)
        nn.init.normal_(self.w, std=hidden_size**-0.5)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return ``out, weights``."""
        return additive_attention(q, k, v, self.W_q, self.W_k, self.w, mask)


class Heads(nn.Module):
    """The projections of several attention heads, each for its own share of the features.

    Parameters, their names and their order are those of ``torch.nn.MultiheadAttention``.

    Parameters
    ----------
    embed_dim, num_heads
        Features E and heads N; N divides E.
    bias
        Whether the projections have biases.
    batch_first
        Take and return ``(B, T, E)`` instead of ``(T, B, E)``.
    device, dtype
        As for any layer of ``torch.nn``.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1 or N does not divide E.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_at_least("embed_dim", embed_dim, 1)
        check_at_least("num_heads", num_heads, 1)
        if embed_dim % num_heads:
            raise ValueError(f"num_heads: expected a divisor of {embed_dim}, got {num_heads}")
        E = embed_dim
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        self.in_proj_weight = nn.Parameter(torch.empty(3 * E, E, device=device, dtype=dtype))
        self.in_proj_bias: nn.Parameter | None = None
        if bias:
            self.in_proj_bias = nn.Parameter(torch.zeros(3 * E, device=device, dtype=dtype))
        self.out_proj = nn.Linear(E, E, bias, device=device, dtype=dtype)
        nn.init.xavier_uniform_(self.in_proj_weight)
        if bias:
            nn.init.zeros_(self.out_proj.bias)

    def project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project each ``(B, T, E)`` and split it into heads, ``(B, N, T, E / N)``."""
        if query is key is value:  # one product instead of three
            parts = list(F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1))
        else:
            ws = self.in_proj_weight.chunk(3)
            bs = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
            parts = [F.linear(x, w, b) for x, w, b in zip((query, key, value), ws, bs, strict=True)]
        N = self.num_heads
        q, k, v = (x.view(*x.shape[:2], N, -1).transpose(1, 2) for x in parts)
        return q, k, v

    def mix(self, out: Tensor) -> Tensor:
        """Concatenate what the heads found, ``(B, N, T, E / N)``, and mix it: ``(B, T, E)``."""
        mixed: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return mixed


class MultiHeadAttention(Heads):
    """Several attention heads, each on its own share of the features.

    Arguments are those of :class:`Heads`. Parameters and the default layout ``(T, B, E)`` are those
    of ``torch.nn.MultiheadAttention``, so a ``state_dict`` moves between the two. Two things
    differ: a mask is true where a query may look, and the weights are returned for each head.

    Examples
    --------
    >>> x = torch.zeros(5, 2, 8)
    >>> out, weights = MultiHeadAttention(8, 4)(x, x, x, causal_mask(5, 5))
    >>> out.shape, weights.shape
    (torch.Size([5, 2, 8]), torch.Size([2, 4, 5, 5]))
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from each query to the keys.

        Parameters
        ----------
        query
            ``(L, B, E)``, or ``(B, L, E)`` with ``batch_first``.
        key, value
            ``(S, B, E)``, or ``(B, S, E)`` with ``batch_first``.
        mask
            True where a query may look; broadcasts to ``(B, L, S)``, the same for all heads.
        need_weights
            Whether to return the weights. Without them PyTorch's own attention runs, which never
            stores them all and so is faster, the more so the longer the sequence.

        Returns
        -------
        out
            Laid out like the query. A query that may look nowhere gets only the output's bias.
        weights
            ``(B, N, L, S)``, or None.

        Raises
        ------
        TypeError, ValueError
            If a shape or a dtype is wrong, or the mask does not broadcast.
        """
        inputs = {"query": query, "key": key, "value": value}
        axes = ("B", "T", self.embed_dim) if self.batch_first else ("T", "B", self.embed_dim)
        for name, x in inputs.items():
            check_input(name, x, axes, self.in_proj_weight)
        if not self.batch_first:
            inputs = {name: x.transpose(0, 1) for name, x in inputs.items()}
        query, key, value = inputs.values()  # (B, L, E), (B, S, E), (B, S, E)
        B, L, E = query.shape
        check_shape("key", key.shape, (B, "S", E))
        check_shape("value", value.shape, key.shape)
        if mask is not None:
            check_mask(mask, (B, L, key.shape[1]))
            query, key, value = _readable(query, key, value, mask)
            mask = mask[:, None] if mask.dim() == 3 else mask  # the same for all heads
        out, weights = self.attend(*self.project(query, key, value), mask, need_weights)
        return out if self.batch_first else out.transpose(0, 1), weights

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend in each head, concatenate the heads and mix them: ``(B, L, E)``."""
        weights: Tensor | None = None
        if need_weights:
            out, weights = dot_product_attention(q, k, v, mask)  # (B, N, L, E / N)
        else:
            out = F.scaled_dot_product_attention(q, k, v, mask)  # (B, N, L, E / N)
        return self.mix(out), weights


def causal_mask(L: int, S: int, device: torch.device | str | None = None) -> Tensor:
    """Let each of the last L of S steps look at itself and at what came before: ``(L, S)``.

    Raises
    ------
    TypeError, ValueError
        If L is not between 1 and S.

    Examples
    --------
    >>> causal_mask(2, 3).int()
    tensor([[1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    check_at_least("L", L, 1)
    check_at_least("S", S, L)
    return torch.ones(L, S, dtype=torch.bool, device=device).tril(S - L)


def length_mask(lengths: Lengths, S: int) -> Tensor:
    """Let every query look at the true steps of each padded sequence: ``(B, 1, S)``.

    The mask is on the device of the lengths; on the CPU where these are a list.

    Where queries are padded as well, as in self-attention, a padded step still looks, and what
    it contains reaches the gradients. With ``mask & mask.mT`` it neither looks nor is looked at,
    and is never read: you need that where padding may be NaN.

    Raises
    ------
    TypeError, ValueError
        If a length is not a whole number from 1 to S.

    Examples
    --------
    >>> length_mask(torch.tensor([3, 1]), 3)[:, 0].int()
    tensor([[1, 1, 1],
            [1, 0, 0]], dtype=torch.int32)
    >>> x = torch.tensor([1.0, 2.0, torch.nan]).view(3, 1, 1).requires_grad_()
    >>> mask = length_mask(torch.tensor([2]), 3)
    >>> out, _ = MultiHeadAttention(1, 1)(x, x, x, mask & mask.mT)
    >>> out[:2].sum().backward()
    >>> x.grad.isfinite().all()
    tensor(True)
    """
    device = lengths.device if isinstance(lengths, Tensor) else torch.device("cpu")
    true = true_lengths(lengths, S).to(device)
    return torch.arange(S, device=device) < true[:, None, None]


def sinusoidal(positions: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return sines and cosines of each position (Vaswani et al., 2017, section 3.5).

    Parameters
    ----------
    positions
        ``(T,)``, in steps.
    size
        Features E, an even number; feature 2i is a sine, 2i + 1 the cosine of the same angle.
    dtype
        Of what is returned.

    Returns
    -------
    encoding
        ``(T, E)``.

    Raises
    ------
    TypeError, ValueError
        If ``positions`` is not a tensor with one axis, ``size`` is not an even number of at least
        2, or ``dtype`` is not floating-point.
    """
    check_type("positions", positions, Tensor)
    check_shape("positions", positions.shape, ("T",))
    _check_floating("dtype", dtype)
    angles = _angles(positions, size, dtype)
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1).to(dtype)


def rotary(x: Tensor, positions: Tensor) -> Tensor:
    """Turn each pair of features by an angle that grows with the position (Su et al., 2021).

    Apply it to queries and keys: of their positions, only the distance then enters their product.

    Parameters
    ----------
    x
        ``(..., T, E)`` with E even.
    positions
        ``(T,)``, in steps.

    Returns
    -------
    turned
        ``(..., T, E)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a tensor or x is not floating-point; if a shape is wrong or E is odd.
    """
    check_type("x", x, Tensor)
    check_type("positions", positions, Tensor)
    check_shape("x", x.shape[-2:], ("T", "E"))
    _check_floating("x", x.dtype)
    check_shape("positions", positions.shape, (x.shape[-2],))
    angles = _angles(positions, x.shape[-1], x.dtype)  # (T, E / 2)
    sin, cos = angles.sin().to(x.dtype), angles.cos().to(x.dtype)
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def _angles(positions: Tensor, E: int, dtype: torch.dtype) -> Tensor:
    check_at_least("size", E, 2)
    if E % 2:
        raise ValueError(f"size: expected an even number of features, got {E}")
    dtype = torch.promote_types(dtype, torch.float32)  # 16 bits cannot count to 4,096
    i = torch.arange(0, E, 2, device=positions.device, dtype=dtype)
    return positions.to(dtype)[:, None] * 10000 ** (-i / E)


def _softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores.softmax(-1)
    # The lowest number rather than -inf: a row of -inf alone would become NaN. The second fill
    # makes such a row zero, and cuts the gradient.
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, lowest).softmax(-1).masked_fill(~mask, 0)


def _readable(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, ...]:
    """Put zeros where a query, key or value takes no part: a NaN there times 0 is a NaN."""
    if mask is None:
        return q, k, v
    looks = mask.any(-1, keepdim=True)  # (..., L, 1)
    seen = mask.any(-2)[..., None]  # (..., S, 1)
    return torch.where(looks, q, 0), torch.where(seen, k, 0), torch.where(seen, v, 0)


def check_queries(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> None:
    """Refuse queries, keys, values and a mask that do not fit together."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        check_type(name, x, Tensor)
    check_shape("q", q.shape[-2:], ("L", "E"))
    _check_floating("q", q.dtype)
    check_shape("k", k.shape, (*q.shape[:-2], "S", "E"))
    check_shape("v", v.shape, (*k.shape[:-1], "V"))
    for name, x in (("k", k), ("v", v)):
        if not fits(x, q):
            raise TypeError(f"{name}: expected dtype {q.dtype} as q has, got {x.dtype}")
    if mask is not None:
        check_mask(mask, (*q.shape[:-1], k.shape[-2]))


def _check_floating(name: str, dtype: torch.dtype) -> None:
    if not dtype.is_floating_point:
        raise TypeError(f"{name}: expected a floating-point dtype, got {dtype}")


def check_mask(mask: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a mask that is not boolean, or does not broadcast to a shape."""
    check_type("mask", mask, Tensor)
    if mask.dtype != torch.bool:
        raise TypeError(f"mask: expected dtype torch.bool, got {mask.dtype}")
    sizes = zip(mask.shape[::-1], shape[::-1], strict=False)
    if not 2 <= mask.dim() <= len(shape) or any(m not in (1, n) for m, n in sizes):
        raise ValueError(
            f"mask: expected a shape that broadcasts to {shape}, got {tuple(mask.shape)}"
        )


__all__ = [
    "AdditiveAttention",
    "Heads",
    "MultiHeadAttention",
    "additive_attention",
    "causal_mask",
    "dot_product_attention",
    "length_mask",
    "rotary",
    "sinusoidal",
]
