"""Readers of public data sets' files: images, reviews, text pairs, sound.

They read from a folder such as :func:`rnncourse.data.download.download` returns. Files come in
the order of their names.
"""

import gzip
import math
import os
import wave
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least
from rnncourse.data.digits import Digits

AnyPath = str | os.PathLike[str]

IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""The number types of the IDX format, by the code in the file's third byte."""


def read_idx(path: AnyPath) -> NDArray[Any]:
    """Read an array from a file in the IDX format of MNIST, compressed by gzip or not.

    Parameters
    ----------
    path
        The file. A name that ends in ``.gz`` is decompressed.

    Returns
    -------
    array
        With the shape and number type that the file states.

    Raises
    ------
    ValueError
        If the file is not in the format, or is cut short.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read()
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path}: expected a whole gzip file, got {error!r}") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_TYPES:
        raise ValueError(f"{path}: expected a file in the IDX format, got first bytes {data[:4]!r}")
    n_axes = data[3]
    start = 4 + 4 * n_axes
    shape = tuple(np.frombuffer(data[4:start], ">u4").tolist()) if len(data) >= start else ()
    dtype = np.dtype(IDX_TYPES[data[2]])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(shape) != n_axes or len(data) != expected:
        raise ValueError(f"{path}: expected {expected} bytes for shape {shape}, got {len(data)}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def mnist_rows(directory: AnyPath) -> tuple[Digits, Digits]:
    """Read MNIST as sequences of 28 rows of 28 pixels.

    Guessing the most common digit is right in about 11 % of cases.
    :func:`rnncourse.data.digits.digit_rows` is the small stand-in that needs no download.

    Parameters
    ----------
    directory
        Folder with the four files ``train-images-idx3-ubyte`` and so on, with or without ``.gz``.

    Returns
    -------
    train, test
        Pairs ``(x, y)``: float32 ``(T=28, N, I=28)`` in [0, 1], and int64 ``(N,)``.

    Raises
    ------
    FileNotFoundError
        If one of the files is missing.
    ValueError
        If a file is not in the format or is cut short, or there is not one label per image.
    """
    return _mnist_part(Path(directory), "train"), _mnist_part(Path(directory), "t10k")


def _mnist_part(directory: Path, part: str) -> Digits:
    arrays = []
    for kind in ("images-idx3", "labels-idx1"):
        path = directory / f"{part}-{kind}-ubyte"
        arrays.append(read_idx(path if path.exists() else path.with_name(path.name + ".gz")))
    images, labels = arrays
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"directory: expected images (N, T, I) and labels (N,) in the files of {part!r}, "
            f"got shapes {images.shape} and {labels.shape}"
        )
    x = np.ascontiguousarray(images.transpose(1, 0, 2) / np.float32(255), np.float32)
    return Digits(x, labels.astype(np.int64))


class Reviews(NamedTuple):
    """Texts and their classes."""

    texts: list[str]
    labels: NDArray[np.int64]  # (N,): the number of the class


def read_reviews(directory: AnyPath, classes: Sequence[str] = ("neg", "pos")) -> Reviews:
    """Read texts from one folder per class, as in ``aclImdb/train`` of the film reviews.

    Guessing is right for half of those reviews.

    Parameters
    ----------
    directory
        Where the folders of the classes are, with ``.txt`` files in UTF-8.
    classes
        The folders' names; the first is class 0.

    Returns
    -------
    texts, labels
        A list of N strings, and int64 ``(N,)``.

    Raises
    ------
    FileNotFoundError
        If a class has no folder or no text.
    """
    texts, labels = [], []
    for label, name in enumerate(classes):
        paths = sorted((Path(directory) / name).glob("*.txt"))
        if not paths:
            raise FileNotFoundError(f"{Path(directory) / name}: expected .txt files, got none")
        texts += [path.read_text(encoding="utf-8") for path in paths]
        labels += [label] * len(paths)
    return Reviews(texts, np.array(labels, np.int64))


def read_text_pairs(source: AnyPath, target: AnyPath) -> list[tuple[str, str]]:
    """Read sentences and their translations from two files, line by line.

    Parameters
    ----------
    source, target
        Files in UTF-8 whose lines belong together, such as ``train.en`` and ``train.de``.

    Returns
    -------
    pairs
        A list of pairs of strings.

    Raises
    ------
    ValueError
        If the files do not have the same number of lines.
    """
    sides = []
    for path in (source, target):
        # Neither splitlines nor read_text: both take other characters too, such as a lone carriage
        # return, for the end of a line.
        text = Path(path).read_bytes().decode("utf-8").replace("\r\n", "\n")
        sides.append(text.removesuffix("\n").split("\n"))
    if len(sides[0]) != len(sides[1]):
        raise ValueError(
            f"target: expected {len(sides[0])} lines as in source, got {len(sides[1])}"
        )
    return list(zip(*sides, strict=True))


class Recording(NamedTuple):
    """A sound and its label."""

    samples: NDArray[np.float32]  # (T,), from -1 to 1
    rate: int  # samples per second
    label: str


def read_recordings(directory: AnyPath) -> list[Recording]:
    """Read all ``.wav`` files below a folder; the name of a file's own folder is its label.

    Parameters
    ----------
    directory
        For example the folder of the spoken words, which has a folder for each word.

    Returns
    -------
    recordings
        A list, in the order of the paths.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file is not uncompressed sound, or is cut short.
    """
    paths = sorted(Path(directory).rglob("*.wav"))
    if not paths:
        raise FileNotFoundError(f"{directory}: expected .wav files, got none")
    return [Recording(*read_wav(path), path.parent.name) for path in paths]


def read_wav(path: AnyPath) -> tuple[NDArray[np.float32], int]:
    """Read a ``.wav`` file of 8, 16, 24 or 32 bits; several channels become their mean.

    Parameters
    ----------
    path
        The file, uncompressed (PCM).

    Returns
    -------
    samples, rate
        Float32 ``(T,)`` from -1 to 1, and samples per second.

    Raises
    ------
    ValueError
        If the file is not uncompressed sound, or is cut short.
    """
    try:
        with wave.open(os.fspath(path), "rb") as sound:
            width, channels, rate = sound.getsampwidth(), sound.getnchannels(), sound.getframerate()
            frames = sound.getnframes()
            data = sound.readframes(frames)
    except (wave.Error, EOFError, RuntimeError) as error:
        raise ValueError(f"{path}: expected uncompressed .wav sound, got {error!r}") from error
    if len(data) != frames * width * channels:
        raise ValueError(
            f"{path}: expected {frames * width * channels} bytes of sound, got {len(data)}"
        )
    raw = np.frombuffer(data, np.uint8).reshape(-1, width)
    if width == 1:  # the one width without a sign
        values = raw[:, 0] / 128 - 1
    else:
        full = np.zeros((len(raw), 4), np.uint8)  # the low bytes that are missing are 0
        full[:, 4 - width :] = raw
        values = full.view("<i4")[:, 0] / 2**31
    return values.reshape(-1, channels).mean(axis=1).astype(np.float32), rate


class SpokenWord(NamedTuple):
    """A recorded word."""

    samples: NDArray[np.float32]  # (N,), from -1 to 1
    label: str
    voice: str  # who speaks


def read_spoken_words(
    directory: AnyPath, labels: Sequence[str], rate: int = 8000
) -> list[SpokenWord]:
    """Read the recordings of some words: one folder for each word, the voice in the file's name.

    The spoken words of :mod:`rnncourse.data.download` come like this, and so does a folder of your
    own: ``seven/anna_1.wav`` is the word *seven*, said by *anna*.

    Parameters
    ----------
    directory
        The folder that holds the folders of the words.
    labels
        The words that are wanted, such as ``["zero", "one"]``.
    rate
        Samples per second of the result; recordings with other rates are converted.

    Returns
    -------
    words
        A list, in the order of the labels and of the files' names. What a file's name has before
        its first underscore is the voice.

    Raises
    ------
    FileNotFoundError
        If there is no ``.wav`` file for a word.
    TypeError, ValueError
        If ``rate`` is not a whole number of at least 1, or a file is not uncompressed sound or is
        cut short.
    """
    check_at_least("rate", rate, 1)
    found = []
    for label in labels:
        paths = sorted((Path(directory) / label).glob("*.wav"))
        if not paths:
            raise FileNotFoundError(f"{Path(directory) / label}: expected .wav files, got none")
        for path in paths:
            samples, its_rate = read_wav(path)
            voice = path.stem.partition("_")[0]
            found.append(SpokenWord(resample(samples, its_rate, rate), label, voice))
    return found


def resample(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    """Change the samples per second of a sound; frequencies that the new rate cannot hold go.

    Parameters
    ----------
    samples
        ``(N,)``.
    rate, new_rate
        Samples per second, before and after.

    Returns
    -------
    samples
        ``(N * new_rate / rate,)``, rounded.
    """
    n = round(len(samples) * new_rate / rate)
    if rate == new_rate or n == 0:
        return samples[:n]
    spectrum = np.fft.rfft(samples)[: n // 2 + 1]
    spectrum = np.pad(spectrum, (0, n // 2 + 1 - len(spectrum)))
    return np.asarray(np.fft.irfft(spectrum, n) * n / len(samples), np.float32)
