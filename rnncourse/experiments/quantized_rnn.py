"""What chapter 3's character model loses when its weights get fewer bits.

What varies
    The bits of a weight, in all matrices or in one of them alone, after training. The seed. With 1
    epoch of training in place of 6, the network is another, worse one.

What is held equal
    The Python manual and its split, the network of 256 units and its training (16 streams of 64
    characters, the state carried, Adam, a rate that falls from 0.006 along half a cosine, clipping
    at norm 1). Within a seed, all figures are of the same trained network. Rounding is symmetric,
    with one scale per row; biases stay as they are.

How each side is tuned
    Nothing is tuned, and nothing is trained again after rounding.

When a run ends
    After its epochs. All figures are bits per character of the test text.
"""

import copy
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.text import Vocabulary, python_manual, split_text, stream_batches
from rnncourse.torch import RNN

SETTINGS = [{"epochs": 6}, {"epochs": 1}]
SEEDS = range(5)

CHEAP = {"epochs": 1}
TOLERANCE = {"float32": 0.08, "bits_8": 0.08, "runtime": 0.1}  # the manual differs by version

BITS = (8, 7, 6, 5, 4, 3, 2)
MATRICES = ("embed.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "out.weight")
ALONE = 3  # bits, of one matrix alone
BATCH, WINDOW, SCORED = 16, 64, 32

Ids = NDArray[np.int64]


class CharacterModel(nn.Module):
    """Embedding, one recurrent layer, output."""

    def __init__(self, n_symbols: int, embed_size: int = 64, hidden_size: int = 256) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_symbols, embed_size)
        self.rnn = RNN(embed_size, hidden_size)
        self.out = nn.Linear(hidden_size, n_symbols)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the scores of the next symbol, ``(T, B, V)``, and the last state."""
        h, state = self.rnn(self.embed(x), state)
        return self.out(h), state


class Step(nn.Module):
    """One step of a model: ``(B,)`` symbols and states ``(B, H)`` to scores and new states."""

    def __init__(self, model: CharacterModel) -> None:
        super().__init__()
        self.embed, self.out = model.embed, model.out
        self.cell = nn.RNNCell(model.embed.embedding_dim, model.out.in_features)
        weights = model.rnn.state_dict().items()
        self.cell.load_state_dict({name.removesuffix("_l0"): w for name, w in weights})

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B, V)`` and states ``(B, H)``."""
        h = self.cell(self.embed(x), h)
        return self.out(h), h


def manual() -> tuple[Ids, Ids, Vocabulary]:
    """Return the text of training, that of the test, and the symbols."""
    train, _, test = split_text(python_manual())
    symbols = Vocabulary.from_text(train)
    return symbols.encode(train), symbols.encode(test), symbols


def trained(epochs: int, seed: int, device: str) -> CharacterModel:
    """Return chapter 3's network, trained as there."""
    train, _, symbols = manual()
    batches = stream_batches(train, BATCH, WINDOW)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CharacterModel(len(symbols)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.006)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    for _ in range(epochs):
        state = None
        for x, y in batches:
            scores, state = model(torch.from_numpy(x).to(device), state)
            state = state.detach()
            target = torch.from_numpy(y).to(device).flatten()
            loss = F.cross_entropy(scores.flatten(0, 1), target)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            falling.step()
    return model


@torch.no_grad()
def bits_per_character(model: CharacterModel, ids: Ids, streams: int = SCORED) -> float:
    """Return the bits per character of a text, cut into streams that start with an empty state."""
    ((x, y),) = stream_batches(ids, streams, (len(ids) - 1) // streams)
    device = next(model.parameters()).device
    scores, _ = model(torch.from_numpy(x).to(device))
    target = torch.from_numpy(y).to(device).flatten()
    return F.cross_entropy(scores.flatten(0, 1), target).item() / math.log(2)


def rounded(weight: Tensor, bits: int) -> Tensor:
    """Round each row to ``2**bits - 1`` equally spaced values, from minus its largest to plus."""
    scale = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    return (weight / scale).round() * scale  # type: ignore[no-any-return]


def with_rounded(
    model: CharacterModel, bits: int, matrices: tuple[str, ...] = MATRICES
) -> CharacterModel:
    """Return a copy of a model with some of its matrices rounded."""
    other = copy.deepcopy(model)
    weights = other.state_dict()
    for name in matrices:
        weights[name] = rounded(weights[name], bits)
    other.load_state_dict(weights)
    return other


def runtime_bits(model: CharacterModel, ids: Ids) -> float:
    """Return the bits per character of ONNX Runtime's dynamic quantization, one step at a time."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = copy.deepcopy(model).cpu()
    hidden = model.out.in_features
    with tempfile.TemporaryDirectory() as folder:
        full, small = (str(Path(folder) / f"{name}.onnx") for name in ("full", "small"))
        torch.onnx.export(
            Step(model).eval(),
            (torch.zeros(1, dtype=torch.long), torch.zeros(1, hidden)),
            full,
            dynamo=False,
            input_names=["x", "h"],
            output_names=["scores", "h_n"],
        )
        quantize_dynamic(full, small, weight_type=QuantType.QInt8, per_channel=True)
        session = onnxruntime.InferenceSession(small)
    h, total = np.zeros((1, hidden), np.float32), 0.0
    for now, then in zip(ids[:-1], ids[1:], strict=True):  # noqa: RUF007
        scores, h = session.run(None, {"x": now[None], "h": h})
        largest = scores.max()
        total += float(largest + np.log(np.exp(scores - largest).sum()) - scores[0, then])
    return total / (len(ids) - 1) / math.log(2)


def run(epochs: int, *, seed: int, device: str) -> dict[str, float]:
    """Train one network, and round its weights in many ways.

    Returns
    -------
    figures
        Bits per character, the text in 32 streams: ``float32``, ``float16``; ``bits_8`` and so on
        with all matrices rounded; ``alone_…`` with one of them rounded to 3 bits. The text in one
        stream: ``whole`` in float32, ``runtime`` with weights and activations in 8 bits in ONNX
        Runtime.
    """
    model, (_, test, _) = trained(epochs, seed, device), manual()
    figures = {"float32": bits_per_character(model, test)}
    half = copy.deepcopy(model)
    half.load_state_dict({k: w.half().float() for k, w in model.state_dict().items()})
    figures["float16"] = bits_per_character(half, test)
    for bits in BITS:
        figures[f"bits_{bits}"] = bits_per_character(with_rounded(model, bits), test)
    for name in MATRICES:
        only = with_rounded(model, ALONE, (name,))
        figures[f"alone_{name}"] = bits_per_character(only, test)
    figures["whole"] = bits_per_character(model, test, 1)
    figures["runtime"] = runtime_bits(model, test)
    return figures
