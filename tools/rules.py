"""Rules of the book. Every function returns what breaks its rule, and what to do about it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbformat import NotebookNode

from tools import tolerance
from tools.notebooks import ROOT, code, read_source

TEMPLATE = ROOT / "tools" / "chapter.md"
IGNORED = "nbval-ignore-output"  # nbval runs the cell and does not compare its output
ILLUSTRATION = "illustration"  # a picture from which the prose claims nothing
BOOLEAN = "boolean"  # the truth value itself is the lesson, as in a mask
MAX_BYTES = 700_000
MIN_ALT = 20  # characters
WIDEST = 0.5  # a relative tolerance of half a number says too little about it

ASSERTION = re.compile(r"\bassert(_\w+)?\b")
IMAGE = re.compile(r"!\[([^\]]*)\]\(")
IMAGE_TAG = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
IMAGE_DIRECTIVE = re.compile(r"^\s*[`:]{3,}\{(?:image|figure)\}.*\n((?:\s*:[\w-]+:.*\n)*)", re.M)
TRUTH = re.compile(r"\b(?:True|False)\b")
CITATION = re.compile(r"\{cite(?::\w+)*\}`([^`]+)`")


def tags(cell: NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def pictures(cell: NotebookNode) -> int:
    """Count the pictures that a code cell shows."""
    shown = [out.data for out in cell.outputs if "data" in out]
    return sum(any(kind.startswith("image/") for kind in data) for data in shown)


def named(number: int, cell: NotebookNode) -> str:
    """Return how a message names a code cell: its number and the start of its first line."""
    first_line = cell.source.strip().partition("\n")[0]
    return f"code cell {number} (`{first_line[:50]}`)"


def unchecked_cells(notebook: NotebookNode) -> Iterator[str]:
    """Yield the code cells whose result no test compares or asserts.

    nbval compares text, HTML and SVG. Of a PNG it compares only the size, so a cell with a picture
    needs a tag that says so.
    """
    cells = code(notebook)
    for number, cell in enumerate(cells, 1):
        where = named(number, cell)
        if cell.execution_count is None:
            yield f"{where} was not run: run `make notebooks ALL=1`"
        if "NBVAL_" in cell.source or "nbval-skip" in tags(cell):
            yield f"{where} is exempt by a comment or skipped: use the tag `{IGNORED}` instead"
        for output in cell.outputs:
            if output.get("name") == "stderr":
                yield f"{where} stores a warning, `{output.text[:80].strip()}`: remove its cause"
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                yield f"{where} stores an error: repair it, or tag it `raises-exception`"
        if pictures(cell) and not tags(cell) & {IGNORED, ILLUSTRATION}:
            yield (
                f"{where} shows a picture, and pictures are not compared: tag it `{IGNORED}` and "
                f"assert what the picture shows, or `{ILLUSTRATION}` if the prose claims nothing"
            )
        claims = IGNORED in tags(cell) and ILLUSTRATION not in tags(cell)
        if claims and not any(ASSERTION.search(near.source) for near in cells[number - 1 :][:3]):
            yield (
                f"{where} is tagged `{IGNORED}`, and nothing asserts its result: write `assert` "
                "in it or in one of the next two code cells"
            )


def wrong_tolerances(notebook: NotebookNode) -> Iterator[str]:
    """Yield the tolerances that cannot be read, or that compare nothing."""
    for number, cell in enumerate(code(notebook), 1):
        where = named(number, cell)
        try:
            allowed = tolerance.of(cell)
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        if allowed is None:
            continue
        states = f"{where} states a tolerance of {allowed}"
        numbers = tolerance.numbers_of(cell)
        sizes = [abs(n.value) for n in numbers if n.value.is_finite()]
        if IGNORED in tags(cell):
            yield f"{states} and carries the tag `{IGNORED}`: keep one of the two"
        if not numbers:
            yield f"{states}, and its output holds no number: remove the tolerance"
        elif allowed.size >= WIDEST if allowed.relative else allowed.size >= max(sizes, default=0):
            yield f"{states}, which compares next to nothing: state a smaller one"
        elif not any(allowed.moves(n) for n in numbers):
            yield (
                f"{states}, which lets none of its numbers move (whole numbers are counts): "
                "remove the tolerance, or print another digit"
            )


def bare_truth_values(notebook: NotebookNode) -> Iterator[str]:
    """Yield the lines of the outputs that show True or False where the reader wants a number."""
    for number, cell in enumerate(code(notebook), 1):
        if BOOLEAN in tags(cell):
            continue
        for output in cell.outputs:
            shown = dict(tolerance.texts(output))  # a table is there as text and as HTML
            html = tolerance.MARKUP.sub(" ", shown.pop("text/html", ""))
            plain = "\n".join(shown.values())
            for line in (plain if TRUTH.search(plain) else html).splitlines():
                if TRUTH.search(line):
                    yield (
                        f"{named(number, cell)} prints `{line.strip()[-60:]}`: print the number "
                        "and assert what holds for it in a hidden cell, or tag the cell "
                        f"`{BOOLEAN}` if the truth value itself is the lesson"
                    )


def missing_alt_in_outputs(notebook: NotebookNode) -> Iterator[str]:
    """Yield the code cells that show a picture without alternative text."""
    for number, cell in enumerate(code(notebook), 1):
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if pictures(cell) > 1:
            yield f"code cell {number} shows several pictures: one a cell, each with its alt text"
        elif pictures(cell) and len(alt) < MIN_ALT:
            yield (
                f"code cell {number} shows a picture without alt text of {MIN_ALT} characters or "
                'more: set `mystnb: {image: {alt: "..."}}` in the head of the cell in the .md'
            )


def missing_alt_in_text(text: str) -> Iterator[str]:
    """Yield the images in Markdown that have no alternative text."""
    found = [(match[0], match[1]) for match in IMAGE.finditer(text)]
    for tag in IMAGE_TAG.findall(text):
        found.append((tag, "".join(re.findall(r"\balt=[\"'](.*?)[\"']", tag))))
    for match in IMAGE_DIRECTIVE.finditer(text):
        found.append((match[0], "".join(re.findall(r":alt:(.*)", match[1])).strip()))
    for shown, alt in found:
        if len(alt) < MIN_ALT:
            line = shown.strip().splitlines()[0]
            yield f"`{line}` has no alt text of {MIN_ALT} characters or more: describe the image"


def wrong_setup_cell(notebook: NotebookNode) -> Iterator[str]:
    """Yield a message where the first code cell is not the one that installs the package."""
    wanted = code(read_source(TEMPLATE))[0]
    cells = code(notebook)
    if not cells or cells[0].source != wanted.source or tags(cells[0]) != tags(wanted):
        yield "the first code cell is not the set-up cell: copy it from tools/chapter.md"


def cited(text: str) -> set[str]:
    """Return the keys that a text cites."""
    return {key.strip() for keys in CITATION.findall(text) for key in keys.split(",")}


class Page(HTMLParser):
    """The anchors and the links of one built page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag offers and what it points to."""
        self.anchors.update(value for key, value in attrs if key in ("id", "name") and value)
        self.links.update(value for key, value in attrs if key in ("href", "src") and value)


def broken_links(site: Path) -> Iterator[str]:
    """Yield the links of a built site that lead nowhere, and the addresses that are none."""
    files = [path.resolve() for path in sorted(site.rglob("*.html"))]
    pages = {path: Page(path) for path in files if "_static" not in path.parts}
    for path, page in pages.items():
        here = path.relative_to(site.resolve())
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if parts.scheme in ("http", "https", "") and "." not in parts.netloc:
                    yield f"{here}: `{link}` is no address: correct the link"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{here}: `{link}` leads to no file: correct the link in the page's source"
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors | {""}:
                yield f"{here}: `{link}` leads to no anchor: correct the link, or add a label"
