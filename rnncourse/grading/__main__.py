"""The command line: ``python -m rnncourse.grading check|release|grade|export|feedback``."""

import argparse
import os
import sys
from pathlib import Path

from . import check, roster


def _sources(folder: Path, names: list[str]) -> list[Path]:
    found = sorted(folder.glob("[0-9][0-9]-*.md"))
    chosen = [path for path in found if not names or any(path.stem.startswith(n) for n in names)]
    if not chosen:
        there = ", ".join(path.stem for path in found) or "none"
        raise SystemExit(f"set: expected one of {there}, got {', '.join(names) or 'nothing'}")
    return chosen


def _say_whose(name: str, folder: Path, course: Path) -> None:
    """Print whose each submission is, what is wrong, and of whom there is none."""
    from . import course as steps

    entries = steps.look(name, folder, course)
    students = {s.student: s for s in roster.read(course / steps.ROSTER)}
    for found in entries:
        whose = found.student if found.known else "?"
        full = students[whose].name if whose in students else ""
        print(f"{found.entry:50s} {whose:16s} {full:24s} {found.problem}".rstrip())
    if missing := students.keys() - {found.student for found in entries}:
        print("Nothing from:", ", ".join(sorted(missing)))
    wrong = sum(bool(found.problem) for found in entries)
    print(f"{len(entries)} submissions, {wrong} with a problem. Nothing was graded.")


def main(arguments: list[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m rnncourse.grading", description=__doc__)
    parser.add_argument("--course", type=Path, default=Path("coursework"), help="its folder")
    parser.add_argument("--sources", type=Path, default=Path("notebooks/problem-sets"))
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("check", help="for students: can this notebook be handed in?")
    command.add_argument("file", type=Path)
    command.add_argument("--seconds", type=int, default=check.SECONDS, help="for one cell")
    command = commands.add_parser("release", help="make the students' notebooks")
    command.add_argument("sets", nargs="*", help="03 or 03-recurrent-network; all by default")
    command = commands.add_parser("grade", help="grade a folder of submissions of one set")
    command.add_argument("set")
    command.add_argument("folder", type=Path)
    command.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    command.add_argument("--seconds", type=int, default=30, help="for one cell")
    command.add_argument(
        "--submissions-may-read-and-change-my-files",
        dest="walls",
        action="store_const",
        const="none",
        default="bwrap",
        help="grade without bubblewrap around them",
    )
    command.add_argument("--due", default="", help="when it is due: '2027-03-01 18:00 UTC'")
    command.add_argument("--dry-run", action="store_true", help="say whose is what; grade nothing")
    command.add_argument("--again", action="store_true", help="run unchanged submissions too")
    command = commands.add_parser("export", help="write all grades as CSV")
    command.add_argument("--to", type=Path, default=Path("grades.csv"))
    command.add_argument("--wide", action="store_true", help="one line per student")
    command = commands.add_parser("feedback", help="write feedback for the students")
    command.add_argument("set")
    args = parser.parse_args(arguments)
    if args.command == "check":  # needs nothing of what follows
        return check.main(args.file, seconds=args.seconds)
    from . import course as steps

    try:
        if args.command == "release":
            for source in _sources(args.sources, args.sets):
                print(steps.release(source, args.course))
        elif args.command == "grade":
            name = _sources(args.sources, [args.set])[0].stem
            if args.dry_run:
                _say_whose(name, args.folder, args.course)
                return 0
            grades = steps.grade(
                name,
                args.folder,
                args.course,
                seconds=args.seconds,
                walls=args.walls,
                due=args.due,
                jobs=args.jobs,
                again=args.again,
            )
            for g in grades:
                note = f"  {len(g.notes)} notes" if g.notes else ""
                print(f"{g.student:24s} {g.score:5g} of {g.max_score:g}  {g.status}{note}")
            print(f"The report: {args.course / 'reports' / f'{name}.csv'}")
        elif args.command == "export":
            steps.export(args.course, args.to, wide=args.wide)
            print(f"The grades: {args.to}")
        else:
            name = _sources(args.sources, [args.set])[0].stem
            print(f"The feedback: {steps.feedback(name, args.course)}")
    except (FileNotFoundError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
