"""The grammar's melodies: their probability is exact, and the files say what the notes say."""

import io
from itertools import product

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncourse.data import music
from rnncourse.data.music import (
    N_TOKENS,
    PROGRESSIONS,
    Melody,
    Note,
    compose,
    from_tokens,
    log2_probability,
    notes,
    to_midi,
    to_tokens,
    to_waveform,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_melodies_follow_the_grammar(phrases, seed):
    melody = compose(np.random.default_rng(seed), phrases)
    assert melody.eighths.sum() == 32 * phrases
    assert melody.degrees.min() >= 0
    assert melody.degrees.max() < 15
    starts = np.cumsum(melody.eighths) - melody.eighths
    weak = starts % 4 != 0
    jumps = np.abs(np.diff(melody.degrees))[weak[1:]]
    assert (jumps <= 1).all()
    assert -np.inf < log2_probability(melody) < 0
    again = from_tokens(to_tokens(melody), melody.tonic)
    assert np.array_equal(again.degrees, melody.degrees)
    assert np.array_equal(again.eighths, melody.eighths)
    assert to_tokens(melody).min() >= 0
    assert to_tokens(melody).max() < N_TOKENS


def test_probability_is_a_mixture_over_progressions(monkeypatch):
    monkeypatch.setattr(music, "RHYTHMS", ((2, 2, 4),))  # strong, weak, strong
    for seed in range(20):
        melody = compose(np.random.default_rng(seed), 2)
        expected = 1.0
        for phrase in melody.degrees.reshape(2, 4, 3).tolist():
            ways = [
                np.prod([_bar_probability(bar, r) for bar, r in zip(phrase, roots, strict=True)])
                for roots in PROGRESSIONS
            ]
            expected *= np.mean(ways)
        assert 2.0 ** log2_probability(melody) == pytest.approx(expected)


@pytest.mark.parametrize("root", range(7))
def test_probabilities_of_a_bar_sum_to_one(root):
    bars = product(range(15), repeat=3)
    assert sum(_bar_probability(bar, root) for bar in bars) == pytest.approx(1)


def _bar_probability(bar, root):
    """Of three notes: strong, weak, strong."""
    tones = music._tones(root)
    moved = sum(p for m, p in music.STEPS.items() if music._step(bar[0], m) == bar[1])
    return (bar[0] in tones) * moved * (bar[2] in tones) / len(tones) ** 2


def test_a_wrong_note_is_impossible():
    melody = compose(np.random.default_rng(0), 1)
    starts = np.cumsum(melody.eighths) - melody.eighths
    i = int(np.flatnonzero(starts % 4 != 0)[0])
    degrees = melody.degrees.copy()
    degrees[i] = (degrees[i - 1] + 5) % 15  # no step
    assert log2_probability(melody._replace(degrees=degrees)) == -np.inf


def test_pitches_are_those_of_the_major_scale():
    scale = Melody(np.arange(15), np.full(15, 2), 60)
    assert [n.pitch for n in notes(scale)] == [
        60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77, 79, 81, 83, 84,
    ]  # fmt: skip
    assert [n.start for n in notes(scale)][:3] == [0, 1, 2]
    assert {n.length for n in notes(scale)} == {1.0}


def read_midi(data):
    """Return the tempo, the program, and (tick, on, pitch) in the order of the track."""
    file = mido.MidiFile(file=io.BytesIO(data))
    assert (file.type, file.ticks_per_beat) == (0, 480)
    (track,) = file.tracks
    tick, found, events = 0, {}, []
    for message in track:
        tick += message.time
        if message.type in ("note_on", "note_off"):
            assert message.velocity > 0  # a note_on without is a note_off
            events.append((tick, message.type == "note_on", message.note))
        else:
            found[message.type] = message
    assert track[-1].type == "end_of_track"
    return found["set_tempo"].tempo, found["program_change"].program, events


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(10, 400))
def test_midi_says_what_the_notes_say(seed, tempo):
    played = notes(compose(np.random.default_rng(seed)))
    micro, program, events = read_midi(to_midi(played, tempo, program=40))
    assert (micro, program) == (round(60e6 / tempo), 40)
    expected = [(round(480 * n.start), True, n.pitch) for n in played]
    expected += [(round(480 * (n.start + n.length)), False, n.pitch) for n in played]
    assert sorted(events) == sorted(expected)
    assert [e[0] for e in events] == sorted(e[0] for e in events)
    sounding = 0
    for _, on, _ in events:  # a note ends before the next one starts
        sounding += 1 if on else -1
        assert 0 <= sounding <= 1


def test_notes_that_sound_together_and_late():
    chord = [Note(60, 1000, 1), Note(64, 1000, 2)]
    _, program, events = read_midi(to_midi(chord))
    assert program == 0
    assert events == [
        (480_000, True, 60),
        (480_000, True, 64),
        (480_480, False, 60),
        (480_960, False, 64),
    ]


def test_the_sound_has_the_pitch():
    wave = to_waveform([Note(69, 0, 2)], tempo=60, rate=8000)
    assert wave.dtype == np.float32
    assert np.abs(wave).max() == pytest.approx(1)
    spectrum = np.abs(np.fft.rfft(wave))
    assert np.fft.rfftfreq(len(wave), 1 / 8000)[spectrum.argmax()] == pytest.approx(440, abs=2)
    assert len(wave) == pytest.approx(2.3 * 8000, abs=2)


def test_the_sound_has_four_harmonics():
    wave = to_waveform([Note(69, 0, 2)], tempo=60)
    spectrum = np.abs(np.fft.rfft(wave))
    f = np.fft.rfftfreq(len(wave), 1 / 16000)
    heights = [spectrum[np.abs(f - 440 * k) < 10].max() for k in range(1, 7)]
    # The k-th fades k times as fast and has 1 / k of the size, so its peak has 1 / k**2.
    np.testing.assert_allclose(heights[:4] / heights[0], [1, 1 / 4, 1 / 9, 1 / 16], rtol=0.15)
    assert max(heights[4:]) < heights[3] / 5
    half_way, late = (np.abs(wave[int(16000 * t) :][:400]).max() for t in (0.5, 1.5))
    assert late / half_way == pytest.approx(np.exp(-3), rel=0.2)  # each second


def test_a_note_sounds_from_its_start_on():
    wave = to_waveform([Note(69, 1, 1)], tempo=120, rate=8000)
    assert not wave[:4000].any()
    assert np.abs(wave[4000:4400]).max() == 1


def test_harmonics_above_half_the_rate_are_left_out():
    spectrum = np.abs(np.fft.rfft(to_waveform([Note(69, 0, 2)], tempo=60, rate=1000)))
    f = np.fft.rfftfreq(2301, 1 / 1000)
    assert f[spectrum.argmax()] == pytest.approx(440, abs=2)
    assert spectrum[np.abs(f - (1000 - 880)) < 10].max() < spectrum.max() / 100  # where 880 folds


def test_a_piano_plays_a_hundred_quarters_per_minute_unless_told_otherwise():
    played = [Note(60, 0, 1)]
    assert to_midi(played) == to_midi(played, 100, 0)
    assert np.array_equal(to_waveform(played), to_waveform(played, 100, 16000))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: compose(np.random.default_rng(0), 0), ValueError, "phrases: expected at least 1"),
        (lambda: compose(0), TypeError, "rng: expected numpy.Generator, got int"),
        *(
            (
                lambda d=d, e=e: to_tokens(Melody(np.array([0, d]), np.array([2, e]), 60)),
                ValueError,
                r"melody: expected degrees from 0 to 14 and lengths of \(1, 2, 4\) eighths",
            )
            for d, e in ((0, 8), (0, 3), (0, 0), (15, 1), (-1, 1), (0.5, 1), (0, 1.5))
        ),
        (lambda: from_tokens([45]), ValueError, "tokens: expected whole numbers from 0 to 44"),
        (lambda: from_tokens([-1]), ValueError, "tokens: expected whole numbers from 0 to 44"),
        (lambda: from_tokens([0.9]), ValueError, "tokens: expected whole numbers from 0 to 44"),
        (lambda: from_tokens([[1]]), ValueError, "tokens: expected"),
        (
            lambda: log2_probability(Melody(np.zeros(3, int), np.array([2, 2, 2]), 60)),
            ValueError,
            "melody: expected phrases of four bars",
        ),
        (lambda: to_midi([]), ValueError, r"len\(played\): expected at least 1"),
        (lambda: to_midi([Note(128, 0, 1)]), ValueError, r"played\[0\]: expected a pitch from 0"),
        (lambda: to_midi([Note(60, 0, 0)]), ValueError, r"played\[0\]: expected"),
        (lambda: to_midi([Note(60, 0, 1)], tempo=0), ValueError, "tempo: expected 4 to 1000"),
        (lambda: to_midi([Note(60, 0, 1)], program=128), ValueError, "program: expected 0 to 127"),
        (lambda: to_waveform([Note(60, 0, 1)], rate=10), ValueError, "rate: expected at least"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
