"""The transformer agrees with torch.nn's layers, and its cache with the full pass."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rnncourse.decoding import beam_search, generate
from rnncourse.torch.transformer import Block, Transformer

DEVICES = ["cpu", "cuda"]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
POSITIONS = st.sampled_from(["rotary", "sinusoidal", "none"])
SEEDS = st.integers(0, 2**31)


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return request.param


def same(found, expected, dtype=torch.float64, scale=0.0):
    assert found.shape == expected.shape
    size = max(expected.abs().max().item(), scale)
    assert (found - expected).abs().max().item() <= TOLERANCE[dtype] * size


@given(
    T=st.integers(1, 6),
    B=st.integers(1, 3),
    N=st.integers(1, 3),
    D=st.integers(1, 4),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    seed=SEEDS,
)
@settings(max_examples=50)
def test_a_block_is_that_of_torch(T, B, N, D, dtype, seed):
    torch.manual_seed(seed)
    E = N * D + (N * D == 1)  # the norm of a single feature has no gradient
    N = N if E == N * D else 1
    theirs = nn.TransformerEncoderLayer(
        E, N, 7, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=dtype
    )
    ours = Block(E, N, 7, dtype=dtype)
    ours.load_state_dict(theirs.state_dict())
    x, w = torch.randn(2, B, T, E, dtype=dtype)
    causal = nn.Transformer.generate_square_subsequent_mask(T, dtype=dtype)
    found = []
    for net in (ours, theirs):
        x1 = x.clone().requires_grad_()
        out = net(x1)[0] if net is ours else net(x1, src_mask=causal, is_causal=True)
        (out * w).sum().backward()
        found.append([out, x1.grad, *(dict(net.named_parameters())[k].grad for k in names(ours))])
    scale = max(v.abs().max().item() for v in found[1]) / 2
    for a, b in zip(*found, strict=True):
        same(a, b, dtype, scale)


def names(net):
    return [name for name, _ in net.named_parameters()]


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    B=st.integers(1, 3),
    positions=POSITIONS,
    seed=SEEDS,
)
@settings(max_examples=50)
def test_the_cache_gives_what_the_full_pass_gives(sizes, B, positions, seed):
    torch.manual_seed(seed)
    model = Transformer(5, 8, 2, 2, positions=positions, dtype=torch.float64)
    ids = torch.randint(5, (sum(sizes), B))
    full, kept = model(ids)
    pieces, cache = [], None
    for piece in ids.split(sizes):
        logits, cache = model(piece, cache)
        pieces.append(logits)
    same(torch.cat(pieces), full)
    (torch.cat(pieces).square().sum()).backward()
    through_cache = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    full.square().sum().backward()
    scale = max(g.abs().max().item() for g in through_cache)
    for found, p in zip(through_cache, model.parameters(), strict=True):
        same(found, p.grad, scale=scale / 10)
    for a, b in zip(kept, cache, strict=True):
        same(a[0], b[0])
        same(a[1], b[1])


@given(B=st.integers(1, 4), T=st.integers(2, 7), positions=POSITIONS, seed=SEEDS)
@settings(max_examples=30)
def test_neighbors_padding_and_the_future_are_invisible(B, T, positions, seed):
    torch.manual_seed(seed)
    model = Transformer(5, 8, 2, 2, positions=positions, dtype=torch.float64)
    ids = torch.randint(5, (T, B))
    n = int(torch.randint(1, T, ()))
    alone, _ = model(ids[:n, :1])
    found, _ = model(ids)
    same(found[:n, :1], alone)
    changed = ids.clone()
    changed[n:] = torch.randint(5, (T - n, B))
    assert torch.equal(model(changed)[0][:n], found[:n])


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_order_matters_with_positions(positions):
    torch.manual_seed(0)
    ids = torch.tensor([[0, 1], [1, 0], [2, 2]])  # the same symbols in two orders
    shuffled = {}
    for kind in (positions, "none"):
        logits, _ = Transformer(3, 8, 2, 1, positions=kind)(ids)
        shuffled[kind] = (logits[-1, 0] - logits[-1, 1]).abs().max().item()
    assert shuffled["none"] < 1e-5
    assert shuffled[positions] > 1e-3


def test_decoding_takes_its_step():
    torch.manual_seed(0)
    model = Transformer(5, 8, 2, 2).eval()
    prompt = torch.randint(5, (3, 4))
    found = generate(model.step, None, prompt, 5, temperature=0)
    ids = prompt
    for _ in range(5):
        ids = torch.cat((ids, model(ids)[0][-1:].argmax(-1)))
    assert torch.equal(found, ids[3:])
    beams = beam_search(model.step, None, prompt[0], 4, beam=3, batch_axis=0)
    for k in range(3):  # each score is the log probability of its text
        ids = torch.cat((prompt[:1], beams.ids[..., k]))
        chances = model(ids[:-1])[0].log_softmax(-1).gather(2, ids[1:, :, None])
        same(chances.sum((0, 2)), beams.scores[:, k], torch.float32)


def test_dropout_is_for_training():
    model = Transformer(5, 8, 2, 1, dropout=0.5)
    ids = torch.zeros(3, 2, dtype=torch.long)
    assert not torch.equal(model(ids)[0], model(ids)[0])
    model.eval()
    assert torch.equal(model(ids)[0], model(ids)[0])


def test_it_learns_to_repeat():
    torch.manual_seed(0)
    model = Transformer(8, 32, 4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        half = torch.randint(8, (6, 32))
        ids = torch.cat((half, half))
        logits, _ = model(ids[:-1])
        loss = nn.functional.cross_entropy(logits[5:].flatten(0, 1), ids[6:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5  # chance is log(8) = 2.08


def test_on_each_device(device):
    torch.manual_seed(0)
    model = Transformer(5, 8, 2, 2)
    ids = torch.randint(5, (4, 3))
    expected, _ = model(ids)
    model, ids = model.to(device), ids.to(device)
    logits, cache = model(ids[:3])
    last, _ = model.step(ids[3], cache)
    found = torch.cat((logits, last[None])).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


MODEL = Transformer(5, 8, 2, 2)
IDS = torch.zeros(3, 2, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MODEL(IDS[0]), ValueError, r"ids: expected 2 axes \(T, B\), got 1 axes"),
        (lambda: MODEL(IDS[:0]), ValueError, "ids: expected T of at least 1"),
        (lambda: MODEL(IDS.float()), TypeError, "ids: expected int64 or int32 .* torch.float32"),
        (lambda: MODEL(IDS.numpy()), TypeError, "ids: expected torch.Tensor, got ndarray"),
        (lambda: MODEL.step([0, 0]), TypeError, "ids: expected torch.Tensor, got list"),
        (lambda: MODEL(IDS + 5), ValueError, "ids: expected numbers from 0 to 4, got 5 to 5"),
        (lambda: MODEL(IDS - 1), ValueError, "ids: expected numbers from 0 to 4, got -1 to -1"),
        (lambda: MODEL.step(IDS), ValueError, r"ids: expected 1 axes \(B,\), got 2 axes"),
        (
            lambda: MODEL(IDS, MODEL(IDS)[1][:1]),
            ValueError,
            "cache: expected 2 layers, got 1",
        ),
        (
            lambda: MODEL(IDS, MODEL(IDS[:, :1])[1]),
            ValueError,
            r"cache\[0\]: expected shape \(2, 2, T, 4\), got \(1, 2, 3, 4\)",
        ),
        (
            lambda: Transformer(5, 8, 2, 2, positions="learned"),
            ValueError,
            "positions: expected 'rotary' or 'sinusoidal' or 'none', got 'learned'",
        ),
        (
            lambda: Transformer(5, 6, 2, 2),
            ValueError,
            r"positions: expected 'none' with an odd number of features \(3\), got 'rotary'",
        ),
        (lambda: Transformer(0, 8, 2, 2), ValueError, "vocab_size: expected at least 1, got 0"),
        (lambda: Transformer(5, 8, 3, 2), ValueError, "num_heads: expected a divisor of 8, got 3"),
        (lambda: Transformer(5, 8, 0, 2), ValueError, "num_heads: expected at least 1, got 0"),
        (lambda: Transformer(5, 0, 2, 2), ValueError, "embed_dim: expected at least 1, got 0"),
        (lambda: Transformer(5, 8, 2, 0), ValueError, "num_layers: expected at least 1, got 0"),
        (
            lambda: Transformer(5, 8, 2, 2, hidden_size=0),
            ValueError,
            "hidden_size: expected at least 1, got 0",
        ),
    ],
)
def test_bad_input_names_argument_expected_and_got(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_all_weights_are_on_the_device_and_of_the_dtype():
    model = Transformer(5, 8, 2, 2, device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("meta", torch.float64)}


def test_four_units_for_each_feature_unless_told_otherwise():
    assert Transformer(5, 8, 2, 1).layers[0].linear1.out_features == 32
    assert Transformer(5, 8, 2, 1, hidden_size=7).layers[0].linear1.out_features == 7
