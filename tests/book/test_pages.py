"""The pages without code, the table of contents, citations, and the links of the built site."""

import re

import pytest
import yaml

from tools import rules
from tools.notebooks import NOTEBOOKS, ROOT, sources

PAGES = sorted((ROOT / "book").glob("*.md"))
SITE = ROOT / "_build" / "html"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_images_have_alt_text(page, none):
    problems = rules.missing_alt_in_text(page.read_text(encoding="utf-8"))
    none(f"book/{page.name}: {problem}" for problem in problems)


def test_table_of_contents_and_files_agree(none):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = {toc["root"]}
    listed |= {chapter["file"] for part in toc["parts"] for chapter in part["chapters"]}
    there = {f"notebooks/{path.stem}" for path in (*sources(), *NOTEBOOKS.glob("*.ipynb"))}
    there |= {f"notebooks/problem-sets/{path.stem}" for path in NOTEBOOKS.glob("*/[0-9]*.md")}
    there |= {f"book/{page.stem}" for page in (ROOT / "book").glob("*.*") if page.suffix != ".bib"}
    none(
        [
            *(f"_toc.yml lists {name}, and there is no such file" for name in listed - there),
            *(f"{name} is not in _toc.yml: add it there" for name in there - listed),
        ]
    )


def test_a_problem_set_has_the_name_of_its_chapter(none):
    def heading(path):
        return re.search(r"^# (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)[1]

    sets = sorted(NOTEBOOKS.glob("problem-sets/[0-9]*.md"))
    chapters = [heading(NOTEBOOKS / path.name) for path in sets]
    wanted = [f"Problem set {number} · {name}" for number, name in enumerate(chapters, 1)]
    pairs = zip(map(heading, sets), wanted, strict=True)
    none(f"expected {expected!r}, got {name!r}" for name, expected in pairs if name != expected)


def test_citations_and_references_agree(none):
    references = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    known = set(re.findall(r"^@\w+\{([^,\s]+),", references, re.MULTILINE))
    cited = {key for page in (*PAGES, *sources()) for key in rules.cited(page.read_text("utf-8"))}
    none(f"{key} is cited, and book/references.bib has no such entry" for key in cited - known)


def test_links_of_the_site_lead_somewhere(none):
    if not (SITE / "index.html").exists():
        pytest.fail("there is no site in _build/html: run `make book` first", pytrace=False)
    none(rules.broken_links(SITE))
