"""Open every page of the built site in a headless browser and look for what a reader would see.

Needs ``_build/html`` (``make book``) and a Chromium. Screenshots of every page go to
``_build/screenshots``.
"""

import base64
import re
import threading
from collections.abc import Iterator
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from itertools import cycle, islice, product
from pathlib import Path

import pytest
import yaml

from tools import editions, rules

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
SCREENSHOTS = ROOT / "_build" / "screenshots"
WIDTHS = {"desktop": 1280, "phone": 390}

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"]] + [c["file"] for part in TOC["parts"] for c in part["chapters"]]
NOTEBOOKS = [page for page in PAGES if page.startswith("notebooks/")]
CHAPTERS = [page for page in NOTEBOOKS if not page.startswith("notebooks/problem-sets/")]
SCHEMES = {"desktop": "light", "phone": "dark"}
PACKAGE = [f"book/package/{name}" for name in ("torch.lstm", "decoding", "experiments")]
LISTS = [*PACKAGE, "search", "genindex", "_modules/index", "_modules/rnncourse/train"]
EDITIONS = [editions.Edition(language) for language in editions.configuration()["editions"]]
WAITING = ["notebooks/06-lstm", "notebooks/lab-music", "book/benchmarks"]


def views():
    """Yield pages and devices. Where pages are many and alike, the devices take turns."""
    alike = [page for page in NOTEBOOKS if page not in CHAPTERS] + LISTS
    yield from product([page for page in PAGES if page not in alike], WIDTHS)
    yield from zip(alike, cycle(WIDTHS))
    for turn, edition in enumerate(EDITIONS):
        there = [f"{edition.path}/{name}" for name in (*edition.pages, *WAITING, "search")]
        yield from zip(there, islice(cycle(WIDTHS), turn, None), strict=False)


# A page is opened once, every second one on a phone, and then looked at as on each of its devices.
VIEWS = {}
for page_seen, device_seen in views():
    VIEWS.setdefault(page_seen, []).append(device_seen)
for opened_on_a_phone in [name for name, devices in VIEWS.items() if len(devices) > 1][::2]:
    VIEWS[opened_on_a_phone].reverse()


def schemes(name, device):
    """List the schemes in which pictures of a page are kept; it is opened in the first of them."""
    # Of the pages that most readers open all of them, of the others one for each device.
    return ["light", "dark"] if name in [TOC["root"], *CHAPTERS] else [SCHEMES[device]]


# Text that a reader sees, without code and without what MathJax has already set.
RAW_MATH = r"""() => {
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, text = node.textContent;
        if (node.parentElement.closest("pre, code, script, style, mjx-container")) continue;
        if (/\\[(\[\])]|\$\$|\\(frac|begin|mathbf|partial|sum|top)|(^|\s)\$[^$\s][^$]*\$/
            .test(text)) found.push(text.trim().slice(0, 80));
    }
    return found;
}"""

# WCAG 2 contrast of every visible piece of text against the colors painted behind it.
LOW_CONTRAST = r"""() => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const over = (color, under) => {
        canvas.fillStyle = `rgb(${under})`; canvas.fillRect(0, 0, 1, 1);
        canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const known = new Map([[null, [255, 255, 255]]]);
    const background = element => {
        if (!known.has(element)) {
            const color = getComputedStyle(element).backgroundColor;
            known.set(element, over(color, background(element.parentElement)));
        }
        return known.get(element);
    };
    const luminance = rgb => rgb.map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const found = {}, walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, text = node.textContent.trim();
        const element = node.parentElement;
        const seen = {opacityProperty: true, visibilityProperty: true};
        if (!text || !element.checkVisibility(seen)) continue;
        if (element.closest("svg, script, style, mjx-assistive-mml, .visually-hidden")) continue;
        const style = getComputedStyle(element), under = background(element);
        const a = luminance(over(style.color, under)), b = luminance(under);
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const size = parseFloat(style.fontSize), bold = style.fontWeight >= 700;
        const needed = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
        if (ratio < needed)
            found[`${ratio.toFixed(2)}:1, not ${needed}:1, ${style.color} on ${under}`] =
                text.slice(0, 40);
    }
    return Object.entries(found).map(entry => entry.join(": "));
}"""

# The rules of axe-core for WCAG 2.0 to 2.2, A and AA, with those that it calls experimental, and
# its best practices. LOW_CONTRAST looks at contrast in both themes, in a tenth of the time that axe
# takes; ``test_contrast_by_axe`` compares.
BARRIERS = r"""async () => {
    const on = {enabled: true};
    const {violations} = await axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        rules: {"color-contrast": {enabled: false}, "label-content-name-mismatch": on,
                "p-as-heading": on, "table-fake-caption": on, "td-has-header": on},
        resultTypes: ["violations"], preload: false, selectors: false,
    });
    return violations.map(rule => `${rule.id}, ${rule.nodes.length} times: ${rule.help}, such as `
                                  + rule.nodes[0].html.slice(0, 160));
}"""

# Colored code and formulas weigh the most, and none of these rules looks into them.
UNPAINT = r"""() => {
    for (const formula of document.querySelectorAll("mjx-math")) {
        const {width, height} = formula.getBoundingClientRect();
        formula.replaceChildren();
        formula.style.cssText = `display: inline-block; height: ${height}px; width: ${width}px`;
    }
    for (const code of document.querySelectorAll("pre")) code.textContent = code.textContent;
}"""

BROKEN_IMAGES = """() => [...document.images]
    .filter(image => !image.naturalWidth).map(image => image.getAttribute("src"))"""

SMALL_TEXT = """() => [...document.querySelectorAll(".bd-article p, .bd-article li")]
    .filter(e => e.checkVisibility() && parseFloat(getComputedStyle(e).fontSize) < 16
                 && !e.closest("figcaption, .cell_output, footer"))
    .map(e => e.textContent.trim().slice(0, 60))"""

# What sticks out to the right, unless it scrolls inside a box of its own.
TOO_WIDE = """() => {
    const scrolls = e => getComputedStyle(e).overflowX !== "visible";
    const inABox = e => e && (scrolls(e) || inABox(e.parentElement));
    return [...document.querySelectorAll("article *")]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !inABox(e.parentElement))
        .slice(-3).map(e => e.outerHTML.slice(0, 120));
}"""


# Blocks of code whose lines are longer than the column: how many there are, wrap, or scroll.
LONG_CODE = """() => {
    const blocks = [...document.querySelectorAll("div.cell_input pre")]
        .filter(block => block.checkVisibility());
    const wide = block => block.scrollWidth > block.clientWidth;
    const scroll = blocks.filter(wide).length;
    for (const block of blocks) block.style.whiteSpace = "pre";
    const wrap = blocks.filter(wide).length;
    for (const block of blocks) block.style.whiteSpace = "";
    return [blocks.length, wrap, scroll];
}"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files, each of them once to each context, and keep the log out of the test report."""

    protocol_version = "HTTP/1.1"  # keeps the connection
    disable_nagle_algorithm = True  # else what follows the headers waits for an answer

    def end_headers(self):
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site():
    """Address of the built site, served from this machine."""
    if not (SITE / "index.html").exists():
        pytest.fail("_build/html is not there: run `make book` first", pytrace=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Visit:
    """A page, opened, together with everything that went wrong on the way."""

    def __init__(self, browser, site, width=1280, scheme="light"):
        self.site = site
        self.context = browser.new_context(reduced_motion="reduce")
        self.context.set_default_timeout(120_000)  # of milliseconds: the machine may be busy
        self.page = self.context.new_page()
        self.start(width, scheme)
        self.context.on("request", lambda request: self.note_request(request.url))
        self.page.on("console", self.note_console)
        self.page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        self.page.on(
            "requestfailed", lambda request: self.note_failure(request.url, request.failure)
        )
        self.page.on(
            "response", lambda answer: answer.ok or self.note_failure(answer.url, answer.status)
        )

    def start(self, width=1280, scheme="light"):
        """Begin anew, in the same tab."""
        self.problems = []
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(media="screen", color_scheme=scheme)
        return self

    def is_ours(self, url):
        return url.startswith((f"{self.site}/", "data:", "blob:", "about:"))

    def note_request(self, url):  # which finds nobody: see `browser`
        if not self.is_ours(url):
            self.problems.append(f"request to another host: {url}")

    def note_failure(self, url, reason):
        left_meanwhile = reason == "net::ERR_ABORTED"  # the page, before all of it had come
        if self.is_ours(url) and not left_meanwhile:
            self.problems.append(f"request failed: {url} ({reason})")

    def note_console(self, message):
        if message.type == "error":
            self.problems.append(f"console error: {message.text}")

    def open(self, path):
        """Load a page and wait until the mathematics is set and the images are there."""
        self.page.goto(f"{self.site}/{path}")
        self.page.evaluate(
            """async () => {
                if (document.querySelector("script[src*=mathjax]")) await MathJax.startup.promise;
                for (const image of document.images) image.loading = "eager";
                const loaded = image => image.decode().catch(() => {});
                await Promise.all([...document.images].map(loaded));
                await document.fonts.ready;
            }"""
        )
        return self.page

    def resize(self, width):
        """Give the window another width, and wait until the page has seen it."""
        if self.page.viewport_size["width"] != width:
            self.page.set_viewport_size({"width": width, "height": 900})
            self.page.wait_for_timeout(400)  # the theme waits for 300, should more changes follow


@pytest.fixture
def visit(browser, site) -> Iterator[partial]:
    """Make visits, and close them after the test."""
    made = []

    def make(**options):
        made.append(Visit(browser, site, **options))
        return made[-1]

    yield make
    for one in made:
        one.context.close()


def tab(browser, site):
    """Read many pages in one tab: what they have in common is fetched once, the rest forgotten."""
    seen = Visit(browser, site)
    seen.page.add_init_script("localStorage.clear(); sessionStorage.clear()")
    yield seen
    seen.context.close()


reader = pytest.fixture(tab, scope="module", name="reader")
looker = pytest.fixture(tab, scope="module", name="looker")


@pytest.fixture
def read(reader):
    """Make visits as `visit` does, but one at a time and in one tab."""
    return reader.start


@pytest.fixture(scope="module")
def opened(request, looker):
    """Name and visit of a page. The tests that look at it come one after the other."""
    name, device = request.param, VIEWS[request.param][0]
    seen = looker.start(WIDTHS[device], schemes(name, device)[0])
    seen.open(f"{name}.html")
    return name, seen


@cache
def axe():
    """Return the script that looks for barriers."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def look(page, name, device, order):
    """Yield what is wrong on this device, and keep pictures."""
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        yield f"page is wider than the screen, see {page.evaluate(TOO_WIDE)}"
    for text in page.evaluate(SMALL_TEXT):
        yield f"text smaller than 16 px: {text}"
    if name in CHAPTERS and device == "desktop":
        blocks, wrap, scroll = page.evaluate(LONG_CODE)
        if scroll or wrap > 0.5 * blocks:
            yield f"of {blocks} blocks of code {scroll} scroll, and in {wrap} lines wrap"
    for scheme in order:
        page.emulate_media(color_scheme=scheme)
        page.wait_for_selector(f'html[data-theme="{scheme}"]')
        for text in page.evaluate(LOW_CONTRAST):
            yield f"too little contrast ({scheme}), {text}"
        if scheme in schemes(name, device):
            take_picture(page, f"{name.replace('/', '-')}-{WIDTHS[device]}-{scheme}.png")


def take_picture(page, file):
    """Write a picture of a page, at most 12000 pixels of its length."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width, height = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    # As `page.screenshot`, which cannot be told to take less time and more bytes.
    painted = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot",
        {
            "clip": {"x": 0, "y": 0, "width": width, "height": min(height, 12000), "scale": 1},
            "captureBeyondViewport": True,
            "optimizeForSpeed": True,
        },
    )
    (SCREENSHOTS / file).write_bytes(base64.b64decode(painted["data"]))


@pytest.mark.parametrize("opened", VIEWS, indirect=True, scope="module")
def test_page(opened):
    name, seen = opened
    page, problems = seen.page, []
    problems += [f"mathematics not rendered: {text}" for text in page.evaluate(RAW_MATH)]
    for error in page.locator("mjx-merror").all():
        problems.append(f"mathematics with an error: {error.get_attribute('data-mjx-error')}")
    for image in page.evaluate(BROKEN_IMAGES):
        problems.append(f"image does not load: {image}")
    devices = VIEWS[name]
    first = schemes(name, devices[0])[0]
    order = [first, "dark" if first == "light" else "light"]
    for device in devices:
        seen.resize(WIDTHS[device])
        problems += [f"{device}: {problem}" for problem in look(page, name, device, order)]
        order.reverse()  # the next device goes on with the scheme that is on
    page.evaluate(UNPAINT)
    page.evaluate(axe())
    for device in reversed(devices):
        seen.resize(WIDTHS[device])
        problems += [f"{device}: barrier: {text}" for text in page.evaluate(BARRIERS)]
    problems += seen.problems
    seen.problems = []  # they are told once
    assert not problems, f"{name}.html:\n  " + "\n  ".join(problems)


@pytest.mark.parametrize("name", [TOC["root"], "book/glossary"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_by_axe(read, name, scheme):
    page = read(scheme=scheme).open(f"{name}.html")
    page.evaluate(axe())
    found = page.evaluate(BARRIERS.replace('"color-contrast": {enabled: false}, ', ""))
    assert not found, found


def test_formulas_are_read_aloud(read):
    page = read().open("notebooks/06-lstm.html")
    formulas = page.evaluate("""() => [...document.querySelectorAll("mjx-container")].map(box => [
        box.querySelector("mjx-math").getAttribute("aria-hidden"),
        box.querySelector("mjx-assistive-mml math")?.textContent.length ?? 0])""")
    assert len(formulas) > 30
    silent = sum(hidden != "true" or not length for hidden, length in formulas)
    assert not silent, f"{silent} formulas have no MathML beside what is painted"


def test_what_scrolls_can_be_reached_by_keyboard(read):
    page = read(width=390).open("notebooks/06-lstm.html")
    stops = """[...document.querySelectorAll(".cell_input pre[tabindex='0']")]
        .filter(box => box.checkVisibility({contentVisibilityAuto: true})).length"""
    page.wait_for_function(f"{stops} > 3")
    page.set_viewport_size({"width": 1900, "height": 900})
    page.wait_for_function(f"{stops} === 0")


def test_nothing_moves_for_who_asks_for_stillness(read):
    page = read().open(f"{TOC['root']}.html")
    moving = page.evaluate("""() => [...document.querySelectorAll("body *")].filter(element =>
        ["transitionDuration", "animationDuration"].some(name => {
            const style = getComputedStyle(element);
            return style.transitionProperty !== "none" && parseFloat(style[name]) > 0.01;
        })).map(element => element.outerHTML.slice(0, 80))""")
    assert not moving, moving[:5]
    assert page.evaluate("document.getAnimations().length") == 0


def test_a_folded_cell_says_what_it_holds(read):
    page = read().open("notebooks/06-lstm.html")
    summary = page.locator("details.hide > summary").first
    assert summary.get_attribute("aria-label") is None, "the name must be the text that is seen"
    assert re.match(r"Show (this|the) code", summary.inner_text())
    summary.focus()
    page.keyboard.press("Enter")
    assert re.match(r"Hide (this|the) code", summary.inner_text())


def test_previous_and_next_are_whole_on_a_phone(read):
    page = read(width=WIDTHS["phone"]).open("notebooks/05-vanishing-and-exploding-gradients.html")
    for link in (".left-prev", ".right-next"):
        cut = page.locator(f"{link}, {link} *").evaluate_all(
            """all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth
               || e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML)"""
        )
        assert not cut, cut
        assert page.locator(f"{link} .prev-next-title").inner_text()


@pytest.mark.parametrize("device", WIDTHS)
def test_the_button_for_contents_works_or_is_not_there(read, device):
    for name in (TOC["root"], "notebooks/06-lstm"):
        page = read(width=WIDTHS[device]).open(f"{name}.html")
        button = page.locator(".secondary-toggle")
        if name == TOC["root"]:
            assert not button.count(), "the landing page has no contents to open"
        elif device == "phone":
            button.click()
            assert page.locator(".page-toc a").first.is_visible()


def test_paper_shows_no_bars_and_no_dark_text(read):
    page = read(scheme="dark").open("notebooks/06-lstm.html")
    page.emulate_media(media="print")
    assert not page.locator("details.hide").first.is_visible()
    assert not page.locator("figure.frames figcaption").first.is_visible()
    ink = page.locator(".bd-article p").first.evaluate("e => getComputedStyle(e).color")
    assert ink == "rgb(0, 0, 0)"


@pytest.mark.parametrize("name", PAGES)
def test_each_page_can_be_edited_and_reported(name):
    links = [link for link in rules.Page(SITE / f"{name}.html").links if "github.com" in link]
    (edit,) = [link for link in links if "/edit/" in link]
    assert edit.endswith(f"/edit/main/{name}.{'rst' if name == 'book/api' else 'md'}")
    assert [link for link in links if "/issues/new" in link and f"{name}.html" in link]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_buttons_open_the_twin(name):
    links = rules.Page(SITE / f"{name}.html").links
    for target in ("mybinder.org", "colab.research.google.com", "_sources/"):
        found = [link for link in links if target in link]
        assert len(found) == 1, f"expected one button to {target}, found {found}"
        assert found[0].endswith(f"{name}.ipynb"), f"the button opens {found[0]}"


def test_the_map_shows_every_chapter(read):
    page = read().open(f"{TOC['root']}.html")
    for name in CHAPTERS:
        entry = page.locator(".course-map li").filter(has=page.locator(f'a[href*="{name}.html"]'))
        assert entry.count() == 1, f"book/index.md: the map has no link to {name}"
        assert "planned" not in entry.inner_text(), f"book/index.md: {name} is marked as planned"


@pytest.mark.parametrize("name", PAGES[:1] + NOTEBOOKS[:1])
def test_page_opens_from_disk(browser, name):
    seen = Visit(browser, SITE.as_uri())
    page = seen.open(f"{name}.html")
    assert page.locator("mjx-container").count() or name not in NOTEBOOKS
    assert not seen.problems, seen.problems
    seen.context.close()


def test_the_address_of_the_site_leads_to_the_landing_page(visit):
    seen = visit()
    seen.page.goto(f"{seen.site}/")
    seen.page.wait_for_url(f"**/{TOC['root']}.html")


def test_theme_can_be_changed(visit):
    page = visit().open(f"{TOC['root']}.html")
    for _ in range(3):
        page.locator(".theme-switch-button").first.click()
        if page.locator("html").get_attribute("data-theme") == "dark":
            return
    pytest.fail("the button in the top bar does not lead to the dark theme")


@pytest.mark.parametrize("opened", CHAPTERS, indirect=True, scope="module")
def test_sliders_work_by_keyboard(opened):
    name, seen = opened
    page = seen.page
    boxes = page.locator("figure.frames").all()
    assert boxes, f"{name}: expected a figure to operate, made with rnncourse.interact.frames"
    for box in boxes:
        image, slider = box.locator("img"), box.locator("input[type=range]")
        slider.focus()
        page.keyboard.press("Home")  # wherever it starts
        first = image.get_attribute("src"), image.get_attribute("alt")
        page.keyboard.press("ArrowRight")
        second = image.get_attribute("src"), image.get_attribute("alt")
        assert first[0] != second[0]
        assert first[1] != second[1]
        page.keyboard.press("Shift+Tab")  # on to the button for the picture before
        page.keyboard.press("Enter")
        assert (image.get_attribute("src"), image.get_attribute("alt")) == first
    assert not seen.problems, seen.problems


@pytest.mark.parametrize(
    "name",
    [name for name in CHAPTERS if re.search(r"\bplay=", (ROOT / f"{name}.md").read_text("utf-8"))],
)
def test_films_wait_play_and_stop(read, name):
    seen = read()
    page = seen.page
    page.goto(f"{seen.site}/{name}.html", wait_until="domcontentloaded")
    boxes = page.locator("figure.frames").all()
    films = [box for box in boxes if box.locator("button").count() == 3]
    assert films, f"{name}: expected a film, made with rnncourse.interact.frames(..., play=...)"
    for box in films:
        image, button = box.locator("img"), box.locator("button").last
        still = image.get_attribute("alt")
        page.wait_for_timeout(700)
        assert image.get_attribute("alt") == still, "a film starts only when asked"
        button.click()
        page.wait_for_timeout(1200)
        assert image.get_attribute("alt") != still
        assert button.inner_text() == "stop"
        button.click()
        stopped = image.get_attribute("alt")
        page.wait_for_timeout(700)
        assert image.get_attribute("alt") == stopped
        assert button.inner_text() == "play"
    assert not seen.problems, seen.problems


@pytest.fixture(scope="module")
def scriptless(browser):
    """Tab of someone who has scripts switched off."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_without_scripts_a_slider_is_a_still_picture(scriptless, site, name):
    scriptless.goto(f"{site}/{name}.html", wait_until="domcontentloaded")
    box = scriptless.locator("figure.frames").first
    assert box.locator("img").bounding_box()["height"] > 100
    assert "scripts switched on" in box.inner_text()
    assert not box.locator("figcaption").is_visible()


def test_the_language_switch_keeps_the_page(visit):
    seen = visit()
    page, name = seen.open("notebooks/03-recurrent-network.html"), "notebooks/03-recurrent-network"
    editions = yaml.safe_load((ROOT / "book" / "locale" / "editions.yml").read_text("utf-8"))
    paths = {key.replace("_", "-"): found["path"] for key, found in editions["editions"].items()}
    title = page.locator("h1").first.inner_text()
    for language, path in [*paths.items(), ("en", "")]:
        link = page.locator(f'.language-switch a[lang="{language}"]:visible').first
        assert link.get_attribute("aria-current") is None
        link.click()
        page.wait_for_url(f"{seen.site}/{path}/{name}.html" if path else f"{seen.site}/{name}.html")
        assert page.locator("html").get_attribute("lang") == language
        here = page.locator('.language-switch a[aria-current="true"]').first
        assert here.get_attribute("lang") == language
        assert (page.locator("h1").first.inner_text() == title) == (language == "en")
    assert not seen.problems, seen.problems


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("desvanecimiento del gradiente", r"glossary\.html#term-|05-vanishing"),
        ("gradiente evanescente", r"glossary\.html#term-"),
        ("qué es el estado oculto", r"glossary\.html#term-"),
    ],
)
def test_the_spanish_pages_are_searched_in_spanish(visit, question, answer):
    seen = visit()
    page = seen.open("es/book/index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    page.wait_for_url("**/es/search.html?*")
    page.wait_for_selector("#search-results li a")
    links = page.locator("#search-results > li a").all()[:5]
    found = [link.get_attribute("href") for link in links]
    assert any(re.search(answer, address) for address in found), found
    assert not seen.problems, seen.problems
