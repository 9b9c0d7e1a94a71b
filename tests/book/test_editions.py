"""Editions in other languages: nothing is missing on their pages, and what is stored is current."""

import jupytext
import pytest

from tools import editions, segments
from tools.notebooks import ROOT

EDITIONS = [editions.Edition(language) for language in editions.configuration()["editions"]]
ALWAYS = [editions.OWN, *editions.configuration()["always"]]
PAGES = [(edition, name) for edition in EDITIONS for name in (*ALWAYS, *edition.pages)]


def named(value):
    return value.language if isinstance(value, editions.Edition) else value


@pytest.mark.parametrize(("edition", "name"), PAGES, ids=named)
def test_everything_is_translated(edition, name, none):
    none(editions.problems_of(edition, name))


@pytest.mark.parametrize("edition", EDITIONS, ids=named)
def test_notebooks_of_editions_are_current(edition, none):
    editions.plant(edition, [n for n in editions.contents() if n not in edition.pages])
    names = [name for name in edition.pages if name.startswith("notebooks/")]
    none(problem for name in names for problem in editions.stale(edition, name))


@pytest.mark.parametrize("name", [n for n in editions.contents() if (ROOT / f"{n}.md").exists()])
def test_a_translation_into_the_same_words_changes_nothing(name):
    before, after = editions.source(name), editions.walk(name, ROOT, lambda text, kind: text)
    for a, b in zip(cells(before), cells(after), strict=True):
        assert a == b


def cells(text):
    """Return code as it is, and prose as it is read."""
    if "kernelspec:" not in text:
        return [meaning(text)]
    notebook = jupytext.reads(text, fmt={"extension": ".md", "format_name": "myst"})
    return [c.source if c.cell_type == "code" else meaning(c.source) for c in notebook.cells]


def meaning(text):
    tokens = segments.parser().parse(text)
    return [
        (token.type, token.info, token.content.replace(":sorted:", "").split()) for token in tokens
    ]


def test_a_changed_paragraph_is_noticed(tmp_path):
    piece = editions.Piece("The network reads one word at a time.", "paragraph")
    path = tmp_path / "page.po"
    stored = {piece.key: editions.Entry("La red lee una palabra a la vez.")}
    editions.write_catalog(path, "es", [piece], stored)
    changed = editions.Piece("The network reads two words at a time.", "paragraph")
    entry = editions.merge([changed], editions.read_catalog(path))[changed.key]
    assert entry.fuzzy
    assert entry.before == piece.text
    editions.write_catalog(path, "es", [changed], {changed.key: entry})
    assert editions.read_catalog(path)[changed.key] == entry


@pytest.mark.parametrize(
    ("kind", "text", "new", "problem"),
    [
        ("paragraph", "See {doc}`3 <x>`.", "Ve {doc}`tres <x>`.", None),
        ("paragraph", "See {doc}`3 <x>`.", "Ve {doc}`tres <y>`.", "lacks"),
        (
            "paragraph",
            "It has 115 000 weights, 0.85 each.",
            "Son 115 000 pesos, 0,85 cada uno.",
            None,
        ),
        ("paragraph", "It has 0.85 bits.", "Son 0,58 bits.", "number 0.85"),
        ("paragraph", "Call `f(x)`.", "Llama a `g(x)`.", "lacks `f(x)`"),
        ("paragraph", "Let $p_{\\text{model}}$ be.", "Sea $p_{\\text{modelo}}$.", None),
        ("paragraph", "Five.", "- Cinco.", "single paragraph"),
        ("string", "update {n + 1}: loss {x:.2f}", "paso {n + 1}: pérdida {x:.2f}", None),
        ("string", "update {n + 1}", "paso {n}", "changes what stands"),
        ("string", "{'in all':9s} {x}", "{'en total':9s} {x}", None),
    ],
)
def test_a_translation_must_hold_what_the_source_holds(kind, text, new, problem):
    found = list(editions.disagreements(editions.Piece(text, kind), new))
    assert not found if problem is None else problem in found[0]
