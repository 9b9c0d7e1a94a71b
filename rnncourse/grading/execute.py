"""Running a submission: nbgrader's `Execute` with a kernel that can do no harm.

The kernel runs in an empty folder, with limits on time, memory, output and the size of files.
Where bubblewrap (``bwrap``) is installed and the system lets it work, the kernel also has no
network, sees no other process, can write nowhere else, and does not see the course's folder.
nbgrader itself, with the gradebook, stays outside.
"""

import functools
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbgrader.preprocessors
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbclient.util import ensure_async, run_sync
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade, is_solution
from traitlets import Enum, Integer, List, Unicode

REPORT = "For the report:"  # begins a line of nbgrader's log that `course.grade` reads
_KEPT = ("LANG", "LC_ALL", "PATH", "PYTHONPATH", "JUPYTER_PATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_WATCHED = (
    *("builtins", "math", "numpy", "numpy.linalg", "numpy.random", "numpy.testing"),
    *("ast", "codeop", "IPython.core.compilerop", "IPython.core.inputtransformer2"),
)
_WALLS = (
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
    *("--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent"),
)
_TORCH = ("torch", "torch.nn.functional", "torch.testing", "torch.linalg")


@functools.cache
def bubblewrap() -> str | None:
    """Return the path of ``bwrap`` where it is installed and allowed to work."""
    if (path := shutil.which("bwrap")) is None:
        return None
    call = [path, *_WALLS, "true"]
    return path if subprocess.run(call, capture_output=True).returncode == 0 else None


def _limit(memory: int, file_size: int) -> None:
    """Limit this process, just before it becomes the kernel."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


class Execute(nbgrader.preprocessors.Execute):
    """Run the cells of a submission under limits.

    A cell that takes too long is interrupted, and the next ones run. When the kernel is gone, or
    does not react, the cells that could not run get an error, so that none of them scores.
    """

    timeout = Integer(30, help="seconds for one cell").tag(config=True)
    total_timeout = Integer(180, help="seconds for a whole submission").tag(config=True)
    memory = Integer(4 * 2**30, help="bytes of memory for the kernel").tag(config=True)
    file_size = Integer(2**26, help="bytes of the largest file it may write").tag(config=True)
    printed = Integer(100_000, help="bytes of output kept for one cell").tag(config=True)
    hidden = List(Unicode(), help="folders that bubblewrap hides").tag(config=True)
    walls = Enum(
        ["auto", "bwrap", "none"],
        "auto",
        help="bwrap: refuse to run a kernel without bubblewrap; none: never use it",
    ).tag(config=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_func = self._seconds_left
        self.shutdown_kernel = "immediate"
        self.record_timing = False
        self.raise_on_iopub_timeout = False  # a flood of output may still be on its way

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any], km: None = None
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Run all cells; see `nbgrader.preprocessors.Execute`."""
        self._lost, self._written, self._cut = "", 0, False
        self._deadline = time.monotonic() + self.total_timeout
        folder = resources.get("metadata", {}).get("path") or "."
        with TemporaryDirectory(prefix="rnn-", ignore_cleanup_errors=True) as scratch:
            self._scratch, self._student = Path(scratch), resources["nbgrader"]["student"]
            self._modules = _modules(nb)
            shutil.copytree(
                folder, self._scratch / "work", ignore=shutil.ignore_patterns("*.ipynb", ".*")
            )
            return super().preprocess(nb, resources, km)

    def create_kernel_manager(self) -> AsyncKernelManager:
        """Return a manager that talks through files, so that it needs no network."""
        km = super().create_kernel_manager()
        km.transport, km.connection_file = "ipc", str(self._scratch / "k.json")
        return km

    async def async_start_new_kernel(self, **kwargs: Any) -> None:
        """Start the kernel behind its walls."""
        work = self._scratch / "work"
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {
            "HOME": str(work),
            "TMPDIR": str(work),
            "IPYTHONDIR": str(work / ".ipython"),
        }
        environment |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
        environment |= {"NBGRADER_EXECUTION": "autograde", "RNNCOURSE_STUDENT": self._student}
        if self.walls != "none" and (bwrap := bubblewrap()):
            visible = ("--bind", str(self._scratch), str(self._scratch))
            hidden = [word for folder in self.hidden for word in ("--tmpfs", folder)]
            kept = (sys.base_prefix, sys.prefix, str(Path(__file__).parents[1]))
            keep = [  # they may lie in such a folder, or in /tmp
                word
                for path in dict.fromkeys(os.path.realpath(folder) for folder in kept)  # no link
                for word in ("--ro-bind", path, path)
            ]
            lines = (*_WALLS, *hidden, *keep, *visible, "--unsetenv", "JPY_PARENT_PID")
            argv = self.km.kernel_spec.argv
            self.km.kernel_spec.argv = [bwrap, *lines, "--chdir", str(work), *argv]
            self.km.kernel_spec.interrupt_mode = "message"
        elif self.walls == "bwrap":
            raise RuntimeError("walls: expected bubblewrap, which is missing or not allowed here")
        limit = functools.partial(_limit, self.memory, self.file_size)
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # not the terminal
        await super().async_start_new_kernel(
            cwd=str(work), env=environment, preexec_fn=limit, **nowhere, **kwargs
        )

    start_new_kernel = run_sync(async_start_new_kernel)  # nbclient calls this one

    async def async_start_new_kernel_client(self) -> Any:
        """Connect, and note what the libraries hold before the submission runs."""
        client = await super().async_start_new_kernel_client()
        names = ", ".join(map(repr, self._modules))
        await self._ask(f"import rnncourse.grading.guard as _g; _g.watch({names}); del _g", 60)
        return client

    start_new_kernel_client = run_sync(async_start_new_kernel_client)

    async def _ask(self, code: str, seconds: int, expression: str = "") -> dict[str, Any] | None:
        """Run code that leaves no trace; return the reply, or None when none came in time."""
        found = {"found": expression} if expression else {}
        ask = self.kc.execute(code, silent=True, store_history=False, user_expressions=found)
        number = await ensure_async(ask)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not await ensure_async(self.kc.is_alive()):
                return None
            try:
                reply = await ensure_async(self.kc.shell_channel.get_msg(timeout=min(left, 1)))
            except Exception:  # queue.Empty, or a message that could not be read
                continue
            if reply["parent_header"].get("msg_id") == number:
                return reply["content"]
        return None

    def _seconds_left(self, cell: object = None) -> int:
        return max(1, min(self.timeout, int(self._deadline - time.monotonic())))

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, *args: Any, **kwargs: Any
    ) -> NotebookNode:
        """Run one cell, or say why it did not run."""
        if cell.cell_type != "code" or not cell.source.strip():
            return cell
        self._written, self._cut = 0, False
        if not self._lost and time.monotonic() >= self._deadline:
            await self._lose("the time for the whole submission is over")
        if not self._lost and is_grade(cell) and not is_solution(cell):
            await self._restore()
        if self._lost:
            cell.outputs = [_error("NotRun", self._lost)]
            return cell
        try:
            cell = await super().async_execute_cell(cell, cell_index, *args, **kwargs)
        except (DeadKernelError, CellTimeoutError) as error:
            await self._lose(f"{_label(cell)} ended the kernel ({type(error).__name__})")
            cell.outputs = [*cell.outputs, _error("NotRun", self._lost)]
        timed_out = any(output.get("ename") == "CellTimeoutError" for output in cell.outputs)
        if timed_out:
            self._report(f"{_label(cell)} took longer than {self.timeout} s")
            if not self._lost and await self._ask("", 5) is None:
                await self._lose(f"{_label(cell)} could not be interrupted")
        if any(output.get("ename") in ("SystemExit", "MemoryError") for output in cell.outputs):
            names = {output.get("ename") for output in cell.outputs} - {None}
            self._report(f"{_label(cell)} ended with {', '.join(sorted(names))}")
        if is_grade(cell):
            _for_the_student(cell)
        return cell

    execute_cell = run_sync(async_execute_cell)

    async def _restore(self) -> None:
        # As an expression: what rewrites cells does not see it.
        guard = "__import__('rnncourse.grading.guard', fromlist=['restore'])"
        reply = await self._ask("", 10, f"', '.join({guard}.restore())")
        found = ((reply or {}).get("user_expressions") or {}).get("found") or {}
        if found.get("status") != "ok":
            await self._lose("the kernel stopped, or was changed, between two cells")
        elif changed := found["data"]["text/plain"].strip("'\""):
            self._report(f"changed what belongs to Python or a library: {changed[:300]}")

    async def _lose(self, why: str) -> None:
        self._lost = why
        self._report(f"{why}; later cells did not run")
        if await ensure_async(self.km.is_alive()):
            await ensure_async(self.km.shutdown_kernel(now=True))

    def _report(self, text: str) -> None:
        self.log.warning("%s %s", REPORT, text)

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Keep what a cell prints, up to the limit."""
        if msg["msg_type"] in ("stream", "display_data", "execute_result", "update_display_data"):
            self._written += len(str(msg["content"]))
            if self._written > self.printed:
                if not self._cut:
                    self._cut = True
                    self._report(f"{_label(cell)} printed more than {self.printed} bytes")
                    note = "\n[the rest of this cell's output is not kept]\n"
                    cell.outputs.append(new_output("stream", name="stdout", text=note))
                return None
        return super().process_message(msg, cell, cell_index)


def _modules(nb: NotebookNode) -> Iterable[str]:
    """Return what to watch: the usual modules, and those of the course that the cells import."""
    source = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "code")
    ours = re.findall(r"^\s*(?:from|import) (rnncourse[\w.]*)", source, re.MULTILINE)
    torch = _TORCH if re.search(r"^\s*(?:from|import) torch\b", source, re.MULTILINE) else ()
    return (*_WATCHED, *torch, *sorted({"rnncourse.grading", *ours}))


def _label(cell: NotebookNode) -> str:
    name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
    return f"cell {name!r}" if name else "a cell of the student's own"


def _error(name: str, text: str) -> NotebookNode:
    return new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def _for_the_student(cell: NotebookNode) -> None:
    """Prepare a graded cell's outputs: a warning costs nothing, and no hidden line is shown.

    nbgrader takes text on standard error for a failure, and a number as the last value for the
    points. The traceback of a hidden test would show the test in the student's feedback.
    """
    kept = []
    for output in cell.outputs:
        if output.output_type == "stream":
            output.name = "stdout"
        if output.output_type == "execute_result":
            continue
        if output.output_type == "error":
            output = _error(output.ename, output.evalue)
        kept.append(output)
    cell.outputs = kept
