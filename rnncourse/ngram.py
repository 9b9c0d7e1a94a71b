"""Character n-gram models: the baseline that a recurrent network has to beat."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least, check_choice, check_type

Smoothing = Literal["Witten–Bell", "Kneser–Ney"]

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class _Counts:
    """What training saw of the n-grams of one length, as sorted arrays of codes."""

    grams: Ids  # code of each distinct n-gram
    gram_counts: Ids
    contexts: Ids  # code of each distinct context: the n-gram without its last symbol
    context_counts: Ids
    followers: Ids  # how many different symbols follow the context
    discount: float  # what Kneser–Ney takes off each count


class NGram:
    r"""An n-gram model, smoothed by interpolation with shorter contexts.

    With Witten–Bell smoothing, a context :math:`h` that training saw :math:`c(h)` times, followed
    by :math:`d(h)` different symbols, gives the symbol :math:`s` the probability

    .. math:: p_n(s \mid h) = \frac{c(hs) + d(h)\, p_{n-1}(s \mid h')}{c(h) + d(h)}

    where :math:`h'` is :math:`h` without its oldest symbol. A context that training never saw
    leaves the answer to :math:`h'`, and below the single symbol is the uniform distribution, so no
    probability is zero. The more different symbols have followed a context, the more it expects yet
    another one, and the more it trusts the shorter context.

    Kneser–Ney smoothing takes a fixed discount :math:`D_n` off every count, and gives what it took
    to the shorter context:

    .. math:: p_n(s \mid h) = \frac{\max(c(hs) - D_n, 0) + D_n\, d(h)\, p_{n-1}(s \mid h')}{c(h)}

    Below the longest n-gram, :math:`c` is not how often an n-gram came, but after how many
    different symbols. :math:`D_n` is :math:`N_1 / (N_1 + 2 N_2)`, where :math:`N_m` n-grams have
    the count m; it is a half where no n-gram has the count 1.

    Parameters
    ----------
    order
        Length n of the longest n-gram: the model looks back n - 1 symbols.
    n_symbols
        Size V of the vocabulary. An n-gram is coded as one int64, so V**n must stay below 2**63.
    smoothing
        ``"Witten–Bell"`` or ``"Kneser–Ney"``.

    Raises
    ------
    TypeError, ValueError
        If either number is not a whole number of at least 1, V**n is too large, or ``smoothing``
        is unknown.

    References
    ----------
    Witten and Bell (1991), "The zero-frequency problem", IEEE Transactions on Information
    Theory 37(4), method C. Kneser and Ney (1995), "Improved backing-off for m-gram language
    modeling", ICASSP. Both interpolated as in Chen and Goodman (1999), "An empirical study of
    smoothing techniques for language modeling", Computer Speech & Language 13(4).

    Examples
    --------
    >>> model = NGram(order=2, n_symbols=2).fit([0, 1, 0, 1, 0, 1])
    >>> model.probs([0]).round(3).tolist()
    [0.125, 0.875]
    """

    def __init__(self, order: int, n_symbols: int, *, smoothing: Smoothing = "Witten–Bell") -> None:
        check_at_least("order", order, 1)
        check_at_least("n_symbols", n_symbols, 1)
        check_choice("smoothing", smoothing, get_args(Smoothing))
        if n_symbols**order >= 2**63:
            raise ValueError(
                f"order: expected n_symbols**order below 2**63, got {n_symbols}**{order}"
            )
        self.order = order
        self.n_symbols = n_symbols
        self.smoothing = smoothing
        self._counts: list[_Counts] = []

    def fit(self, ids: ArrayLike) -> Self:
        """Count the n-grams of a text, of every length up to the order.

        Parameters
        ----------
        ids
            Symbols ``(N,)``, at least as many as the order.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If ``ids`` is not one-dimensional, not of symbols from 0 to V - 1, or too short.
        """
        ids = self._check(ids)
        if len(ids) < self.order:
            raise ValueError(f"ids: expected at least order = {self.order} symbols, got {len(ids)}")
        found = []  # the n-grams of each length and their counts
        codes = np.zeros(len(ids) + 1, np.int64)
        for n in range(1, self.order + 1):
            codes = self._longer(codes, ids, n)
            found.append(np.unique(codes, return_counts=True))
        if self.smoothing == "Kneser–Ney":
            for n in range(1, self.order):  # each longer n-gram once, without its first symbol
                found[n - 1] = np.unique(found[n][0] % self.n_symbols**n, return_counts=True)
        self._counts = []
        for grams, gram_counts in found:
            contexts, first, followers = np.unique(
                grams // self.n_symbols, return_index=True, return_counts=True
            )
            totals = np.add.reduceat(gram_counts, first)
            once, twice = (int((gram_counts == m).sum()) for m in (1, 2))
            discount = once / (once + 2 * twice) if once else 0.5
            self._counts.append(_Counts(grams, gram_counts, contexts, totals, followers, discount))
        return self

    @property
    def n_parameters(self) -> int:
        """How many different n-grams of all lengths the model keeps a count of."""
        return sum(len(c.grams) for c in self._counts)

    def log_probs(self, ids: ArrayLike) -> Floats:
        """Return the log probability of each symbol given those before it.

        Parameters
        ----------
        ids
            Symbols ``(N,)``. The first ones have a shorter context.

        Returns
        -------
        log_probs
            Natural logarithms, ``(N,)``.

        Raises
        ------
        RuntimeError
            If :meth:`fit` has not been called.
        TypeError, ValueError
            If ``ids`` is not one-dimensional, or not of symbols from 0 to V - 1.
        """
        ids = self._check(ids)
        p = np.full(len(ids), 1 / self.n_symbols)
        codes = np.zeros(len(ids) + 1, np.int64)
        for n, c in enumerate(self._fitted(), 1):
            if len(ids) < n:
                break
            codes = self._longer(codes, ids, n)
            seen = _look_up(c.contexts, codes // self.n_symbols, c.context_counts)
            kinds = _look_up(c.contexts, codes // self.n_symbols, c.followers)
            count = _look_up(c.grams, codes, c.gram_counts)
            known = seen > 0
            tail = p[n - 1 :]  # the symbols that have n - 1 others before them
            tail[known] = self._smooth(c, count[known], seen[known], kinds[known], tail[known])
        log_probs: Floats = np.log(p)
        return log_probs

    def probs(self, context: ArrayLike) -> Floats:
        """Return the distribution of the next symbol.

        Parameters
        ----------
        context
            The symbols before it, ``(N,)``, oldest first; those too far back are ignored.

        Returns
        -------
        probs
            One probability per symbol, ``(V,)``.

        Raises
        ------
        RuntimeError, TypeError, ValueError
            As in :meth:`log_probs`.
        """
        context = self._check(context)
        V = self.n_symbols
        p = np.full(V, 1 / V)
        code = 0  # of the last n - 1 symbols
        for n, c in enumerate(self._fitted(), 1):
            if n > 1:
                if len(context) < n - 1:
                    break
                code += int(context[1 - n]) * V ** (n - 2)
            low, high = np.searchsorted(c.grams, [code * V, code * V + V])
            if low == high:  # a context never seen: nor was any that is longer
                break
            count = np.zeros(V)
            count[c.grams[low:high] - code * V] = c.gram_counts[low:high]
            p = self._smooth(c, count, count.sum(), high - low, p)
        return p

    def bits_per_character(self, ids: ArrayLike) -> float:
        """Return the mean number of bits that the model needs per symbol of ``ids``.

        Raises
        ------
        RuntimeError, TypeError, ValueError
            As in :meth:`log_probs`; also if there is no symbol.
        """
        ids = self._check(ids)
        if len(ids) == 0:
            raise ValueError("ids: expected at least 1 symbol, got 0")
        return float(-self.log_probs(ids).mean() / np.log(2))

    def sample(self, n: int, rng: np.random.Generator, prompt: ArrayLike = ()) -> Ids:
        """Draw a text from the model, one symbol at a time.

        Parameters
        ----------
        n
            How many symbols to draw.
        rng
            Random generator.
        prompt
            Symbols to continue from, ``(N,)``.

        Returns
        -------
        ids
            The new symbols without the prompt, ``(n,)``.

        Raises
        ------
        TypeError, ValueError
            If ``n`` is not a whole number of at least 0, ``rng`` is not a generator, or the prompt
            is not ``(N,)`` or not of symbols.
        """
        check_at_least("n", n, 0)
        check_type("rng", rng, np.random.Generator)
        ids = self._check(prompt).tolist()
        start = len(ids)
        for _ in range(n):
            ids.append(int(rng.choice(self.n_symbols, p=self.probs(ids[-self.order :]))))
        return np.array(ids[start:], np.int64)

    def _smooth(
        self, c: _Counts, count: ArrayLike, seen: ArrayLike, kinds: ArrayLike, shorter: Floats
    ) -> Floats:
        """Return the probability of a symbol that came ``count`` of ``seen`` times."""
        count, seen, kinds = np.asarray(count), np.asarray(seen), np.asarray(kinds)
        p: Floats
        if self.smoothing == "Kneser–Ney":
            p = (np.maximum(count - c.discount, 0) + c.discount * kinds * shorter) / seen
        else:
            p = (count + kinds * shorter) / (seen + kinds)
        return p

    def _longer(self, codes: Ids, ids: Ids, n: int) -> Ids:
        """Turn the codes of all (n-1)-grams of a text into those of all n-grams."""
        return codes[: len(ids) - n + 1] * self.n_symbols + ids[n - 1 :]

    def _fitted(self) -> list[_Counts]:
        if not self._counts:
            raise RuntimeError("the model has counted nothing yet: call fit first")
        return self._counts

    def _check(self, ids: ArrayLike) -> Ids:
        ids = np.asarray(ids)
        if ids.ndim != 1:
            raise ValueError(f"ids: expected 1 axis (N,), got {ids.ndim} axes {ids.shape}")
        if len(ids) == 0:
            return np.empty(0, np.int64)
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"ids: expected whole numbers, got dtype {ids.dtype}")
        if ids.min() < 0 or ids.max() >= self.n_symbols:
            raise ValueError(
                f"ids: expected numbers from 0 to {self.n_symbols - 1}, "
                f"got {ids.min()} to {ids.max()}"
            )
        return ids.astype(np.int64)


def _look_up(keys: Ids, wanted: Ids, values: Ids) -> Ids:
    """Return ``values`` where a wanted key is among the sorted ``keys``, and 0 elsewhere."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
