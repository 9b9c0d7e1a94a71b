"""No page of an edition, as it is built, shows a paragraph in English. Needs ``make book``."""

import re
from html.parser import HTMLParser

import pytest

from tools import editions
from tools.site import SITE

EDITIONS = [editions.Edition(language) for language in editions.configuration()["editions"]]
PAGES = [(edition, name) for edition in EDITIONS for name in edition.pages]
BLOCKS = {"caption", "dd", "dt", "figcaption", "li", "p", "summary", "td", "th"}
BLOCKS |= {f"h{level}" for level in range(1, 7)}
EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"}
EMPTY |= {"track", "wbr"}
NO_PROSE = {"code", "pre", "script", "style", "svg"}
NO_PROSE_CLASSES = {"cell_output", "headerlink", "math"}
DECIDED = 3
"""So many words, or fewer, may be the same in both languages, where the catalog says so."""


class Blocks(HTMLParser):
    """The paragraphs of a page, without code, formulas, citations, and quotes in a language."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text, self.open = [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag in EMPTY:
            return
        given = dict(attributes)
        hidden = (
            tag in NO_PROSE
            or NO_PROSE_CLASSES & set((given.get("class") or "").split())
            or ("lang" in given and tag != "html")
            or "bibliography.html#" in (given.get("href") or "")
        )
        self.open.append((tag, bool(hidden)))
        self.end_of(tag)

    def handle_endtag(self, tag):
        if tag in [name for name, _ in self.open]:
            self.end_of(tag)
            while self.open.pop()[0] != tag:
                pass

    def handle_data(self, data):
        if any(name == "article" for name, _ in self.open) and not any(h for _, h in self.open):
            self.text += data

    def end_of(self, tag):
        if tag in BLOCKS:
            if text := " ".join(self.text.split()):
                self.found.append(text)
            self.text = ""


def words(text, keep=()):
    for phrase in sorted(keep, key=len, reverse=True):
        text = text.replace(phrase, " ")
    return tuple(re.findall(r"\b[^\W\d_]{3,}\b", text))


def plain(text):
    """Return a piece of a catalog as its page shows it."""
    text = re.sub(r"\{cite[^}]*\}`[^`]*`|\$[^$]*\$|(?<!\})`[^`]*`", " ", text)
    text = re.sub(r"\{[\w:-]+\}`([^`<]*)(<[^`>]*>)?`", r"\1", text)
    return re.sub(r"\]\([^)]*\)|<[^<>]+>|[*\[]", " ", text)


def alike(catalog, headings=()):
    """Return what a translator decided to leave: short texts, and headings that quote a message."""
    pairs = {text: (words(plain(text)), words(plain(new))) for (_, text), new in catalog.items()}
    return {
        old
        for text, (old, new) in pairs.items()
        if old == new and (len(old) <= DECIDED or text in headings)
    }


def left_in_english(english, page, keep=(), decided=()):
    """Return the paragraphs of a page that stand in the English one, word for word."""
    there = set(Blocks(english).found)
    same = [text for text in Blocks(page).found if text in there]
    return [t for t in dict.fromkeys(same) if words(t, keep) and words(t, keep) not in decided]


def built(name):
    path = SITE / f"{name}.html"
    if not path.exists():
        pytest.fail(f"{path.relative_to(editions.ROOT)} is not there: run `make book`", False)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("edition", "name"), PAGES, ids=lambda x: getattr(x, "language", None) or x
)
def test_no_paragraph_is_left_in_english(edition, name, none):
    page, fix = built(f"{edition.path}/{name}"), f"run `make editions` (and `make book`), {name}"
    waits = edition.says("This page is not translated yet.")
    assert waits not in page, f"{fix} is on the list of pages, and was built as one that waits"
    catalogs = [edition.catalog(catalog) for catalog in (editions.OWN, "book/glossary", name)]
    headings = {piece.text for piece in editions.pieces(name) if piece.kind == "heading"}
    decided = set().union(*(alike(catalog, headings) for catalog in catalogs))
    keep = editions.configuration()["keep"]
    left = left_in_english(built(name), page, keep, decided)
    none(f"{edition.path}/{name}.html shows in English: {editions.shortened(t)}" for t in left)


ENGLISH = """<html lang="en"><p>Menu</p><article><h1>The gate<a class="headerlink">#</a></h1>
<p>It opens <code>f</code> and closes.</p><ul><li><p>A list</p></li></ul><p>LSTM</p><p>the apple</p>
<p>85 <span class="math">\\text{loss}</span> <a href="bibliography.html#x">Elman, 1990</a></p>
<div class="cell_output"><p>an output</p></div><p><i lang="en">quoted words</i></p>
<table><tr><td>one cell<td>Cell two</td></tr></table></article></html>"""


def test_what_is_left_in_english_is_found():
    everything = ["The gate", "It opens and closes.", "A list", "one cell", "Cell two"]
    assert left_in_english(ENGLISH, ENGLISH, ["the apple"], {("LSTM",)}) == everything
    spanish = ENGLISH.replace("The gate", "La puerta").replace("opens", "abre")
    assert left_in_english(ENGLISH, spanish, ["the apple"], {("LSTM",)}) == everything[2:]


def test_a_short_text_may_stay_where_the_catalog_says_so():
    catalog = {
        (None, "{term}`Softmax <softmax>`"): "{term}`Softmax <softmax>`",
        (None, "*loss*"): "pérdida",
        (None, "A text of many more words"): "A text of many more words",
    }
    assert alike(catalog) == {("Softmax",)}
    assert len(alike(catalog, ["A text of many more words"])) == 2
