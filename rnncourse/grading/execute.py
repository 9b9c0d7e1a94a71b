"""Running a submission: nbgrader's `Execute` with a kernel that can do no harm, and a judge apart.

The student's cells run in a kernel behind `walls`, in a home that is thrown away, with limits on
time, memory, processes, output and files. Tests do not run there. They run in the `judge`, which
asks the kernel for results through the `door`.
"""

import functools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbgrader.preprocessors
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbclient.util import ensure_async, run_sync
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade, is_locked, is_solution
from traitlets import Enum, Integer

from . import walls

REPORT = "For the report:"  # begins a line of nbgrader's log that `course.grade` reads
GRACE = 3  # seconds from the end of a test in the kernel, which the judge ends, to its answer
_KEPT = ("LANG", "LC_ALL", "PYTHONPATH", "JUPYTER_PATH", "LD_LIBRARY_PATH")


class Execute(nbgrader.preprocessors.Execute):
    """Run the cells of a submission under limits, and have its tests judged elsewhere.

    A cell that takes too long is interrupted, and the next ones run. When the kernel is gone, or
    does not react, the cells that could not run get an error, so that none of them scores.
    """

    timeout = Integer(30, help="seconds for one cell").tag(config=True)
    total_timeout = Integer(180, help="seconds for a whole submission").tag(config=True)
    memory = Integer(4 * 2**30, help="bytes of memory for all processes").tag(config=True)
    file_size = Integer(2**26, help="bytes of the largest file it may write").tag(config=True)
    processes = Integer(64, help="processes at a time").tag(config=True)
    printed = Integer(100_000, help="bytes of output kept for one cell").tag(config=True)
    walls = Enum(
        ["bwrap", "none"],
        "bwrap",
        help="bwrap: refuse to run a kernel without bubblewrap; none: a submission may read and "
        "change whatever you may",
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
        self._locked: list[str] = []
        folder = resources.get("metadata", {}).get("path") or "."
        with TemporaryDirectory(prefix="rnn-", ignore_cleanup_errors=True) as scratch:
            self._talk, self._home = Path(scratch, "talk"), Path(scratch, "home")
            self._talk.mkdir()
            not_these = shutil.ignore_patterns("*.ipynb", ".*")
            shutil.copytree(folder, self._home, ignore=not_these)
            self._student = resources["nbgrader"]["student"]
            self._judge = _Judge(self._talk, self._student, self.memory)
            self._watch: walls.Watch | None = None
            try:
                return super().preprocess(nb, resources, km)
            finally:
                self._judge.close()
                if self._watch is not None:
                    self._watch.stop()

    def create_kernel_manager(self) -> AsyncKernelManager:
        """Return a manager that talks through files, so that it needs no network."""
        km = super().create_kernel_manager()
        km.transport, km.connection_file = "ipc", str(self._talk / "k.json")
        return km

    async def async_start_new_kernel(self, **kwargs: Any) -> None:
        """Start the kernel behind its walls."""
        home = walls.HOME if self.walls == "bwrap" else str(self._home)
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # `python` is this one, also where another environment is active in the teacher's shell.
        path = [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
        environment["PATH"] = os.pathsep.join(path)
        environment |= {"HOME": home, "TMPDIR": home, "IPYTHONDIR": f"{home}/.ipython"}
        environment |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
        environment |= {"NBGRADER_EXECUTION": "autograde", "RNNCOURSE_STUDENT": self._student}
        if self.walls == "bwrap":
            if (bwrap := walls.bubblewrap()) is None:
                raise RuntimeError("walls: expected bubblewrap, which is missing or not allowed")
            wall = walls.words(bwrap, self._talk, self._home)
            argv = self.km.kernel_spec.argv
            self.km.kernel_spec.argv = [*wall, "--unsetenv", "JPY_PARENT_PID", *argv]
            self.km.kernel_spec.interrupt_mode = "message"
        else:
            self._report("it ran without walls: it could read and change what you can")
        limit = functools.partial(walls.limit, self.memory, self.file_size)
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # not the terminal
        await super().async_start_new_kernel(
            cwd=str(self._home), env=environment, preexec_fn=limit, **nowhere, **kwargs
        )
        number, written = self.km.provisioner.process.pid, 4 * self.file_size
        folder = self._talk.parent
        self._watch = walls.Watch(number, folder, self.memory, written, self.processes)
        self._watch.start()

    start_new_kernel = run_sync(async_start_new_kernel)  # nbclient calls this one

    async def _responds(self, seconds: int) -> bool:
        """Return whether the kernel still answers."""
        number = await ensure_async(self.kc.execute("", silent=True, store_history=False))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not await ensure_async(self.kc.is_alive()):
                return False
            try:
                reply = await ensure_async(self.kc.shell_channel.get_msg(timeout=min(left, 1)))
            except Exception:  # queue.Empty, or a message that could not be read
                continue
            if reply["parent_header"].get("msg_id") == number:
                return True
        return False

    def _seconds_left(self, cell: object = None) -> int:
        return max(1, min(self.timeout, int(self._deadline - time.monotonic())))

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, *args: Any, **kwargs: Any
    ) -> NotebookNode:
        """Run one cell, or say why it did not run."""
        if cell.cell_type != "code" or not cell.source.strip():
            return cell
        self._written, self._cut = 0, False
        test = is_grade(cell) and not is_solution(cell)
        if is_locked(cell) and not test:
            self._locked.append(cell.source)
        if not self._lost and time.monotonic() >= self._deadline:
            await self._lose("the time for the whole submission is over")
        if self._lost:
            cell.outputs = [_error("NotRun", self._lost)]
            return cell
        source = cell.source
        if test:
            self._judge.ask(source, self._locked, self._seconds_left())
            cell.source = self._judge.open
        try:
            cell = await super().async_execute_cell(cell, cell_index, *args, **kwargs)
        except (DeadKernelError, CellTimeoutError) as error:
            why = self._watch.found if self._watch is not None else ""
            why = f": {why}" if why else f" ({type(error).__name__})"
            await self._lose(f"{_label(cell)} ended the kernel{why}")
            cell.outputs = [*cell.outputs, _error("NotRun", self._lost)]
        finally:
            cell.source = source
        raised = {output.get("ename") for output in cell.outputs}
        if "CellTimeoutError" in raised:
            self._report(f"{_label(cell)} took longer than {self.timeout} s")
            if not self._lost and not await self._responds(5):
                await self._lose(f"{_label(cell)} could not be interrupted")
        if fatal := sorted(raised & {"SystemExit", "MemoryError"}):
            self._report(f"{_label(cell)} ended with {', '.join(fatal)}")
        if test:
            cell.outputs = self._judged(cell.outputs)
        return cell

    execute_cell = run_sync(async_execute_cell)

    def _judged(self, outputs: list[NotebookNode]) -> list[NotebookNode]:
        """Return a test's outputs: what the student's code printed, and what the judge says.

        nbgrader takes text on standard error for a failure, and a value for the points.
        """
        kept = [output for output in outputs if output.output_type == "stream"]
        for output in kept:
            output.name = "stdout"
        broken = [output for output in outputs if output.output_type == "error"]
        found = self._judge.answer(broken=bool(broken or self._lost))
        if found is None:
            return kept
        name, text, lines = found
        if broken:
            return [*kept, _error(broken[-1].ename, broken[-1].evalue)]
        return [*kept, _error(name, text, lines)]

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


class _Judge:
    """The judge's process, started when the first test comes, and anew when it is lost."""

    def __init__(self, talk: Path, student: str, memory: int) -> None:
        self._socket = talk / "door"
        self._environment = os.environ | {"RNNCOURSE_STUDENT": student, "OMP_NUM_THREADS": "1"}
        self._limit = functools.partial(walls.limit, memory, 0)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def open(self) -> str:
        """What the kernel runs in place of a test."""
        return f"import rnncourse.grading.door as _door; _door.serve({os.fspath(self._socket)!r})"

    def ask(self, test: str, locked: list[str], seconds: int) -> None:
        """Have a test run; the kernel's end of the door must be opened next."""
        if self._process is None:
            self._socket.unlink(missing_ok=True)
            call = [sys.executable, "-m", "rnncourse.grading.judge", os.fspath(self._socket)]
            self._process = subprocess.Popen(
                call,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self._environment,
                preexec_fn=self._limit,
            )
            if self._read(30) is None:
                self.close()
                raise RuntimeError("the judge did not start")
        assert self._process.stdin is not None
        request = {"test": test, "locked": locked, "seconds": seconds}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, *, broken: bool) -> list[str] | None:
        """Return what came out, as `judge.run` says it; ``broken``: the kernel did not finish."""
        line = self._read(1 if broken else GRACE)
        if line is None:
            self.close()
            return ["NotRun", "the submission's process broke off", ""]
        found: list[str] | None = json.loads(line)
        return found

    def _read(self, seconds: float) -> bytes | None:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else b""
        return line or None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def _label(cell: NotebookNode) -> str:
    name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
    return f"cell {name!r}" if name else "a cell of the student's own"


def _error(name: str, text: str, lines: str = "") -> NotebookNode:
    shown = f"{name}: {text}" if text else name
    return new_output("error", ename=name, evalue=text, traceback=[*lines.splitlines(), shown])
