"""Grade a notebook without nbgrader: what costs seconds there takes a fraction of one here.

Each notebook runs in a process of its own, forked from one that has imported PyTorch already. Its
cells go through IPython's shell, as in a kernel, and its tests to the judge, through the door.
"""

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from unittest import mock

from IPython.core.interactiveshell import InteractiveShell
from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_locked, is_solution
from traitlets.config import Config

from rnncourse.grading import judge
from rnncourse.grading.door import Door

SECONDS = 30  # for one notebook; the graders give this much to one cell
BEFORE = ["numpy", "torch", "IPython.core.interactiveshell", "matplotlib.pyplot"]
BEFORE += ["rnncourse.torch", "rnncourse.reference", "rnncourse.grading", "nbgrader.utils"]
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "TQDM_DISABLE": "1",
    "NBGRADER_EXECUTION": "autograde",
}

NO_HISTORY = Config({"HistoryManager": {"enabled": False}})


def failed(notebooks: Mapping[str, NotebookNode]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each notebook's name, and the messages of the test cells in it that fail."""
    with (
        mock.patch.dict(os.environ, SETTINGS),  # the server starts with these
        ProcessPoolExecutor(1, _context(), max_tasks_per_child=1) as pool,
    ):
        runs = {name: pool.submit(_failed, name, nb) for name, nb in notebooks.items()}
        for name, run in runs.items():
            yield name, run.result()


def _failed(student: str, notebook: NotebookNode) -> dict[str, str]:
    os.environ["RNNCOURSE_STUDENT"] = student
    signal.alarm(SECONDS)  # ends this process, and with it the test
    lost: dict[str, str] = {}
    locked: list[str] = []
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        os.chdir(folder)
        sys.stdout = sys.stderr = nowhere
        shell = InteractiveShell.instance(config=NO_HISTORY)
        for cell in notebook.cells:
            if is_grade(cell) and not is_solution(cell):
                if (found := _judged(cell.source, locked, shell.user_ns)) is not None:
                    lost[cell.metadata.nbgrader.grade_id] = ": ".join(found[:2])
            elif cell.cell_type == "code":
                shell.run_cell(cell.source)
                if is_locked(cell):
                    locked.append(cell.source)
        os.chdir("/")
    return lost


def _judged(test: str, locked: list[str], names: dict[str, object]) -> list[str] | None:
    """Return what the judge says of names that stay in this process, behind a door."""
    ends = socket.socketpair()
    inside = threading.Thread(target=Door(ends[1], names).serve, daemon=True)
    inside.start()
    door = Door(ends[0])
    found = judge.run(test, locked, door)
    door.end()
    inside.join()
    for end in ends:
        end.close()
    return found


@cache
def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(BEFORE)
    return context
