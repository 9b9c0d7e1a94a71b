"""From a model's scores to text: draw symbol after symbol, or search for the best text."""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rnncourse.checks import check_at_least, check_choice, check_shape, check_type

State = TypeVar("State")


def sample_next(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw one symbol for each sequence of a batch.

    Parameters
    ----------
    logits
        Scores of the V symbols, ``(B, V)``. A symbol with score ``-inf`` is never drawn.
    temperature
        Divides the scores: below 1 likely symbols become likelier, above 1 the probabilities even
        out. At 0 the symbol with the highest score is taken.
    top_k
        Draw only among the symbols with the k highest scores; None means all.
    top_p
        Draw among the fewest symbols that together have at least this probability, the likeliest
        first, after temperature and ``top_k`` (nucleus sampling, Holtzman et al., 2020); None
        means all.
    generator
        Random generator, on the device of ``logits``.

    Returns
    -------
    ids
        int64 ``(B,)``.

    Raises
    ------
    TypeError, ValueError
        If ``logits`` is not a tensor, has the wrong shape or dtype, contains NaN or ``inf``, or has
        a row of nothing but ``-inf``; if ``temperature`` is negative or not finite; if ``top_k`` is
        not between 1 and V, or ``top_p`` is not above 0 and at most 1.

    Examples
    --------
    >>> sample_next(torch.tensor([[0.0, 3.0, 1.0]]), temperature=0)
    tensor([1])
    """
    best = _best(logits)
    _check_finite(best)
    return _sample(logits, best, temperature, top_k, top_p, generator)


def _sample(
    logits: Tensor,
    best: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator | None,
) -> Tensor:
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature: expected a finite number of at least 0, got {temperature}")
    if top_k is not None:
        check_at_least("top_k", top_k, 1)
        if top_k > logits.shape[1]:
            raise ValueError(f"top_k: expected at most V = {logits.shape[1]}, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p: expected a number above 0 and at most 1, got {top_p}")
    if temperature < torch.finfo(logits.dtype).tiny:  # too close to 0 to divide by
        return logits.argmax(1)
    if top_p == 1:  # rounding must not cut the last symbols off
        top_p = None
    if top_k is None and top_p is None:
        # Subtracting the maximum first keeps a tiny temperature from overflowing.
        return _draw(((logits - best) / temperature).softmax(1), generator)
    scores, symbols = logits.topk(top_k or logits.shape[1])
    chances = ((scores - best) / temperature).softmax(1)
    if top_p is not None:
        before = chances.cumsum(1) - chances  # what the likelier symbols add up to
        chances = chances.masked_fill(before >= top_p, 0)
    return symbols.gather(1, _draw(chances, generator)[:, None])[:, 0]


def _draw(chances: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.multinomial(chances, 1, generator=generator)[:, 0]


def _best(logits: Tensor) -> Tensor:
    """Return the highest score of each row, ``(B, 1)``: NaN if the row contains one."""
    check_type("logits", logits, Tensor)
    check_shape("logits", logits.shape, ("B", "V"))
    if not logits.is_floating_point():
        raise TypeError(f"logits: expected a floating-point dtype, got {logits.dtype}")
    return logits.amax(1, keepdim=True)


def _check_finite(best: Tensor) -> None:
    if not best.isfinite().all():
        raise ValueError("logits: expected no NaN and a finite highest score in each row")


def _check_ids(name: str, ids: Tensor, axes: tuple[str, ...]) -> None:
    check_type(name, ids, Tensor)
    check_shape(name, ids.shape, axes)
    if ids.is_floating_point() or ids.is_complex():
        raise TypeError(f"{name}: expected whole numbers, got dtype {ids.dtype}")


def generate(
    step: Callable[[Tensor, State], tuple[Tensor, State]],
    state: State,
    prompt_ids: Tensor,
    n: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Read a prompt, then draw symbol after symbol, each fed back as the next input.

    Parameters
    ----------
    step
        Takes one symbol per sequence, ``(B,)``, and the state; returns the scores of the next
        symbol, ``(B, V)``, and the new state. It runs without recording gradients.
    state
        The state before the prompt, whatever ``step`` takes.
    prompt_ids
        Symbols to start from, whole numbers ``(T, B)``, at least one step.
    n
        How many symbols to draw.
    temperature, top_k, top_p, generator
        As in :func:`sample_next`.

    Returns
    -------
    ids
        The new symbols without the prompt, int64 ``(n, B)``.

    Raises
    ------
    TypeError, ValueError
        If the prompt has the wrong type, shape or dtype, ``n`` is not a whole number of at least 0,
        or :func:`sample_next` refuses the scores.

    Examples
    --------
    A model that counts to three and starts again needs no state:

    >>> def step(ids, state):
    ...     return torch.eye(4)[(ids + 1) % 4], state
    >>> generate(step, None, torch.tensor([[2]]), 5, temperature=0)[:, 0]
    tensor([3, 0, 1, 2, 3])
    """
    _check_ids("prompt_ids", prompt_ids, ("T", "B"))
    check_at_least("n", n, 0)
    drawn: list[Tensor] = []
    highest: list[Tensor] = []
    with torch.no_grad():
        for ids in prompt_ids:
            logits, state = step(ids, state)
        while len(drawn) < n:
            if drawn:
                logits, state = step(drawn[-1], state)
            highest.append(_best(logits))
            if logits.device.type == "cpu":
                _check_finite(highest[-1])
            drawn.append(_sample(logits, highest[-1], temperature, top_k, top_p, generator))
    if not drawn:
        return prompt_ids.new_empty((0, prompt_ids.shape[1]), dtype=torch.int64)
    _check_finite(torch.cat(highest))  # once: elsewhere each look would wait for the device
    return torch.stack(drawn)


class Beams(NamedTuple):
    """What :func:`beam_search` found, K hypotheses for each sequence, the best first.

    Attributes
    ----------
    ids
        Symbols without the start, int64 ``(T, B, K)``; after its end a hypothesis is filled with
        ``eos``. T is at most ``n``.
    scores
        Log probability divided by ``length ** length_penalty``, ``(B, K)``; ``-inf`` for an
        impossible text.
    lengths
        Number of symbols, including the ``eos`` at the end, int64 ``(B, K)``.
    """

    ids: Tensor
    scores: Tensor
    lengths: Tensor


def beam_search(
    step: Callable[[Tensor, State], tuple[Tensor, State]],
    state: State,
    start: Tensor,
    n: int,
    *,
    beam: int,
    eos: int | None = None,
    length_penalty: float = 0.0,
    batch_axis: int = -2,
) -> Beams:
    """Look for the most probable texts, keeping the best few beginnings at each step.

    A hypothesis that has ended keeps its place in the beam as long as its score is among the
    best. The search is over when all have ended. A beam of 1 is greedy decoding.

    Parameters
    ----------
    step
        As in :func:`generate`. It first gets B symbols, then one for each hypothesis, B times K.
        All that differs between sequences, an encoder's output included, must be in the state.
    state
        The state before ``start``: tensors, in tuples or lists at any depth. None and whole
        numbers in it are shared by all sequences.
    start
        The symbol that each sequence continues from, whole numbers ``(B,)``.
    n
        The largest number of symbols.
    beam
        How many hypotheses to keep, K. There are fewer only if fewer than that exist.
    eos
        The symbol that ends a text; None if there is none.
    length_penalty
        Scores are log probabilities divided by the length to this power. At 0 short texts win,
        at 1 the mean per symbol counts.
    batch_axis
        The axis of the sequences in all tensors of the state that ``step`` returns. The default,
        the second to last, is right for ``(B, H)`` and for ``(num_layers, B, H)``.

    Returns
    -------
    beams
        Symbols, scores and lengths.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape, dtype or range, :func:`sample_next` would refuse
        the scores, or the state contains other objects or a batch of a different size.

    Examples
    --------
    The likeliest first symbol, 1, leads nowhere good; a beam of 2 sees that.

    >>> chances = torch.tensor([[0.0, 0.6, 0.4], [0.5, 0.5, 0.0], [0.9, 0.1, 0.0]])
    >>> def step(ids, state):
    ...     return chances[ids].log(), state
    >>> for beam in (1, 2):
    ...     found = beam_search(step, None, torch.tensor([0]), 2, beam=beam)
    ...     print(found.ids[:, 0, 0].tolist(), round(found.scores[0, 0].exp().item(), 2))
    [1, 0] 0.3
    [2, 0] 0.36
    """
    _check_ids("start", start, ("B",))
    check_at_least("n", n, 1)
    check_at_least("beam", beam, 1)
    if not 0 <= length_penalty < math.inf:
        raise ValueError(
            f"length_penalty: expected a finite number of at least 0, got {length_penalty}"
        )
    if eos is not None:
        check_at_least("eos", eos, 0)

    B = len(start)
    first = torch.arange(B, device=start.device)[:, None]  # (B, 1)
    ids = start[:, None, None].long()  # (B, K, 1 + symbols so far), K is 1 before the first step
    ended = torch.zeros_like(ids[..., 0], dtype=torch.bool)  # (B, K)
    lengths = torch.zeros_like(ids[..., 0])
    total: Tensor | None = None  # log probabilities, (B, K)
    with torch.no_grad():
        for _ in range(n):
            K = ids.shape[1]
            logits, state = step(ids[..., -1].flatten(), state)  # (B K, V)
            if len(logits) != B * K:
                raise ValueError(f"step: expected scores of {B * K} rows, got {len(logits)}")
            if total is None:
                total = logits.new_zeros(B, 1, dtype=torch.promote_types(logits.dtype, torch.float))
            # What the model says after an end, or after an impossible text, does not matter.
            logits = logits.masked_fill((ended | total.isinf()).view(-1, 1), 0)
            _check_finite(_best(logits))
            V = logits.shape[1]
            new = logits.to(total.dtype).log_softmax(1).view(B, K, V)
            if eos is not None:
                if eos >= V:
                    raise ValueError(f"eos: expected a number below V = {V}, got {eos}")
                stay = new.new_full((V,), -torch.inf)
                stay[eos] = 0
                new = torch.where(ended[..., None], stay, new)

            lengths = lengths + ~ended
            totals = (total[..., None] + new).flatten(1)  # (B, K V)
            divisor = (lengths.to(total) ** length_penalty).repeat_interleave(V, dim=1)
            best = (totals / divisor).topk(min(beam, K * V), dim=1).indices
            parents, symbols = best // V, best % V
            total, lengths = totals.gather(1, best), lengths.gather(1, parents)
            ids = torch.cat([ids[first, parents], symbols[..., None]], dim=2)
            if eos is not None:
                ended = ended.gather(1, parents) | (symbols == eos)
            if (ended | total.isinf()).all():
                break
            state = _select(state, (first * K + parents).flatten(), batch_axis, B * K)
    assert total is not None
    scores = total / lengths.to(total) ** length_penalty
    return Beams(ids[..., 1:].permute(2, 0, 1), scores, lengths)


def _select(state: Any, rows: Tensor, axis: int, batch: int) -> Any:
    """Return the state with these rows of the batch, in this order."""
    if isinstance(state, Tensor):
        if not -state.ndim <= axis < state.ndim or state.shape[axis] != batch:
            raise ValueError(
                f"state: expected {batch} sequences on axis {axis} (batch_axis), got shape "
                f"{tuple(state.shape)}"
            )
        return state.index_select(axis, rows)
    if isinstance(state, tuple | list):
        parts = [_select(part, rows, axis, batch) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    if state is None or isinstance(state, int):
        return state
    raise TypeError(
        f"state: expected tensors, in tuples or lists at any depth, got {type(state).__name__}"
    )


def ctc_greedy(log_probs: ArrayLike, blank: int = 0) -> list[int]:
    """Read the likeliest path of a CTC network: the best class at each step, then collapse.

    Collapsing removes repeats first and blanks second (Graves et al., 2006).

    Parameters
    ----------
    log_probs
        Of C classes at T steps, ``(T, C)``; scores that are not normalized do as well.
    blank
        Class of the blank.

    Returns
    -------
    labels
        The text, without blanks.

    Raises
    ------
    ValueError
        If the shape is wrong, or the blank is not one of the classes.

    Examples
    --------
    >>> ctc_greedy(np.log([[0.1, 0.9], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]))
    [1, 1]
    """
    scores = _ctc_scores(log_probs, blank)
    path = [-1, *scores.argmax(1).tolist()]
    return [now for old, now in itertools.pairwise(path) if now not in (old, blank)]


class CTCText(NamedTuple):
    """A text that :func:`ctc_beam_search` found.

    Attributes
    ----------
    labels
        Without blanks.
    score
        What the search maximizes.
    log_prob
        Log probability of all paths of this text that the search kept.
    """

    labels: tuple[int, ...]
    score: float
    log_prob: float


def ctc_beam_search(
    log_probs: ArrayLike,
    beam: int,
    *,
    language: Callable[[tuple[int, ...]], ArrayLike] | None = None,
    weight: float = 1.0,
    bonus: float = 0.0,
    end: int | None = None,
    blank: int = 0,
) -> list[CTCText]:
    """Look for the most probable texts of a CTC network, with the help of a language model.

    Greedy decoding finds the best *path*. One text has many paths, and this search adds them up:
    for each beginning of a text it keeps the probability of the paths that end with a blank and of
    those that end with the last label (prefix beam search; Hannun et al., 2014). It looks for the
    largest ``log p(text | sound) + weight * log p(text) + bonus * len(text)``.

    Parameters
    ----------
    log_probs
        Of C classes at T steps, ``(T, C)``.
    beam
        How many beginnings to keep after each step.
    language
        Takes a beginning, and returns the log probabilities of the next label, ``(C,)`` or longer.
        None means that all texts are equally likely.
    weight
        How much the language model counts, at least 0; at 0 it is ignored.
    bonus
        Added for each label, since each label makes a text less likely.
    end
        Where ``language`` puts the log probability that the text is over; None if it has no end.
    blank
        Class of the blank.

    Returns
    -------
    texts
        At most ``beam``, the best first. None of them is impossible, so the list is empty if none
        of the beginnings that the search kept can become a possible text.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Examples
    --------
    The best path is two blanks, with 0.36. But 1 has three paths: 0.24 + 0.24 + 0.16.

    >>> chances = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> ctc_greedy(chances)
    []
    >>> best = ctc_beam_search(chances, beam=4)[0]
    >>> best.labels, round(math.exp(best.log_prob), 2)
    ((1,), 0.64)
    """
    scores = _ctc_scores(log_probs, blank)
    check_at_least("beam", beam, 1)
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight: expected a finite number of at least 0, got {weight}")
    if not math.isfinite(bonus):
        raise ValueError(f"bonus: expected a finite number, got {bonus}")
    prior: dict[tuple[int, ...], float] = {(): 0.0}  # weighted, of each beginning
    following: dict[tuple[int, ...], list[float]] = {}

    def likes(text: tuple[int, ...], label: int) -> float:
        if language is None or weight == 0:  # 0 times a log probability of -inf would be NaN
            return bonus
        if text not in following:
            following[text] = np.asarray(language(text), np.float64).tolist()
        return weight * following[text][label] + bonus

    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    # log probabilities of paths that end with a blank, and with the last label
    for row in scores.tolist():
        new: dict[tuple[int, ...], list[float]] = {}
        for text, (silent, voiced) in kept.items():
            both = _log_sum(silent, voiced)
            cell = new.setdefault(text, [-math.inf, -math.inf])
            cell[0] = _log_sum(cell[0], both + row[blank])
            if text:
                cell[1] = _log_sum(cell[1], voiced + row[text[-1]])
            for label, chance in enumerate(row):
                if label == blank:
                    continue
                longer = (*text, label)
                if longer not in prior:
                    prior[longer] = prior[text] + likes(text, label)
                # After the same label there must have been a blank.
                start = silent if text and text[-1] == label else both
                cell = new.setdefault(longer, [-math.inf, -math.inf])
                cell[1] = _log_sum(cell[1], start + chance)
        total = {text: _log_sum(*pair) + prior[text] for text, pair in new.items()}
        ranked = sorted(total, key=lambda text: -total[text])
        possible = [text for text in ranked[:beam] if total[text] > -math.inf]
        kept = {text: (new[text][0], new[text][1]) for text in possible}
    found = []
    for text, pair in kept.items():
        log_prob = _log_sum(*pair)
        over = 0.0 if end is None else likes(text, end) - bonus
        score = log_prob + prior[text] + over
        if score > -math.inf:
            found.append(CTCText(text, score, log_prob))
    return sorted(found, key=lambda text: -text.score)


def _log_sum(a: float, b: float) -> float:
    """Return ``log(exp(a) + exp(b))``."""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


def _ctc_scores(log_probs: ArrayLike, blank: int) -> NDArray[np.float64]:
    scores = np.asarray(log_probs, np.float64)
    check_shape("log_probs", scores.shape, ("T", "C"))
    check_choice("blank", blank, range(scores.shape[1]))
    if np.isnan(scores).any():
        raise ValueError("log_probs: expected no NaN")
    return scores
