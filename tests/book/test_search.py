"""The search answers questions in a reader's words, and names pages as they name themselves."""

import html
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
LISTED = [c["file"] for part in TOC["parts"] for c in part["chapters"]]

# A question, and parts of the addresses of which one must be among the first three results.
QUESTIONS = {
    "why is my gradient nan": "troubleshooting.html#why-is-my-gradient-nan",
    "why is my loss nan": "troubleshooting.html#why-is-my-loss-nan",
    "my loss does not go down": "troubleshooting.html#why-does-my-loss-not-go-down",
    "out of memory": "troubleshooting.html#why-does-the-memory-grow",
    "Trying to backward through the graph a second time": "troubleshooting.html#trying-to-back",
    "input.size(-1) must be equal to input_size": "troubleshooting.html#input-size-1",
    "my forecast is shifted by one step": "troubleshooting.html#why-is-my-forecast",
    "what does batch_first do": "troubleshooting.html#what-does-batch-first-do",
    "batch_first": "troubleshooting.html#what-does-batch-first-do",
    "what is a hidden state": "glossary.html#term-hidden-state",
    "what is perplexity": "glossary.html#term-perplexity",
    "what is teacher forcing": "glossary.html#term-teacher-forcing",
    "what is overfitting": "glossary.html#term-overfitting",
    "estado oculto": "glossary.html#term-hidden-state",
    "gradiente que desaparece": "glossary.html#term-vanishing",
    "how do I pad sequences": "01-sequential-data|glossary.html#term-padding",
    "sequences of different lengths": "01-sequential-data|glossary.html#term-padding",
    "many to one": "01-sequential-data",
    "why do we need recurrence": "02-why-recurrence",
    "backpropagation through time": "04-backpropagation-through-time",
    "BPTT": "04-backpropagation-through-time",
    "truncated bptt": "04-backpropagation-through-time",
    "vanishing gradient": "05-vanishing",
    "vanishing gradiant": "05-vanishing",
    "how to clip gradients": "05-vanishing",
    "what does the forget gate do": "06-lstm",
    "how does an LSTM solve the vanishing gradient problem": "06-lstm|claims.html#only-gates",
    "should I use an LSTM or a GRU": "07-gru",
    "difference between lstm and gru": "07-gru",
    "bi-directional lstm": "08-deep-and-bidirectional",
    "seq2seq": "09-encoder-decoder",
    "how does beam search work": "09-encoder-decoder",
    "what is attention": "10-attention",
    "positional encoding": "11-transformer",
    "are transformers better than rnns": "12-transformers-against-rnns",
    "state space model": "13-recurrence-in-parallel",
    "how can I predict stock prices": "lab-forecasting",
    "sentiment analysis": "lab-sentiment",
    "how to export my model to ONNX": "shipping",
    "why is my training so slow": "training-fast",
    "do I need a GPU": "how-to-use|training-fast|index",
    "I am a teacher": "for-instructors",
    "rnncourse.torch.LSTM": "rnncourse.torch.lstm",
}


def from_disk(browser, address):
    """Open a page of the site without a server; return it and what went wrong."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    problems = []
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("requestfailed", lambda request: problems.append(f"not found: {request.url}"))
    page.goto(f"{SITE.as_uri()}/{address}")
    return page, problems


@pytest.fixture(scope="module")
def find(browser):
    """Ask the search of the built site."""
    page, problems = from_disk(browser, "search.html")
    yield lambda question: page.evaluate(
        "question => courseSearch.find(question).map(one => one.sections)", question
    )
    page.close()
    assert not problems, problems


@pytest.mark.parametrize(("question", "answer"), QUESTIONS.items(), ids=list(QUESTIONS))
def test_a_question_is_answered_among_the_first_three(find, question, answer):
    first = [section["url"] for sections in find(question)[:3] for section in sections]
    assert any(re.search(answer.replace(".", r"\."), url) for url in first), first


def test_an_entry_of_the_glossary_is_found_by_each_of_its_names(find, none):
    page = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    listed = page.partition("```{glossary}\n")[2].partition("\n```")[0]
    terms = [line for line in listed.splitlines() if line and not line.startswith(" ")]
    assert len(terms) > 50

    def lost():
        for term in terms[::5]:
            urls = [section["url"] for found in find(f"what is {term}")[:3] for section in found]
            if not any("glossary.html#term-" in url for url in urls):
                yield f"'what is {term}' does not find its entry, but {urls}"

    none(lost())


def test_every_address_of_a_result_is_there(find, none):
    def wrong():
        for question in QUESTIONS:
            for sections in find(question):
                for url in (section["url"] for section in sections):
                    page, _, anchor = url.partition("#")
                    if f'id="{anchor}"' not in read(page) and anchor:
                        yield f"{question}: {url} leads nowhere"

    none(wrong())


def test_nothing_is_found_for_nothing(find):
    assert find("") == find("?!") == find("zxqvwk") == []


def test_results_are_shown_from_the_disk(browser):
    page, problems = from_disk(browser, f"{TOC['root']}.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("What is a hidden state?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    first = page.locator("#search-results > li").first
    assert "hidden state" in first.locator("a").first.inner_text()
    assert page.locator("#search-results mark").count() > 5, "no excerpts with the words"
    assert "the best first" in page.locator("[role=status]").inner_text()
    first.locator("a").first.click()
    page.wait_for_load_state()
    assert "glossary" in page.url
    assert not problems, problems
    page.close()


HEADING = r"<article.*?<h1>(.*?)<a class"


@cache
def read(page):
    """Return a page of the built site."""
    return (SITE / page).read_text(encoding="utf-8")


def text_of(pattern, page):
    """Return the text of the first match in a page's HTML, without tags."""
    found = re.search(pattern, read(page), re.DOTALL)
    assert found, f"{page}: nothing matches {pattern}"
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip()


def test_title_heading_menu_and_result_agree(find, none):
    def different():
        for name in LISTED:
            address = name.partition("/")[2] if name.startswith("book/") else f"../{name}"
            names = {
                "the menu": text_of(rf'href="{address}\.html">(.*?)</a>', f"{TOC['root']}.html"),
                "the title": text_of(r"<title>(.*?) (?:—|&#8212;) ", f"{name}.html"),
                "the heading": text_of(HEADING, f"{name}.html"),
            }
            found = [s["title"] for r in find(names["the heading"]) for s in r if name in s["url"]]
            names |= {"a result": found[0]} if found else {}
            if len(set(names.values())) > 1:
                yield f"{name}: {names}"

    none(different())
    assert not [c for part in TOC["parts"] for c in part["chapters"] if "title" in c], (
        "_toc.yml: leave out titles; the menu takes them from the headings"
    )


def test_chapters_have_numbers():
    assert text_of(HEADING, "notebooks/06-lstm.html").startswith("6 · ")
    assert text_of(HEADING, "notebooks/lab-music.html") == "Lab · Music"
