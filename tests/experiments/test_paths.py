"""The networks whose paths differ: who sees how far, and what is taken out."""

import pytest
import torch

from rnncourse.experiments import gradient_paths
from rnncourse.experiments._paths import Recurrent, drawn, transformer

E, T = 8, 6


@pytest.mark.parametrize(
    ("make", "reach"),
    [
        (lambda: transformer(E, 2), T),
        (lambda: transformer(E, 2, reach=1), 2),
        (lambda: transformer(E, 3, reach=1), 3),
        (lambda: Recurrent(E, E, "RNN"), T),
        (lambda: Recurrent(E, E, "RNN", looks=True), T),
        (lambda: Recurrent(E, E, "LSTM", 5.0), T),
    ],
)
def test_a_step_sees_itself_and_what_its_paths_reach(make, reach):
    model = drawn(0, make)
    x = torch.randn(T, 1, E, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[4].sum() + (model(x)[4] ** 2).sum(), x)
    seen = gradient.abs().sum((1, 2)) > 0
    assert seen.tolist() == [t <= 4 and 4 - t <= reach for t in range(T)]


def test_what_is_taken_out_is_taken_out():
    sizes = {
        without: sum(p.numel() for p in transformer(E, 2, None, without).parameters())
        for without in ("nothing", "sums", "norms", "both")
    }
    norms = 5 * 2 * E  # two in each of two layers, and one at the end
    assert sizes["nothing"] == sizes["sums"] == sizes["norms"] + norms == sizes["both"] + norms
    x = torch.randn(T, 1, E)
    kept, taken = (drawn(0, lambda w=w: transformer(E, 1, None, w))[0] for w in ("norms", "both"))
    for block in (kept, taken):
        torch.nn.init.zeros_(block.look.heads.out_proj.weight)
        torch.nn.init.zeros_(block.think[2].weight)
        torch.nn.init.zeros_(block.think[2].bias)
    assert torch.equal(kept(x), x)
    assert not taken(x).any()


def test_the_forget_gate_starts_where_it_should():
    layer = Recurrent(E, 4, "LSTM", 5.0).layer
    bias = dict(layer.named_parameters())
    assert bias["bias_ih_l0"][4:8].tolist() == [5.0] * 4
    assert not bias["bias_hh_l0"][4:8].any()


def test_the_same_seed_draws_the_same_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    a, b = (drawn(3, gradient_paths.OVER_STEPS["RNN that looks"]) for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), before)
