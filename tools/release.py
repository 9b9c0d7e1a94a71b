"""Check that a tag may be released, and print its notes: ``python -m tools.release v0.2.0``."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.version import InvalidVersion, Version

from rnncourse import __version__

ROOT = Path(__file__).resolve().parents[1]


def sections(changelog: str) -> dict[str, str]:
    """Return the text of each version's section; ``Unreleased`` is one of them."""
    parts = re.split(r"^## \[(.+?)\].*\n", changelog, flags=re.MULTILINE)[1:]
    texts = (re.split(r"^\[.+?\]: ", text, flags=re.MULTILINE)[0].strip() for text in parts[1::2])
    return dict(zip(parts[::2], texts, strict=True))


def cited(citation: str) -> str:
    """Return the version that a CITATION.cff names."""
    return re.findall(r"^version: *[\"']?([^\"'\n]+)", citation, re.MULTILINE)[0]


def problems(tag: str, version: str, changelog: str, citation: str) -> Iterator[str]:
    """Say why a tag may not be released."""
    if tag != f"v{version}":
        yield f"the tag is {tag}, and rnncourse.__version__ is {version}: expected v{version}"
    try:
        found = Version(version)
    except InvalidVersion:
        yield f"rnncourse.__version__ is {version}: expected a version such as 0.2.0"
        return
    if found.is_devrelease:
        yield f"rnncourse.__version__ is {version}: a version in work is not released"
    if not sections(changelog).get(version):
        yield f"CHANGELOG.md: expected a section [{version}] that says what changed"
    if not found.is_prerelease and cited(citation) != version:
        yield f"CITATION.cff: expected version {version}, got {cited(citation)}"


def main(arguments: Sequence[str]) -> int:
    """Print the notes of a tag, or on the standard error why it may not be released."""
    (tag,) = arguments
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    if found := list(problems(tag, __version__, changelog, citation)):
        print("\n".join(found), file=sys.stderr)
        return 1
    print(sections(changelog)[__version__])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
