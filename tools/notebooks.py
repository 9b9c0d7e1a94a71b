"""Keep each notebook's source ``.md`` and its twin ``.ipynb`` in step.

The source holds the text and the code. The twin holds the portable rendering of the same cells (see
`rnncourse.renderings`) and the outputs of running them, and follows from the source alone: stable
cell ids, no times, no versions of the machine that ran it. So two runs of an unchanged source write
the same file, and a difference means something. A problem set's twin is what students get: without
solutions, without hidden tests, not run.

    python -m tools.notebooks run [--all] [NAME ...]    execute what changed and write the twins
    python -m tools.notebooks check [NAME ...]          say which twins are out of step, and why
"""

import argparse
import base64
import io
import json
import os
import re
import sys
import tempfile
import time
from copy import deepcopy
from difflib import unified_diff
from functools import cache
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from rnncourse.renderings import METADATA, Book, portable, read
from tools import tolerance

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SETS = NOTEBOOKS / "problem-sets"

# One thread: sums are then taken in the same order whatever the number of cores, so the same
# digits come out in two notebooks that run side by side as in one that runs alone.
ENVIRONMENT = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
CELL_TIMEOUT = 120  # seconds


class Refusal(Exception):
    """A twin was not written; the message says why, and what to do."""


@cache
def book() -> Book:
    """Return the book that gives references their meaning."""
    return Book(ROOT)


def sources(folder: Path = NOTEBOOKS) -> list[Path]:
    """Return the sources of the chapters and labs, in the order of their names."""
    return sorted(folder.glob("*.md"))


def read_source(source: Path) -> NotebookNode:
    """Read a source as the notebook that its twin must be, without outputs."""
    notebook = portable(read(source), book(), f"notebooks/{source.stem}")
    return with_digest(notebook)


def read_twin(twin: Path) -> NotebookNode:
    """Read a twin as it is stored."""
    return nbformat.from_dict(nbformat.reads(twin.read_text(encoding="utf-8"), as_version=4))


def dumps(notebook: NotebookNode) -> str:
    """Write a notebook in the one form in which twins are stored."""
    text: str = nbformat.writes(notebook, indent=1, sort_keys=True)
    return text.rstrip("\n") + "\n"


def cells_digest(notebook: NotebookNode) -> str:
    """Return a digest of the text of all cells."""
    cells = json.dumps([[cell.cell_type, cell.source] for cell in notebook.cells])
    return sha256(cells.encode()).hexdigest()


def with_digest(notebook: NotebookNode) -> NotebookNode:
    """Note the text of the cells in the metadata, so that a later edit of it can be seen."""
    notebook.metadata.cells_sha256 = cells_digest(notebook)
    return notebook


def place(cell: NotebookNode, source: Path) -> str:
    """Say where a cell stands in its source."""
    text, lines = source.read_text(encoding="utf-8"), cell.source.splitlines()
    lines = [line for line in lines if line and not line.startswith("#@title")] or [""]
    if cell.cell_type == "code" and (at := text.find("\n".join(lines[:1]) + "\n")) > 0:
        return f"{source.name}, line {text.count(chr(10), 0, at) + 1} (`{lines[0][:50]}`)"
    return f"{source.name}, the text with `{lines[0][:50]}`"


def refuse_to_lose_edits(twin: Path, wanted: NotebookNode, source: Path) -> None:
    """Raise `Refusal` if the twin's text was changed by hand and its source was not.

    Outputs and folded cells do not count: programs change these when a notebook is only run.
    """
    if not twin.exists():
        return
    stored = read_twin(twin)
    known, now = stored.metadata.get("cells_sha256"), cells_digest(stored)
    if known in (None, now) or now == cells_digest(wanted):
        return
    before, after = (
        [x for cell in nb.cells for x in cell.source.splitlines()] for nb in (wanted, stored)
    )
    changes = unified_diff(before, after, f"{source.name}, as a twin", twin.name, lineterm="", n=1)
    shown = twin.relative_to(ROOT) if twin.is_relative_to(ROOT) else twin
    raise Refusal(
        f"{shown} was edited, and writing it again would lose this:\n\n"
        + "\n".join(f"    {line}" for line in changes)
        + f"\n\nMake the lines with + in the source, {source.name}, where boxes, links and\n"
        f"citations are written in MyST. Then run `git restore {shown}` and `make notebooks` again."
    )


def code(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def seal(notebook: NotebookNode) -> str:
    """Return a digest of all outputs. It shows a change by hand where nbval compares nothing."""
    outputs = json.dumps([cell.outputs for cell in code(notebook)], sort_keys=True)
    return sha256(outputs.encode()).hexdigest()


def take_outputs(notebook: NotebookNode, stored: NotebookNode) -> bool:
    """Take over the stored outputs where the code is the same; say whether all are as they ran.

    The pictures take the alternative texts of their cells, which may be new.
    """
    pairs = list(zip_longest(code(notebook), code(stored)))
    if any(new is None or old is None or new.source != old.source for new, old in pairs):
        return False
    as_sealed = stored.metadata.get("outputs_sha256") == seal(stored)
    for new, old in pairs:
        new.execution_count, new.outputs = old.execution_count, deepcopy(old.outputs)
    describe_pictures(notebook)
    notebook.metadata.outputs_sha256 = seal(notebook)
    in_order = all(new.execution_count == number for number, (new, _) in enumerate(pairs, 1))
    return in_order and as_sealed


def describe_pictures(notebook: NotebookNode) -> None:
    """Give each picture among the outputs the alternative text that its cell states."""
    for cell in code(notebook):
        if alt := cell.metadata.get("mystnb", {}).get("image", {}).get("alt"):
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.metadata = NotebookNode({"image/png": NotebookNode({"alt": alt})})


def compact(png: str) -> str:
    """Return a picture (base64) with at most 256 colors, where that makes it smaller.

    A figure has few colors, apart from the smooth edges of its letters: a third of the bytes does.
    """
    raw, small = base64.b64decode(png), io.BytesIO()
    with Image.open(io.BytesIO(raw)) as image:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        paper.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            small, format="PNG", optimize=True
        )
    fewer = small.getvalue()
    return base64.b64encode(fewer).decode() + "\n" if len(fewer) < len(raw) else png


def failure(error: Exception, cell: NotebookNode) -> str:
    """Say in a few lines what went wrong in a cell."""
    if isinstance(error, TimeoutError):
        return f"it ran for more than {CELL_TIMEOUT} s."
    for output in cell.outputs:
        if output.output_type == "error":
            trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback)).splitlines()
            lines = [line for line in trace if re.match(r"-+> ?\d+ ", line)]
            return "\n".join([f"{output.ename}: {output.evalue}", *(f"    {x}" for x in lines)])
    return f"the kernel stopped ({type(error).__name__}). Is there enough memory?"


def execute(notebook: NotebookNode, source: Path) -> None:
    """Run a notebook in a fresh kernel of this interpreter and keep the outputs that stay.

    Raises
    ------
    Refusal
        If a cell fails; the message names it.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, DeadKernelError

    class OwnInterpreter(AsyncKernelManager):
        kernel_spec = KernelSpec(**get_kernel_dict(["--log-level=ERROR"]))

    begun: list[NotebookNode] = []
    try:
        NotebookClient(
            notebook,
            kernel_manager_class=OwnInterpreter,
            timeout=CELL_TIMEOUT,
            record_timing=False,
            coalesce_streams=True,
            on_cell_execute=lambda cell, cell_index: begun.append(cell),
            resources={"metadata": {"path": str(source.parent)}},
        ).execute(env={**os.environ, **ENVIRONMENT})
    except (CellControlSignal, DeadKernelError) as error:
        raise Refusal(
            f"{place(begun[-1], source)}: {failure(error, begun[-1])}\n"
            f"Correct this cell in {source.name}, then run `make notebooks ONLY={source.stem[:2]}`."
        ) from error
    notebook.metadata.language_info = METADATA["language_info"]
    for cell in code(notebook):
        for output in cell.outputs:
            if output.output_type == "error":  # a traceback holds paths of this machine
                output.traceback = [f"{output.ename}: {output.evalue}"]
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = compact(output.data["image/png"])
    describe_pictures(notebook)
    notebook.metadata.outputs_sha256 = seal(notebook)


def keep_stored(notebook: NotebookNode, stored: NotebookNode) -> None:
    """Keep each stored output that the new one agrees with, within the tolerance of its cell.

    So a run on another machine does not change a twin for nothing. Cells are known by their ids,
    which follow from their code. What was changed by hand is not kept.
    """
    if stored.metadata.get("outputs_sha256") != seal(stored):
        return
    before = {cell.id: cell.outputs for cell in code(stored)}
    for cell in code(notebook):
        allowed = tolerance.of(cell)
        if allowed and cell.id in before:
            cell.outputs = tolerance.settle(cell.outputs, before[cell.id], allowed)[0]
    notebook.metadata.outputs_sha256 = seal(notebook)


def problems(source: Path) -> list[str]:
    """Say in what a source and its twin are out of step, and what to do about it."""
    twin = source.with_suffix(".ipynb")
    names = f"{source.parent.name}/{source.name} and its twin {twin.name}"
    fix = f"make the change in {source.name}, then run `make notebooks`"
    if not source.exists():
        return [f"{twin.parent.name}/{twin.name} has no source {source.name}: write or remove it"]
    if not twin.exists():
        return [f"{source.parent.name}/{source.name} has no twin: run `make notebooks`"]
    wanted, stored = read_source(source), read_twin(twin)
    for new, old in zip_longest(wanted.cells, stored.cells):
        for what in ("cell_type", "source", "metadata"):
            if new is None or old is None or new[what] != old[what]:
                return [f"{names} differ ({what}) at {place(new or old, source)}: {fix}"]
    if not take_outputs(wanted, stored):
        reason = "an output was changed by hand, or a code cell was not run in order"
        return [f"{names}: {reason}: run `make notebooks`"]
    if dumps(wanted) != twin.read_text(encoding="utf-8"):
        return [f"{names} hold the same cells, but `make notebooks` writes them otherwise: run it"]
    return []


def write(text: str, twin: Path) -> None:
    """Write a twin if it changed."""
    if not twin.exists() or twin.read_text(encoding="utf-8") != text:
        twin.write_text(text, encoding="utf-8")


def update(source: Path, force: bool) -> bool:
    """Write the twin of a source, executing it if its code changed; say whether it did.

    Raises
    ------
    Refusal
        If the twin holds an edit that would be lost, or a cell fails.
    """
    twin = source.with_suffix(".ipynb")
    wanted = read_source(source)
    refuse_to_lose_edits(twin, wanted, source)
    fresh = not force and twin.exists() and take_outputs(wanted, read_twin(twin))
    if not fresh:
        wanted = read_source(source)
        execute(wanted, source)
        if twin.exists():
            keep_stored(wanted, read_twin(twin))
    write(dumps(wanted), twin)
    return not fresh


def set_twin(released: Path) -> str:
    """Return the text of a problem set's twin, given the students' notebook."""
    return dumps(with_digest(read_twin(released)))


def update_set(source: Path) -> None:
    """Write the students' notebook of a problem set.

    Raises
    ------
    Refusal
        If the notebook that is there holds an edit that would be lost.
    """
    from rnncourse.grading.course import release

    twin = source.with_suffix(".ipynb")
    with tempfile.TemporaryDirectory() as folder:
        text = set_twin(release(source, Path(folder)))
    refuse_to_lose_edits(twin, nbformat.from_dict(json.loads(text)), source)
    write(text, twin)


def choose(names: list[str]) -> list[Path]:
    """Return the sources whose names hold one of the given parts; all by default.

    Raises
    ------
    Refusal
        If a part is in no name.
    """
    folders = (NOTEBOOKS, SETS)
    there = {
        p.with_suffix(".md") for f in folders for end in ("md", "ipynb") for p in f.glob(f"*.{end}")
    }
    known = {path: path.relative_to(NOTEBOOKS).as_posix() for path in sorted(there)}
    for name in names:
        if not any(name in shown for shown in known.values()):
            raise Refusal(
                f"no notebook has {name!r} in its name. There are:\n  "
                + "\n  ".join(known.values())
            )
    return [path for path, shown in known.items() if any(name in shown for name in names or [""])]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description="Keep notebooks and their twins in step.")
    parser.add_argument("command", choices=["run", "check"])
    parser.add_argument("names", nargs="*", help="parts of names, such as 03; default: all")
    parser.add_argument("--all", action="store_true", help="run even what did not change")
    options = parser.parse_intermixed_args(arguments)
    try:
        chosen = choose(options.names)
    except Refusal as refusal:
        print(refusal)
        return 1
    if options.command == "check":
        chosen = [path for path in chosen if path.parent != SETS]  # tests/problem_sets checks these
        found = [problem for path in chosen for problem in problems(path)]
        print("\n".join(found) or f"{len(chosen)} notebooks are in step with their twins")
        return bool(found)
    failed = 0
    for path in chosen:
        start = time.perf_counter()
        name = path.relative_to(NOTEBOOKS).with_suffix("").as_posix()
        try:
            if path.parent == SETS:
                update_set(path)
                result = "the students' notebook is written"
            else:
                ran = update(path, options.all)
                seconds = time.perf_counter() - start
                result = f"ran in {seconds:.0f} s" if ran else "the code is unchanged"
        except Refusal as refusal:
            failed += 1
            result = f"NOT written. {refusal}\n"
        print(f"{name}: {result}", flush=True)
    if failed:
        print(f"{failed} of {len(chosen)} notebooks were not written: see above.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
