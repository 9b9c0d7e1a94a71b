"""From a model's scores to text: draw the next symbol, again and again."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from rnncourse.checks import check_at_least, check_shape

State = TypeVar("State")


def sample_next(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw one symbol for each sequence of a batch.

    Parameters
    ----------
    logits
        Scores of the V symbols, ``(B, V)``. A symbol with score ``-inf`` is never drawn.
    temperature
        Divides the scores: below 1 the likely becomes likelier, above 1 chances even out. At 0
        the symbol with the highest score is taken.
    top_k
        Draw among the k highest scores only; None is all.
    generator
        Where the chance comes from, on the device of ``logits``.

    Returns
    -------
    ids
        int64 ``(B,)``.

    Raises
    ------
    TypeError, ValueError
        If ``logits`` has another shape, holds NaN or ``inf``, or has a row of ``-inf`` alone; if
        ``temperature`` is negative or not finite; if ``top_k`` is not between 1 and V.

    Examples
    --------
    >>> sample_next(torch.tensor([[0.0, 3.0, 1.0]]), temperature=0)
    tensor([1])
    """
    check_shape("logits", logits.shape, ("B", "V"))
    if not logits.is_floating_point():
        raise TypeError(f"logits: expected a floating-point dtype, got {logits.dtype}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature: expected a finite number of at least 0, got {temperature}")
    if top_k is not None:
        check_at_least("top_k", top_k, 1)
        if top_k > logits.shape[1]:
            raise ValueError(f"top_k: expected at most V = {logits.shape[1]}, got {top_k}")
    best = logits.amax(1, keepdim=True)  # NaN if the row holds one
    if not best.isfinite().all():
        raise ValueError("logits: expected no NaN and a finite highest score in each row")
    if temperature < torch.finfo(logits.dtype).tiny:  # too close to 0 to divide by
        return logits.argmax(1)
    if top_k is None:
        # Subtracting the maximum first keeps a tiny temperature from overflowing.
        return _draw((logits - best) / temperature, generator)
    scores, symbols = logits.topk(top_k)
    drawn = _draw((scores - best) / temperature, generator)
    return symbols.gather(1, drawn[:, None])[:, 0]


def _draw(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


def generate(
    step: Callable[[Tensor, State], tuple[Tensor, State]],
    state: State,
    prompt_ids: Tensor,
    n: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Read a prompt, then draw symbol after symbol, each fed back as the next input.

    Parameters
    ----------
    step
        Takes one symbol a sequence, ``(B,)``, and the state; returns the scores of the next
        symbol, ``(B, V)``, and the new state. It runs without recording gradients.
    state
        The state before the prompt, whatever ``step`` takes.
    prompt_ids
        Symbols to start from, whole numbers ``(T, B)``, at least one step.
    n
        How many symbols to draw.
    temperature, top_k, generator
        As for :func:`sample_next`.

    Returns
    -------
    ids
        The new symbols without the prompt, int64 ``(n, B)``.

    Raises
    ------
    TypeError, ValueError
        If the prompt has another shape or dtype, ``n`` is not a whole number of at least 0, or
        :func:`sample_next` refuses the scores.

    Examples
    --------
    A model that counts to three and starts again needs no state:

    >>> def step(ids, state):
    ...     return torch.eye(4)[(ids + 1) % 4], state
    >>> generate(step, None, torch.tensor([[2]]), 5, temperature=0)[:, 0]
    tensor([3, 0, 1, 2, 3])
    """
    check_shape("prompt_ids", prompt_ids.shape, ("T", "B"))
    if prompt_ids.is_floating_point() or prompt_ids.is_complex():
        raise TypeError(f"prompt_ids: expected whole numbers, got dtype {prompt_ids.dtype}")
    check_at_least("n", n, 0)
    drawn: list[Tensor] = []
    with torch.no_grad():
        for ids in prompt_ids:
            logits, state = step(ids, state)
        while len(drawn) < n:
            if drawn:
                logits, state = step(drawn[-1], state)
            drawn.append(
                sample_next(logits, temperature=temperature, top_k=top_k, generator=generator)
            )
    return torch.stack(drawn) if drawn else prompt_ids.new_empty((0, prompt_ids.shape[1]))
