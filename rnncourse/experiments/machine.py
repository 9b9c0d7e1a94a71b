"""Run experiments and keep their tables.

An experiment is a file in this folder, and its table is the ``.csv`` beside it, with one row for
each run. The file contains:

``SETTINGS``
    The grid, a list of dictionaries with the same keys; values are strings or numbers.
``SEEDS``
    Each setting is run once with each of them.
``run(**setting, seed, device)``
    Does one run and returns its figures by name. ``device`` is ``"cpu"`` or ``"cuda"``.
``CHEAP``
    The setting that the tests run again, with the first seed.
``TOLERANCE``
    By how much its figures may then differ, for the figures that are compared.

Files whose names begin with an underscore are not experiments: they are code that several share.

A row belongs to the present code if its ``code`` is the :func:`digest` of that code.
"""

import ast
import csv
import importlib
import importlib.util
import io
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from rnncourse import __version__
from rnncourse.computer import processor

HERE = Path(__file__).resolve().parent
OWN = {"__init__", "__main__", "machine"}
GRID = ("SETTINGS", "SEEDS", "CHEAP", "TOLERANCE")
FACTS = ("seconds", "device", "processor", "python", "torch", "numpy", "rnncourse", "date", "code")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
DEVICES = ("cpu", "cuda")

Setting = Mapping[str, str | int | float]
Row = dict[str, str]
Key = tuple[str, ...]


class ExperimentError(Exception):
    """An experiment or its table is not what it should be."""


@dataclass(frozen=True)
class Experiment:
    """One experiment, as its file states it.

    Attributes
    ----------
    path
        Its file.
    settings, seeds, cheap, tolerance, run
        What the file contains; see the top of this module.
    code
        Digest of the code that makes a row.
    """

    path: Path
    settings: Sequence[Setting]
    seeds: Sequence[int]
    cheap: Setting
    tolerance: Mapping[str, float]
    run: Callable[..., dict[str, float]]
    code: str

    @property
    def name(self) -> str:
        """Name of the experiment: its file, without the ending."""
        return self.path.stem

    @property
    def table(self) -> Path:
        """File of the rows."""
        return self.path.with_suffix(".csv")

    @property
    def columns(self) -> list[str]:
        """Columns that tell runs apart."""
        return [*self.settings[0], "seed"]

    @property
    def keys(self) -> dict[Key, tuple[Setting, int]]:
        """All runs of the grid in order, by the values of their rows in :attr:`columns`."""
        return {
            (*map(str, setting.values()), str(seed)): (setting, seed)
            for setting in self.settings
            for seed in self.seeds
        }

    def key(self, row: Row) -> Key:
        """Return the key of a row, as in :attr:`keys`."""
        return tuple(row.get(column, "") for column in self.columns)


@dataclass(frozen=True)
class Standing:
    """What a table contains, for one kind of device.

    Attributes
    ----------
    present, outdated, missing
        Runs with a row of the present code, with a row of older code, and without a row.
    """

    present: list[Key]
    outdated: list[Key]
    missing: list[Key]

    @property
    def complete(self) -> bool:
        """Whether each run has a row of the present code."""
        return not self.outdated and not self.missing


def names(folder: Path = HERE) -> list[str]:
    """Return the names of all experiments."""
    stems = (path.stem for path in folder.glob("*.py"))
    return sorted(stem for stem in stems if stem not in OWN and not stem.startswith("_"))


def load(name: str, folder: Path = HERE) -> Experiment:
    """Read an experiment.

    Raises
    ------
    ExperimentError
        If there is none with this name, or its file lacks something.
    """
    known = names(folder)
    if name not in known:
        raise ExperimentError(f"name: expected one of {known}, got {name!r}")
    path = folder / f"{name}.py"
    code = digest(path)
    if folder == HERE:
        module = importlib.import_module(f"rnncourse.experiments.{name}")
    else:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    for what in (*GRID, "run"):
        if not hasattr(module, what):
            raise ExperimentError(f"{path.name}: expected {what}, see machine.py; it has none")
    settings = list(module.SETTINGS)
    found = Experiment(
        path, settings, list(module.SEEDS), module.CHEAP, module.TOLERANCE, module.run, code
    )
    if not settings or not found.seeds:
        raise ExperimentError(f"{path.name}: expected at least one setting and one seed, got none")
    if any(setting.keys() != settings[0].keys() for setting in settings):
        raise ExperimentError(f"{path.name}: expected the same keys in all SETTINGS")
    if taken := settings[0].keys() & {"seed", *FACTS}:
        raise ExperimentError(f"{path.name}: expected other names in SETTINGS than {sorted(taken)}")
    if len(found.keys) < len(settings) * len(found.seeds):
        raise ExperimentError(f"{path.name}: expected each setting and each seed once, got twins")
    if found.cheap not in settings:
        raise ExperimentError(f"{path.name}: expected CHEAP among SETTINGS, got {found.cheap}")
    return found


# What makes a row: the code that `run` uses.


def digest(path: Path) -> str:
    """Return a digest of the code that one run of an experiment uses.

    That is ``run``, everything in its file that ``run`` refers to, directly or not, and the modules
    of this folder that it imports. Comments, docstrings, the layout and the grid do not count: with
    a new seed, rows are missing, and none is outdated.
    """
    parts = list(_used(_parse(path), "run"))
    todo = [path.parent / f"{name}.py" for name in _siblings(parts, path.parent)]
    seen: list[Path] = []
    while todo:
        if (sibling := todo.pop()) not in seen:
            seen.append(sibling)
            body = _parse(sibling).body
            todo += [path.parent / f"{name}.py" for name in _siblings(body, path.parent)]
    parts += [statement for sibling in sorted(seen) for statement in _parse(sibling).body]
    return sha256("\n".join(map(_form, parts)).encode()).hexdigest()[:12]


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), path.name)
    except SyntaxError as error:
        raise ExperimentError(f"{path.name}: expected Python, got {error}") from None


def _used(module: ast.Module, name: str) -> Iterator[ast.stmt]:
    """Yield the statements of a module that a name leads to, in their order."""
    wanted, found = {name}, set[int]()
    size = -1
    while size < len(found):
        size = len(found)
        for i, statement in enumerate(module.body):
            binds = _binds(statement)
            if i not in found and not _is_docstring(statement) and (not binds or binds & wanted):
                found.add(i)
                wanted |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
    for i in sorted(found):
        yield module.body[i]


def _binds(statement: ast.stmt) -> set[str]:
    """Return the names that a plain statement defines; none for one that always counts."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(a.asname or a.name).split(".")[0] for a in statement.names} - {"*"}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if all(isinstance(target, ast.Name) for target in targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


def _siblings(statements: Iterable[ast.stmt], folder: Path) -> set[str]:
    """Return the modules of the folder that statements import."""
    imported = set()
    for node in (n for statement in statements for n in ast.walk(statement)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = ("rnncourse.experiments" if node.level else "", node.module or "")
            module = ".".join(filter(None, parts))
            imported |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    package = "rnncourse.experiments."
    stems = {name.removeprefix(package) for name in imported if name.startswith(package)}
    return {stem for stem in stems if (folder / f"{stem}.py").exists()}


def _is_docstring(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _form(node: object) -> str:
    """Write a syntax tree in one form, the same for all versions of Python."""
    if isinstance(node, ast.Constant):
        return f"Constant({node.value!r})"
    if isinstance(node, ast.AST):
        fields = ((f, getattr(node, f, None)) for f in node._fields if f not in ("kind", "ctx"))
        parts = (f"{name}={_form(value)}" for name, value in fields if value not in (None, []))
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return f"[{','.join(_form(item) for item in node if not _is_docstring(item))}]"
    return repr(node)


# Tables.


def read(experiment: Experiment) -> list[Row]:
    """Read the rows of a table; incomplete lines count as missing.

    Raises
    ------
    ExperimentError
        If the file is not a table of this experiment.
    """
    if not experiment.table.exists():
        return []
    text = experiment.table.read_text(encoding="utf-8", errors="replace").replace("\0", "")
    rows = list(csv.DictReader(io.StringIO(text)))
    if rows and not {"seed", *FACTS} <= rows[0].keys():
        raise ExperimentError(
            f"{experiment.table.name}: expected the columns {['seed', *FACTS]}, got "
            f"{list(rows[0])}: restore the file with git, or remove it"
        )
    whole = (row for row in rows if None not in row and None not in row.values())
    return [row for row in whole if row["code"] and row["device"] in DEVICES]


def write(experiment: Experiment, rows: Iterable[Row]) -> None:
    """Write a table in the order of the grid; at any moment the file is the old or the new one."""
    order = {key: number for number, key in enumerate(experiment.keys)}
    rows = sorted(rows, key=lambda row: (order[experiment.key(row)], row["device"]))
    names = list(dict.fromkeys(name for row in rows for name in row))
    first = [name for name in names if name in experiment.columns]
    figures = [name for name in names if name not in (*experiment.columns, *FACTS)]
    temporary = experiment.table.with_suffix(".csv.new")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*first, *figures, *FACTS], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, experiment.table)


def states(experiment: Experiment, rows: Iterable[Row]) -> dict[str, Standing]:
    """Return what there is for each device that has rows; for the CPU in any case."""
    codes: dict[str, dict[Key, str]] = {"cpu": {}}
    for row in rows:
        codes.setdefault(row["device"], {})[experiment.key(row)] = row["code"]
    return {
        device: Standing(
            [key for key in experiment.keys if have.get(key) == experiment.code],
            [key for key in experiment.keys if have.get(key, experiment.code) != experiment.code],
            [key for key in experiment.keys if key not in have],
        )
        for device, have in codes.items()
    }


def extra(experiment: Experiment, rows: Iterable[Row]) -> list[Row]:
    """Return the rows that the grid does not ask for, and all but the first row of a run."""
    keys, seen, found = experiment.keys, set[tuple[Key, str]](), []
    for row in rows:
        run = experiment.key(row), row["device"]
        if run[0] not in keys or run in seen:
            found.append(row)
        seen.add(run)
    return found


def problems(experiment: Experiment) -> list[str]:
    """Say what a table lacks, and what to run; nothing if it is complete on some device."""
    rows = read(experiment)
    found = states(experiment, rows)
    advice = f"run `make experiments ONLY={experiment.name}`"
    complete = any(state.complete for state in found.values())
    lines = []
    for device, state in found.items():
        if state.outdated or not complete:
            lines.append(
                f"{experiment.name}, {device}: {len(state.present)} of {len(experiment.keys)} rows "
                f"are there, {len(state.missing)} are missing, {len(state.outdated)} are of older "
                f"code: {advice}{' DEVICE=cuda' if device == 'cuda' else ''}"
            )
    if more := extra(experiment, rows):
        first = dict(zip(experiment.columns, experiment.key(more[0]), strict=True))
        lines.append(
            f"{experiment.name}: {len(more)} rows belong to no run of the grid, such as {first}: "
            f"{advice}, which removes them"
        )
    return lines


# Runs.


@cache
def facts(device: str) -> dict[str, str]:
    """Return what a row says about the machine and the versions."""
    name = processor()
    if device == "cuda":
        import torch

        name = torch.cuda.get_device_name()
    return {
        "device": device,
        "processor": name,
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in ("torch", "numpy")},
        "rnncourse": __version__,  # that of the code at hand, also in an editable install
    }


def make_row(experiment: Experiment, setting: Setting, seed: int, device: str) -> Row:
    """Do one run and return its row."""
    start = time.perf_counter()
    figures = experiment.run(**setting, seed=seed, device=device)
    seconds = time.perf_counter() - start
    if taken := figures.keys() & {*experiment.columns, *FACTS}:
        raise ExperimentError(f"run: expected figures of other names than {sorted(taken)}")
    values = {name: float(value) for name, value in figures.items()}
    return {
        **{name: str(value) for name, value in setting.items()},
        "seed": str(seed),
        **{name: "" if value != value else f"{value:.6g}" for name, value in values.items()},
        "seconds": f"{seconds:.1f}",
        **facts(device),
        "date": datetime.now(UTC).date().isoformat(),
        "code": experiment.code,
    }


def work() -> None:
    """Do the runs that come as lines of JSON on standard input; answer each with a line.

    When the command is killed, the input ends, and so does this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which stops us
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an experiment prints must not look like an answer
    loaded = cache(load)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            experiment = loaded(job["name"], Path(job["folder"]))
            row = make_row(experiment, job["setting"], job["seed"], job["device"])
            answer: dict[str, Any] = {"row": row}
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            answer = {"error": message, "traceback": traceback.format_exc()}
        try:
            print(json.dumps(answer), file=answers, flush=True)
        except OSError:  # nobody listens anymore, nor would at a regular exit
            os._exit(1)


class Worker:
    """A process that does runs, with one thread; restarted if it died, until it is stopped."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.stopped = False
        self.starting = threading.Lock()

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Have a run done and return the answer."""
        with self.starting:
            if self.stopped:
                return {"error": "the command was stopped"}
            if self.process is None or self.process.poll() is not None:
                self.process = self._start()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        except (OSError, json.JSONDecodeError):  # on Windows a broken pipe is a plain OSError
            return {"error": f"its process ended with status {self.process.wait()}"}
        return answer

    def stop(self) -> None:
        """End the process, in the middle of a run if need be; it is not restarted."""
        with self.starting:
            self.stopped = True
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from rnncourse.experiments.machine import work; work()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )


@dataclass(frozen=True)
class Failure:
    """A run that gave no row: its name and settings, and why."""

    run: str
    error: str
    traceback: str = ""


def fill(
    experiments: Sequence[Experiment], device: str, jobs: int, progress: bool = True
) -> tuple[int, list[Failure]]:
    """Do the runs that tables lack for a device; return how many rows were added, and what failed.

    The first seed of all settings comes first, then the second, so that a table whose runs
    are stopped early can already be read. Each row is written as soon as it is there. The caller
    holds the :func:`lock` of each table.
    """
    todo: queue.SimpleQueue[tuple[Experiment, Key] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Experiment, Key, dict[str, Any]]] = queue.SimpleQueue()
    rows: dict[str, dict[tuple[Key, str], Row]] = {}
    total = 0
    for experiment in experiments:
        stored = read(experiment)
        table: dict[tuple[Key, str], Row] = {}
        for row in stored:
            if experiment.key(row) in experiment.keys:
                table.setdefault((experiment.key(row), row["device"]), row)
        rows[experiment.name] = table
        if len(table) < len(stored):
            write(experiment, table.values())
        empty = Standing([], [], list(experiment.keys))
        state = states(experiment, table.values()).get(device, empty)
        lacking = {*state.missing, *state.outdated}
        total += len(lacking)
        keys, seeds = experiment.keys, list(experiment.seeds)
        for key in sorted(keys, key=lambda key: seeds.index(keys[key][1])):
            if key in lacking:
                todo.put((experiment, key))

    workers = [Worker() for _ in range(min(jobs, total))]

    def serve(worker: Worker) -> None:
        while (job := todo.get()) is not None:
            experiment, key = job
            setting, seed = experiment.keys[key]
            order = {"name": experiment.name, "folder": str(experiment.path.parent)}
            order |= {"setting": setting, "seed": seed, "device": device}  # type: ignore[dict-item]
            done.put((experiment, key, worker.ask(order)))

    failures = []
    threads = [threading.Thread(target=serve, args=(w,), daemon=True) for w in workers]
    bar = tqdm(total=total, unit="run", **({} if progress else {"disable": True}))
    try:
        for thread in threads:
            todo.put(None)
            thread.start()
        for _ in range(total):
            experiment, key, answer = done.get()
            if "row" in answer:
                rows[experiment.name][key, device] = answer["row"]
                write(experiment, rows[experiment.name].values())
            else:
                what = dict(zip(experiment.columns, key, strict=True))
                name = f"{experiment.name} {what}"
                failures.append(Failure(name, answer["error"], answer.get("traceback", "")))
            bar.set_postfix_str(f"{len(failures)} failed" if failures else "", refresh=False)
            bar.update()
    finally:
        bar.close()
        for worker in workers:
            worker.stop()
    return total - len(failures), failures


def lock(experiment: Experiment) -> FileLock:
    """Take the lock of a table; it is released when the process ends, however that ends.

    Raises
    ------
    ExperimentError
        If another command holds it.
    """
    taken = FileLock(experiment.table.with_suffix(".csv.lock"), timeout=0)
    try:
        taken.acquire()
    except Timeout:
        raise ExperimentError(
            f"{experiment.name}: another command is filling this table; wait until it has ended"
        ) from None
    return taken
