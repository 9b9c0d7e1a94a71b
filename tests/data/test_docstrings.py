import gc
import sys

import pytest

from rnncourse.data.docstrings import (
    DESCRIPTION_WORDS,
    SUMMARY_WORDS,
    docstrings,
    folder,
    name_words,
    parse,
    sentences,
    words,
)

LONG = "It is described here in so many words that nobody can say that there are too few of them."
FILE = '''
class Cell:
    """A recurrent cell.

    {long}

    Parameters
    ----------
    x : array
        {long}
    """

    if True:
        async def step(self):
            """Take ``one`` step of :class:`~torch.nn.GRU` [2]_.

            {long}
            >>> 1 + 1
            2
            """
            def inner():
                """No period at the end

                {long}
                """

def two_lines():
    """Say something in a summary that
    goes on in the next line.

    {long}
    """

def short():
    """Have a short description.

    Too short.
    """

def google():
    """Use another style of docstring.

    {long}

    Args:
        x: {long}
    """
'''.replace("{long}", LONG)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write packages that can be found, and would fail if they were imported."""

    def write(name, files):
        for path, text in files.items():
            place = tmp_path / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        return name

    monkeypatch.syspath_prepend(tmp_path)
    return write


def test_what_is_taken_and_where_it_ends():
    assert list(parse(FILE)) == [
        ("Cell", "A recurrent cell.", LONG),
        ("step", "Take one step of torch.nn.GRU.", LONG),
        ("google", "Use another style of docstring.", LONG),
    ]


@pytest.mark.parametrize("text", ["def f(:", "\0", ""])
def test_a_file_that_cannot_be_parsed_has_none(text):
    assert list(parse(text)) == []


def test_a_package_is_read_in_order_and_not_imported(package):
    text = 'raise SystemExit\ndef {0}():\n    """Do what {0} does.\n\n    {1}\n    """\n'
    name = package(
        "unseen",
        {
            "b.py": text.format("b", LONG + " b"),
            "a.py": text.format("a", LONG + " a"),
            "inner/c.py": text.format("c", LONG + " c"),
            "tests/d.py": text.format("d", LONG + " d"),
            "notes.txt": text.format("e", LONG + " e"),
        },
    )
    assert gc.isenabled()
    found = docstrings([name])
    assert gc.isenabled()
    assert [(d.module, d.name) for d in found] == [
        ("a.py", "a"),
        ("b.py", "b"),
        ("inner/c.py", "c"),
    ]
    assert name not in sys.modules


def test_of_twins_the_first_package_keeps_its_own(package):
    text = 'def f():\n    """{}\n\n    {}\n    """\n'
    one = package("one", {"m.py": text.format("Sort a list.", LONG)})
    two = package("two", {"m.py": text.format("Sort the list!.", LONG + " Really.")})
    three = package("three", {"m.py": text.format("Sort (a) list.", LONG + " Truly.")})
    four = package("four", {"m.py": text.format("Sort a tuple.", LONG.upper())})
    assert [d.package for d in docstrings([one, two, three, four])] == ["one", "two"]
    assert [d.package for d in docstrings([three, two, four])] == ["three", "two", "four"]


def test_the_standard_library_and_numpy():
    found = docstrings(["numpy", "python"])
    of = {name: [d for d in found if d.package == name] for name in ("numpy", "python")}
    assert 250 < len(of["numpy"]) < 1000  # 431 in NumPy 2.4.6
    assert 900 < len(of["python"]) < 2500  # 1300 in Python 3.11
    for d in found:
        assert d.summary.endswith(".")
        assert SUMMARY_WORDS[0] <= len(words(d.summary)) <= SUMMARY_WORDS[1]
        assert DESCRIPTION_WORDS[0] <= len(words(d.description)) <= DESCRIPTION_WORDS[1]
        assert "test" not in d.module.split("/")
    assert not any("site-packages" in d.module for d in found)
    keys = [tuple(words(d.summary)) for d in found]
    assert len(set(keys)) == len(keys)
    assert docstrings(["numpy", "python"]) == found


@pytest.mark.parametrize(
    ("packages", "error", "message"),
    [
        ("numpy", TypeError, "packages: expected a list of names, got the string 'numpy'"),
        ([], ValueError, "packages: expected at least one name, got none"),
        (["numpy", "numpy"], ValueError, "packages: expected each name once"),
        (["no_such_package"], ValueError, "expected installed packages .* got 'no_such_package'"),
        (["os.path"], ValueError, "expected installed packages .* got 'os.path'"),
        (["sys"], ValueError, "expected installed packages .* got 'sys'"),
    ],
)
def test_errors(packages, error, message):
    with pytest.raises(error, match=message):
        docstrings(packages)


def test_no_source_files_of_python(tmp_path, monkeypatch):
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(ValueError, match="expected the source files of Python in"):
        folder("python")


def test_words_are_those_of_rouge():
    rouge = pytest.importorskip("rouge_score.tokenizers")
    for text in (LONG, "Return x_new[0], NaN or 2-D: **kwargs.", "", "naïve ﬁt"):
        assert words(text) == rouge.DefaultTokenizer(use_stemmer=False).tokenize(text)


def test_sentences_and_names():
    assert sentences("One: two. Three? (Four.) e.g. five.") == [
        "One: two.",
        "Three?",
        "(Four.) e.g. five.",
    ]
    assert name_words("__call__") == ["call"]
    assert name_words("_LinearSVC2d_") == ["linear", "svc", "2", "d"]
    assert name_words("_") == []
