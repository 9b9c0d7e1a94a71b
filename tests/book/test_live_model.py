"""The network that runs in a page: it is NumPy's, it is small, and everybody can use it.

Needs ``_build/html`` (``make book``) and a Chromium.
"""

import re

import numpy as np
import pytest

from rnncourse import reference
from rnncourse.interact import live_network
from rnncourse.weights import CHARACTER_RNN, read_weights
from tests.book.test_browser import LOW_CONTRAST, SITE, TOO_WIDE, Visit, site, visit  # noqa: F401
from tools import live_model
from tools.notebooks import NOTEBOOKS, ROOT

STATIC = ROOT / "book" / "_static"
NAME = "notebooks/shipping"
TEXT = 'The "while" statement\n    é is used for {x: 1}.'
MAX_BYTES = 1_000_000
READS = """text => {
    const net = window.liveRnn, states = [net.empty()];
    for (const char of text) states.push(net.read(char, states.at(-1)));
    return states.slice(1).map(h => [h, net.softmax(net.scores(h))]);
}"""


def by_numpy(text):
    """Return states ``(T, H)`` and probabilities ``(T, V)`` of the reference, in double."""
    tensors, facts = read_weights(CHARACTER_RNN)
    weights = {name: w.double().numpy() for name, w in tensors.items()}
    layer = reference.RNN.from_state_dict(
        {k.removeprefix("rnn."): w for k, w in weights.items() if k.startswith("rnn.")}
    )
    symbols = {symbol: n for n, symbol in enumerate(facts["symbols"])}
    ids = [symbols.get(char, 0) for char in text]
    states, _ = layer.forward(weights["embed.weight"][ids][:, None])
    scores = states[:, 0] @ weights["out.weight"].T + weights["out.bias"]
    p = np.exp(scores - scores.max(1, keepdims=True))
    return states[:, 0], p / p.sum(1, keepdims=True)


@pytest.fixture
def opened(visit):  # noqa: F811
    """Open the page and load the network with the keyboard alone."""

    def make(**options):
        seen = visit(**options)
        page = seen.open(f"{NAME}.html")
        assert page.locator("textarea").count() == 0  # not before it is asked for
        page.locator("figure.live-rnn button").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("figure.live-rnn textarea")
        return seen

    return make


def test_the_page_has_the_weights_of_the_package():
    stored = (STATIC / "live-rnn-weights.js").read_text(encoding="utf-8")
    assert stored == live_model.page(), "run `python -m tools.live_model --page`"


def test_the_notebook_shows_the_lines_that_run():
    program = (STATIC / "live-rnn.js").read_text(encoding="utf-8")
    cell = re.search(r"// cell:.*\n((?:.*\n)*?)  // end of cell", program)[1]
    assert f"```js\n{cell}```" in (NOTEBOOKS / "shipping.md").read_text(encoding="utf-8")


def test_the_snippet_for_other_pages_is_that_of_the_notebook():
    snippet = (STATIC / "live-rnn.html").read_text(encoding="utf-8")
    assert snippet == live_network()._repr_html_(), "run `python -m tools.live_model --page`"


def test_it_agrees_with_numpy(opened):
    seen = opened()
    found = seen.page.evaluate(READS, TEXT)
    states, probabilities = by_numpy(TEXT)
    assert abs(np.array([h for h, _ in found]) - states).max() < 1e-5
    assert abs(np.array([p for _, p in found]) - probabilities).max() < 1e-5
    assert not seen.problems, seen.problems


def test_it_shows_what_it_computes_and_is_used_by_keyboard(opened):
    seen = opened()
    page = seen.page
    box = page.get_by_label("Type, and watch")
    assert box.evaluate("e => e === document.activeElement")  # the focus is where typing begins
    box.press("Control+a")
    page.keyboard.type("The statemen")
    page.keyboard.type("t")
    _, probabilities = by_numpy("The statement")
    _, facts = read_weights(CHARACTER_RNN)
    names = {" ": "space", "\n": "new line"}
    best = np.argsort(-probabilities[-1])[:8]
    cells = [row.split("\t")[:2] for row in page.locator(".live-rnn tbody tr").all_inner_texts()]
    assert [name.strip() for name, _ in cells] == [
        names.get(facts["symbols"][n], facts["symbols"][n]) for n in best
    ]
    assert cells[0][1].strip() == f"{round(100 * probabilities[-1][best[0]])} %"
    bar = page.locator(".live-rnn-bar").first.bounding_box()
    assert bar["width"] > 50
    picture = page.get_by_role("img", name="The state after 13 characters")
    before = picture.inner_html()
    page.keyboard.press("Backspace")
    assert picture.count() == 0  # another number of characters, another state
    assert page.get_by_role("img", name="The state after 12 characters").inner_html() != before
    page.wait_for_function(
        "document.querySelector('.live-rnn [role=status]').textContent.startsWith('Next: ')"
    )
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert len(box.input_value()) == 13
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert len(box.input_value()) == 53
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert box.input_value() == ""
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert page.get_by_label("Temperature").input_value() == "1.5"
    assert "1.5" in page.locator(".live-rnn output").inner_text()
    assert not seen.problems, seen.problems


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_reads_well_on_a_phone(opened, scheme):
    seen = opened(width=390, scheme=scheme)
    page = seen.page
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), page.evaluate(
        TOO_WIDE
    )
    assert not page.evaluate(LOW_CONTRAST)
    for button in page.locator(".live-rnn button").all():
        assert button.bounding_box()["height"] >= 44
    (ROOT / "_build" / "screenshots").mkdir(parents=True, exist_ok=True)
    page.locator("figure.live-rnn").screenshot(
        path=ROOT / "_build" / "screenshots" / f"live-rnn-{scheme}.png"
    )
    assert not seen.problems, seen.problems


def test_it_works_from_disk(browser):
    seen = Visit(browser, SITE.as_uri())
    page = seen.open(f"{NAME}.html")
    page.get_by_role("button", name="Load the network").click()
    page.wait_for_selector("figure.live-rnn textarea")
    assert not seen.problems, seen.problems
    seen.context.close()


def test_the_page_is_light(visit):  # noqa: F811
    """The page, its own pictures, and the network: what all pages share is not counted."""
    seen, sizes = visit(), {}
    seen.page.on("response", lambda answer: sizes.update({answer.url: len(answer.body())}))
    page = seen.open(f"{NAME}.html")
    at_first = [url for url in sizes if "live-rnn" in url]
    page.get_by_role("button", name="Load the network").click()
    page.wait_for_selector("figure.live-rnn textarea")
    own = {u: n for u, n in sizes.items() if NAME in u or "_images" in u or "live-rnn" in u}
    assert not at_first, at_first
    assert sum("live-rnn" in url for url in own) == 2
    assert sum(own.values()) < MAX_BYTES, own


def test_without_the_site_a_sentence_stands_there(browser, tmp_path):
    file = tmp_path / "elsewhere.html"
    file.write_text(f"<!doctype html><html><body>{live_network()._repr_html_()}</body></html>")
    page = browser.new_page()
    page.goto(file.as_uri())
    assert "On the site of the course" in page.locator("figure").inner_text()
    assert page.locator("button").count() == 0
    page.close()


def test_if_the_files_are_missing_the_sentence_comes_back(browser, tmp_path):
    file = tmp_path / "elsewhere.html"
    file.write_text(
        f'<html data-content_root="./"><body>{live_network()._repr_html_()}</body></html>'
    )
    page = browser.new_page()
    page.goto(file.as_uri())
    page.get_by_role("button").click()
    page.wait_for_selector("text=On the site of the course")
    page.close()


def test_without_scripts_a_sentence_stands_there(browser, site):  # noqa: F811
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/{NAME}.html", wait_until="domcontentloaded")
    assert "On the site of the course" in page.locator("figure.live-rnn").inner_text()
    context.close()
