"""The tables of symbols: each is used where it says; a Greek letter has one meaning on a page."""

import re
from functools import cache

import pytest

from tools.notebooks import NOTEBOOKS, ROOT, sources

PAGE = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
NAMES = [path.stem for path in sources()]
CHAPTERS = {int(name[:2]): name for name in NAMES if name[0].isdigit()}

# Letters with a row of their own when they carry this mark.
GREEK = re.compile(
    r"\\(alpha|beta|gamma|delta|varepsilon|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho"
    r"|sigma_\{?\\max\}?|sigma\^2|sigma|tau|phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda"
    r"|Sigma|Phi|Psi|Omega|ell)(?![a-zA-Z])"
)


def pages(where):
    """The notebooks of *chapters 4 to 6, labs on music and video*, or *from chapter 3*."""
    if where == "everywhere":
        return set(NAMES)
    if start := re.match(r"from chapter (\d+)$", where):
        return {name for name in NAMES if not name[0].isdigit() or int(name[:2]) >= int(start[1])}
    found = set()
    for part in re.split(r", (?=labs? on|scaling)", where):
        kind, _, labs = part.partition(" on ")
        if labs:
            found |= {f"lab-{lab.replace(' ', '-')}" for lab in re.split(", | and ", labs)}
        elif kind.startswith("chapter"):
            numbers = [int(n) for n in re.findall(r"\d+", kind)]
            numbers = range(numbers[0], numbers[1] + 1) if " to " in kind else numbers
            found |= {CHAPTERS[n] for n in numbers}
        else:
            found.add(kind.replace(" ", "-"))
    return found


def rows():
    """Each symbol of the tables, and where it is used."""
    for line in PAGE.splitlines():
        if line.startswith("| $"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 4, f"book/notation.md: expected four cells in {line}"
            where = next(c for c in cells if re.match("every|from|chapter|lab|scaling", c))
            for symbol in re.findall(r"\$([^$]+)\$", cells[0]):
                yield symbol, where


ROWS = list(rows())


@cache
def mathematics(name):
    """All formulas in the text of a notebook."""
    text = (NOTEBOOKS / f"{name}.md").read_text(encoding="utf-8")
    text = re.sub(r"```.*?\n```", "", text, flags=re.DOTALL)
    found = re.findall(r"\$\$(.+?)\$\$|(?<![\\$`])\$([^$]+?)\$", text, re.DOTALL)
    return "\n".join(display or inline for display, inline in found)


def pattern(symbol):
    """The symbol in a formula; with an index t, ts or i, it may have any other index there."""
    base = re.sub(r" v$|\(a\)$", "", symbol)
    bare = re.sub(r"_\{?(?:t|ts|i)\}?$", "", base)
    end = "(?![a-zA-Z])" if bare == base else "_"
    return re.compile(r"(?<![a-zA-Z\\])" + re.escape(bare) + end)


def is_letter(letter, symbol):
    """Whether a row of the tables is about this Greek letter."""
    found = GREEK.match(symbol)
    return bool(found) and found[1] == letter


def test_the_tables_are_read():
    assert len(ROWS) > 60
    some = pages("chapters 4 to 6, labs on music and text generation, scaling out")
    assert some == {
        *(CHAPTERS[n] for n in (4, 5, 6)),
        *("lab-music", "lab-text-generation", "scaling-out"),
    }


@pytest.mark.parametrize(("symbol", "where"), ROWS, ids=[f"{s} ({w})" for s, w in ROWS])
def test_a_symbol_is_used_where_the_table_says(symbol, where):
    named = pages(where)
    assert named <= set(NAMES), f"book/notation.md: there is no page {named - set(NAMES)}"
    using = {name for name in named if pattern(symbol).search(mathematics(name))}
    assert using, f"book/notation.md: {symbol} is in no formula of {where}"
    if not re.search("every|from| to ", where):
        assert using == named, f"book/notation.md: {symbol} is in no formula of {named - using}"


@pytest.mark.parametrize("name", NAMES)
def test_each_greek_letter_has_one_meaning_on_a_page(name, none):
    problems = []
    for letter in sorted(set(GREEK.findall(mathematics(name)))):
        found = [s for s, where in ROWS if is_letter(letter, s) and name in pages(where)]
        if len(found) != 1:
            problems.append(
                f"{name}: \\{letter} has {len(found)} rows for this page in book/notation.md"
            )
    none(problems)


@pytest.mark.parametrize("number", sorted(CHAPTERS))
def test_a_chapter_links_to_the_notation_in_its_first_box(number):
    text = (NOTEBOOKS / f"{CHAPTERS[number]}.md").read_text(encoding="utf-8")
    box = text.partition("class: tip")[2].partition("\n:::")[0]
    assert "](../book/notation)" in box, f"chapter {number}: link to the notation in its first box"
