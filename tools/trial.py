"""Run a notebook's cells without nbgrader: what costs seconds there takes a fraction of one here.

Each notebook runs in a process of its own, forked from one that has imported PyTorch already. Its
cells go through IPython's shell, as in a kernel, one after the other.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from unittest import mock

from IPython.core.interactiveshell import InteractiveShell
from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_solution
from traitlets.config import Config

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


def failed(notebooks: Mapping[str, NotebookNode]) -> Iterator[tuple[str, set[str]]]:
    """Yield each notebook's name and the test cells in it that fail."""
    with (
        mock.patch.dict(os.environ, SETTINGS),  # the server starts with these
        ProcessPoolExecutor(1, _context(), max_tasks_per_child=1) as pool,
    ):
        runs = {name: pool.submit(_failed, name, nb) for name, nb in notebooks.items()}
        for name, run in runs.items():
            yield name, run.result()


def _failed(student: str, notebook: NotebookNode) -> set[str]:
    os.environ["RNNCOURSE_STUDENT"] = student
    signal.alarm(SECONDS)  # ends this process, and with it the test
    lost = set()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        os.chdir(folder)
        sys.stdout = sys.stderr = nowhere
        shell = InteractiveShell.instance(config=NO_HISTORY)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                ran = shell.run_cell(cell.source)
                if not ran.success and is_grade(cell) and not is_solution(cell):
                    lost.add(cell.metadata.nbgrader.grade_id)
        os.chdir("/")
    return lost


@cache
def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(BEFORE)
    return context
