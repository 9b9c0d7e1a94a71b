"""Cells that state a tolerance are compared within it, and all the rest letter by letter."""

import os
import subprocess
import sys
from decimal import Decimal

import nbformat.v4 as v4
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tools import notebooks, tolerance
from tools.notebooks import ROOT
from tools.tolerance import difference, parse, settle, split

HEAD = "---\nkernelspec: {display_name: Python 3, name: python3}\n---\n\n"


def values(text, html=False):
    return [str(number.value) for number in split(text, html)[1]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("loss 0.25, error 3", ["0.25", "3"]),
        ("-0.5 +1 (−2) [-.5]", ["-0.5", "1", "-2", "-0.5"]),
        ("1e-05 2.5E+3 4e−2", ["0.00001", "2.5E+3", "0.04"]),
        ("[1. 2. 0.5]", ["1", "2", "0.5"]),
        (
            "1,234 12_345 1\u202f234.5 [100, 200] 7,12",
            ["1234", "12345", "1234.5", "100", "200", "7", "12"],
        ),
        ("nan inf -inf NaN ∞", ["NaN", "Infinity", "-Infinity", "NaN", "Infinity"]),
        ("87% 12 % 3\\%", ["87", "12", "3"]),
        ("3-4 0.1–0.2 a-5", ["3", "4", "0.1", "0.2", "5"]),
        ("h0 float32 W_1 x2y v1.2.3 info finance", []),
        ("12 ms, 3x, T=50:", ["12", "3", "50"]),
    ],
)
def test_numbers_are_found(text, found):
    assert values(text) == found


def test_tags_of_a_table_hold_no_numbers():
    table = '<table border="1"><style>td {margin: 3em}</style><td>0.5</td><td>&minus;2&nbsp;%</td>'
    assert values(table, html=True) == ["0.5", "-2"]
    assert split(table, html=True)[0][0].startswith('<table border="1"><style>')


@pytest.mark.parametrize(
    ("stated", "size", "relative"),
    [(0.02, "0.02", False), (3, "3", False), ("2%", "0.02", True), ("0.5 %", "0.005", True)],
)
def test_a_tolerance_is_read(stated, size, relative):
    assert parse(stated) == tolerance.Tolerance(Decimal(size), relative)


@pytest.mark.parametrize("stated", ["", "about 2", "-0.1", 0, "0%", True, None, [1], "2 %%", "nan"])
def test_what_is_no_tolerance_is_named(stated):
    with pytest.raises(ValueError, match=r"is no tolerance: write a positive number such as 0\.02"):
        parse(stated)


@pytest.mark.parametrize("stated", ["2%", "0.5%", "100%", "120%", "0.02", "3", "100"])
def test_a_tolerance_is_shown_as_it_was_stated(stated):
    assert str(parse(stated)) == stated


@pytest.mark.parametrize(
    ("stored", "new", "stated"),
    [
        ("error 0.87", "error 0.88", 0.01),  # exact, though 0.88 - 0.87 > 0.01 in floating point
        ("error 100.0", "error 102.0", "2%"),
        ("-0.01", " 0.01", 0.02),
        ("[ 0.1 0.2]\n", "[-0.1  0.2]\n", 0.2),
        ("name   loss\n------ ---\na      9.9", "name  loss\n----- -----\na  10.1", "5%"),
        ("9,999.5 words", "10,001.5 words", 2),
        ("142 of 200 right", "144 of 200 right", 2),
        ("accuracy 87%", "accuracy 88%", "2%"),
        ("nan and -inf, 0.5", "nan and -inf, 0.6", 0.1),
        ("0.000", "-0.000", "1%"),
        ("tensor([1.0000])", "tensor([0.9999])", "1%"),
        ("1e-05", "9.9e-06", "2%"),
    ],
)
def test_texts_that_agree(stored, new, stated):
    assert difference(stored, new, parse(stated)) is None


@pytest.mark.parametrize(
    ("stored", "new", "stated", "message"),
    [
        (
            "a 0.5, b 0.87",
            "a 0.5, b 0.89",
            0.01,
            "number 2 of 2 was 0.87 and is 0.89: the tolerance of 0.01 allows a difference of 0.01",
        ),
        ("100.0", "103.0", "2%", "the tolerance of 2% allows a difference of 2 here"),
        (
            "200 updates",
            "199 updates",
            "2%",
            "allows a difference of 0 here; whole numbers are counts",
        ),
        ("in 200.", "in 199.", "2%", "whole numbers are counts"),
        ("0.5", "-0.5", "10%", "was 0.5 and is -0.5"),
        ("1e-5", "1e-6", "20%", "was 1e-5 and is 1e-6"),
        ("1e-5", "1e+5", 1, "was 1e-5 and is 1e+5"),
        ("nan", "0.5", 1, "was nan and is 0.5"),
        ("0.5", "inf", "1%", "was 0.5 and is inf"),
        ("inf", "-inf", 1, "was inf and is -inf"),
        ("1,234.5", "1.234", 5, "was 1,234.5 and is 1.234"),
        ("0.5 0.5", "0.5 0.5 0.5", 1, "there were 2 numbers, and now there are 3"),
        ("gain 0.5", "loss 0.5", 1, "the text first was `gain` and is `loss`"),
        ("0.5 m and 3 s", "0.5 m and 3 h", 1, "the text after number 2 (`3`) was `s` and is `h`"),
        ("h0 0.5", "h1 0.5", 1, "was `h0` and is `h1`"),
    ],
)
def test_texts_that_differ(stored, new, stated, message):
    assert message in difference(stored, new, parse(stated))


def test_a_table_is_compared_within_its_tags():
    table = '<td class="w{}">{}</td>'
    stored = table.format(2, 0.5)
    assert difference(stored, table.format(2, 0.6), parse(0.1), html=True) is None
    assert "was `<td class=" in difference(stored, table.format(3, 0.5), parse(9), html=True)


TEXT = st.text(max_size=60)
WORDS = st.lists(st.sampled_from(["loss", "h0", "of", "=", "(mean)", ":", "ms", "|"]), min_size=1)
SIZES = st.decimals("0.001", "5", places=3)
FINITE = st.decimals("-1000", "1000", places=3)


@given(TEXT, SIZES, st.booleans(), st.booleans())
def test_a_text_agrees_with_itself(text, size, relative, html):
    allowed = tolerance.Tolerance(size, relative)
    assert difference(text, text, allowed, html) is None
    # The long way too, since equal texts are not taken apart.
    assert difference(f"{text} ", f" {text}\n", allowed, html) is None


def printed(words, numbers):
    return " ".join(f"{word} {number}" for word, number in zip(words, numbers, strict=True))


@st.composite
def lines(draw):
    words = draw(WORDS)
    numbers = [draw(FINITE) for _ in words]
    shares = [draw(st.decimals("-1", "1", places=2)) for _ in words]
    return words, numbers, shares


@given(lines(), SIZES, st.integers(0, 3))
def test_numbers_within_the_tolerance_agree(line, size, spaces):
    words, numbers, shares = line
    moved = [number + size * share for number, share in zip(numbers, shares, strict=True)]
    new = printed(words, moved).replace(" ", " " * (1 + spaces))
    assert difference(printed(words, numbers), new, parse(size)) is None


@given(lines(), st.decimals("0.001", "0.4", places=3))
def test_numbers_within_a_relative_tolerance_agree(line, size):
    words, numbers, shares = line
    moved = [n * (1 + size * share) for n, share in zip(numbers, shares, strict=True)]
    allowed = tolerance.Tolerance(size, relative=True)
    assert difference(printed(words, numbers), printed(words, moved), allowed) is None


@given(lines(), SIZES, st.decimals("1.01", "9", places=2), st.sampled_from([-1, 1]), st.data())
def test_a_number_beyond_the_tolerance_is_named(line, size, factor, sign, data):
    words, numbers, _ = line
    place = data.draw(st.integers(0, len(words) - 1))
    moved = list(numbers)
    moved[place] += sign * size * factor
    found = difference(printed(words, numbers), printed(words, moved), parse(size))
    assert found is not None
    assert found.startswith(
        f"number {place + 1} of {len(words)} was {numbers[place]} and is {moved[place]}"
    )


@given(lines(), st.data())
def test_another_word_is_found(line, data):
    words, numbers, _ = line
    place = data.draw(st.integers(0, len(words) - 1))
    changed = [*words[:place], "other", *words[place + 1 :]]
    found = difference(printed(words, numbers), printed(changed, numbers), parse(1000))
    assert found is not None
    assert "`other" in found


@given(lines(), st.data())
def test_another_count_is_found(line, data):
    words, numbers, _ = line
    assume(len(words) > 1)
    place = data.draw(st.integers(0, len(words) - 1))
    fewer = printed(words[:place] + words[place + 1 :], numbers[:place] + numbers[place + 1 :])
    found = difference(printed(words, numbers), fewer, parse(1000))
    assert found == f"there were {len(words)} numbers, and now there are {len(words) - 1}"


def test_the_stored_text_takes_the_place_of_one_that_agrees():
    stream = v4.new_output("stream", text="0.50\n")
    table = v4.new_output("display_data", {"text/plain": "0.50", "text/html": "<b>0.50</b>"})
    new_stream = v4.new_output("stream", text="0.51\n")
    new_table = v4.new_output("display_data", {"text/plain": "0.51", "text/html": "<b>0.59</b>"})
    outputs, found = settle([new_stream, new_table], [stream, table], parse(0.01))
    assert outputs[0] == stream
    assert outputs[1].data == {"text/plain": "0.50", "text/html": "<b>0.59</b>"}
    assert len(found) == 1
    assert found[0].startswith("text/html: number 1 of 1 was 0.50 and is 0.59")
    assert (new_stream.text, new_table.data["text/plain"]) == ("0.51\n", "0.51")
    assert settle([new_stream], [stream, table], parse(0.01)) == ([new_stream], [])


CELLS = """
```{{code-cell}}
:tolerance: {tolerance}
import pathlib
print("loss", pathlib.Path("loss.txt").read_text(), "after 300 updates")
```

```{{code-cell}}
1 + 1
```
"""


@pytest.fixture
def varying(tmp_path):
    """Return a function that writes what a cell prints, and the notebook made with 0.50 and 2 %."""

    def says(loss):
        (tmp_path / "loss.txt").write_text(loss)

    says("0.50")
    source = tmp_path / "01-varying.md"
    source.write_text(HEAD + CELLS.format(tolerance="2%"))
    notebooks.update(source, force=False)
    return says, source


def test_nbval_compares_within_the_tolerance(varying):
    says, source = varying
    strict = source.with_name("02-strict.md")
    strict.write_text(source.read_text().replace(":tolerance: 2%\n", ""))
    notebooks.update(strict, force=False)

    def run(loss):
        says(loss)
        command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider"]
        command += ["-c", str(ROOT / "pyproject.toml"), "--color=no", str(source.parent)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        found = subprocess.run(command, env=environment, capture_output=True, text=True)
        return found.stdout

    within = run("0.51")
    assert "1 failed, 3 passed" in within  # the cell without a tolerance
    assert "02-strict.ipynb::Cell 0" in within
    beyond = run("0.52")
    assert "2 failed, 2 passed" in beyond
    assert "stdout: number 1 of 2 was 0.50 and is 0.52: the tolerance of 2% allows" in beyond
    assert "state a tolerance in the head of the cell" in " ".join(beyond.split())


def test_running_again_keeps_what_agrees(varying):
    says, source = varying
    twin = source.with_suffix(".ipynb")
    before = twin.read_bytes()
    says("0.51")
    assert notebooks.update(source, force=True)
    assert twin.read_bytes() == before
    says("0.53")
    notebooks.update(source, force=True)
    assert "loss 0.53" in twin.read_text()
    assert notebooks.problems(source) == []


def test_running_again_replaces_what_was_changed_by_hand_or_has_other_code(varying):
    _, source = varying
    twin = source.with_suffix(".ipynb")
    before = twin.read_text()
    twin.write_text(before.replace("loss 0.50", "loss 0.51"))
    notebooks.update(source, force=False)
    assert twin.read_text() == before
    source.write_text(source.read_text().replace('print("loss"', 'print("error"'))
    notebooks.update(source, force=False)
    assert "error 0.50" in twin.read_text()
