"""Each public module has a page, in the order in which a reader needs them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
PAGES = SITE / "book" / "package"


def public_modules():
    """Return the dotted names of the package's public modules that have a docstring."""
    for file in sorted((ROOT / "rnncourse").rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        private = any(part.startswith("_") for part in parts) or len(parts) < 2
        if not private and ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))):
            yield ".".join(parts)


@pytest.fixture(scope="module")
def links():
    page = (SITE / "book" / "api.html").read_text(encoding="utf-8").partition("<article")[2]
    return re.findall(r'href="(package/[^"]+)"', page)


def test_every_module_is_on_a_page(none):
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES.glob("*.html"))
    none(f"{name} is on no page" for name in public_modules() if f'id="module-{name}"' not in text)


def test_the_list_leads_to_every_page_once(links):
    targets = [link.partition("#")[0] for link in links if "#" not in link]
    listed = [target for target in dict.fromkeys(targets)]
    assert {Path(target).name for target in listed} == {page.name for page in PAGES.glob("*.html")}


def test_layers_come_first_and_experiments_late(links):
    names = list(dict.fromkeys(Path(link).stem for link in links))[2:]  # two stand in the text
    order = [names.index(name) for name in ("training", "data", "weights", "experiments")]
    assert order == sorted(order)
    assert names.index("torch.lstm") < names.index("training")
    assert names.index("experiments") > len(names) // 2


def test_nothing_stands_on_two_pages():
    seen = {}
    for page in PAGES.glob("*.html"):
        for anchor in re.findall(r'id="(rnncourse\.[\w.]+)"', page.read_text(encoding="utf-8")):
            assert anchor not in seen, f"{anchor} is on {seen[anchor]} and {page.name}"
            seen[anchor] = page.name
    assert "rnncourse.torch.lstm.LSTM" in seen


def test_pages_follow_each_other_and_are_edited_in_the_package(links):
    page = (PAGES / "torch.lstm.html").read_text(encoding="utf-8")
    assert 'class="right-next"' in page
    assert 'class="left-prev"' in page
    assert "/edit/main/rnncourse/torch/lstm.py" in page
