"""Build the package, install it into empty environments, and test it there.

    python -m tools.package build                   build sdist and wheel, and check what they hold
    python -m tools.package test [oldest|newest]    install them and run the package's tests

The sdist is built from a copy of the files that git knows, and the wheel from the sdist. The tests
come from the sdist too, and run in a folder without the package, so they see the installed one.
``oldest`` installs the lowest versions that ``pyproject.toml`` allows, ``newest`` the highest.
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "_build" / "package"
VERSIONS = ("oldest", "newest")
EXTRA = "test-package"
SETTINGS = "pytest-package.ini"

NEEDS = {
    "rnncourse.bench": "torch",
    "rnncourse.checkpoint": "torch",
    "rnncourse.data.digits": "notebooks",
    "rnncourse.data.music": "notebooks",
    "rnncourse.data.series": "notebooks",
    "rnncourse.decoding": "torch",
    "rnncourse.experiments": "notebooks",
    "rnncourse.grading": "coursework",
    "rnncourse.metrics": "notebooks",
    "rnncourse.renderings": "renderings",
    "rnncourse.torch": "torch",
    "rnncourse.train": "torch",
    "rnncourse.training": "torch",
    "rnncourse.weights": "notebooks",
}
"""The extra that declares what a module, or a package with all in it, imports."""

LATE = (
    "rnncourse.data.digits",
    "rnncourse.data.music",
    "rnncourse.data.series",
    "rnncourse.metrics",
)
"""Modules that import what their extra brings in a function, and so can be imported without it."""

NOT_HERE = ("rnncourse.grading", "rnncourse.renderings")
"""What the package's tests leave out: it needs the book, and grading needs a Unix."""

BROUGHT = {"triton": "torch"}
"""What comes with a requirement on some systems: who imports it can do without."""

BOOK_TESTS = ("book", "grading", "problem_sets", "test_package.py", "test_renderings.py")
"""What in ``tests`` is about the repository, and not in the sdist."""

PROBE = """\
import json
from importlib import metadata
import rnncourse
files = {str(f): f.hash.value for f in metadata.files("rnncourse") if f.parts[0] == "rnncourse"
         and f.hash}
names = sorted({d.metadata["Name"].lower(): d.version for d in metadata.distributions()}.items())
print(json.dumps({"file": rnncourse.__file__, "version": rnncourse.__version__,
                  "metadata": metadata.version("rnncourse"), "files": files, "names": names}))
"""


class Refusal(Exception):
    """Something is not as it should be; the message says what."""


def call(*command: str | Path, cwd: Path, quiet: bool = False) -> str:
    """Run a command outside the source tree's influence, and return what it printed if quiet.

    Raises
    ------
    Refusal
        If it fails.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONNOUSERSITE": "1", "MPLBACKEND": "Agg", "TQDM_DISABLE": "1"}
    environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE if quiet else None,
        encoding="utf-8",
    )
    if done.returncode:
        words = " ".join(map(str, command[:6]))
        raise Refusal(f"status {done.returncode} of: {words} ...\n{done.stdout or ''}")
    return done.stdout or ""


def known_files() -> list[str]:
    """Return the files of the repository that git knows or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    return [name for name in filter(None, listed.decode().split("\0")) if (ROOT / name).is_file()]


# Building.


def build(output: Path = DIST) -> tuple[Path, Path]:
    """Build sdist and wheel in a clean copy, and check them; return their paths."""
    shutil.rmtree(output, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in known_files():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
        call(sys.executable, "-m", "build", "--outdir", output, tree, cwd=tree, quiet=True)
    wheel, sdist = built(output)
    call(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=output)
    if problems := [*wrong_wheel(names_in(wheel)), *wrong_sdist(names_in(sdist))]:
        raise Refusal("\n".join(problems))
    for path in (wheel, sdist):
        print(f"{path.name}: {len(names_in(path))} files, {path.stat().st_size / 1e3:.0f} kB")
    return wheel, sdist


def built(folder: Path) -> tuple[Path, Path]:
    """Return the wheel and the sdist in a folder.

    Raises
    ------
    Refusal
        If there is not one of each.
    """
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        raise Refusal(f"{folder}: expected one wheel and one sdist; run `tools.package build`")
    return wheels[0].resolve(), sdists[0].resolve()


def names_in(path: Path) -> set[str]:
    """Return the files in a wheel, or in an sdist without its uppermost folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {name for name in wheel.namelist() if not name.endswith("/")}
    with tarfile.open(path) as sdist:
        return {m.name.split("/", 1)[1] for m in sdist.getmembers() if m.isfile()}


def wrong_wheel(names: set[str]) -> Iterator[str]:
    """Say what a wheel lacks, and what it holds that is not the package's."""
    wanted = {name for name in known_files() if PurePosixPath(name).parts[0] == "rnncourse"}
    for name in sorted(wanted - names):
        yield f"the wheel lacks {name}: see package-data in pyproject.toml"
    for name in sorted(names - wanted):
        if not re.match(r"rnncourse-[^/]+\.dist-info/", name):
            yield f"the wheel holds {name}, which is not of the package"


def wrong_sdist(names: set[str]) -> Iterator[str]:
    """Say what an sdist lacks for its tests, and what it holds of the book's."""
    wanted = {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", SETTINGS}
    for name in known_files():
        top, *rest = PurePosixPath(name).parts
        if top == "rnncourse" or (top == "tests" and rest[0] not in BOOK_TESTS):
            wanted.add(name)
    for name in sorted(wanted - names):
        yield f"the sdist lacks {name}: see MANIFEST.in"
    for name in sorted(names - wanted):
        if name.startswith(("notebooks/", "book/", "tools/", "tests/")):
            yield f"the sdist holds {name}, which is of the book: see MANIFEST.in"


# Testing.


def oldest(requirements: Iterable[str]) -> list[str]:
    """Return a pin to the lowest version that each requirement allows, where it has a bound."""
    return [
        f"{requirement.name}=={bound.version}"
        for requirement in map(Requirement, requirements)
        for bound in requirement.specifier
        if bound.operator == ">="
    ]


def requirements_of(wheel: Path) -> list[str]:
    """Return the requirements in a wheel's metadata, those of all extras too."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        found = BytesParser(policy=compat32).parsebytes(archive.read(name))
    return list(found.get_all("Requires-Dist", []))


def examples(text: str) -> str:
    """Return all Python of a page in Markdown, as one program."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def modules(folder: Path) -> list[str]:
    """Return the dotted names of all modules of the package in a folder."""
    paths = (path.relative_to(folder.parent) for path in folder.rglob("*.py"))
    names = (".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths)
    return sorted(name for name in names if not name.endswith("__main__"))


def extra_of(module: str) -> str:
    """Return the extra that declares what a module imports; empty if the package itself does."""
    for name, extra in NEEDS.items():
        if module == name or module.startswith(name + "."):
            return extra
    return ""


def imports(path: Path) -> set[str]:
    """Return the uppermost names of what a file imports beyond Python's own, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            text = re.match(r"f?'(\w+)", ast.unparse(node.args[0]))
            found |= {text[1]} if text else set()
    return {name.split(".")[0] for name in found} - sys.stdlib_module_names


def file_of(module: str, folder: Path) -> Path:
    """Return the file of a module, or the folder of a package, below the folder that has it."""
    path = folder.joinpath(*module.split("."))
    return path if path.is_dir() else path.with_suffix(".py")


def left_out(site: Path, installed: Iterable[str]) -> Iterator[Path]:
    """Yield the files of the package that cannot be imported where its tests run."""
    yield from (file_of(module, site.parent) for module in NOT_HERE)
    missing = set(BROUGHT) - set(installed)
    yield from (path for path in site.rglob("*.py") if imports(path) & missing)


def test(versions: str, dist: Path, python: str, work: Path, options: Sequence[str]) -> None:
    """Install wheel and sdist into an empty environment and run the package's tests there.

    Raises
    ------
    Refusal
        If something fails, or wheel and sdist install different files.
    """
    wheel, sdist = built(dist)
    place = work / "tests-run"
    place.mkdir(parents=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(work, filter="data")
    (source,) = (path for path in work.glob("rnncourse-*") if path.is_dir())
    for name in ("tests", SETTINGS):
        shutil.move(source / name, place / name)
    (place / "readme.py").write_text(
        examples((source / "README.md").read_text(encoding="utf-8")), encoding="utf-8"
    )
    here = work / "environment"
    call(python, "-m", "venv", here, cwd=place)
    inside = here / ("Scripts" if os.name == "nt" else "bin") / "python"
    pins = work / "pins.txt"
    lowest = oldest(requirements_of(wheel)) if versions == "oldest" else []
    pins.write_text("\n".join(lowest), encoding="utf-8")
    install = (inside, "-m", "pip", "install", "--quiet", "-c", pins)

    print(f"== {versions}: the package alone", flush=True)
    call(*install, wheel, cwd=place)
    before = probe(inside, here, place)
    site = Path(before["file"]).parent
    plain = [name for name in modules(site) if not extra_of(name) or name in LATE]
    call(inside, "-c", "import " + ", ".join(plain), cwd=place)
    print(f"{len(plain)} modules need no extra", flush=True)

    print(f"== {versions}: with the extra {EXTRA}", flush=True)
    call(*install, f"rnncourse[{EXTRA}] @ {wheel.as_uri()}", cwd=place)
    found = probe(inside, here, place)
    asked = {Requirement(line).name.lower() for line in requirements_of(wheel)}
    versions_found = [f"{name} {version}" for name, version in found["names"] if name in asked]
    version = call(inside, "--version", cwd=place, quiet=True).strip()
    print(", ".join([version, *versions_found]), flush=True)
    too_new = [pin for pin in lowest if pin_missed(pin, dict(found["names"]))]
    if too_new:
        raise Refusal(f"expected the oldest versions, got others than {too_new}")
    call(inside, "readme.py", cwd=place)
    ignored = left_out(site, dict(found["names"]))
    call(
        *(inside, "-m", "pytest", "-c", SETTINGS, "-p", "no:cacheprovider", "-q"),
        *("--doctest-modules", *(f"--ignore={path}" for path in ignored)),
        *(options or ("tests", site)),
        cwd=place,
    )

    print(f"== {versions}: the sdist", flush=True)
    call(*install, "--no-deps", "--force-reinstall", sdist, cwd=place)
    again = probe(inside, here, place)
    if again["files"] != before["files"]:
        raise Refusal(f"the sdist installs other files than the wheel: {sdist.name}")
    print(f"it installs the same {len(again['files'])} files as the wheel", flush=True)


def probe(python: Path, environment: Path, cwd: Path) -> dict[str, Any]:
    """Return what an environment has, once sure that its ``rnncourse`` is the installed one."""
    found: dict[str, Any] = json.loads(call(python, "-c", PROBE, cwd=cwd, quiet=True))
    if not Path(found["file"]).resolve().is_relative_to(environment.resolve()):
        raise Refusal(f"rnncourse: expected the one in {environment}, got {found['file']}")
    if found["version"] != found["metadata"]:
        raise Refusal(f"version: expected {found['version']}, the metadata say {found['metadata']}")
    return found


def pin_missed(pin: str, installed: dict[str, str]) -> bool:
    """Whether a package is there in another version than the pin's."""
    wanted = Requirement(pin)
    return wanted.name in installed and installed[wanted.name] not in wanted.specifier


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.package",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dist", type=Path, default=DIST, help="folder of sdist and wheel")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build sdist and wheel, and check what they hold")
    testing = commands.add_parser("test", help="install them and run the package's tests")
    testing.add_argument("versions", nargs="*", metavar="oldest|newest", help="default: both")
    testing.add_argument("--python", default=sys.executable, help="makes the environments")
    testing.add_argument("--pytest", nargs=argparse.REMAINDER, default=[], help="for pytest")
    options = parser.parse_args(arguments)
    try:
        if options.command == "build":
            build(options.dist.resolve())
            return 0
        for versions in options.versions or VERSIONS:
            if versions not in VERSIONS:
                raise Refusal(f"expected {' or '.join(VERSIONS)}, got {versions!r}")
            with tempfile.TemporaryDirectory(prefix="pkg-", ignore_cleanup_errors=True) as folder:
                test(versions, options.dist, options.python, Path(folder), options.pytest)
    except Refusal as refusal:
        print(f"make package: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
