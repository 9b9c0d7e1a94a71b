"""Figures, sounds and a network that the reader operates in the page; texts with numbers.

They need no kernel and no other server.
"""

import base64
import html
import io
import json
import math
import re
import wave
from collections.abc import Sequence
from string import Template

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from rnncourse.checks import check_at_least, check_choice, check_shape

# Buttons and a range input work with the keyboard and with screen readers as they are.
_PAGE = Template("""\
<figure id="$id" class="frames" style="margin:1em 0;max-width:44rem">
<img src="$first" alt="$alt" width="$width" height="$height"
  style="width:100%;height:auto;background:white;border-radius:6px">
<figcaption style="display:none;gap:.5em;align-items:center;flex-wrap:wrap;margin-top:.4em">
<button type="button" aria-label="previous" style="$button">◀</button>
<input type="range" min="0" max="$last" value="$start" step="1" aria-label="$name"
  style="flex:1;min-width:8em;min-height:2.75em">
<button type="button" aria-label="next" style="$button">▶</button>$play_button
<output aria-live="polite"
  style="flex-basis:100%;text-align:center;font:1rem sans-serif">$label</output>
</figcaption>
<noscript>With scripts switched on, a slider moves through all $count pictures.</noscript>
<script>
(() => {
  const frames = $frames;
  const box = document.getElementById("$id");
  const [img, bar, slider, label] =
    ["img", "figcaption", "input", "output"].map((tag) => box.querySelector(tag));
  const [back, on] = box.querySelectorAll("button");
  const show = (i) => {
    i = Math.max(0, Math.min(frames.length - 1, i));
    [img.src, img.alt, label.value] = frames[i];
    slider.value = i;
    slider.setAttribute("aria-valuetext", frames[i][2]);
  };
  slider.addEventListener("input", () => show(+slider.value));
  back.addEventListener("click", () => show(+slider.value - 1));
  on.addEventListener("click", () => show(+slider.value + 1));$play_script
  bar.style.display = "flex";
  show($start);
})();
</script>
</figure>
""")


# A film starts when asked, and stops when the reader asks or touches another control. While it
# runs, screen readers are not told of each picture.
_PLAY_BUTTON = """
<button type="button" style="$button;padding:0 .6em">play</button>"""
_PLAY_SCRIPT = """
  const film = box.querySelectorAll("button")[2];
  let clock = 0;
  const stop = () => {
    clearInterval(clock);
    clock = 0;
    film.textContent = "play";
    label.setAttribute("aria-live", "polite");
  };
  film.addEventListener("click", () => {
    if (clock) return stop();
    film.textContent = "stop";
    label.setAttribute("aria-live", "off");
    clock = setInterval(() => show((+slider.value + 1) % frames.length), $milliseconds);
  });
  for (const control of [slider, back, on])
    control.addEventListener(control == slider ? "input" : "click", stop);"""

# Players of the browser: they work by keyboard, start on request only, and one stops the others.
_SOUNDS = Template("""\
<figure id="$id" class="sounds" style="margin:1em 0;max-width:44rem">
$players
<script>
(() => {
  const players = document.querySelectorAll("#$id audio");
  for (const one of players) one.addEventListener("play", () => {
    for (const other of document.querySelectorAll("figure.sounds audio"))
      if (other !== one) other.pause();
  });
})();
</script>
</figure>
""")

_PLAYER = """\
<div style="display:flex;flex-wrap:wrap;align-items:center;gap:.3em 1em;margin:.4em 0">
<audio controls preload="none" aria-label="{label}" style="height:2.75em;width:17rem;\
max-width:100%" src="{url}"></audio>
<span>{label}{link}</span>
</div>"""

_BUTTON = "min-width:2.75em;min-height:2.75em;border:1px solid;border-radius:6px;"
_BUTTON += "background:none;color:inherit"


class Frames:
    """What the functions of this module make; a notebook shows it as HTML."""

    def __init__(self, page: str) -> None:
        self._page = page

    def _repr_html_(self) -> str:
        return self._page


def frames(
    figures: Sequence[Figure],
    labels: Sequence[str],
    *,
    name: str,
    alts: Sequence[str],
    start: int = 0,
    play: float | None = None,
) -> Frames:
    """Put figures behind a slider that works in the page itself, or show them as a film.

    Each figure becomes a PNG of few colors inside the page, so nothing is fetched. With scripts
    switched off, only the picture at ``start`` is shown.

    Parameters
    ----------
    figures
        One per position of the slider. They are closed.
    labels
        The text below each.
    name
        What the slider moves through; different for each slider of a page.
    alts
        Text in place of each picture, for those who do not see it.
    start
        Which picture is shown first.
    play
        If given, a button plays the figures as a film, again and again, and stops it. Each is shown
        for so many seconds. The film does not start by itself.

    Returns
    -------
    frames
        To be shown as the last value of a cell.

    Raises
    ------
    ValueError
        If there is no figure, there is not one label and one alternative text per figure, one of
        these is empty, ``start`` is not one of the figures, or ``play`` is below 0.1 seconds.
    """
    if not figures:
        raise ValueError("figures: expected at least one, got none")
    for what, texts in (("labels", labels), ("alts", alts)):
        if len(texts) != len(figures):
            raise ValueError(f"{what}: expected {len(figures)}, one per figure, got {len(texts)}")
        if not all(text.strip() for text in texts):
            raise ValueError(f"{what}: expected a text for each figure, got an empty one")
    if not 0 <= start < len(figures):
        raise ValueError(f"start: expected 0 to {len(figures) - 1}, got {start}")
    if play is not None and not 0.1 <= play < math.inf:
        raise ValueError(f"play: expected at least 0.1 seconds, or None, got {play}")
    pictures = [_png(figure) for figure in figures]
    rows = [(url, alt, label) for (url, _), alt, label in zip(pictures, alts, labels, strict=True)]
    width, height = pictures[start][1]
    wait = str(round(1000 * (play or 0)))
    return Frames(
        _PAGE.substitute(
            id="frames-" + re.sub(r"\W+", "-", name.lower()).strip("-"),
            name=html.escape(name),
            button=_BUTTON,
            play_button="" if play is None else _PLAY_BUTTON.replace("$button", _BUTTON),
            play_script="" if play is None else _PLAY_SCRIPT.replace("$milliseconds", wait),
            first=rows[start][0],
            alt=html.escape(alts[start]),
            label=html.escape(labels[start]),
            width=width,
            height=height,
            start=start,
            last=len(rows) - 1,
            count=len(rows),
            frames=json.dumps(rows).replace("</", "<\\/"),  # a text cannot end the script
        )
    )


_LIVE = """\
<figure class="live-rnn" id="live-rnn">
<p>On <a href="https://rnncourse.github.io/rnncourse/notebooks/shipping.html#live-rnn">the site of \
the course</a>, with scripts switched on, a button here loads chapter 3's network: you type, and \
see what it expects next.</p>
<script>
(() => {
  const box = document.getElementById("live-rnn"), sentence = box.querySelector("p").outerHTML;
  const root = document.documentElement.dataset.content_root; // Sphinx says where its pages begin
  if (root === undefined) return;
  box.innerHTML = `<p>The network is 0.3 MB. It runs in this page and sends nothing.</p>
<button type="button" style="$button;padding:0 1em">Load the network</button>`;
  const load = (name) => new Promise((done, failed) => {
    const script = document.createElement("script");
    [script.onload, script.onerror] = [done, failed];
    script.src = `${root}_static/${name}`;
    document.head.append(script);
  });
  box.querySelector("button").addEventListener("click", async (event) => {
    event.target.disabled = true;
    try {
      await load("live-rnn-weights.js");
      await load("live-rnn.js");
    } catch {
      box.innerHTML = sentence;
    }
  });
})();
</script>
</figure>
""".replace("$button", _BUTTON)


def live_network() -> Frames:
    """Show chapter 3's network, which runs in the page, where the page is one of the course's site.

    A button loads two files of the site, the weights and the program. Elsewhere, or without
    scripts, a sentence says where the network is. One page shows it once.

    Returns
    -------
    page
        To be shown as the last value of a cell.

    Examples
    --------
    >>> "Load the network" in live_network()._repr_html_()
    True
    """
    return Frames(_LIVE)


def sounds(
    waveforms: Sequence[ArrayLike],
    labels: Sequence[str],
    *,
    rate: int,
    name: str,
    bits: int = 16,
    midi: Sequence[bytes] | None = None,
) -> Frames:
    """Put sounds into the page, each with a player and a text beside it.

    Nothing plays by itself, and starting one stops the others. Each sound is scaled to the same
    loudest sample, and stored as WAV: 21 KB per second at 8000 samples of 16 bits per second.

    Parameters
    ----------
    waveforms
        The sounds, each ``(N,)``.
    labels
        The text beside each, which also stands for it where it cannot be heard.
    rate
        Samples per second.
    name
        Of the group; different for each group of a page.
    bits
        Of a sample: 16, or 8, which takes half the space and adds a faint hiss.
    midi
        A MIDI file of each sound, offered for download.

    Returns
    -------
    page
        To be shown as the last value of a cell.

    Raises
    ------
    TypeError, ValueError
        If there is no sound, one is not ``(N,)`` or not finite, there is not one label or MIDI
        file per sound, a label is empty, ``rate`` is not a whole number of at least 1, or ``bits``
        is neither 8 nor 16.
    """
    check_at_least("rate", rate, 1)
    check_at_least("len(waveforms)", len(waveforms), 1)
    check_choice("bits", bits, (8, 16))
    if midi is not None and len(midi) != len(waveforms):
        raise ValueError(f"midi: expected {len(waveforms)}, one per sound, got {len(midi)}")
    if len(labels) != len(waveforms):
        raise ValueError(f"labels: expected {len(waveforms)}, one per sound, got {len(labels)}")
    if not all(label.strip() for label in labels):
        raise ValueError("labels: expected a text for each sound, got an empty one")
    whole: NDArray[np.integer]
    players, ident = [], "sounds-" + re.sub(r"\W+", "-", name.lower()).strip("-")
    for i, (waveform, label) in enumerate(zip(waveforms, labels, strict=True)):
        x = np.asarray(waveform, np.float64)
        check_shape(f"waveforms[{i}]", x.shape, ("N",))
        if not np.isfinite(x).all():
            raise ValueError(f"waveforms[{i}]: expected finite samples")
        x = x / (np.abs(x).max() or 1.0)
        if bits == 16:
            whole = np.round(29_000 * x).astype("<i2")
        else:
            whole = np.rint(127.5 + 127 * x).astype(np.uint8)  # WAV's bytes have no sign
        url, link = _wav(whole, rate), ""
        if midi is not None:
            data = base64.b64encode(midi[i]).decode()
            link = (
                f' <a download="{ident}-{i + 1}.mid" href="data:audio/midi;base64,{data}">MIDI</a>'
            )
        players.append(_PLAYER.format(label=html.escape(label), url=url, link=link))
    return Frames(_SOUNDS.substitute(id=ident, players="\n".join(players)))


def colored_words(
    words: Sequence[str], values: Sequence[float], *, title: str = "", top: int = 3
) -> Frames:
    """Show a text with a number behind each word, such as its saliency.

    Words with positive numbers have an orange ground and a solid line below, words with negative
    ones a blue ground and a dotted line. The larger the number, the stronger the color and the
    thicker the line. The words with the largest numbers are bold and listed below, with their
    numbers, so that nothing is said by color alone.

    Parameters
    ----------
    words
        The text, T words.
    values
        One number per word, ``(T,)``.
    title
        Text above.
    top
        How many words are bold and listed.

    Returns
    -------
    page
        To be shown as the last value of a cell.

    Raises
    ------
    TypeError, ValueError
        If there is no word, there is not one finite number per word, or ``top`` is not a whole
        number of at least 1.

    Examples
    --------
    >>> page = colored_words(["not", "dull"], [0.5, -0.25])._repr_html_()
    >>> "not +0.50, dull −0.25" in page
    True
    """
    check_at_least("top", top, 1)
    if not words:
        raise ValueError("words: expected at least one, got none")
    if len(values) != len(words):
        raise ValueError(f"values: expected {len(words)}, one per word, got {len(values)}")
    if not all(map(math.isfinite, values)):
        raise ValueError(f"values: expected finite numbers, got {list(values)}")
    largest = max(map(abs, values)) or 1.0
    ranked = sorted(range(len(words)), key=lambda i: -abs(values[i]))[:top]
    marked = []
    for i, (word, value) in enumerate(zip(words, values, strict=True)):
        part = abs(value) / largest
        color, line = ("230,159,0", "solid") if value > 0 else ("86,180,233", "dotted")
        bold = ";font-weight:bold" if i in ranked else ""
        marked.append(
            f'<span style="background:rgba({color},{0.75 * part:.2f});padding:.1em .15em;'
            f'border-bottom:{round(4 * part)}px {line} #222{bold}">{html.escape(word)}</span>'
        )
    numbers = [f"{value:+.2f}".replace("-", "−") for value in values]
    listed = ", ".join(f"{words[i]} {numbers[i]}" for i in ranked)
    above = f'<div style="font-weight:bold">{html.escape(title)}</div>' if title else ""
    return Frames(
        '<figure style="margin:1em 0;max-width:44rem;padding:.6em .8em;border-radius:6px;'
        'background:white;color:#222;font:1rem/2 sans-serif">'
        f'{above}<div>{" ".join(marked)}</div><figcaption style="color:#222;line-height:1.5">'
        f"Largest: {html.escape(listed)}</figcaption></figure>"
    )


def _wav(samples: NDArray[np.integer], rate: int) -> str:
    """Return whole numbers ``(T,)``, of one byte or two, as the data URL of a WAV file."""
    raw = io.BytesIO()
    with wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(samples.itemsize)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return "data:audio/wav;base64," + base64.b64encode(raw.getvalue()).decode()


def _png(figure: Figure) -> tuple[str, tuple[int, int]]:
    """Return a figure as a data URL, and its width and height in pixels."""
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png")
    plt.close(figure)
    with Image.open(raw) as image:
        image.convert("RGB").quantize(64).save(small, format="PNG", optimize=True)
        size = image.size
    return "data:image/png;base64," + base64.b64encode(small.getvalue()).decode(), size
