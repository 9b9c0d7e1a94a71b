"""The transformer that translates, for the experiments that tune and measure it."""

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncourse.data.translation import vocabularies
from rnncourse.experiments._translators import EMBED
from rnncourse.torch.attention import MultiHeadAttention, causal_mask, rotary, sinusoidal
from rnncourse.torch.seq2seq import EncoderDecoder

SIDES = (("post", "sinusoidal"), ("pre", "rotary"))
HEADS, LAYERS = 4, 2


class State(NamedTuple):
    """What the decoder needs to go on.

    Attributes
    ----------
    memory
        The encoder's output, ``(B, S, E)``.
    mask
        Which of its steps are true, ``(B, 1, 1, S)``.
    words
        What has been written so far, ``(T, B)``.
    """

    memory: Tensor
    mask: Tensor
    words: Tensor


class Layer(nn.Module):
    """Look at oneself, in a decoder also at the encoder, then think; each is added to its input."""

    def __init__(self, norm: str, turns: bool, crosses: bool) -> None:
        super().__init__()
        E = EMBED
        self.norm, self.turns = norm, turns
        self.look = MultiHeadAttention(E, HEADS)
        self.cross = MultiHeadAttention(E, HEADS) if crosses else None
        self.think = nn.Sequential(nn.Linear(E, 4 * E), nn.ReLU(), nn.Linear(4 * E, E))
        self.norms = nn.ModuleList(nn.LayerNorm(E) for _ in range(3 if crosses else 2))

    def _look(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.look.project(x, x, x)
        if self.turns:
            places = torch.arange(x.shape[1], device=x.device)
            q, k = rotary(q, places), rotary(k, places)
        return self.look.attend(q, k, v, mask, need_weights=False)[0]

    def _cross(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        assert self.cross is not None
        q, k, v = self.cross.project(x, memory, memory)
        return self.cross.attend(q, k, v, mask, need_weights=False)[0]

    def forward(self, x: Tensor, mask: Tensor, state: State | None = None) -> Tensor:
        """Run the layer on ``(B, T, E)``."""
        parts: list[Callable[[Tensor], Tensor]] = [lambda x: self._look(x, mask)]
        if state is not None:
            parts.append(lambda x: self._cross(x, state.memory, state.mask))
        parts.append(self.think)
        for part, norm in zip(parts, self.norms, strict=True):
            x = norm(x + part(x)) if self.norm == "post" else x + part(norm(x))
        return x


class Translator(nn.Module):
    """Encoder and decoder, with the methods of :class:`rnncourse.torch.EncoderDecoder`."""

    def __init__(self, n_source: int, n_target: int, norm: str, positions: str) -> None:
        super().__init__()
        turns = positions == "rotary"
        self.adds = positions == "sinusoidal"
        self.source_embedding = nn.Embedding(n_source, EMBED)
        self.target_embedding = nn.Embedding(n_target, EMBED)
        self.encoder = nn.ModuleList(Layer(norm, turns, crosses=False) for _ in range(LAYERS))
        self.decoder = nn.ModuleList(Layer(norm, turns, crosses=True) for _ in range(LAYERS))
        # With the norm before each part, the sums themselves have none: it comes at the end.
        self.encoder_norm, self.decoder_norm = (
            nn.LayerNorm(EMBED) if norm == "pre" else nn.Identity() for _ in range(2)
        )
        self.output = nn.Linear(EMBED, n_target)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=1 / math.sqrt(2))  # the size of the positions

    def _embed(self, embedding: nn.Module, ids: Tensor) -> Tensor:
        x: Tensor = embedding(ids.t())  # (B, T, E)
        if self.adds:
            x = x + sinusoidal(torch.arange(x.shape[1], device=x.device), EMBED)
        return x

    def encode(self, source: Tensor, lengths: Tensor) -> State:
        """Read the source ``(S, B)``."""
        true = torch.arange(len(source), device=source.device) < lengths.to(source.device)[:, None]
        mask = true[:, None, None]  # (B, 1, 1, S)
        x = self._embed(self.source_embedding, source)
        for layer in self.encoder:
            x = layer(x, mask)
        return State(self.encoder_norm(x), mask, source[:0])

    def decode(self, words: Tensor, state: State) -> Tensor:
        """Score the word after each of ``(T, B)``: ``(T, B, V)``."""
        x = self._embed(self.target_embedding, words)
        mask = causal_mask(len(words), len(words), words.device)
        for layer in self.decoder:
            x = layer(x, mask, state)
        scores: Tensor = self.output(self.decoder_norm(x))
        return scores.transpose(0, 1)

    def step(self, word: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one more word ``(B,)``; all of them are read again, without a cache."""
        state = state._replace(words=torch.cat((state.words, word[None])))
        return self.decode(state.words, state)[-1], state

    def loss(
        self, source: Tensor, source_lengths: Tensor, target: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Return the mean cross-entropy in nats per word, the end included."""
        scores = self.decode(target[:-1], self.encode(source, source_lengths))
        steps = torch.arange(1, len(target), device=target.device)[:, None]
        true = steps < target_lengths.to(target.device)
        return F.cross_entropy(scores[true], target[1:][true])


def build(norm: str, positions: str, seed: int) -> EncoderDecoder:
    """Return an untrained translator."""
    english, spanish = vocabularies()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Translator(len(english), len(spanish), norm, positions)
    return cast(EncoderDecoder, model)  # it has the methods that training and writing call
