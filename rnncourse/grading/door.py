"""The door between a submission and its judge: plain data goes through, and nothing else.

Two processes each hold one end of a socket. Numbers, texts, arrays and containers of these are
sent as JSON. Anything else stays where it is: the other side gets a `Handle`, which it can call,
look at if it has a plain view, and send back. So neither side runs code of the other one, and
nothing is unpickled.

A call copies its arguments. What it changes in them is copied back, as if both sides shared them.
"""

import base64
import builtins
import itertools
import json
import linecache
import re
import socket
import struct
import sys
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

LARGEST = 2**26  # bytes of a message
LONGEST = 2**20  # entries of an iterator
SHOWN = 16  # entries of what a message shows; of a larger array it tells the shape
_PLAIN = "biufcUS"  # kinds of arrays that hold no objects
_CONTAINERS = {tuple: "tuple", set: "set", frozenset: "frozenset"}


class DoorError(Exception):
    """What came, or was to be sent, does not go through the door."""


class Raised(Exception):
    """The other side raised an exception.

    Attributes
    ----------
    name, text, lines
        Its class, its message, and where it came from.
    """

    def __init__(self, name: str, text: str, lines: str = "") -> None:
        super().__init__(f"{name}: {text}" if text else name)
        self.name, self.text, self.lines = name, text, lines


class Door:
    """One end of the door.

    Parameters
    ----------
    connection
        The socket to the other end.
    names
        What the other side may ask for by name.
    """

    def __init__(self, connection: socket.socket, names: Mapping[str, object] | None = None):
        self._file = connection.makefile("rwb")
        self._names = {} if names is None else names
        self._kept: list[object] = []
        self._called: dict[int, str] = {}  # the names under which the other side's things came
        self._last: tuple[str, Any] | None = None

    def get(self, name: str) -> object:
        """Return what the other side has under a name.

        Raises
        ------
        KeyError
            If it has nothing.
        """
        reply = self._ask({"name": name})
        if "value" not in reply:
            raise KeyError(name)
        value = self._unpack(reply["value"])
        if isinstance(value, Handle):
            self._called[value._number] = name
        return value

    @property
    def last_call(self) -> str:
        """What the other side was asked for last, as a line of Python; empty if it was not."""
        if self._last is None:
            return ""
        name, (args, kwargs) = self._last
        given = [_shown(value) for value in args]
        given += [f"{key}={_shown(value)}" for key, value in kwargs["dict"]]
        return f"{name}({', '.join(given)})"

    def call(self, number: int, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call what the other side keeps under a number."""
        given = [list(args), kwargs]
        packed = self._pack(given)
        if number in self._called:
            self._last = self._called[number], packed
        reply = self._ask({"call": number, "with": packed})
        if "changed" in reply:
            _change(given, self._unpack(reply["changed"]))
        if "error" in reply:
            raise Raised(*(str(text) for text in reply["error"]))
        return self._unpack(reply["value"])

    def serve(self) -> None:
        """Answer until the other side has no more questions."""
        while "end" not in (request := self._receive()):
            self._answer(request)

    def end(self) -> None:
        """Tell the other side that there are no more questions."""
        self._send({"end": True})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._send(request)
        while "call" in (reply := self._receive()):  # it needs something first
            self._answer(reply)
        return reply

    def _answer(self, request: dict[str, Any]) -> None:
        reply: dict[str, Any] = {}
        try:
            if "name" in request:
                if request["name"] in self._names:
                    reply["value"] = self._pack(self._names[request["name"]])
            else:
                function: Any = self._kept[request["call"]]
                given: Any = self._unpack(request["with"])
                before = self._pack(given)
                try:
                    reply["value"] = self._pack(function(*given[0], **given[1]))
                finally:
                    if (after := self._pack(given)) != before:
                        reply["changed"] = after
        except Exception as error:
            reply.pop("value", None)
            reply["error"] = [type(error).__name__, str(error)[:2000], _lines(error)]
        self._send(reply)

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        if len(data) > LARGEST:
            message = {"error": ["DoorError", f"a result of more than {LARGEST // 2**20} MB", ""]}
            data = json.dumps(message).encode()
        self._file.write(struct.pack(">I", len(data)) + data)
        self._file.flush()

    def _receive(self) -> dict[str, Any]:
        head = self._file.read(4)
        size = struct.unpack(">I", head)[0] if len(head) == 4 else 0
        if not 0 < size <= LARGEST or len(data := self._file.read(size)) < size:
            raise EOFError("the submission's process broke off")
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            raise DoorError("expected JSON") from None
        if not isinstance(message, dict):
            raise DoorError(f"expected a message, got {type(message).__name__}")
        return message

    def _pack(self, value: Any) -> Any:
        """Return what JSON can hold for a value."""
        kind: Any = type(value)
        if value is None or kind in (bool, str, float):
            return value
        if kind is int:
            return value if abs(value) < 2**63 else self._keep(value, None)
        if kind is list:
            return [self._pack(entry) for entry in value]
        if kind in _CONTAINERS:
            return {_CONTAINERS[kind]: [self._pack(entry) for entry in value]}
        if kind is dict:
            return {"dict": [[self._pack(k), self._pack(v)] for k, v in value.items()]}
        if kind is complex:
            return {"complex": [value.real, value.imag]}
        if kind is bytes:
            return {"bytes": base64.b64encode(value).decode()}
        if kind is range:
            return {"range": [value.start, value.stop, value.step]}
        if kind is np.ndarray and value.dtype.kind in _PLAIN:
            return {"array": _array_out(value)}
        if isinstance(value, np.generic) and value.dtype.kind in _PLAIN:
            return {"number": _array_out(np.asarray(value))}
        if kind is np.random.Generator and type(value.bit_generator) is np.random.PCG64:
            state = value.bit_generator.state
            numbers = [str(n) for n in state["state"].values()]
            return {"generator": [*numbers, state["has_uint32"], state["uinteger"]]}
        if kind is Handle and value._door is self:
            return {"yours": value._number}
        if isinstance(value, int):  # of a class of its own: it may compare as it likes
            return self._pack(int.__int__(value))
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, Iterator) and not isinstance(value, Handle):
            return [self._pack(entry) for entry in itertools.islice(value, LONGEST)]
        return self._keep(value, _view(value))

    def _keep(self, value: object, view: object) -> dict[str, Any]:
        self._kept.append(value)
        found = {"kept": len(self._kept) - 1, "type": type(value).__name__}
        return found if view is None else found | {"view": self._pack(view)}

    def _unpack(self, packed: Any) -> Any:
        """Return the value."""
        if isinstance(packed, list):
            return [self._unpack(entry) for entry in packed]
        if not isinstance(packed, dict):
            return packed
        if "kept" in packed:
            view = self._unpack(packed["view"]) if "view" in packed else None
            return Handle(self, int(packed["kept"]), str(packed.get("type")), view)
        try:
            ((kind, held),) = packed.items()
            if kind == "dict":
                return {self._unpack(k): self._unpack(v) for k, v in held}
            if kind in ("tuple", "set", "frozenset"):
                return getattr(builtins, kind)(self._unpack(entry) for entry in held)
            if kind == "complex":
                return complex(*held)
            if kind == "bytes":
                return base64.b64decode(held)
            if kind == "range":
                return range(*held)
            if kind == "array":
                return _array_in(held)
            if kind == "number":
                return _array_in(held)[()]
            if kind == "generator":
                return _generator(held)
            if kind == "yours":
                return self._kept[held]
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise DoorError(f"expected a value, got {str(packed)[:80]}: {error}") from None
        raise DoorError(f"expected a value, got {str(packed)[:80]}")


def _shown(packed: Any) -> str:
    """Return a value that goes through the door as Python would write it, or its size."""
    if isinstance(packed, list):
        return f"[{_several(packed)}]"
    if not isinstance(packed, dict):
        return f"{packed:.5g}" if isinstance(packed, float) else repr(packed)
    kind, held = next(iter(packed.items()))
    if kind in ("array", "number"):
        value = _array_in(held)
        if value.size > SHOWN:
            return f"an array of shape {value.shape}"
        text = _shown(value.tolist())
        return f"np.array({text})" if value.ndim else text
    if kind == "dict":
        return "{" + ", ".join(f"{_shown(k)}: {_shown(v)}" for k, v in held[:SHOWN]) + "}"
    if kind in ("tuple", "set", "frozenset"):
        text = _several(held)
        return f"({text})" if kind == "tuple" else f"{{{text}}}"
    if kind == "range":
        return f"range({', '.join(map(str, held))})"
    if kind == "complex":
        return f"{complex(*held):.5g}"
    words = {"kept": "a function of the test", "yours": "what your code gave before"}
    return words.get(kind, f"a {kind}")


def _several(packed: list[Any]) -> str:
    rest = f", ... ({len(packed)} in all)" if len(packed) > SHOWN else ""
    return ", ".join(_shown(entry) for entry in packed[:SHOWN]) + rest


class Handle:
    """Something that stayed on the other side of the door.

    It can be called and sent back. Where the other side gave a plain view of it (of a tensor, its
    numbers), it can be read like that.
    """

    def __init__(self, door: Door, number: int, kind: str, view: object) -> None:
        self._door, self._number, self._kind, self._view = door, number, kind, view

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call it where it is."""
        return self._door.call(self._number, args, kwargs)

    def _plain(self) -> Any:
        if self._view is None:
            raise TypeError(f"expected numbers, a text or a list, got {self._kind}")
        return self._view

    def __getattr__(self, name: str) -> Any:
        if name[:1] == "_" or self._view is None:
            raise AttributeError(f"{self._kind}: expected plain data, to read {name!r} from it")
        return getattr(self._view, name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self._plain(), dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [v._plain() if isinstance(v, Handle) else v for v in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._plain())

    def __len__(self) -> int:
        return len(self._plain())

    def __getitem__(self, key: Any) -> Any:
        return self._plain()[key]

    def __contains__(self, entry: object) -> bool:
        return entry in self._plain()

    def __bool__(self) -> bool:
        return True if self._view is None else bool(self._view)

    def __float__(self) -> float:
        return float(self._plain())

    def __int__(self) -> int:
        return int(self._plain())

    def __eq__(self, other: object) -> Any:
        return self._plain() == (other._plain() if isinstance(other, Handle) else other)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{self._kind} of the submission>" if self._view is None else repr(self._view)


def _operator(name: str) -> Any:
    def operate(self: Handle, *others: Any) -> Any:
        plain = [o._plain() if isinstance(o, Handle) else o for o in others]
        return getattr(self._plain(), name)(*plain)

    return operate


for _name in (
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "mod"),
    *("pow", "rpow", "matmul", "rmatmul", "lt", "le", "gt", "ge", "neg", "abs", "and", "or"),
):
    setattr(Handle, f"__{_name}__", _operator(f"__{_name}__"))


def _view(value: Any) -> Any:
    """Return plain data that shows a value; None where there is none."""
    if callable(detach := getattr(value, "detach", None)):  # a tensor, perhaps with a graph
        value = detach().cpu().resolve_conj().numpy()
    for base, plain in ((dict, dict), (list, list), (deque, list), (tuple, tuple), (set, set)):
        if isinstance(value, base):
            return plain(value)
    if hasattr(value, "__array__") and not isinstance(value, type):
        value = np.asarray(value)
        return value.tolist() if value.dtype.kind not in _PLAIN else np.array(value)
    if type(value) in (type({}.keys()), type({}.values()), type({}.items())):
        return list(value)
    return None


def _array_out(value: Any) -> list[Any]:
    value = np.asarray(value)
    data = np.ascontiguousarray(value).tobytes()
    return [value.dtype.str, list(value.shape), base64.b64encode(data).decode()]


def _array_in(held: Any) -> Any:
    dtype = np.dtype(str(held[0]))
    if dtype.kind not in _PLAIN:
        raise ValueError(f"an array of {dtype}")
    data = bytearray(base64.b64decode(held[2]))  # a bytearray can be written to
    return np.frombuffer(data, dtype=dtype).reshape([int(n) for n in held[1]])


def _generator(held: Any) -> np.random.Generator:
    state, increment, has_uint32, uinteger = (int(n) for n in held)
    generator = np.random.PCG64()
    generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": increment},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return np.random.Generator(generator)


def _change(mine: Any, other: Any) -> None:
    """Change my containers so that they hold what the other side's copies hold."""
    if isinstance(mine, np.ndarray) and isinstance(other, np.ndarray):
        if mine.flags.writeable and mine.shape == other.shape:
            mine[...] = other
    elif type(mine) in (list, tuple) and type(other) is type(mine):
        for entry, changed in zip(mine, other, strict=False):
            _change(entry, changed)
        if isinstance(mine, list):
            kept = [_merged(*pair) for pair in zip(mine, other, strict=False)]
            mine[:] = kept + other[len(mine) :]
    elif type(mine) is dict and type(other) is dict:
        for key in [key for key in mine if key not in other]:
            del mine[key]
        for key, changed in other.items():
            if key in mine:
                _change(mine[key], changed)
            mine[key] = _merged(mine[key], changed) if key in mine else changed
    elif type(mine) is set and type(other) is set:
        mine.clear()
        mine.update(other)
    elif isinstance(mine, np.random.Generator) and isinstance(other, np.random.Generator):
        mine.bit_generator.state = other.bit_generator.state


def _merged(mine: Any, other: Any) -> Any:
    """Return my container, which `_change` has changed already, or the other side's value."""
    same = type(mine) is type(other)
    if same and isinstance(mine, np.ndarray):
        return mine if mine.shape == other.shape and mine.flags.writeable else other
    return mine if same and isinstance(mine, list | tuple | dict | set | Handle) else other


def _lines(error: BaseException) -> str:
    """Return where in the submission's cells an error came from."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if re.search(r"ipykernel_|<ipython-input|<cell", frame.filename)
    ]
    found = [
        f"line {f.lineno}, in {f.name}: {f.line or linecache.getline(f.filename, f.lineno or 0)}"
        for f in own
    ]
    return "\n".join(found[-8:])[:2000]


def serve(path: str) -> None:
    """Open the door to the judge from a submission's kernel, and answer."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    with connection:
        Door(connection, vars(sys.modules["__main__"])).serve()
