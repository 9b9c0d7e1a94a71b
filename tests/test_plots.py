"""The pictures hold what they should; how they look is for eyes."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from rnncourse import plots


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def patches(ax, kind):
    return [p for p in ax.patches if isinstance(p, kind)]


def dashed(ax):
    """Return the arrows of the gradient."""
    return [p for p in patches(ax, FancyArrowPatch) if p.get_linestyle() not in ("-", "solid")]


def test_the_style_stays_inside_its_block():
    before = mpl.rcParams["font.size"]
    with plots.style():
        assert mpl.rcParams["font.size"] == plots.STYLE["font.size"]
    assert mpl.rcParams["font.size"] == before
    with mpl.rc_context():
        plots.use_style()
        assert mpl.rcParams["font.size"] == plots.STYLE["font.size"]


def test_an_unrolled_network_has_one_box_a_word_and_a_state(ax):
    plots.draw_unrolled(ax, ["a", "b", "c"], ["b", "c", ""])
    assert len(patches(ax, FancyBboxPatch)) == 1 + 3 + 3 + 2  # h_0, states, inputs, outputs
    assert len(patches(ax, FancyArrowPatch)) == 3 + 3 + 2
    assert {"a", "b", "c", "$h_{3}$", "$W_{hh}$"} <= {t.get_text() for t in ax.texts}


def test_the_gradient_stops_at_a_cut(ax):
    plots.draw_unrolled(ax, list("abcdef"), backward=True)
    assert len(dashed(ax)) == 5
    ax.clear()
    plots.draw_unrolled(ax, list("abcdef"), list("bcdefg"), backward=True, truncate_every=3)
    assert len(dashed(ax)) == 4 + 6  # between the states, and down from each output


def test_steps_not_reached_are_faint(ax):
    plots.draw_unrolled(ax, list("abc"), reached=1)
    by_word = {t.get_text(): t.get_alpha() for t in ax.texts}
    assert by_word["a"] == by_word["b"] == 1
    assert by_word["c"] < 0.5


def test_a_heatmap_shows_its_matrix_labels_and_values(ax):
    image = plots.heatmap(
        ax, [[1, -2], [0, 0.5]], ["p", "q"], ["r", "s"], signed=True, values=".1f"
    )
    assert image.get_clim() == (-2, 2)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["p", "q"]
    assert [t.get_text() for t in ax.texts] == ["1.0", "-2.0", "0.0", "0.5"]


def test_a_learning_curve_is_the_running_mean(ax):
    line = plots.learning_curve(ax, [4.0, 2.0, 3.0, 1.0], smooth=2)
    np.testing.assert_allclose(line.get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(line.get_ydata(), [3, 2.5, 2])


def test_a_baseline_has_its_name(ax):
    plots.baseline(ax, 0.25, "guessing")
    assert ax.lines[0].get_ydata() == [0.25, 0.25]
    assert ax.texts[0].get_text() == "guessing"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ax: plots.heatmap(ax, [1, 2]), r"matrix: expected 2 axes .* got 1 axes \(2,\)"),
        (lambda ax: plots.heatmap(ax, [[1]], ["a", "b"]), "xlabels: expected 1 labels, got 2"),
        (lambda ax: plots.learning_curve(ax, [[1.0]]), "losses: expected 1 axis"),
        (lambda ax: plots.learning_curve(ax, [1.0], smooth=2), "smooth: expected at most the 1"),
        (lambda ax: plots.draw_unrolled(ax, []), "inputs: expected at least one step, got none"),
        (lambda ax: plots.draw_unrolled(ax, ["a"], ["b", "c"]), "outputs: expected 1 words"),
        (lambda ax: plots.draw_unrolled(ax, ["a"], reached=1), "reached: expected a step from 0"),
        (lambda ax: plots.draw_unrolled(ax, ["a"], truncate_every=0), "truncate_every: expected"),
    ],
)
def test_bad_input(ax, call, message):
    with pytest.raises(ValueError, match=message):
        call(ax)
