"""Walls around a submission: what its process sees of the machine, and what it may use of it.

`bubblewrap <https://github.com/containers/bubblewrap>`_ (``bwrap``, Linux) shows it the system's
libraries, Python, the installed packages, this package, and an empty home; no network, no other
process, no file of yours. What the system cannot limit for a whole submission, `Watch` does.
"""

import functools
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

HOME = "/student"
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    *(f"/etc/{name}" for name in ("ld.so.cache", "alternatives", "fonts", "localtime")),
)
_FILES = 1000  # that it may leave on the disk
_ROOM = 2**28  # bytes that the home may hold; a quarter of it elsewhere


def _python() -> Iterator[tuple[str, str]]:
    """Yield the folders of the interpreter, the installed packages, and this package.

    Each with the places where it is to be seen: a folder may be a link.
    """
    for folder in (sys.base_prefix, sys.prefix, os.fspath(Path(__file__).parents[1])):
        real = os.path.realpath(folder)
        yield from ((real, place) for place in dict.fromkeys((real, folder)))


def words(bwrap: str, talk: Path, files: Path) -> list[str]:
    """Return the command that puts the walls up; the command to run behind them follows it.

    Parameters
    ----------
    bwrap
        The program.
    talk
        The folder of the sockets, seen at the same path.
    files
        A folder whose files lie in the home of the submission, to read.
    """
    seen = [word for path in _SYSTEM for word in ("--ro-bind-try", path, path)]
    seen += [word for real, place in _python() for word in ("--ro-bind", real, place)]
    given = [
        word
        for path in sorted(files.iterdir())
        for word in ("--ro-bind", str(path), f"{HOME}/{path.name}")
    ]
    return [
        *(bwrap, "--unshare-all", "--die-with-parent", "--new-session"),
        *("--size", str(_ROOM // 4), "--tmpfs", "/tmp", *seen),
        *("--proc", "/proc", "--dev", "/dev", "--size", str(_ROOM // 4), "--tmpfs", "/dev/shm"),
        *("--size", str(_ROOM), "--tmpfs", HOME, *given, "--bind", str(talk), str(talk)),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HOME),
    ]


@functools.cache
def bubblewrap() -> str | None:
    """Return the path of ``bwrap`` where it is installed and allowed to work."""
    if (path := shutil.which("bwrap")) is None:
        return None
    call = [path, "--ro-bind", "/", "/", "--proc", "/proc", "--unshare-all", "true"]
    return path if subprocess.run(call, capture_output=True).returncode == 0 else None


def limit(memory: int, file_size: int) -> None:
    """Limit this process and each one that it starts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


class Watch(threading.Thread):
    """Ends a submission that, taken as a whole, uses too much.

    Parameters
    ----------
    number
        Its first process.
    folder
        Where it can write on the disk.
    memory, file_size, processes
        What it may use: bytes, bytes, and how many at a time.

    Attributes
    ----------
    found
        Why the submission was ended; empty while all is well.
    """

    def __init__(
        self, number: int, folder: Path, memory: int, file_size: int, processes: int
    ) -> None:
        super().__init__(daemon=True)
        self.found = ""
        self._number, self._folder = number, folder
        self._memory, self._file_size, self._processes = memory, file_size, processes
        self._over = threading.Event()

    def run(self) -> None:
        """Look several times a second."""
        try:
            first = psutil.Process(self._number)
            while not self._over.wait(0.2):
                self.found = self._too_much([first, *first.children(recursive=True)])
                if self.found:
                    break
        except psutil.NoSuchProcess:
            return
        if self.found:
            for process in [first, *first.children(recursive=True)]:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def _too_much(self, processes: list[psutil.Process]) -> str:
        if len(processes) > self._processes:
            return f"it started more than {self._processes} processes"
        used = 0
        for process in processes:
            try:
                used += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        if used > self._memory:
            return f"it used more than {self._memory / 2**30:.0f} GB of memory"
        written = files = 0
        for place, folders, names in os.walk(self._folder):
            files += len(folders) + len(names)
            if files > _FILES:
                return f"it wrote more than {_FILES} files"
            for name in names:
                try:
                    written += os.lstat(os.path.join(place, name)).st_size
                except OSError:
                    continue
        if written > self._file_size:
            return f"it wrote more than {self._file_size / 2**20:.0f} MB"
        return ""
