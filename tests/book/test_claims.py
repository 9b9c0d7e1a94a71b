"""Each claim of the claims page has a verdict, and leads to a section that asserts something."""

import re

import jupytext
import pytest

from tools.notebooks import NOTEBOOKS, ROOT

PAGE = (ROOT / "book" / "claims.md").read_text(encoding="utf-8")
VERDICTS = {"{bdg-success}`true`", "{bdg-warning}`within limits`", "{bdg-danger}`false`"}
CLAIMS = re.findall(r'^### (".*)\n\n((?:(?!^#).*\n)*)', PAGE, re.MULTILINE)


def slug(heading):
    """Return the anchor that MyST gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def sections(notebook):
    """Return the code of each section, with that of its subsections, by the heading's anchor."""
    found, open_ = {}, []  # the open sections: level and anchor
    for cell in jupytext.read(notebook).cells:
        if cell.cell_type == "markdown":
            for marks, heading in re.findall(r"^(#{2,3}) (.+)$", cell.source, re.MULTILINE):
                open_ = [(level, name) for level, name in open_ if level < len(marks)]
                open_.append((len(marks), slug(heading)))
        elif cell.cell_type == "code":
            for _, name in open_:
                found.setdefault(name, []).append(cell.source)
    return found


def asserts_something(cells):
    return any(re.search(r"^ *assert ", code, re.MULTILINE) for code in cells)


def test_there_are_claims_and_no_heading_is_overlooked():
    assert len(CLAIMS) >= 20
    assert len(CLAIMS) == len(re.findall(r"^### ", PAGE, re.MULTILINE))
    assert len({claim for claim, _ in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize(("claim", "answer"), CLAIMS, ids=[claim for claim, _ in CLAIMS])
def test_a_claim_has_a_verdict_and_a_section_that_asserts(claim, answer):
    assert sum(answer.count(verdict) for verdict in VERDICTS) == 1, f"{claim}: one verdict"
    links = re.findall(r"\]\(\.\./notebooks/([\w-]+\.md)#([\w-]+)\)", answer)
    assert links, f"{claim}: expected a link to the section that measures it"
    for file, anchor in links:
        found = sections(NOTEBOOKS / file)
        assert anchor in found, f"{claim}: {file} has no section #{anchor} with code"
        assert asserts_something(found[anchor]), f"{claim}: {file}#{anchor} asserts nothing"


def test_a_section_without_an_assertion_is_found(tmp_path):
    page = tmp_path / "chapter.md"
    page.write_text(
        "# C\n\n## One, two\n\n```{code-cell} ipython3\nprint(1)\n```\n\n### Three: 3\n\n"
        "```{code-cell} ipython3\nassert 1\n```\n\n## Four\n\n```{code-cell} ipython3\n1\n```\n",
        encoding="utf-8",
    )
    found = sections(page)
    assert set(found) == {"one-two", "three-3", "four"}
    assert asserts_something(found["one-two"])
    assert asserts_something(found["three-3"])
    assert not asserts_something(found["four"])
