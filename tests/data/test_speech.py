"""Synthesized speech: formants stand where the table says, labels fit, voices differ."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncourse.data import speech
from rnncourse.data.speech import (
    PHONEMES,
    PRONUNCIATIONS,
    RATE,
    Speaker,
    best_constant,
    draw_noise,
    draw_speaker,
    labels,
    log_mel,
    mix,
    pad_speech,
    speak,
    spoken_digits,
    transfer,
)
from rnncourse.reference.ctc import ctc_loss

VOICE = Speaker(100, 1.0, 1.0)


def test_the_filter_resonates_at_its_formants():
    f = np.arange(100, 4000)
    response = np.abs(transfer(f, [500, 1500, 2500], [60, 60, 60]))
    peaks = f[1:-1][(response[1:-1] > response[:-2]) & (response[1:-1] > response[2:])]
    assert np.abs(peaks - [500, 1500, 2500]).max() < 15


@pytest.mark.parametrize(("digit", "vowel"), [(3, "IY"), (2, "UW"), (4, "AO")])
def test_vowels_have_their_formants(digit, vowel):
    """The second formant tells the vowels apart: more power around it than away from it."""
    _, _, _, f1, f2, *_ = PHONEMES[vowel]
    power = 0.0
    for seed in range(5):
        said = speak([digit], VOICE, np.random.default_rng(seed))
        start, end = said.spans[said.phonemes.index(vowel)]
        power = power + np.abs(np.fft.rfft(said.waveform[start:end], 4000)) ** 2
    f = np.fft.rfftfreq(4000, 1 / RATE)

    def near(center):
        return power[np.abs(f - center) < 150].mean()

    assert near(f1) > near(3300)
    others = [PHONEMES[v][4] for v in ("IY", "UW", "AO") if abs(PHONEMES[v][4] - f2) > 400]
    assert all(near(f2) > near(other) for other in others if other > f1 + 400)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_spans_labels_and_sound_fit(digits, seed):
    rng = np.random.default_rng(seed)
    said = speak(digits, draw_speaker(rng), rng)
    assert said.digits == tuple(digits)
    assert said.phonemes == tuple(p for d in digits for p in PRONUNCIATIONS[d])
    edges = said.spans.ravel()
    assert (np.diff(edges) >= 0).all()
    assert edges[0] >= 0
    assert edges[-1] <= len(said.waveform)
    assert said.waveform.dtype == np.float32
    assert np.isfinite(said.waveform).all()
    assert np.abs(said.waveform).max() < 3
    assert [list(PHONEMES)[n - 1] for n in labels(said)] == list(said.phonemes)
    assert labels(said, "digits") == [d + 1 for d in digits]


def test_same_seed_same_sound_and_voices_differ():
    first, again = (speak([7], VOICE, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.waveform, again.waveform)
    other = speak([7], Speaker(200, 1.15, 0.9), np.random.default_rng(3))
    assert len(other.waveform) > len(first.waveform)  # a slower pace
    voices = [draw_speaker(np.random.default_rng(s)) for s in range(50)]
    assert all(90 <= v.pitch <= 230 and 0.8 <= v.pace <= 1.25 for v in voices)
    assert np.std([v.formants for v in voices]) > 0.02


def test_voices_spread_from_90_to_230_hz(rng):
    voices = [draw_speaker(rng) for _ in range(3000)]
    pitch, formants = (np.log([getattr(v, name) for v in voices]) for name in Speaker._fields[:2])
    found, expected = np.quantile(pitch, np.linspace(0, 1, 5)), np.linspace(*np.log([90, 230]), 5)
    np.testing.assert_allclose(found, expected, atol=0.03)
    np.testing.assert_allclose(found[[0, -1]], expected[[0, -1]], atol=1e-3)
    assert np.corrcoef(pitch, formants)[0, 1] > 0.8  # high voices tend to have high formants


@settings(max_examples=25, deadline=None)
@given(st.integers(200, 3000), st.integers(1, 30), st.integers(1, 200))
def test_number_of_frames(N, n_mels, hop):
    x = log_mel(np.zeros(N), n_mels, hop=hop)
    assert x.shape == (1 + (N - 200) // hop, n_mels)
    assert np.isfinite(x).all()


def test_a_tone_shows_in_its_band():
    t = np.arange(RATE) / RATE
    bands = [log_mel(np.sin(2 * np.pi * f * t)).mean(0).argmax() for f in (200, 800, 1600, 3200)]
    assert bands == sorted(bands)
    assert len(set(bands)) == 4
    highest = log_mel(np.sin(2 * np.pi * 0.48 * RATE * t)).mean(0)
    assert highest.argmax() == 23  # the bands reach up to half the rate


def test_one_digit_unless_told_otherwise():
    said = spoken_digits(20, np.random.default_rng(0))
    assert [len(u.digits) for u in said] == [1] * 20


def test_each_number_of_words_occurs(rng):
    said = spoken_digits(30, rng, words=(2, 4))
    assert {len(u.digits) for u in said} == {2, 3, 4}


def test_a_batch_is_what_ctc_takes():
    said = spoken_digits(4, np.random.default_rng(0), words=(1, 3))
    batch = pad_speech(said)
    T, B, n_mels = batch.x.shape
    assert (B, n_mels) == (4, 24)
    assert (batch.lengths >= 2 * batch.label_lengths + 1).all()  # room for blanks
    for b, u in enumerate(said):
        n, m = batch.lengths[b], batch.label_lengths[b]
        assert np.array_equal(batch.x[:n, b], log_mel(u.waveform))
        assert not batch.x[n:, b].any()
        assert batch.labels[b, :m].tolist() == labels(u)
        assert not batch.labels[b, m:].any()
    logits = np.random.default_rng(0).normal(size=(T, B, len(PHONEMES) + 1))
    loss = ctc_loss(logits, batch.labels, batch.lengths, batch.label_lengths)[0]
    assert np.isfinite(loss).all()


def test_the_words_can_be_told_apart():
    rng = np.random.default_rng(0)
    said = [speak([d], draw_speaker(rng), rng) for d in range(10) for _ in range(16)]
    parts = [np.array_split(log_mel(u.waveform), 4) for u in said]
    x = np.array([np.concatenate([p.mean(0) for p in part]) for part in parts])
    x = (x - x.mean(0)).reshape(10, 16, -1)
    centers = x[:, :12].mean(1)
    distances = ((x[:, 12:, None] - centers) ** 2).sum(-1)  # (10, 4, 10)
    right = (distances.argmin(-1) == np.arange(10)[:, None]).mean()
    assert right > 0.5  # guessing: 0.1


def test_baseline():
    assert best_constant([[d + 1] for d in range(10)])[1] == pytest.approx(0.9)
    ids = {p: i + 1 for i, p in enumerate(PHONEMES)}
    spelled = [[ids[p] for p in word] for word in PRONUNCIATIONS]
    assert best_constant(spelled)[1] == pytest.approx(29 / 36)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda rng: speak([], VOICE, rng), ValueError, r"len\(digits\): expected at least 1"),
        (lambda rng: speak([1, 10], VOICE, rng), ValueError, r"digits\[1\]: expected"),
        (lambda rng: speak([1.5], VOICE, rng), TypeError, r"digits\[0\]: expected a whole"),
        (lambda rng: spoken_digits(-1, rng), ValueError, "n: expected at least 0"),
        (lambda rng: spoken_digits(1, rng, (0, 1)), ValueError, r"words\[0\]: expected at least 1"),
        (lambda rng: spoken_digits(1, rng, (2, 1)), ValueError, r"words\[1\]: expected at least 2"),
        (lambda rng: spoken_digits(1, rng, (1,)), ValueError, r"words: expected shape \(2,\)"),
        (lambda rng: spoken_digits(1, 0), TypeError, "rng: expected numpy.Generator, got int"),
        (lambda rng: draw_speaker(0), TypeError, "rng: expected numpy.Generator, got int"),
        (lambda rng: speak([1], VOICE, 0), TypeError, "rng: expected numpy.Generator, got int"),
        (lambda rng: best_constant([]), ValueError, r"len\(references\): expected at least 1"),
        (lambda rng: log_mel(np.zeros(199)), ValueError, r"len\(waveform\): expected at least 200"),
        (lambda rng: log_mel(np.zeros(300), 0), ValueError, "n_mels: expected at least 1, got 0"),
        (lambda rng: log_mel(np.zeros(300), hop=0), ValueError, "hop: expected at least 1, got 0"),
        (lambda rng: log_mel(np.zeros((2, 300))), ValueError, "waveform: expected"),
        (lambda rng: pad_speech([]), ValueError, r"len\(utterances\): expected at least 1"),
        (lambda rng: pad_speech(spoken_digits(1, rng), "words"), ValueError, "unit: expected"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(np.random.default_rng(0))


def test_every_phoneme_is_used():
    assert {p for word in PRONUNCIATIONS for p in word} == set(speech.PHONEMES)


@pytest.mark.parametrize("kind", speech.NOISES)
@pytest.mark.parametrize("n", [1, 777, 9000])
def test_noise_has_power_one_and_repeats(kind, n):
    noise, again = (draw_noise(n, np.random.default_rng(4), kind) for _ in range(2))
    assert noise.shape == (n,)
    assert noise.dtype == np.float32
    assert (noise**2).mean() == pytest.approx(1, abs=1e-4)
    assert np.array_equal(noise, again)


def test_a_hum_has_lines_and_a_hiss_has_none():
    def peak(kind):
        power = np.abs(np.fft.rfft(draw_noise(RATE, np.random.default_rng(0), kind))) ** 2
        return power.max() / np.median(power)

    assert peak("hum") > 1e4 > 100 > peak("hiss")


@pytest.mark.parametrize("snr", [-5, 0, 20])
def test_mixing_keeps_the_ratio(snr):
    said = speak([3, 1], VOICE, np.random.default_rng(0)).waveform
    noise = 7 * draw_noise(len(said), np.random.default_rng(1))
    added = mix(said, noise, snr).astype(float) - said
    assert 10 * np.log10((said**2).mean() / (added**2).mean()) == pytest.approx(snr, abs=0.01)
    assert np.corrcoef(added, noise)[0, 1] > 0.999


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_noise(0, np.random.default_rng(0)), "n: expected"),
        (lambda: draw_noise(5, np.random.default_rng(0), "rain"), "kind: expected"),
        (lambda: mix([1.0, 2.0], [1.0], 0), "noise: expected"),
        (lambda: mix([1.0], [1.0], np.inf), "snr: expected a finite"),
        (lambda: mix([1.0], [0.0], 0), "noise: expected a sound"),
    ],
)
def test_noises_that_are_none(call, message):
    with pytest.raises(ValueError, match=message):
        call()
