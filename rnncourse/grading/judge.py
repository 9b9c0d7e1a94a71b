"""The judge: runs tests in a process that never runs a line of a submission.

A test's names are looked up among those of the set's own locked cells, and then asked for at the
`door`, behind which the submission runs in a kernel of its own. What comes back is plain data.

``python -m rnncourse.grading.judge SOCKET`` opens the door there, says so with a line, and reads
one request a line (JSON: ``locked``, the sources of the locked cells so far; ``test``, the source
of the test; ``seconds``). It answers each with a line: null when the test passed, else the error's
name, text and lines.
"""

import builtins
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from .door import Door, Raised


class Names(dict[str, object]):
    """The names of a test; what it does not know itself, the submission is asked for."""

    def __init__(self, known: dict[str, object], door: Door) -> None:
        super().__init__(known)
        self._door = door

    def __missing__(self, name: str) -> object:
        if hasattr(builtins, name):
            raise KeyError(name)  # Python looks there next
        self[name] = self._door.get(name)
        return self[name]


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"the test took longer than {seconds:.0f} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run(test: str, locked: list[str], door: Door) -> list[str] | None:
    """Run a test; return None when it passes, else the error's name, text and lines."""
    names: dict[str, object] = {}
    try:
        for source in locked:
            names = Names(names, door)
            with contextlib.suppress(Exception):  # a wrong name, say: the test finds that itself
                exec(compile(source, "<given>", "exec"), names)
        exec(compile(test, "<test>", "exec"), Names(names, door))
    except Exception as error:
        return failure(error, door)
    return None


def failure(error: Exception, door: Door) -> list[str]:
    """Return an error's name, text and lines; the text ends with the case that it was about."""
    case = f"\nThe last call was {door.last_call}" if door.last_call else ""
    if isinstance(error, Raised):
        return [error.name, error.text + case, error.lines]
    return [type(error).__name__, str(error) + case, ""]


def main(path: str) -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what tests print is nobody's business
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            request: dict[str, Any] = json.loads(line)
            door: Door | None
            found: list[str] | None
            with contextlib.ExitStack() as opened:
                try:
                    with _within(request["seconds"]):
                        connection = opened.enter_context(listening.accept()[0])
                        door = Door(connection)
                        found = run(request["test"], request["locked"], door)
                except Exception as error:
                    door, found = None, [type(error).__name__, str(error), ""]
                # The answer stands before the kernel hears that this is all: nobody waits for it.
                print(json.dumps(found), file=answers, flush=True)
                if door is not None:
                    connection.settimeout(1)
                    with contextlib.suppress(OSError):  # it need not hear that this is all
                        door.end()


if __name__ == "__main__":
    main(sys.argv[1])
