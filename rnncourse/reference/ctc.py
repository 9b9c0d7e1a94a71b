"""Connectionist temporal classification: a loss for targets that are not aligned with the steps."""

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least, check_lengths, check_shape
from rnncourse.reference.arrays import check_floats, check_tokens

Array = NDArray[np.floating]
Integers = NDArray[np.integer]


def ctc_loss(
    logits: Array,
    targets: Integers,
    input_lengths: Integers,
    target_lengths: Integers,
    blank: int = 0,
) -> tuple[float, Array]:
    """Return the mean CTC loss of a softmax and its gradient (Graves et al., 2006).

    A path has one label per step; once repeats and then blanks are removed, it must spell the
    target. The loss is the negative logarithm of the total probability of all such paths. Two
    recursions sum them, over the target with a blank before, between and after its labels.

    Parameters
    ----------
    logits
        ``(T, B, C)``. Steps after a sequence's end are ignored.
    targets
        Labels, ``(B, S)``, none of them the blank. What comes after a target's end is ignored.
    input_lengths, target_lengths
        True lengths, ``(B,)``. A target may be empty.
    blank
        Class of the blank.

    Returns
    -------
    loss
        In nats: each sequence's loss divided by its target's length (or by 1 if that is 0),
        averaged over the batch, as with PyTorch's ``reduction="mean"``.
    dlogits
        Shaped like ``logits``; exactly zero after a sequence's end.

    Raises
    ------
    ValueError
        If a shape is wrong, a length, a label or the blank is out of range, or a target does not
        fit into its steps.
    TypeError
        If the logits are not an array of floating-point numbers, or labels, lengths or the blank
        are not whole numbers.
    """
    check_floats("logits", logits)
    check_shape("logits", logits.shape, ("T", "B", "C"))
    T, B, C = logits.shape
    check_tokens("blank", np.asarray(blank), C)
    targets, n, m = (np.asarray(a) for a in (targets, input_lengths, target_lengths))
    check_shape("input_lengths", n.shape, (B,))
    check_shape("target_lengths", m.shape, (B,))
    check_lengths(list(n), T, B)
    if targets.ndim != 2 or len(targets) != B:
        raise ValueError(f"targets: expected shape ({B}, S), got {targets.shape}")
    for b in range(B):
        check_at_least(f"target_lengths[{b}]", m[b], 0)
        if m[b] > targets.shape[1]:
            raise ValueError(
                f"target_lengths[{b}]: expected at most {targets.shape[1]}, got {m[b]}"
            )
        label = targets[b, : m[b]]
        check_tokens(f"targets[{b}]", label, C)
        if (label == blank).any():
            raise ValueError(f"targets[{b}]: expected no blank ({blank}), got {label}")
        repeats = (label[1:] == label[:-1]).sum()  # equal neighbors need a blank between them
        if m[b] + repeats > n[b]:
            raise ValueError(
                f"input_lengths[{b}]: expected at least {m[b] + repeats} steps for a target of "
                f"{m[b]} labels with {repeats} repeats, got {n[b]}"
            )

    real_steps = (np.arange(T)[:, None] < n)[:, :, None]  # (T, B, 1)
    z = np.where(real_steps, logits, 0)
    z = z - z.max(-1, keepdims=True)  # the largest exponent becomes 0: nothing overflows
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))

    S = targets.shape[1]
    path = np.full((B, 2 * S + 1), blank)  # a blank before, between and after the labels
    path[:, 1::2] = np.where(np.arange(S) < m[:, None], targets, blank)
    jump = np.zeros(path.shape, bool)  # a blank between two different labels may be skipped
    jump[:, 3::2] = path[:, 3::2] != path[:, 1:-2:2]
    sequence = np.arange(B)[:, None]
    local = log_p[:, sequence, path]  # (T, B, 2S + 1)

    # alpha[t, b, s]: log probability of all beginnings of paths that end at position s at step t.
    alpha = np.full_like(local, -np.inf)
    alpha[0, :, :2] = local[0, :, :2]
    for t in range(1, T):
        a = alpha[t - 1]
        alpha[t] = _sum(a, _shift(a, 1), np.where(jump, _shift(a, 2), -np.inf)) + local[t]

    # beta[t, b, s]: log probability of all their continuations from step t + 1 to the end.
    last = np.full(path.shape, -np.inf)  # a path ends at the last label or the blank after it
    last[sequence[:, 0], 2 * m] = 0
    last[sequence[:, 0], np.maximum(2 * m - 1, 0)] = 0
    beta = np.full_like(local, -np.inf)
    beta[-1] = np.where(n[:, None] == T, last, -np.inf)
    for t in reversed(range(T - 1)):
        b = beta[t + 1] + local[t + 1]
        onward = _sum(b, _shift(b, -1), _shift(np.where(jump, b, -np.inf), -2))
        beta[t] = np.where(n[:, None] == t + 1, last, onward)

    log_total = np.logaddexp.reduce(alpha[0] + beta[0], axis=-1)  # (B,): all paths
    weight = 1 / (np.maximum(m, 1) * B)
    share = np.exp(alpha + beta - log_total[:, None])  # of the paths that are at s at step t
    dlogits = np.exp(log_p)
    np.subtract.at(dlogits, (np.arange(T)[:, None, None], sequence, path), share)
    dlogits = np.where(real_steps, dlogits * weight[:, None], 0).astype(logits.dtype)
    return float(-(log_total * weight).sum()), dlogits


def _sum(a: Array, b: Array, c: Array) -> Array:
    """Return ``log(exp(a) + exp(b) + exp(c))``."""
    return np.logaddexp(np.logaddexp(a, b), c)


def _shift(a: Array, by: int) -> Array:
    """Move ``a`` ``(B, S)`` to the right, or to the left if ``by`` is negative; fill with log 0."""
    out = np.full_like(a, -np.inf)
    if by > 0:
        out[:, by:] = a[:, :-by]
    else:
        out[:, :by] = a[:, -by:]
    return out
