"""What installs is whole: versions, declared imports, the README as an index shows it, contents."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from urllib.parse import urlsplit

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import rnncourse
from tools import package, release
from tools.package import ROOT

SITE = "https://rnncourse.github.io/rnncourse/"
FILES = "https://github.com/rnncourse/rnncourse/blob/main/"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def project():
    return tomllib.loads(read("pyproject.toml"))["project"]


@cache
def declared(extra):
    """Return the requirements of an extra and of the package itself, by name."""
    lines = [*project()["dependencies"], *project()["optional-dependencies"].get(extra, [])]
    found = {}
    for requirement in map(Requirement, lines):
        if requirement.name == "rnncourse":
            for part in requirement.extras:
                found |= declared(part)
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


# Version.


def test_the_version_is_written_once():
    settings = tomllib.loads(read("pyproject.toml"))
    assert "version" not in settings["project"]
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "rnncourse.__version__"}
    assert str(Version(rnncourse.__version__)) == rnncourse.__version__


def test_the_changelog_has_the_version():
    found = release.sections(read("CHANGELOG.md"))
    assert next(iter(found)) == "Unreleased", "CHANGELOG.md: begin with [Unreleased]"
    released = [Version(name) for name in found if name != "Unreleased"]
    assert released == sorted(released, reverse=True), "CHANGELOG.md: the newest first"
    version = Version(rnncourse.__version__)
    if version.is_devrelease:
        assert version > released[0], "rnncourse/__init__.py: the version in work is a later one"
        assert found["Unreleased"], "CHANGELOG.md: say what has changed since the last release"
    else:
        assert found.get(rnncourse.__version__), f"CHANGELOG.md: write [{version}]"
    assert all(re.search(r"^### (Added|Changed|Fixed)", text, re.M) for text in found.values())


def test_what_is_cited_is_the_last_release():
    (last,) = [name for name in release.sections(read("CHANGELOG.md")) if name != "Unreleased"][:1]
    assert release.cited(read("CITATION.cff")) == last, f"CITATION.cff: write version {last}"
    (day,) = re.findall(rf"^## \[{re.escape(last)}\] - (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert f"date-released: {day}\n" in read("CITATION.cff"), f"CITATION.cff: released {day}"


GOOD = ("v1.2.0", "1.2.0", "# Log\n\n## [Unreleased]\n\n## [1.2.0] - today\n\nNew.\n\n[1.2.0]: x\n")


def test_the_notes_of_a_release():
    assert release.sections(GOOD[2]) == {"Unreleased": "", "1.2.0": "New."}
    assert list(release.problems(*GOOD, "version: 1.2.0\n")) == []
    assert list(release.problems("v1.2.0rc1", "1.2.0rc1", GOOD[2].replace("1.2.0", "1.2.0rc1"),
                                 "version: 1.1.0")) == []  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "version", "citation", "message"),
    [
        ("v1.2.1", "1.2.0", "1.2.0", "the tag is v1.2.1, and rnncourse.__version__ is 1.2.0"),
        ("1.2.0", "1.2.0", "1.2.0", "expected v1.2.0"),
        ("v1.3.0", "1.3.0", "1.3.0", r"expected a section \[1.3.0\]"),
        ("v1.2.0", "1.2.0", "1.1.0", "CITATION.cff: expected version 1.2.0, got 1.1.0"),
        ("v1.2.0.dev0", "1.2.0.dev0", "1.2.0", "a version in work is not released"),
        ("vnext", "next", "next", "expected a version such as"),
    ],
)
def test_a_wrong_release_is_refused(tag, version, citation, message):
    found = "\n".join(release.problems(tag, version, GOOD[2], f"version: {citation}\n"))
    assert re.search(message, found)


def test_the_command_refuses_the_version_in_work(capsys, monkeypatch):
    monkeypatch.setattr(release, "__version__", "0.2.0.dev0")
    assert release.main(["v0.2.0"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "the tag is v0.2.0, and rnncourse.__version__ is 0.2.0.dev0" in err


# Requirements.


@cache
def distributions():
    return metadata.packages_distributions()


OURS = {"rnncourse", "tests", "tools"}


def undeclared(path, *extras):
    """Say what a file imports and none of the extras declares."""
    have = {name for extra in extras for name in declared(extra)}
    for name in sorted(package.imports(path) - OURS):
        found = [package.BROUGHT.get(name, name)]
        brought_by = {canonicalize_name(by) for by in distributions().get(found[0], found)}
        if not brought_by & have:
            yield f"{path.relative_to(ROOT)} imports {name}, which {extras} do not declare"


def test_every_import_of_the_package_is_declared(none):
    problems = []
    for module in package.modules(ROOT / "rnncourse"):
        path = package.file_of(module, ROOT)
        path = path / "__init__.py" if path.is_dir() else path
        problems += undeclared(path, package.extra_of(module))
    assert len(problems) == len(set(problems))
    none(problems)


def test_every_import_of_tests_and_tools_is_declared(none):
    problems = []
    for path in (*ROOT.glob("tests/**/*.py"), *ROOT.glob("tools/*.py"), ROOT / "conftest.py"):
        carried = path.relative_to(ROOT).parts[1:2] not in [(n,) for n in package.BOOK_TESTS]
        ours = path.parts[-2] == "tools" or path.name == "conftest.py" or not carried
        problems += undeclared(path, *(["test", "release"] if ours else ["test-package"]))
    none(problems)


def listed(text):
    """Return the dotted names in a drawing of folders, and what is said of each."""
    found, folder = {}, ""
    for deeper, name, said in re.findall(r"^    (│   )?[├└]── (\w+)\s+(.+)$", text, re.MULTILINE):
        folder = folder if deeper else name
        found[f"{folder}.{name}" if deeper else name] = said
    return found


def test_the_package_says_where_each_module_is(none):
    found = listed(rnncourse.__doc__)
    assert found["torch.gru"].startswith("GRU")
    names = {name.partition(".")[2] for name in package.modules(ROOT / "rnncourse")}
    names = {n for n in names if n and not any(p.startswith("_") for p in n.split("."))}
    shown = ("reference.", "torch.", "data.")  # of the other folders only what a reader needs
    wanted = {n for n in names if "." not in n or n.startswith(shown)}
    assert len(wanted) > 50
    where = "rnncourse/__init__.py, 'Where things are'"
    problems = [f"{where}: {name} is missing" for name in sorted(wanted - {*found})]
    none(problems + [f"{where}: there is no {name}" for name in sorted({*found} - names)])


def test_an_undeclared_import_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "x.py"
    path.write_text("import os\nimport numpy\ndef f():\n    import_module('sklearn.x')\n")
    (problem,) = undeclared(path, "torch")
    assert "imports sklearn" in problem
    assert list(undeclared(path, "notebooks")) == []


def test_each_module_that_needs_an_extra_is_there():
    modules = package.modules(ROOT / "rnncourse")
    for name in (*package.NEEDS, *package.LATE, *package.NOT_HERE):
        assert name in modules
    assert package.extra_of("rnncourse.torch.gru") == "torch"
    assert package.extra_of("rnncourse.torches") == package.extra_of("rnncourse") == ""


def test_what_the_package_imports_has_a_lowest_version():
    lines = [*project()["dependencies"], *project()["optional-dependencies"]["torch"]]
    lines += [r for r in project()["optional-dependencies"]["notebooks"] if r[:3] != "rnn"]
    tools = {"ipykernel", "jupytext", "nbclient"}  # which run notebooks; no module imports them
    loose = {Requirement(r).name for r in lines if ">=" not in r}
    assert loose - tools == set(), f"pyproject.toml: say from which version on {loose} will do"


def test_pytorch_is_asked_for_in_the_versions_that_were_tried():
    tried = re.search(r"^TRIED = (\(.*\))$", read("tests/torch/test_private.py"), re.MULTILINE)
    versions = sorted(map(Version, ast.literal_eval(tried[1])))
    bounds = {s.operator: Version(s.version) for s in declared("torch")["torch"].specifier}
    last = versions[-1]
    assert bounds == {">=": versions[0], "<": Version(f"{last.major}.{last.minor + 1}")}, (
        "pyproject.toml and TRIED in tests/torch/test_private.py: name the same versions"
    )
    assert f"PyTorch {versions[0]} to {last}" in read("README.md"), "README.md: name the versions"


def test_the_pins_are_within_the_bounds():
    pins = [Requirement(line) for line in read("constraints.txt").splitlines() if "==" in line]
    versions = {(pin.name, str(pin.specifier).removeprefix("==")) for pin in pins}
    for extra in project()["optional-dependencies"]:
        for name, requirement in declared(extra).items():
            for pinned, version in versions:
                if pinned == name:
                    assert requirement.specifier.contains(version, prereleases=True), requirement


def test_pins_to_the_oldest_versions():
    lines = ["numpy<3,>=2.0", "torch<2.14,>=2.13; extra == 'torch'", "pytest; extra == 'test'"]
    assert package.oldest(lines) == ["numpy==2.0", "torch==2.13"]
    assert not package.pin_missed("torch==2.13", {"torch": "2.13.0+cpu"})
    assert package.pin_missed("numpy==2.0", {"numpy": "2.0.1"})


# One list of Python versions: the classifiers.


def test_the_versions_of_python_are_the_same_everywhere():
    start = "Programming Language :: Python :: 3."
    minors = [int(c[len(start) :]) for c in project()["classifiers"] if c.startswith(start)]
    first, last = minors[0], minors[-1]
    assert minors == list(range(first, last + 1))
    assert project()["requires-python"] == f">=3.{first}"
    assert f"(3, {first}) <= sys.version_info < (3, {last + 1})" in read("Makefile")
    workflow = yaml.safe_load(read(".github/workflows/test.yml"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == [f"3.{n}" for n in minors]
    listed = ", ".join(f"3.{n}" for n in minors[:-1]) + f" or 3.{last}"
    pages = ["Makefile", "README.md", "CONTRIBUTING.md", *(f"book/{p.name}" for p in BOOK)]
    spans = [
        (page, span)
        for page in pages
        for span in re.findall(r"Python (3\.\d+(?:(?:, | or | to )3\.\d+)+)", read(page))
    ]
    assert len(spans) > 4
    assert {s for _, s in spans} <= {listed, f"3.{first} to 3.{last}"}, spans


BOOK = sorted((ROOT / "book").glob("*.md"))


def test_nothing_but_grading_needs_a_unix():
    """``resource`` and the like are missing on Windows."""
    here = [name for name in package.BROUGHT if find_spec(name)]
    left_out = set(package.left_out(ROOT / "rnncourse", here))
    names = [
        module
        for module in package.modules(ROOT / "rnncourse")
        if not left_out & {(path := package.file_of(module, ROOT)), *path.parents}
    ]
    assert "rnncourse.grading" not in names
    assert "rnncourse.torch" in names
    code = (
        "import sys, numpy, torch, torch.profiler, matplotlib.pyplot, PIL.Image, tqdm, filelock\n"
        "for name in ('fcntl', 'grp', 'pwd', 'resource', 'termios'):\n"
        "    sys.modules[name] = None\n"
        f"import {', '.join(names)}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# README.


def links(text):
    """Return the targets of all links and images of a page."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)", text)


def leads_nowhere(link):
    """Whether a link is relative, or leads to a page or a file that we do not have."""
    if link.startswith(FILES):
        return not (ROOT / link.removeprefix(FILES)).is_file()
    if link.startswith(SITE):
        path = urlsplit(link.removeprefix(SITE)).path
        if path.startswith("_static/"):
            return not (ROOT / "book" / path).is_file()
        stem = ROOT / path.removesuffix(".html")
        return path != "" and not any(stem.with_suffix(end).is_file() for end in (".md", ".rst"))
    return not urlsplit(link).netloc


def test_links_of_the_readme_hold_on_any_page():
    found = links(read("README.md"))
    assert len(found) > 8
    assert [link for link in found if leads_nowhere(link)] == [], "README.md: write whole addresses"
    wrong = ["book/x.svg", "#a", FILES + "x", SITE + "book/x.html", SITE + "_static/x.svg"]
    assert all(map(leads_nowhere, wrong))
    assert links('![a\nb](c) <img src="d"> [e](f)\n```python\nx[0](g)\n```\n') == ["c", "f", "d"]


def test_addresses_of_the_project_lead_somewhere():
    for name, address in project()["urls"].items():
        assert name in ("Source", "Issues") or not leads_nowhere(address), address


def test_the_code_of_the_readme_runs(capsys):
    code = package.examples(read("README.md"))
    assert "from_torch" in code
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["gru"].weight_hh_l0.grad is not None
    assert names["ours"].weight_hh_l0 is names["theirs"].weight_hh_l0


def test_the_figures_of_the_readme_are_those_of_the_benchmark():
    kinds = {"training": 1, "inference": 2}
    row = r"^\| (\w+) \| (training|inference) \| [\d.]+, [\d.]+ \| ([\d.]+), [\d.]+ \|$"
    measured = re.findall(row, read("book/benchmarks.md"), re.MULTILINE)
    assert len(measured) == 6
    for layer, step, ratio in measured:
        (cells,) = re.findall(
            rf"^\| `{layer}` \| ([\d.]+) \| ([\d.]+) \|$", read("README.md"), re.M
        )
        written = cells[kinds[step] - 1]
        assert abs(float(written) - float(ratio)) < 0.051, (  # one digit of two
            f"README.md: {layer}, {step}: the benchmark has {ratio}, and not {written}"
        )


def test_every_command_is_told():
    makefile = read("Makefile")
    steps = re.search(r"^STEPS = (.*)$", makefile, re.MULTILINE)[1].split()
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE)) - {"help", *steps}
    pages = read("README.md") + read("CONTRIBUTING.md")
    rows = re.findall(r"^\| `make ([^|]+)\|", pages, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"\b[a-z]+\b", row.replace("make", ""))}
    assert targets - told == set(), "README.md or CONTRIBUTING.md: name these commands"
    assert told - targets == set(), "README.md or CONTRIBUTING.md: there are no such commands"


# Contents.


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Return wheel and sdist, built from a copy of the files that git knows."""
    folder = tmp_path_factory.mktemp("built")
    for name in package.known_files():
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "tree" / name)
    code = (
        "import setuptools.build_meta as b; "
        f"b.build_wheel({str(folder)!r}); b.build_sdist({str(folder)!r})"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=folder / "tree", check=True, capture_output=True
    )
    return package.built(folder)


def test_the_wheel_holds_the_package_alone(archives):
    names = package.names_in(archives[0])
    assert list(package.wrong_wheel(names)) == []
    assert "rnncourse/py.typed" in names
    assert "rnncourse/experiments/adding_start.csv" in names
    assert not [name for name in names if name.startswith(("tests", "tools", "book"))]


def test_the_sdist_holds_the_tests(archives):
    names = package.names_in(archives[1])
    assert list(package.wrong_sdist(names)) == []
    assert {"tests/torch/agreement.py", "tests/conftest.py", package.SETTINGS} <= names
    assert not [name for name in names if "problem" in name or "solution" in name]


def test_wrong_contents_are_found(archives):
    wheel, sdist = map(package.names_in, archives)
    (lacks,) = package.wrong_wheel(wheel - {"rnncourse/py.typed"})
    assert "lacks rnncourse/py.typed" in lacks
    (holds,) = package.wrong_wheel(wheel | {"tests/conftest.py"})
    assert "holds tests/conftest.py" in holds
    (lacks,) = package.wrong_sdist(sdist - {"tests/torch/agreement.py"})
    assert "lacks tests/torch/agreement.py" in lacks
    (holds,) = package.wrong_sdist(sdist | {"tests/problem_sets/set_01.py"})
    assert "holds tests/problem_sets/set_01.py" in holds


def test_the_metadata_say_what_pyproject_says(archives):
    found = package.requirements_of(archives[0])
    assert archives[0].name == f"rnncourse-{rnncourse.__version__}-py3-none-any.whl"
    pins = package.oldest(found)
    assert {Requirement(pin).name for pin in pins} >= {"numpy", "torch", "pillow", "statsmodels"}


def test_a_folder_without_archives_is_refused(tmp_path, capsys):
    assert package.main(["--dist", str(tmp_path), "test", "newest"]) == 1
    assert "expected one wheel and one sdist" in capsys.readouterr().err
    assert package.main(["test", "eldest"]) == 1
    assert "expected oldest or newest, got 'eldest'" in capsys.readouterr().err


# Workflows.


def workflow(name):
    return yaml.safe_load(read(f".github/workflows/{name}.yml"))


def test_a_release_is_checked_tested_and_only_then_published():
    jobs = workflow("release")["jobs"]
    said = [step.get("run", "") for step in jobs["check"]["steps"]]
    assert any("tools.release" in line for line in said)
    assert jobs["test"]["uses"] == "./.github/workflows/package.yml"
    assert jobs["test"]["needs"] == "check"
    publish = jobs["publish"]
    assert publish["needs"] == ["check", "test"]
    assert publish["environment"] == "pypi"
    assert publish["permissions"] == {"id-token": "write"}
    assert jobs["notes"]["needs"] == "publish"
    asking = [name for name, job in jobs.items() if "write" in str(job.get("permissions"))]
    assert sorted(asking) == ["notes", "publish"]


def test_the_package_is_tested_on_three_systems_and_at_both_ends():
    cases = workflow("package")["jobs"]["test"]["strategy"]["matrix"]["include"]
    assert {case["system"] for case in cases} == {"ubuntu", "macos", "windows"}
    assert {case["versions"] for case in cases} == set(package.VERSIONS)
    oldest = {case["python"] for case in cases if case["versions"] == "oldest"}
    assert oldest == {project()["requires-python"].removeprefix(">=")}
