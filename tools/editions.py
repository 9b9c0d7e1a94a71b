"""The course in other languages: catalogs, translated pages, and the sites made from them.

The catalogs are gettext's, one for each page, in ``book/locale/es/LC_MESSAGES``. From the sources
and a catalog follows a source in the other language, and everything else is made from that as it is
made in English: the page, the notebook that programs open, the problem set. A notebook of an
edition is run once, and stored with its outputs beside the catalogs.

    python -m tools.editions update             bring the catalogs in line with the sources
    python -m tools.editions export es PAGE     print what a page lacks, as a text to fill in
    python -m tools.editions import es FILE     take such a text over into the catalogs
    python -m tools.editions check [LANG ...]   say what is missing, outdated or wrong
    python -m tools.editions run [NAME ...]     run the translated notebooks that changed
    python -m tools.editions plant [LANG ...]   write the translated sources into _build/editions
    python -m tools.editions build [LANG ...]   build the sites of the editions from them
    python -m tools.editions release LANG [SET ...]   make the students' notebooks of problem sets

A language is named as in ``editions.yml``: ``pt_BR``. ``pt-br`` and ``pt-BR`` are understood too.
"""

import argparse
import ast
import difflib
import html
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from babel.messages.catalog import Catalog
from babel.messages.pofile import denormalize, normalize, read_po
from nbformat import NotebookNode

from rnncourse.renderings import Book, portable, read
from tools import notebooks, segments
from tools.notebooks import ROOT

LOCALE = ROOT / "book" / "locale"
TREES = ROOT / "_build" / "editions"
SITE = ROOT / "_build" / "html"
PROGRAM = "from jupyter_book.cli.main import main; main()"
OWN = "site"
"""The catalog of what stands on every page."""


class Piece(NamedTuple):
    """Something to translate: its text, and what it is."""

    text: str
    kind: str

    @property
    def context(self) -> str | None:
        """Return what tells it from the same text with another meaning."""
        if self.kind in segments.CODE:
            return "code"
        if self.kind == "name in an output":
            return "output"
        return "term" if self.kind == "term" else None

    @property
    def key(self) -> tuple[str | None, str]:
        """Return what identifies it in a catalog."""
        return self.context, self.text

    @property
    def name(self) -> str:
        """Return a short name for texts that are exported and imported."""
        return sha256(repr(self.key).encode()).hexdigest()[:8]


class Edition:
    """The course in one language."""

    def __init__(self, language: str, root: Path = ROOT) -> None:
        self.root = root
        settings = configuration(root)["editions"]
        language = language_of(language, root)
        self.language = language
        self.path: str = settings[language]["path"]
        self.name: str = settings[language]["name"]
        self.pages: list[str] = settings[language]["pages"]
        self.folder = root / "book" / "locale" / language
        self.tree = TREES / self.path
        self._catalogs: dict[str, dict[tuple[str | None, str], str]] = {}

    def file(self, name: str) -> Path:
        """Return the file of a page's catalog."""
        return self.folder / "LC_MESSAGES" / f"{name}.po"

    def catalog(self, name: str) -> dict[tuple[str | None, str], str]:
        """Return what is translated of a page, without what waits for a person."""
        if name not in self._catalogs:
            entries = read_catalog(self.file(name))
            self._catalogs[name] = {
                key: entry.text for key, entry in entries.items() if not entry.fuzzy
            }
        return self._catalogs[name]

    def says(self, text: str) -> str:
        """Return a text of the site's own in this language."""
        return self.catalog(OWN).get((None, text)) or text

    def translate(self, name: str) -> str:
        """Return the source of a page in this language; what is not translated stays English."""
        catalog = self.catalog(name)

        def of(text: str, kind: str) -> str:
            return catalog.get(Piece(text, kind).key) or text

        text = walk(name, self.root, of)
        terms = self.catalog("book/glossary")
        return re.sub(
            r"(\{term\}`[^`<]*<)([^`>]+)(>`)",
            lambda m: m[1] + (terms.get(("term", m[2])) or m[2]) + m[3],
            text,
        )


def language_of(name: str, root: Path = ROOT) -> str:
    """Return the one name of a language, however it is spelled.

    Examples
    --------
    >>> language_of("pt-br"), language_of("pt_BR"), language_of("ES")
    ('pt_BR', 'pt_BR', 'es')
    """
    settings = configuration(root)["editions"]
    for language in settings:
        if language.lower() == name.lower().replace("-", "_"):
            return str(language)
    there = ", ".join(f"{language} ({found['name']})" for language, found in settings.items())
    raise SystemExit(
        f"language: expected one of {there}, got {name}. English is what you get without a language"
    )


class Entry(NamedTuple):
    """One entry of a catalog."""

    text: str
    fuzzy: bool = False
    before: str = ""


@cache
def configuration(root: Path = ROOT) -> dict[str, Any]:
    """Return the settings of all editions."""
    path = root / "book" / "locale" / "editions.yml"
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def contents(root: Path = ROOT) -> dict[str, str]:
    """Return the pages of the book in order, each with its title in the menu, if it has one."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    return {toc["root"]: ""} | {c["file"]: c.get("title", "") for c in chapters}


def title(name: str, root: Path = ROOT) -> str:
    """Return what the menu calls a page."""
    return contents(root)[name] or segments.headings(source(name, root))[0]


def source(name: str, root: Path = ROOT) -> str:
    """Return the English source of a page."""
    path = root / f"{name}.md"
    if not path.exists():
        path = path.with_suffix(".rst")
        return f"# {path.read_text(encoding='utf-8').strip().splitlines()[0]}\n"
    return path.read_text(encoding="utf-8")


def walk(name: str, root: Path, translate: segments.Translate) -> str:
    """Return the source of a page, with each piece replaced by what ``translate`` makes of it."""
    settings = configuration(root)
    extra = settings["words"].get(name, [])
    return segments.page(source(name, root), translate, extra, settings["keep"])


def pieces(name: str, root: Path = ROOT) -> list[Piece]:
    """Return what is to be translated of a page, in order, each text once."""
    found: dict[tuple[str | None, str], Piece] = {}

    def note(text: str, kind: str) -> str:
        piece = Piece(text, kind)
        found.setdefault(piece.key, piece)
        return text

    if name == OWN:
        for text, kind in of_the_site(root):
            note(text, kind)
    else:
        walk(name, root, note)
        for text in configuration(root)["shown"].get(name, []):
            note(text, "name in an output")
    return list(found.values())


def of_the_site(root: Path) -> Iterator[tuple[str, str]]:
    """Yield what is to be translated outside the pages."""
    settings = configuration(root)
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    yield config["title"], "title of the course"
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    for part in toc["parts"]:
        yield part["caption"], "heading in the menu"
    for name in contents(root):
        if name != toc["root"]:
            yield title(name, root), "title of a page"
    for text in settings["course"]:
        yield text, "said by the course's programs"
    for text in settings["interface"]:
        yield text, "said by the theme"
    for where, texts in settings["phrases"].items():
        for text in texts:
            yield text, f"phrase in {where}"


# ---- catalogs ------------------------------------------------------------------------------------


def read_catalog(path: Path) -> dict[tuple[str | None, str], Entry]:
    """Return the entries of a catalog; none if there is no file."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    catalog: Catalog = read_po(io.StringIO(text), ignore_obsolete=True, abort_invalid=True)
    before = {}
    for part in text.split("\n\n"):  # Babel writes, and does not read, what a fuzzy entry was
        if was := re.findall(r"^#\| (.*)", part, re.MULTILINE):
            now = part.partition("\nmsgid ")[2].partition("\nmsgstr ")[0]
            before[denormalize(now)] = denormalize("\n".join(was).removeprefix("msgid "))
    return {
        (message.context, str(message.id)): Entry(
            str(message.string or ""),
            "fuzzy" in message.flags,
            before.get(str(message.id), ""),
        )
        for message in catalog
        if message.id
    }


def write_catalog(
    path: Path, language: str, wanted: list[Piece], entries: dict[tuple[str | None, str], Entry]
) -> None:
    """Write a catalog: in the order of the source, without dates or line numbers."""
    parts = [
        'msgid ""\nmsgstr ""\n"Language: '
        + language
        + '\\n"\n"MIME-Version: 1.0\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
        '"Content-Transfer-Encoding: 8bit\\n"\n'
    ]
    for piece in wanted:
        entry = entries.get(piece.key, Entry(""))
        lines = [f"#. {piece.kind}"]
        if entry.fuzzy:
            lines.append("#, fuzzy")
            lines += [f"#| {x}" for x in f"msgid {normalize(entry.before, width=98)}".split("\n")]
        if piece.context:
            lines.append(f'msgctxt "{piece.context}"')
        lines.append(f"msgid {normalize(piece.text, width=100)}")
        lines.append(f"msgstr {normalize(entry.text, width=100)}")
        parts.append("\n".join(lines) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    notebooks.write("\n".join(parts), path)


def merge(
    wanted: list[Piece], stored: dict[tuple[str | None, str], Entry]
) -> dict[tuple[str | None, str], Entry]:
    """Return the entries for the pieces of a source, given those that are stored.

    A piece that changed a little keeps its translation, marked as fuzzy: a person looks at it.
    """
    now = {piece.key for piece in wanted}
    free = {key: entry for key, entry in stored.items() if key not in now and entry.text}
    result = {}
    for piece in wanted:
        if piece.key in stored:
            result[piece.key] = stored[piece.key]
            continue
        texts = [text for context, text in free if context == piece.context]
        close = difflib.get_close_matches(piece.text, texts, 1, 0.6)
        if close:
            entry = free.pop((piece.context, close[0]))
            result[piece.key] = Entry(entry.text, True, close[0])
    return result


def names_of(edition: Edition) -> list[str]:
    """Return the catalogs that an edition has or must have."""
    there = {
        path.relative_to(edition.folder / "LC_MESSAGES").with_suffix("").as_posix()
        for path in edition.folder.glob("LC_MESSAGES/**/*.po")
    }
    wanted = {OWN, *edition.pages, *configuration(edition.root)["always"]}
    order = [OWN, *contents(edition.root)]
    return sorted(there | wanted, key=lambda name: order.index(name) if name in order else 999)


def update(edition: Edition, names: list[str]) -> None:
    """Bring catalogs in line with their sources."""
    for name in names:
        if name != OWN and name not in contents(edition.root):
            edition.file(name).unlink(missing_ok=True)
            continue
        wanted = pieces(name, edition.root)
        entries = merge(wanted, read_catalog(edition.file(name)))
        write_catalog(edition.file(name), edition.language, wanted, entries)
    edition._catalogs.clear()


def export(edition: Edition, names: list[str], everything: bool = False) -> str:
    """Return what the catalogs lack as a text to fill in."""
    parts = []
    for name in names:
        stored = read_catalog(edition.file(name))
        entries = merge(pieces(name, edition.root), stored)
        for piece in pieces(name, edition.root):
            entry = entries.get(piece.key, Entry(""))
            if entry.text and not entry.fuzzy and not everything:
                continue
            before = f"\n--- before\n{entry.before}" if entry.fuzzy else ""
            head = f"=== {name} {piece.name} {piece.kind}"
            parts.append(f"{head}\n{piece.text}{before}\n--- {edition.language}\n{entry.text}\n")
    return "\n".join(parts)


def take(edition: Edition, text: str) -> list[str]:
    """Take over the translations of an exported text; return what could not be taken."""
    problems: list[str] = []
    found: dict[str, dict[str, str]] = {}
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        head, _, rest = part.partition("\n")
        name, short, *_ = head.split(" ")
        new = re.split(rf"^--- {edition.language}\n", rest, maxsplit=1, flags=re.MULTILINE)
        if len(new) == 2 and new[1].strip():
            found.setdefault(name, {})[short] = new[1].rstrip("\n")
    for name, translations in found.items():
        wanted = pieces(name, edition.root)
        entries = merge(wanted, read_catalog(edition.file(name)))
        for piece in wanted:
            if new_text := translations.pop(piece.name, None):
                entries[piece.key] = Entry(new_text)
        problems += [f"{name} has no piece {short} any more" for short in translations]
        write_catalog(edition.file(name), edition.language, wanted, entries)
    edition._catalogs.clear()
    return problems


# ---- checks --------------------------------------------------------------------------------------


def marks(text: str) -> Counter[str]:
    """Return what a translation must hold as the English text does: references, code, formulas."""
    found: Counter[str] = Counter()

    def note(what: str) -> str:
        found[what] += 1
        return " "

    def role(m: re.Match[str]) -> str:
        target = re.search(r"<([^`>]+)>$", m[2])
        if m[1].startswith("bdg-"):
            return note("{" + m[1] + "}")
        return note("{" + m[1] + "}`" + (target[1] if target else m[2]) + "`")

    text = re.sub(r"\{([\w:-]+)\}`([^`]*)`", role, text)
    text = re.sub(r"(`+)(.+?)\1", lambda m: note(m[0]), text)
    text = re.sub(r"(?<!\\)\$[^$]+\$", lambda m: note(without_words(m[0])), text)
    text = re.sub(r"\]\(([^)]*)\)", lambda m: note(f"]({m[1]})"), text)
    text = re.sub(r"</?(?!i\b)(\w+)[^<>]*>", lambda m: note(f"<{m[1]}>"), text)
    return found


def without_words(formula: str) -> str:
    """Return a formula without its words and the spaces that mean nothing."""
    return re.sub(r"\s+", "", re.sub(r"\\text\{[^}]*\}", r"\\text{}", formula))


def numbers(text: str) -> Counter[str]:
    """Return the numbers of a text, with a point in each decimal and without groups of digits."""
    bare = re.sub(r"\{[\w:-]+\}`[^`]*`|`[^`]*`|\$[^$]*\$|\]\([^)]*\)|<[^<>]+>", " ", text)
    bare = re.sub(r"(?<=\d)[\s\u00a0\u202f](?=\d{3}\b)", "", bare)
    return Counter(re.sub(r"[.,]", ".", n) for n in re.findall(r"\d+(?:[.,]\d+)*", bare))


def disagreements(piece: Piece, new: str) -> Iterator[str]:
    """Yield in what a translation does not hold what the English text holds."""
    if piece.kind in ("string", "docstring"):
        yield from of_literals(piece.text, new)
        return
    if piece.kind == "comment":
        if "\n" in new or new.startswith("#"):
            yield "is not one line without #"
        return
    if piece.kind.startswith("phrase in "):
        signs = re.compile(r"[<>\"`]|\$\{")
        if signs.findall(piece.text) != signs.findall(new):
            yield 'has other signs < > " ` ${'
        if ends(piece.text) != ends(new):
            yield "begins or ends with other spaces"
        return
    if piece.kind == "formula":
        if without_words(piece.text) != without_words(new):
            yield "changes more of the formula than its words in \\text{…}"
        return
    a, b = marks(piece.text), marks(new)
    if lacks := list((a - b).elements()):
        yield f"lacks {', '.join(lacks)}"
    if more := list((b - a).elements()):
        yield f"has {', '.join(more)}, which the English text has not"
    if lacks := list((numbers(piece.text) - numbers(new)).elements()):
        yield f"lacks the number {', '.join(lacks)}"
    if piece.text.count("\\\n") != new.count("\\\n"):
        yield "has other line breaks (\\ at the end of a line)"
    if "`" in new and new.count("`") % 2:
        yield "has a ` that is not closed"
    if piece.kind in ("paragraph", "heading", "title of a box", "term", "cell of a table"):
        kinds = [token.type for token in segments.parser().parse(new)]
        if kinds != ["paragraph_open", "inline", "paragraph_close"]:
            yield "is no single paragraph of Markdown (does it begin with a sign for a list?)"


def of_literals(text: str, new: str) -> Iterator[str]:
    """Yield in what two texts of code differ that may not."""
    fields = []
    for one in (text, new):
        for quote in ('"', "'", '"""'):
            try:
                fields.append(silent(f"f{quote}{one}{quote}"))
                break
            except SyntaxError:
                continue
        else:
            if "{" in text:
                yield "cannot be read by Python"
                return
    if len(fields) == 2 and fields[0] != fields[1]:
        yield "changes what stands in {…}"
    if text.count("\\n") != new.count("\\n"):
        yield "has other line breaks (\\n)"
    if ends(text) != ends(new) and "   " not in text.strip():  # a row of a table has its own
        yield "begins or ends with other spaces"


def ends(text: str) -> tuple[str, str]:
    """Return the spaces at the beginning and at the end of a text."""
    return text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]


class Silence(ast.NodeTransformer):
    """Leaves each text of code empty, and keeps what is put into it."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Empty a text."""
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Keep the fields of a formatted text, in one order."""
        fields = [self.visit(v) for v in node.values if isinstance(v, ast.FormattedValue)]
        return ast.JoinedStr(sorted(fields, key=ast.dump)) if fields else ast.Constant("")


def silent(code: str) -> str:
    """Return what code does, whatever it says."""
    masked = re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE)
    return ast.dump(Silence().visit(ast.parse(masked)))


def shortened(text: str, width: int = 70) -> str:
    """Return the beginning of a text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def problems_of(edition: Edition, name: str) -> Iterator[str]:
    """Yield what is missing, outdated or wrong in the translation of a page."""
    stored = read_catalog(edition.file(name))
    wanted = pieces(name, edition.root)
    entries = merge(wanted, stored)
    where = f"{name} in {edition.language}"
    for piece in wanted:
        entry = entries.get(piece.key)
        shown = f"{where}: the {piece.kind} `{shortened(piece.text)}`"
        if entry is None or not entry.text:
            yield (
                f"{shown} has no translation: run `make editions`, and write it into "
                f"{edition.file(name).relative_to(edition.root)}"
            )
        elif entry.fuzzy:
            yield (
                f"{shown} changed and its translation did not (it was `{shortened(entry.before)}`)"
                f": run `make editions`, correct the translation in "
                f"{edition.file(name).relative_to(edition.root)}, and remove `#, fuzzy` there"
            )
        else:
            for what in disagreements(piece, entry.text):
                yield f"{shown}: its translation {what}: correct `{shortened(entry.text)}`"


def counts(edition: Edition, name: str) -> tuple[int, int, int]:
    """Return how many pieces of a page are translated, how many wait, and how many there are."""
    wanted = pieces(name, edition.root)
    entries = merge(wanted, read_catalog(edition.file(name)))
    done = [entries[p.key] for p in wanted if p.key in entries and entries[p.key].text]
    fuzzy = sum(entry.fuzzy for entry in done)
    return len(done) - fuzzy, fuzzy, len(wanted)


# ---- sources and sites ---------------------------------------------------------------------------


def ready(edition: Edition, name: str) -> bool:
    """Say whether an edition has a page: it is on its list, and a notebook was run."""
    if name not in (*edition.pages, *configuration(edition.root)["always"]):
        return False
    return not name.startswith("notebooks/") or stored_twin(edition, name).exists()


def stored_twin(edition: Edition, name: str) -> Path:
    """Return the file of a translated notebook with its outputs."""
    return edition.folder / f"{name}.ipynb"


def plant(edition: Edition, waiting: list[str]) -> None:
    """Write the sources of an edition, as a book of its own, into ``_build/editions``.

    Of the pages that are waiting, only a page that says so is written.
    """
    root, tree = edition.root, edition.tree
    shutil.rmtree(tree, ignore_errors=True)
    for folder in ("_ext", "_static", "_templates"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / "book" / folder, tree / "book" / folder, ignore=ignore)
    shutil.copy(root / "book" / "references.bib", tree / "book")
    for name, phrases in configuration(root)["phrases"].items():
        if "/" in name:
            text = (tree / name).read_text(encoding="utf-8")
            (tree / name).write_text(replace_phrases(edition, text, phrases), encoding="utf-8")
    (tree / "_config.yml").write_text(dump(settings(edition)), encoding="utf-8")
    (tree / "_toc.yml").write_text(dump(menu(edition)), encoding="utf-8")
    anchors = SITE.parent / "anchors.json"
    known = json.loads(anchors.read_text(encoding="utf-8")) if anchors.exists() else {}
    for name in contents(root):
        path = tree / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in waiting:
            text = placeholder(edition, name, known.get(name, []))
        else:
            text = edition.translate(name)
            if stored_twin(edition, name).exists():
                shutil.copy(stored_twin(edition, name), path.with_suffix(".ipynb"))
        path.write_text(text, encoding="utf-8")
    there = {
        "here": edition.path,
        "waiting": waiting,
        "anchors": known,
        "says": {
            text: edition.says(text)
            for text in (*configuration(root)["interface"], *configuration(root)["course"])
        },
    }
    folder = tree / "book" / "locale"
    folder.mkdir()
    shutil.copy(root / "book" / "locale" / "editions.yml", folder)
    (folder / "edition.json").write_text(json.dumps(there, ensure_ascii=False), encoding="utf-8")


def replace_phrases(edition: Edition, text: str, phrases: list[str]) -> str:
    """Return a text with some of its phrases translated."""
    for phrase in phrases:
        text = text.replace(phrase, edition.says(phrase))
    return text


def dump(settings: Any) -> str:
    """Return settings as YAML."""
    text: str = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False, width=10_000)
    return text


def settings(edition: Edition) -> dict[str, Any]:
    """Return ``_config.yml`` for an edition."""
    config: dict[str, Any] = yaml.safe_load((edition.root / "_config.yml").read_text("utf-8"))
    config["title"] = edition.says(config["title"])
    config["author"] = edition.says(config["author"])
    shown_by_twin = [f"{n}.md" for n in contents(edition.root) if stored_twin(edition, n).exists()]
    config["exclude_patterns"] = ["book/locale", *shown_by_twin]
    config["html"]["baseurl"] += f"{edition.path}/"
    config["html"]["use_edit_page_button"] = False  # the catalog is edited, not the page
    config["repository"]["path_to_book"] = f"book/locale/{edition.language}"
    sphinx = config["sphinx"]["config"]
    sphinx["language"] = edition.language
    sphinx["course_words"] = {
        text: edition.says(text) for text in configuration(edition.root)["course"]
    }
    sphinx["html_theme_options"]["logo"]["text"] = config["title"]
    sphinx["html_theme_options"]["search_bar_text"] = edition.says("Search the course")
    return config


def menu(edition: Edition) -> dict[str, Any]:
    """Return ``_toc.yml`` for an edition."""
    toc: dict[str, Any] = yaml.safe_load((edition.root / "_toc.yml").read_text("utf-8"))
    for part in toc["parts"]:
        part["caption"] = edition.says(part["caption"])
        for chapter in part["chapters"]:
            if "title" in chapter:
                chapter["title"] = edition.says(chapter["title"])
    return toc


def placeholder(edition: Edition, name: str, anchors: list[list[str]]) -> str:
    """Return a page that says that the page is not translated, and leads to the English one."""
    away = "../" * (name.count("/") + 1) + f"{name}.html"
    says = edition.says
    link = f'<a href="{away}" lang="en" hreflang="en">{html_title(title(name, edition.root))}</a>'
    sections = "\n".join(
        f'<li id="{ident}"><a href="{away}#{ident}">{html_title(text)}</a></li>'
        for _, ident, text in anchors[1:]
    )
    listed = (
        f"<p>{says('Its sections')} ({says('in English')}):</p>\n"
        f'<ul class="untranslated-contents" lang="en">\n{sections}\n</ul>'
    )
    return f"""\
---
myst:
  html_meta:
    robots: noindex
---

# {says(title(name, edition.root))}

:::{{admonition}} {says("This page is not translated yet.")}
:class: attention
```{{raw}} html
<p>{says("You can read it in English:")} {link}</p>
```
:::

```{{raw}} html
{listed if sections else "<p></p>"}
```
"""


def html_title(text: str) -> str:
    """Return a heading as HTML."""
    return html.escape(text.replace("`", "").replace("*", ""), quote=False)


def build(edition: Edition) -> None:
    """Build the site of an edition, beside the English pages."""
    if not (SITE.parent / "anchors.json").exists():
        raise SystemExit("the English pages come first: run `make book`")
    plant(edition, [name for name in contents(edition.root) if not ready(edition, name)])
    command = [sys.executable, "-c", PROGRAM, "build", str(edition.tree)]
    if subprocess.run([*command, "-W", "--keep-going", "--quiet"]).returncode:
        raise SystemExit(
            f"Correct what each WARNING names, in {edition.folder.relative_to(edition.root)}, the "
            "catalog of that page."
        )
    phrases = configuration(edition.root)["phrases"]["pages"]
    for page in (edition.tree / "_build" / "html").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(replace_phrases(edition, text, phrases), encoding="utf-8")
    target = SITE / edition.path
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(edition.tree / "_build" / "html", target)


def run(edition: Edition, parts: list[str], force: bool = False) -> Iterator[str]:
    """Run the notebooks of an edition that changed, and store them; yield what was done.

    A problem set is not run: what is stored is the students' notebook.
    """
    pages = [n for n in edition.pages if n.startswith("notebooks/")]
    plant(edition, [n for n in contents(edition.root) if n not in edition.pages])
    for name in pages:
        if not any(part in name for part in parts or [""]):
            continue
        done, _, total = counts(edition, name)
        if done < total:
            yield f"{name}: not run, for {total - done} of {total} pieces wait for a translation"
            continue
        start = time.perf_counter()
        ran = store(edition, name, force)
        seconds = time.perf_counter() - start
        yield f"{name}: {f'ran in {seconds:.0f} s' if ran else 'the code is unchanged'}"


def release(edition: Edition, sets: list[str], course: Path) -> Iterator[Path]:
    """Make the students' notebooks of translated problem sets; yield each notebook's path.

    Parameters
    ----------
    edition
        The language.
    sets
        ``"03"`` or ``"03-recurrent-network"``; all that are translated, if there is none.
    course
        The course's folder. One folder holds one language.
    """
    from rnncourse.grading.course import release as release_one

    every = [name for name in contents(edition.root) if "problem-sets/" in name]
    there = [name for name in every if name in edition.pages]
    if not there:
        raise SystemExit(f"set: there is none in {edition.name} yet; book/translating.md says how")
    listed = ", ".join(name.rpartition("/")[2] for name in there)
    chosen = there if not sets else []
    for part in sets:
        found = [name for name in there if name.rpartition("/")[2].startswith(part)]
        if not found:
            raise SystemExit(f"set: expected one in {edition.name} ({listed}), got {part}")
        chosen += found
    for name in chosen:
        done, _, total = counts(edition, name)
        if done < total:
            raise SystemExit(
                f"set: {name} is not complete in {edition.name}: {done} of {total} pieces are "
                "translated; `make editions` says what it lacks"
            )
    plant(edition, [n for n in contents(edition.root) if not ready(edition, n) and n not in chosen])
    for name in dict.fromkeys(chosen):
        yield release_one(edition.tree / f"{name}.md", course)


def translated(edition: Edition, name: str) -> NotebookNode:
    """Return a notebook of an edition as it must be stored, without outputs."""
    source = edition.tree / f"{name}.md"
    if "problem-sets/" in name:
        from rnncourse.grading.course import release

        with tempfile.TemporaryDirectory() as folder:
            return notebooks.with_digest(notebooks.read_twin(release(source, Path(folder))))
    return notebooks.with_digest(portable(read(source), Book(edition.tree), name))


def store(edition: Edition, name: str, force: bool = False) -> bool:
    """Write a notebook of an edition, run if its code changed; say whether it was.

    Raises
    ------
    Refusal
        If the notebook that is there holds an edit that would be lost, or a cell fails.
    """
    twin, source = stored_twin(edition, name), edition.tree / f"{name}.md"
    wanted, ran = translated(edition, name), False
    notebooks.refuse_to_lose_edits(twin, wanted, source)
    if "problem-sets/" not in name:
        stored = notebooks.read_twin(twin) if twin.exists() else None
        if force or stored is None or not notebooks.take_outputs(wanted, stored):
            ran, wanted = True, translated(edition, name)
            notebooks.execute(wanted, source)
            say(edition, name, wanted)
            if stored is not None:
                notebooks.keep_stored(wanted, stored)
    twin.parent.mkdir(parents=True, exist_ok=True)
    notebooks.write(notebooks.dumps(wanted), twin)
    return ran


def in_columns(old: str, new: str, match: re.Match[str]) -> str:
    """Return a new name with as many spaces after it as keep the next column in its place."""
    return new + " " * max(2, len(match[1]) + len(old) - len(new)) if match[1] else new


def say(edition: Edition, name: str, notebook: NotebookNode) -> None:
    """Translate in outputs what the package itself says: names of buttons, and of data."""
    settings = configuration(edition.root)
    names = [
        (re.compile(rf"(?m)^{re.escape(text)}\b(  +)?"), text, new)  # a name heads its line
        for text in settings["shown"].get(name, [])
        if (new := edition.catalog(name).get(("output", text)))
    ]
    for cell in notebooks.code(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            if "text/html" in data:
                text = replace_phrases(edition, data["text/html"], settings["phrases"]["outputs"])
                for _, old, new in names:
                    text = text.replace(f">{old}<", f">{new}<")
                data["text/html"] = text
            for holder, key in ((output, "text"), (data, "text/plain")):
                for pattern, old, new in names if key in holder else ():
                    holder[key] = pattern.sub(partial(in_columns, old, new), holder[key])
    notebook.metadata.outputs_sha256 = notebooks.seal(notebook)


def stale(edition: Edition, name: str) -> Iterator[str]:
    """Yield in what the stored notebook of an edition does not belong to its sources.

    The sources of the edition must be there: see `plant`.
    """
    twin = stored_twin(edition, name)
    shown = twin.relative_to(edition.root)
    fix = "run `make editions`"
    if not twin.exists():
        yield f"{shown} is not there: {fix}"
        return
    wanted, stored = translated(edition, name), notebooks.read_twin(twin)
    for new, old in zip_longest(wanted.cells, stored.cells):
        for what in ("cell_type", "source", "metadata"):
            if new is None or old is None or new[what] != old[what]:
                text = shortened((new or old).source)
                yield f"{shown} differs ({what}) from its source at `{text}`: {fix}"
                return
    english = notebooks.read_twin(edition.root / f"{name}.ipynb")
    pairs = list(zip_longest(notebooks.code(english), notebooks.code(stored)))
    for number, (one, other) in enumerate(pairs, 1):
        if one is None or other is None or silent(bare(one)) != silent(bare(other)):
            yield f"{shown}: code cell {number} does not do what the English one does: {fix}"
            return
    if "problem-sets/" in name:
        return
    if not notebooks.take_outputs(wanted, stored):
        yield f"{shown}: an output was changed by hand, or a cell was not run in order: {fix}"
    for number, (one, other) in enumerate(pairs, 1):
        if "nbval-ignore-output" not in one.metadata.get("tags", []):
            a, b = said_numbers(one), said_numbers(other)
            if a != b:
                yield f"{shown}: code cell {number} shows {b}, and the English one {a}: {fix}"


def bare(cell: NotebookNode) -> str:
    """Return the code of a cell of a stored notebook without the title for Colab."""
    return re.sub(r"\A#@title.*\n", "", str(cell.source))


def said_numbers(cell: NotebookNode) -> list[str]:
    """Return the numbers that a cell prints."""
    texts = [o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return re.findall(r"\d+(?:\.\d+)?", "\n".join(texts))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description="The course in other languages.")
    commands = parser.add_subparsers(dest="command", required=True)
    every = list(configuration()["editions"])
    one = commands.add_parser("release")
    one.add_argument("language")
    one.add_argument("sets", nargs="*", help="03 or 03-recurrent-network; default: all translated")
    one.add_argument("--course", type=Path, default=Path("coursework"), help="its folder")
    for name in ("update", "check", "plant", "build"):
        commands.add_parser(name).add_argument("languages", nargs="*")
    one = commands.add_parser("run")
    one.add_argument("names", nargs="*", help="parts of names, such as 03; default: all")
    one.add_argument("--all", action="store_true", help="run even what did not change")
    one = commands.add_parser("export")
    one.add_argument("language")
    one.add_argument("pages", nargs="*", help="parts of their names; default: all of the edition")
    one.add_argument("--all", action="store_true", help="also what is translated")
    one = commands.add_parser("import")
    one.add_argument("language")
    one.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "release":
        try:
            for path in release(Edition(options.language), options.sets, options.course):
                print(path)
        except (OSError, RuntimeError, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    if options.command == "export":
        edition = Edition(options.language)
        known = [OWN, *contents()]
        chosen = [n for n in known if any(part in n for part in options.pages)]
        print(export(edition, chosen or names_of(edition), options.all))
        return 0
    if options.command == "import":
        edition = Edition(options.language)
        text = options.file.read_text(encoding="utf-8")
        problems = take(edition, text)
        problems += [
            p for n in set(re.findall(r"^=== (\S+)", text, re.M)) for p in wrong(edition, n)
        ]
        print("\n".join(problems) or "taken over")
        return bool(problems)
    failed = False
    if options.command == "run":
        for edition in map(Edition, every):
            try:
                for line in run(edition, options.names, options.all):
                    print(f"{edition.language} {line}", flush=True)
            except notebooks.Refusal as refusal:
                print(f"NOT written. {refusal}\n")
                failed = True
        return failed
    asked = [Edition(language) for language in options.languages or every]
    if options.command == "build":
        start = time.perf_counter()
        with ThreadPoolExecutor() as pool:  # at once: each of them is built by its own process
            list(pool.map(build, asked))
        built = " and ".join(edition.name for edition in asked)
        print(f"{built}: built in {time.perf_counter() - start:.0f} s")
        return 0
    for edition in asked:
        names = names_of(edition)
        if options.command == "update":
            update(edition, names)
        if options.command == "plant":
            plant(edition, [n for n in contents() if not ready(edition, n)])
            continue
        for name in names:
            done, fuzzy, total = counts(edition, name)
            waits = f", {fuzzy} to look at again" if fuzzy else ""
            print(f"{edition.language} {name}: {done} of {total} translated{waits}")
        if options.command == "check":
            found = [problem for name in names for problem in problems_of(edition, name)]
            print("\n".join(found))
            failed |= bool(found)
    return failed


def wrong(edition: Edition, name: str) -> list[str]:
    """Return what is wrong with the translations of a page, not what is missing."""
    return [p for p in problems_of(edition, name) if "has no translation" not in p]


if __name__ == "__main__":
    sys.exit(main())
