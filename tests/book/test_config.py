"""What is written in several files is the same in each, and nothing private stands in any."""

import ast
import re
import subprocess
import sys
from functools import cache
from importlib import metadata

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.notebooks import ROOT
from tools.rules import TEMPLATE

REPOSITORY = "https://github.com/rnncourse/rnncourse"
SITE = "https://rnncourse.github.io/rnncourse/"

# Put together here, so that this file does not contain what it looks for.
INDEX_HOSTS = (("pypi", "org"), ("pythonhosted", "org"), ("anaconda", "org"))
FORBIDDEN = {
    "the address of a package index": "|".join(rf"\b{name}\.{end}\b" for name, end in INDEX_HOSTS),
    "a path of one machine": r"(?<![\w.])/(?:home|root|Users|work)/\w",
    "a mark of a merge": r"^(?:<{7}|>{7}) ",
    "a mark of unfinished work": rf"\b(?:{'TO' + 'DO'}|{'FIX' + 'ME'}|{'X' * 3})\b",
}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def pins():
    lines = [line for line in read("constraints.txt").splitlines() if line[:1] not in ("", "#")]
    return [Requirement(line) for line in lines]


def pin(name):
    (only,) = {str(line.specifier).removeprefix("==") for line in pins() if line.name == name}
    return only


def test_one_address():
    config = yaml.safe_load(read("_config.yml"))
    assert config["repository"]["url"] == REPOSITORY, "_config.yml: correct repository.url"
    assert config["html"]["baseurl"] == SITE, "_config.yml: correct html.baseurl"
    for name in ("pyproject.toml", "CITATION.cff", "README.md"):
        assert REPOSITORY in read(name), f"{name}: name the repository, {REPOSITORY}"
        assert SITE in read(name), f"{name}: name the site, {SITE}"
    setup = TEMPLATE.read_text(encoding="utf-8")
    assert f'course = "{REPOSITORY}"' in setup, (
        "tools/chapter.md: correct the address in the set-up cell"
    )


def test_every_version_is_pinned():
    loose = [str(line) for line in pins() if not re.fullmatch(r"==[^*]+", str(line.specifier))]
    assert not loose, f"constraints.txt: pin one version of {loose}"


def test_every_requirement_has_a_pin():
    import tomllib

    project = tomllib.loads(read("pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    needed = {canonicalize_name(Requirement(line).name) for group in groups for line in group}
    missing = needed - {"rnncourse"} - {canonicalize_name(line.name) for line in pins()}
    assert not missing, f"constraints.txt has no version of {sorted(missing)}: run `make lock`"


def test_jupyter_book_stays_below_2():
    assert int(pin("jupyter-book").split(".")[0]) < 2, "version 2 ignores _config.yml and _toc.yml"


def test_environment_has_the_same_pytorch():
    environment = yaml.safe_load(read("environment.yml"))["dependencies"]
    wanted = f"pytorch-cpu={pin('torch')}"
    assert wanted in environment, f"environment.yml: write {wanted}, as in constraints.txt"
    (by_pip,) = (entry["pip"] for entry in environment if isinstance(entry, dict))
    assert by_pip[0] == "-c constraints.txt", "environment.yml: take the versions from the list"


def test_nothing_private_or_unfinished_in_the_files(none):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    problems = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if not path.is_file() or b"\0" in (data := path.read_bytes()):
            continue
        for what, pattern in FORBIDDEN.items():
            for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
                if len(line) < 5000 and re.search(pattern, line):
                    problems.append(f"{name}:{number} holds {what}: remove `{line.strip()[:70]}`")
    none(problems)


def imported_at_once():
    """Return the foreign modules that the package's modules import when they are imported."""
    for path in sorted((ROOT / "rnncourse").rglob("*.py")):
        for line in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in line.names] if isinstance(line, ast.Import) else []
            if isinstance(line, ast.ImportFrom) and not line.level:
                names = [line.module]
            for name in {name.partition(".")[0] for name in names}:
                if name != "rnncourse" and name not in sys.stdlib_module_names:
                    yield path.relative_to(ROOT), name


def installed_with(name, extras, found=None):
    """Return the distributions that an installation of a package with some extras brings."""
    found = set() if found is None else found
    for extra in ("", *extras):
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for line in metadata.requires(name) or ():
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                installed_with(canonicalize_name(one.name), one.extras, found)
    return found


def test_the_site_builds_from_what_make_book_installs(none):
    mocked = yaml.safe_load(read("_config.yml"))["sphinx"]["config"]["autodoc_mock_imports"]
    there = {name for name, _ in installed_with("rnncourse", ("book",))}
    of = metadata.packages_distributions()
    none(
        f"{path} imports {name}, which `make book` does not install: import it in the function "
        "that needs it, or add it to autodoc_mock_imports in _config.yml"
        for path, name in imported_at_once()
        if name not in mocked and not there & {canonicalize_name(dist) for dist in of.get(name, ())}
    )
