"""Find what a reader reads in a page's source, and put a translation in its place.

One walk does both. It calls ``translate(text, kind)`` for each piece, and puts the answer where the
piece was. Whoever only wants the list of pieces notes them down and answers with the same text.
"""

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Collection
from functools import cache
from itertools import pairwise

import jupytext
import yaml
from markdown_it import MarkdownIt

from rnncourse.renderings import BOXES, Book
from tools.notebooks import ROOT

Translate = Callable[[str, str], str]

CODE = ("comment", "string", "docstring")
"""Kinds of pieces that stand in code. Their texts are Python's own, with escapes and braces."""

TITLED = (*BOXES, "card", "dropdown", "grid-item-card", "tab-item")
BODIES = (*TITLED, "card-footer", "container", "div", "grid", "grid-item", "list-table", "tab-set")
SPOKEN = (
    *("annotate", "label", "name", "print", "set_title", "set_xlabel", "set_ylabel", "suptitle"),
    *("supxlabel", "supylabel", "text", "title", "xlabel", "ylabel"),
)
"""Functions and arguments whose texts the reader sees."""

LITERAL = re.compile(r"([rRbBuUfF]{0,2})(\"\"\"|'''|\"|')((?:\\.|(?!\2).)*)\2", re.DOTALL)
QUIET = re.compile(
    r"\{[\w:-]+\}`[^`]*`|`+[^`]*`+|\$[^$]*\$|<[^<>]+>|\]\([^)]*\)|https?://\S+|\{[^{}]*\}"
)
WORD = re.compile(r"[^\W\d_]{2,}")


def has_words(text: str) -> bool:
    """Say whether a text holds a word that is no code, formula, reference or address.

    Examples
    --------
    >>> has_words("`x` has shape `(T, B, I)`"), has_words("$W_{xh}$, `W_xh`, {cite:p}`elman`")
    (True, False)
    """
    said = re.findall(r"\{(?:doc|term)\}`([^`<]*)<|\{bdg-\w+\}`([^`]*)`", text)
    formulas = re.findall(r"\\text\{([^}]*)\}", text)
    return any(map(WORD.search, [QUIET.sub(" ", text), *map("".join, said), *formulas]))


@cache
def parser() -> MarkdownIt:
    """Return the site's parser of Markdown."""
    return Book(ROOT).parser


def page(
    text: str, translate: Translate, extra: Collection[str] = (), keep: Collection[str] = ()
) -> str:
    """Return the source of a page, translated.

    Parameters
    ----------
    text
        The source: a page without code, or a MyST notebook.
    translate
        Is called with each piece and its kind.
    extra, keep
        Texts in code which the reader sees although they do not look like it, and the reverse.
    """
    if not re.search(r"\A---\n(?:.*\n)*?kernelspec:", text):
        return markdown(text, translate)
    notebook = jupytext.reads(text, fmt={"extension": ".md", "format_name": "myst"})
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = markdown(cell.source, translate)
            continue
        cell.source = code(cell.source, translate, extra, keep)
        if image := cell.metadata.get("mystnb", {}).get("image", {}):
            image["alt"] = translate(" ".join(image["alt"].split()), "alt text")
    written: str = jupytext.writes(notebook, fmt={"extension": ".md", "format_name": "myst"})
    return written


def headings(text: str) -> list[str]:
    """Return the headings of a page's source, as Markdown, in order."""
    if re.search(r"\A---\n(?:.*\n)*?kernelspec:", text):
        notebook = jupytext.reads(text, fmt={"extension": ".md", "format_name": "myst"})
        text = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    tokens = parser().parse(text)
    return [b.content for a, b in pairwise(tokens) if a.type == "heading_open"]


def markdown(text: str, translate: Translate) -> str:
    """Return a text in MyST Markdown, translated."""
    lines = text.split("\n")
    edits: list[tuple[int, int, list[str]]] = []
    cells: list[str] = []
    kind, place = "", 0
    tokens = parser().parse(text)
    for number, token in enumerate(tokens):
        at, end = token.map or (0, 0)
        if token.type == "front_matter":
            edits.append((at, end, front_matter(lines[at:end], translate)))
        elif token.type in ("heading_open", "paragraph_open", "dt_open"):
            kind = {"heading_open": "heading", "dt_open": "term"}.get(token.type, "paragraph")
        elif token.type == "tr_open":
            cells, place = [], at
        elif token.type == "tr_close":
            if any(map(has_words, cells)):
                words = [translate(c, "cell of a table") if has_words(c) else c for c in cells]
                words = [word.replace("|", r"\|") for word in words]
                row = lines[place]
                indent = row[: len(row) - len(row.lstrip(" >"))]
                edits.append((place, place + 1, [f"{indent}| {' | '.join(words)} |"]))
        elif token.type == "inline" and tokens[number - 1].type in ("th_open", "td_open"):
            cells.append(token.content)
        elif token.type == "inline" and has_words(token.content):
            end = max(end, at + 1)  # of the term in a list of definitions
            edits.append((at, end, block(lines[at:end], token.content, translate, kind)))
        elif token.type in ("fence", "colon_fence"):
            edits.append((at, end, fence(lines[at:end], token.info, translate)))
        elif token.type in ("math_block", "math_block_label"):
            content = token.content.strip("\n")
            if has_words(content) and "\\text" in content:
                whole = "\n".join(lines[at:end])
                whole = whole.replace(content, translate(content, "formula"))
                edits.append((at, end, whole.split("\n")))
        elif token.type == "html_block":
            edits.append((at, end, html("\n".join(lines[at:end]), translate).split("\n")))
    for at, end, new in reversed(edits):
        lines[at:end] = new
    return "\n".join(lines)


def front_matter(lines: list[str], translate: Translate) -> list[str]:
    """Return a page's front matter with its description translated."""
    result = []
    for line in lines:
        if found := re.match(r"(\s+description: *)(.*)", line):
            text = yaml.safe_load(found[2])
            new = translate(text, "description for search engines")
            result.append(found[1] + (found[2] if new == text else yaml_string(new)))
        else:
            result.append(line)
    return result


def yaml_string(text: str) -> str:
    """Return a text as one line of YAML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def block(lines: list[str], content: str, translate: Translate, kind: str) -> list[str]:
    """Return the lines of a paragraph or heading, translated, at the place where they stood."""
    parts = [line.strip() for line in content.split("\n")]
    start = lines[0].find(parts[0])
    first = lines[0][:start]
    more = re.sub(r"[^>\s]", " ", first)
    joined = re.sub(r"(?<!\\)\n", " ", "\n".join(parts))
    new = translate(joined, kind).split("\n")
    return [first + new[0], *(more + line for line in new[1:])]


def fence(lines: list[str], info: str, translate: Translate) -> list[str]:
    """Return the lines of a directive or of a block of code, translated."""
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    lines = [line.removeprefix(indent) for line in lines]
    closed = len(lines) > 1 and re.fullmatch(r"(`{3,}|:{3,}|~{3,})\s*", lines[-1])
    opening, inside = lines[0], lines[1 : -1 if closed else None]
    closing = lines[-1:] if closed else []
    found = re.fullmatch(r"(\s*[`:~]{3,}\s*\{([^}]+)\}\s*)(.*)", opening)
    name = found[2] if found else ""
    if found and name in TITLED and has_words(found[3]):
        opening = found[1] + translate(found[3], "title of a box")
    options = 0
    while found and options < len(inside) and re.match(r":[\w-]+:", inside[options]):
        if inside[options].startswith(":alt:"):
            inside[options] = ":alt: " + translate(inside[options][5:].strip(), "alt text")
        options += 1
    head, body = inside[:options], inside[options:]
    if name in BODIES or name in ("figure", "figure-md"):
        body = markdown("\n".join(body), translate).split("\n")
    elif name == "glossary":
        head += [":sorted:"]
        body = glossary(body, translate)
    elif name == "raw" and not any(":file:" in line for line in head):
        body = html("\n".join(body), translate).split("\n")
    elif not found and info.strip() in ("python", "bash"):
        body = code("\n".join(body), translate, literals=info.strip() == "python").split("\n")
    return [indent + line if line else line for line in [opening, *head, *body, *closing]]


def glossary(lines: list[str], translate: Translate) -> list[str]:
    """Return the body of a glossary, translated."""
    result: list[str] = []
    definition: list[str] = []
    for line in [*lines, "end"]:
        if not line.strip() or line.startswith(" "):
            definition.append(line)
            continue
        if definition:
            text = textwrap.dedent("\n".join(definition)).strip("\n")
            new = textwrap.indent(markdown(text, translate), "  ")
            result += [*([new, ""] if text else [""] if result else [])]
            definition = []
        result.append(translate(line.strip(), "term"))
    return "\n".join(result[:-1]).split("\n")


def html(text: str, translate: Translate) -> str:
    """Return HTML or SVG, with the text between tags and in some attributes translated."""
    hidden: list[str] = []

    def hide(found: re.Match[str]) -> str:
        hidden.append(found[0])
        return f"<hidden {len(hidden) - 1}>"

    def between(found: re.Match[str]) -> str:
        words = found[1].strip()
        return f">{found[1].replace(words, translate(words, 'text'))}<" if has(words) else found[0]

    def attribute(found: re.Match[str]) -> str:
        return f"{found[1]}{translate(found[2], 'text')}{found[3]}" if has(found[2]) else found[0]

    def has(words: str) -> bool:
        return bool(re.search(r"[^\W\d_]{2}", words))

    text = re.sub(r"<(script|style)\b.*?</\1>", hide, text, flags=re.DOTALL)
    text = re.sub(r">([^<>]+)<", between, text)
    text = re.sub(r'((?:alt|aria-label|placeholder|title)=")([^"]+)(")', attribute, text)
    return re.sub(r"<hidden (\d+)>", lambda found: hidden[int(found[1])], text)


def code(
    text: str,
    translate: Translate,
    extra: Collection[str] = (),
    keep: Collection[str] = (),
    literals: bool = True,
) -> str:
    """Return Python code with its comments, and what it says to the reader, translated.

    Lines for IPython alone (``%``, ``!``) stay as they are.
    """
    masked = re.sub(r"^(\s*)[%!].*$", r"\1pass", text, flags=re.MULTILINE) if literals else text
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    edits: list[tuple[int, int, str]] = []
    comments = comments_of(masked) if literals else comments_of_shell(masked)
    for row, column, rows in comments:
        parts = [lines[r][column:] for r in range(row, row + rows)]
        words = " ".join(part.lstrip("#").strip() for part in parts)
        if not re.search(r"[^\W\d_]{3}", QUIET.sub(" ", words)):
            continue
        new = translate(words, "comment")
        if new == words:
            continue
        indent = " " * column
        whole = ["# " + new]
        if not lines[row][:column].strip():
            whole = textwrap.wrap(new, max(40, 98 - column)) or [""]
            whole = ["# " + whole[0], *(f"{indent}# {line}" for line in whole[1:])]
        end = starts[row + rows - 1] + len(lines[row + rows - 1])
        edits.append((starts[row] + column, end, "\n".join(whole)))
    if literals:
        edits += strings(masked, lines, starts, translate, extra, keep)
    for at, end, new in sorted(edits, reverse=True):
        text = text[:at] + new + text[end:]
    return text


def comments_of(text: str) -> list[tuple[int, int, int]]:
    """Return row, column and number of rows of each comment; rows of one paragraph together."""
    found: list[tuple[int, int, int]] = []
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    for token in tokens:
        if token.type != tokenize.COMMENT or re.match(r"###|#@|# ?(noqa|type:)", token.string):
            continue
        row, column = token.start[0] - 1, token.start[1]
        alone = not token.line[:column].strip()
        if alone and found and found[-1][1] == column and sum(found[-1][::2]) == row:
            before = text.split("\n")[row - 1]
            if not before[:column].strip() and before.strip() != "#" and token.string != "#":
                found[-1] = (found[-1][0], column, found[-1][2] + 1)
                continue
        found.append((row, column, 1))
    return found


def comments_of_shell(text: str) -> list[tuple[int, int, int]]:
    """Return the same for a shell, where only lines of their own count."""
    rows = enumerate(text.split("\n"))
    return [(row, line.index("#"), 1) for row, line in rows if line.lstrip().startswith("# ")]


def strings(
    masked: str,
    lines: list[str],
    starts: list[int],
    translate: Translate,
    extra: Collection[str],
    keep: Collection[str],
) -> list[tuple[int, int, str]]:
    """Return the edits that translate what code says to its reader."""
    try:
        tree = ast.parse(masked)
    except SyntaxError:
        return []

    def offset(row: int, column: int) -> int:
        return starts[row - 1] + len(lines[row - 1].encode()[:column].decode())

    edits = []
    text = "\n".join(lines)
    for node, spoken, doc in literals_of(tree):
        at = offset(node.lineno, node.col_offset)
        end = offset(node.end_lineno or 0, node.end_col_offset or 0)
        pieces = LITERAL.findall(text[at:end])
        prefixes = "".join(prefix.lower() for prefix, _, _ in pieces)
        formatted = "f" in prefixes
        if not pieces or "b" in prefixes:
            continue
        content = "".join(
            part if "f" in prefix.lower() or not formatted else re.sub(r"([{}])", r"\1\1", part)
            for prefix, _, part in pieces
        )
        if content in keep or not (content in extra or is_language(content, spoken or doc)):
            continue
        if "r" in prefixes and content not in extra:
            continue
        new = translate(content, "docstring" if doc else "string")
        if new == content:
            continue
        prefix, quote = pieces[0][0].replace("f", "") + "f" * formatted, pieces[0][1]
        column = node.col_offset
        literal = f"{prefix}{quote}{new}{quote}"
        if len(pieces) > 1 and "\n" in text[at:end]:
            parts = split_literal(new, max(30, 96 - column - len(prefix)))
            literal = ("\n" + " " * column).join(f"{prefix}{quote}{part}{quote}" for part in parts)
        edits.append((at, end, literal))
    return edits


def literals_of(tree: ast.AST) -> list[tuple[ast.expr, bool, bool]]:
    """Return each text in code, whether a reader is told it, and whether it is a docstring."""
    found: list[tuple[ast.expr, bool, bool]] = []

    def visit(node: ast.AST, spoken: bool) -> None:
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if isinstance(node, ast.JoinedStr) or text:
            found.append((node, spoken, False))  # type: ignore[arg-type]
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if isinstance(node.value.value, str):
                found.append((node.value, False, True))
            return
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            visit(node.func, False)
            for argument in node.args:
                visit(argument, name in SPOKEN)
            for keyword in node.keywords:
                visit(keyword.value, keyword.arg in SPOKEN)
            return
        for child in ast.iter_child_nodes(node):
            visit(child, spoken and not isinstance(node, (ast.Subscript, ast.Compare)))

    visit(tree, False)
    return found


def is_language(text: str, spoken: bool) -> bool:
    """Say whether a text in code looks like language: it has a space, or a reader is told it.

    Examples
    --------
    >>> is_language("nine in ten right", False), is_language("blue", False), is_language("h", True)
    (True, False, False)
    """
    quoted, bare, before = re.findall(r"\{'([^']*)'", text), text, ""
    while bare != before:
        before, bare = bare, re.sub(r"\{[^{}]*\}|\\n|\$[^$]*\$", "·", bare)
    words = re.findall(r"[^\W\d_]{3,}", " ".join([bare, *quoted]))
    return bool(words) and (spoken or " " in bare.strip())


def split_literal(text: str, width: int) -> list[str]:
    """Cut a text of code at spaces, so that no part is much longer than the width."""
    parts, now, depth = [], "", 0
    for word in re.findall(r"\S+\s*|\s+", text):
        if now and depth == 0 and len(now) + len(word) > width:
            parts.append(now)
            now = ""
        now += word
        depth += word.count("{") - word.count("}")
    return [*parts, now]
