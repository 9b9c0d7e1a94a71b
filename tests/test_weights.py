"""A file of weights is written whole, and anything else is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rnncourse.torch import RNN, Transformer
from rnncourse.weights import (
    CHARACTER_RNN,
    MANUAL_TRANSFORMER,
    load_weights,
    read_weights,
    save_weights,
)

FACTS = {"cell": "rnn", "nonlinearity": "tanh", "symbols": ["a", "é", "\n"]}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.ModuleDict({"rnn": RNN(3, 4), "out": nn.Linear(4, 2)})


@pytest.fixture
def file(tmp_path, model):
    path = tmp_path / "model.safetensors"
    save_weights(path, model, FACTS)
    return path


def other(model, seed=1):
    """Return a network of the same form with other numbers."""
    torch.manual_seed(seed)
    return nn.ModuleDict({"rnn": RNN(3, 4), "out": nn.Linear(4, 2)})


def unchanged(model, before):
    return all(torch.equal(w, before[name]) for name, w in model.state_dict().items())


def copy_of(model):
    return {name: w.clone() for name, w in model.state_dict().items()}


def test_weights_and_facts_come_back(file, model):
    fresh = other(model)
    assert load_weights(file, fresh, {"cell": "rnn"}) == FACTS
    assert unchanged(fresh, model.state_dict())
    weights, facts = read_weights(file)
    assert facts == FACTS
    assert weights.keys() == model.state_dict().keys()
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_the_same_weights_make_the_same_file(file, model, tmp_path):
    save_weights(tmp_path / "again", model, FACTS)
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_shared_and_transposed_weights_are_written(tmp_path):
    w = torch.arange(6.0).view(2, 3)
    save_weights(tmp_path / "w", {"a": w, "b": w, "c": w.T}, {})
    weights, _ = read_weights(tmp_path / "w")
    assert torch.equal(weights["b"], w)
    assert torch.equal(weights["c"], w.T)


@pytest.mark.parametrize("kept", [0, 5, 8, 60, -1])
def test_a_truncated_file_is_refused(file, model, kept):
    file.write_bytes(file.read_bytes()[:kept])
    fresh = other(model)
    before = copy_of(fresh)
    with pytest.raises(ValueError, match="path: expected a complete safetensors file, got "):
        load_weights(file, fresh)
    assert unchanged(fresh, before)


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(200), b"not weights" * 30])
def test_another_kind_of_file_is_refused(file, model, content):
    file.write_bytes(content)
    with pytest.raises(ValueError, match="path: expected a complete safetensors file"):
        load_weights(file, model)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"rnncourse": "{"}])
def test_a_file_without_facts_is_refused(file, model, metadata):
    save_file(model.state_dict(), file, metadata)
    with pytest.raises(ValueError, match=r"path: expected a file of save_weights, got .*model"):
        load_weights(file, model)


def test_a_missing_file_is_missing(tmp_path, model):
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "none", model)


def test_other_facts_are_refused(file, model):
    fresh = other(model)
    before = copy_of(fresh)
    with pytest.raises(ValueError, match=r"nonlinearity: expected 'relu', got 'tanh' in .*model"):
        load_weights(file, fresh, {"cell": "rnn", "nonlinearity": "relu"})
    with pytest.raises(ValueError, match=r"layers: expected 2, got nothing in .*model"):
        load_weights(file, fresh, {"layers": 2})
    assert unchanged(fresh, before)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"out.bias": None}, r"expected the weights of ModuleDict, got .* without out\.bias"),
        ({"more": torch.zeros(2)}, r"expected the weights of ModuleDict, got .* with more"),
        (
            {"out.weight": torch.zeros(4, 2)},
            r"out\.weight: expected shape \(2, 4\), got \(4, 2\) in .*model",
        ),
        (
            {"out.weight": torch.zeros(2, 4).double()},
            r"out\.weight: expected dtype torch\.float32, got torch\.float64 in .*model",
        ),
        (
            {"out.weight": torch.full((2, 4), np.nan)},
            r"out\.weight: expected finite numbers, got 8 others in .*model",
        ),
    ],
)
def test_weights_of_another_network_are_refused(file, model, changed, message):
    weights = {k: w for k, w in {**model.state_dict(), **changed}.items() if w is not None}
    save_weights(file, weights, FACTS)
    fresh = other(model)
    before = copy_of(fresh)
    kind = TypeError if "dtype" in message else ValueError
    with pytest.raises(kind, match=message):
        load_weights(file, fresh)
    assert unchanged(fresh, before)


def test_half_precision_is_taken_where_it_is_asked_for(file, model):
    save_weights(file, {k: w.half() for k, w in model.state_dict().items()}, FACTS)
    fresh = other(model)
    with pytest.raises(TypeError, match=r"expected dtype torch\.float32, got torch\.float16"):
        load_weights(file, fresh)
    load_weights(file, fresh, dtype=torch.float16)
    assert unchanged(fresh, {k: w.half().float() for k, w in model.state_dict().items()})
    assert fresh["out"].weight.dtype == torch.float32


def test_what_cannot_be_told_is_refused_when_it_is_saved(tmp_path, model):
    with pytest.raises(TypeError, match="facts: expected numbers, texts and lists"):
        save_weights(tmp_path / "w", model, {"model": model})
    with pytest.raises(TypeError, match="weights: expected a model or tensors by name"):
        save_weights(tmp_path / "w", {"a": 1.0}, {})
    assert not list(tmp_path.iterdir())


def test_chapter_3s_network_travels_with_the_package():
    weights, facts = read_weights(CHARACTER_RNN)
    assert {w.dtype for w in weights.values()} == {torch.float16}
    assert weights["rnn.weight_hh_l0"].shape == (256, 256)
    assert len(facts["symbols"]) == len(weights["embed.weight"]) == len(weights["out.bias"])
    assert json.dumps(facts)


def test_chapter_11s_transformer_travels_with_the_package():
    facts = read_weights(MANUAL_TRANSFORMER)[1]
    sizes = [facts[name] for name in ("embed_dim", "num_heads", "num_layers")]
    model = Transformer(len(facts["symbols"]), *sizes)
    load_weights(MANUAL_TRANSFORMER, model, dtype=torch.float16)
    losses = [bits for bits, _ in facts["seen"].values()]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 2.1 < 6 < losses[0]
