"""Sphinx extension: a page for each public module of a package, found by looking.

Before Sphinx looks for its sources, ``book/package`` gets one file for each module, so that a new
module has a page without anyone listing it. git ignores these files. ``.. package-reference::``
writes the list of them, in the order in which a reader needs them: the groups of ``ORDER``, and in
a group the order of the tree in the package's docstring.
"""

import ast
import importlib.util
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.ext.autodoc.mock import _MockObject
from sphinx.util.docutils import SphinxDirective

PACKAGE = "rnncourse"
FOLDER = "book/package"
START = "book/api"
ORDER = ("torch", "training", "decoding", "metrics", "data", "reference", "weights", "checkpoint")
GROUPS = {
    "torch": "Layers for PyTorch",
    "training": "Train, decode, measure",
    "data": "Data",
    "reference": "The same models in NumPy, to read",
    "weights": "Save, resume, draw, check",
    "experiments": "Experiments",
    "grading": "Problem sets",
}
"""The first module of each part of the list, and the heading of that part."""


def package_root() -> Path:
    """Return the folder that holds the package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ExtensionError(f"package_reference: {PACKAGE} is not installed")
    return Path(spec.origin).parent.parent


def doc_of(file: Path) -> str | None:
    """Return the docstring of a module, which is not imported."""
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))


@cache
def modules(root: Path) -> dict[str, Path]:
    """Return the names and files of the public modules with a docstring, as a reader needs them."""
    found = {}
    for file in sorted((root / PACKAGE).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if len(parts) > 1 and not any(part.startswith("_") for part in parts) and doc_of(file):
            found[".".join(parts[1:])] = file
    tree = re.findall(r"[├└]── (\w+)", doc_of(root / PACKAGE / "__init__.py") or "")

    def place(name: str) -> tuple[int, int, int, str]:
        group, *inner = name.split(".")
        last = inner[-1] if inner else ""
        group_at = ORDER.index(group) if group in ORDER else len(ORDER)
        return (
            group_at + (group in ("experiments", "grading")),
            tree.index(group) if group in tree else len(tree),
            (tree.index(last) if last in tree else len(tree)) if inner else -1,
            name,
        )

    return {name: found[name] for name in sorted(found, key=place)}


def has_page(name: str) -> bool:
    """Tell whether a module has its own page; the experiments share one."""
    return not name.startswith("experiments.") or name == "experiments.machine"


def page_of(name: str, root: Path) -> Iterator[str]:
    """Yield the lines of a module's page."""
    title = f"``{PACKAGE}.{name}``"
    yield from (":orphan:", "", title, "=" * len(title), "")
    yield f".. automodule:: {PACKAGE}.{name}"
    if modules(root)[name].name != "__init__.py":  # a package only names what its modules hold
        yield from ("   :members:", "   :show-inheritance:")
    if name == "experiments":
        for other in modules(root):
            if not has_page(other):
                short = f"``{other.removeprefix('experiments.')}``"
                yield from ("", short, "-" * len(short), "", f".. automodule:: {PACKAGE}.{other}")


def write_pages(app: Sphinx) -> None:
    """Write the page of each module where it changed, and remove those of modules that are gone."""
    if not (Path(app.srcdir) / f"{START}.rst").exists():
        return  # an edition in another language, which leads to the English pages
    root = package_root()
    (folder := Path(app.srcdir) / FOLDER).mkdir(exist_ok=True)
    modules.cache_clear()
    names = filter(has_page, modules(root))
    pages = {f"{name}.rst": "\n".join(page_of(name, root)) for name in names}
    for file in folder.iterdir():
        if file.name not in pages:
            file.unlink()
    for name, text in pages.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text + "\n":
            file.write_text(text + "\n", encoding="utf-8")


class PackageReference(SphinxDirective):
    """The directive ``package-reference``."""

    def run(self) -> list[nodes.Node]:
        """List the modules by part, each with the first line of its docstring."""
        root = package_root()
        lines: list[str] = []
        for name, file in modules(root).items():
            self.env.note_dependency(str(file))
            if not has_page(name):
                continue
            if name in GROUPS:
                lines += ["", GROUPS[name], "-" * len(GROUPS[name]), ""]
            first = (doc_of(file) or "").splitlines()[0]
            lines += [f":doc:`{PACKAGE}.{name} </{FOLDER}/{name}>`", f"   {first}"]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def add_menu(
    app: Sphinx, name: str, template: str, context: dict[str, object], tree: nodes.document | None
) -> None:
    """Give a module's page its neighbors, and the list of all modules in place of the course's."""
    if not name.startswith(f"{FOLDER}/"):
        return
    module = name.removeprefix(f"{FOLDER}/")
    names = [one for one in modules(package_root()) if has_page(one)]
    at = names.index(module)
    pages = [{"title": f"<code>{one}</code>", "link": f"{one}.html"} for one in names]
    start = {"title": app.env.titles[START].astext(), "link": f"../{START.split('/')[1]}.html"}
    context["prev"] = pages[at - 1] if at else start
    context["next"] = pages[at + 1] if at + 1 < len(pages) else None
    context["package_start"], context["package_pages"] = start, list(zip(names, pages, strict=True))
    context["package_module"] = module
    file = modules(package_root())[module].relative_to(package_root()).as_posix()
    context["edit_page_url_template"] = str(context["edit_page_url_template"]).replace(
        "{{ file_name | replace('.ipynb', '.md') }}", f"{file}{{# file_name #}}"
    )


def signature_from_source(
    app: Sphinx, what: str, name: str, obj: object, options: object, *default: str | None
) -> tuple[str | None, str | None] | None:
    """Write a signature as the source does, with its short names of types."""
    if inspect.isclass(obj):
        if "__init__" not in vars(obj):
            return ("", None) if getattr(obj, "__sphinx_mock__", False) else None
        obj = obj.__init__  # type: ignore[misc]
    try:
        node = ast.parse(textwrap.dedent(inspect.getsource(obj))).body[0]  # type: ignore[arg-type]
    except (OSError, TypeError, ValueError):
        return None  # written by Python itself, as for a dataclass, or a stand-in
    if not isinstance(node, ast.FunctionDef):
        return None
    static = any(getattr(d, "id", "") == "staticmethod" for d in node.decorator_list)
    if what in ("class", "method") and not static and (node.args.posonlyargs or node.args.args):
        del (node.args.posonlyargs or node.args.args)[0]
    returns = node.returns if what != "class" else None
    return f"({ast.unparse(node.args)})", returns and ast.unparse(returns)


def skip_field_numbers(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out the fields of a named tuple: its signature lists them already."""
    return (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") or None


def keep_attribute_text(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking what stands before a colon in a first line for a type."""
    if what in ("attribute", "data") and lines:
        lines.insert(0, "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("builder-inited", write_pages)
    app.connect("html-page-context", add_menu, priority=400)
    app.connect("autodoc-process-signature", signature_from_source)
    app.connect("autodoc-process-docstring", keep_attribute_text, priority=400)
    app.connect("autodoc-skip-member", skip_field_numbers)
    # ``torch.Tensor | None`` must not fail where torch is a stand-in.
    _MockObject.__or__ = _MockObject.__ror__ = lambda self, other: self  # type: ignore[attr-defined]
    # In ``class Layer(nn.Module, Generic[T])`` a stand-in must not pass for a type variable.
    stand_in = _MockObject.__getattr__

    def attribute(self: _MockObject, name: str) -> object:
        if name in ("__typing_subst__", "__parameters__"):
            raise AttributeError(name)
        return stand_in(self, name)

    _MockObject.__getattr__ = attribute  # type: ignore[method-assign]
    app.add_directive("package-reference", PackageReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
