"""One training loop for the whole course."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from inspect import Parameter, signature
from itertools import islice
from types import MethodType
from typing import Any, Protocol, SupportsFloat, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from rnncourse.checks import check_at_least
from rnncourse.torch.private import norms, scale_

Model = TypeVar("Model", bound=nn.Module)
Batch = TypeVar("Batch")
Floats = NDArray[np.float64]


class Scheduler(Protocol):
    """What changes the learning rate, such as the classes of ``torch.optim.lr_scheduler``."""

    @property
    def step(self) -> Callable[..., object]:
        """Take note that a training step is done, and of its loss if the class asks for it."""


@dataclass
class History:
    """What happened in training: one row per step.

    Attributes
    ----------
    names
        Names of the P parameters.
    rows
        The loss, the seconds and the P gradient norms of each step.
    """

    names: list[str] = field(default_factory=list)
    rows: list[tuple[float, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def losses(self) -> Floats:
        """Loss of each step, before its update, ``(steps,)``."""
        return np.array([row[0] for row in self.rows])

    @property
    def seconds(self) -> Floats:
        """Seconds that each step took, including the fetching of its batch, ``(steps,)``."""
        return np.array([row[1] for row in self.rows])

    @property
    def parameter_norms(self) -> Floats:
        """Norm of the gradient of each parameter, before clipping, ``(steps, P)``."""
        return np.array([row[2:] for row in self.rows]).reshape(len(self), len(self.names))

    @property
    def grad_norms(self) -> Floats:
        """Norm of all gradients together, before clipping, ``(steps,)``."""
        return np.array([math.hypot(*row[2:]) for row in self.rows])


class DivergenceError(RuntimeError):
    """Training has stopped because the loss or a gradient is no longer a finite number.

    Attributes
    ----------
    step
        The step, counted from 0. It is the last row of ``history``.
    loss
        The loss of that step.
    parameter
        Name of the parameter whose gradient was the first not to be finite, in the order in which
        the backward pass finished them; None if all are finite.
    group
        Number of that parameter's group in the optimizer, or None.
    history
        All steps up to this one.
    """

    def __init__(
        self, loss: float, parameter: str | None, group: int | None, history: History
    ) -> None:
        self.step = len(history) - 1
        self.loss = loss
        self.parameter = parameter
        self.group = group
        self.history = history
        if parameter is None:
            where = "all gradients are finite"
        else:
            where = (
                f"in the backward pass the gradient of {parameter} (optimizer group {group}) was "
                f"the first that is not finite"
            )
        message = f"step {self.step}: the loss is {loss:.4g}; {where}."
        if self.step:
            norms = history.rows[-2][2:]
            largest = max(range(len(norms)), key=norms.__getitem__)
            message += (
                f" One step before, the largest gradient was that of {history.names[largest]}, "
                f"with norm {norms[largest]:.4g}."
            )
        super().__init__(message + " The parameters are as they were before this step.")

    def __reduce__(self) -> tuple[Any, ...]:
        # For copies and pickles: an exception's own method calls __init__ with the message alone.
        return RuntimeError.__new__, (type(self), *self.args), vars(self)


def fit(
    model: Model,
    loss: Callable[[Model, Batch], Tensor],
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    *,
    clip_norm: float | None = None,
    scheduler: Scheduler | None = None,
    accumulate: int = 1,
    scaler: torch.amp.GradScaler | None = None,
    on_step: Callable[[int, float], bool | None] | None = None,
    history: History | None = None,
    progress: bool = True,
    desc: str = "",
) -> History:
    """Take one training step per batch, and stop as soon as a number is no longer finite.

    The model is put into training mode. A loss or gradient that is not finite is found before
    the update, so it never reaches the parameters.

    For mixed precision, compute the loss under ``torch.autocast``. In bfloat16 nothing else is
    needed; in float16 small gradients become zero unless a ``scaler`` enlarges the loss.

    Parameters
    ----------
    model
        What is trained.
    loss
        Takes the model and a batch, returns the mean loss as a scalar tensor.
    batches
        Anything that can be iterated over; only ``loss`` looks into a batch.
    optimizer
        Holds the parameters that are trained.
    clip_norm
        If all gradients together have a larger norm than this, they are scaled down to it.
    scheduler
        Its ``step`` is called after each update. One that looks at a value, such as
        ``ReduceLROnPlateau``, gets the loss of the step; to give it a different value, such as the
        validation loss, call it in ``on_step`` instead.
    accumulate
        How many batches make one step: the mean of their gradients is that of one batch with all of
        them, if they have the same number of terms. A remainder of fewer batches is a step too.
    scaler
        Enlarges the loss, and scales its gradients back before they are measured and clipped. A
        step whose enlarged gradients overflow lowers the scale and leaves the parameters alone; its
        row then has norms that are not finite.
    on_step
        Called after each update with the step and its loss; training ends if it returns True.
        Use it for :class:`EarlyStopping`, a :class:`~rnncourse.checkpoint.Checkpoint` or
        records of your own.
    history
        One to continue, as an earlier call returned it, or an empty one. It is extended in
        place, so it also survives an interrupt. To continue within the same batches, skip the
        first ``len(history) * accumulate`` of them: a row of it is a step, and not a batch.
    progress
        Show a progress bar, until training is over. ``TQDM_DISABLE=1`` in the environment of
        Python hides all of them.
    desc
        Text in front of the bar.

    Returns
    -------
    history
        Losses, gradient norms and times, step by step.

    Raises
    ------
    DivergenceError
        If the loss is not finite or, without a scaler, the norm of a parameter's gradient is not.
    TypeError, ValueError
        If the loss is not a scalar tensor that depends on a parameter, a gradient is sparse, the
        optimizer computes the loss itself (``LBFGS``), ``clip_norm`` is not positive,
        ``accumulate`` is less than 1, the optimizer has nothing to train, or the history is one
        of other parameters.

    Examples
    --------
    >>> model = nn.Linear(1, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> x = torch.linspace(-1, 1, 16)[:, None]
    >>> def loss(model, batch):
    ...     return (model(batch) - 3 * batch).square().mean()
    >>> history = fit(model, loss, [x] * 200, optimizer, progress=False)
    >>> len(history), bool(history.losses[-1] < 1e-6)
    (200, True)
    """
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm: expected a positive number, got {clip_norm}")
    check_at_least("accumulate", accumulate, 1)
    if _required(MethodType(type(optimizer).step, optimizer)):  # its own: schedulers wrap it
        got = type(optimizer).__name__
        raise TypeError(f"optimizer: expected one whose step needs no closure, got {got}")
    takes_loss = scheduler is not None and _required(scheduler.step)
    known = {id(p): name for name, p in model.named_parameters()}
    parameters: list[Tensor] = []
    names, groups = [], []
    for g, group in enumerate(optimizer.param_groups):
        for i, p in enumerate(group["params"]):
            if p.requires_grad:
                parameters.append(p)
                names.append(known.get(id(p), f"group {g}, parameter {i}"))
                groups.append(g)
    if not parameters:
        raise ValueError("optimizer: expected a parameter that requires a gradient, got none")
    if history is None:
        history = History()
    if not history.rows:
        history.names = names
    elif history.names != names:
        raise ValueError(f"history: expected one of {names}, got one of {history.names}")

    arrived: list[int] = []  # in the order in which the backward pass finishes the gradients
    hooks = [
        p.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
            lambda _, i=i: arrived.append(i)
        )
        for i, p in enumerate(parameters)
    ]
    # Only an argument that is passed overrides TQDM_DISABLE.
    bar = tqdm(batches, desc=desc, leave=False, **({} if progress else {"disable": True}))
    model.train()
    start = time.perf_counter()
    try:
        for together in _groups(bar, accumulate):
            optimizer.zero_grad()
            arrived.clear()
            result = torch.zeros((), device="cpu")
            for batch in together:
                part = _scalar(loss(model, batch)) / len(together)
                if not part.requires_grad:
                    raise ValueError(
                        "loss: expected a tensor that depends on parameters, got a constant"
                    )
                torch.autograd.backward(part if scaler is None else scaler.scale(part))
                result = result + part.detach()
            if scaler is not None:
                scaler.unscale_(optimizer)
            present = sorted(set(arrived))
            gradients = [grad for i in present if (grad := parameters[i].grad) is not None]
            if not gradients:
                raise ValueError(
                    "loss: expected a tensor that depends on the optimizer's parameters"
                )
            if any(grad.is_sparse for grad in gradients):
                raise TypeError("loss: expected dense gradients, got a sparse one")
            # One call for all norms and one transfer: the only wait for the device in a step.
            # Stacked they have the widest dtype, so a loss in half precision rounds no norm.
            norms_found = norms(gradients)
            value, *found = torch.stack(
                [norm.to(result.device) for norm in (result, *norms_found)]
            ).tolist()
            sizes = [0.0] * len(parameters)
            for i, size in zip(present, found, strict=True):
                sizes[i] = size

            checked = (value, *sizes) if scaler is None else (value,)
            if not all(map(math.isfinite, checked)):
                history.rows.append((value, time.perf_counter() - start, *sizes))
                first = next((i for i in arrived if not math.isfinite(sizes[i])), None)
                if first is None:
                    raise DivergenceError(value, None, None, history)
                raise DivergenceError(value, names[first], groups[first], history)

            total = math.hypot(*sizes)
            if clip_norm is not None and total > clip_norm:
                scale_(gradients, clip_norm / total)
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
            if scheduler is not None:
                scheduler.step(*[value] * takes_loss)
            now = time.perf_counter()
            history.rows.append((value, now - start, *sizes))
            start = now
            bar.set_postfix_str(f"loss {value:.3f}", refresh=False)
            if on_step is not None and on_step(len(history) - 1, value):
                break
    finally:
        bar.close()
        for hook in hooks:
            hook.remove()
    return history


def evaluate(
    model: Model,
    loss: Callable[[Model, Batch], Tensor],
    batches: Iterable[Batch],
    count: Callable[[Batch], SupportsFloat] | None = None,
) -> float:
    """Return the mean loss, without gradients and in evaluation mode.

    Parameters
    ----------
    model, loss, batches
        As in :func:`fit`. The mode of each of the model's modules is restored at the end.
    count
        Takes a batch, returns how many tokens its loss is the mean of, as a number or as a tensor;
        a batch with none is left out. Without it all batches count equally, which is right if they
        have as many tokens.

    Returns
    -------
    loss
        Mean over all tokens.

    Raises
    ------
    TypeError, ValueError
        If the loss is not a scalar tensor, or there is no batch, or no token in any.

    Examples
    --------
    >>> def loss(model, batch):
    ...     return batch.mean()
    >>> evaluate(nn.Identity(), loss, [torch.zeros(3), torch.ones(1)], count=len)
    0.25
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    total = tokens = 0.0
    try:
        with torch.no_grad():
            for batch in batches:
                n = 1.0 if count is None else float(count(batch))
                if n:
                    total += n * _scalar(loss(model, batch)).item()
                    tokens += n
    finally:
        model.train(modes[model])
        for module, mode in modes.items():
            module.training = mode
    if tokens == 0:
        raise ValueError("batches: expected at least one token, got none")
    return total / tokens


def _groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yield lists of ``size`` batches; the last may be shorter."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group


def _required(function: Callable[..., object]) -> bool:
    """Whether a function has an argument that cannot be left out."""
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    found = signature(function).parameters.values()
    return any(p.default is p.empty and p.kind in kinds for p in found)


def _scalar(result: Tensor) -> Tensor:
    if not isinstance(result, Tensor):
        raise TypeError(f"loss: expected a scalar tensor, got {type(result).__name__}")
    if result.ndim != 0:
        raise ValueError(f"loss: expected a scalar tensor, got shape {tuple(result.shape)}")
    return result


class EarlyStopping:
    """End training when a validation value has stopped falling, and keep the best weights.

    Use one as ``on_step`` of :func:`fit`, and call :meth:`restore` when training is over.

    Parameters
    ----------
    model
        The model whose weights are kept.
    validate
        Returns the value that should fall, such as a call of :func:`evaluate`.
    every
        Number of steps from one validation to the next.
    patience
        Training ends when this many values in a row are no lower than the best. NaN is never lower.

    Attributes
    ----------
    values
        Step and value of each validation.
    best, best_step
        The lowest value and its step; ``inf`` and None before the first.

    Raises
    ------
    TypeError, ValueError
        If ``every`` or ``patience`` is not a whole number of at least 1.

    Examples
    --------
    >>> model, values = nn.Linear(1, 1), iter([3.0, 2.0, 4.0, 2.0, 1.0])
    >>> stop = EarlyStopping(model, lambda: next(values), every=1, patience=2)
    >>> [stop(step, 0.0) for step in range(4)], stop.best_step
    ([False, False, False, True], 1)
    """

    def __init__(
        self, model: nn.Module, validate: Callable[[], SupportsFloat], *, every: int, patience: int
    ) -> None:
        check_at_least("every", every, 1)
        check_at_least("patience", patience, 1)
        self.model = model
        self.validate = validate
        self.every = every
        self.patience = patience
        self.values: list[tuple[int, float]] = []
        self.best = math.inf
        self.best_step: int | None = None
        self._waited = 0
        self._weights: dict[str, Any] | None = None

    def __call__(self, step: int, loss: float) -> bool:
        """Validate if it is time; return whether to stop."""
        if (step + 1) % self.every:
            return False
        value = float(self.validate())
        self.values.append((step, value))
        self._waited += 1
        if value < self.best:
            self.best, self.best_step, self._waited = value, step, 0
            self._weights = copy.deepcopy(self.model.state_dict())
        return self._waited >= self.patience

    def restore(self) -> None:
        """Give the model the weights of the best step.

        Raises
        ------
        RuntimeError
            If no validation has given a value below ``inf``.
        """
        if self._weights is None:
            raise RuntimeError("restore: expected a validation with a finite value, got none")
        self.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs, to continue in the same way."""
        return {
            "values": self.values,
            "best": self.best,
            "best_step": self.best_step,
            "waited": self._waited,
            "weights": self._weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.values = state["values"]
        self.best = state["best"]
        self.best_step = state["best_step"]
        self._waited = state["waited"]
        self._weights = state["weights"]
