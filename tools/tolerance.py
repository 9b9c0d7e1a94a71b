"""Compare the numbers of an output within a tolerance, and everything else as it stands.

A cell whose last digits change from one processor to another states in its head how far its
numbers may move: ``:tolerance: 0.02`` is absolute, ``:tolerance: 2%`` is relative to the stored
number.

Numbers are compared as they are printed: in ``87%`` an absolute tolerance of 2 allows 85 to 89. A
whole number is a count, so a relative tolerance does not move it; an absolute one does if it is 1
or more. ``nan`` and the infinities must stay what they are. Digits in a name, such as ``h0`` or
``float32``, are text, and so is everything in an HTML tag.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import unescape

from nbformat import NotebookNode

KEY = "tolerance"  # in the metadata of a cell
ADVICE = "write a positive number such as 0.02 (absolute), or a percentage such as 2% (relative)"

NUMBER = re.compile(
    r"""(?<!\w)(?<!\w\.)                     # h0, float32 and the end of 2.13.0 are names
    (?P<number>
        (?:(?<![\w.)\]])[-+−])?              # in the range 3-4 the minus is no sign
        (?:
            (?:
                [1-9]\d{0,2}(?:[,_\u2009\u202f]\d{3})+(?!\d)(?:\.\d*)?   # 1,234.5
                | \d+(?:\.\d*)?
                | \.\d+
            )
            (?:[eE][-+−]?\d{1,4}(?!\d))?
            | (?:nan|NaN|inf|Infinity|∞)(?!\w)
        )
    )
    (?P<percent>(?=\s?\\?%))?""",
    re.VERBOSE,
)
SEPARATORS = str.maketrans("−", "-", ",_\u2009\u202f")
STATED = re.compile(r"\s*(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)\s*(%?)\s*")
MARKUP = re.compile(
    r"(<!--.*?-->|<style\b.*?</style>|<script\b.*?</script>|<[^<>]*>)", re.DOTALL | re.IGNORECASE
)
RULE = re.compile(r"([-=_~─━═])\1+")  # the line under a heading


@dataclass(frozen=True)
class Number:
    """A number in a text: its value, how it is printed, and whether it counts something."""

    value: Decimal
    text: str
    whole: bool


def plain(value: Decimal) -> str:
    """Write a number without an exponent and without zeros at its end."""
    return f"{value.normalize():f}"


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be from the stored one."""

    size: Decimal
    relative: bool

    def __str__(self) -> str:
        return f"{plain(self.size * 100)}%" if self.relative else plain(self.size)

    def moves(self, number: Number) -> bool:
        """Say whether the tolerance lets a number change at all."""
        if not number.value.is_finite():
            return False
        if number.whole:
            return not self.relative and self.size >= 1
        return number.value != 0 or not self.relative

    def allowed(self, stored: Number, new: Number) -> Decimal:
        """Return the largest difference between a new number and the stored one."""
        if not self.relative:
            return self.size
        return Decimal(0) if stored.whole and new.whole else self.size * abs(stored.value)

    def accepts(self, stored: Number, new: Number) -> bool:
        """Say whether a new number is close enough to the stored one."""
        if stored.value.is_nan() or new.value.is_nan():
            return stored.value.is_nan() and new.value.is_nan()
        if stored.value.is_infinite() or new.value.is_infinite():
            return stored.value == new.value
        return abs(new.value - stored.value) <= self.allowed(stored, new)


def parse(stated: object) -> Tolerance:
    """Read a tolerance as a cell states it.

    Raises
    ------
    ValueError
        If it is neither a positive number nor a percentage.
    """
    match = STATED.fullmatch(str(stated))
    size = Decimal(match[1]) if match else Decimal(0)
    if not match or size <= 0:
        raise ValueError(f"`{stated}` is no tolerance: {ADVICE}")
    return Tolerance(size / 100 if match[2] else size, relative=bool(match[2]))


def of(cell: NotebookNode) -> Tolerance | None:
    """Return the tolerance that a cell states, or None.

    Raises
    ------
    ValueError
        If the cell states something that is no tolerance.
    """
    return parse(cell.metadata[KEY]) if KEY in cell.metadata else None


def split(text: str, html: bool = False) -> tuple[list[str], list[Number]]:
    """Take the numbers out of a text.

    Parameters
    ----------
    text
        What a cell printed.
    html
        Whether the text is HTML, whose tags then hold no numbers.

    Returns
    -------
    words
        What stands before, between and behind the numbers, one more than there are numbers. White
        space and the lengths of ruled lines are made equal, since they follow from the numbers.
    numbers
        The numbers in their order.
    """
    words, numbers = [""], []
    for index, part in enumerate(MARKUP.split(text) if html else [text]):
        if index % 2:  # a tag
            words[-1] += part
            continue
        shown, end = unescape(part) if html else part, 0
        for match in NUMBER.finditer(shown):
            words[-1] += shown[end : match.start()]
            words.append("")
            numbers.append(read(match))
            end = match.end()
        words[-1] += shown[end:]
    return [RULE.sub(r"\1\1", " ".join(word.split())) for word in words], numbers


def read(match: re.Match[str]) -> Number:
    """Read a number where the pattern found one."""
    text = match["number"]
    value = Decimal(text.translate(SEPARATORS).replace("∞", "inf"))
    fraction = re.search(r"\.\d|[eE]", text) or not value.is_finite()
    return Number(value, text, whole=not fraction and match["percent"] is None)


def difference(stored: str, new: str, tolerance: Tolerance, html: bool = False) -> str | None:
    """Say in what a new text differs from the stored one by more than its tolerance.

    Parameters
    ----------
    stored, new
        The two texts.
    tolerance
        How far the numbers may be apart.
    html
        Whether the texts are HTML.

    Returns
    -------
    str or None
        What differs, or None if the texts agree.
    """
    if stored == new:
        return None
    old_words, old_numbers = split(stored, html)
    new_words, new_numbers = split(new, html)
    if len(old_numbers) != len(new_numbers):
        return f"there were {len(old_numbers)} numbers, and now there are {len(new_numbers)}"
    for number, (was, now) in enumerate(zip(old_words, new_words, strict=True)):
        if was != now:
            where = (
                f"after number {number} (`{old_numbers[number - 1].text}`)" if number else "first"
            )
            return f"the text {where} was `{was}` and is `{now}`: only numbers may change"
    for number, (old, this) in enumerate(zip(old_numbers, new_numbers, strict=True), 1):
        if not tolerance.accepts(old, this):
            allowed = plain(tolerance.allowed(old, this))
            return (
                f"number {number} of {len(old_numbers)} was {old.text} and is {this.text}: the "
                f"tolerance of {tolerance} allows a difference of {allowed} here"
                + ("; whole numbers are counts" if tolerance.relative and old.whole else "")
            )
    return None


def texts(output: NotebookNode) -> list[tuple[str, str]]:
    """Return the texts of an output that a tolerance concerns, each with its kind."""
    if output.output_type == "stream":
        return [(output.name, output.text)]
    kinds = [kind for kind in output.get("data", {}) if kind.startswith("text/")]
    return [(kind, output.data[kind]) for kind in kinds]


def numbers_of(cell: NotebookNode) -> list[Number]:
    """Return all numbers in the text outputs of a cell."""
    return [
        number
        for output in cell.outputs
        for kind, text in texts(output)
        for number in split(text, kind == "text/html")[1]
    ]


def settle(
    new: Sequence[NotebookNode], stored: Sequence[NotebookNode], tolerance: Tolerance
) -> tuple[list[NotebookNode], list[str]]:
    """Put the stored text in the place of each new one that agrees with it.

    Parameters
    ----------
    new, stored
        The outputs of the same cell.
    tolerance
        How far the numbers may be apart.

    Returns
    -------
    outputs
        Copies of the new outputs, with the stored text wherever it agrees.
    differences
        What differs by more than the tolerance, for each text that does.
    """
    outputs = [NotebookNode(output) for output in new]
    differences: list[str] = []
    if [output.output_type for output in new] != [output.output_type for output in stored]:
        return outputs, differences  # whoever compares them says so
    for output, old in zip(outputs, stored, strict=True):
        before = dict(texts(old))
        for kind, text in texts(output):
            if kind not in before:
                continue
            found = difference(before[kind], text, tolerance, kind == "text/html")
            if found:
                differences.append(f"{kind}: {found}")
            elif output.output_type == "stream":
                output.text = before[kind]
            else:
                output.data = NotebookNode({**output.data, kind: before[kind]})
    return outputs, differences
