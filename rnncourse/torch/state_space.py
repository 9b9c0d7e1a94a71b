"""A diagonal state-space layer: memories that fade and turn at learned rates.

Where the steps are linear, a change of basis makes nearly every recurrent matrix diagonal, with
complex numbers on the diagonal. So each unit evolves on its own: at each step its state shrinks by
a factor ``r`` and turns by an angle ``theta``, as a bell rings out. Among such layers (S4D: Gu et
al., 2022), this is the linear recurrent unit (Orvieto et al., 2023, section 3).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.checks import check_at_least, check_choice
from rnncourse.torch.minimal import LinearRecurrent

DTYPES = (torch.float32, torch.float64)


class StateSpace(LinearRecurrent):
    """``h[t] = a * h[t - 1] + g * (B x[t])``, ``y[t] = Re(C h[t]) + D x[t]``: real in, real out.

    - ``a = r * exp(i * theta)`` with ``r = exp(-exp(nu))``, one number per unit. Whatever ``nu``
      is, ``r`` is at most 1: no state can explode. A memory halves in ``log(2) / exp(nu)`` steps.
    - ``g = sqrt(1 - r**2)`` is not a separate weight: for inputs without correlation in time it
      makes every state as large as its input, however long its memory. (Orvieto et al. start
      there and train it.)
    - B, C and D are full matrices. B and C keep their real part at index 0, the imaginary one at 1.

    The states are complex, ``hx`` and ``h_n`` too. The layer runs all steps at once, or one by one
    with :meth:`step`; and since ``a`` is the same at each step, it is also a convolution with
    :meth:`kernel`. In float32, for T up to 16,384 and ``r`` up to 0.999, the error is below 1e-5
    of the largest output and 1e-4 of the largest state. Each step repeats the rounding of ``a``, so
    a memory ten times as long has ten times the error.

    Parameters
    ----------
    input_size, hidden_size
        I and H: features of the input, and of both the state and the output.
    batch_first, device
        As in ``torch.nn.GRU``.
    radius
        The values between which ``r`` starts, spread evenly over the area of the ring.
    max_phase
        ``theta`` starts between 0 and this, in radians per step. Small values suit slow signals.
    dtype
        float32 or float64: PyTorch does not compute with smaller complex numbers. Under autocast
        the states keep the precision of the weights.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1, ``radius`` is not two increasing numbers
        between 0 and 1, ``max_phase`` is not above 0, or ``dtype`` is neither of the two.

    Examples
    --------
    >>> net = StateSpace(3, 4)
    >>> y, h_n = net(torch.zeros(5, 2, 3))
    >>> y.shape, h_n.shape, h_n.dtype
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]), torch.complex64)
    >>> y_t, h = net.step(torch.zeros(2, 3), h_n[0])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        batch_first: bool = False,
        radius: tuple[float, float] = (0.9, 0.999),
        max_phase: float = math.pi,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, batch_first)
        least, most = radius
        if not 0 < least < most < 1:
            raise ValueError(f"radius: expected 0 < least < most < 1, got {radius}")
        if not max_phase > 0:
            raise ValueError(f"max_phase: expected a number above 0, got {max_phase}")
        dtype = torch.get_default_dtype() if dtype is None else dtype
        check_choice("dtype", dtype, DTYPES)
        I, H, to = input_size, hidden_size, {"device": device, "dtype": dtype}
        r = torch.empty(H, **to).uniform_(least**2, most**2).sqrt()
        self.nu = nn.Parameter(torch.log(-torch.log(r)))
        self.theta = nn.Parameter(torch.empty(H, **to).uniform_(0, max_phase))
        self.B = nn.Parameter(torch.empty(2, H, I, **to).normal_(std=(2 * I) ** -0.5))
        self.C = nn.Parameter(torch.empty(2, H, H, **to).normal_(std=H**-0.5))
        self.D = nn.Parameter(torch.empty(H, I, **to).normal_(std=I**-0.5))

    def eigenvalues(self) -> Tensor:
        """Return ``a``, complex ``(H,)``: what one step does to each state."""
        self._check_dtype()
        return torch.polar(torch.exp(-torch.exp(self.nu)), self.theta)

    @property
    def weight(self) -> Tensor:
        """D, from input to output."""
        return self.D

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``a``, the same for all sequences, and ``g * (B x)``."""
        a = self.eigenvalues().expand(*x.shape[:-2], 1, -1)
        parts = (F.linear(x, part).to(self.B.dtype) for part in self._scaled_B())
        return a, torch.complex(*parts)

    def read(self, h: Tensor, x: Tensor) -> Tensor:
        """Return ``Re(C h) + D x``, real ``(..., H)``."""
        real = F.linear(h.real, self.C[0]) - F.linear(h.imag, self.C[1])
        return real + F.linear(x, self.D)

    def kernel(self, T: int) -> Tensor:
        """Return the impulse response, T steps long: ``K[k] = Re(C diag(a**k) g B)``.

        The outputs are ``y[t] = sum(K[k] @ x[t - k] for k in range(t + 1)) + D @ x[t]``.

        Parameters
        ----------
        T
            How many steps.

        Returns
        -------
        K
            ``(T, H, I)``: output feature by input feature.

        Raises
        ------
        TypeError, ValueError
            If T is not a whole number of at least 1, or the weights have a smaller dtype.
        """
        check_at_least("T", T, 1)
        self._check_dtype()
        k = torch.arange(T, device=self.nu.device)[:, None]
        powers = torch.polar(torch.exp(-k * torch.exp(self.nu)), k * self.theta)  # (T, H)
        C, B = torch.complex(*self.C), torch.complex(*self._scaled_B())
        return torch.einsum("oh,th,hi->toi", C, powers, B).real

    def _check_dtype(self) -> None:
        """Refuse weights that ``half()`` or ``bfloat16()`` has converted."""
        if self.nu.dtype not in DTYPES:
            raise TypeError(
                f"dtype: expected weights in float32 or float64, got {self.nu.dtype}, for which "
                f"PyTorch has no complex numbers; use autocast in place of it"
            )

    def _scaled_B(self) -> Tensor:
        g = torch.sqrt(-torch.expm1(-2 * torch.exp(self.nu)))  # sqrt(1 - r**2), exact near r = 1
        return g[:, None] * self.B


__all__ = ["StateSpace"]
