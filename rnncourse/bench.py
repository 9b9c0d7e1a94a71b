"""Time our layers against ``torch.nn``: ``python -m rnncourse.bench``, or ``make bench``.

It also times the scan against the loop and, on a GPU, the kernel against the scan.

The two run in turn, again and again, and each pair of runs gives a ratio: where the machine is busy
or its clock changes, both of a pair feel it. What is reported is the median of those ratios.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from rnncourse.computer import processor
from rnncourse.torch import GRU, LSTM, RNN
from rnncourse.torch.private import memory_changes
from rnncourse.torch.scan import (
    TRITON,
    linear_recurrence,
    linear_recurrence_loop,
    linear_recurrence_scan,
)

PAIRS = [(RNN, torch.nn.RNN), (GRU, torch.nn.GRU), (LSTM, torch.nn.LSTM)]
STEPS = ("training", "training, inner layer", "inference")

# (T, B, I, H): from the size of homework to that of a word-level language model; long sequences,
# also single ones; the few steps of a decoder, where the default must not be slower than torch.nn.
SIZES = [(64, 32, 64, 128), (128, 32, 128, 256), (256, 64, 64, 64), (35, 20, 200, 200)]
SIZES += [(32, 8, 16, 32), (1024, 8, 64, 128), (1024, 1, 64, 128), (128, 1, 64, 128)]
SIZES += [(4, 32, 64, 128), (2, 32, 64, 128), (1, 32, 64, 128), (1, 1, 64, 128)]
MANY = 8  # steps: with fewer, the default leaves training to torch.nn

# (T, B, H) of linear recurrences, and what is compared on each device.
SCANS = [(64, 32, 128), (512, 8, 256), (4096, 1, 64)]
WAYS: dict[str, dict[str, Callable[..., torch.Tensor]]] = {
    "cpu": {"loop": linear_recurrence_loop, "scan": linear_recurrence_scan},
    "cuda": {"scan": linear_recurrence_scan, "kernel": linear_recurrence},
}
ABSENT = "The machine had no CUDA device, or PyTorch came without Triton."


def machine() -> str:
    """Describe the machine in one line: processor, threads in use, Python and PyTorch."""
    return (
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} PyTorch threads, "
        f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    )


def ratios(
    slow: Callable[[], object],
    fast: Callable[[], object],
    runs: int = 30,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[float], list[float]]:
    """Time two functions in turn.

    Parameters
    ----------
    slow, fast
        What is compared; each is called ``runs`` times after three calls to warm up.
    runs
        How many pairs.
    clock
        Tells the time in seconds. ``time.process_time`` counts what this process computes, and
        not what runs beside it: the better clock for one thread, and the wrong one for several.

    Returns
    -------
    slow_seconds, fast_seconds
        One number per pair. ``statistics.median(s / f for s, f in zip(*...))`` above 1 means that
        ``fast`` deserves its name.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 3):
        for f, seconds in zip((slow, fast), times, strict=True):
            start = clock()
            f()
            if run >= 3:
                seconds.append(clock() - start)
    return times


Name = TypeVar("Name", bound=Hashable)


def least_times(runs: Mapping[Name, Callable[[], object]], rounds: int = 5) -> dict[Name, float]:
    """Return the shortest processor time of each function, in seconds.

    They run one after the other, round by round, so that a slow moment of the machine hits one
    round only. For one thread: see ``clock`` of :func:`ratios`.

    Parameters
    ----------
    runs
        The functions by name.
    rounds
        How often each is called.
    """
    times: dict[Name, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    return {name: min(seconds) for name, seconds in times.items()}


def one_step(
    layer: torch.nn.Module, T: int, B: int, I: int, step: str = "training"
) -> Callable[[], object]:
    """Return a function that runs ``layer`` on fixed random data.

    Parameters
    ----------
    layer
        The layer.
    T, B, I
        Size of its input.
    step
        ``"training"`` (forward and backward), ``"training, inner layer"`` (with respect to the
        inputs too, as every layer but the first must) or ``"inference"``.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(T, B, I, generator=generator).requires_grad_(step == STEPS[1])
    dout = torch.randn(layer(x)[0].shape, generator=generator)

    def train() -> None:
        x.grad = None
        layer.zero_grad()
        layer(x)[0].backward(dout)

    return torch.no_grad()(lambda: layer(x)) if step == "inference" else train


@contextmanager
def quiet() -> Iterator[None]:
    """Discard what is written to the standard error's descriptor: the profiler's own notes."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def peak_memory(step: Callable[[], object], runs: int = 3) -> int:
    """Return how much memory PyTorch takes at most while ``step`` runs, in bytes.

    This counts what PyTorch allocates on the CPU during the step, but neither what was there before
    nor what a library below it keeps for itself. A step may begin by giving back what an earlier
    one left (gradients), and the profiler may miss that; so the rise from the lowest moment is
    taken, and the median of ``runs`` runs.
    """
    step()
    rises: list[int] = []
    for _ in range(runs):
        with quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
            step()
        taken = list(accumulate(memory_changes(found), initial=0))
        rises.append(max(now - low for now, low in zip(taken, accumulate(taken, min), strict=True)))
    return statistics.median_low(rises)


class Row(NamedTuple):
    """One line of the table: medians in seconds, ratios above 1 where ours is faster."""

    layer: str
    size: tuple[int, ...]
    step: str
    torch_seconds: float
    by_hand_seconds: float
    by_hand_ratio: float
    default_ratio: float
    default_ran: str
    torch_bytes: int
    by_hand_bytes: int


def compare(layer: int, size: tuple[int, int, int, int], step: str, runs: int) -> Row:
    """Measure one layer of ``PAIRS``: that of ``torch.nn``, the pass by hand, and the default."""
    (T, B, I, H), (ours, theirs) = size, PAIRS[layer]
    slow, by_hand, default = theirs(I, H), ours(I, H, kernel="hand-derived"), ours(I, H)
    found = []
    for net in (by_hand, default):
        net.load_state_dict(slow.state_dict())
        pair = ratios(one_step(slow, T, B, I, step), one_step(net, T, B, I, step), runs)
        ratio = statistics.median(s / f for s, f in zip(*pair, strict=True))
        found.append((statistics.median(pair[0]), statistics.median(pair[1]), ratio))
    (slow_seconds, seconds, ratio), (_, _, default_ratio) = found
    memory = [peak_memory(one_step(net, T, B, I, step)) for net in (slow, by_hand)]
    with torch.set_grad_enabled(step != "inference"):
        ran = default.kernel_for(torch.empty(T, B, I))
    return Row(ours.__name__, size, step, slow_seconds, seconds, ratio, default_ratio, ran, *memory)


class ScanRow(NamedTuple):
    """One line on linear recurrences: medians in seconds for the two ways on a device."""

    device: str
    size: tuple[int, int, int]
    step: str
    seconds: tuple[float, float]
    ratio: float


def one_scan(
    solve: Callable[..., torch.Tensor], size: tuple[int, int, int], step: str, device: str
) -> Callable[[], object]:
    """Return a function that solves a recurrence on fixed random data, and waits until it is done.

    Parameters
    ----------
    solve
        :func:`~rnncourse.torch.scan.linear_recurrence`, or a function that does the same.
    size
        T, B and H.
    step
        ``"training"`` (forward and backward) or ``"inference"``.
    device
        ``"cpu"`` or ``"cuda"``.
    """
    generator = torch.Generator().manual_seed(0)
    a, b, dh = (torch.rand(size, generator=generator).to(device) for _ in range(3))
    leaves = [x.requires_grad_(step == "training") for x in (a, b)]

    def run() -> None:
        h = solve(*leaves)
        if step == "training":
            torch.autograd.grad(h, leaves, dh)
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def compare_scans(device: str, size: tuple[int, int, int], step: str, runs: int) -> ScanRow:
    """Measure the two ways of ``WAYS`` on a device."""
    slow, fast = (one_scan(solve, size, step, device) for solve in WAYS[device].values())
    pair = ratios(slow, fast, runs)
    ratio = statistics.median(s / f for s, f in zip(*pair, strict=True))
    seconds = statistics.median(pair[0]), statistics.median(pair[1])
    return ScanRow(device, size, step, seconds, ratio)


def scan_section(rows: Sequence[ScanRow], runs: int) -> list[str]:
    """Return the lines of the page on linear recurrences; they also name a device not measured."""
    lines = [
        "",
        "(scans)=",
        "## Linear recurrences",
        "",
        "`h[t] = a[t] * h[t - 1] + b[t]`, as in minGRU, in float32: the loop against the scan on",
        "the CPU; the scan, made of PyTorch's operations, against the one kernel of",
        "`rnncourse.torch.fused` on a GPU. A ratio is the time of the first over that of the",
        f"second, the median over {runs} runs in turn.",
    ]
    for device, (way, other) in WAYS.items():
        found = [row for row in rows if row.device == device]
        if not found:
            lines += ["", f"The {way} against the {other}: not measured. {ABSENT}"]
            continue
        where = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
        lines += [
            "",
            f"On {where}:",
            "",
            f"| T | B | H | step | {way} (ms) | {other} (ms) | ratio |",
        ]
        lines += ["|" + "---|" * 7]
        for row in found:
            times = (f"{seconds * 1e3:.3f}" for seconds in row.seconds)
            cells = [*row.size, row.step, *times, f"{row.ratio:.2f}"]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def conclusion(rows: Sequence[Row]) -> list[str]:
    """Return what the page begins with: what is faster, in a sentence and a table of means."""
    means, lines = {}, []
    for layer, step in dict.fromkeys((row.layer, row.step) for row in rows):
        of_key = [row for row in rows if (row.layer, row.step) == (layer, step)]
        default = [row.default_ratio for row in of_key]
        means[layer, step] = statistics.geometric_mean(default)
        cells = [layer, step]
        for values in ([row.by_hand_ratio for row in of_key if row.size[0] >= MANY], default):
            cells.append(f"{statistics.geometric_mean(values):.2f}, {min(values):.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    said = [f"{m:.1f} for `{layer}`" for (layer, step), m in means.items() if step == "training"]
    return [
        "How many times as fast as that of `torch.nn` is a training step with our layers, on a",
        f"CPU, when the choice of the pass is left to them? {', '.join(said)}. A number of",
        "1.0 means that PyTorch's own pass runs, or one that is as fast. On a GPU the layers run",
        "PyTorch's own pass, which is not measured here.",
        "",
        "The table has the geometric mean and the least over all sizes; by hand over those with T",
        f"of at least {MANY}.",
        "",
        "| layer | step | by hand: mean, least | default: mean, least |",
        "|---|---|---|---|",
        *lines,
    ]


def table(rows: Sequence[Row], scans: Sequence[ScanRow], runs: int) -> str:
    """Return the measurements as a page in Markdown."""
    lines = [
        "# Benchmarks",
        "",
        *conclusion(rows),
        "",
        f"Machine: {machine()}. Date: {date.today().isoformat()}.",
        "",
        "## Time",
        "",
        "The layers of `rnncourse.torch` against those of `torch.nn`: same weights, same data,",
        "float32. A training step is forward and backward; an inner layer also computes the",
        "gradient with respect to its inputs, as every layer but the first must. *By hand* is the",
        "hand-derived pass. *Default* is what a layer does when you leave the choice to it, and",
        "which of the two passes ran. A ratio is the time of `torch.nn` over ours, the median over",
        f"{runs} runs in turn; above 1, ours is faster. `make bench` writes this page anew.",
        "",
        "| layer | T | B | I | H | step | `torch.nn` (ms) | by hand (ms) | ratio by hand "
        "| ratio default | default ran |",
        "|" + "---|" * 11,
    ]
    for row in rows:
        times = (f"{seconds * 1e3:.2f}" for seconds in (row.torch_seconds, row.by_hand_seconds))
        ratios = (f"{ratio:.2f}" for ratio in (row.by_hand_ratio, row.default_ratio))
        found = [row.layer, *row.size, row.step, *times, *ratios, row.default_ran]
        lines.append("| " + " | ".join(map(str, found)) + " |")
    lines += [
        "",
        "(memory)=",
        "## Memory",
        "",
        "What PyTorch has in use at most during the step, above its lowest moment, in",
        "kilobytes. Where the default runs PyTorch's own pass, its memory is that of `torch.nn`.",
        "",
        "| layer | T | B | I | H | step | `torch.nn` (kB) | by hand (kB) | share |",
        "|" + "---|" * 9,
    ]
    for row in rows:
        kilobytes = (f"{n / 1e3:,.0f}" for n in (row.torch_bytes, row.by_hand_bytes))
        found = [row.layer, *row.size, row.step, *kilobytes]
        lines.append(
            f"| {' | '.join(map(str, found))} | {row.by_hand_bytes / row.torch_bytes:.2f} |"
        )
    return "\n".join([*lines, *scan_section(scans, runs), ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it to a file if one is named."""
    parser = argparse.ArgumentParser(description="Time rnncourse against torch.nn.")
    parser.add_argument("--runs", type=int, default=30, help="runs in turn (default 30)")
    parser.add_argument("--output", type=Path, help="file that the table is written to")
    args = parser.parse_args(arguments)
    cases = [(k, size, step) for k in range(len(PAIRS)) for size in SIZES for step in STEPS]
    rows = [
        compare(layer, size, step, args.runs)
        for layer, size, step in tqdm(cases, desc="bench", leave=False)
    ]
    devices = ["cpu", "cuda"] if TRITON and torch.cuda.is_available() else ["cpu"]
    scans = [
        compare_scans(device, size, step, args.runs)
        for device in devices
        for size in SCANS
        for step in ("training", "inference")
    ]
    page = table(rows, scans, args.runs)
    if args.output:
        args.output.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
