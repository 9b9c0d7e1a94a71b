"""Embedding: a vector for each token, looked up forward, summed up backward."""

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_shape

Array = NDArray[np.floating]
Tokens = NDArray[np.integer]


def check_tokens(name: str, tokens: Tokens, size: int) -> None:
    """Check that all tokens are whole numbers from 0 to ``size - 1``.

    Raises
    ------
    TypeError
        If they are not whole numbers.
    ValueError
        If one is not in the vocabulary.
    """
    if not np.issubdtype(tokens.dtype, np.integer):
        raise TypeError(f"{name}: expected whole numbers, got {tokens.dtype}")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < size:
        raise ValueError(
            f"{name}: expected numbers from 0 to {size - 1}, got {tokens.min()} to {tokens.max()}"
        )


def embedding(tokens: Tokens, W: Array) -> Array:
    """Return row ``tokens[...]`` of ``W`` ``(V, E)`` for each token: ``(..., E)``.

    Raises
    ------
    TypeError
        If the tokens are not whole numbers.
    ValueError
        If one is not from 0 to V - 1.
    """
    check_shape("W", W.shape, ("V", "E"))
    check_tokens("tokens", tokens, len(W))
    return W[tokens]


def embedding_backward(
    dy: Array, tokens: Tokens, W: Array, padding_idx: int | None = None
) -> Array:
    """Return ``dW``, given the gradient ``dy`` ``(..., E)`` by what :func:`embedding` gave.

    A token that occurs twice gets both its gradients; the row ``padding_idx`` gets none.
    """
    check_shape("dy", dy.shape, (*tokens.shape, W.shape[1]))
    dW = np.zeros_like(W)
    np.add.at(dW, tokens, dy)  # unlike dW[tokens] += dy, this adds for each occurrence
    if padding_idx is not None:
        dW[padding_idx] = 0
    return dW
