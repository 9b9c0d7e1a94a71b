"""Inside the kernel: what a submission changed in Python or a library is changed back.

Before the first cell, `watch` notes what the modules hold. Before each graded cell, `restore` puts
it back and returns what it found changed. It stops the usual tricks (a comparison that never
fails), not an attacker who reads this file: only a person reading the submission does that.
"""

import importlib
import sys
from types import FunctionType, ModuleType

# What Python and IPython change themselves.
_NOT_WATCHED = ("__dict__", "__weakref__", "__warningregistry__", "_", "input", "display", "help")
_seen: list[tuple[object, str, dict[str, object]]] = []
_code: list[tuple[FunctionType, str, object]] = []


def watch(*names: str) -> None:
    """Import modules and note what they, and the classes they define, hold."""
    for name in names:
        importlib.import_module(name)
    roots = {name.split(".")[0] for name in names if name.startswith("rnncourse")}
    modules = {*names, *(n for n in sys.modules if n.split(".")[0] in roots)}
    modules.discard(__name__)
    for name in sorted(modules):
        module = sys.modules[name]
        _note(module, name)
        for label, value in list(vars(module).items()):
            if isinstance(value, type) and value.__module__ == name:
                _note(value, f"{name}.{label}")


def _note(holder: object, name: str) -> None:
    held = {key: value for key, value in vars(holder).items() if key not in _NOT_WATCHED}
    _seen.append((holder, name, held))
    functions = [(k, f) for k, f in held.items() if isinstance(f, FunctionType)]
    _code.extend((f, f"{name}.{k}", f.__code__) for k, f in functions)


def restore() -> list[str]:
    """Put back what was noted. Return the names that had changed, modules' new names excepted."""
    changed = []
    for holder, name, held in _seen:
        now = dict(vars(holder))
        for key, value in held.items():
            if key not in now or now[key] is not value:
                try:
                    setattr(holder, key, value)
                except (AttributeError, TypeError):
                    continue  # a slot of a class written in C: no submission could set it either
                changed.append(f"{name}.{key}")
        if isinstance(holder, type) and holder.__module__.startswith("rnncourse."):
            for key in [key for key in vars(holder) if key not in held and key[:2] != "__"]:
                delattr(holder, key)  # it would hide what the class inherits
                changed.append(f"{name}.{key}")
        if isinstance(holder, ModuleType):
            sys.modules[name] = holder
    for function, name, code in _code:
        if function.__code__ is not code:
            function.__code__ = code  # type: ignore[assignment]
            changed.append(name)
    return changed
