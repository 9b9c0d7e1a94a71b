"""Public data sets for full runs: the one place in the course that uses the network.

Nothing here runs unless it is called. The chapters' defaults need no download.
"""

import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tqdm import tqdm

from rnncourse.checks import check_choice


class Remote(NamedTuple):
    """A file somewhere else, and how to tell that it is the right one."""

    url: str
    sha256: str  # of the file, 64 hexadecimal digits


_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_MULTI30K = "https://raw.githubusercontent.com/neychev/small_DL_repo/master/datasets/Multi30k/"

DATA_SETS = {
    "mnist": (
        Remote(
            _MNIST + "train-images-idx3-ubyte.gz",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        Remote(
            _MNIST + "train-labels-idx1-ubyte.gz",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        Remote(
            _MNIST + "t10k-images-idx3-ubyte.gz",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        Remote(
            _MNIST + "t10k-labels-idx1-ubyte.gz",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "imdb": (
        Remote(
            "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
        ),
    ),
    "multi30k": (
        Remote(
            _MULTI30K + "training.tar.gz",
            "20140d013d05dd9a72dfde46478663ba05737ce983f478f960c1123c6671be5e",
        ),
        Remote(
            _MULTI30K + "validation.tar.gz",
            "a7aa20e9ebd5ba5adce7909498b94410996040857154dab029851af3a866da8c",
        ),
        Remote(
            _MULTI30K + "mmt16_task1_test.tar.gz",
            "6d1ca1dba99e2c5dd54cae1226ff11c2551e6ce63527ebb072a1f70f72a5cd36",
        ),
    ),
    "speech_commands": (
        Remote(
            "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        ),
    ),
}
"""Digits (12 MB), film reviews (84 MB), captions in two languages (1 MB), spoken words (2.4 GB)."""


def cache_directory() -> Path:
    """Return where downloads go: ``$XDG_CACHE_HOME/rnncourse``, else ``~/.cache/rnncourse``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rnncourse"


# Refuses paths that lead outside. Before Python 3.11.4 there is the checksum alone.
_SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def download(name: str, directory: str | os.PathLike[str] | None = None) -> Path:
    """Fetch a public data set, unless it is already there, and unpack its archives.

    Parameters
    ----------
    name
        One of :data:`DATA_SETS`.
    directory
        Where data sets are stored, each in a folder of its own; None is :func:`cache_directory`.

    Returns
    -------
    folder
        The folder of this data set, for the readers of :mod:`rnncourse.data.files`. It appears
        only when it is complete.

    Raises
    ------
    ConnectionError, ValueError
        As in :func:`fetch`; also if the name is unknown.
    """
    check_choice("name", name, DATA_SETS)
    base = cache_directory() if directory is None else Path(directory)
    folder = base / name
    if folder.exists():
        return folder
    paths = [fetch(*remote, base) for remote in DATA_SETS[name]]
    with tempfile.TemporaryDirectory(dir=base) as temporary:
        unpacked = Path(temporary) / name
        unpacked.mkdir()
        for path in paths:
            if path.name.endswith(".tar.gz"):
                with tarfile.open(path) as archive:
                    archive.extractall(unpacked, **_SAFELY)
            else:
                shutil.copy(path, unpacked)
        unpacked.rename(folder)
    for path in paths:
        path.unlink()
    return folder


def fetch(
    url: str,
    sha256: str,
    directory: str | os.PathLike[str] | None = None,
    timeout: float = 30.0,
) -> Path:
    """Fetch one file, unless it is already there with the right checksum.

    The file appears under its name only when it is complete and its checksum is right. A file with
    that name and another checksum is replaced.

    Parameters
    ----------
    url
        Where it is, ``http`` or ``https``.
    sha256
        The checksum that it must have, in hexadecimal digits.
    directory
        Where to put it; None is :func:`cache_directory`.
    timeout
        How long to wait for the next bytes, in seconds.

    Returns
    -------
    path
        Where the file is.

    Raises
    ------
    ConnectionError
        If the file cannot be fetched: the message says where to put a copy.
    ValueError
        If the address is of another kind or names no file, or what came has another checksum.
    """
    if not url.startswith(("http://", "https://")) or url.endswith("/"):
        raise ValueError(f"url: expected http:// or https:// and a file's name, got {url!r}")
    path = (cache_directory() if directory is None else Path(directory)) / url.rsplit("/", 1)[-1]
    if path.is_file() and _checksum(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        part = Path(temporary) / path.name
        with part.open("wb") as file:
            _copy(url, file, timeout, path)
        if (got := _checksum(part)) != sha256:
            raise ValueError(f"{url}: expected a file with SHA-256 {sha256}, got {got}")
        part.replace(path)
    return path


def _copy(url: str, file: BinaryIO, timeout: float, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            total = int(response.headers.get("Content-Length") or 0) or None
            # disable=None: a bar only on a terminal
            with tqdm.wrapattr(response, "read", total=total, desc=path.name, disable=None) as body:
                shutil.copyfileobj(body, file)
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(
            f"{url}: expected to fetch this file, got {error}. Without a network, fetch it "
            f"elsewhere and put it at {path}"
        ) from error


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
