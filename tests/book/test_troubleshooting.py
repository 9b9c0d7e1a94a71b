"""Each example of the troubleshooting page gives what the page says."""

import contextlib
import io
import re
import traceback

import pytest

from tools.notebooks import ROOT

PAGE = (ROOT / "book" / "troubleshooting.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^### (.+)\n((?:(?!^#{2,3} ).*\n)*)", PAGE, re.MULTILINE)
BLOCKS = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def output_of(code, names):
    """Run lines of code; return what they print, and the message they end with."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(code, "example", "exec"), names)
        except Exception as error:  # the message is what the page shows
            print("".join(traceback.format_exception_only(error)).strip())
    return printed.getvalue()


def test_there_are_at_least_twenty_entries():
    assert len(ENTRIES) >= 20
    assert len(ENTRIES) == len(re.findall(r"^### ", PAGE, re.MULTILINE))


@pytest.mark.parametrize(("title", "entry"), ENTRIES, ids=[title for title, _ in ENTRIES])
def test_an_entry_shows_what_its_lines_give(title, entry):
    names = {}
    output_of(BLOCKS.search(PAGE)[1], names)  # the imports
    blocks = BLOCKS.findall(entry)
    assert blocks, f"{title}: expected an example"
    for code, shown in blocks:
        assert output_of(code, names).split() == shown.split(), f"{title}:\n{code}"


def test_a_wrong_output_is_found():
    assert output_of("print(1)\nint('x')", {}).splitlines() == [
        "1",
        "ValueError: invalid literal for int() with base 10: 'x'",
    ]
