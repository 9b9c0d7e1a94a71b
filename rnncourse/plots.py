"""The look of the course's figures, and the pictures that several chapters need."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from numpy.typing import ArrayLike

from rnncourse.checks import check_at_least

COLORS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "sky": "#56B4E9",
    "purple": "#CC79A7",
    "black": "#222222",
}
"""Okabe and Ito's colors (2008), which nearly everyone can tell apart. Dashes differ, too."""

STYLE: Any = {
    "figure.figsize": (5.4, 3.4),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 13,
    "axes.titlesize": 13.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 13,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "mathtext.fontset": "cm",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "lines.linewidth": 2,
    "axes.prop_cycle": cycler(color=list(COLORS.values()))
    + cycler(linestyle=["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1))]),
}
"""Matplotlib settings. Letters are large enough for a page 390 pixels wide."""


def style() -> AbstractContextManager[None]:
    """Use the course's look inside a ``with`` block.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> with style():
    ...     figure, ax = plt.subplots()
    >>> plt.close(figure)
    """
    return mpl.rc_context(STYLE)


def use_style() -> None:
    """Use the course's look from here on: a notebook calls this once, at its beginning."""
    mpl.rcParams.update(STYLE)


def heatmap(
    ax: Axes,
    matrix: ArrayLike,
    xlabels: Sequence[str] | None = None,
    ylabels: Sequence[str] | None = None,
    *,
    signed: bool = False,
    limit: float | None = None,
    label: str = "",
    values: str | None = None,
) -> AxesImage:
    """Draw a matrix as colored cells with a scale beside it.

    Parameters
    ----------
    ax
        Where to draw.
    matrix
        Numbers ``(rows, columns)``; row 0 is at the top.
    xlabels, ylabels
        One label per column and per row.
    signed
        Use a scale with white at 0, blue below and orange above. Otherwise the scale runs from
        0, or the smallest entry if that is negative, in one direction from light to dark.
    limit
        The number at the end of the scale; by default the largest entry, with ``signed`` the
        largest absolute value.
    label
        What the numbers are, written next to the scale.
    values
        A format such as ``".2f"`` to write each number in its cell.

    Returns
    -------
    image
        What Matplotlib drew.

    Raises
    ------
    ValueError
        If the matrix does not have two axes, or there is not one label for each column or
        row.
    """
    matrix = np.asarray(matrix, float)
    if matrix.ndim != 2:
        raise ValueError(
            f"matrix: expected 2 axes (rows, columns), got {matrix.ndim} axes {matrix.shape}"
        )
    for name, labels, n in [
        ("xlabels", xlabels, matrix.shape[1]),
        ("ylabels", ylabels, len(matrix)),
    ]:
        if labels is not None and len(labels) != n:
            raise ValueError(f"{name}: expected {n} labels, got {len(labels)}")
    if limit is None:
        limit = float(np.abs(matrix).max() if signed else matrix.max())
    low = -limit if signed else min(0.0, float(matrix.min()))
    colors = mpl.colormaps["PuOr_r" if signed else "Blues"]
    image = ax.imshow(matrix, cmap=colors, vmin=low, vmax=limit, aspect="auto")
    ax.grid(False)
    if xlabels is not None:
        ax.set_xticks(range(len(xlabels)), xlabels)
    if ylabels is not None:
        ax.set_yticks(range(len(ylabels)), ylabels)
    ax.figure.colorbar(image, ax=ax, label=label)
    if values is not None:
        for (row, column), value in np.ndenumerate(matrix):
            red, green, blue, _ = colors(image.norm(value))
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
            ax.text(
                column,
                row,
                format(value, values),
                ha="center",
                va="center",
                size=12,
                color="white" if dark else "#222222",
            )
    return image


def learning_curve(
    ax: Axes, losses: ArrayLike, smooth: int = 1, *, label: str = "", unit: str = "nats"
) -> Line2D:
    """Draw the loss against the training step.

    Parameters
    ----------
    ax
        Where to draw.
    losses
        One per step, ``(steps,)``.
    smooth
        Draw the mean of this many steps; the single losses are then drawn behind it, faintly. A
        mean is drawn at the last of its steps.
    label
        Name of the curve in the legend.
    unit
        Unit of the loss.

    Returns
    -------
    line
        The curve.

    Raises
    ------
    TypeError, ValueError
        If the losses do not have one axis, or ``smooth`` is not a whole number from 1 to their
        number.
    """
    losses = np.asarray(losses, float)
    check_at_least("smooth", smooth, 1)
    if losses.ndim != 1:
        raise ValueError(f"losses: expected 1 axis (steps,), got {losses.ndim} axes {losses.shape}")
    if smooth > len(losses):
        raise ValueError(f"smooth: expected at most the {len(losses)} steps, got {smooth}")
    means = np.convolve(losses, np.full(smooth, 1 / smooth), "valid")
    (line,) = ax.plot(np.arange(smooth - 1, len(losses)), means, label=label, zorder=3)
    if smooth > 1:
        ax.plot(losses, color=line.get_color(), linestyle="-", linewidth=0.7, alpha=0.3)
    ax.set_xlabel("Training step")
    ax.set_ylabel(f"Loss ({unit})")
    return line


def baseline(ax: Axes, value: float, label: str) -> None:
    """Draw a dashed horizontal line across the axes, with its name written above the right end.

    Parameters
    ----------
    ax
        Where to draw.
    value
        Height of the line.
    label
        Its name.
    """
    ax.axhline(value, color="#555555", linestyle=(0, (4, 3)), linewidth=1.5, zorder=1)
    ax.annotate(
        label,
        (1, value),
        (0, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="bottom",
        size=12,
        color="#444444",
    )


# Fill and edge of the three kinds of box: light fills, so that dark text reads well on them.
_INPUT = ("#FDF0D5", "#B87A00")
_STATE = ("#D6EAF5", COLORS["blue"])
_OUTPUT = ("#D3EFE5", "#007A59")
_FAINT = 0.22


def draw_unrolled(
    ax: Axes,
    inputs: Sequence[str],
    outputs: Sequence[str] = (),
    *,
    reached: int | None = None,
    truncate_every: int | None = None,
    backward: bool = False,
    weights: tuple[str, str, str] = ("$W_{xh}$", "$W_{hh}$", "$W_{hy}$"),
) -> None:
    """Draw a recurrent network unrolled in time: one box per step, the same weights at each.

    Parameters
    ----------
    ax
        Where to draw; its limits are set and its frame is hidden. A figure 5.4 inches wide has
        room for 6 steps.
    inputs
        T words below the boxes.
    outputs
        T words above them, ``""`` for none at a step; leave out for none at all.
    reached
        Draw the steps after this one, counted from 0, faintly: how far the network has read.
    truncate_every
        Cut the graph every so many steps, as truncated backpropagation does.
    backward
        Add the path of the gradient: dashed arrows down from each output and from right to left
        between the states; none crosses a cut.
    weights
        Names of the three matrices, written at the arrows of the first step.

    Raises
    ------
    TypeError, ValueError
        If there is no input, there is not one output for each, ``reached`` is not one of the steps,
        or ``truncate_every`` is below 1.
    """
    T = len(inputs)
    if T == 0:
        raise ValueError("inputs: expected at least one step, got none")
    if outputs and len(outputs) != T:
        raise ValueError(f"outputs: expected {T} words, one per input, got {len(outputs)}")
    if reached is not None:
        check_at_least("reached", reached, 0)
        if reached >= T:
            raise ValueError(f"reached: expected a step from 0 to {T - 1}, got {reached}")
    if truncate_every is not None:
        check_at_least("truncate_every", truncate_every, 1)
    last = T - 1 if reached is None else reached
    cuts = set() if truncate_every is None else set(range(truncate_every, T, truncate_every))

    width, up = 1.7, 1.45  # from box to box, from row to row
    box_w, box_h = 0.92, 0.72
    _box(ax, -width, 0, "$h_0$", ("white", "#777777"), 0.78, box_h, 1)
    for t in range(T):
        x, alpha = t * width, 1 if t <= last else _FAINT
        _box(ax, x, 0, f"$h_{{{t + 1}}}$", _STATE, box_w, box_h, alpha)
        _box(ax, x, -up, inputs[t], _INPUT, 1.3, 0.55, alpha)
        _arrow(ax, (x, -up + 0.275), (x, -box_h / 2), alpha, weights[0] if t == 0 else "")
        left = x - width + (0.39 if t == 0 else box_w / 2)
        _arrow(ax, (left, 0), (x - box_w / 2, 0), alpha, weights[1] if t == 0 else "")
        if outputs and outputs[t]:
            _box(ax, x, up, outputs[t], _OUTPUT, 1.3, 0.55, alpha)
            _arrow(ax, (x, box_h / 2), (x, up - 0.275), alpha, weights[2] if t == 0 else "")
        if t in cuts:
            middle = x - width / 2
            ax.plot([middle] * 2, [-up - 0.4, up + 0.4], color="#222222", ls=(0, (3, 3)), lw=1.4)
            ax.text(middle, up + 0.45, "✂", ha="center", va="bottom", size=15, color="#222222")
        if backward and outputs and outputs[t] and t <= last:
            _gradient(ax, (x - 0.3, up - 0.275), (x - 0.3, box_h / 2), bend=0)
        if backward and t > 0 and t not in cuts and t <= last:
            _gradient(
                ax, (x - box_w / 2 + 0.1, -box_h / 2), (x - width + box_w / 2 - 0.1, -box_h / 2)
            )
    ax.set_xlim(-width - 0.6, (T - 1) * width + 0.85)
    ax.set_ylim(-up - 0.5, (up if outputs else box_h / 2) + (0.95 if cuts else 0.5))
    ax.set_aspect("equal")
    ax.axis("off")


def _box(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    colors: tuple[str, str],
    width: float,
    height: float,
    alpha: float,
) -> None:
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height,
            boxstyle="round,pad=0,rounding_size=0.16",
            facecolor=colors[0], edgecolor=colors[1], linewidth=1.6, alpha=alpha, zorder=3,
        )
    )  # fmt: skip
    size = 14 if "$" in text else 11
    ax.text(x, y, text, ha="center", va="center", size=size, color="#222222", alpha=alpha, zorder=4)


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], alpha: float, label: str
) -> None:
    ax.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=13, shrinkA=1, shrinkB=1,
            color="#444444", linewidth=1.5, alpha=alpha, zorder=2,
        )
    )  # fmt: skip
    if label:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        across = start[1] == end[1]
        ax.text(
            x + (0 if across else 0.1), y + (0.1 if across else 0), label, size=12, color="#222222",
            ha="center" if across else "left", va="bottom" if across else "center",
        )  # fmt: skip


def _gradient(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = -0.35
) -> None:
    ax.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=13, connectionstyle=f"arc3,rad={bend}",
            color=COLORS["vermillion"], linewidth=2, linestyle=(0, (3, 1.5)), zorder=5,
        )
    )  # fmt: skip
