"""The layers of the experiment `transitions` are what their docstrings say, step by step."""

import numpy as np
import pytest
import torch

from rnncourse.experiments import transitions
from rnncourse.experiments._frame import build, n_parameters
from rnncourse.experiments._tasks import BITS, KEYS

KINDS = (*transitions.VECTORS, *transitions.MATRICES)


def layer(kind, size=6):
    torch.manual_seed(0)
    return transitions.mixer(kind)(size).double()


def sequences(T=20, B=3, E=6):
    return 2 * torch.randn(T, B, E, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", transitions.VECTORS)
def test_a_vector_is_multiplied_by_its_factors(kind):
    net, x = layer(kind), sequences()
    a, b = net.factors(x), net.add(x)
    if kind in ("fixed", "complex"):
        b = torch.complex(b[..., :3], b[..., 3:])
    h, states = torch.zeros_like(b[0]), []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        states.append(torch.cat((h.real, h.imag), -1) if h.is_complex() else h)
    torch.testing.assert_close(net(x), torch.stack(states))


@pytest.mark.parametrize("kind", transitions.MATRICES)
def test_a_matrix_takes_out_what_it_held_under_a_key(kind):
    net, x = layer(kind), sequences()
    q, k, v, beta = (part.transpose(0, 1) for part in net.parts(x))  # (T, B, features)
    torch.testing.assert_close(k.norm(dim=-1), torch.ones(20, 3, dtype=torch.float64))
    S, outputs = torch.zeros(3, 6, 6, dtype=torch.float64), []
    for q_t, k_t, v_t, beta_t in zip(q, k, v, beta, strict=True):
        if kind != "matrix, sum":
            S = S @ (torch.eye(6) - beta_t[..., None] * k_t[:, :, None] * k_t[:, None, :])
        S = S + beta_t[..., None] * v_t[:, :, None] * k_t[:, None, :]
        outputs.append((S @ q_t[..., None])[..., 0])
    torch.testing.assert_close(net(x), torch.stack(outputs))


def test_factors_have_their_ranges():
    x = 30 * sequences()
    assert layer("0 to 1").factors(x).min() >= 0
    signed = layer("-1 to 1").factors(x)
    assert signed.min() < -0.9
    assert signed.abs().max() <= 1
    turning = layer("complex").factors(x)
    assert turning.abs().max() <= 1
    assert turning.angle().abs().max() > 3
    fixed = layer("fixed").factors(x)
    assert (fixed == fixed[0, 0]).all()
    for kind, most in (("matrix, delta 0 to 1", 1), ("matrix, delta 0 to 2", 2)):
        beta = layer(kind).parts(x)[3]
        assert 0.9 * most < beta.max() <= most


def test_factors_start_with_the_same_sizes():
    nothing = torch.zeros(1, 1, 6, dtype=torch.float64)
    plain, signed = (layer(kind).factors(nothing)[0, 0] for kind in ("0 to 1", "-1 to 1"))
    torch.testing.assert_close(plain, signed)
    for kind in ("fixed", "complex"):
        size = layer(kind).factors(nothing)[0, 0].abs()
        torch.testing.assert_close(size, torch.linspace(0.5, 0.99, 3).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["-1 to 1", "complex", "matrix, delta 0 to 2"])
def test_unsigned_replaces_factors_by_their_sizes(kind):
    net, x = layer(kind), sequences()
    if kind.startswith("matrix"):
        before = 1 - net.parts(x)[3]
        net.change = torch.abs
        after = 1 - net.parts(x)[3]
    else:
        before = net.factors(x)
        net.change = torch.abs
        after = net.factors(x)
    assert after.min() >= 0
    torch.testing.assert_close(after, before.abs())
    assert not torch.allclose(net(x), layer(kind)(x))


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_sees_a_later_one(kind):
    model = build([transitions.mixer(kind)] * 2, 10, 16, seed=0)
    ids = torch.randint(10, (40, 2), generator=torch.Generator().manual_seed(1))
    changed = ids.clone()
    changed[25:] = (ids[25:] + 1) % 10
    with torch.no_grad():
        scores, others = model(ids), model(changed)
    torch.testing.assert_close(scores[:25], others[:25], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(scores[25:], others[25:], atol=1e-3)


def test_the_answers_of_a_rewritten_list_are_the_last_values():
    x, y = transitions.rewritten(4, 50, np.random.default_rng(0), "cpu")
    assert x.shape == (20, 50)
    assert y.shape == (4, 50)
    for column, answers in zip(x.T.tolist(), y.T.tolist(), strict=True):
        pairs = dict(zip(column[:16:2], column[1:16:2], strict=True))  # later ones win
        assert sorted(pairs) == sorted(column[16:])
        assert [pairs[key] for key in column[16:]] == answers
        assert all(key < KEYS <= value < BITS for key, value in pairs.items())


@pytest.mark.parametrize("task", transitions.TASKS)
def test_all_networks_of_a_task_have_about_as_many_weights(task):
    sizes = [n_parameters(transitions.make(kind, task, 0)) for kind in KINDS]
    assert max(sizes) < 1.05 * min(sizes)
