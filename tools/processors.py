"""Run the notebooks as other machines would, and say which cells then give something else.

Sums come out with other last digits when they are taken in another order, and the order follows
from the processor's vector instructions and from the number of threads. A reader's machine differs
in both from the one that stored the outputs.

    python -m tools.processors [--under CONDITION] [NAME ...]    run the notebooks, or some of them
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import nbformat.v4 as v4

from tools.notebooks import ENVIRONMENT, NOTEBOOKS, ROOT, code, dumps, read_twin
from tools.rules import named

MARK = "RNNCOURSE_CONDITION"  # conftest.py then leaves the environment as it is set here
FOLDER = ROOT / "_build" / "processors"
CELL_TIMEOUT = 600  # seconds: without vector instructions a cell takes up to five times as long


def threads(number: int) -> dict[str, str]:
    """Return the settings for a number of threads."""
    return {"OMP_NUM_THREADS": str(number), "MKL_NUM_THREADS": str(number)}


def on_x86() -> bool:
    """Say whether the settings mean something to this processor."""
    return platform.machine() in ("x86_64", "AMD64")


def numpy_features() -> list[str]:
    """Return the instructions that NumPy uses beyond those that it cannot do without.

    NumPy warns when it is told to leave out others, so they are asked for and not written down.
    """
    core = import_module("numpy._core._multiarray_umath")
    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]


def without_vectors() -> dict[str, str]:
    """Return the settings for a processor of 2008: SSE 4, no AVX, no fused multiply-add."""
    return {
        "ATEN_CPU_CAPABILITY": "default",  # PyTorch's own kernels
        "ONEDNN_MAX_CPU_ISA": "SSE41",  # the kernels that PyTorch takes from oneDNN
        # PyTorch's matrix products on Linux. MKL_ENABLE_INSTRUCTIONS changes nothing on AMD.
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",  # NumPy's matrix products
        "NPY_DISABLE_CPU_FEATURES": " ".join(numpy_features()),
    }


# The outputs are stored with all instructions and one thread: `make test` runs that condition.
CONDITIONS = {
    "few instructions, 1 thread": (without_vectors, 1),
    "few instructions, 2 threads": (without_vectors, 2),
    "all instructions, 2 threads": (dict, 2),
}

# What runs first, in a kernel that is started as all others are: settings that a library no longer
# heeds would let every notebook pass.
PROBE = """\
import numpy as np
import torch
from numpy._core import _multiarray_umath as numpy_core
from threadpoolctl import threadpool_info

few, threads = {few}, {threads}
used = [name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[name]]
blas = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
capability = torch.backends.cpu.get_cpu_capability()
assert torch.get_num_threads() == threads, f"PyTorch runs {{torch.get_num_threads()}} threads"
if few:
    assert capability == "DEFAULT", f"PyTorch uses {{capability}}"
    assert not used, f"NumPy uses {{used}}"
    assert all(pool["architecture"] == "Nehalem" for pool in blas), f"OpenBLAS: {{blas}}"
"""


def write_probe(few: bool, number: int, folder: Path) -> Path:
    """Write the notebook that fails where the settings do not hold in its kernel."""
    source = PROBE.format(few=few, threads=number)
    cell = v4.new_code_cell(source, id="probe", execution_count=1)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "probe.ipynb"
    path.write_text(dumps(v4.new_notebook(cells=[cell])), encoding="utf-8")
    return path


def failures(report: Path, notebook: Path) -> Iterator[str]:
    """Yield the cells that failed according to a JUnit report of one notebook."""
    cells = code(read_twin(notebook))
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("name", "")
        failed = case.find("failure") is not None or case.find("error") is not None
        if failed and name.startswith("Cell "):
            number = int(name.removeprefix("Cell "))
            yield f"{notebook.stem}, {named(number + 1, cells[number])}"


def run_one(notebook: Path, environment: dict[str, str], folder: Path) -> list[str]:
    """Run one notebook in an environment; return the cells that failed."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), str(notebook)]
    command += ["-p", "no:cacheprovider", "-q", "--no-header", f"--junitxml={report}"]
    command += [f"--nbval-cell-timeout={CELL_TIMEOUT}", f"--timeout={2 * CELL_TIMEOUT}"]
    print(f"-- {notebook.stem}", flush=True)
    status = subprocess.run(command, env=environment, cwd=ROOT).returncode
    found = list(failures(report, notebook)) if report.exists() else []
    return found or ([f"{notebook.stem}: pytest ended with status {status}"] if status else [])


def run(condition: str, notebooks: list[Path], folder: Path = FOLDER) -> list[str]:
    """Run notebooks under a condition.

    Parameters
    ----------
    condition
        One of ``CONDITIONS``.
    notebooks
        The twins.
    folder
        Where the probe and the reports go.

    Returns
    -------
    list of str
        The cells that failed. If the settings do not hold, nothing else is run.
    """
    settings, number = CONDITIONS[condition]
    environment = {**os.environ, **ENVIRONMENT, **settings(), **threads(number), MARK: condition}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
    if run_one(write_probe(settings is without_vectors, number, folder), environment, folder):
        return ["the settings do not hold in the kernel (see above), so no notebook was run"]
    return [cell for notebook in notebooks for cell in run_one(notebook, environment, folder)]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description="Run the notebooks as other machines would.")
    parser.add_argument("names", nargs="*", help="parts of names, such as 03; default: all")
    parser.add_argument("--under", choices=CONDITIONS, action="append", help="default: all")
    options = parser.parse_intermixed_args(arguments)
    twins = sorted(NOTEBOOKS.glob("*.ipynb"))
    chosen = [twin for twin in twins if any(n in str(twin) for n in options.names or [""])]
    if not on_x86():
        print(f"This takes vector instructions from an x86 processor; here is {platform.machine()}")
        return 1
    results = {}
    for condition in options.under or CONDITIONS:
        print(f"== {condition}", flush=True)
        start = time.perf_counter()
        found = run(condition, chosen)
        results[condition] = found, (time.perf_counter() - start) / 60
    print("\n== Summary")
    for condition, (found, minutes) in results.items():
        print(
            f"{condition}, {minutes:.0f} min: {f'{len(found)} failed' if found else 'all passed'}"
        )
        print("".join(f"    {cell}\n" for cell in found), end="")
    if any(found for found, _ in results.values()):
        print(
            "See above what these cells print. Show fewer digits, state a tolerance in the head of "
            "the cell, or make the claim weaker: one that depends on the machine is none."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
