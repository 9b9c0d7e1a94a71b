"""Sphinx extension: a term of the glossary is linked where a notebook first uses it.

The link carries the definition, so that a pointer that rests on it shows it. Nobody has to set
these links, and none is missing when a term is new.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

GLOSSARY = "book/glossary"
# Everyday words that are also terms: linked only where a text sets them in bold or italics.
EVERYDAY = frozenset(
    re.findall(
        r"\w+",
        """accuracy attention baseline batch bias candidate cell classification convolution coverage
        decoder encoder fusion gate inference layer leakage mask pointer pooling profile recall
        regression sampling scan smoothing surprise temperature token training transformer twin
        unit vocabulary window""",
    )
)
UNTOUCHED = (
    *(nodes.reference, addnodes.pending_xref, nodes.title, nodes.caption, nodes.rubric),
    *(nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw),
)


class Entry(NamedTuple):
    """What a link to the glossary needs."""

    anchor: str
    definition: str
    item: str  # the same for all names of one entry


def plain(paragraph: nodes.paragraph) -> str:
    """Return a paragraph's text without its citations."""
    copy = paragraph.deepcopy()
    for citation in list(copy.findall(addnodes.pending_xref)):
        if citation.get("refdomain") == "cite":
            citation.parent.remove(citation)
    return re.sub(r"\s+([.,;:])", r"\1", copy.astext())


@cache
def entries(env: BuildEnvironment) -> dict[str, Entry]:
    """Return all terms of the glossary, in the site's language."""
    found = {}
    for item in env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        definition = plain(next(item.findall(nodes.paragraph)))
        terms = [term for term in item.findall(nodes.term) if term["ids"]]
        for term in terms:
            found[term.astext()] = Entry(term["ids"][0], definition, terms[0]["ids"][0])
    return found


def pattern(terms: dict[str, Entry]) -> re.Pattern[str]:
    """Return what finds a term or its plural; the longest term comes first."""
    words = sorted(terms, key=len, reverse=True)
    either = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in words)
    return re.compile(rf"(?<![\w-])({either})(?:e?s)?(?![\w-])", re.IGNORECASE)


def texts(doctree: nodes.document) -> Iterator[tuple[nodes.Text, bool]]:
    """Yield each text in which a term may be linked, and whether it is set in bold or italics."""
    for text in doctree.findall(nodes.Text):
        parents, node = [], text.parent
        while node is not None:
            parents.append(node)
            node = node.parent
        if not any(isinstance(parent, UNTOUCHED) for parent in parents) and any(
            isinstance(parent, nodes.paragraph) for parent in parents
        ):
            yield text, isinstance(text.parent, (nodes.strong, nodes.emphasis))


def link(doctree: nodes.document, terms: dict[str, Entry], page: str, english: bool) -> None:
    """Link the first use of each entry to ``page``, the glossary's address."""
    by_name = {term.lower(): entry for term, entry in terms.items()}
    find, done = pattern(terms), set()
    for text, emphasized in list(texts(doctree)):
        parts: list[nodes.Node] = []
        end = 0
        for match in find.finditer(text):
            name = " ".join(match[1].lower().split())
            entry = by_name[name]
            single = " " not in name and not match[1].isupper()  # no list of another language
            everyday = name in EVERYDAY if english else single
            if entry.item in done or (everyday and not emphasized):
                continue
            done.add(entry.item)
            parts.append(nodes.Text(text[end : match.start()]))
            parts.append(
                nodes.reference(
                    "",
                    match[0],
                    internal=True,
                    refuri=f"{page}#{entry.anchor}",
                    reftitle=entry.definition,
                    classes=["glossary-term"],
                )
            )
            end = match.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def link_first_uses(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Link the terms of a notebook's page."""
    if not name.startswith("notebooks/") or app.builder.format != "html":
        return
    english = app.config.language == "en"
    if terms := entries(app.env):  # an edition may wait for its glossary
        link(doctree, terms, app.builder.get_relative_uri(name, GLOSSARY), english)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-resolved", link_first_uses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
