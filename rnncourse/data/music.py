"""Melodies from a small grammar, as tokens, as MIDI files and as sound.

A piece is a series of phrases of four bars in 4/4. Each phrase draws one of four chord
progressions, each bar one of four rhythms. Beats one and three have a tone of the bar's chord; any
other note moves by at most one step of the scale. So every melody has a probability that is known
exactly (:func:`log2_probability`): no model can need fewer bits, on average.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least, check_shape, check_type

PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (0, 3, 0, 4), (5, 3, 4, 0))
"""Roots of the chords of a phrase's bars, as degrees of the scale: 0 is the tonic."""
RHYTHMS = ((2, 2, 2, 2), (4, 4), (2, 1, 1, 2, 2), (4, 2, 1, 1))
"""Lengths of the notes of a bar, in eighths."""
STEPS = {-1: 0.4, 0: 0.2, 1: 0.4}
"""How a note off the strong beats moves, in degrees, and how often; at the border it turns back."""
LENGTHS = (1, 2, 4)
N_DEGREES = 15  # two octaves of a major scale
N_TOKENS = N_DEGREES * len(LENGTHS)
_MAJOR = np.array([0, 2, 4, 5, 7, 9, 11])


class Melody(NamedTuple):
    """Notes one after the other."""

    degrees: NDArray[np.int64]  # (N,), from 0, the tonic, to 14, two octaves above
    eighths: NDArray[np.int64]  # (N,): lengths
    tonic: int  # MIDI number of degree 0; 60 is middle C


class Note(NamedTuple):
    """A note to be played; times in quarters."""

    pitch: int  # MIDI number
    start: float
    length: float


def _tones(root: int) -> list[int]:
    """Return the degrees of the chord on ``root`` that lie within the two octaves."""
    return [d for d in range(N_DEGREES) if (d - root) % 7 in (0, 2, 4)]


def _step(degree: int, move: int) -> int:
    """Move; at the border turn back."""
    to = degree + move
    return degree - move if not 0 <= to < N_DEGREES else to


def compose(rng: np.random.Generator, phrases: int = 2) -> Melody:
    """Draw a melody, and its key.

    Parameters
    ----------
    rng
        Random generator.
    phrases
        How many phrases of four bars.

    Returns
    -------
    melody
        Its tonic lies between 55 and 66.

    Raises
    ------
    TypeError, ValueError
        If ``phrases`` is not a whole number of at least 1, or ``rng`` is not a generator.

    Examples
    --------
    >>> melody = compose(np.random.default_rng(0), phrases=1)
    >>> melody.eighths.sum()
    np.int64(32)
    """
    check_type("rng", rng, np.random.Generator)
    check_at_least("phrases", phrases, 1)
    degrees: list[int] = []
    eighths: list[int] = []
    for _ in range(phrases):
        for root in PROGRESSIONS[rng.integers(len(PROGRESSIONS))]:
            at = 0
            for length in RHYTHMS[rng.integers(len(RHYTHMS))]:
                if at % 4 == 0:
                    degrees.append(int(rng.choice(_tones(root))))
                else:
                    move = int(rng.choice(list(STEPS), p=list(STEPS.values())))
                    degrees.append(_step(degrees[-1], move))
                eighths.append(length)
                at += length
    return Melody(np.array(degrees), np.array(eighths), int(rng.integers(55, 67)))


def log2_probability(melody: Melody) -> float:
    """Return the logarithm (base 2) of a melody's probability, given its tonic.

    The progression of a phrase is hidden, so the sum runs over all four. The mean of
    ``-log2_probability(m) / len(m.degrees)`` over many melodies is the entropy, in bits per note.

    Raises
    ------
    ValueError
        If the melody is not made of whole phrases in the grammar's rhythms.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> melodies = [compose(rng) for _ in range(200)]
    >>> bits = sum(-log2_probability(m) for m in melodies)
    >>> round(bits / sum(len(m.degrees) for m in melodies), 1)
    2.8
    """
    bars, bar, at = [], [], 0
    for i, length in enumerate(melody.eighths.tolist()):
        bar.append((i, at, length))
        at += length
        if at == 8:
            bars.append(bar)
            bar, at = [], 0
    known = {rhythm: 1 / len(RHYTHMS) for rhythm in RHYTHMS}
    if bar or not bars or len(bars) % 4 or any(tuple(n[2] for n in b) not in known for b in bars):
        raise ValueError(
            "melody: expected phrases of four bars in the grammar's rhythms, got "
            f"lengths {melody.eighths.tolist()}"
        )
    degrees, total = melody.degrees.tolist(), len(bars) * np.log2(1 / len(RHYTHMS))
    for first in range(0, len(bars), 4):
        ways = 0.0
        for roots in PROGRESSIONS:
            p = 1 / len(PROGRESSIONS)
            for root, notes in zip(roots, bars[first : first + 4], strict=True):
                for i, at, _ in notes:
                    if at % 4 == 0:
                        tones = _tones(root)
                        p *= (degrees[i] in tones) / len(tones)
                    else:
                        moves = STEPS.items()
                        p *= sum(q for m, q in moves if _step(degrees[i - 1], m) == degrees[i])
            ways += p
        with np.errstate(divide="ignore"):
            total += np.log2(ways)
    return float(total)


def to_tokens(melody: Melody) -> NDArray[np.int64]:
    """Return a number from 0 to 44 for each note's degree and length: ``(N,)``.

    Raises ValueError if a degree is not from 0 to 14, or a length not one of ``LENGTHS``.
    """
    known = np.isin(melody.degrees, range(N_DEGREES)) & np.isin(melody.eighths, LENGTHS)
    if not known.all():
        raise ValueError(
            f"melody: expected degrees from 0 to {N_DEGREES - 1} and lengths of {LENGTHS} eighths, "
            f"got {melody}"
        )
    which = np.searchsorted(LENGTHS, melody.eighths)
    return np.asarray(melody.degrees * len(LENGTHS) + which, np.int64)


def from_tokens(tokens: ArrayLike, tonic: int = 60) -> Melody:
    """Return the melody of a sequence of tokens; raises ValueError if one is not from 0 to 44."""
    ids = np.asarray(tokens)
    check_shape("tokens", ids.shape, ("N",))
    if not np.isin(ids, range(N_TOKENS)).all():
        raise ValueError(
            f"tokens: expected whole numbers from 0 to {N_TOKENS - 1}, got {ids.tolist()}"
        )
    ids = ids.astype(np.int64)
    return Melody(ids // len(LENGTHS), np.array(LENGTHS)[ids % len(LENGTHS)], tonic)


def notes(melody: Melody) -> list[Note]:
    """Return the notes with their pitches and times."""
    pitches = melody.tonic + 12 * (melody.degrees // 7) + _MAJOR[melody.degrees % 7]
    ends = np.cumsum(melody.eighths) / 2
    rows = zip(pitches.tolist(), (ends - melody.eighths / 2).tolist(), melody.eighths, strict=True)
    return [Note(pitch, start, float(length) / 2) for pitch, start, length in rows]


def to_midi(played: Sequence[Note], tempo: float = 100.0, program: int = 0) -> bytes:
    """Write a Standard MIDI File of format 0 with 480 ticks per quarter, through ``mido``.

    Parameters
    ----------
    played
        Notes, in any order; they may sound together.
    tempo
        Quarters per minute.
    program
        Instrument, 0 to 127 (General MIDI); 0 is a piano.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> to_midi([Note(60, 0, 1)])[:4]
    b'MThd'
    """
    import mido

    _check_notes(played, tempo)
    if not 0 <= program <= 127:
        raise ValueError(f"program: expected 0 to 127, got {program}")
    events = []
    for note in played:
        start, end = round(480 * note.start), round(480 * (note.start + note.length))
        events += [(start, "note_on", note.pitch), (end, "note_off", note.pitch)]
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(60e6 / tempo))])
    track.append(mido.Message("program_change", program=program))
    now = 0
    for tick, kind, pitch in sorted(events):  # at one time a note ends before another starts
        track.append(mido.Message(kind, note=pitch, velocity=90, time=tick - now))
        now = tick
    file = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=480, tracks=[track]).save(file=file)
    return file.getvalue()


def to_waveform(
    played: Sequence[Note], tempo: float = 100.0, rate: int = 16000
) -> NDArray[np.float32]:
    """Play notes as sums of four fading harmonics: ``(N,)`` samples at ``rate`` Hz, in [-1, 1].

    Raises ValueError if a number is out of its range.
    """
    _check_notes(played, tempo)
    check_at_least("rate", rate, 1000)
    seconds = max(note.start + note.length for note in played) * 60 / tempo + 0.3
    wave = np.zeros(int(seconds * rate) + 1)
    for note in played:
        t = np.arange(int((note.length * 60 / tempo + 0.3) * rate)) / rate
        frequency = 440 * 2 ** ((note.pitch - 69) / 12)
        start = int(note.start * 60 / tempo * rate)
        part = wave[start : start + len(t)]
        for k in (1, 2, 3, 4):
            if k * frequency < rate / 2:
                fading = np.exp(-3 * k * t) * np.minimum(1, t / 0.01)
                part += (fading * np.sin(2 * np.pi * k * frequency * t) / k)[: len(part)]
    return np.asarray(wave / np.abs(wave).max(), np.float32)


def _check_notes(played: Sequence[Note], tempo: float) -> None:
    check_at_least("len(played)", len(played), 1)
    if not 4 <= tempo <= 1000:
        raise ValueError(f"tempo: expected 4 to 1000 quarters per minute, got {tempo}")
    for i, note in enumerate(played):
        if not (0 <= note.pitch <= 127 and note.start >= 0 and note.length > 0):
            expected = "a pitch from 0 to 127, a start from 0 and a length above 0"
            raise ValueError(f"played[{i}]: expected {expected}, got {note}")
