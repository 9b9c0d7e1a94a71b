"""Embedding: a vector for each token, whose gradients are summed over the token's occurrences."""

import numpy as np
from numpy.typing import NDArray

from rnncourse.reference.arrays import check_array, check_tokens

Array = NDArray[np.floating]
Tokens = NDArray[np.integer]


def embedding(tokens: Tokens, W: Array) -> Array:
    """Return row ``tokens[...]`` of ``W`` ``(V, E)`` for each token: ``(..., E)``.

    Raises
    ------
    TypeError
        If ``W`` is not an array, or the tokens are not whole numbers.
    ValueError
        If a shape is wrong, or a token is not from 0 to V - 1.
    """
    tokens = np.asarray(tokens)
    check_array("W", W, ("V", "E"))
    check_tokens("tokens", tokens, len(W))
    return W[tokens]


def embedding_backward(
    dy: Array, tokens: Tokens, W: Array, padding_idx: int | None = None
) -> Array:
    """Return ``dW``, given the gradient ``dy`` ``(..., E)`` with respect to the vectors.

    A token that occurs twice gets the sum of both gradients; the row ``padding_idx`` gets none.

    Raises
    ------
    TypeError, ValueError
        As in :func:`embedding`, also for ``dy`` and ``padding_idx``.
    """
    tokens = np.asarray(tokens)
    check_array("W", W, ("V", "E"))
    check_array("dy", dy, (*tokens.shape, W.shape[1]))
    check_tokens("tokens", tokens, len(W))
    dW = np.zeros_like(W)
    np.add.at(dW, tokens, dy)  # unlike dW[tokens] += dy, this adds for each occurrence
    if padding_idx is not None:
        check_tokens("padding_idx", np.asarray(padding_idx), len(W))
        dW[padding_idx] = 0
    return dW
