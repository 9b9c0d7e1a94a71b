"""Reports whose summary is known: select one fact among distractors, and say it in other words.

*kabor met lotov in ulm . sodan was beaten by mirix in gera . it rained in ulm .*
    is summarized as *mirix wins in gera , sodan is out*.

Exactly one sentence of a report tells who won a match, against whom and where. Four wordings of it
come equally often, two with the winner first and two with the loser. All other sentences are
distractors. Some share names, places or verbs with the result: *sodan won a prize in ulm*.

The summary always has the same form, with words that no report contains (``wins``, ``is``,
``out``). So it cannot be cut out of the report. It is right if all of its words are.

What is reached without understanding, in reports of n sentences: the first sentence tells the
result in one report of n. Whoever finds the result, and takes the name that comes first in it for
the winner, is right in one half.
"""

from typing import NamedTuple

import numpy as np

from rnncourse.checks import check_at_least, check_choice, check_type


def _names(beginnings: str, ends: str) -> tuple[str, ...]:
    return tuple(a + b for a in beginnings.split() for b in ends.split())


KNOWN_NAMES = _names("ka lo mi ne pa ri so ta ve zu", "bor dan fel gar lin mos nar rix tov wen")
"""100 names, for training."""

NEW_NAMES = _names("bu de fa gi ho je ku li ma po", "bok dur fan gel lum mik nor ras tis vor")
"""100 other names, for the test."""

PLACES = ("ulm", "gera", "bonn", "kiel", "trier", "halle", "essen", "mainz", "jena", "fulda")

RESULTS = (
    "{winner} beat {loser} in {place} .",
    "in {place} {winner} won against {loser} .",
    "{loser} lost to {winner} in {place} .",
    "in {place} {loser} was beaten by {winner} .",
)
"""The wordings of the result."""

DISTRACTORS = (
    "{a} met {b} in {place} .",
    "in {place} {a} was seen with {b} .",
    "{a} won a prize in {place} .",
    "{a} lost a shoe in {place} .",
    "in {place} {a} beat a drum .",
    "tickets in {place} cost {number} .",
    "it rained in {place} .",
    "{a} trains with {b} .",
)

NUMBERS = tuple(str(n) for n in range(2, 30))

SUMMARY = "{winner} wins in {place} , {loser} is out"


class Report(NamedTuple):
    """A report and its summary.

    Attributes
    ----------
    words
        Of the report.
    summary
        Words of the summary.
    winner, place, loser
        The facts.
    result
        Which sentence tells them, from 0.
    sentences
        Their number.
    """

    words: tuple[str, ...]
    summary: tuple[str, ...]
    winner: str
    place: str
    loser: str
    result: int
    sentences: int


def reports(
    n: int,
    rng: np.random.Generator,
    sentences: tuple[int, int] = (3, 6),
    names: str = "known",
    first: float | None = None,
) -> list[Report]:
    """Draw reports.

    Parameters
    ----------
    n
        How many.
    rng
        Random generator.
    sentences
        The smallest and the largest number of sentences, all equally likely.
    names
        ``"known"`` or ``"new"``: from which list the names come.
    first
        Probability that the result comes first, as news stories do it; otherwise it comes at any
        other place. None: all places are equally likely.

    Returns
    -------
    reports
        ``n`` of them.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> report = reports(1, np.random.default_rng(5), sentences=(2, 2))[0]
    >>> print(" ".join(report.words))
    somos met kafel in jena . in jena kafel was beaten by somos .
    >>> print(" ".join(report.summary))
    somos wins in jena , kafel is out
    """
    check_at_least("n", n, 0)
    check_type("rng", rng, np.random.Generator)
    check_at_least("sentences[0]", sentences[0], 1)
    check_at_least("sentences[1]", sentences[1], sentences[0])
    check_choice("names", names, ("known", "new"))
    if first is not None and not 0 <= first <= 1:
        raise ValueError(f"first: expected a probability or None, got {first}")
    everybody = KNOWN_NAMES if names == "known" else NEW_NAMES
    drawn = []
    for _ in range(n):
        length = int(rng.integers(sentences[0], sentences[1] + 1))
        # Few people and places in a report: most are named more than once.
        people = [everybody[i] for i in rng.choice(len(everybody), 4, replace=False)]
        places = [PLACES[i] for i in rng.choice(len(PLACES), 3, replace=False)]
        winner, loser, place = people[0], people[1], places[0]
        if first is None or length == 1:
            result = int(rng.integers(length))
        else:
            result = 0 if rng.random() < first else int(rng.integers(1, length))
        text: list[str] = []
        for i in range(length):
            if i == result:
                wording = RESULTS[rng.integers(len(RESULTS))]
                text += wording.format(winner=winner, loser=loser, place=place).split()
            else:
                a, b = (people[j] for j in rng.choice(4, 2, replace=False))
                wording = DISTRACTORS[rng.integers(len(DISTRACTORS))]
                text += wording.format(
                    a=a,
                    b=b,
                    place=places[rng.integers(3)],
                    number=NUMBERS[rng.integers(len(NUMBERS))],
                ).split()
        summary = SUMMARY.format(winner=winner, loser=loser, place=place).split()
        drawn.append(Report(tuple(text), tuple(summary), winner, place, loser, result, length))
    return drawn


__all__ = [
    "DISTRACTORS",
    "KNOWN_NAMES",
    "NEW_NAMES",
    "NUMBERS",
    "PLACES",
    "RESULTS",
    "SUMMARY",
    "Report",
    "reports",
]
