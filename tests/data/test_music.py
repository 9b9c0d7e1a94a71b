"""The grammar's melodies: their probability is exact, and the files say what the notes say."""

from itertools import product

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
    """Read a file of format 0: the tempo, and (tick, on, pitch) in the order of the track."""
    assert data[:14] == b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 1, 224])  # 480 ticks
    assert data[14:18] == b"MTrk"
    track = data[22:]
    assert int.from_bytes(data[18:22], "big") == len(track)
    at = tick = tempo = 0
    events = []
    while at < len(track):
        delta = 0
        while True:
            byte = track[at]
            at += 1
            delta = delta << 7 | byte & 0x7F
            if byte < 0x80:
                break
        tick += delta
        status = track[at]
        if status == 0xFF:
            length = track[at + 2]
            if track[at + 1] == 0x51:
                tempo = int.from_bytes(track[at + 3 : at + 3 + length], "big")
            else:
                assert (track[at + 1], length, at + 3) == (0x2F, 0, len(track))
            at += 3 + length
        elif status == 0xC0:
            at += 2
        else:
            assert status in (0x80, 0x90)
            events.append((tick, status == 0x90, track[at + 1]))
            at += 3
    return tempo, events


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(10, 400))
def test_midi_says_what_the_notes_say(seed, tempo):
    played = notes(compose(np.random.default_rng(seed)))
    micro, events = read_midi(to_midi(played, tempo))
    assert micro == round(60e6 / tempo)
    expected = [(round(480 * n.start), True, n.pitch) for n in played]
    expected += [(round(480 * (n.start + n.length)), False, n.pitch) for n in played]
    assert sorted(events) == sorted(expected)
    assert [e[0] for e in events] == sorted(e[0] for e in events)
    sounding = 0
    for _, on, _ in events:  # a note ends before the next one starts
        sounding += 1 if on else -1
        assert 0 <= sounding <= 1


def test_long_times_take_several_bytes():
    assert music._variable(0) == b"\x00"
    assert music._variable(127) == b"\x7f"
    assert music._variable(128) == b"\x81\x00"
    assert music._variable(0x0FFFFFFF) == b"\xff\xff\xff\x7f"
    late = [Note(60, 1000, 1)]
    assert read_midi(to_midi(late))[1][0][0] == 480_000


def test_the_sound_has_the_pitch():
    wave = to_waveform([Note(69, 0, 2)], tempo=60, rate=8000)
    assert wave.dtype == np.float32
    assert np.abs(wave).max() == pytest.approx(1)
    spectrum = np.abs(np.fft.rfft(wave))
    assert np.fft.rfftfreq(len(wave), 1 / 8000)[spectrum.argmax()] == pytest.approx(440, abs=2)
    assert len(wave) == pytest.approx(2.3 * 8000, abs=2)


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
