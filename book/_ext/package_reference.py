"""Sphinx extension: document every public module of a package, found by looking.

``.. package-reference:: rnncourse`` writes one section for the package and one for each public
module below it, so that a new module appears in the reference without anyone listing it.
"""

import ast
import importlib.util
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import _MockObject
from sphinx.util.docutils import SphinxDirective


def public_modules(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and the file of the package and of every public module in it."""
    yield name, folder / "__init__.py"
    for module in sorted(pkgutil.iter_modules([str(folder)]), key=lambda m: m.name):
        child = f"{name}.{module.name}"
        if module.name.startswith("_"):
            continue
        if module.ispkg:
            yield from public_modules(child, folder / module.name)
        else:
            yield child, folder / f"{module.name}.py"


class PackageReference(SphinxDirective):
    """The directive ``package-reference``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write a section for each module that has a docstring, and let autodoc fill it."""
        package = self.arguments[0]
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise self.error(f"package-reference: expected an installed package, got {package!r}")
        table, sections = [], []
        for name, file in public_modules(package, Path(spec.origin).parent):
            self.env.note_dependency(str(file))
            doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
            if doc is None:
                continue
            table += [f":py:mod:`{name}`", f"   {doc.splitlines()[0]}"]
            title = f"``{name}``"
            sections += ["", title, "-" * len(title), "", f".. automodule:: {name}"]
            if file.name != "__init__.py":  # a package only names again what its modules hold
                sections += ["   :members:", "   :show-inheritance:"]
        return self.parse_text_to_nodes("\n".join(table + sections), allow_section_headings=True)


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", signature_from_source)
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
