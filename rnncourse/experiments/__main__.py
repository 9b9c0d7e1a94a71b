"""The command line: ``python -m rnncourse.experiments``, or ``make experiments``."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rnncourse.experiments.machine import (
    DEVICES,
    HERE,
    Experiment,
    ExperimentError,
    fill,
    load,
    lock,
    names,
    problems,
    read,
    states,
)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rnncourse.experiments", description="Fill and check tables of experiments."
    )
    parser.add_argument("--folder", type=Path, default=HERE, help="where the experiments are")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="do the runs that are missing or of older code")
    status = commands.add_parser("status", help="say what the tables have; status 1 if they lack")
    for command in (run, status):
        command.add_argument("names", nargs="*", metavar="NAME", help="experiments; default: all")
    run.add_argument("--jobs", type=int, default=1, help="processes, one thread each (default 1)")
    run.add_argument(
        "--device",
        choices=DEVICES,
        help="default: the CPU, and nothing where a table is complete on another device",
    )
    options = parser.parse_args(arguments)
    if options.command == "run" and options.jobs < 1:
        parser.error(f"--jobs: expected at least 1, got {options.jobs}")
    options.folder = options.folder.resolve()
    return options


def run(experiments: Sequence[Experiment], device: str | None, jobs: int) -> int:
    """Fill tables and say what came of it."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ExperimentError("--device: expected a GPU for cuda, PyTorch finds none")
    with ExitStack() as stack:
        for experiment in experiments:
            stack.enter_context(lock(experiment))
        if device is None:
            experiments = [experiment for experiment in experiments if problems(experiment)]
        rows, failures = fill(experiments, device or "cpu", jobs)
    print(f"{rows} rows written, {len(failures)} runs failed")
    for failure in failures:
        print(f"failed: {failure.run}: {failure.error}", file=sys.stderr)
    if failures and failures[0].traceback:
        print(f"The first of them:\n{failures[0].traceback}", file=sys.stderr)
    return int(bool(failures))


def status(experiments: Sequence[Experiment]) -> int:
    """Say what the tables contain."""
    found = []
    for experiment in experiments:
        found += problems(experiment)
        for device, state in states(experiment, read(experiment)).items():
            if state.complete:
                print(f"{experiment.name}, {device}: complete, {len(state.present)} rows")
    for line in found:
        print(line)
    return int(bool(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    options = parse(arguments)
    try:
        chosen = [load(name, options.folder) for name in options.names or names(options.folder)]
        if options.command == "run":
            return run(chosen, options.device, options.jobs)
        return status(chosen)
    except ExperimentError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
