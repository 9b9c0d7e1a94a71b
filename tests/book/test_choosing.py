"""Each number on the page that chooses a model stands in a table of runs or in a stored output.

`choosing.csv` names, for each phrase of the page that has a number, where the number comes from:

- a notebook, and a line that it prints, which has the same numbers;
- a notebook, and an assertion of its code, for a phrase that says it in words;
- a table of experiments, and the column, format and setting whose mean over the seeds it is.
"""

import csv
import re
from functools import cache
from statistics import fmean

import nbformat
import pytest

from tools.notebooks import NOTEBOOKS, ROOT

TABLES = ROOT / "rnncourse" / "experiments"
PAGE = (ROOT / "book" / "choosing.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"\d{1,3}(?: \d{3})+\b|\d+(?:[.,]\d+)*")


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


SOURCES = [(r["said"], r["source"], r["evidence"]) for r in read(ROOT / "tests/book/choosing.csv")]

# Numbers that are no results: a length, a number of competitors, a unit, the name of a score.
GIVEN = ["300 000 characters", "100 000 series", "random walk: 1 |", "2013 to 2018", "ROUGE-1"]

# A model of this size is not here: arithmetic.
COUNTED = {
    "7 billion has 60 thousand times as many": f"{7e9 / 115_816 / 1000:.0f}",
    "two bytes each take 14 GB": f"{2 * 7e9 / 1e9:.0f}",
}


def squeeze(text):
    return " ".join(text.split())


def text_of(page):
    """What a reader sees of the page: without addresses, citations and numbers of chapters."""
    page = re.sub(r"\A---\n.*?\n---\n", "", page, flags=re.DOTALL)
    page = re.sub(r"\{cite:[pt]\}`[^`]*`|^ *\d\. |chapter \d+", "", page, flags=re.MULTILINE)
    page = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", page)
    return squeeze(page.replace("*", ""))


TEXT = text_of(PAGE)


@cache
def cells(notebook):
    found = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    return [cell for cell in found if cell.cell_type == "code"]


@cache
def printed(notebook):
    """All that the cells of a notebook print, as stored, with single spaces."""
    outputs = [output for cell in cells(notebook) for output in cell.outputs]
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return squeeze("\n".join(texts))


def numbers(text):
    """The numbers in a text; 0.50 and 0.5 are one, and so are 4 096, 4,096 and 4096."""
    found = [re.sub("[ ,]", "", number) for number in NUMBER.findall(text)]
    return [n.rstrip("0").rstrip(".") if "." in n else n for n in found]


def from_table(table, evidence):
    """The mean over the runs: 'error .3f method=LSTM rate=0.01', with _ for a space in a value."""
    column, pattern, *settings = evidence.split()
    wanted = dict(setting.split("=") for setting in settings)
    rows = [
        float(row[column])
        for row in read(TABLES / table)
        if all(row[key].replace(" ", "_") == value for key, value in wanted.items())
    ]
    assert len(rows) >= 5, f"{table}: expected five runs or more of {wanted}, got {len(rows)}"
    return format(fmean(rows), pattern).rstrip("%")


def problem(said, source, evidence):
    """What is wrong with a phrase of the page and its source, or nothing."""
    if said.lower() not in TEXT.lower():
        return f"book/choosing.md no longer says {said!r}"
    if source.endswith(".csv"):
        number = from_table(source, evidence)
        return number not in NUMBER.findall(said) and f"{said!r}, and {source} gives {number}"
    if evidence in squeeze("\n".join(cell.source for cell in cells(source))):
        return None
    if squeeze(evidence) not in printed(source):
        return f"{source} neither prints nor asserts {evidence!r}: correct {said!r} on the page"
    missing = [number for number in numbers(said) if number not in numbers(evidence)]
    return missing and f"{said!r}: {missing} not in {evidence!r}"


def test_each_phrase_has_its_source(none):
    none(filter(None, (problem(*row) for row in SOURCES)))


def test_what_is_counted_is_right(none):
    none(
        f"{said!r}: expected {n}"
        for said, n in COUNTED.items()
        if said not in TEXT or n not in said
    )


def test_a_wrong_number_is_found():
    assert problem("ARIMA has 0.43", "lab-forecasting", "ARIMA 0.44 0.27 0.54")
    assert problem("ARIMA has 0.43", "lab-forecasting", "GRU recursive 0.57 to 0.59")
    assert problem("ARIMA has 0.44", "lab-forecasting", "ARIMA 0.43 0.27 0.54")
    assert problem("LSTM: 1.99", "lab_text_generation.csv", "test .2f size=256")


def test_no_number_on_the_page_is_without_a_source():
    """Each number is inside a phrase that has one."""
    covered = set()
    for phrase in [row[0] for row in SOURCES] + GIVEN + list(COUNTED):
        for match in re.finditer(re.escape(phrase), TEXT, re.IGNORECASE):
            covered.update(range(match.start(), match.end()))
    loose = [
        TEXT[max(0, match.start() - 40) : match.end() + 20]
        for match in NUMBER.finditer(TEXT)
        if not covered.issuperset(range(match.start(), match.end()))
    ]
    assert not loose, "name the source in tests/book/choosing.csv:\n  " + "\n  ".join(loose)


@pytest.mark.parametrize("source", sorted({row[1] for row in SOURCES}))
def test_each_notebook_that_gives_a_number_is_linked(source):
    others = {"lab_video_motion": "lab-video", "translator_transformer": "11-transformer"}
    notebook = others.get(source[:-4], source.removesuffix(".csv"))
    assert f"](../notebooks/{notebook.replace('_', '-')}.md#" in PAGE


@pytest.mark.parametrize("said", ["measured", "literature", "No GPU and no large language model"])
def test_measured_and_read_are_told_apart(said):
    assert said in TEXT
