"""Sphinx extension: correct what keeps a page from readers who do not see it or use no mouse.

Each function says what the libraries write and which criterion of WCAG 2.2 it fails. The templates
in ``book/_templates`` and ``book/_static/course.js`` do the rest. ``tests/book/test_browser.py``
looks for what is left.
"""

import re
from html import escape

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.writers.html5 import HTML5Translator

FOLDED = {
    "content": ("Show this code and what it gives", "Hide this code and what it gives"),
    "source": ("Show the code behind this result", "Hide the code"),
    "output": ("Show what this code gives", "Hide what this code gives"),
}
EMPTY_HEADER = re.compile(r"<th( class=\"[^\"]*\")?>(?:\s|<p>\s*</p>)*</th>")
NO_CORNER = re.compile(r"<table[^>]*>\s*<thead>\s*<tr[^>]*>\s*<td.*?</table>", re.DOTALL)
FIRST_CELL = re.compile(r"(<tr[^>]*>\s*)<td([^>]*)>(.*?)</td>", re.DOTALL)
NO_NAME = re.compile(r'<span class="math.*?</span>|<[^>]+>', re.DOTALL)

SLIDER = re.compile(r'(<input type="range"[^>]* aria-label=")([\w-]+)"')


def visit_folded(self: HTML5Translator, node: HideCodeCellNode) -> None:
    """Name a folded cell by the text that it shows (2.5.3), which says what is folded."""
    kind = node["prompt_show"].split()[-1].removesuffix("s")
    show, hide = FOLDED[kind]
    self.body.append(
        f'<details class="admonition hide {" ".join(node["classes"])}">\n<summary>\n'
        f'<p class="collapsed admonition-title">{escape(_(show))}</p>\n'
        f'<p class="expanded admonition-title">{escape(_(hide))}</p>\n</summary>\n'
    )


def depart_folded(self: HTML5Translator, node: HideCodeCellNode) -> None:
    """End a folded cell."""
    self.body.append("</details>\n")


def visit_citation(self: HTML5Translator, node: nodes.citation) -> None:
    """Make entries of a bibliography the items of its list (1.3.1, 4.1.2)."""
    if not isinstance(node.previous_sibling(), nodes.citation):
        self.body.append('<div role="list" class="citation-list">\n')
    self.body.append(self.starttag(node, "div", classes=["citation"], role="listitem"))


def depart_citation(self: HTML5Translator, node: nodes.citation) -> None:
    """End an entry, and the list after its last one."""
    HTML5Translator.depart_citation(self, node)


def name_row(cell: re.Match[str]) -> str:
    """Return the first cell of a row as its header, if it has a name and not only a formula."""
    start, attributes, text = cell.groups()
    named = NO_NAME.sub("", text).strip()
    return f'{start}<th scope="row"{attributes}>{text}</th>' if named else cell[0]


def name_rows(table: re.Match[str]) -> str:
    """Return a table in which the first cell of each row is its header."""
    head, body = table[0].split("</thead>", 1)
    return f"{head}</thead>" + FIRST_CELL.sub(name_row, body)


def correct_body(
    app: Sphinx, name: str, template: str, context: dict[str, object], tree: nodes.document | None
) -> None:
    """Correct tables and sliders.

    The empty corner of a table is no header, since it names nothing; the cells below it are, since
    they name their rows (1.3.1). A slider named as one word with hyphens gets words (2.4.6).
    """
    if isinstance(body := context.get("body"), str):
        body = NO_CORNER.sub(name_rows, EMPTY_HEADER.sub(r"<td\1></td>", body))
        context["body"] = SLIDER.sub(
            lambda m: f'{m[1]}{_("Picture")}: {m[2].replace("-", " ")}"', body
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.setup_extension("myst_nb")
    app.add_node(HideCodeCellNode, override=True, html=(visit_folded, depart_folded))
    app.add_node(nodes.citation, override=True, html=(visit_citation, depart_citation))
    app.connect("html-page-context", correct_body)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
