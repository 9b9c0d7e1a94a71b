"""Bach's four-part chorales from music21's corpus, as chords on a grid, and the style's rules.

music21 carries the scores as compressed MusicXML. They are read here without music21's parser,
which takes a second or more for a score: only pitches and lengths are needed. Nothing is copied
into the course; its license says that some of the encodings may not be used commercially.
"""

import re
import zipfile
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncourse.checks import check_at_least, check_choice, check_shape
from rnncourse.data.music import Note

VOICES = ("soprano", "alto", "tenor", "bass")
PAIRS = tuple(combinations(range(4), 2))
"""The six pairs of voices, the upper one first."""
REST = 0
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Chorale(NamedTuple):
    """A piece on a grid of sixteenths. A note held and a note struck again look the same."""

    name: str  # number in the catalog of Bach's works
    chords: Ids  # (T, 4): MIDI numbers of soprano, alto, tenor and bass; 0 is a rest
    place: Ids  # (T,): sixteenths since the bar began, from 0
    fifths: int  # sharps (or minus the flats) of the key signature

    def in_c(self) -> Ids:
        """Return the chords moved to the key signature without sharps or flats: ``(T, 4)``.

        So each major piece is in C, and each minor one in A, if the signature says its key. The
        move is the shortest, at most six semitones.
        """
        by = (-7 * self.fifths + 6) % 12 - 6
        return np.where(self.chords == REST, REST, self.chords + by)


def corpus_folder() -> Path:
    """Return the folder of Bach's works in music21's corpus.

    Raises
    ------
    FileNotFoundError
        If music21 is not installed, or came without its corpus.
    """
    spec = find_spec("music21")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("music21: expected this package, which carries the chorales")
    folder = Path(spec.origin).parent / "corpus" / "bach"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected music21's corpus, which carries the chorales")
    return folder


def read_chorale(path: Path) -> Chorale | None:
    """Read one score; None if it is not for soprano, alto, tenor and bass alone.

    Parameters
    ----------
    path
        A file of compressed MusicXML, ``.mxl``.

    Raises
    ------
    ValueError
        If the file is not compressed MusicXML, or its voices differ in length.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            index = ElementTree.fromstring(archive.read("META-INF/container.xml"))
            inside = next(item for item in index.iter() if item.tag.endswith("rootfile"))
            score = ElementTree.fromstring(archive.read(inside.attrib["full-path"]))
    except (zipfile.BadZipFile, KeyError, StopIteration, ElementTree.ParseError) as error:
        raise ValueError(f"{path}: expected compressed MusicXML, got {error!r}") from error
    names = [part.findtext("part-name") for part in score.iter("score-part")]
    if [str(name).lower() for name in names] != list(VOICES):
        return None
    parts = score.findall("part")
    voices = [_voice(part) for part in parts]
    lengths = {len(voice) for voice in voices}
    if len(lengths) > 1:
        raise ValueError(f"{path}: expected voices of one length, got {sorted(lengths)} sixteenths")
    place = _places(parts[0])[: len(voices[0])]
    fifths = int(score.findtext(".//fifths") or 0)
    name = path.name.removesuffix(".mxl")
    return Chorale(name, np.stack(voices, axis=1), place, fifths)


def _bars(part: ElementTree.Element) -> list[tuple[list[tuple[float, float, int]], float, float]]:
    """Return for each bar its notes (start, length, pitch), its length, and the full length.

    All in sixteenths, with starts from the beginning of the bar.
    """
    divisions, full = 1, 16.0
    bars = []
    for bar in part.findall("measure"):
        notes: list[tuple[float, float, int]] = []
        now = end = 0.0
        for item in bar:
            if item.tag == "attributes":
                divisions = int(item.findtext("divisions") or divisions)
                if (beats := item.findtext("time/beats")) is not None:
                    full = 16 * int(beats) / int(item.findtext("time/beat-type") or 4)
            length = 4 * float(item.findtext("duration") or 0) / divisions
            if item.tag in ("forward", "note") and item.find("chord") is None:
                if item.tag == "note":
                    notes.append((now, length, _pitch(item)))
                now += length
            elif item.tag == "backup":
                now -= length
            end = max(end, now)
        bars.append((notes, end, full))
    return bars


def _pitch(note: ElementTree.Element) -> int:
    pitch = note.find("pitch")
    if pitch is None:
        return REST
    step = _STEPS[pitch.findtext("step") or "C"] + round(float(pitch.findtext("alter") or 0))
    return 12 * (int(pitch.findtext("octave") or 4) + 1) + step


def _voice(part: ElementTree.Element) -> Ids:
    """Return what sounds at each sixteenth; of several voices on one staff, the first."""
    sounding: list[int] = []
    start = 0.0
    for notes, end, _ in _bars(part):
        line = np.full(round(start + end) - len(sounding), REST)
        offset = start - len(sounding)
        for at, length, pitch in reversed(notes):  # the first in the file is written last
            line[int(np.ceil(at + offset)) : int(np.ceil(at + length + offset))] = pitch
        sounding += line.tolist()
        start += end
    return np.array(sounding, np.int64)


def _places(part: ElementTree.Element) -> Ids:
    places: list[int] = []
    before = 0.0
    for i, (_, end, full) in enumerate(_bars(part)):
        if i == 0 or before >= full:  # an upbeat, or a new bar
            before = full - end if i == 0 else 0.0
        places += [(round(before) + k) % round(full) for k in range(round(end))]
        before += end
    return np.array(places, np.int64)


@cache
def load_chorales() -> tuple[Chorale, ...]:
    """Read all chorales for soprano, alto, tenor and bass; takes some seconds at the first call.

    The repeats of a score are not played twice. To say "the same chord again" is right for 63 % of
    the steps, and "the same note again" for 77 % of the notes.

    Returns
    -------
    chorales
        In the order of their names; pieces that equal an earlier one chord by chord are left out.

    Raises
    ------
    FileNotFoundError
        As in :func:`corpus_folder`.
    """
    found: dict[bytes, Chorale] = {}
    for path in sorted(corpus_folder().glob("bwv*.mxl"), key=_number):
        if (chorale := read_chorale(path)) is not None:
            found.setdefault(chorale.in_c().tobytes(), chorale)
    return tuple(found.values())


def _number(path: Path) -> tuple[list[int], str]:
    return [int(part) for part in re.findall(r"\d+", path.name)], path.name


def tunes(chorales: Sequence[Chorale], alike: float = 0.5) -> Ids:
    """Return a number for each piece, the same for pieces whose sopranos sing one tune: ``(N,)``.

    Bach set the same hymns again and again. A tune here is the soprano's series of intervals, so
    its key does not count, nor its rhythm. Two pieces are alike if of all the runs of six
    intervals in the shorter tune this share is in the other one too; pieces that are linked by
    others have one number.

    Raises
    ------
    ValueError
        If ``alike`` is not above 0 and at most 1, or there is no piece.
    """
    check_at_least("len(chorales)", len(chorales), 1)
    if not 0 < alike <= 1:
        raise ValueError(f"alike: expected a share above 0 and at most 1, got {alike}")
    runs = []
    for chorale in chorales:
        soprano = chorale.chords[:, 0]
        soprano = soprano[soprano != REST]
        steps = np.diff(soprano)
        steps = steps[steps != 0].tolist()
        runs.append({tuple(steps[i : i + 6]) for i in range(len(steps) - 5)})
    group = list(range(len(runs)))
    for i, j in combinations(range(len(runs)), 2):
        fewer = min(len(runs[i]), len(runs[j]))
        if fewer and len(runs[i] & runs[j]) >= alike * fewer:
            old, new = group[j], group[i]
            group = [new if g == old else g for g in group]
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def changes(chords: ArrayLike) -> Flags:
    """Return at which steps any voice differs from the step before: ``(T - 1,)``.

    Raises ValueError if the chords are not ``(T, 4)``.
    """
    chords = _check(chords)
    return np.asarray((chords[1:] != chords[:-1]).any(axis=1))


def crossed(chords: ArrayLike) -> Flags:
    """Return where a voice is above the one that should lie above it: ``(T, 3)``.

    The columns are alto above soprano, tenor above alto, bass above tenor. Rests cross nothing.
    Raises ValueError if the chords are not ``(T, 4)``.
    """
    chords = _check(chords)
    upper, lower = chords[:, :-1], chords[:, 1:]
    return np.asarray((upper != REST) & (lower != REST) & (lower > upper))


def parallels(chords: ArrayLike, interval: str) -> Flags:
    """Return where two voices move in parallel fifths or octaves, which the style forbids.

    Both voices move in the same direction, and their interval is a perfect fifth (or a twelfth)
    before and after; or it is an octave (or two) before and after, or a unison before and after.

    Parameters
    ----------
    chords
        MIDI numbers ``(T, 4)``, 0 for a rest.
    interval
        ``"fifth"`` or ``"octave"``; unisons count as octaves.

    Returns
    -------
    found
        For each step after the first, and for each of :data:`PAIRS`: ``(T - 1, 6)``.

    Raises
    ------
    ValueError
        If the chords are not ``(T, 4)``, or the interval is another one.

    Examples
    --------
    >>> parallels([[72, 67, 64, 48], [74, 69, 65, 50]], "octave").nonzero()[1].tolist()
    [2]
    """
    check_choice("interval", interval, ("fifth", "octave"))
    chords = _check(chords)
    upper, lower = (chords[:, [pair[i] for pair in PAIRS]] for i in (0, 1))
    up, low = np.diff(upper, axis=0), np.diff(lower, axis=0)
    apart = np.abs(upper - lower)
    kind = apart % 12 == (7 if interval == "fifth" else 0)
    unison = apart == 0
    sound = (upper != REST) & (lower != REST)
    kept = kind[1:] & kind[:-1] & (unison[1:] == unison[:-1]) & sound[1:] & sound[:-1]
    return np.asarray(kept & (up * low > 0))


def played(chords: ArrayLike) -> list[Note]:
    """Return the notes of chords on a grid of sixteenths, for :mod:`rnncourse.data.music`.

    Sixteenths of one pitch in one voice become one note. Raises ValueError if the chords are not
    ``(T, 4)``.
    """
    notes = []
    for line in _check(chords).T:
        cuts = np.flatnonzero(np.diff(line)) + 1
        starts, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(line)]
        notes += [
            Note(int(line[start]), start / 4, (end - start) / 4)
            for start, end in zip(starts, ends, strict=True)
            if line[start] != REST
        ]
    return notes


def _check(chords: ArrayLike) -> Ids:
    chords = np.asarray(chords)
    check_shape("chords", chords.shape, ("T", 4))
    return chords.astype(np.int64)
