"""Sphinx extension: search that answers questions, also on a site that is opened from the disk.

Sphinx's own index knows which page holds a word, but not how often, in which section, or with which
words around it, and it cannot show excerpts from the disk. Here each section, entry of the glossary
and object of the package is a passage. ``_static/search-passages.js`` holds their texts, and
``book/_static/course-search.js``, which runs in the page, ranks them.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.search import IndexBuilder

SKIPPED = (nodes.comment, nodes.Invisible, nodes.raw, nodes.image, addnodes.toctree)
BLOCKS = (nodes.Body, nodes.Part, nodes.term, nodes.definition, nodes.line)

Passage = tuple[str, str, str, str]  # anchor, heading, text, words of the code


def is_output(node: nodes.Node) -> bool:
    """Tell whether a node holds what a cell printed or drew."""
    return isinstance(node, nodes.container) and "cell_output" in node.get("classes", ())


class Collector:
    """Gathers one passage: its text, and the code beside it."""

    def __init__(self, anchor: str, heading: str) -> None:
        self.anchor, self.heading = anchor, heading
        self.text: list[str] = []
        self.code: list[str] = []
        self.inner: list[Collector] = []  # passages that begin inside this one

    def read(self, node: nodes.Node) -> None:
        """Add a node, and make a passage of each section, term or object in it."""
        if isinstance(node, nodes.Text):
            self.text.append(node.astext())
        elif isinstance(node, nodes.section):
            title = next((c for c in node.children if isinstance(c, nodes.title)), None)
            self.begin(node, title.astext() if title else "", skip=[title])
        elif isinstance(node, nodes.definition_list_item) and self.is_glossary(node):
            terms = [child for child in node.children if isinstance(child, nodes.term)]
            names = " · ".join(term.astext() for term in terms)
            self.begin(node, names, anchor=terms[0]["ids"][0], skip=terms)
        elif isinstance(node, addnodes.desc):
            signature = node.children[0]
            anchor = (signature.get("ids") or [""])[0]  # type: ignore[attr-defined]
            self.begin(node, anchor, skip=[signature])
        elif isinstance(node, nodes.literal_block):
            self.code.append(node.astext())
        elif isinstance(node, (nodes.math, nodes.math_block)):
            short = isinstance(node, nodes.math) and re.fullmatch(r"[\w =+-]+", node.astext())
            self.text.append(node.astext() if short else "…")
        elif not isinstance(node, SKIPPED) and not is_output(node):
            for child in node.children:
                self.read(child)
            if isinstance(node, BLOCKS):
                self.text.append("\n")

    def begin(
        self,
        node: nodes.Element,
        heading: str,
        *,
        anchor: str = "",
        skip: Sequence[nodes.Node | None],
    ) -> None:
        """Read a node as a passage of its own, without the children that are its heading."""
        inner = Collector(anchor or (node.get("ids") or [""])[0] or self.anchor, heading)
        for child in node.children:
            if not any(child is one for one in skip):
                inner.read(child)
        self.inner.append(inner)

    @staticmethod
    def is_glossary(node: nodes.Node) -> bool:
        """Tell whether an entry belongs to the glossary."""
        return any(t.get("ids") for t in node.children if isinstance(t, nodes.term))

    def passages(self) -> Iterator[Passage]:
        """Yield this passage and those inside it, in the order of the page."""
        text = re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \t]+", " ", "".join(self.text))).strip()
        words = dict.fromkeys(re.findall(r"[^\W\d]\w+", " ".join(self.code)))
        if text or words:
            yield self.anchor, self.heading, text, " ".join(words)
        for inner in self.inner:
            yield from inner.passages()


def read_passages(tree: nodes.document) -> list[Passage]:
    """Return the passages of a page; the first one is what stands above its first section."""
    whole = Collector("", "")
    for child in tree.children:
        whole.read(child)
    passages = list(whole.passages())
    return [("", *passages[0][1:]), *passages[1:]] if passages else []


def remember(app: Sphinx, tree: nodes.document) -> None:
    """Keep the passages of a page that was read."""
    store(app.env)[app.env.docname] = read_passages(tree)


def store(env: BuildEnvironment) -> dict[str, list[Passage]]:
    """Return the passages of all pages."""
    if not hasattr(env, "course_passages"):
        env.course_passages = {}  # type: ignore[attr-defined]
    return env.course_passages  # type: ignore[attr-defined, no-any-return]


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Drop the passages of a page that is read again, or gone."""
    store(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, names: set[str], other: BuildEnvironment) -> None:
    """Take over what another process has read."""
    store(env).update({name: store(other)[name] for name in names if name in store(other)})


def replace_sphinx_search(app: Sphinx) -> None:
    """Keep Sphinx from making an index of its own."""
    app.builder.search = False  # type: ignore[attr-defined]


def search_page(app: Sphinx) -> Iterator[tuple[str, dict[str, object], str]]:
    """Yield the page of results."""
    yield "search", {}, "search.html"


def write_passages(app: Sphinx, error: Exception | None) -> None:
    """Write the texts, with the stemmer of the site's language, as a script."""
    if error or app.builder.format != "html":
        return
    index = IndexBuilder(app.env, app.config.language or "en", {}, "")
    pages = [
        [name, app.env.titles[name].astext(), passages]
        for name, passages in sorted(store(app.env).items())
    ]
    data = {"stopwords": sorted(index.lang.stopwords), "pages": pages}
    static = Path(app.outdir) / "_static"
    (static / "search-passages.js").write_text(
        f"{index.get_js_stemmer_code()}\n"
        f"courseSearch.load({json.dumps(data, ensure_ascii=False)}, new Stemmer());\n",
        encoding="utf-8",
    )
    for unused in ("searchtools.js", "language_data.js"):
        (static / unused).unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the extension."""
    app.connect("builder-inited", replace_sphinx_search)
    app.connect("doctree-read", remember)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("html-collect-pages", search_page)
    app.connect("build-finished", write_passages)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "env_version": 1}
