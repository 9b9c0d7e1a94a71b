"""An unfinished site is noticed, and the site can be taken along: as a PDF and as a zip."""

import io
import re
import zipfile

import pytest

from tools import site

PAGE = "<html><body><article><h1>Page<a class=x></a></h1>{}</article></body></html>\n"


@pytest.fixture
def small(tmp_path):
    """A site of one chapter and one page, which is whole."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_static").mkdir()
    words = "<p>" + "word " * 60 + "</p>"
    (tmp_path / "notebooks" / "01-a.html").write_text(
        PAGE.format(f'{words}<div class="cell_output docutils">1</div>')
    )
    for name in ("page", "index", "search"):
        (tmp_path / f"{name}.html").write_text(PAGE.format(words))
    (tmp_path / "_static" / "search-passages.js").write_text(
        'courseSearch.load({"pages": [["notebooks/01-a", "", []], ["page", "", []]]});'
    )
    return tmp_path


def test_a_whole_site_passes(small):
    assert not list(site.unfinished(small, ["page", "notebooks/01-a"]))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("page.html", None, "page.html is not there, or empty"),
        ("page.html", "", "page.html is not there, or empty"),
        ("page.html", PAGE.format("few words"), "page.html has fewer than 40 words"),
        ("page.html", PAGE.format("word " * 60)[:300], "page.html ends in the middle"),
        ("notebooks/01-a.html", PAGE.format("w " * 60), "01-a.html shows no output of a cell"),
        ("_static/search-passages.js", "", "the search does not know page"),
    ],
)
def test_what_is_missing_is_named(small, name, text, message):
    if text is None:
        (small / name).unlink()
    else:
        (small / name).write_text(text)
    problems = list(site.unfinished(small, ["page", "notebooks/01-a"]))
    assert any(message in problem for problem in problems), problems


def test_the_built_site_is_whole(none):
    none(site.unfinished(site.SITE, [name for _, names in site.read_toc() for name in names]))


def test_without_a_browser_printing_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(site, "unfinished", lambda *_: [])
    monkeypatch.setenv("PATH", "")
    assert site.main(["pdf"]) == 1
    assert "needs a Chromium" in capsys.readouterr().out


def test_zip_holds_the_site_in_one_folder(small, tmp_path_factory):
    target = tmp_path_factory.mktemp("out") / "course.zip"
    site.write_zip(small, target)
    first = target.read_bytes()
    with zipfile.ZipFile(io.BytesIO(first)) as packed:
        assert not packed.testzip()
        names = packed.namelist()
    assert "course/index.html" in names
    assert "course/notebooks/01-a.html" in names
    site.write_zip(small, target)
    assert target.read_bytes() == first, "packed twice, the same site gives two different files"


def test_pdf_of_three_pages(browser, tmp_path):
    from pypdf import PdfReader

    target = tmp_path / "course.pdf"
    parts = [
        ("", ["book/index"]),
        ("I · Foundations", ["notebooks/03-recurrent-network"]),
        ("Look it up", ["book/glossary"]),
    ]
    site.write_pdf(browser, site.SITE, parts, target)
    pdf = PdfReader(target)
    names = {entry["/Title"]: pdf.get_destination_page_number(entry) for entry in flat(pdf.outline)}
    assert next(iter(names)) == "Contents"
    assert {"3 · The recurrent network", "Glossary", "I · Foundations"} <= set(names)
    texts = [page.extract_text() for page in pdf.pages]
    chapter = "".join(texts[names["3 · The recurrent network"] : names["Glossary"]])
    front = re.sub(r"\s", "", "".join(texts[:2]))
    assert f"Glossary{names['Glossary'] + 1}" in front
    assert texts[5].rstrip().endswith("6"), "no number below the page"
    assert "Show the code" not in chapter, "closed bars are printed"
    source = (site.ROOT / "notebooks" / "03-recurrent-network.md").read_text("utf-8")
    code = [line for line in source.splitlines() if line.startswith(("    ", "def ", "for "))]
    ends = [line.split()[-1] for line in code if len(line) > 92]
    assert ends
    lost = [end for end in ends if end not in chapter]
    assert len(lost) <= len(ends) // 4, f"lines are cut: {lost}"  # some stand in folded cells
    goals = [link.get_object() for page in pdf.pages for link in page.get("/Annots", ())]
    foreign = [goal for goal in goals if "file:" in str(goal.get("/A", ""))]
    assert not foreign, "links to files of one machine"
    assert len([g for g in goals if "/Dest" in g]) > 20


def flat(outline):
    """Yield the entries of an outline of several levels."""
    for entry in outline:
        if isinstance(entry, list):
            yield from flat(entry)
        else:
            yield entry
