"""Texts with a summary that a person wrote: docstrings of Python and of scientific packages.

By convention (PEP 257), the first line of a docstring says in one sentence what the function or
class does, and after an empty line follows the description. So the first line is a summary of the
rest, written by somebody who knows the code, and thousands of them are on every computer that has
Python. The files are parsed and never imported.

The texts belong to their authors and stay where they are; nothing of them is in this package. Other
versions of Python and of the packages have slightly different texts, so figures measured on them
differ a little, and a table of such figures should say the versions.

What is reached without understanding, by ROUGE-1 on the 700 texts of scikit-learn, in percent: the
same words for each text, *Return the of a the*, 13; the first sentence of the description, 18. The
lab *Summarizing* measures more.
"""

import ast
import gc
import re
import sysconfig
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("sklearn", "numpy", "matplotlib", "pandas", "scipy", "python")
"""Those that the course uses, and ``"python"`` for the standard library."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

SUMMARY_WORDS = (3, 20)
"""The fewest and the most words of a summary."""

DESCRIPTION_WORDS = (15, 150)
"""The fewest and the most words of a description."""

# Folders of tests, of demonstrations, and of what belongs to other packages.
SKIPPED = frozenset({"site-packages", "dist-packages", "test", "tests", "testing", "idlelib",
                     "lib2to3", "turtledemo", "ensurepip", "externals", "_vendor"})  # fmt: skip

# What ends the description: an underlined heading, the name of a section, an example, a directive.
_RULE = re.compile(r"\s*([-=~^*])\1{2,}\s*")
_SECTION = re.compile(
    r"\s*(?:(?:(?:keyword )?arg(?:ument)?s|parameters|returns?|raises|yields|examples?|notes?|"
    r"attributes|references|see also|usage|shape|inputs?|outputs?)\s*::?|>>>.*|\.\. .*|:\w+.*:.*|"
    r"@\w+.*)\s*",
    re.IGNORECASE,
)
_MARKUP = (
    (re.compile(r":\w+(?::\w+)*:`~?([^`]*)`"), r"\1"),  # a role
    (re.compile(r"\s*\[[^\]\s]+\]_"), ""),  # a reference
    (re.compile(r"`+([^`]*)`+_?"), r"\1"),
    (re.compile(r"\*+([^*\s][^*]*?)\*+"), r"\1"),
    (re.compile(r"::(?=\s|$)"), ":"),
)


class Docstring(NamedTuple):
    """The docstring of a function or class, in two parts.

    Attributes
    ----------
    package
        As in the argument ``packages`` of :func:`docstrings`.
    module
        The file, relative to the package: ``"linear_model/_base.py"``.
    name
        Of the function or class.
    summary
        The first line. It ends with a period.
    description
        What follows, up to the first section, list of parameters or example, in one line.
    """

    package: str
    module: str
    name: str
    summary: str
    description: str


def docstrings(packages: Sequence[str] = PACKAGES) -> list[Docstring]:
    """Collect the docstrings that consist of a summary and a description.

    A docstring is taken if its first paragraph is one line that ends with a period, and summary and
    description have as many words as :data:`SUMMARY_WORDS` and :data:`DESCRIPTION_WORDS` say. Of
    those with the same words in the summary, or in the description, only the first is taken. So
    what a package contributes depends on those before it: name the one for the test first.

    Parameters
    ----------
    packages
        Names of installed packages, and ``"python"`` for the standard library.

    Returns
    -------
    docstrings
        In the order of the packages, then of the files' names, then as in the files.

    Raises
    ------
    TypeError, ValueError
        If ``packages`` is a string, is empty or names a package twice, or a package is not
        installed as a folder of Python files.

    Examples
    --------
    >>> found = docstrings(["numpy"])
    >>> len(found) > 200
    True
    """
    if isinstance(packages, str):
        raise TypeError(f"packages: expected a list of names, got the string {packages!r}")
    if not packages:
        raise ValueError("packages: expected at least one name, got none")
    if len(set(packages)) < len(packages):
        raise ValueError(f"packages: expected each name once, got {list(packages)}")
    taken = []
    seen: set[tuple[str, ...]] = set()
    for package in packages:
        for found in _of_package(package):
            keys = {tuple(words(found.summary)), tuple(words(found.description))}
            if not keys & seen:
                taken.append(found)
            seen |= keys
    return taken


def folder(package: str) -> Path:
    """Return the folder of a package, without importing it; ``"python"``: the standard library.

    Raises
    ------
    ValueError
        If it is not installed as a folder of Python files.
    """
    if package == "python":
        place = Path(sysconfig.get_paths()["stdlib"])
        if not (place / "ast.py").is_file():
            raise ValueError(f"packages: expected the source files of Python in {place}, got none")
        return place
    spec = find_spec(package) if package.isidentifier() else None
    places = (spec.submodule_search_locations if spec else None) or []
    for found in places:
        if any(Path(found).glob("*.py")):
            return Path(found)
    raise ValueError(f"packages: expected installed packages with Python files, got {package!r}")


@cache
def _of_package(package: str) -> tuple[Docstring, ...]:
    root = folder(package)
    found = []
    # A tree is many objects and no garbage: without the collector, parsing takes half the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for path in _files(root):
            module = path.relative_to(root).as_posix()
            for name, summary, description in parse(path.read_bytes()):
                found.append(Docstring(package, module, name, summary, description))
    finally:
        if collecting:
            gc.enable()
    return tuple(found)


def _files(place: Path) -> Iterator[Path]:
    """Yield the Python files of a folder, in the order of their names, then of its folders."""
    inside = sorted(place.iterdir(), key=lambda path: path.name)
    yield from (path for path in inside if path.suffix == ".py" and path.is_file())
    for path in inside:
        if path.is_dir() and path.name not in SKIPPED:
            yield from _files(path)


def parse(source: str | bytes) -> Iterator[tuple[str, str, str]]:
    """Yield name, summary and description of a file's docstrings that have both.

    Parameters
    ----------
    source
        Text of a Python file. One that cannot be parsed has no docstrings.

    Examples
    --------
    >>> text = '''def mean(x):
    ...     \"\"\"Return the average of all numbers.
    ...
    ...     The sum of `x` divided by how many there are. An empty list has
    ...     no mean, and is refused with an error.
    ...
    ...     Parameters
    ...     ----------
    ...     x : list
    ...     \"\"\"
    ... '''
    >>> for name, summary, description in parse(text):
    ...     print(name, "|", summary, "|", description[:32])
    mean | Return the average of all numbers. | The sum of x divided by how many
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in _definitions(tree.body):
        text = ast.get_docstring(node) or ""
        first, _, rest = text.partition("\n\n")
        if "\n" in first or not first.endswith(".") or _SECTION.fullmatch(first):
            continue
        summary, description = _plain(first), _plain(" ".join(_before_sections(rest)))
        if _has(SUMMARY_WORDS, summary) and _has(DESCRIPTION_WORDS, description):
            yield node.name, summary, description


def _definitions(body: Sequence[ast.AST]) -> Iterator[Definition]:
    """Yield functions and classes in order, five times as fast as ``ast.walk``."""
    for node in body:
        if isinstance(node, Definition):
            yield node
        for part in ("body", "orelse", "handlers", "finalbody", "cases"):
            inner = getattr(node, part, None)
            if isinstance(inner, list):  # not the body of a conditional expression
                yield from _definitions(inner)


def _before_sections(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        if _RULE.fullmatch(line):
            return lines[:-1]
        if _SECTION.fullmatch(line):
            break
        lines.append(line)
    return lines


def _plain(text: str) -> str:
    for pattern, new in _MARKUP:
        text = pattern.sub(new, text)
    return " ".join(text.split())


def _has(bounds: tuple[int, int], text: str) -> bool:
    return bounds[0] <= len(words(text)) <= bounds[1]


def words(text: str) -> list[str]:
    """Split a text into words as ROUGE does: runs of letters and digits, in lower case.

    Examples
    --------
    >>> words("Return x_new, the 2-D array.")
    ['return', 'x', 'new', 'the', '2', 'd', 'array']
    """
    return re.findall(r"[a-z0-9]+", text.lower())


def sentences(text: str) -> list[str]:
    """Split a text into sentences, after ``.``, ``!``, ``?`` or ``:`` before a capital letter.

    Examples
    --------
    >>> sentences("It returns a copy, e.g. of x. The copy is sorted.")
    ['It returns a copy, e.g. of x.', 'The copy is sorted.']
    """
    return re.split(r"(?<=[.!?:])\s+(?=[A-Z\"'(\[])", text.strip())


def name_words(name: str) -> list[str]:
    """Split the name of a function or class into its words.

    Examples
    --------
    >>> name_words("make_low_rank_matrix"), name_words("HTMLParser"), name_words("argsort2d")
    (['make', 'low', 'rank', 'matrix'], ['html', 'parser'], ['argsort', '2', 'd'])
    """
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


__all__ = [
    "DESCRIPTION_WORDS",
    "PACKAGES",
    "SUMMARY_WORDS",
    "Docstring",
    "docstrings",
    "folder",
    "name_words",
    "parse",
    "sentences",
    "words",
]
