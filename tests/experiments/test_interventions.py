"""What the experiments do to networks, and the baselines that they compare with."""

import numpy as np
import pytest
import torch

from rnncourse.experiments import induction_head, lamp_sign, list_state
from rnncourse.experiments._frame import MIXERS, Attention, build
from rnncourse.experiments._tasks import BITS, KEYS, lamp, names
from rnncourse.experiments.hybrid import SYMBOLS, lamps
from rnncourse.torch import LinearAttention, MinGRU


@pytest.fixture
def layers():
    """Return a minGRU, and two with a range that have its weights."""
    torch.manual_seed(0)
    plain = MinGRU(6, 6)
    found = [lamp_sign.RangedMinGRU(6, signed) for signed in (False, True)]
    for layer in found:
        layer.load_state_dict(plain.state_dict())
    return plain, *found


def test_only_the_range_of_the_factors_differs(layers):
    plain, same, signed = layers
    x = torch.randn(9, 3, 6)
    torch.testing.assert_close(same(x)[0], plain(x)[0])
    (keep, add), (other, added) = plain.coefficients(x), signed.coefficients(x)
    torch.testing.assert_close(other, 2 * keep - 1)
    torch.testing.assert_close(added, add)
    assert other.min() < 0


def test_signs_can_be_taken_and_factors_rounded(layers):
    *_, signed = layers
    x = 20 * torch.randn(9, 3, 6)
    keep = signed.coefficients(x)[0]
    signed.change = lamp_sign.CHANGES["unsigned"]
    torch.testing.assert_close(signed.coefficients(x)[0], keep.abs())
    signed.change = lamp_sign.CHANGES["rounded"]
    firm = keep.abs() > 0.8
    assert firm.any()
    assert not firm.all()
    assert set(signed.coefficients(x)[0][firm].tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(signed.coefficients(x)[0][~firm], keep[~firm])


def test_the_lowest_factor_is_found_and_nothing_stays_changed():
    model = build(lamp_sign.mixers("signed minGRU"), 3, 8, seed=0)
    x, _ = lamp(2, 10, 4, np.random.default_rng(0), "cpu")
    layers = [block.mix for block in model.blocks]
    factors = []
    for layer in layers:
        layer.register_forward_pre_hook(
            lambda layer, x: factors.append(layer.coefficients(x[0])[0].min().item())
        )
    model(x)
    assert lamp_sign.lowest_factor(layers, model, x) == pytest.approx(min(factors))
    assert all(layer.change is None for layer in layers)


def test_the_bag_is_the_best_that_ignores_which_value_belongs_to_which_key():
    x, y = names("any", 6, 5000, np.random.default_rng(1), "cpu")
    listed = x[1:12:2]  # the values, (6, B)
    frequent = torch.mode(listed, 0).values
    assert (frequent == y).float().mean().item() == pytest.approx(list_state.bag(), abs=0.01)


@pytest.mark.parametrize(("heads", "state"), [(1, 1024 + 32), (4, 256 + 32), (16, 64 + 32)])
def test_the_state_is_that_of_the_layer(heads, state):
    name = "linear attention, one layer, previous"
    assert list_state.state_numbers(name, 32, heads) == state
    _, (S, z) = LinearAttention(32, heads)(torch.zeros(3, 1, 32))
    assert S.numel() + z.numel() == state


def test_looks_are_read_where_keys_and_values_are():
    model = build([Attention] * 2, BITS, 32, seed=0)
    batch = names("any", 3, 5, np.random.default_rng(0), "cpu")

    def fixed(first, second):
        def weights(places):
            table = torch.zeros(5, 4, 9, 9)
            for b in range(5):
                for i, j in places(b):
                    table[b, 2, i, j] = 1
            return table

        model.blocks[0].mix.weights = lambda x: weights(first)
        model.blocks[1].mix.weights = lambda x: weights(second)
        return induction_head.looks(model, batch)

    x = batch[0]

    def key_before(b):
        return [(1, 0), (3, 2), (5, 4)]

    def own_value(b):
        listed = x[:6:2, b].tolist()
        return [(6 + i, 2 * listed.index(key) + 1) for i, key in enumerate(x[6:, b].tolist())]

    def nothing(b):
        return []

    assert fixed(key_before, own_value) == pytest.approx((1, 1))
    assert fixed(own_value, key_before) == pytest.approx((0, 0))
    assert fixed(nothing, nothing) == pytest.approx((0, 0))


@pytest.mark.parametrize(
    ("what", "seen"),
    [
        ("the step before", [True, False, True, True, True]),
        ("the third step before", [True, True, True, False, True]),
        ("all other steps", [True, False, False, False, False]),
    ],
)
def test_steps_are_hidden_from_the_first_layer_alone(what, seen):
    model = build(MIXERS["transformer"], BITS, 32, seed=0)
    induction_head.hide(model, what)
    assert model.blocks[1].mix.allowed is None
    assert model.blocks[0].mix.allowed(torch.arange(5)).tolist() == seen
    induction_head.hide(model, "nothing")
    assert model.blocks[0].mix.allowed is None


def test_the_two_tasks_of_the_hybrid_share_no_symbol():
    rng = np.random.default_rng(0)
    bits, answers = lamps(16, 50, rng, "cpu")
    x, y = names("any", 6, 50, rng, "cpu")
    assert {*bits.unique().tolist(), *answers.unique().tolist()} == {BITS, BITS + 1}
    assert x.max() < BITS <= SYMBOLS - 2
    assert y.min() >= KEYS
