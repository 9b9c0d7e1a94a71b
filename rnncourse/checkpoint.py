"""Training that resumes after it was killed, and ends at the same bits."""

import copy
import os
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from rnncourse.checks import check_at_least
from rnncourse.training import History


@runtime_checkable
class Stateful(Protocol):
    """What can save and restore its state: a model, optimizer, scheduler, ``EarlyStopping``, ..."""

    def state_dict(self) -> Any:
        """Return the state."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Restore the state."""


Part = Stateful | torch.Generator | np.random.Generator

# What NumPy rebuilds its numbers and arrays from: PyTorch's safe loader does not know it.
_NUMPY: list[Any] = [
    np.ndarray,
    np.dtype,
    np.zeros(0).__reduce__()[0],
    np.float64(0).__reduce__()[0],
]
_NUMPY += {type(np.dtype(c)) for c in "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]}


class Checkpoint:
    """Writes to a file, every few steps, all that training needs to resume from there.

    Use one as ``on_step`` of :func:`~rnncourse.training.fit`, with the history that :meth:`load`
    returns. Where early stopping is used too, it comes first, so that its state is saved with
    the step: ``on_step=lambda *step: stop(*step) or checkpoint(*step)``.

    The file contains the parts, the history, and the state of PyTorch's global random generators,
    which dropout draws from. What could not be loaded again is never written: the states of the
    parts are tensors, NumPy's numbers and arrays, numbers and text, in lists, tuples and
    dictionaries at any depth. The file does not contain the position in the batches. Either make
    the same batches again and skip those that are done: ``len(history)`` of them, as in the
    example, or ``len(history) * accumulate`` where ``fit`` takes several for a step. Or, where a
    random generator alone determines the next batch, pass that generator as a part, and skip none.

    Parameters
    ----------
    path
        The file. Another file is written and then renamed to it, so it is complete at any moment.
    every
        Number of steps from one write to the next.
    parts
        Model, optimizer, scheduler, and all else that changes in training: what has
        ``state_dict`` and ``load_state_dict``, PyTorch generators, NumPy generators.

    Attributes
    ----------
    history
        What :meth:`load` returned.

    Raises
    ------
    TypeError, ValueError
        If ``every`` is not a whole number of at least 1, or a part has no state that can be kept.

    Examples
    --------
    The same lines start training and, after it was killed, resume it. Here the first run ends after
    12 steps, and the second continues from the 10 steps that were saved:

    >>> import itertools, tempfile
    >>> from torch import nn
    >>> from rnncourse.training import fit
    >>> def train(path, steps):
    ...     torch.manual_seed(0)
    ...     model = nn.Linear(1, 1)
    ...     optimizer = torch.optim.Adam(model.parameters())
    ...     checkpoint = Checkpoint(path, every=5, model=model, optimizer=optimizer)
    ...     history = checkpoint.load()
    ...     done = len(history)
    ...     batches = itertools.islice(torch.linspace(-1, 1, 20), done, steps)
    ...     fit(
    ...         model,
    ...         lambda model, x: (model(x[None]) - 3 * x).square().sum(),
    ...         batches,
    ...         optimizer,
    ...         history=history,
    ...         on_step=checkpoint,
    ...         progress=False,
    ...     )
    ...     return done, len(history)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train(f"{folder}/run.pt", 12), train(f"{folder}/run.pt", 20)
    ((0, 12), (10, 20))
    """

    def __init__(self, path: str | Path, *, every: int, **parts: Part) -> None:
        check_at_least("every", every, 1)
        for name, part in parts.items():
            if not isinstance(part, Part):
                raise TypeError(
                    f"{name}: expected state_dict and load_state_dict, a torch.Generator or a "
                    f"numpy.random.Generator, got {part!r}"
                )
        self.path = Path(path)
        self.every = every
        self.parts = parts
        self.history = History()

    def __call__(self, step: int, loss: float) -> None:
        """Save if it is time.

        Raises
        ------
        ValueError
            If ``fit`` was not given the history that :meth:`load` returned.
        """
        if len(self.history) != step + 1:
            raise ValueError(
                f"history: expected fit(history=checkpoint.load()), got a checkpoint with "
                f"{len(self.history)} steps after step {step}"
            )
        if (step + 1) % self.every == 0:
            self.save()

    def save(self) -> None:
        """Write the file, and read it back before it replaces the old one.

        Raises
        ------
        TypeError
            If the state of a part contains something that could not be loaded again. The old file
            stays.
        """
        states = {name: _state(part) for name, part in self.parts.items()}
        content = {
            "parts": states,
            "names": self.history.names,
            "rows": torch.tensor(self.history.rows, dtype=torch.float64, device="cpu"),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all(),  # empty without such a device
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(self.path.name + ".new")
        try:
            with new.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())  # the content is on the disk before the name is
            _read(new, mmap=True)  # the tensors stay on the disk
        except Exception:
            new.unlink(missing_ok=True)
            for name, state in states.items():
                _check_state(name, state)
            raise
        os.replace(new, self.path)

    def load(self) -> History:
        """Restore all parts as they were when the file was written; do nothing if there is none.

        Returns
        -------
        history
            For ``fit``; empty if there is no file.

        Raises
        ------
        ValueError
            If the file is not a checkpoint, or one with other parts. The parts then stay as they
            were.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return self.history
        with file:
            try:
                content = _read(file)
                saved = {**content["parts"]}
                rows = [tuple(row) for row in content["rows"].tolist()]
                history = History(content["names"], rows)
                random, random_cuda = content["random"], content["random_cuda"]
            except Exception as error:  # a damaged file fails in many ways
                raise ValueError(
                    f"path: expected a checkpoint, got {self.path}: {error!r}"
                ) from error
        if saved.keys() != self.parts.keys():
            raise ValueError(f"path: expected the parts {[*self.parts]}, got {[*saved]}")
        before = {name: copy.deepcopy(_state(part)) for name, part in self.parts.items()}
        try:
            for name, part in self.parts.items():
                _set_state(part, saved[name])
            torch.set_rng_state(random)
            torch.cuda.set_rng_state_all(random_cuda[: torch.cuda.device_count()])
        except Exception as error:
            for name, part in self.parts.items():
                _set_state(part, before[name])
            raise ValueError(
                f"path: expected a checkpoint of these parts, got {self.path}: {error!r}"
            ) from error
        self.history = history
        return history


def _read(file: Any, mmap: bool = False) -> Any:
    """Read data and nothing else: a file that would run code is refused."""
    with torch.serialization.safe_globals(_NUMPY):
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)


def _check_state(name: str, state: Any) -> None:
    """Write and read a part's state in memory; if that fails, say whose state it is."""
    try:
        torch.save(state, file := BytesIO())
        file.seek(0)
        _read(file)
    except Exception as error:
        raise TypeError(
            f"{name}: expected a state of tensors, arrays, numbers and text, in lists, tuples and "
            f"dictionaries, got one that cannot be loaded again: {error}"
        ) from error


def _state(part: Part) -> Any:
    if isinstance(part, torch.Generator):
        return part.get_state()
    if isinstance(part, np.random.Generator):
        return part.bit_generator.state
    return part.state_dict()


def _set_state(part: Part, state: Any) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(state)
    elif isinstance(part, np.random.Generator):
        part.bit_generator.state = state
    else:
        part.load_state_dict(state)
