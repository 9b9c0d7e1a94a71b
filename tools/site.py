"""Look whether the site is whole, print it as one PDF, and pack it to take along.

``python -m tools.site check`` fails if a page of ``_toc.yml`` is missing, empty or cut off.
``python -m tools.site pdf`` prints all pages, in the order of the menu, with contents, page numbers
and links, into ``_build/rnncourse.pdf``. It needs a Chromium. ``python -m tools.site zip`` packs
the site into ``_build/rnncourse.zip``; unpacked, it opens without a server.
"""

import argparse
import html
import io
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import yaml

if TYPE_CHECKING:
    from pypdf import PdfWriter

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build" / "html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FEWEST_WORDS = 40
OUTPUTS = 'class="cell_output'
TITLE = re.compile(r"<article.*?<h1>(.*?)<a class", re.DOTALL)
PAPER = {"format": "A4", "print_background": True, "prefer_css_page_size": True}

CONTENTS = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>Contents</title>
<style>@page {{ margin: 20mm 22mm }} body {{ font: 11pt/1.45 Charter, Georgia, serif }}
h1 {{ font-size: 28pt; margin: 0 0 4mm }} h2 {{ font-size: 12pt; margin: 5mm 0 1mm }}
p {{ display: flex; justify-content: space-between; margin: 0 }}</style>
<h1>{title}</h1>{lines}</html>"""


def read_toc(root: Path = ROOT) -> list[tuple[str, list[str]]]:
    """Return the parts of the course, each with the names of its pages."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = [(part["caption"], [c["file"] for c in part["chapters"]]) for part in toc["parts"]]
    return [("", [toc["root"]]), *parts]


def text_of(page: str) -> str:
    """Return the text of a page's article."""
    article = page.partition("<article")[2].partition("</article>")[0]
    article = re.sub(r"<(script|style)\b.*?</\1>", " ", article, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", article))


def unfinished(site: Path, names: Sequence[str]) -> Iterator[str]:
    """Yield what a site lacks that ought to hold these pages."""
    for name in (*names, "index", "search"):
        path = site / f"{name}.html"
        page = path.read_text(encoding="utf-8") if path.exists() else ""
        if not page:
            yield f"{name}.html is not there, or empty"
        elif name != "index" and not page.rstrip().endswith("</html>"):
            yield f"{name}.html ends in the middle"
        elif name in names and len(text_of(page).split()) < FEWEST_WORDS:
            yield f"{name}.html has fewer than {FEWEST_WORDS} words"
        elif name.startswith("notebooks/") and "problem-sets" not in name and OUTPUTS not in page:
            yield f"{name}.html shows no output of a cell"
    passages = site / "_static" / "search-passages.js"
    found = passages.read_text(encoding="utf-8") if passages.exists() else ""
    for name in names:
        if f'["{name}", ' not in found:
            yield f"the search does not know {name}"


def browser() -> str | None:
    """Return the path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def write_zip(site: Path, target: Path) -> None:
    """Pack a site into a folder of one name, always in the same way."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(site.rglob("*")):
            if path.is_file():
                inside = zipfile.ZipInfo(f"{target.stem}/{path.relative_to(site).as_posix()}")
                inside.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(inside, path.read_bytes())


def printed(chromium: Any, address: str) -> bytes:
    """Return a page as a PDF, once its formulas are set and its pictures loaded."""
    page = chromium.new_page(color_scheme="light", reduced_motion="reduce")
    try:
        page.set_default_timeout(180_000)
        page.goto(address)
        page.evaluate(
            """async () => {
                if (document.querySelector("script[src*=mathjax]")) await MathJax.startup.promise;
                for (const image of document.images) image.loading = "eager";
                await Promise.all([...document.images].map((one) => one.decode().catch(() => 0)));
                await document.fonts.ready;
            }"""
        )
        made: bytes = page.pdf(**PAPER)
    finally:
        page.close()
    return made


def contents(lines: Sequence[tuple[str, str, int]], title: str) -> str:
    """Return the page of contents; each line is a part, a name, and a number."""
    rows, last = [], ""
    for part, name, number in lines:
        if part != last:
            rows.append(f"<h2>{html.escape(part)}</h2>")
            last = part
        rows.append(f"<p><span>{html.escape(name)}</span><span>{number}</span></p>")
    return CONTENTS.format(title=html.escape(title), lines="".join(rows))


def number_pages(pdf: "PdfWriter") -> None:
    """Write its number below each page but the first."""
    from pypdf.generic import (
        ArrayObject,
        DecodedStreamObject,
        DictionaryObject,
        NameObject,
    )

    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    reference = pdf._add_object(font)
    for number, page in enumerate(pdf.pages, 1):
        if number == 1:
            continue
        resources = page.setdefault(NameObject("/Resources"), DictionaryObject()).get_object()
        fonts = resources.setdefault(NameObject("/Font"), DictionaryObject()).get_object()
        fonts[NameObject("/PageNumber")] = reference
        middle = float(page.mediabox.width) / 2 - 2.3 * len(str(number))
        before, after = DecodedStreamObject(), DecodedStreamObject()
        before.set_data(b"q\n")
        after.set_data(f"\nQ BT /PageNumber 8 Tf {middle:.1f} 22 Td ({number}) Tj ET\n".encode())
        there = page["/Contents"]
        parts = list(there) if isinstance(there, ArrayObject) else [page.raw_get("/Contents")]
        page[NameObject("/Contents")] = ArrayObject(
            [pdf._add_object(before), *parts, pdf._add_object(after)]
        )


def link_pages(pdf: "PdfWriter", site: Path, begins: dict[str, int]) -> None:
    """Let the links between pages of the site lead to pages of the PDF."""
    from pypdf.generic import ArrayObject, NameObject

    for page in pdf.pages:
        for entry in page.get("/Annots", ()):
            link = entry.get_object()
            action = link.get("/A", {}).get_object() if "/A" in link else {}
            address = urlsplit(str(action.get("/URI", "")))
            if address.scheme != "file":
                continue
            path = Path(unquote(address.path))
            name = path.relative_to(site).with_suffix("") if path.is_relative_to(site) else None
            del link[NameObject("/A")]
            if name and name.as_posix() in begins:
                goal = pdf.pages[begins[name.as_posix()]].indirect_reference
                link[NameObject("/Dest")] = ArrayObject([goal, NameObject("/Fit")])


def write_pdf(
    chromium: Any, site: Path, parts: Sequence[tuple[str, list[str]]], target: Path
) -> None:
    """Print pages of a site into one PDF."""
    from pypdf import PdfReader, PdfWriter

    made = []
    for part, names in parts:
        for name in names:
            print(f"printing {name}", flush=True)
            path = site / f"{name}.html"
            match = TITLE.search(path.read_text(encoding="utf-8"))
            title = html.unescape(re.sub(r"<[^>]+>", "", match[1])) if match else name
            pdf = PdfReader(io.BytesIO(printed(chromium, path.as_uri())))
            made.append((part, name, title, pdf))
    sheet = chromium.new_page()
    front, length = None, 1
    while front is None or len(front.pages) != length:  # its length moves the numbers it lists
        length = len(front.pages) if front else 1
        lines, number = [], length + 1
        for part, _, title, pdf in made:
            lines.append((part, title, number))
            number += len(pdf.pages)
        sheet.set_content(contents(lines, made[0][2]))
        front = PdfReader(io.BytesIO(sheet.pdf(**PAPER)))
    sheet.close()
    whole, begins = PdfWriter(), {}
    whole.append(front, outline_item="Contents", import_outline=False)
    parents: dict[str, Any] = {}
    for part, name, title, pdf in made:
        begins[name] = len(whole.pages)
        whole.append(pdf, import_outline=False)
        if part and part not in parents:
            parents[part] = whole.add_outline_item(title=part, page_number=begins[name])
        whole.add_outline_item(title=title, page_number=begins[name], parent=parents.get(part))
    link_pages(whole, site, begins)
    number_pages(whole)
    whole.add_metadata({"/Title": made[0][2]})
    whole.compress_identical_objects()
    with target.open("wb") as file:
        whole.write(file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__)
    parser.add_argument("task", choices=("check", "pdf", "zip"))
    parser.add_argument("pages", nargs="*", help="for pdf: print only these, such as book/glossary")
    options = parser.parse_args(arguments)
    parts = read_toc()
    if problems := list(unfinished(SITE, [name for _, names in parts for name in names])):
        print("The site is not whole:", *problems[:20], sep="\n  ")
        print("Run `make book`, and correct what it names.")
        return 1
    if options.task == "zip":
        write_zip(SITE, target := ROOT / "_build" / "rnncourse.zip")
    elif options.task == "pdf":
        if browser() is None:
            print(
                f"Printing needs a Chromium, and none was found among: {', '.join(BROWSERS)}.\n"
                "On Debian and Ubuntu: sudo apt install chromium"
            )
            return 1
        if options.pages:
            parts = [(part, [n for n in names if n in options.pages]) for part, names in parts]
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
            write_pdf(chromium, SITE, parts, target := ROOT / "_build" / "rnncourse.pdf")
            chromium.close()
    else:
        return 0
    print(f"{os.path.relpath(target)}: {target.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
