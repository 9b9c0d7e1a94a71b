"""Spoken digits from a model of the voice: a source of sound, and a filter for each phoneme.

The source is a sawtooth, for the vocal folds, or noise, for air in a narrow place. The filter is
three resonators in a chain, at the *formants*. Each speaker has a pitch, a size and a pace.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least, check_choice, check_shape, check_type
from rnncourse.metrics import error_rate

RATE = 8000  # samples per second

# Length in ms, loudness, share of noise in the source, three formants and the first one's bandwidth
# in Hz. Vowels: Peterson and Barney (1952), men. The rest is ours. T and K begin with a silence.
_ROWS = """IY 110 1 0 270 2290 3010 60, IH 80 1 0 390 1990 2550 60, EH 100 1 0 530 1840 2480 60,
    AA 100 1 0 730 1090 2440 70, AH 80 1 0 640 1190 2390 70, AO 110 1 0 570 840 2410 70,
    UW 110 .9 0 300 870 2240 60, R 70 .7 0 310 1060 1380 70, W 60 .7 0 290 610 2150 60,
    N 80 .6 0 250 1250 2300 100, V 60 .3 .3 220 1100 2400 150, Z 80 .3 .6 240 2900 3600 200,
    F 100 .15 1 1200 2000 3200 700, TH 100 .1 1 2500 3000 3700 700, S 110 .4 1 2900 3500 3800 400,
    T 90 .4 1 2300 3000 3600 400, K 90 .4 1 1500 1900 2600 300"""
PHONEMES = {r.split()[0]: tuple(map(float, r.split()[1:])) for r in _ROWS.split(",")}
"""For each phoneme: milliseconds, loudness, share of noise, F1, F2, F3 and bandwidth in Hz."""

_SAID = "Z IH R AO UW, W AH N, T UW, TH R IY, F AO R, F AA IH V, S IH K S, S EH V AH N, EH IH T"
PRONUNCIATIONS = tuple(tuple(word.split()) for word in (_SAID + ", N AA IH N").split(","))
"""The phonemes of *zero* to *nine*."""


NOISES = ("hiss", "hum", "babble")
"""The kinds of noise of :func:`draw_noise`."""


class Speaker(NamedTuple):
    """Who speaks: pitch in Hz, factors for the formants (a short throat has high ones) and pace."""

    pitch: float
    formants: float
    pace: float


class Utterance(NamedTuple):
    """A recording, what is said in it, and where."""

    waveform: NDArray[np.float32]  # (N,), at 8000 Hz, mostly within -1 to 1
    digits: tuple[int, ...]
    phonemes: tuple[str, ...]
    spans: NDArray[np.int64]  # (S, 2): each phoneme's first sample, and the one after its last


def draw_speaker(rng: np.random.Generator) -> Speaker:
    """Draw a voice of 90 to 230 Hz; high voices tend to have high formants.

    Raises TypeError if ``rng`` is not a generator.
    """
    check_type("rng", rng, np.random.Generator)
    pitch = 90 * (230 / 90) ** rng.random()
    return Speaker(pitch, (pitch / 144) ** 0.2 * rng.uniform(0.96, 1.04), rng.uniform(0.8, 1.25))


def transfer(
    frequencies: ArrayLike, formants: ArrayLike, bandwidths: ArrayLike
) -> NDArray[np.complex128]:
    """Return the response, ``(K,)``, of a chain of resonators at ``frequencies`` ``(K,)``, in Hz.

    Each, one per formant, is ``1 / (1 - 2 r cos(2 pi F / RATE) / z + r**2 / z**2)`` with
    ``r = exp(-pi width / RATE)``: Klatt (1980), "Software for a cascade/parallel formant
    synthesizer", without the gain.
    """
    delay = np.exp(-2j * np.pi * np.asarray(frequencies)[:, None] / RATE)  # 1 / z
    r = np.exp(-np.pi * np.asarray(bandwidths) / RATE)
    angle = 2 * np.pi * np.asarray(formants) / RATE
    response: NDArray[np.complex128]
    response = np.prod(1 / (1 - 2 * r * np.cos(angle) * delay + (r * delay) ** 2), axis=1)
    return response


def speak(digits: Sequence[int], speaker: Speaker, rng: np.random.Generator) -> Utterance:
    """Say digits; lengths, loudness, pitch and formants differ a little each time.

    Raises ValueError or TypeError if there is no digit, one is not a whole number from 0 to 9, or
    ``rng`` is not a generator.

    Examples
    --------
    >>> said = speak([2, 1], Speaker(120, 1.0, 1.0), np.random.default_rng(0))
    >>> said.phonemes, said.spans[0].tolist(), said.waveform.shape
    (('T', 'UW', 'W', 'AH', 'N'), [727, 1380], (4780,))
    """
    check_type("rng", rng, np.random.Generator)
    check_at_least("len(digits)", len(digits), 1)
    symbols, spans, end = [], [], 0
    for i, digit in enumerate(digits):
        check_at_least(f"digits[{i}]", digit, 0)
        check_choice(f"digits[{i}]", digit, range(10))
        end += int(RATE * rng.uniform(0.04, 0.12))  # a pause before each word
        for symbol in PRONUNCIATIONS[digit]:
            start = end
            end += int(RATE / 1000 * PHONEMES[symbol][0] * rng.uniform(0.8, 1.2) / speaker.pace)
            symbols.append(symbol)
            spans.append((start, end))
    N, fade = end + RATE // 20, RATE // 50
    pitch = speaker.pitch * np.linspace(1.1, 0.9, N) * rng.uniform(0.95, 1.05)
    voice = (np.cumsum(pitch) / RATE) % 1 - 0.5
    noise, wave = rng.normal(0, 0.3, N), rng.normal(0, 1e-3, N)
    for symbol, (start, end) in zip(symbols, spans, strict=True):
        _, loudness, share, *formants, width = PHONEMES[symbol]
        if symbol in ("T", "K"):
            start += 2 * (end - start) // 3
        n = np.arange(max(start - fade, 0), min(end + 2 * fade, N))  # neighbors fade over
        source = (1 - share) * voice[n] + share * noise[n]
        source *= np.clip(np.minimum(n - start, end - n) / fade + 0.5, 0, 1)
        centers = np.array(formants) * speaker.formants * rng.uniform(0.97, 1.03, 3)
        widths = width * np.array([1, 1.5, 2])
        filtered = np.fft.rfft(source, 2 * len(n)) * transfer(
            np.fft.rfftfreq(2 * len(n), 1 / RATE), np.minimum(centers, 3900), widths
        )
        sound = np.fft.irfft(filtered)[: len(n)]
        rms = np.sqrt((sound**2).sum() / (end - start))
        wave[n] += 0.2 * loudness * rng.uniform(0.8, 1.2) * sound / rms
    return Utterance(wave.astype(np.float32), tuple(digits), tuple(symbols), np.array(spans))


def spoken_digits(
    n: int, rng: np.random.Generator, words: tuple[int, int] = (1, 1)
) -> list[Utterance]:
    """Draw ``n`` utterances of ``words[0]`` to ``words[1]`` digits, each by a new speaker.

    Raises TypeError or ValueError if a number is not whole or out of its range, ``words`` are not
    two numbers, or ``rng`` is not a generator.
    """
    check_at_least("n", n, 0)
    check_type("rng", rng, np.random.Generator)
    check_shape("words", np.shape(words), (2,))
    check_at_least("words[0]", words[0], 1)
    check_at_least("words[1]", words[1], words[0])
    counts = rng.integers(words[0], words[1] + 1, n)
    return [speak(rng.integers(10, size=c).tolist(), draw_speaker(rng), rng) for c in counts]


def draw_noise(n: int, rng: np.random.Generator, kind: str = "hiss") -> NDArray[np.float32]:
    """Draw ``n`` samples of noise, ``(n,)``, with a mean power of 1.

    Parameters
    ----------
    n
        How many samples, at least 1.
    rng
        Random generator.
    kind
        ``"hiss"``, white noise; ``"hum"``, a machine with 60 overtones of 40 to 60 Hz; or
        ``"babble"``, four other people who say digits, all at once.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range.
    """
    check_at_least("n", n, 1)
    check_type("rng", rng, np.random.Generator)
    check_choice("kind", kind, NOISES)
    if kind == "hiss":
        noise = rng.normal(size=n)
    elif kind == "hum":
        overtones = np.arange(1, 61)[:, None]
        turns = rng.uniform(40, 60) * overtones * np.arange(n) / RATE + rng.random((60, 1))
        noise = (rng.uniform(0.3, 1, (60, 1)) * np.sin(2 * np.pi * turns)).sum(0)
    else:
        noise = np.zeros(n)
        for _ in range(4):
            digits = rng.integers(10, size=1 + n // (RATE // 3)).tolist()
            voice = speak(digits, draw_speaker(rng), rng).waveform
            noise += np.resize(np.roll(voice, -int(rng.integers(len(voice)))), n)
    return np.asarray(noise / np.sqrt((noise**2).mean()), np.float32)


def mix(waveform: ArrayLike, noise: ArrayLike, snr: float) -> NDArray[np.float32]:
    """Add noise to a recording, scaled to a signal-to-noise ratio.

    Parameters
    ----------
    waveform, noise
        Sounds of one length, ``(N,)``.
    snr
        In dB: at 20 the recording has 100 times the noise's power, at 0 as much.

    Raises
    ------
    ValueError
        If a shape is wrong, ``snr`` is not finite, or the noise is all zero.
    """
    wave, other = np.asarray(waveform, np.float64), np.asarray(noise, np.float64)
    check_shape("waveform", wave.shape, ("N",))
    check_shape("noise", other.shape, wave.shape)
    if not np.isfinite(snr):
        raise ValueError(f"snr: expected a finite number of dB, got {snr}")
    power = (other**2).mean()
    if not power > 0:
        raise ValueError("noise: expected a sound, got zeros alone")
    scale = np.sqrt((wave**2).mean() / power / 10 ** (snr / 10))
    return np.asarray(wave + scale * other, np.float32)


def log_mel(
    waveform: ArrayLike, n_mels: int = 24, frame: int = 200, hop: int = 80
) -> NDArray[np.float32]:
    """Return the logarithm of the power in mel bands, ``(T, n_mels)``, for each frame of 25 ms.

    ``frame`` and ``hop`` count samples: ``T = 1 + (N - frame) // hop``. Bands are triangles, as
    wide as the ear's. Raises TypeError or ValueError if a number is not whole or is too small
    (``frame`` is at least ``2 * n_mels``), or the waveform is not ``(N,)`` of at least one frame.
    """
    check_at_least("n_mels", n_mels, 1)
    check_at_least("hop", hop, 1)
    check_at_least("frame", frame, 2 * n_mels)
    wave = np.asarray(waveform, np.float64)
    check_shape("waveform", wave.shape, ("N",))
    check_at_least("len(waveform)", len(wave), frame)
    frames = np.lib.stride_tricks.sliding_window_view(wave, frame)[::hop] * np.hanning(frame)
    power = np.abs(np.fft.rfft(frames, 2 * frame)) ** 2 / frame  # (T, frame + 1)
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1)[:, None]
    f = np.fft.rfftfreq(2 * frame, 1 / RATE)
    rise = (f - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - f) / (edges[2:] - edges[1:-1])
    bands = power @ np.clip(np.minimum(rise, fall), 0, 1).T  # (T, n_mels)
    return np.asarray(np.log(bands + 1e-6), np.float32)


class SpeechBatch(NamedTuple):
    """Utterances side by side, as :func:`rnncourse.reference.ctc.ctc_loss` takes them."""

    x: NDArray[np.float32]  # (T, B, n_mels): zero after an utterance's end
    lengths: NDArray[np.int64]  # (B,)
    labels: NDArray[np.int64]  # (B, S): from 1; 0 is the blank, and the padding
    label_lengths: NDArray[np.int64]  # (B,)


def labels(utterance: Utterance, unit: str = "phonemes") -> list[int]:
    """Return label numbers: the index in ``PHONEMES``, or for ``"digits"`` the digit, plus 1."""
    check_choice("unit", unit, ("phonemes", "digits"))
    if unit == "digits":
        return [digit + 1 for digit in utterance.digits]
    return [list(PHONEMES).index(symbol) + 1 for symbol in utterance.phonemes]


def pad_speech(
    utterances: Sequence[Utterance], unit: str = "phonemes", n_mels: int = 24
) -> SpeechBatch:
    """Put features and labels side by side; raises ValueError if there is no utterance."""
    check_at_least("len(utterances)", len(utterances), 1)
    features = [log_mel(u.waveform, n_mels) for u in utterances]
    targets = [labels(u, unit) for u in utterances]
    n, m = np.array([len(f) for f in features]), np.array([len(t) for t in targets])
    x = np.zeros((n.max(), len(n), n_mels), np.float32)
    y = np.zeros((len(n), m.max()), np.int64)
    for b, (feature, target) in enumerate(zip(features, targets, strict=True)):
        x[: n[b], b], y[b, : m[b]] = feature, target
    return SpeechBatch(x, n, y, m)


def best_constant(references: Sequence[Sequence[int]]) -> tuple[list[int], float]:
    """Return the baseline: the answer with the fewest errors if it is given every time.

    It is one of the references. Its error rate is the second result, in edits per label. For
    single digits it is 0.9, and for their phonemes, said equally often, 29/36.
    Raises ValueError if there is no reference.
    """
    check_at_least("len(references)", len(references), 1)
    answers = {tuple(reference) for reference in references}
    errors = {a: error_rate([a] * len(references), references) for a in sorted(answers)}
    best = min(errors, key=errors.__getitem__)
    return list(best), errors[best]
