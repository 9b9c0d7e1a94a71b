"""The landing page says of each chapter what the chapter says of itself, and what README says."""

import re
from xml.etree import ElementTree

import pytest

from tools.notebooks import NOTEBOOKS, ROOT, sources

PAGE = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAP = ROOT / "book" / "_static" / "map.svg"
HOW_TO_USE = (ROOT / "book" / "how-to-use.md").read_text(encoding="utf-8")
WORDS = {"half an hour": 30, "an hour": 60}
NUMBERS = {3: "three", 9: "nine", 13: "thirteen"}

# A card of the map: the page, the minutes, what it comes after.
CARDS = {
    name: (int(minutes), after)
    for name, minutes, after in re.findall(
        r"^- .*<\.\./notebooks/([\w-]+)>`.*\n.*\n +\*(\d+) minutes · (.+)\*$", PAGE, re.MULTILINE
    )
}


def chapters_in(text):
    """The numbers of the chapters that a sentence names: *chapters 3 to 7*, *6, 7 and 11*."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(text.split()))
    found = set()
    for numbers in re.findall(r"(?:chapters?|after) ((?:\d+|, | and | to )+)", text):
        listed = [int(n) for n in re.findall(r"\d+", numbers)]
        found |= set(range(listed[0], listed[1] + 1)) if " to " in numbers else set(listed)
    return found


def box(name):
    """The minutes that the opening box of a chapter states, and the chapters that it needs."""
    text = (NOTEBOOKS / f"{name}.md").read_text(encoding="utf-8")
    last = text.partition("class: tip")[2].partition("\n:::")[0].rpartition("\n\n")[2]
    last = " ".join(last.split())
    took = re.search(r"Reading takes (?:about )?(half an hour|an hour|(\d+) minutes)", last)
    assert took, f"notebooks/{name}.md: expected 'Reading takes about … minutes' in the first box"
    return int(took[2] or WORDS[took[1]]), chapters_in(last)


@pytest.mark.parametrize("name", [path.stem for path in sources()])
def test_the_map_says_what_the_chapter_says(name):
    assert name in CARDS, f"book/index.md: the map has no card for {name}"
    minutes, after = CARDS[name]
    stated, needed = box(name)
    assert minutes == stated, f"book/index.md says {minutes} minutes, {name} says {stated}"
    said = chapters_in(after)
    assert said == needed, f"book/index.md: after {sorted(said)}, and {name} needs {sorted(needed)}"


def test_the_arrows_lead_where_the_chapters_say():
    paths = ElementTree.parse(MAP).iter("{http://www.w3.org/2000/svg}path")
    named = [path.get("data-edge") for path in paths]
    edges = [tuple(map(int, edge.split())) for edge in named if edge]
    numbers = {int(name[:2]): name for name in CARDS if name[0].isdigit()}
    assert sorted(numbers) == list(range(1, 14))
    for chapter, name in numbers.items():
        needed, before = box(name)[1], {start for start, end in edges if end == chapter}
        assert before <= needed, f"map.svg: an arrow to {chapter} from {before - needed}"
        reached = set(before)
        for _ in numbers:
            reached |= {start for start, end in edges if end in reached}
        assert needed <= reached, f"map.svg: no way to {chapter} from {needed - reached}"


def test_how_to_use_names_the_same_chapters():
    for line in HOW_TO_USE.splitlines():
        found = re.match(r"\| (\{doc\}.*) \| (.*) \|$", line)
        if not found or "notebooks/" not in found[1]:
            continue
        for name in re.findall(r"<\.\./notebooks/([\w-]+)>", found[1]):
            said = chapters_in(found[2])
            assert said <= box(name)[1], f"book/how-to-use.md: {name} does not need {said}"


def test_the_timeline_has_the_years_of_its_table():
    drawn = (ROOT / "book" / "_static" / "timeline.svg").read_text(encoding="utf-8")
    table = (ROOT / "book" / "history.md").read_text(encoding="utf-8")
    years = set(re.findall(r'data-year="(\d+)"', drawn))
    told = set(re.findall(r"^\| (\d{4}) \|", table, re.MULTILINE)) | {"2000"}  # with 1997
    assert len(years) > 10
    assert years <= told


@pytest.mark.parametrize(("start", "count"), [("[0-9]", 13), ("lab-", 9), ("[!0-9l]", 3)])
def test_landing_page_and_readme_count_the_same(start, count):
    assert len(list(NOTEBOOKS.glob(f"{start}*.md"))) == count
    for text in (PAGE, README):
        kind = {"[0-9]": "chapters", "lab-": "labs", "[!0-9l]": "pages on engineering"}[start]
        assert re.search(rf"\b{NUMBERS[count]}\s+{kind}\b", text, re.IGNORECASE), kind


def test_the_hours_are_the_sum_of_the_chapters():
    minutes = sum(m for name, (m, _) in CARDS.items() if name[0].isdigit())
    words = {9: "nine", 10: "ten", 11: "eleven", 12: "twelve"}
    hours = words[round(minutes / 60)]
    assert f"some {hours} hours to read" in PAGE, f"the chapters take {minutes} minutes"


def test_landing_page_and_readme_say_the_same_of_the_network():
    """The first sentence about recurrent networks is one and the same."""
    first = re.search(r"^A \*\*recurrent neural network\*\*[^\n]*\.$", PAGE, re.MULTILINE)
    assert first
    plain = re.sub(r"[*\s]+", " ", first[0])
    assert plain.strip() in re.sub(r"[*\s]+", " ", README)
