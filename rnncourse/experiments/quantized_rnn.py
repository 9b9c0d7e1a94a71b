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
from torch import Tensor, nn

from rnncourse.data.text import Vocabulary, python_manual, split_text, stream_batches
from rnncourse.experiments.character_rnn import BATCH, WINDOW, CharacterRNN, Ids, cross_entropy
from rnncourse.experiments.character_rnn import bits as bits_of

SETTINGS = [{"epochs": 6}, {"epochs": 1}]
SEEDS = range(5)

CHEAP = {"epochs": 1}
TOLERANCE = {"float32": 0.08, "bits_8": 0.08, "runtime": 0.1}  # the manual differs by version

BITS = (8, 7, 6, 5, 4, 3, 2)
MATRICES = ("embed.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "out.weight")
ALONE = 3  # bits, of one matrix alone


class Step(nn.Module):
    """One step of a model: ``(B,)`` symbols and states ``(B, H)`` to scores and new states."""

    def __init__(self, model: CharacterRNN) -> None:
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


def trained(epochs: int, seed: int, device: str) -> CharacterRNN:
    """Return chapter 3's network, trained as there."""
    train, _, symbols = manual()
    batches = stream_batches(train, BATCH, WINDOW)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CharacterRNN(len(symbols)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.006)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    for _ in range(epochs):
        state = None
        for x, y in batches:
            loss, state = cross_entropy(model, x, y, state)
            state = state.detach()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            falling.step()
    return model


def rounded(weight: Tensor, bits: int) -> Tensor:
    """Round each row to ``2**bits - 1`` equally spaced values, from minus its largest to plus."""
    scale = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    return (weight / scale).round() * scale  # type: ignore[no-any-return]


def with_rounded(
    model: CharacterRNN, bits: int, matrices: tuple[str, ...] = MATRICES
) -> CharacterRNN:
    """Return a copy of a model with some of its matrices rounded."""
    other = copy.deepcopy(model)
    weights = other.state_dict()
    for name in matrices:
        weights[name] = rounded(weights[name], bits)
    other.load_state_dict(weights)
    return other


def runtime_bits(model: CharacterRNN, ids: Ids) -> float:
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
    figures = {"float32": bits_of(model, test)}
    half = copy.deepcopy(model)
    half.load_state_dict({k: w.half().float() for k, w in model.state_dict().items()})
    figures["float16"] = bits_of(half, test)
    for bits in BITS:
        figures[f"bits_{bits}"] = bits_of(with_rounded(model, bits), test)
    for name in MATRICES:
        only = with_rounded(model, ALONE, (name,))
        figures[f"alone_{name}"] = bits_of(only, test)
    figures["whole"] = bits_of(model, test, 1)
    figures["runtime"] = runtime_bits(model, test)
    return figures
