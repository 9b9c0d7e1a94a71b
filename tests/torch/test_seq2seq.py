"""The encoder–decoder gives the same with every cell, in one call or step by step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from rnncourse.decoding import beam_search, generate
from rnncourse.torch.gru import GRU
from rnncourse.torch.lstm import LSTM
from rnncourse.torch.rnn import RNN
from rnncourse.torch.seq2seq import EncoderDecoder

DEVICES = ["cpu", "cuda"]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
CELLS = [(RNN, nn.RNN), (GRU, nn.GRU), (LSTM, nn.LSTM)]
MODEL = {
    "cells": st.sampled_from(CELLS),
    "attention": st.sampled_from([None, "dot", "additive"]),
    "bidirectional": st.booleans(),
    "layers": st.integers(1, 2),
    "seed": st.integers(0, 2**31),
}


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return request.param


def make(cell, attention, bidirectional, layers, dtype=torch.float64):
    return EncoderDecoder(6, 7, 3, 4, layers, cell, attention, bidirectional, dtype=dtype)


def batch(S, T, B):
    """Return source, target and their lengths; symbol 0 is padding and nothing else."""
    source, target = torch.randint(1, 6, (S, B)), torch.randint(1, 7, (T, B))
    lengths = torch.randint(1, S + 1, (B,)), torch.randint(2, T + 1, (B,))
    for ids, ns in ((source, lengths[0]), (target, lengths[1])):
        ids.masked_fill_(torch.arange(len(ids))[:, None] >= ns, 0)
    return source, lengths[0], target, lengths[1]


def same(found, expected, dtype=torch.float64, scale=0.0):
    assert found.shape == expected.shape
    size = max(expected.abs().max().item(), scale)
    assert (found - expected).abs().max().item() <= TOLERANCE[dtype] * size


def grads(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]


@given(
    **MODEL,
    S=st.integers(1, 6),
    T=st.integers(2, 6),
    B=st.integers(1, 4),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
@settings(max_examples=60)
def test_ours_and_torch_agree(cells, attention, bidirectional, layers, seed, S, T, B, dtype):
    torch.manual_seed(seed)
    models = [make(cell, attention, bidirectional, layers, dtype) for cell in cells]
    models[0].load_state_dict(models[1].state_dict())
    data = batch(S, T, B)
    found = [[loss := m.loss(*data), *grads(m, loss)] for m in models]
    scale = max(v.abs().max().item() for v in found[1]) / 2
    for a, b in zip(*found, strict=True):
        same(a, b, dtype, scale)


@given(**MODEL, S=st.integers(1, 6), T=st.integers(2, 6), B=st.integers(1, 4))
@settings(max_examples=60)
def test_neighbors_and_padding_are_invisible(
    cells, attention, bidirectional, layers, seed, S, T, B
):
    torch.manual_seed(seed)
    model = make(cells[seed % 2], attention, bidirectional, layers)
    source, S_true, target, T_true = batch(S, T, B)
    total, n = 0.0, 0
    for b in range(B):
        s, t = source[: S_true[b], b : b + 1], target[: T_true[b], b : b + 1]
        logits, _, weights = model(s, None, t[:-1])
        total = total + F.cross_entropy(logits[:, 0], t[1:, 0], reduction="sum")
        n += len(t) - 1
        if attention:
            _, _, found = model(source, S_true, target)
            same(found[b : b + 1, : len(t) - 1, : len(s)], weights)
            assert (found[b, :, len(s) :] == 0).all()
    expected = grads(model, total / n)
    loss = model.loss(source, S_true, target, T_true)
    same(loss, total / n)
    found = grads(model, loss)
    for a, b in zip(found, expected, strict=True):
        same(a, b, scale=expected[-1].abs().max().item())
    with torch.no_grad():  # the embedding of padding is never read
        model.source_embedding.weight[0] = model.target_embedding.weight[0] = float("nan")
    hidden = model.loss(source, S_true, target, T_true)
    assert torch.equal(hidden, loss)
    for a, b in zip(grads(model, hidden), found, strict=True):
        assert torch.equal(a, b)


@given(**MODEL, T=st.integers(1, 5), B=st.integers(1, 3))
@settings(max_examples=40)
def test_step_by_step_is_one_call(cells, attention, bidirectional, layers, seed, T, B):
    torch.manual_seed(seed)
    model = make(cells[seed % 2], attention, bidirectional, layers)
    source, lengths, target, _ = batch(4, T + 1, B)
    state = model.encode(source, lengths)
    logits, _, weights = model.decode(target, state)
    assert (weights is None) == (attention is None)
    for t, ids in enumerate(target):
        found, state = model.step(ids, state)
        same(found, logits[t])


@pytest.mark.parametrize("cell", [GRU, nn.LSTM])
def test_the_decoder_starts_from_both_directions(cell):
    model = make(cell, None, True, 2)
    source = torch.randint(6, (5, 3))
    _, ends = model.encoder(model.source_embedding(source))  # (2 layers * 2, B, H / 2) each
    found = model.encode(source).hidden
    pairs = zip(found, ends, strict=True) if cell is nn.LSTM else [(found, ends)]
    for state, end in pairs:
        same(state, end.view(2, 2, 3, 2).transpose(1, 2).flatten(2))


def test_dot_attention_has_the_score_of_luong():
    model = make(nn.GRU, "dot", False, 1)
    source, ids = torch.randint(6, (5, 3)), torch.randint(7, (4, 3))
    state = model.encode(source)
    h, _ = model.decoder(model.target_embedding(ids), state.hidden)  # (T, B, H)
    weights = torch.einsum("tbh,sbh->bts", h, state.memory).softmax(-1)
    context = torch.einsum("bts,sbh->tbh", weights, state.memory)
    logits = model.output(torch.tanh(model.combine(torch.cat((context, h), -1))))
    found, _, found_weights = model.decode(ids, state)
    same(found_weights, weights)
    same(found, logits)


@pytest.mark.parametrize("cell", [RNN, nn.LSTM])
def test_decoding_takes_its_step(cell):
    torch.manual_seed(0)
    model = make(cell, "additive", True, 2).eval()
    source, lengths, _, _ = batch(5, 2, 3)
    state, bos = model.encode(source, lengths), torch.ones(1, 3, dtype=torch.long)
    found = generate(model.step, state, bos, 6, temperature=0)
    ids = bos
    for _ in range(6):
        logits, _, _ = model(source, lengths, ids)
        ids = torch.cat((ids, logits[-1:].argmax(-1)))
    assert torch.equal(found, ids[1:])
    beams = beam_search(model.step, state, bos[0], 6, beam=1)
    assert torch.equal(beams.ids[..., 0], found)
    beams = beam_search(model.step, state, bos[0], 4, beam=3)
    for k in range(3):  # each score is the log probability of its text
        ids = torch.cat((bos, beams.ids[..., k]))
        chances = model(source, lengths, ids[:-1])[0].log_softmax(-1)
        same(chances.gather(2, ids[1:, :, None]).sum((0, 2)), beams.scores[:, k])


@pytest.mark.parametrize("cell", [cell for pair in CELLS for cell in pair])
@pytest.mark.parametrize("attention", [None, "dot", "additive"])
def test_autocast(cell, attention):
    torch.manual_seed(0)
    model, data = make(cell, attention, False, 1, torch.float32), batch(5, 4, 3)
    exact = model.loss(*data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert abs(model.loss(*data) - exact) < 0.05


@pytest.mark.parametrize("attention", ["dot", "additive"])
def test_attention_learns_to_turn_a_sequence_around(attention):
    torch.manual_seed(0)
    model = EncoderDecoder(10, 10, 16, 32, attention=attention)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        source = torch.randint(2, 10, (6, 32))
        target = torch.cat((torch.zeros(1, 32), source.flip(0), torch.ones(1, 32))).long()
        loss = model.loss(source, None, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5  # chance is log(8) = 2.08


def test_one_layer_unless_told_otherwise():
    model = EncoderDecoder(6, 7, 3, 4)
    assert model.encoder.num_layers == model.decoder.num_layers == 1


@pytest.mark.parametrize(
    "name", ["source_size", "target_size", "embed_size", "hidden_size", "num_layers"]
)
def test_sizes_are_at_least_one(name):
    sizes = {"source_size": 6, "target_size": 7, "embed_size": 3, "hidden_size": 4}
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, got 0"):
        EncoderDecoder(**(sizes | {name: 0}))


def test_lengths_may_be_lists():
    torch.manual_seed(0)
    model = make(GRU, "dot", False, 1)
    source, lengths, target, target_lengths = batch(5, 4, 3)
    for some in (lengths, target_lengths):
        some[0] = 2
    expected = model.loss(source, lengths, target, target_lengths)
    assert model.loss(source, lengths.tolist(), target, target_lengths.tolist()) == expected


def test_dropout_is_for_training():
    model = EncoderDecoder(6, 7, 3, 4, dropout=0.5)
    data = batch(4, 4, 3)
    assert model.loss(*data) != model.loss(*data)
    model.eval()
    assert model.loss(*data) == model.loss(*data)


@pytest.mark.parametrize("attention", [None, "dot", "additive"])
def test_on_each_device(device, attention):
    torch.manual_seed(0)
    model, data = make(GRU, attention, True, 2, torch.float32), batch(5, 4, 3)
    expected = model.loss(*data)
    loss = model.to(device).loss(*[v.to(device) for v in data])
    loss.backward()
    torch.testing.assert_close(loss.cpu(), expected, rtol=1e-4, atol=1e-4)


NET = EncoderDecoder(6, 7, 3, 4, attention="dot")
SOURCE, TARGET = torch.zeros(5, 2, dtype=torch.long), torch.zeros(4, 2, dtype=torch.long)
N = torch.tensor


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: NET.encode(SOURCE[0]), ValueError, r"source: expected 2 axes \(S, B\), got 1"),
        (lambda: NET.encode(SOURCE.float()), TypeError, "source: expected int64 or int32"),
        (lambda: NET.encode(SOURCE.numpy()), TypeError, "source: expected torch.Tensor, got nd"),
        (lambda: NET.loss(SOURCE.tolist(), None, TARGET), TypeError, "source: expected torch.Te"),
        (lambda: NET.step([0, 0], NET.encode(SOURCE)), TypeError, "ids: expected torch.Tensor"),
        (lambda: NET.encode(SOURCE, [5, 6]), ValueError, r"lengths\[1\]: expected at most T = 5"),
        (
            lambda: NET.encode(SOURCE + 6),
            ValueError,
            "source: expected numbers from 0 to 5, got 6 to 6",
        ),
        (
            lambda: NET.encode(SOURCE, N([5, 6])),
            ValueError,
            r"lengths\[1\]: expected at most T = 5, got 6",
        ),
        (
            lambda: NET.encode(SOURCE, N([5])),
            ValueError,
            "lengths: expected 2 lengths, one per sequence, got 1",
        ),
        (
            lambda: NET(SOURCE, None, TARGET[:, :1]),
            ValueError,
            r"ids: expected shape \(T, 2\), got \(4, 1\)",
        ),
        (
            lambda: NET(SOURCE, None, TARGET + 7),
            ValueError,
            "ids: expected numbers from 0 to 6, got 7 to 7",
        ),
        (
            lambda: NET.decode(TARGET, NET.encode(SOURCE), N([0, 4])),
            ValueError,
            r"lengths\[0\]: expected at least 1, got 0",
        ),
        (
            lambda: NET.step(TARGET, NET.encode(SOURCE)),
            ValueError,
            r"ids: expected 1 axes \(2,\), got 2 axes \(4, 2\)",
        ),
        (
            lambda: NET.loss(SOURCE, None, TARGET[:1]),
            ValueError,
            "T of target: expected at least 2, got 1",
        ),
        (
            lambda: NET.loss(SOURCE, None, TARGET, N([1, 4])),
            ValueError,
            "shortest of target_lengths: expected at least 2, got 1",
        ),
        (
            lambda: NET.loss(SOURCE, None, TARGET[:, :1]),
            ValueError,
            r"target: expected shape \(T, 2\), got \(4, 1\)",
        ),
        (
            lambda: NET.loss(SOURCE, None, TARGET.float()),
            TypeError,
            "target: expected int64 or int32",
        ),
        (
            lambda: EncoderDecoder(6, 7, 3, 4, cell=nn.Linear),
            TypeError,
            "cell: expected a class such as torch.nn.GRU, got <class 'torch.nn",
        ),
        (
            lambda: EncoderDecoder(6, 7, 3, 4, cell="gru"),
            TypeError,
            "cell: expected a class such as torch.nn.GRU, got 'gru'",
        ),
        (
            lambda: EncoderDecoder(6, 7, 3, 4, attention="cosine"),
            ValueError,
            "attention: expected None or 'dot' or 'additive', got 'cosine'",
        ),
        (
            lambda: EncoderDecoder(6, 7, 3, 5, bidirectional=True),
            ValueError,
            "hidden_size: expected an even number for two directions, got 5",
        ),
        (lambda: EncoderDecoder(6, 0, 3, 4), ValueError, "target_size: expected at least 1, got 0"),
    ],
)
def test_bad_input_names_argument_expected_and_got(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_all_weights_are_on_the_device_and_of_the_dtype():
    model = EncoderDecoder(6, 7, 3, 4, attention="additive", device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("meta", torch.float64)}
