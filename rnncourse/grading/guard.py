"""Inside the kernel: what a submission changed in Python or a library is changed back.

Before the first cell, `watch` notes what the modules and the shell hold. Before each graded cell,
`restore` puts it back and returns what it found changed. It stops the usual tricks (a comparison
that never fails, a shell that leaves out assertions), not an attacker who reads this file: only a
person reading the submission does that.
"""

import importlib
import sys
from types import FunctionType, ModuleType
from typing import Any

# What Python and IPython change themselves.
_NOT_WATCHED = {"__dict__", "__weakref__", "__warningregistry__", "_", "input", "display", "help"}
_NOT_WATCHED |= {"get_ipython", "exit", "quit"}
_SHELL = ("ast_transformers", "input_transformers_post")
_TRANSFORMS = ("cleanup_transforms", "line_transforms", "token_transformers")
_seen: list[tuple[object, str, dict[str, object]]] = []
_code: list[tuple[FunctionType, str, object]] = []
_lists: list[tuple[list[Any], str, list[Any]]] = []
_own_names: list[tuple[object, str, set[str]]] = []


def watch(*names: str) -> None:
    """Import modules and note what they, the classes they define, and the shell hold."""
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
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()) is not None:
        _watch_shell(shell)


def _watch_shell(shell: Any) -> None:
    for kind in {*type(shell).__mro__, *type(getattr(shell, "kernel", shell)).__mro__} - {object}:
        _note(kind, f"{kind.__module__}.{kind.__name__}")
    manager = shell.input_transformer_manager
    for holder, names in ((shell, _SHELL), (manager, _TRANSFORMS)):
        for name in names:
            found = getattr(holder, name)
            _lists.append((found, f"IPython's {name}", list(found)))
    methods = [name for name in dir(type(shell)) if name.startswith(("run_", "_run_"))]
    _own_names.append((shell, "IPython's shell", {*methods, "showtraceback", "transform_cell"}))
    _own_names.append((manager, "IPython's transformer", {"transform_cell"}))


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
    for found, name, held_list in _lists:
        if found != held_list:
            found[:] = held_list
            changed.append(name)
    for holder, name, methods in _own_names:
        for key in methods & vars(holder).keys():
            delattr(holder, key)  # it would hide the method of the class
            changed.append(f"{name}: {key}")
    return changed
