"""Gradient descent: SGD with momentum, Adam, and clipping by norm.

Weights and gradients are dictionaries with the same names, like ``params`` and ``grads`` of the
models. Weights are changed in place.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_shape
from rnncourse.reference.arrays import check_floats

Array = NDArray[np.floating]


def clip_by_norm(grads: Mapping[str, Array], max_norm: float) -> float:
    """Scale all gradients in place so that their global norm is at most ``max_norm``.

    Returns
    -------
    norm
        The global norm before scaling (Pascanu et al., 2013).

    Raises
    ------
    ValueError
        If ``max_norm`` is not positive, the norm is not finite, or a gradient is read-only.
    TypeError
        If a gradient is not an array of floating-point numbers.
    """
    _check_positive("max_norm", max_norm)
    _check_changeable("grads", grads)
    norm = float(np.sqrt(sum(float((g * g).sum()) for g in grads.values())))
    if not np.isfinite(norm):
        raise ValueError(f"grads: expected finite gradients, got a norm of {norm}")
    if norm > max_norm:
        for g in grads.values():
            g *= max_norm / norm
    return norm


class SGD:
    """Stochastic gradient descent: ``v = momentum * v + g``, then ``w -= lr * v``.

    Parameters
    ----------
    params
        Weights by name; :meth:`step` changes them in place.
    lr
        Learning rate.
    momentum
        From 0 to below 1.

    Raises
    ------
    TypeError
        If a weight is not an array of floating-point numbers.
    ValueError
        If a number is out of range, or a weight is read-only.

    Examples
    --------
    >>> w = np.array([3.0])
    >>> SGD({"w": w}, lr=0.1).step({"w": 2 * w})
    >>> w
    array([2.4])
    """

    def __init__(self, params: Mapping[str, Array], lr: float, momentum: float = 0.0) -> None:
        _check_positive("lr", lr)
        _check_fraction("momentum", momentum)
        _check_changeable("params", params)
        self.params, self.lr, self.momentum = params, lr, momentum
        self.velocity = {name: np.zeros_like(p) for name, p in params.items()}

    def step(self, grads: Mapping[str, Array]) -> None:
        """Take one step.

        Raises KeyError if a name is missing or unknown, TypeError or ValueError if a gradient is
        not an array of floating-point numbers of its weight's shape; no weight changes then.
        """
        grads = _checked(grads, self.params)
        for name, p in self.params.items():
            v = self.velocity[name]
            v *= self.momentum
            v += grads[name]
            p -= self.lr * v


class Adam:
    """Adam (Kingma and Ba, 2015), as ``torch.optim.Adam`` computes it.

    Parameters
    ----------
    params
        Weights by name; :meth:`step` changes them in place.
    lr
        Learning rate: about the size of each weight's step.
    betas
        How much of the running means of g and of g * g is kept at each step.
    eps
        Added to the square root of the second mean.

    Raises
    ------
    TypeError, ValueError
        As in :class:`SGD`.
    """

    def __init__(
        self,
        params: Mapping[str, Array],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        _check_positive("lr", lr)
        check_shape("betas", np.shape(betas), (2,))
        for i, beta in enumerate(betas):
            _check_fraction(f"betas[{i}]", beta)
        if not eps >= 0:
            raise ValueError(f"eps: expected a number of at least 0, got {eps}")
        _check_changeable("params", params)
        self.params, self.lr, self.betas, self.eps = params, lr, betas, eps
        self.mean = {name: np.zeros_like(p) for name, p in params.items()}
        self.square = {name: np.zeros_like(p) for name, p in params.items()}
        self.steps = 0

    def step(self, grads: Mapping[str, Array]) -> None:
        """Take one step.

        Raises KeyError if a name is missing or unknown, TypeError or ValueError if a gradient is
        not an array of floating-point numbers of its weight's shape; no weight changes then.
        """
        grads = _checked(grads, self.params)
        self.steps += 1
        beta1, beta2 = self.betas
        # The means start at zero, which pulls them down at first; this corrects it.
        lr = self.lr / (1 - beta1**self.steps)
        correction = (1 - beta2**self.steps) ** 0.5
        for name, p in self.params.items():
            g, m, s = grads[name], self.mean[name], self.square[name]
            m += (1 - beta1) * (g - m)
            s += (1 - beta2) * (g * g - s)
            p -= lr * m / (np.sqrt(s) / correction + self.eps)


def _checked(grads: Mapping[str, Array], params: Mapping[str, Array]) -> dict[str, Array]:
    """Return the gradients, each checked against its weight."""
    if grads.keys() != params.keys():
        odd = sorted(grads.keys() ^ params.keys())
        raise KeyError(f"grads: expected the names {sorted(params)}, differs in {odd}")
    arrays = {name: np.asarray(g) for name, g in grads.items()}
    for name, g in arrays.items():
        check_floats(f"grads[{name!r}]", g)
        if g.shape != params[name].shape:
            raise ValueError(f"grads[{name!r}]: expected shape {params[name].shape}, got {g.shape}")
    return arrays


def _check_changeable(name: str, arrays: Mapping[str, Array]) -> None:
    for key, a in arrays.items():
        check_floats(f"{name}[{key!r}]", a)
        if not a.flags.writeable:
            raise ValueError(f"{name}[{key!r}]: expected an array to change, got a read-only one")


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: expected a number above 0, got {value}")


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a number from 0 to below 1, got {value}")
