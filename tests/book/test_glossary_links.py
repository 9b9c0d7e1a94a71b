"""Each page of a notebook links the terms of the glossary where it first uses them."""

import re
import runpy

import pytest
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document

from tools.notebooks import ROOT

EXTENSION = runpy.run_path(str(ROOT / "book" / "_ext" / "glossary_links.py"))
Entry, link = EXTENSION["Entry"], EXTENSION["link"]

PAGES = ROOT / "_build" / "html" / "notebooks"
TERMS = {
    "gradient": Entry("g", "Which way is down.", "g"),
    "vanishing gradient": Entry("v", "It shrinks.", "v"),
    "long short-term memory": Entry("l", "Gates.", "l"),
    "LSTM": Entry("s", "Gates.", "l"),
    "gate": Entry("t", "A factor.", "t"),
}


@pytest.fixture
def linked():
    """Return a function that gives what is linked in a text, and where to."""

    def links(text):
        document = new_document("page", get_default_settings(Parser))
        Parser().parse(text, document)
        link(document, TERMS, "glossary.html", english=True)
        return [(node.astext(), node["refuri"]) for node in document.findall(nodes.reference)]

    return links


def test_the_first_use_is_linked_in_the_longest_form_and_once(linked):
    text = "Vanishing gradients and a gradient.\n\nThe gradient again; a vanishing gradient."
    assert linked(text) == [
        ("Vanishing gradients", "glossary.html#v"),
        ("gradient", "glossary.html#g"),
    ]


def test_two_names_of_one_entry_are_linked_once(linked):
    assert linked("The LSTM, or long short-term\nmemory.") == [("LSTM", "glossary.html#s")]


def test_an_everyday_word_is_linked_where_it_is_set_in_bold(linked):
    assert linked("At the gate stands a **gate**.") == [("gate", "glossary.html#t")]


@pytest.mark.parametrize(
    "text", ["Gradient\n========\n\nText.", "``gradient``", "ingredients, gradient-free"]
)
def test_titles_code_and_parts_of_words_are_left_alone(linked, text):
    assert linked(text) == []


def test_each_chapter_links_its_terms(none):
    chapters = sorted(PAGES.glob("[0-9]*.html"))
    assert len(chapters) == 13, "build the site first: make site"
    problems = []
    for page in chapters:
        found = re.findall(r'glossary-term[^>]*href="([^"]*)"', page.read_text("utf-8"))
        if len(found) < 5 or len(set(found)) < len(found):
            problems.append(f"{page.name}: {len(found)} links, {len(set(found))} terms")
    none(problems)
