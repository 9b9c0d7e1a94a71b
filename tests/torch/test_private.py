"""PyTorch's private names do what the package needs, and stand in one file."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch.autograd import forward_ad
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import rnncourse
from rnncourse.torch import private

TRIED = ("2.13", "2.15")
"""Versions of PyTorch with which every name in ``private`` was tried, by these tests. The first and
the last one are the bounds in ``pyproject.toml``."""

X = torch.ones(3)


def test_the_version_is_not_beyond_those_that_were_tried():
    first, version, last = (
        tuple(map(int, text.split(".")[:2])) for text in (TRIED[0], torch.__version__, TRIED[-1])
    )
    assert first <= version <= last, (
        "If the other tests of this file pass with this version, add it."
    )


def test_private_names_stand_in_one_file():
    pattern = re.compile(
        r"\b(torch|nn|F|forward_ad)(\.\w+)*\._[a-z]|from torch\S*\._\w+ import|kineto_results"
    )
    found = [
        f"{path.name}: {line.strip()}"
        for path in Path(rnncourse.__file__).parent.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if pattern.search(line) and path.name != "private.py"
    ]
    assert found == []


def seen(x):
    """Return x, and whether it is watched, as a number that every transform takes."""
    return x + float(private.watched(x))


def test_watched_in_compilation_and_tracing():
    torch._dynamo.reset()
    assert not private.watched(X)
    assert torch.compile(seen, fullgraph=True, backend="eager")(X).equal(X + 1)
    assert torch.jit.trace(seen, (X,), check_trace=False)(X).equal(X + 1)
    assert seen(X).equal(X)


def test_watched_in_transforms():
    assert torch.func.vmap(seen)(X).equal(X + 1)
    assert torch.func.grad_and_value(lambda x: seen(x).sum())(X)[1] == 6
    with forward_ad.dual_level():
        assert private.watched(X)
    assert not private.watched(X)


def test_watched_in_modes_and_by_other_classes():
    with FlopCounterMode(display=False):
        assert private.watched(X)
    assert not private.watched(X)
    assert private.watched(X, X.as_subclass(type("Other", (torch.Tensor,), {})))
    assert not private.watched(X, torch.nn.Parameter(X))


def test_watched_where_many_gradients_are_computed_at_once():
    class Spy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, dx):
            return seen(dx)

    x = X.clone().requires_grad_()
    y = Spy.apply(x)
    (found,) = torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True, retain_graph=True)
    assert found.equal(torch.eye(3) + 1)
    assert torch.autograd.grad(y, x, X)[0].equal(X)


def takes(x):
    """Return x, and whether it takes operators of our own, as a number."""
    return x + float(private.takes_operators(x))


def test_operators_of_our_own_in_plain_runs_and_compilation():
    torch._dynamo.reset()
    assert takes(X).equal(X + 1)
    assert torch.compile(takes, fullgraph=True, backend="eager")(X).equal(X + 1)


def test_no_operators_of_our_own_in_export_tracing_transforms_and_modes():
    class Net(torch.nn.Module):
        def forward(self, x):
            return takes(x)

    for strict in (False, True):
        assert torch.export.export(Net(), (X,), strict=strict).module()(X).equal(X)
    assert torch.jit.trace(takes, (X,), check_trace=False)(X).equal(X)
    assert torch.func.vmap(takes)(X).equal(X)
    torch._dynamo.reset()
    mapped = torch.compile(torch.func.vmap(takes), fullgraph=True, backend="eager")
    assert mapped(X).equal(X)
    with forward_ad.dual_level():
        assert takes(X).equal(X)
    with FlopCounterMode(display=False):
        assert takes(X).equal(X)


def test_transformed():
    assert not private.transformed(X)
    assert torch.func.vmap(lambda x: x + float(private.transformed()))(X).equal(X + 1)
    with forward_ad.dual_level():
        assert private.transformed()
    with FlopCounterMode(display=False):
        assert not private.transformed(X)


def test_norms_and_scale():
    tensors = (torch.tensor([3.0, 4.0]), torch.zeros(2, 2), torch.tensor(-2.0))
    assert [float(n) for n in private.norms(tensors)] == [5, 0, 2]
    private.scale_(tensors, 0.5)
    assert math.isclose(float(tensors[0].sum()), 3.5)


def test_memory_changes():
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        x = torch.zeros(1000)
        del x
    assert private.memory_changes(found)[-2:] == pytest.approx([4000, -4000], abs=100)
