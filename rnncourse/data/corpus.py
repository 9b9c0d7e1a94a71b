"""A text that may be larger than memory: encoded once into a file, then read where it is needed."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least
from rnncourse.data.text import UNKNOWN, Vocabulary

CHUNK = 1 << 20  # characters that are in memory at once
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Corpus:
    """An encoded text.

    Attributes
    ----------
    train, valid
        Numbers of the characters, ``(N,)``, mapped from the disk: only what is indexed is read.
    vocabulary
        The characters of the training part.
    """

    train: NDArray[np.uint32]
    valid: NDArray[np.uint32]
    vocabulary: Vocabulary


def _chunks(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            try:
                while chunk := file.read(CHUNK):
                    yield chunk
            except UnicodeDecodeError as error:
                raise ValueError(f"paths: expected text in UTF-8, got {path}: {error}") from error


def encode_files(paths: Sequence[AnyPath], folder: AnyPath, held_out: float = 0.1) -> Corpus:
    """Encode text files, one after the other, into a folder; memory holds a small piece at a time.

    The files are read twice: once to count and to collect the characters of the training part,
    once to write their numbers.

    Parameters
    ----------
    paths
        Text files in UTF-8.
    folder
        Where ``ids.npy`` and ``corpus.json`` are written; made if it is not there.
    held_out
        The share at the end that is kept for validation, above 0 and below 1. A character that
        only this part contains is encoded as unknown.

    Returns
    -------
    corpus
        As :func:`open_corpus` returns it.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If there is no path, a file is not UTF-8, the text has fewer than two characters, or
        ``held_out`` is outside its range.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out: expected a number between 0 and 1, got {held_out}")
    files = [Path(path) for path in paths]
    if not files:
        raise ValueError("paths: expected at least one text file, got none")
    first: dict[str, int] = {}  # where each character comes for the first time
    length = 0
    for chunk in _chunks(files):
        for char in set(chunk) - first.keys():
            first[char] = length + chunk.index(char)
        length += len(chunk)
    cut = length - max(1, round(held_out * length))
    if cut < 1:
        raise ValueError(f"paths: expected at least two characters of text, got {length}")
    vocabulary = Vocabulary(sorted(char for char, place in first.items() if place < cut))

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kind = np.min_scalar_type(len(vocabulary) - 1)
    new = folder / "ids.npy.new"
    ids = np.lib.format.open_memmap(new, mode="w+", dtype=kind, shape=(length,))
    done = 0
    for chunk in _chunks(files):
        ids[done : done + len(chunk)] = vocabulary.encode(chunk)
        done += len(chunk)
    ids.flush()
    del ids
    os.replace(new, folder / "ids.npy")
    facts = {"cut": cut, "tokens": vocabulary.tokens[1:]}
    (folder / "corpus.json").write_text(json.dumps(facts), encoding="utf-8")
    return open_corpus(folder)


def open_corpus(folder: AnyPath) -> Corpus:
    """Open what :func:`encode_files` has written.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder has no corpus, or the files in it do not belong together.
    """
    folder = Path(folder)
    facts = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    ids = np.load(folder / "ids.npy", mmap_mode="r")
    if ids.ndim != 1 or not 0 < facts["cut"] < len(ids):
        raise ValueError(
            f"folder: expected a corpus cut at {facts['cut']}, got {ids.shape} numbers in {folder}"
        )
    vocabulary = Vocabulary(facts["tokens"], (UNKNOWN,))
    return Corpus(ids[: facts["cut"]], ids[facts["cut"] :], vocabulary)


class Streams:
    """Batches of a long text for truncated backpropagation, for one of several processes.

    The text becomes ``batch_size`` parallel streams, as in
    :func:`rnncourse.data.text.stream_batches`, and batch n holds the next ``seq_len`` symbols of
    each. A process gets its share of the streams: all shares together are the whole batch.

    Parameters
    ----------
    ids
        Whole numbers ``(N,)``, in memory or mapped from the disk.
    batch_size, seq_len
        B, over all processes, and T.
    rank, world
        Number of this process, from 0, and of all of them; ``world`` divides ``batch_size``.

    Attributes
    ----------
    n_batches
        Batches in one pass through the text.
    mine
        Which of the B streams this process reads.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1, ``world`` does not divide ``batch_size``,
        ``rank`` is not below ``world``, or the text is too short for a single batch.
    """

    def __init__(
        self,
        ids: NDArray[np.integer],
        batch_size: int,
        seq_len: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        for name, size in [("batch_size", batch_size), ("seq_len", seq_len), ("world", world)]:
            check_at_least(name, size, 1)
        check_at_least("rank", rank, 0)
        if rank >= world:
            raise ValueError(f"rank: expected a number below world = {world}, got {rank}")
        if batch_size % world:
            raise ValueError(
                f"batch_size: expected a multiple of the {world} processes, got {batch_size}"
            )
        self.ids, self.seq_len = ids, seq_len
        self.n_batches = (len(ids) - 1) // (batch_size * seq_len)
        if self.n_batches < 1:
            raise ValueError(
                f"ids: expected at least batch_size * seq_len + 1 = {batch_size * seq_len + 1} "
                f"symbols, got {len(ids)}"
            )
        each = batch_size // world
        self.mine = range(rank * each, (rank + 1) * each)

    def __getitem__(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return batch n of a pass, ``x`` and ``y``, each int64 ``(T, B / world)``."""
        if not 0 <= n < self.n_batches:
            raise IndexError(f"n: expected a number from 0 to {self.n_batches - 1}, got {n}")
        starts = ((b * self.n_batches + n) * self.seq_len for b in self.mine)
        columns = [self.ids[start : start + self.seq_len + 1] for start in starts]
        windows = np.stack(columns, axis=1).astype(np.int64)  # (T + 1, B / world)
        return windows[:-1], windows[1:]
