"""Time our layers against ``torch.nn``: ``python -m rnncourse.bench``, or ``make bench``.

One run of each in turn, again and again, and the ratio of each pair: where the machine is busy or
its clock changes, both of a pair feel it. What is reported is the median of those ratios.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import torch
from tqdm import tqdm

from rnncourse.torch import RNN

# (T, B, I, H): from the size of a homework to that of a word-level language model.
SIZES = [(64, 32, 64, 128), (128, 32, 128, 256), (256, 64, 64, 64), (35, 20, 200, 200)]
SIZES += [(32, 8, 16, 32)]


def machine() -> str:
    """Describe the machine in one line: processor, threads in use, Python and PyTorch."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((v.split(":")[1].strip() for v in lines if v.startswith("model name")), name)
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} PyTorch threads, "
        f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    )


def ratios(
    slow: Callable[[], object], fast: Callable[[], object], runs: int = 30
) -> tuple[list[float], list[float]]:
    """Time two functions in turn.

    Parameters
    ----------
    slow, fast
        What is compared; each is called ``runs`` times after three calls to warm up.
    runs
        How many pairs.

    Returns
    -------
    slow_seconds, fast_seconds
        One number a pair. ``statistics.median(s / f for s, f in zip(*...))`` above 1 means that
        ``fast`` deserves its name.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 3):
        for f, seconds in zip((slow, fast), times, strict=True):
            start = time.perf_counter()
            f()
            if run >= 3:
                seconds.append(time.perf_counter() - start)
    return times


def training_step(
    layer: torch.nn.Module, T: int, B: int, I: int, input_gradient: bool
) -> Callable[[], object]:
    """Return a function that runs ``layer`` forward and backward on fixed random data."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(T, B, I, generator=generator).requires_grad_(input_gradient)
    dout = torch.randn(layer(x)[0].shape, generator=generator)

    def step() -> None:
        x.grad = None
        layer.zero_grad()
        layer(x)[0].backward(dout)

    return step


def compare(runs: int) -> Iterator[tuple[str, tuple[int, ...], bool, float, float, float]]:
    """Yield layer, size, whether inputs need a gradient, both medians (s) and the median ratio."""
    cases = [(size, inner) for size in SIZES for inner in (False, True)]
    for (T, B, I, H), inner in tqdm(cases, desc="bench", leave=False):
        theirs, ours = torch.nn.RNN(I, H), RNN(I, H)
        ours.load_state_dict(theirs.state_dict())
        theirs_step, ours_step = (training_step(m, T, B, I, inner) for m in (theirs, ours))
        slow, fast = ratios(theirs_step, ours_step, runs)
        ratio = statistics.median(s / f for s, f in zip(slow, fast, strict=True))
        yield "RNN", (T, B, I, H), inner, statistics.median(slow), statistics.median(fast), ratio


def table(runs: int) -> str:
    """Run the benchmark and return it as a page in Markdown."""
    lines = [
        "# Benchmarks",
        "",
        "One training step (forward and backward) of a layer of `rnncourse.torch` against the same",
        "layer of `torch.nn`: same weights, same data, float32. The ratio is the median over",
        f"{runs} pairs of runs in turn; above 1, ours is faster. *Input gradient* says whether the",
        "layer also computes the gradient by its inputs, as every layer but the first must.",
        "`make bench` writes this page anew.",
        "",
        f"Machine: {machine()}. Date: {date.today().isoformat()}.",
        "",
        "| layer | T | B | I | H | input gradient | `torch.nn` (ms) | ours (ms) | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    found = list(compare(runs))
    for layer, size, inner, slow, fast, ratio in found:
        cells = [layer, *size, "yes" if inner else "no", f"{slow * 1e3:.2f}", f"{fast * 1e3:.2f}"]
        lines.append("| " + " | ".join(map(str, cells)) + f" | {ratio:.2f} |")
    mean = statistics.geometric_mean(row[-1] for row in found)
    return "\n".join([*lines, "", f"Geometric mean of the ratios: {mean:.2f}.", ""])


def main() -> None:
    """Print the table, and write it to a file if one is named."""
    parser = argparse.ArgumentParser(description="Time rnncourse against torch.nn.")
    parser.add_argument("--runs", type=int, default=30, help="pairs of runs a size (default 30)")
    parser.add_argument("--output", type=Path, help="file that the table is written to")
    args = parser.parse_args()
    page = table(args.runs)
    if args.output:
        args.output.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
