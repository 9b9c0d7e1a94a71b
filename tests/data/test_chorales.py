"""The chorales are those that music21 reads, and the rules are those that music21 checks."""

import zipfile
from itertools import pairwise

import numpy as np
import pytest
from music21 import converter, interval, note, voiceLeading

from rnncourse.data import chorales
from rnncourse.data.chorales import (
    PAIRS,
    Chorale,
    changes,
    corpus_folder,
    crossed,
    load_chorales,
    parallels,
    played,
    read_chorale,
    tunes,
)


@pytest.fixture(scope="module")
def all_pieces():
    return load_chorales()


def test_the_corpus_is_read_whole(all_pieces):
    assert len(all_pieces) > 340
    assert len({piece.name for piece in all_pieces}) == len(all_pieces)
    for piece in all_pieces:
        assert piece.chords.shape == (len(piece.place), 4)
        sounding = piece.chords[piece.chords > 0]
        assert sounding.min() >= 36
        assert sounding.max() <= 81
        assert piece.place.min() >= 0
        assert piece.place.max() < 24


@pytest.mark.parametrize("name", ["bwv269", "bwv282", "bwv46.6", "bwv227.7"])
def test_chords_are_those_of_music21(name):
    path = corpus_folder() / f"{name}.mxl"
    ours = read_chorale(path)
    theirs = converter.parse(path)
    assert ours.fifths == theirs.parts[0].flatten().keySignature.sharps
    for voice, part in zip(ours.chords.T, theirs.parts, strict=True):
        expected = np.zeros(len(voice), int)
        for sound in part.flatten().notes:
            start, end = 4 * sound.offset, 4 * (sound.offset + sound.quarterLength)
            expected[int(np.ceil(start)) : int(np.ceil(end))] = sound.pitch.midi
        assert np.array_equal(voice, expected)
    bars = theirs.parts[0].getElementsByClass("Measure")
    first = np.array([round(4 * bar.offset) for bar in bars[1:6]])
    assert (ours.place[first] == 0).all()
    assert ours.place[0] == round(4 * bars[0].paddingLeft)


def test_in_c_moves_by_the_key_signature():
    piece = Chorale("x", np.array([[67, 62, 59, 0]]), np.array([0]), 1)  # G major
    assert piece.in_c().tolist() == [[72, 67, 64, 0]]
    for fifths in range(-6, 7):
        tonic = 60 + (7 * fifths) % 12
        moved = Chorale("x", np.full((1, 4), tonic), np.array([0]), fifths).in_c()
        assert (moved % 12 == 0).all()
        assert abs(moved[0, 0] - tonic) <= 6


def test_tunes_are_found_in_any_key_and_rhythm(rng):
    melody = 60 + rng.integers(0, 12, 40)
    other = 60 + rng.integers(0, 12, 40)

    def piece(soprano):
        return Chorale("x", np.repeat(soprano[:, None], 4, 1), np.arange(len(soprano)), 0)

    found = tunes(
        [piece(melody), piece(other), piece(np.repeat(melody + 3, 2)), piece(melody[:30])]
    )
    assert found.tolist() == [0, 1, 0, 0]
    with pytest.raises(ValueError, match="alike: expected a share"):
        tunes([piece(melody)], 0)
    with pytest.raises(ValueError, match="len"):
        tunes([])


def test_crossings_changes_and_notes():
    chords = np.array([[72, 67, 64, 48], [72, 67, 64, 48], [64, 67, 0, 70]])
    assert changes(chords).tolist() == [False, True]
    assert crossed(chords).tolist() == [[False] * 3, [False] * 3, [True, False, False]]
    found = played(chords)
    assert [tuple(n) for n in found[:2]] == [(72, 0.0, 0.5), (64, 0.5, 0.25)]
    assert len(found) == 6
    with pytest.raises(ValueError, match="chords: expected shape"):
        changes([[1, 2, 3]])


def _music21_finds(upper, lower, kind):
    """Whether music21 calls the motion of two voices parallel, in the same direction."""
    names = {"fifth": ["P5"], "octave": ["P8", "P1"]}[kind]
    notes = [note.Note(midi=int(m)) for m in (*upper, *lower)]
    moves = voiceLeading.VoiceLeadingQuartet(*notes)
    return any(
        moves.parallelMotion(interval.Interval(name), allowOctaveDisplacement=True)
        for name in names
    )


def _cents_apart_spelled_as_fifth(a, b):
    """music21 spells black keys as C#, Eb, F#, G#, Bb: G# to Eb is no fifth in its spelling."""
    return {a % 12, b % 12} != {8, 3}


@pytest.mark.parametrize("kind", ["fifth", "octave"])
def test_parallels_are_those_of_music21(kind, rng, all_pieces):
    moves = [rng.integers(60, 72, (2, 2)) - [[0, 12 * rng.integers(3)]] for _ in range(150)]
    for size in (7, 19, 12, 0):  # intervals that count, moved in all ways
        for _ in range(15):
            start, by = 60 + rng.integers(12), rng.integers(-5, 6)
            moves.append(np.array([[start + size, start], [start + size + by, start + by]]))
    for piece in all_pieces[:40]:
        for a, b in pairwise(piece.chords[:64]):
            for upper, lower in PAIRS:
                pair = np.array([a[[upper, lower]], b[[upper, lower]]])
                if (pair > 0).all() and (np.diff(pair, axis=0) != 0).all():
                    moves.append(pair)
    found = 0
    for move in moves[:1200]:
        if kind == "fifth" and not all(_cents_apart_spelled_as_fifth(*row) for row in move):
            continue
        chords = np.zeros((2, 4), int)
        chords[:, [0, 3]] = move
        ours = parallels(chords, kind)[0, PAIRS.index((0, 3))]
        assert ours == _music21_finds(move[:, 0], move[:, 1], kind), move
        found += ours
    assert found > 20
    with pytest.raises(ValueError, match="interval: expected"):
        parallels(np.zeros((2, 4)), "third")


def test_bach_breaks_the_rules_rarely(all_pieces):
    moves = sum(changes(piece.chords).sum() for piece in all_pieces)
    for kind in ("fifth", "octave"):
        assert sum(parallels(piece.chords, kind).any(1).sum() for piece in all_pieces) < moves / 500


def test_other_files_are_refused_or_left_out(tmp_path, monkeypatch):
    path = tmp_path / "bad.mxl"
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="expected compressed MusicXML"):
        read_chorale(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", '<c><rootfile full-path="a.xml"/></c>')
        archive.writestr("a.xml", "<score-partwise/>")
    assert read_chorale(path) is None
    monkeypatch.setattr(chorales, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="expected this package"):
        corpus_folder()
