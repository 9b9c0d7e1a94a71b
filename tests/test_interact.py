import base64
import io
import json
import math
import re
import wave

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rnncourse.interact import colored_words, frames, live_network, sounds


def figures(n):
    made = []
    for i in range(n):
        fig, ax = plt.subplots(figsize=(2, 1))
        ax.plot([0, i])
        made.append(fig)
    return made


def page(**kwargs):
    given = {"name": "walk", "alts": ["first", "second"]} | kwargs
    return frames(figures(2), kwargs.pop("labels", ["one", "two"]), **given)._repr_html_()


def test_a_page_holds_every_picture_and_fetches_nothing():
    text = page()
    rows = json.loads(re.search(r"const frames = (.*);\n", text)[1])
    assert [row[1:] for row in rows] == [["first", "one"], ["second", "two"]]
    assert all(row[0].startswith("data:image/png;base64,") for row in rows)
    assert rows[0][0] != rows[1][0]
    assert "http" not in text
    assert len(text) < 20_000
    assert not plt.get_fignums(), "figures are closed, or the notebook shows them twice"


def test_without_scripts_the_first_picture_is_there():
    still = re.sub(r"<script>.*?</script>", "", page(start=1), flags=re.S)
    assert 'alt="second"' in still
    assert "data:image/png" in still


def test_a_film_waits_for_its_button():
    text = page(play=0.25)
    assert text.count("<button") == 3
    assert ">play</button>" in text
    assert "frames.length), 250);" in text
    assert "$" not in re.sub(r"const frames = .*;\n", "", text)
    assert "setInterval" not in page()
    assert page().count("<button") == 2


def test_texts_are_escaped():
    text = page(name='a "b"', alts=["<i>", "</script>"])
    assert 'alt="&lt;i&gt;"' in text
    assert text.count("</script>") == 1


def test_the_same_figures_give_the_same_page_and_names_give_ids():
    assert page() == page()
    assert 'id="frames-back-and-forth"' in page(name="Back and forth")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frames([], [], name="x", alts=[]), "figures: expected at least one"),
        (lambda: frames(figures(2), ["a"], name="x", alts=["a", "b"]), "labels: expected 2"),
        (lambda: frames(figures(1), ["a"], name="x", alts=[" "]), "alts: expected a text"),
        (
            lambda: frames(figures(1), ["a"], name="x", alts=["a"], start=1),
            "start: expected 0 to 0",
        ),
        (lambda: page(play=0), "play: expected at least 0.1 seconds"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    plt.close("all")


def test_colored_words_say_everything_without_color():
    text = colored_words(
        ["not", "<i>", "-", "dull"], [0.5, 0, 0.1, -1], title="a & b"
    )._repr_html_()
    spans = re.findall(r'<span style="([^"]*)">([^<]*)</span>', text)
    assert [word for _, word in spans] == ["not", "&lt;i&gt;", "-", "dull"]
    widths = [int(re.search(r"border-bottom:(\d)px", style)[1]) for style, _ in spans]
    assert widths == [2, 0, 0, 4]
    assert "solid" in spans[0][0]
    assert "dotted" in spans[3][0]
    assert ["bold" in style for style, _ in spans] == [True, False, True, True]
    assert "Largest: dull −1.00, not +0.50, - +0.10" in text
    assert "a &amp; b" in text
    assert colored_words(["so"], [0.0])._repr_html_().count("<div") == 1  # no title


def test_colored_words_refuse_what_they_cannot_show():
    with pytest.raises(ValueError, match="words: expected at least one"):
        colored_words([], [])
    with pytest.raises(ValueError, match="values: expected 2, one per word, got 1"):
        colored_words(["so", "so"], [1.0])
    with pytest.raises(ValueError, match="values: expected finite numbers"):
        colored_words(["so"], [math.nan])
    with pytest.raises(ValueError, match="top: expected at least 1"):
        colored_words(["so"], [1.0], top=0)


def test_the_live_network_says_where_it_is_and_loads_nothing_by_itself():
    page = live_network()._repr_html_()
    assert page == live_network()._repr_html_()
    before_script, script = page.split("<script>")
    assert "button here loads chapter 3's network" in before_script
    assert "<button" not in before_script  # where no script runs, there is nothing to press
    assert "src=" not in before_script
    assert script.index("addEventListener") < script.index('load("live-rnn-weights.js")')


def test_sounds_are_players_that_wait():
    x = np.sin(np.arange(800) / 5)
    text = sounds([x, 3 * x], ["a low tone", 'said "two"'], rate=8000, name="Two tones")
    page = text._repr_html_()
    assert page.count("<audio controls") == 2
    assert "autoplay" not in page
    assert 'id="sounds-two-tones"' in page
    assert page.count("a low tone") == 2  # beside the player, and read aloud with it
    assert "&quot;two&quot;" in page
    assert "http" not in page
    urls = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    assert urls[0] == urls[1]  # scaled to the same loudness
    with wave.open(io.BytesIO(base64.b64decode(urls[0]))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 1)
        y = np.frombuffer(file.readframes(800), "<i2")
    assert len(y) == 800
    assert np.abs(y - 29_000 * x / np.abs(x).max()).max() < 1


@pytest.mark.parametrize(
    ("waveforms", "labels", "message"),
    [
        ([], [], r"len\(waveforms\): expected"),
        ([[0.0]], [], "labels: expected 1"),
        ([[0.0]], [" "], "labels: expected a text"),
        ([[[0.0]]], ["x"], r"waveforms\[0\]: expected"),
        ([[float("nan")]], ["x"], r"waveforms\[0\]: expected finite"),
    ],
)
def test_sounds_that_are_none(waveforms, labels, message):
    with pytest.raises(ValueError, match=message):
        sounds(waveforms, labels, rate=8000, name="x")


def test_sounds_of_eight_bits_with_a_midi_file():
    x = np.sin(np.arange(800) / 5)
    page = sounds([x], ["A <hum>."], rate=8000, name="Hum", bits=8, midi=[b"MThd"])._repr_html_()
    data = re.search(r'src="data:audio/wav;base64,([^"]+)"', page)[1]
    with wave.open(io.BytesIO(base64.b64decode(data))) as file:
        assert (file.getsampwidth(), file.getnframes()) == (1, 800)
        heard = np.frombuffer(file.readframes(800), np.uint8)
    assert np.abs((heard - 127.5) / 127 - x / np.abs(x).max()).max() < 0.005
    assert "A &lt;hum&gt;." in page
    link = re.search(r'download="([^"]+)" href="data:audio/midi;base64,([^"]+)"', page)
    assert link[1] == "sounds-hum-1.mid"
    assert base64.b64decode(link[2]) == b"MThd"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"bits": 12}, "bits: expected"), ({"midi": []}, "midi: expected 1, one per sound, got 0")],
)
def test_bits_and_files_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        sounds([[0.0]], ["x"], rate=8000, name="x", **change)
