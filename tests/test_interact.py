import base64
import io
import json
import math
import re
import wave

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rnncourse.interact import colored_words, frames, sound


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


def test_a_sound_is_in_the_page_and_waits_to_be_started():
    samples = np.sin(np.arange(800) / 5)
    text = sound(samples, 8000, label='A "hum"', description="A <hum>.", midi=b"MThd")._repr_html_()
    data = re.search(r'src="data:audio/wav;base64,([^"]+)"', text)[1]
    with wave.open(io.BytesIO(base64.b64decode(data))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 8000, 800)
        heard = np.frombuffer(file.readframes(800), np.uint8)
    assert np.abs((heard - 127.5) / 127 - samples).max() < 0.005
    assert "controls" in text
    assert "autoplay" not in text
    assert 'aria-label="A &quot;hum&quot;"' in text
    assert "A &lt;hum&gt;." in text
    link = re.search(r'download="([^"]+)" href="data:audio/midi;base64,([^"]+)"', text)
    assert link[1] == "a-hum.mid"
    assert base64.b64decode(link[2]) == b"MThd"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": [0, 2]}, "samples: expected finite numbers"),
        ({"samples": [[0.0]]}, "samples: expected 1 axes"),
        ({"rate": 10}, "rate: expected at least 1000"),
        ({"label": " "}, "label: expected a text"),
        ({"description": ""}, "description: expected a text"),
    ],
)
def test_a_sound_that_cannot_be_played_is_refused(change, message):
    given = {"samples": [0.0], "rate": 8000, "label": "x", "description": "y"} | change
    with pytest.raises(ValueError, match=message):
        sound(given.pop("samples"), given.pop("rate"), **given)
