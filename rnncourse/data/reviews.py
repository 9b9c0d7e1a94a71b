"""Short film reviews of three classes, from a grammar: negative, neutral, positive.

Each review has facts, which say nothing about its class, and an opinion of its writer, which
decides it. There are seven ways to say the opinion, :data:`CASES`:

plain
    *the music is really lovely .*
negated
    *the music is not lovely .* The negation stands right before its word, or with an intensifier
    between, and turns it into the opposite: *not bad* is positive.
distant
    *i would not say that the music of this film is lovely .* Seven words or more lie between.
undone
    *nobody can deny that the music is lovely .* A negation that negates nothing.
contrast
    *although the music is lovely , the plot is dull .* The main clause decides. It is the second
    after *but*, and the first before *although*. Clauses may be negated.
quoted
    *my aunt calls the plot dull . to me the music is lovely .* Other people's opinions do not
    count, unless the writer agrees or disagrees with them.
far
    *the music is lovely .* Then three to five sentences of facts.

A review is neutral because its opinion is (*the music is ordinary*), because it balances (*the
music is lovely , and the plot is dull*; *neither lovely nor dull*), or because it has none. In
every case each class comes equally often, so the case alone does not tell the class.

The words decide the class. Then a known share of the labels is replaced by one of the two others,
as if somebody had clicked on the wrong one, so the best possible accuracy is known exactly
(:func:`best_score`). Opinion words come unequally often, the rarest an eighth as often as the most
frequent. Some nouns come only in reviews for training, others only in those for testing.
"""

import math
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least, check_choice, check_type
from rnncourse.data.text import UNKNOWN, Vocabulary

CLASSES = ("negative", "neutral", "positive")
NEGATIVE, NEUTRAL, POSITIVE = range(3)
CASES = ("plain", "negated", "distant", "undone", "contrast", "quoted", "far")
SHARES = (0.34, 0.12, 0.08, 0.06, 0.14, 0.14, 0.12)  # how often each case comes
NOISE = 0.06  # the share of wrong labels
PAD = "<pad>"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GOOD = _words("""
    good great lovely brilliant clever charming funny moving gripping superb witty wonderful fresh
    excellent delightful beautiful touching elegant sharp warm thrilling stunning convincing
    memorable splendid tender vivid subtle hilarious masterful
""")
"""Positive words, the most frequent first."""

BAD = _words("""
    bad dull boring weak poor awful terrible silly flat lazy clumsy tedious predictable dreadful
    messy shallow annoying wooden confusing bland hollow pointless stale painful lifeless tiresome
    disappointing sloppy dreary muddled
""")
"""Negative words, the most frequent first."""

PLAIN = _words("""
    average ordinary passable acceptable standard conventional typical middling adequate
    unremarkable
""")
"""Neutral words, the most frequent first."""

WORDS = (BAD, PLAIN, GOOD)

NOUNS = {
    "both": _words("""
        plot acting music ending dialogue script pacing humor villain hero opening story
    """),
    "train": ("finale", "soundtrack", "lighting", "editing", "twist", "narrator"),
    "test": ("prologue", "choreography", "makeup", "heroine", "animation", "epilogue"),
}
"""What is praised or not: in all reviews, only in those for training, only in those for testing."""
INTENSIFIERS = ("very", "really", "quite", "rather")
PEOPLE = ("sister", "brother", "aunt", "uncle", "neighbor", "teacher", "boss", "cousin")
PLACES = ("paris", "lisbon", "chicago", "dublin", "quito", "oslo", "mumbai", "nairobi")
DAYS = ("monday", "tuesday", "friday", "saturday", "sunday")
WHO = {"person": PEOPLE, "place": PLACES, "day": DAYS}

# A star marks the words that decide. {w} is an opinion word, {v} one of the opposite class, {n} a
# noun, {i} and {j} are an intensifier or nothing. {C} and {D} are clauses with opposite opinions.
FACTS = (
    "the film runs for two hours .",
    "we saw it on a {day} .",
    "it was shot in {place} .",
    "i did not read the book .",
    "there was no queue at the door .",
    "my {person} came along .",
    "it is the third film of this director .",
    "the story begins in a small town near {place} .",
    "nobody in the cast comes from {place} .",
    "they began to work on the {n} in {place} .",
    "the {n} was made by a team from {place} .",
    "it is not a long way from {place} to our cinema .",
    "my {person} never comes late , but this time we missed the start .",
    "although it was {day} , the cinema was half empty .",
    "the lights went on and we took the bus home .",
)
CLAIMS = (
    "the {n} is {i} *{w}",
    "i found the {n} {i} *{w}",
    "to me the {n} felt {i} *{w}",
    "for me the {n} was {i} *{w} from start to finish",
)
NEGATED = (
    "the {n} is *not {j} *{w}",
    "the {n} is *not *{w} at all",
    "the {n} is *far *from *{w}",
    "the {n} is *hardly *{w}",
)
DISTANT = (
    "i would *not say that the {n} of this film is *{w}",
    "i do *not think that anybody could call the {n} *{w}",
    "at *no point in these two hours was the {n} *{w}",
    "*never , in any of its many scenes , is the {n} *{w}",
)
UNDONE = (
    "*nobody can *deny that the {n} is *{w}",
    "*not *only is the {n} *{w} , it stays so to the end",
    "there is *no *doubt that the {n} is *{w}",
    "i can *not *deny that i found the {n} *{w}",
)
CONTRAST = (
    "{D} , *but {C}",
    "*although {D} , {C}",
    "{C} , *although {D}",
    "{C} , *even *if {D}",
)
BALANCE = ("{C} , *and {D}", "on the one hand {C} , *and on the *other hand {D}")
NEITHER = {
    "negated": ("the {n} is *neither *{w} *nor *{v}", "the {n} is *not *{w} and *not *{v}"),
    "distant": (
        "i would *not say that the {n} of this film is *{w} *or *{v}",
        "at *no point in these two hours was the {n} *{w} *or *{v}",
    ),
}
QUOTES = (
    "my {person} calls the {n} {w} .",
    "the poster calls the {n} {i} {w} .",
    "the critics found the {n} {w} .",
    "the last film of this director was {i} {w} .",
)
AGREE = "my {person} calls the {n} *{w} , and i *agree ."
DISAGREE = "my {person} calls the {n} *{w} , and i *disagree ."


class Review(NamedTuple):
    """One review."""

    words: tuple[str, ...]
    label: int  # its class as it was noted: 0 negative, 1 neutral, 2 positive
    clean: int  # the class that its words say
    case: str  # one of CASES
    evidence: tuple[int, ...]  # positions of the words that decide


def best_score(noise: float = NOISE) -> tuple[float, float]:
    """Return what a reader who understands every review can reach on labels with this noise.

    Guessing, or always saying the same class, is right for a third.

    Parameters
    ----------
    noise
        The share of labels that are replaced, from 0 to 2/3.

    Returns
    -------
    accuracy, cross_entropy
        The share of right answers, and the mean loss in nats.

    Raises
    ------
    ValueError
        If ``noise`` lies outside 0 to 2/3, where a label still says more than nothing.

    Examples
    --------
    >>> accuracy, loss = best_score()
    >>> round(accuracy, 3), round(loss, 3)
    (0.94, 0.269)
    """
    _check_noise(noise)
    shares = [1 - noise, noise / 2, noise / 2]
    return 1 - noise, -sum(p * math.log(p) for p in shares if p)


def reviews(
    n: int,
    rng: np.random.Generator,
    part: str = "train",
    *,
    cases: Sequence[str] = CASES,
    noise: float = NOISE,
) -> list[Review]:
    """Draw reviews: cases by their shares, classes uniformly.

    Parameters
    ----------
    n
        How many.
    rng
        Random generator.
    part
        ``"train"`` or ``"test"``: which nouns occur besides those of both.
    cases
        Which of :data:`CASES`, with the ratios of :data:`SHARES`.
    noise
        The share of labels that are replaced by one of the two other classes.

    Raises
    ------
    TypeError, ValueError
        If ``n`` is not a whole number of at least 0, ``rng`` is not a generator, ``part`` or a case
        is unknown, there is no case, or ``noise`` lies outside 0 to 2/3.

    Examples
    --------
    >>> drawn = reviews(1, np.random.default_rng(3), cases=["contrast"])[0]
    >>> " ".join(drawn.words)
    'the film runs for two hours . i found the music tedious , but to me the dialogue felt lovely .'
    >>> CLASSES[drawn.clean], [drawn.words[i] for i in drawn.evidence]
    ('positive', ['but', 'lovely'])
    """
    check_at_least("n", n, 0)
    check_type("rng", rng, np.random.Generator)
    check_choice("part", part, ("train", "test"))
    if not cases:
        raise ValueError("cases: expected at least one, got none")
    for case in cases:
        check_choice("cases", case, CASES)
    _check_noise(noise)
    writer = _Writer(rng, part)
    shares = np.array([SHARES[CASES.index(case)] for case in cases])
    often = (np.cumsum(shares[:-1]) / shares.sum()).tolist()
    drawn = []
    for _ in range(n):
        case, clean = cases[bisect(often, writer.random())], writer.below(3)
        marked = writer.review(case, clean).split()
        words = tuple(word.removeprefix("*") for word in marked)
        evidence = tuple(i for i, word in enumerate(marked) if word.startswith("*"))
        wrong = writer.random() < noise
        label = (clean + 1 + writer.below(2)) % 3 if wrong else clean
        drawn.append(Review(words, label, clean, case, evidence))
    return drawn


class _Fields(dict[str, str]):
    """What a pattern asks for, drawn when it asks."""

    def __init__(self, writer: "_Writer", polarity: int) -> None:
        super().__init__()
        self.writer, self.polarity = writer, polarity

    def __missing__(self, name: str) -> str:
        writer = self.writer
        if name in "wv":
            polarity = self.polarity if name == "w" else 2 - self.polarity
            return WORDS[polarity][bisect(writer.shares[polarity], writer.random())]
        if name in "ij":
            choices = INTENSIFIERS if name == "i" else INTENSIFIERS[:2]
            return writer.pick(choices) if writer.random() < 0.4 else ""
        return writer.noun() if name == "n" else writer.pick(WHO[name])


class _Writer:
    """Fills the patterns."""

    def __init__(self, rng: np.random.Generator, part: str) -> None:
        self.rng = rng
        self.numbers: list[float] = []
        self.nouns = NOUNS["both"] + NOUNS[part]
        self.before = ""
        self.shares = [np.cumsum(_falling(len(words))[:-1]).tolist() for words in WORDS]

    def random(self) -> float:
        """Draw a number from 0 to 1. Many are drawn at once, which is ten times as fast."""
        if not self.numbers:
            self.numbers = self.rng.random(4096).tolist()
        return self.numbers.pop()

    def below(self, n: int) -> int:
        return int(n * self.random())

    def pick(self, choices: Sequence[str]) -> str:
        return choices[self.below(len(choices))]

    def noun(self) -> str:
        """Pick a noun other than the one before, or clauses would contradict each other."""
        self.before = self.pick([noun for noun in self.nouns if noun != self.before])
        return self.before

    def fill(self, pattern: str, polarity: int) -> str:
        """Fill a pattern: ``w`` has this polarity, ``v`` the opposite one."""
        return pattern.format_map(_Fields(self, polarity))

    def facts(self, least: int, most: int) -> list[str]:
        """Return different facts, as many as a draw between two numbers says."""
        left, chosen = list(FACTS), []
        for _ in range(least + self.below(most - least + 1)):
            chosen.append(left.pop(self.below(len(left))))
        return [self.fill(fact, NEUTRAL) for fact in chosen]

    def clause(self, polarity: int) -> str:
        """Say something of a noun; one clause in four says it with a negation."""
        if self.random() < 0.25:
            return self.fill(self.pick(NEGATED), 2 - polarity)
        return self.fill(self.pick(CLAIMS), polarity)

    def side(self) -> int:
        return 2 * self.below(2)

    def verdict(self, case: str, clean: int) -> str:
        """Return the sentence in which the writer says what they think."""
        if case == "contrast":
            first = self.side() if clean == NEUTRAL else clean
            main, aside = self.clause(first), self.clause(2 - first)
            if clean == NEUTRAL:
                return self.pick(BALANCE).format(C=main, D=aside)
            return self.pick(CONTRAST).format(C=main, D=aside.replace("*", ""))
        if case in NEITHER:
            if clean == NEUTRAL:
                return self.fill(self.pick(NEITHER[case]), self.side())
            return self.fill(self.pick(NEGATED if case == "negated" else DISTANT), 2 - clean)
        return self.fill(self.pick(UNDONE if case == "undone" else CLAIMS), clean)

    def review(self, case: str, clean: int) -> str:
        if case == "far":
            return " ".join([self.verdict(case, clean), ".", *self.facts(3, 5)])
        if case == "quoted":
            opinion = self.quoted(clean)
        elif case == "plain" and clean == NEUTRAL and self.random() < 0.5:
            return " ".join(self.facts(1, 3))  # neutral because there is no opinion
        else:
            opinion = self.verdict(case, clean) + " ."
        return " ".join([*self.facts(0, 1), opinion, *self.facts(0, 1)])

    def quoted(self, clean: int) -> str:
        """Return other people's opinions, and the writer's own, if there is one."""
        others = self.fill(self.pick(QUOTES), self.side())
        kind = self.below(3)
        if clean == NEUTRAL:
            if kind == 0:
                return others
        elif kind == 0:
            return self.fill(*((AGREE, clean) if self.random() < 0.5 else (DISAGREE, 2 - clean)))
        else:
            others = self.fill(self.pick(QUOTES), 2 - clean)
        own = self.fill(self.pick(CLAIMS), clean) + " ."
        return " ".join([others, own] if kind == 1 else [own, others])


def vocabulary(drawn: Sequence[Review], least: int = 2) -> Vocabulary:
    """Return the words of some reviews, after ``"<pad>"`` (number 0) and ``"<unk>"``.

    Parameters
    ----------
    drawn
        The reviews for training.
    least
        A word that comes less often is unknown, so that a network meets unknown words in training.

    Raises
    ------
    TypeError, ValueError
        If ``least`` is not a whole number of at least 1.

    Examples
    --------
    >>> from rnncourse.data.reviews import Review
    >>> vocabulary([Review(("so", "so", "dull"), 0, 0, "plain", (2,))]).tokens
    ('<pad>', '<unk>', 'so')
    """
    check_at_least("least", least, 1)
    counts = Counter(word for review in drawn for word in review.words)
    return Vocabulary(sorted(w for w, k in counts.items() if k >= least), specials=(PAD, UNKNOWN))


class ReviewBatch(NamedTuple):
    """Reviews side by side."""

    x: NDArray[np.int64]  # (T, B): words, then "<pad>"
    lengths: NDArray[np.int64]  # (B,): words of each review
    y: NDArray[np.int64]  # (B,): labels


def pad_reviews(drawn: Sequence[Review], words: Vocabulary) -> ReviewBatch:
    """Put reviews side by side, the shorter ones padded with ``"<pad>"``.

    Parameters
    ----------
    drawn
        B reviews. T is the length of the longest.
    words
        A vocabulary with ``"<pad>"``, as :func:`vocabulary` returns it.

    Returns
    -------
    x, lengths, y
        int64 ``(T, B)``, ``(B,)`` and ``(B,)``.

    Raises
    ------
    ValueError
        If there is no review, one has no words, or the vocabulary has no ``"<pad>"``.

    Examples
    --------
    >>> drawn = reviews(3, np.random.default_rng(0))
    >>> x, lengths, y = pad_reviews(drawn, vocabulary(drawn))
    >>> x.shape == (lengths.max(), 3), y.shape
    (True, (3,))
    """
    if not drawn:
        raise ValueError("drawn: expected at least one review, got none")
    if PAD not in words:
        raise ValueError(f"words: expected a vocabulary with {PAD!r}, got {words.specials}")
    lengths = np.array([len(review.words) for review in drawn])
    if not lengths.min():
        raise ValueError(f"drawn[{lengths.argmin()}]: expected at least one word, got none")
    x = np.full((lengths.max(), len(drawn)), words[PAD])
    for b, review in enumerate(drawn):
        x[: lengths[b], b] = words.encode(review.words)
    return ReviewBatch(x, lengths, np.array([review.label for review in drawn]))


def _falling(n: int) -> NDArray[np.float64]:
    """Return n shares, the last of them about an eighth of the first."""
    weights = 1 / (np.arange(n) + 4)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _check_noise(noise: float) -> None:
    if not 0 <= noise <= 2 / 3:
        raise ValueError(f"noise: expected a share from 0 to 2/3, got {noise}")
