"""One source of a notebook, two renderings: for the site, and for every notebook program.

A source is a MyST text notebook. The site shows its directives and roles as boxes and links. What
people open in JupyterLab, Colab, VS Code or on GitHub is the portable rendering: the same cells in
plain Markdown and a little HTML, which read well without any extension. The text is read by the
parser that the site uses, and written by mdformat.
"""

import ast
import html
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jupytext
import mdformat.plugins
import nbformat
import yaml
from docutils.nodes import make_id
from docutils.parsers.rst import Directive
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdformat.renderer import DEFAULT_RENDERERS, MDRenderer, RenderContext, RenderTreeNode
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.directives import parse_directive_text
from myst_parser.parsers.mdit import create_md_parser
from nbformat import NotebookNode
from pybtex.database import Entry, Person, parse_file
from sphinx.util.nodes import split_explicit_title

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"},
}
FOLDED = {
    "hide-cell": ("source_hidden", "outputs_hidden"),
    "hide-input": ("source_hidden",),
    "hide-output": ("outputs_hidden",),
    "remove-cell": ("source_hidden", "outputs_hidden"),
    "remove-input": ("source_hidden",),
}
"""What a tag for the site becomes in the metadata that notebook programs understand."""

BOXES = ("admonition", "caution", "important", "note", "seealso", "tip", "warning")


def read(path: Path) -> NotebookNode:
    """Read a source as a notebook, with stable cell ids and without outputs.

    A cell that only asserts gets the tag ``remove-cell``: it is run and kept, and the site does
    not show it.
    """
    source = path.read_text(encoding="utf-8")
    notebook: Any = jupytext.reads(source, fmt={"extension": ".md", "format_name": "myst"})
    notebook.metadata.pop("jupytext", None)
    notebook.metadata.update(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        digest = sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] += 1
        cell.id = f"{digest}-{seen[digest]}"
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and not tags_that_fold(tags) and only_asserts(cell.source):
            cell.metadata["tags"] = [*tags, "remove-cell"]
    return nbformat.from_dict(notebook)


def only_asserts(code: str) -> bool:
    """Say whether a cell does nothing but check.

    Examples
    --------
    >>> only_asserts("for x in xs: assert x > 0"), only_asserts("np.testing.assert_equal(a, b)")
    (True, True)
    >>> only_asserts("x = f(1); assert x < 1"), only_asserts("# none"), only_asserts("%time 1")
    (False, False, False)
    """

    def checks(statement: ast.stmt) -> bool:
        match statement:
            case ast.Assert():
                return True
            case ast.Expr(ast.Call(ast.Attribute(attr=name) | ast.Name(id=name))):
                return name.startswith("assert_")
            case ast.For(body=body, orelse=[]):
                return all(map(checks, body))
        return False

    try:
        statements = ast.parse(code).body
    except SyntaxError:  # IPython's own syntax
        return False
    return bool(statements) and all(map(checks, statements))


def tags_that_fold(tags: list[str]) -> list[str]:
    """Return those of a cell's tags that fold it or leave it out."""
    return [tag for tag in tags if tag in FOLDED]


class Citation(NamedTuple):
    """How a work is cited: names of the authors, year."""

    names: str
    year: str


class Book:
    """What the references in the notebooks of a book lead to.

    Parameters
    ----------
    root
        The folder with ``_config.yml``.

    Attributes
    ----------
    title, site
        The book's title, and the address of its site.
    parser
        The site's parser of Markdown.
    words
        What the renderings say themselves, in the language of the book.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
        self.title: str = config["title"]
        self.site: str = config["html"]["baseurl"].rstrip("/")
        sphinx = config.get("sphinx", {}).get("config", {})
        self.words: dict[str, str] = sphinx.get("course_words", {})
        self._bibliographies = [self.root / name for name in config["bibtex_bibfiles"]]
        extensions = set(config["parse"]["myst_enable_extensions"])
        self.parser = create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)
        self.parser.add_render_rule("math_inline", _math_in_html)

    def says(self, word: str) -> str:
        """Return a word in the language of the book."""
        return self.words.get(word, word)

    @classmethod
    def around(cls, path: Path) -> "Book":
        """Return the book that a file belongs to.

        Raises
        ------
        FileNotFoundError
            If no folder above the file has a ``_config.yml``.
        """
        for folder in path.resolve().parents:
            if (folder / "_config.yml").exists():
                return cls(folder)
        raise FileNotFoundError(f"{path}: expected _config.yml in a folder above, found none")

    def name(self, path: Path) -> str:
        """Return a file's name in the book, such as ``notebooks/06-lstm``."""
        return path.resolve().relative_to(self.root).with_suffix("").as_posix()

    def address(self, name: str, fragment: str = "") -> str:
        """Return the address of a page of the site."""
        return f"{self.site}/{name}.html" + (f"#{fragment}" if fragment else "")

    def page(self, target: str, where: str) -> str:
        """Return the name of the page that a link in the page ``where`` leads to.

        Raises
        ------
        ValueError
            If there is no such page.
        """
        folder = PurePosixPath("/") if target.startswith("/") else PurePosixPath(where).parent
        parts: list[str] = []
        for part in (folder / target.lstrip("/")).parts:
            if part == ".." and parts:
                parts.pop()
            elif part != "/":
                parts.append(part)
        name = "/".join(parts).removesuffix(".md")
        if not any((self.root / f"{name}{suffix}").exists() for suffix in (".md", ".rst")):
            raise ValueError(f"{where}: there is no page `{target}`: correct the link")
        return name

    def tokens(self, text: str) -> Iterator[Token]:
        """Yield the block tokens of a text, also those within boxes."""
        for token in self.parser.parse(text):
            yield token
            if token.type in ("fence", "colon_fence") and _directive(token.info)[0] in (
                *BOXES,
                "dropdown",
            ):
                yield from self.tokens(token.content)

    def heading(self, name: str) -> str:
        """Return the title of a page."""
        tokens = self.tokens((self.root / f"{name}.md").read_text(encoding="utf-8"))
        for token in tokens:
            if token.type == "heading_open":
                return next(tokens).content
        raise ValueError(f"{name}: expected a title, found none")

    def equations_of(self, name: str, text: str) -> dict[str, tuple[str, str]]:
        """Return page and number of each labeled equation in a text."""
        labels = [t.info for t in self.tokens(text) if t.type == "math_block_label"]
        return {label: (name, equation_number(name, n)) for n, label in enumerate(labels, 1)}

    @cached_property
    def equations(self) -> dict[str, tuple[str, str]]:
        """Page and number of each labeled equation in the notebooks."""
        found: dict[str, tuple[str, str]] = {}
        for path in sorted(self.root.glob("notebooks/**/*.md")):
            found.update(self.equations_of(self.name(path), path.read_text(encoding="utf-8")))
        return found

    @cached_property
    def citations(self) -> dict[str, Citation]:
        """How each work of the bibliography is cited."""
        entries: dict[str, Entry] = {}
        for path in self._bibliographies:
            entries.update(parse_file(str(path)).entries)
        return {key: _citation(entry, self.says("and")) for key, entry in entries.items()}


def equation_number(name: str, count: int) -> str:
    """Return the number of a page's equation.

    Examples
    --------
    >>> equation_number("notebooks/05-vanishing-and-exploding-gradients", 3)
    '5.3'
    """
    chapter = re.fullmatch(r"notebooks/(\d+)-[^/]*", name)
    return f"{int(chapter[1])}.{count}" if chapter else str(count)


def portable(notebook: NotebookNode, book: Book, name: str) -> NotebookNode:
    """Return the portable rendering of a notebook.

    Boxes become quotes with a bold title, answers and solutions are folded, references and
    citations become links to the site, and equations keep the numbers that they have there.

    Parameters
    ----------
    notebook
        As :func:`read` returns it.
    book
        The book that references lead into.
    name
        The notebook's name in the book, such as ``notebooks/06-lstm``.

    Raises
    ------
    ValueError
        If a reference leads nowhere, or the text uses something that has no portable form.
    """
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    result, section = deepcopy(notebook), ""
    markdown = _Markdown(book, name, book.equations_of(name, "\n\n".join(texts)))
    for number, cell in enumerate(result.cells):
        if cell.cell_type == "markdown":
            section = ([section, *re.findall(r"^## (.*)", cell.source, re.M)])[-1]
            cell.source = markdown(cell.source)
            if number == 0 and cell.source.startswith("# "):
                title, _, rest = cell.source.partition("\n")
                here = f"[{book.says('read this page on its site')}]({book.address(name)})"
                about = f"{book.title}, {book.says('an open course:')} {here}."
                cell.source = f"{title}\n\n*{about}*\n{rest}"
        elif tags := tags_that_fold(cell.metadata.get("tags", [])):
            cell.metadata["jupyter"] = {key: True for tag in tags for key in FOLDED[tag]}
            if "source_hidden" in cell.metadata["jupyter"] and not cell.source.startswith("%%"):
                shown = {"remove-cell": "Check", "": "Set-up", book.says("Exercises"): "Solution"}
                title = book.says(shown.get(tags[0], shown.get(section, "Code")))
                cell.metadata["cellView"] = "form"  # folds the cell in Colab, which shows the title
                cell.source = f"#@title {title}\n{cell.source}"
    return result


def for_site(source: NotebookNode, twin: NotebookNode) -> NotebookNode:
    """Return the notebook that the site shows: the source's text with the twin's outputs.

    Where a student answers, the twin's text stays: it contains no solutions.

    Raises
    ------
    ValueError
        If the two have different cells.
    """
    result = deepcopy(twin)
    if [c.cell_type for c in source.cells] != [c.cell_type for c in twin.cells]:
        raise ValueError("the twin has other cells than its source: run `make notebooks`")
    for cell, origin in zip(result.cells, source.cells, strict=True):
        if "nbgrader" not in cell.metadata:
            cell.source, cell.metadata = origin.source, origin.metadata
        elif cell.cell_type == "markdown" and not cell.metadata.nbgrader.solution:
            cell.source = origin.source
    return result


class _Markdown:
    """Writes the text of one page, with these equations, as plain Markdown."""

    def __init__(self, book: Book, name: str, equations: dict[str, tuple[str, str]]) -> None:
        self.book, self.name = book, name
        self.equations = equations  # of this page: for those of the book many texts are read
        renderers = {
            "math_inline": self.math_inline,
            "math_block": self.math_block,
            "math_block_label": self.math_block,
            "myst_role": self.role,
            "myst_target": lambda node, context: "",
            "myst_line_comment": lambda node, context: "",
            "fence": self.fence,
            "colon_fence": self.fence,
            "link": self.link,
            "image": self.image,
        }
        own = SimpleNamespace(RENDERERS=renderers, POSTPROCESSORS={"text": _escape_dollars})
        tables = mdformat.plugins.PARSER_EXTENSIONS["tables"]
        self.options = {
            **book.parser.options,
            "mdformat": {"number": True},
            "parser_extension": [tables, own],
        }

    def __call__(self, text: str, quoted: bool = False) -> str:
        """Return the portable form of a text."""
        env: dict[str, Any] = {"quoted": quoted}
        tokens = self.book.parser.parse(text, env)
        try:
            return MDRenderer().render(tokens, self.options, env).rstrip("\n")
        except KeyError as error:
            raise self.wrong(f"Markdown of the kind {error} has no portable form") from error

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.name}: {what}")

    def math_inline(self, node: RenderTreeNode, context: RenderContext) -> str:
        return f"${' '.join(node.content.split())}$"

    def math_block(self, node: RenderTreeNode, context: RenderContext) -> str:
        lines = [line.strip() for line in node.content.strip().splitlines()]
        if node.type == "math_block_label":
            lines.append(rf"\tag{{{self.equations[node.info][1]}}}")
        quoted = context.env["quoted"] or _within(node, "blockquote")
        # Within a quote, JupyterLab would take the quote's signs for mathematics.
        return f"$${' '.join(lines)}$$" if quoted else "\n".join(["$$", *lines, "$$"])

    def role(self, node: RenderTreeNode, context: RenderContext) -> str:
        kind, content = node.meta["name"], node.content
        match kind:
            case "eq":
                equations = self.equations if content in self.equations else self.book.equations
                if content not in equations:
                    raise self.wrong(f"there is no equation `{content}`: correct the reference")
                page, number = equations[content]
                return f"[({number})]({self.book.address(page, make_id(f'equation-{content}'))})"
            case "doc":
                explicit, title, target = split_explicit_title(content)
                page = self.book.page(target, self.name)
                title = title if explicit else self.book.heading(page)
                return f"[{title}]({self.book.address(page)})"
            case "cite:t" | "cite:p":
                keys = [key.strip() for key in content.split(",")]
                if unknown := [key for key in keys if key not in self.book.citations]:
                    raise self.wrong(f"{unknown} is not in the bibliography: add or correct it")
                links = [self.cite(key, textual=kind == "cite:t") for key in keys]
                return ", ".join(links) if kind == "cite:t" else f"({'; '.join(links)})"
        raise self.wrong(f"the role `{kind}` has no portable form: use eq, doc, cite:t or cite:p")

    def cite(self, key: str, textual: bool) -> str:
        names, year = self.book.citations[key]
        address = self.book.address("book/bibliography", f"cite-{key}")
        return f"[{names} ({year})]({address})" if textual else f"[{names}, {year}]({address})"

    def fence(self, node: RenderTreeNode, context: RenderContext) -> str:
        kind, title = _directive(node.info)
        if not kind:
            return DEFAULT_RENDERERS["fence"](node, context)
        body = "\n".join(parse_directive_text(_AnyDirective, title, node.content).body)
        if kind == "dropdown":
            summary = self.book.parser.renderInline(title)
            return f"<details>\n<summary>{summary}</summary>\n\n{self(body)}\n\n</details>"
        if kind in BOXES:
            title = self(title or self.book.says(kind.capitalize()))
            quoted = f"**{title}**\n\n{self(body, quoted=True)}".splitlines()
            return "\n".join(f"> {line}".rstrip() for line in quoted)
        raise self.wrong(
            f"the directive `{kind}` has no portable form: use {', '.join(BOXES)} or dropdown"
        )

    def link(self, node: RenderTreeNode, context: RenderContext) -> str:
        href = str(node.attrs["href"])
        parts = urlsplit(href)
        if not parts.scheme:
            page = self.book.page(parts.path, self.name) if parts.path else self.name
            node.attrs["href"] = self.book.address(page, parts.fragment)
            if not node.children:
                return f"[{self.book.heading(page)}]({node.attrs['href']})"
        return DEFAULT_RENDERERS["link"](node, context)

    def image(self, node: RenderTreeNode, context: RenderContext) -> str:
        if not urlsplit(str(node.attrs["src"])).scheme:
            raise self.wrong("an image file does not travel with a notebook: draw it in a cell")
        return DEFAULT_RENDERERS["image"](node, context)


class _AnyDirective(Directive):
    """A directive, as far as its text can be read without knowing more about it."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = {"class": str, "name": str, "open": str}  # noqa: RUF012


def _directive(info: str) -> tuple[str, str]:
    """Return name and title of a directive; the name is empty if a fence is not one."""
    found = re.fullmatch(r"\{([^}]+)\}\s*(.*)", info.strip())
    return (found[1], found[2]) if found else ("", "")


def _within(node: RenderTreeNode, kind: str) -> bool:
    while node.parent:
        node = node.parent
        if node.type == kind:
            return True
    return False


def _escape_dollars(text: str, node: RenderTreeNode, context: RenderContext) -> str:
    return text.replace("$", "\\$")


def _math_in_html(self: Any, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    return html.escape(f"${tokens[index].content}$", quote=False)


def _citation(entry: Entry, conjunction: str) -> Citation:
    people = entry.persons.get("author") or entry.persons.get("editor") or []

    def last(person: Person) -> str:
        return " ".join(map(str, [*person.rich_prelast_names, *person.rich_last_names]))

    match [last(person) for person in people]:
        case [one]:
            names = one
        case [one, two]:
            names = f"{one} {conjunction} {two}"
        case [first, *_]:
            names = f"{first} *et al.*"
        case _:
            names = str(entry.fields.get("title", entry.key))
    return Citation(names, str(entry.fields.get("year", "n.d.")))
