"""The two renderings of a notebook: what is written, and that nothing is lost."""

import nbformat.v4 as v4
import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from rnncourse import renderings
from rnncourse.renderings import Book, for_site, portable, read
from tools.notebooks import NOTEBOOKS, book

HEAD = "---\nkernelspec: {display_name: Python 3, name: python3}\n---\n\n"
SOURCES = sorted(NOTEBOOKS.glob("**/[0-9]*.md"))
CONFIG = """\
title: A course
html: {baseurl: "https://example.org/course/"}
bibtex_bibfiles: [book/references.bib]
parse: {myst_enable_extensions: [colon_fence, dollarmath, amsmath]}
"""
WORKS = r"""
@book{one, author = {van den {\O}st, Anna}, title = {A}, year = {2001}}
@book{two, author = {Bee, B. and Cee, C.}, title = {B}, year = {2002}}
@book{three, author = {Dee, D. and Eff, E. and Gee, G.}, title = {C}, year = {2003}}
"""
OTHER = "# Other *title*\n\n$$\na\n$$ (a-B)\n\n$$\nb\n$$\n\n:::{note}\n$$\nc\n$$ (c)\n:::\n"
SITE = "https://example.org/course"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Return a book with two chapters, a page and three works."""
    root = tmp_path_factory.mktemp("course")
    (root / "_config.yml").write_text(CONFIG)
    (root / "book").mkdir()
    (root / "book" / "references.bib").write_text(WORKS, encoding="utf-8")
    (root / "book" / "words.md").write_text("# Words\n")
    (root / "notebooks" / "sets").mkdir(parents=True)
    (root / "notebooks" / "07-other.md").write_text(HEAD + OTHER)
    (root / "notebooks" / "sets" / "07-set.md").write_text(HEAD + "# Set\n\n$$\nd\n$$ (d)\n")
    return Book(root)


def write(course, text, name="notebooks/05-this"):
    """Return the portable form of a text."""
    notebook = portable(v4.new_notebook(cells=[v4.new_markdown_cell(text)]), course, name)
    return notebook.cells[0].source


@pytest.mark.parametrize(
    ("myst", "plain"),
    [
        ("Plain *words*, `code`, $x_1$.", "Plain *words*, `code`, $x_1$."),
        ("A price of \\$5 and \\$6.", "A price of \\$5 and \\$6."),
        ("$a\nb$", "$a b$"),
        ("$$\nx\n$$", "$$\nx\n$$"),
        ("$$\na\n+b\n$$ (own)", "$$\na\n+b\n\\tag{5.1}\n$$"),
        (
            "See {eq}`a-B`, {eq}`c`.",
            f"See [(7.1)]({SITE}/notebooks/07-other.html#equation-a-b), "
            f"[(7.2)]({SITE}/notebooks/07-other.html#equation-c).",
        ),
        (
            "$$\nx\n$$ (own)\n\n{eq}`own`",
            f"$$\nx\n\\tag{{5.1}}\n$$\n\n[(5.1)]({SITE}/notebooks/05-this.html#equation-own)",
        ),
        ("{eq}`d`", f"[(1)]({SITE}/notebooks/sets/07-set.html#equation-d)"),
        ("[there](07-other)", f"[there]({SITE}/notebooks/07-other.html)"),
        ("[](07-other.md)", f"[Other *title*]({SITE}/notebooks/07-other.html)"),
        ("[a](../book/words)", f"[a]({SITE}/book/words.html)"),
        ("[up](#part)", f"[up]({SITE}/notebooks/05-this.html#part)"),
        ("[b](07-other.md#part)", f"[b]({SITE}/notebooks/07-other.html#part)"),
        ("[c](https://example.com/x)", "[c](https://example.com/x)"),
        ("<https://example.com>", "<https://example.com>"),
        ("{doc}`../book/words`", f"[Words]({SITE}/book/words.html)"),
        ("{doc}`these words <../book/words>`", f"[these words]({SITE}/book/words.html)"),
        ("{cite:t}`one`", f"[van den Øst (2001)]({SITE}/book/bibliography.html#cite-one)"),
        (
            "{cite:p}`two, three`",
            f"([Bee and Cee, 2002]({SITE}/book/bibliography.html#cite-two); "
            f"[Dee *et al.*, 2003]({SITE}/book/bibliography.html#cite-three))",
        ),
        (
            ":::{admonition} Predict $x$\n:class: predict\nHow *many*?\n\n- a\n- b\n:::",
            "> **Predict $x$**\n>\n> How *many*?\n>\n> - a\n> - b",
        ),
        ("```{note}\nA text.\n```", "> **Note**\n>\n> A text."),
        (":::{tip}\n$$\nx\n+ y\n$$\n:::", "> **Tip**\n>\n> $$x + y$$"),
        ("> $$\n> x\n> $$", "> $$x$$"),
        (
            ":::{dropdown} A. About $2^x$ & `y`\nNo: {eq}`a-B`.\n:::",
            "<details>\n<summary>A. About $2^x$ &amp; <code>y</code></summary>\n\n"
            f"No: [(7.1)]({SITE}/notebooks/07-other.html#equation-a-b).\n\n</details>",
        ),
        ("```python\nx = '$'\n```", "```python\nx = '$'\n```"),
        ("1. a\n2. b\n3. c", "1. a\n2. b\n3. c"),
        ("| a | b |\n|---|--:|\n| $x$ | *y* |", "| a   |   b |\n| --- | --: |\n| $x$ | *y* |"),
        ("(label)=\nText.\n\n% a comment\n\nMore.", "Text.\n\nMore."),
    ],
)
def test_what_is_written(course, myst, plain):
    assert write(course, myst) == plain


@pytest.mark.parametrize(
    ("myst", "message"),
    [
        ("{eq}`nothing`", "there is no equation `nothing`"),
        ("{cite:t}`nobody`", "'nobody'.* not in the bibliography"),
        ("[x](08-missing)", "there is no page `08-missing`"),
        ("{doc}`missing`", "there is no page `missing`"),
        ("{strange}`x`", "role `strange`"),
        (":::{strange}\nx\n:::", "directive `strange`"),
        ("![A picture of something](picture.png)", "image file"),
    ],
)
def test_what_leads_nowhere_is_refused(course, myst, message):
    with pytest.raises(ValueError, match=f"notebooks/05-this: .*{message}"):
        write(course, myst)


def test_the_first_cell_names_the_page_of_the_site(course):
    assert write(course, "# Title\n\nText.") == (
        f"# Title\n\n*A course, an open course: [read this page on its site]({SITE}/notebooks/"
        "05-this.html).*\n\nText."
    )


def test_a_book_is_found_around_a_file(course, tmp_path):
    assert Book.around(course.root / "notebooks" / "07-other.md").root == course.root
    with pytest.raises(FileNotFoundError, match=r"_config\.yml"):
        Book.around(tmp_path / "x.md")


CELLS = """\
# Title

```{code-cell}
:tags: [hide-cell]
first = 1
```

## Part

```{code-cell}
:tags: [hide-input]
%%time
second = 2
```

```{code-cell}
assert first < second
```

```{code-cell}
assert first
first
```

## Exercises

```{code-cell}
:tags: [hide-cell]
assert second == 2
```
"""


@pytest.fixture
def cells(tmp_path):
    path = tmp_path / "05-this.md"
    path.write_text(HEAD + CELLS)
    return read(path)


def test_folded_cells(course, cells):
    setup, magic, check, shown, solution = (
        cell
        for cell in portable(cells, course, "notebooks/05-this").cells
        if "tags" in cell.metadata or cell.cell_type == "code"
    )
    both = {"source_hidden": True, "outputs_hidden": True}
    assert setup.source == "#@title Set-up\nfirst = 1"
    assert setup.metadata.jupyter == both
    assert setup.metadata.cellView == "form"
    assert magic.source == "%%time\nsecond = 2"  # the magic must stay first
    assert magic.metadata.jupyter == {"source_hidden": True}
    assert check.source == "#@title Check\nassert first < second"
    assert check.metadata.jupyter == both
    assert check.metadata.tags == ["remove-cell"]
    assert shown.source == "assert first\nfirst"
    assert "jupyter" not in shown.metadata
    assert solution.source.startswith("#@title Solution\n")
    assert solution.metadata.tags == ["hide-cell"]


def test_the_site_shows_the_sources_text_and_the_twins_outputs(course, cells):
    twin = portable(cells, course, "notebooks/05-this")
    twin.cells[1].outputs = [v4.new_output("stream", text="out")]
    page = for_site(cells, twin)
    assert [cell.source for cell in page.cells] == [cell.source for cell in cells.cells]
    assert [cell.metadata for cell in page.cells] == [cell.metadata for cell in cells.cells]
    assert page.cells[1].outputs[0].text == "out"


def test_the_site_shows_no_solution():
    grader = {"grade_id": "a", "solution": True}
    source = v4.new_notebook(
        cells=[
            v4.new_code_cell("secret = 1", metadata={"nbgrader": grader}),
            v4.new_markdown_cell("the answer", metadata={"nbgrader": grader}),
            v4.new_markdown_cell(":::{note}\nx\n:::", metadata={"nbgrader": {"solution": False}}),
        ]
    )
    twin = v4.new_notebook(
        cells=[
            v4.new_code_cell("raise NotImplementedError", metadata={"nbgrader": grader}),
            v4.new_markdown_cell("write here", metadata={"nbgrader": grader}),
            v4.new_markdown_cell("> **Note**", metadata={"nbgrader": {"solution": False}}),
        ]
    )
    assert [cell.source for cell in for_site(source, twin).cells] == [
        "raise NotImplementedError",
        "write here",
        ":::{note}\nx\n:::",
    ]
    twin.cells.pop()
    with pytest.raises(ValueError, match="run `make notebooks`"):
        for_site(source, twin)


PLAIN = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)


def words(parser, text):
    """Return the words of a text as a reader sees them, without mathematics' white space."""

    def walk(tokens):
        for token in tokens:
            if token.children is not None:
                yield from walk(token.children)
            elif token.type not in ("html_block", "html_inline"):
                yield token.content

    return " ".join(" ".join(walk(parser.parse(text))).split())


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(NOTEBOOKS).as_posix())
def test_no_word_is_lost(source):
    """Where a cell has no reference and no box, both forms read the same."""
    compared, writer = 0, renderings._Markdown(book(), book().name(source), {})
    for cell in read(source).cells:
        special = any(mark in cell.source for mark in ("{cite", "{eq}", "{doc}", ":::", "$$ ("))
        if cell.cell_type == "markdown" and not special:
            compared += 1
            assert words(PLAIN, writer(cell.source)) == words(book().parser, cell.source)
    assert compared > 3
