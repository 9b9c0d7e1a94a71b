"""Linear attention: without its softmax, attention is a recurrence (Katharopoulos et al., 2020).

A key gets the weight ``phi(q) · phi(k)`` with positive features phi, in place of ``exp(q · k)``. So
the sum over the past can be taken before the query is known, and two sums are all the memory::

    S[t] = S[t - 1] + phi(k[t]) v[t].T    the values, by the features of their keys, (..., E, V)
    z[t] = z[t - 1] + phi(k[t])           the features alone, (..., E)
    out[t] = phi(q[t]) S[t] / (phi(q[t]) · z[t])

That is the recurrent form; the parallel form takes the sums in another order. A step sees only
itself and earlier steps. Queries and keys are ``(..., T, E)``, values ``(..., T, V)``.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncourse.checks import check_at_least, check_shape, check_type
from rnncourse.torch.attention import Heads, check_mask, check_queries
from rnncourse.torch.inputs import check_input, fits

State = tuple[Tensor, Tensor]
"""The sums S ``(..., E, V)`` and z ``(..., E)``."""


def feature_map(x: Tensor) -> Tensor:
    """Return ``elu(x) + 1``: ``x + 1`` above zero, ``exp(x)`` below (equation 7)."""
    # Not F.elu(x) + 1, which rounds to zero below -17 in float32. Nor clamp in place of
    # masked_fill: versions of PyTorch differ in its gradient at zero, where queries often are.
    return torch.where(x > 0, x + 1, x.masked_fill(x > 0, 0).exp())


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: State | None = None,
    mask: Tensor | None = None,
    chunk: int = 64,
) -> tuple[Tensor, State]:
    """Attend at all steps at once, in chunks: the parallel form.

    In a chunk each query meets each key; what came before is in the sums. That takes about
    ``T * (chunk * (E + V) + 2 * E * V)`` multiplications and stores ``T * (chunk + E * V / chunk)``
    numbers. ``chunk=T`` is the whole ``(T, T)`` matrix, ``chunk=1`` a running sum over the steps.
    In float32 the error is below 1e-6 of the largest output up to T = 16,384, at any size of the
    queries. Keys whose entries all lie below about -87 lose digits, those below -104 count as
    zero, and sums of the keys' features overflow above 3e38.

    Parameters
    ----------
    q, k, v
        ``(..., T, E)``, ``(..., T, E)`` and ``(..., T, V)``.
    state
        Sums over earlier steps, from an earlier call; zeros if left out.
    mask
        True where a step is real; broadcasts to ``(..., 1, T)``. A masked step neither looks nor
        is looked at, and is never read: it gets zeros.
    chunk
        How many steps a chunk has.

    Returns
    -------
    out, state
        ``(..., T, V)``, and the sums over all steps so far.

    Raises
    ------
    TypeError, ValueError
        If a shape or a dtype is wrong, the mask does not broadcast, or ``chunk`` is not a whole
        number of at least 1.

    Examples
    --------
    Queries have the feature 3, keys 3 and 1: the second query gives the first key the weight 9,
    its own 3.

    >>> q, k = torch.tensor([[2.0], [2.0]]), torch.tensor([[2.0], [0.0]])
    >>> linear_attention(q, k, v=torch.tensor([[1.0], [2.0]]))[0]
    tensor([[1.0000],
            [1.2500]])
    """
    check_at_least("chunk", chunk, 1)
    q, k, v, S = _prepare(q, k, v, state, mask)
    T = q.shape[-2]
    C = min(chunk, T)
    n = -(-T // C)  # rounded up
    cut = (F.pad(x, (0, 0, 0, n * C - T)) for x in (q, k, v))
    q, k, v = (x.view(*x.shape[:-2], n, C, -1) for x in cut)  # (..., n, C, features)
    sums = torch.cat((S[..., None, :, :], k.mT @ v), -3).cumsum(-3)  # (..., n + 1, E, V + 1)
    out = (q @ k.mT).tril() @ v + q @ sums[..., :-1, :, :]
    S = sums[..., -1, :, :]
    return _divide(out.flatten(-3, -2)[..., :T, :]), (S[..., :-1], S[..., -1])


def linear_attention_step(
    q: Tensor, k: Tensor, v: Tensor, state: State | None = None
) -> tuple[Tensor, State]:
    """Take one step of the recurrent form: ``(..., E)`` twice and ``(..., V)`` to ``(..., V)``.

    State and errors are those of :func:`linear_attention`.
    """
    q, k, v, S = _prepare(q[..., None, :], k[..., None, :], v[..., None, :], state)
    S = S + k.mT @ v
    return _divide(q @ S)[..., 0, :], (S[..., :-1], S[..., -1])


class LinearAttention(Heads):
    """Multi-head linear attention of a sequence to its own past.

    Arguments are those of :class:`~rnncourse.torch.attention.Heads`, and parameters those of
    :class:`MultiHeadAttention`, so a ``state_dict`` moves between the two.

    Examples
    --------
    >>> net = LinearAttention(embed_dim=8, num_heads=4)
    >>> out, state = net(torch.zeros(5, 2, 8))
    >>> out.shape, state[0].shape, state[1].shape
    (torch.Size([5, 2, 8]), torch.Size([2, 4, 2, 2]), torch.Size([2, 4, 2]))
    """

    def forward(
        self, input: Tensor, state: State | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Attend from each step of ``(T, B, E)``, or ``(B, T, E)``, to itself and earlier ones.

        The state is S ``(B, N, E / N, E / N)`` and z ``(B, N, E / N)``, zeros if left out. The
        mask is true where a step is real, ``(B, 1, T)`` as :func:`length_mask` returns it; a
        masked step gets only the output's bias. Returns output and state; wrong shapes and
        dtypes raise ValueError and TypeError.
        """
        axes = ("B", "T", self.embed_dim) if self.batch_first else ("T", "B", self.embed_dim)
        check_input("input", input, axes, self.in_proj_weight)
        x = input if self.batch_first else input.transpose(0, 1)  # (B, T, E)
        if mask is not None:
            check_mask(mask, (len(x), 1, x.shape[1]))
            x = torch.where(mask.mT, x, 0)
            mask = mask[:, None] if mask.dim() == 3 else mask  # the same for all heads
        out, state = linear_attention(*self.project(x, x, x), state, mask)  # (B, N, T, E / N)
        out = self.mix(out)
        return out if self.batch_first else out.transpose(0, 1), state

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read one step, ``(B, E)``; return its output ``(B, E)`` and the new state."""
        check_input("x", x, ("B", self.embed_dim), self.in_proj_weight)
        x = x[:, None]
        q, k, v = (part[:, :, 0] for part in self.project(x, x, x))  # (B, N, E / N)
        out, state = linear_attention_step(q, k, v, state)
        return self.out_proj(out.flatten(1)), state


def _prepare(
    q: Tensor, k: Tensor, v: Tensor, state: State | None, mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Check; return features, values with a column of ones, and S with z as that column."""
    check_queries(q, k, v)
    check_shape("k", k.shape, tuple(q.shape))
    if mask is not None:
        check_mask(mask, (*q.shape[:-2], 1, q.shape[-2]))
        q, k, v = (torch.where(mask.mT, x, 0) for x in (q, k, v))
    # The output does not depend on the scale of a query's features: the largest becomes 1, so that
    # their products with the keys' neither overflow nor round to zero.
    most = q.detach().amax(-1, keepdim=True)
    q, k = feature_map(q - most.clamp(max=0)) / (most.clamp(min=0) + 1), feature_map(k)
    if mask is not None:
        q, k = q * mask.mT, k * mask.mT
    *lead, V = k.shape[:-2] + k.shape[-1:] + v.shape[-1:]
    if state is None:
        state = k.new_zeros(*lead, V), k.new_zeros(lead)
    for i, shape in enumerate(((*lead, V), tuple(lead))):
        check_type(f"state[{i}]", state[i], Tensor)
        check_shape(f"state[{i}]", state[i].shape, shape)
        if not fits(state[i], q):
            raise TypeError(f"state[{i}]: expected dtype {q.dtype} as q, got {state[i].dtype}")
    return q, k, F.pad(v, (0, 1), value=1), torch.cat((state[0], state[1][..., None]), -1)


def _divide(sums: Tensor) -> Tensor:
    """Divide by the last column, the sum of the weights; where nothing was seen, return zeros."""
    out, total = sums[..., :-1], sums[..., -1:]
    return torch.where(total > 0, out / torch.where(total > 0, total, 1), 0)


__all__ = ["LinearAttention", "feature_map", "linear_attention", "linear_attention_step"]
