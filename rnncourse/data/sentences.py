"""A small predictable language in which memory can be measured.

It grows from three sentences. In each of them an earlier word decides a later one:

*the apple is red .*
    The color follows from the noun, two words back.
*apple trees are tall .*
    What *apple* means shows at the next word: a tree, a pie, a seed. That word decides between
    *is* and *are*, one word on, and between *tall*, *sweet* and *small*, two words on.
*Tom is a cat . … Tom 's favorite food is fish .*
    The food follows from the animal, seven or more words back: any number of other sentences come
    between. They tell nothing about Tom, so only memory helps.

All the choices are uniform: which kind of sentence comes, its noun, singular or plural, the name,
the animal, how many sentences lie between. The words in question follow from them, so a model
with memory long enough can know every one of them. :func:`best_score` says what can be reached
without.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least, check_choice, check_shape, check_type
from rnncourse.data.text import UNKNOWN, Vocabulary

COLORS = {
    "apple": "red",
    "cherry": "red",
    "lemon": "yellow",
    "banana": "yellow",
    "pear": "green",
    "lime": "green",
    "plum": "blue",
    "berry": "blue",
}
"""Each noun and its color, two nouns for each of four colors."""

HEADS = {
    "tree": ("trees", "tall"),
    "pie": ("pies", "sweet"),
    "seed": ("seeds", "small"),
}
"""The heads of the compounds, each with its plural and its adjective."""

NAMES = ("Tom", "Ann", "Max", "Eva")
"""Who the stories are about. A name says nothing about the animal."""

FOODS = {
    "cat": "fish",
    "dog": "meat",
    "mouse": "cheese",
    "monkey": "nuts",
    "rabbit": "carrots",
    "hen": "corn",
    "bear": "honey",
    "cow": "grass",
}
"""Each animal and its favorite food; no two have the same."""

PAD = "<pad>"


class Question(NamedTuple):
    """A word of a sentence that an earlier word decides."""

    name: str  # "color", "verb", "adjective" or "food"
    position: int  # of the word
    distance: int  # how many words back the word that decides it is


class Sentence(NamedTuple):
    """One sentence or one story."""

    words: tuple[str, ...]
    questions: tuple[Question, ...]


ANSWERS = {
    "color": tuple(COLORS.values()),
    "verb": ("is", "are"),
    "adjective": tuple(adjective for _, adjective in HEADS.values()),
    "food": tuple(FOODS.values()),
}
"""The answers to each question, repeated in proportion to how often they come."""


def vocabulary() -> Vocabulary:
    """Return all words of the language, after ``"<pad>"`` (number 0) and ``"<unk>"``.

    Examples
    --------
    >>> vocabulary().decode([0, 1, 2], separator=" ")
    "<pad> <unk> 's"
    """
    words = {"the", "is", "are", "a", ".", "'s", "favorite", "food", *NAMES}
    words |= {*COLORS, *COLORS.values(), *HEADS, *FOODS, *FOODS.values()}
    words |= {word for pair in HEADS.values() for word in pair}
    return Vocabulary(sorted(words), specials=(PAD, UNKNOWN))


def color_sentence(rng: np.random.Generator) -> Sentence:
    """Draw a color sentence, like *the apple is red*.

    Parameters
    ----------
    rng
        Random generator.

    Raises
    ------
    TypeError
        If ``rng`` is not a generator.
    """
    check_type("rng", rng, np.random.Generator)
    noun = _pick(list(COLORS), rng)
    words = ("the", noun, "is", COLORS[noun], ".")
    return Sentence(words, (Question("color", 3, 2),))


def compound_sentence(rng: np.random.Generator) -> Sentence:
    """Draw a compound, like *apple trees are tall* or *the apple tree is tall*.

    Parameters
    ----------
    rng
        Random generator.

    Raises
    ------
    TypeError
        If ``rng`` is not a generator.
    """
    check_type("rng", rng, np.random.Generator)
    noun, head = _pick(list(COLORS), rng), _pick(list(HEADS), rng)
    plural, adjective = HEADS[head]
    words: tuple[str, ...]
    if rng.random() < 0.5:
        words = ("the", noun, head, "is", adjective, ".")
    else:
        words = (noun, plural, "are", adjective, ".")
    n = len(words)
    return Sentence(words, (Question("verb", n - 3, 1), Question("adjective", n - 2, 2)))


def story(rng: np.random.Generator, n_fillers: int) -> Sentence:
    """Draw a story, like *Tom is a cat . … Tom 's favorite food is fish*.

    Parameters
    ----------
    rng
        Random generator.
    n_fillers
        How many color and compound sentences come between. Without any, the animal is 7 words
        before the food; each adds 5 or 6.

    Returns
    -------
    sentence
        With the questions of the fillers before that of the food.

    Raises
    ------
    TypeError, ValueError
        If ``n_fillers`` is not a whole number or is negative, or ``rng`` is not a generator.
    """
    check_type("rng", rng, np.random.Generator)
    check_at_least("n_fillers", n_fillers, 0)
    name, animal = _pick(NAMES, rng), _pick(list(FOODS), rng)
    words = [name, "is", "a", animal, "."]
    questions = []
    for _ in range(n_fillers):
        filler = (color_sentence, compound_sentence)[rng.integers(2)](rng)
        questions += [q._replace(position=q.position + len(words)) for q in filler.questions]
        words += filler.words
    words += [name, "'s", "favorite", "food", "is", FOODS[animal], "."]
    food = len(words) - 2
    questions.append(Question("food", food, food - 3))
    return Sentence(tuple(words), tuple(questions))


def sentences(
    n: int,
    rng: np.random.Generator,
    kinds: Sequence[str] = ("color", "compound", "story"),
    fillers: tuple[int, int] = (0, 4),
) -> list[Sentence]:
    """Draw sentences of the language.

    Parameters
    ----------
    n
        How many.
    rng
        Random generator.
    kinds
        Which kinds to choose from: ``"color"``, ``"compound"``, ``"story"``.
    fillers
        The smallest and the largest number of sentences inside a story.

    Returns
    -------
    sentences
        A list of ``n``, each with its words and its questions.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range, a kind is unknown, ``fillers`` are not two
        numbers, or ``rng`` is not a generator.

    Examples
    --------
    >>> for sentence in sentences(3, np.random.default_rng(4), fillers=(0, 1)):
    ...     print(" ".join(sentence.words))
    Eva is a rabbit . berry seeds are small . Eva 's favorite food is carrots .
    the lemon is yellow .
    the lime seed is small .
    """
    check_at_least("n", n, 0)
    check_type("rng", rng, np.random.Generator)
    check_shape("fillers", np.shape(fillers), (2,))
    check_at_least("fillers[0]", fillers[0], 0)
    check_at_least("fillers[1]", fillers[1], fillers[0])
    if not kinds:
        raise ValueError("kinds: expected at least one kind of sentence, got none")
    for kind in kinds:
        check_choice("kinds", kind, ("color", "compound", "story"))
    drawn = []
    for _ in range(n):
        kind = _pick(kinds, rng)
        if kind == "story":
            drawn.append(story(rng, int(rng.integers(fillers[0], fillers[1] + 1))))
        else:
            drawn.append((color_sentence if kind == "color" else compound_sentence)(rng))
    return drawn


def best_score(question: Question, memory: int | None = None) -> tuple[float, float]:
    """Return the best score that any model can expect on a question, given its memory.

    If the memory reaches the deciding word, the answer is certain. If not, the best a model can
    do is to know how frequent each answer is. (A memory so short that it does not even show what is
    asked, one word for a color or a food, can do no better than that, and may do worse.)

    Parameters
    ----------
    question
        One of a sentence's questions.
    memory
        How many words the model sees, counted back from the word in question; None means all.

    Returns
    -------
    accuracy, cross_entropy
        The share of right answers, and the mean loss in nats.

    Raises
    ------
    TypeError, ValueError
        If ``memory`` is not a whole number or is negative, or the question is unknown.

    Examples
    --------
    >>> food = Question("food", position=10, distance=7)
    >>> best_score(food, memory=7)
    (1.0, 0.0)
    >>> best_score(food, memory=6)  # one of 8 foods: log(8) nats
    (0.125, 2.0794415416798357)
    """
    check_choice("question", question.name, ANSWERS)
    if memory is not None:
        check_at_least("memory", memory, 0)
    if memory is None or memory >= question.distance:
        return 1.0, 0.0
    answers = ANSWERS[question.name]
    shares = [count / len(answers) for count in Counter(answers).values()]
    return max(shares), -sum(p * math.log(p) for p in shares)


class SentenceBatch(NamedTuple):
    """Sentences side by side, ready for a model that predicts the next word."""

    x: NDArray[np.int64]  # (T, B): each word but the last
    y: NDArray[np.int64]  # (T, B): the word after it
    mask: NDArray[np.bool_]  # (T, B): where there is a word to predict


def pad_sentences(drawn: Sequence[Sentence], words: Vocabulary) -> SentenceBatch:
    """Put sentences side by side, the shorter ones padded with ``"<pad>"``.

    The answer to a question at ``position`` of sentence b is ``y[position - 1, b]``.

    Parameters
    ----------
    drawn
        B sentences. T is the length of the longest, less one.
    words
        A vocabulary with ``"<pad>"``, as :func:`vocabulary` returns it.

    Returns
    -------
    x, y, mask
        int64, int64 and bool ``(T, B)``. After the end of a sentence the mask is False, and x
        and y are the number of ``"<pad>"``.

    Raises
    ------
    ValueError
        If there is no sentence, or the vocabulary has no ``"<pad>"``.

    Examples
    --------
    >>> words = vocabulary()
    >>> drawn = [story(np.random.default_rng(0), n_fillers=0)]
    >>> x, y, mask = pad_sentences(drawn, words)
    >>> words.decode(x[:, 0], separator=" ")
    "Eva is a hen . Eva 's favorite food is corn"
    """
    if not drawn:
        raise ValueError("drawn: expected at least one sentence, got none")
    if PAD not in words:
        raise ValueError(f"words: expected a vocabulary with {PAD!r}, got {words.specials}")
    lengths = np.array([len(sentence.words) for sentence in drawn])
    ids = np.full((lengths.max(), len(drawn)), words[PAD])  # (T + 1, B)
    for b, sentence in enumerate(drawn):
        ids[: lengths[b], b] = words.encode(sentence.words)
    mask = np.arange(1, len(ids))[:, None] < lengths
    # A sentence's own last word is an input only where it is followed by padding: blank it there.
    x = np.where(mask, ids[:-1], words[PAD])
    return SentenceBatch(x, ids[1:], mask)


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
