"""Text: the Python manual, vocabularies, and batches for a language model."""

import itertools
import math
import re
import zlib
from collections.abc import Iterable, Sequence
from pydoc_data.topics import topics
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least

Ids = NDArray[np.int64]

UNKNOWN = "<unk>"

# Which sections of the manual are used, in the order of Python 3.11.7: checksums of their first
# paragraphs. So every version of Python gives nearly the same text, cut in the same places.
_SECTIONS = """
    2b9a1c1a f1d102b9 bf909f0c c0099825 4b57082b 977ad4e8 5db2507e 5cad90c0 4caad23e b54e196c
    5dc577b3 9ce97e04 efefc5c8 b04ae284 0a2d7254 f6a28ccc e4113737 bc616ca8 25de7f0b ffcd0b53
    3af2ed7f 169998f7 ef4b203a d779e79f 70a85edc 1e53fca1 daa35c8f fdde7471 745bf22c e070548a
    6391f7ea 9d2d688d ddde03fa b54edbf4 e5ab0afc 13cdd2b9 7600aa7e eddae06c 258f65bc 4b1ddcee
    59e3b851 22bb0337 e7c3d1bb 89735383 e93afb77 11adddd0 ac6906ad 11dd4695 c20520f2 73ee12f9
    37879dab b68b81fb 05f2a1f5 8a791a84 cdb0836f 8e07cf35 74cd77f7 a138a4f7 24ed45bb 2a98795f
    8ff6800f 6526605e daf71643 bd3d10c8 28721b60 77026bb8 b90a3837 2db9ee42 3b99ddf2 af946dcc
    9bb66278 77d4b9ca 7371c59e 0eda90a5 dbcccad6 f3f09195 366698b7 09d5d76c b54d2696 aa5fb55e
    58c334bc cc783a25 b7a64792 f70ae876 9abb6e77 186bb0f8 05aad34f c730281a 63fd8e62 b161a02c
    d27a55e0 88edd40f 9f626bfc 8b87bb5d 06f639ba 1f7e4d9e 1f3a98b5 c2ff973a 1d55bfc1 b8211cf5
    f47ff19f 19cdab70 e98636a0 92da71ed 608f0c7a 3262ba7a f67ad8d6 615d1d6e e9304fbd 03935f28
    a30e2139 a3ce8532 37eadf2d e67632f8 1bc4dc72 5811b163 04778a01 25d95c75 44f570e0 7f9000cf
    0637ba36 1a900bc7 acc81b99 0031b7f8 68fe43db daa021e7 b7e0b09c 5ef151b2 ecb9693a 37b5ca42
    162a4319 9fc78498 0f309e59 414ca9a0 e406b996 5a67bfef 41233a1a 7aa91d34 ebf38741 fb389ecb
    02ed7ec5 16ba4143 2eb743d7 70c49434 07dbbc49 af1ead8d 1ca42f62 f9e5b971 f4afd5bf 758aa599
    5722db75 43ac2d0c 223b7eb6 cd9d11d0 56e2f769 3d827c0f d8428791 5391a0c3 5aa2a9e7 46d192b8
    08269fa5 eb37ac77 149db165 b05a202a cee395c4
""".split()  # noqa: SIM905


def python_manual(seed: int = 0) -> str:
    """Return the language manual that ships inside Python, as one English text.

    It is what ``help("while")`` reads, and needs no download. The topics repeat each other:
    *Compound statements* contains all of *The "while" statement*. A model tested on what it was
    trained on looks better than it is, so of paragraphs with the same words only the first is kept.
    That removes about a fifth: in Python 3.11, 465 thousand characters become 370 thousand.

    The manual grows with each version of Python. Only the sections that Python 3.11.7 has are used,
    in the same order under each version, so that the same sections are in training and test. Some
    are worded differently, so figures measured on the text differ a little between versions.

    Parameters
    ----------
    seed
        Determines the order of the sections. The manual is ordered by subject; shuffled sections
        make the beginning and the end of the text resemble each other. Within a section, paragraphs
        keep their order.

    Returns
    -------
    text
        Paragraphs with one empty line between them.

    Raises
    ------
    TypeError, ValueError
        If ``seed`` is not a whole number of at least 0.

    Examples
    --------
    >>> text = python_manual()
    >>> 300_000 < len(text) < 600_000
    True
    """
    check_at_least("seed", seed, 0)
    sections: list[list[str]] = []
    seen = set()
    for name in sorted(topics):
        sections.append([])
        for paragraph in re.split(r"\n\s*\n", topics[name].strip()):
            words = _words(paragraph)
            if words in seen:
                continue
            seen.add(words)
            if _is_heading(paragraph):
                sections.append([])
            sections[-1].append(paragraph.strip("\n"))
    known = {f"{zlib.crc32(_words(s[0]).encode()):08x}": "\n\n".join(s) for s in sections if s}
    order = np.random.default_rng(seed).permutation(len(_SECTIONS))
    shuffled = [_SECTIONS[i] for i in order]
    return "\n\n".join(known[section] for section in shuffled if section in known) + "\n"


def _words(paragraph: str) -> str:
    """Return the words of a paragraph, without marks, in small letters."""
    return " ".join(re.findall(r"\w+", paragraph)).lower()


def _is_heading(paragraph: str) -> bool:
    """Tell whether a paragraph is one line with a line of equal signs or the like below it."""
    return re.fullmatch(r".+\n([*=\-~^\"])\1+", paragraph.strip("\n")) is not None


def split_text(text: str, fractions: Sequence[float] = (0.8, 0.1, 0.1)) -> list[str]:
    r"""Cut a text into consecutive spans, for training, validation and test.

    Each cut falls on the first border between paragraphs at or after its place, so no sentence
    is cut in two. Joined, the spans are the text again.

    Parameters
    ----------
    text
        Paragraphs with an empty line between them.
    fractions
        The share of each span. They add up to 1.

    Returns
    -------
    spans
        One text per fraction.

    Raises
    ------
    ValueError
        If a fraction is not positive, they do not add up to 1, or the text has too few
        paragraphs for every span to get one.

    Examples
    --------
    >>> split_text("one\n\ntwo\n\nthree\n\nfour", (0.5, 0.5))
    ['one\n\ntwo\n\n', 'three\n\nfour']
    """
    if not fractions or min(fractions) <= 0 or not math.isclose(sum(fractions), 1):
        raise ValueError(
            f"fractions: expected positive numbers that add up to 1, got {tuple(fractions)}"
        )
    cuts = [0]
    for share in np.cumsum(fractions)[:-1]:
        border = text.find("\n\n", max(0, int(share * len(text)) - 2))
        cuts.append(len(text) if border < 0 else border + 2)
    cuts.append(len(text))
    spans = [text[a:b] for a, b in itertools.pairwise(cuts)]
    if not all(spans):
        raise ValueError(
            f"text: expected paragraphs enough for {len(spans)} spans that are not empty, "
            f"got {len(text)} characters cut at {cuts[1:-1]}"
        )
    return spans


class Vocabulary:
    """The tokens that a model knows, numbered from 0; special tokens come first.

    Build it from the training text alone: what only the test text contains is unknown, as it
    will be in any future text.

    Parameters
    ----------
    tokens
        Characters or words, each once.
    specials
        Tokens that stand for something other than themselves. With ``"<unk>"`` among them, an
        unknown token is encoded as that; otherwise it is an error.

    Raises
    ------
    TypeError, ValueError
        If a token comes twice, or ``specials`` is a string.

    Examples
    --------
    >>> vocabulary = Vocabulary.from_text("banana")
    >>> vocabulary.tokens
    ('<unk>', 'a', 'b', 'n')
    >>> vocabulary.encode("band")
    array([2, 1, 3, 0])
    >>> vocabulary.decode([2, 1, 3])
    'ban'
    """

    def __init__(self, tokens: Iterable[str], specials: Sequence[str] = (UNKNOWN,)) -> None:
        if isinstance(specials, str):
            raise TypeError(f"specials: expected a sequence of tokens, got the string {specials!r}")
        self.specials = tuple(specials)
        self.tokens = (*self.specials, *tokens)
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            twice = next(t for i, t in enumerate(self.tokens) if self._ids[t] != i)
            raise ValueError(f"tokens: expected each token once, got {twice!r} twice")

    @classmethod
    def from_text(cls, text: Iterable[str], specials: Sequence[str] = (UNKNOWN,)) -> Self:
        """Collect the different tokens of a text in sorted order.

        Parameters
        ----------
        text
            A string, taken as characters, or a list of words.
        specials
            As in the class.
        """
        return cls(sorted(set(text) - set(specials)), specials)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        """Return the number of one token, for example of a special one."""
        return int(self.encode([token])[0])

    def encode(self, text: Iterable[str]) -> Ids:
        """Turn tokens into their numbers.

        Parameters
        ----------
        text
            A string, taken as characters, or a list of words.

        Returns
        -------
        ids
            int64 ``(N,)``.

        Raises
        ------
        ValueError
            If a token is unknown and there is no ``"<unk>"``.
        """
        unknown = self._ids.get(UNKNOWN, -1)
        tokens = list(text)
        ids = np.array([self._ids.get(token, unknown) for token in tokens], np.int64)
        if unknown < 0 and (ids < 0).any():
            token = tokens[int(np.argmin(ids))]
            raise ValueError(f"text: expected tokens of the vocabulary, got {token!r}")
        return ids

    def decode(self, ids: ArrayLike, separator: str = "") -> str:
        """Turn numbers back into text.

        Parameters
        ----------
        ids
            Whole numbers ``(N,)``.
        separator
            What to put between two tokens: nothing for characters, ``" "`` for words.

        Raises
        ------
        TypeError, ValueError
            If ``ids`` are not whole numbers, or one is outside the vocabulary.
        """
        ids = np.asarray(ids)
        if ids.ndim != 1:
            raise ValueError(f"ids: expected 1 axis (N,), got {ids.ndim} axes {ids.shape}")
        if ids.size == 0:
            return ""
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"ids: expected whole numbers, got dtype {ids.dtype}")
        if ids.min() < 0 or ids.max() >= len(self):
            raise ValueError(
                f"ids: expected numbers from 0 to {len(self) - 1}, got {ids.min()} to {ids.max()}"
            )
        return separator.join(self.tokens[i] for i in ids)


def stream_batches(ids: ArrayLike, batch_size: int, seq_len: int) -> list[tuple[Ids, Ids]]:
    """Cut a long text into batches for truncated backpropagation through time.

    The text becomes ``batch_size`` parallel streams, each a consecutive piece of it, and every
    batch contains the next ``seq_len`` symbols of each stream. Column b of a batch continues where
    column b of the batch before it stopped, so the hidden state can be carried over. All batches
    have the same shape; the symbols at the end that do not fill another one, fewer than
    ``batch_size * seq_len + 1``, are dropped.

    Parameters
    ----------
    ids
        Whole numbers ``(N,)``.
    batch_size, seq_len
        B and T.

    Returns
    -------
    batches
        Pairs ``(x, y)``, both int64 ``(T, B)``: ``y`` is the symbol after each ``x``.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1, or ``ids`` is not one-dimensional, not of
        whole numbers, or too short for a single batch.

    Examples
    --------
    >>> for x, y in stream_batches(np.arange(9), batch_size=2, seq_len=2):
    ...     print(x.tolist(), y.tolist())
    [[0, 4], [1, 5]] [[1, 5], [2, 6]]
    [[2, 6], [3, 7]] [[3, 7], [4, 8]]
    """
    check_at_least("batch_size", batch_size, 1)
    check_at_least("seq_len", seq_len, 1)
    ids = np.asarray(ids)
    if ids.ndim != 1:
        raise ValueError(f"ids: expected 1 axis (N,), got {ids.ndim} axes {ids.shape}")
    n_batches = (len(ids) - 1) // (batch_size * seq_len)
    if n_batches < 1:
        raise ValueError(
            f"ids: expected at least batch_size * seq_len + 1 = {batch_size * seq_len + 1} "
            f"symbols, got {len(ids)}"
        )
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f"ids: expected whole numbers, got dtype {ids.dtype}")
    ids = ids.astype(np.int64)
    used = n_batches * batch_size * seq_len
    x = ids[:used].reshape(batch_size, n_batches, seq_len).transpose(1, 2, 0)
    y = ids[1 : used + 1].reshape(batch_size, n_batches, seq_len).transpose(1, 2, 0)
    return list(zip(np.ascontiguousarray(x), np.ascontiguousarray(y), strict=True))
