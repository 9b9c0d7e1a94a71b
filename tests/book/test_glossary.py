"""The glossary has the terms that readers look up, in order, with their names in two languages."""

import re

from tools.notebooks import ROOT

PAGE = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
BODY = PAGE.partition("```{glossary}\n")[2].partition("\n```")[0]
ENTRIES = [entry.partition("\n  ")[::2] for entry in re.split(r"\n\n(?=\S)", BODY)]


def test_every_entry_has_its_spanish_and_portuguese_name(none):
    assert len(ENTRIES) >= 130
    none(
        f'{terms.splitlines()[0]}: expected the line Spanish: <i lang="es">…'
        for terms, text in ENTRIES
        if not re.search(r'Spanish: <i lang="es">.+</i>\. Portuguese: <i lang="pt">.+</i>\.', text)
    )


def test_the_entries_are_in_order_and_no_term_comes_twice():
    first = [re.sub("[–-]", " ", terms.splitlines()[0].lower()) for terms, _ in ENTRIES]
    assert first == sorted(first)
    terms = [term for terms, _ in ENTRIES for term in terms.splitlines()]
    assert len(terms) == len(set(terms))
