"""Keep the two forms of each notebook in step: the source ``.md`` and its twin ``.ipynb``.

The source holds the text and the code. The twin holds the same cells and the outputs of running
them, and follows from the source alone: stable cell ids, no times, no versions of the machine that
ran it. So two runs of an unchanged source write the same file, and a difference means something.

    python -m tools.notebooks run [--all] [NAME ...]    execute what changed and write the twins
    python -m tools.notebooks check [NAME ...]          say which twins are out of step, and why
"""

import argparse
import base64
import io
import json
import os
import sys
import time
from collections import Counter
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode
from PIL import Image

from tools import tolerance

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"

# One thread: sums are then taken in the same order whatever the number of cores, so the same
# digits come out in two notebooks that run side by side as in one that runs alone.
ENVIRONMENT = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
CELL_TIMEOUT = 120  # seconds
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"},
}


def sources(folder: Path = NOTEBOOKS) -> list[Path]:
    """Return the sources of the chapters and labs, in the order of their names."""
    return sorted(folder.glob("*.md"))


def read_source(source: Path) -> NotebookNode:
    """Read a source as the notebook that its twin must be, without outputs."""
    fmt = {"extension": ".md", "format_name": "myst"}
    notebook: Any = jupytext.reads(source.read_text(encoding="utf-8"), fmt=fmt)
    notebook.metadata.pop("jupytext", None)
    notebook.metadata.update(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        digest = sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] += 1
        cell.id = f"{digest}-{seen[digest]}"
    return nbformat.from_dict(notebook)


def read_twin(twin: Path) -> NotebookNode:
    """Read a twin as it is stored."""
    return nbformat.from_dict(nbformat.reads(twin.read_text(encoding="utf-8"), as_version=4))


def dumps(notebook: NotebookNode) -> str:
    """Write a notebook in the one form in which twins are stored."""
    text: str = nbformat.writes(notebook, indent=1, sort_keys=True)
    return text.rstrip("\n") + "\n"


def code(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def seal(notebook: NotebookNode) -> str:
    """Return a digest of all outputs. It shows a change by hand where nbval compares nothing."""
    outputs = json.dumps([cell.outputs for cell in code(notebook)], sort_keys=True)
    return sha256(outputs.encode()).hexdigest()


def take_outputs(notebook: NotebookNode, stored: NotebookNode) -> bool:
    """Take over the stored outputs where the code is the same; say whether all are as they ran."""
    pairs = list(zip_longest(code(notebook), code(stored)))
    if any(new is None or old is None or new.source != old.source for new, old in pairs):
        return False
    for new, old in pairs:
        new.execution_count, new.outputs = old.execution_count, old.outputs
    notebook.metadata.outputs_sha256 = stored.metadata.get("outputs_sha256")
    in_order = all(new.execution_count == number for number, (new, _) in enumerate(pairs, 1))
    return in_order and notebook.metadata.outputs_sha256 == seal(stored)


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


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run a notebook in a fresh kernel of this interpreter and keep the outputs that stay."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    class OwnInterpreter(AsyncKernelManager):
        kernel_spec = KernelSpec(**get_kernel_dict(["--log-level=ERROR"]))

    NotebookClient(
        notebook,
        kernel_manager_class=OwnInterpreter,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    ).execute(env={**os.environ, **ENVIRONMENT})
    notebook.metadata.language_info = METADATA["language_info"]
    for cell in code(notebook):
        for output in cell.outputs:
            if output.output_type == "error":  # a traceback holds paths of this machine
                output.traceback = [f"{output.ename}: {output.evalue}"]
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = compact(output.data["image/png"])
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
    for number, (new, old) in enumerate(zip_longest(wanted.cells, stored.cells), 1):
        for what in ("cell_type", "source", "metadata"):
            if new is None or old is None or new[what] != old[what]:
                shown = (new or old).source.strip().split("\n")[0][:60]
                return [f"{names} differ at cell {number} ({what}), `{shown}`: {fix}"]
    if not take_outputs(wanted, stored):
        reason = "an output was changed by hand, or a code cell was not run in order"
        return [f"{names}: {reason}: run `make notebooks`"]
    if dumps(wanted) != twin.read_text(encoding="utf-8"):
        return [f"{names} hold the same cells, but `make notebooks` writes them otherwise: run it"]
    return []


def update(source: Path, force: bool) -> bool:
    """Write the twin of a source, executing it if its code changed; say whether it did."""
    twin = source.with_suffix(".ipynb")
    wanted = read_source(source)
    fresh = not force and twin.exists() and take_outputs(wanted, read_twin(twin))
    if not fresh:
        wanted = read_source(source)
        execute(wanted, source.parent)
        if twin.exists():
            keep_stored(wanted, read_twin(twin))
    if not twin.exists() or twin.read_text(encoding="utf-8") != dumps(wanted):
        twin.write_text(dumps(wanted), encoding="utf-8")
    return not fresh


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description="Keep notebooks and their twins in step.")
    parser.add_argument("command", choices=["run", "check"])
    parser.add_argument("names", nargs="*", help="parts of names, such as 03; default: all")
    parser.add_argument("--all", action="store_true", help="run even what did not change")
    options = parser.parse_intermixed_args(arguments)
    names = {path.with_suffix(".md") for path in (*sources(), *NOTEBOOKS.glob("*.ipynb"))}
    chosen = sorted(p for p in names if any(n in str(p) for n in options.names or [""]))
    if options.command == "check":
        found = [problem for path in chosen for problem in problems(path)]
        print("\n".join(found) or f"{len(chosen)} notebooks are in step with their twins")
        return bool(found)
    for path in chosen:
        start = time.perf_counter()
        ran = update(path, options.all)
        seconds = time.perf_counter() - start
        print(f"{path.stem}: " + (f"ran in {seconds:.0f} s" if ran else "the code is unchanged"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
