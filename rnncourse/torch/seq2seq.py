"""Encoder–decoder: one recurrent network reads a sequence, another writes its translation."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnncourse.checks import check_at_least, check_choice, check_shape, check_type
from rnncourse.torch.attention import AdditiveAttention, dot_product_attention, length_mask
from rnncourse.torch.gru import GRU
from rnncourse.torch.inputs import Lengths, true_lengths
from rnncourse.torch.transformer import check_ids

ATTENTIONS = (None, "dot", "additive")

Hidden = Tensor | tuple[Tensor, Tensor]
"""State of a recurrent network, ``(layers, B, H)``; for an LSTM a pair."""


class State(NamedTuple):
    """What the decoder knows between two steps. The batch is always the second-to-last axis.

    Attributes
    ----------
    hidden
        State of the decoder, ``(layers, B, H)``; for an LSTM a pair.
    memory
        The encoder's states to attend to, ``(S, B, H)``.
    mask
        True where the source has a symbol, ``(S, B, 1)``.
    """

    hidden: Hidden
    memory: Tensor
    mask: Tensor


class EncoderDecoder(nn.Module):
    """Translate one sequence into another (Sutskever et al., 2014), with or without attention.

    Without attention, the encoder's last state is all that the decoder learns of the source. With
    attention, each step of the decoder also looks at all states of the encoder, after its own
    recurrent step as in Luong et al. (2015, equation 5). So all steps of a known target run in
    one call.

    Parameters
    ----------
    source_size, target_size
        Number of symbols V on each side.
    embed_size, hidden_size
        Features I of an embedded symbol and H of a state.
    num_layers
        Layers of the encoder and of the decoder.
    cell
        Class of both networks: ``RNN``, ``GRU`` or ``LSTM`` of ``torch.nn`` or of this package.
    attention
        None, ``"dot"`` (Luong's score) or ``"additive"`` (Bahdanau's).
    bidirectional
        Whether the encoder reads both ways, with H / 2 features each.
    dropout
        Probability that a feature of an embedding or of an output is dropped in training.
    device, dtype
        As for any layer of ``torch.nn``.

    Raises
    ------
    TypeError, ValueError
        If an argument is unknown or out of range.

    Examples
    --------
    >>> model = EncoderDecoder(10, 12, embed_size=4, hidden_size=8, attention="dot")
    >>> source, target = torch.zeros(5, 3, dtype=torch.long), torch.zeros(7, 3, dtype=torch.long)
    >>> logits, _, weights = model(source, torch.tensor([5, 2, 4]), target)
    >>> logits.shape, weights.shape
    (torch.Size([7, 3, 12]), torch.Size([3, 7, 5]))
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        embed_size: int,
        hidden_size: int,
        num_layers: int = 1,
        cell: type[nn.RNNBase] = GRU,
        attention: str | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = {"source_size": source_size, "target_size": target_size}
        sizes |= {"embed_size": embed_size, "hidden_size": hidden_size, "num_layers": num_layers}
        for name, size in sizes.items():
            check_at_least(name, size, 1)
        if not (isinstance(cell, type) and issubclass(cell, nn.RNNBase)):
            raise TypeError(f"cell: expected a class such as torch.nn.GRU, got {cell!r}")
        check_choice("attention", attention, ATTENTIONS)
        if bidirectional and hidden_size % 2:
            raise ValueError(
                f"hidden_size: expected an even number for two directions, got {hidden_size}"
            )
        network: Callable[..., nn.RNNBase] = cell
        I, H = embed_size, hidden_size
        one_way = H // 2 if bidirectional else H
        self.source_embedding = nn.Embedding(source_size, I, device=device, dtype=dtype)
        self.target_embedding = nn.Embedding(target_size, I, device=device, dtype=dtype)
        self.encoder = network(
            I, one_way, num_layers, bidirectional=bidirectional, device=device, dtype=dtype
        )
        self.decoder = network(I, H, num_layers, device=device, dtype=dtype)
        self.attention = attention
        if attention == "additive":
            self.score = AdditiveAttention(H, H, H, device, dtype)
        if attention is not None:
            self.combine = nn.Linear(2 * H, H, bias=False, device=device, dtype=dtype)
        self.output = nn.Linear(H, target_size, device=device, dtype=dtype)
        self.dropout = nn.Dropout(dropout)

    def encode(self, source: Tensor, lengths: Lengths | None = None) -> State:
        """Read the source.

        Parameters
        ----------
        source
            Whole numbers ``(S, B)``, padded with any source symbol.
        lengths
            Each sequence's true length, ``(B,)``; S if left out.

        Returns
        -------
        state
            For :meth:`decode` and :meth:`step`.

        Raises
        ------
        TypeError, ValueError
            If a shape is wrong, a symbol is not from 0 to V - 1 or a length not from 1 to S.
        """
        check_ids("source", source, ("S", "B"), self.source_embedding.num_embeddings)
        S, B = source.shape
        lengths = true_lengths([S] * B if lengths is None else lengths, S, B)
        x = self.dropout(self.source_embedding(source))  # (S, B, I)
        out, hidden = _run(self.encoder, x, None, lengths)
        if self.encoder.bidirectional:
            hidden = _side_by_side(hidden)
        mask = length_mask(lengths.to(source.device), S)  # (B, 1, S)
        return State(hidden, out, mask.permute(2, 0, 1))

    def decode(
        self, ids: Tensor, state: State, lengths: Lengths | None = None
    ) -> tuple[Tensor, State, Tensor | None]:
        """Score the symbol after each of the given ones.

        Parameters
        ----------
        ids
            Symbols of the target, whole numbers ``(T, B)``.
        state
            From :meth:`encode`, or from an earlier call to continue from there.
        lengths
            Each sequence's true length, ``(B,)``; T if left out.

        Returns
        -------
        logits
            ``(T, B, V)``.
        state
            After each sequence's last step.
        weights
            How much each step looks at each state of the encoder, ``(B, T, S)``; None without
            attention.

        Raises
        ------
        TypeError, ValueError
            If a shape is wrong, a symbol is not from 0 to V - 1 or a length not from 1 to T.
        """
        B = state.mask.shape[1]
        check_ids("ids", ids, ("T", B), self.target_embedding.num_embeddings)
        if lengths is not None:
            lengths = true_lengths(lengths, len(ids), B)
        x = self.dropout(self.target_embedding(ids))  # (T, B, I)
        out, hidden = _run(self.decoder, x, state.hidden, lengths)  # (T, B, H)
        weights = None
        if self.attention is not None:
            q, memory = out.transpose(0, 1), state.memory.transpose(0, 1)  # (B, T, H), (B, S, H)
            mask = state.mask.permute(1, 2, 0)  # (B, 1, S)
            if self.attention == "additive":
                context, weights = self.score(q, memory, memory, mask)
            else:
                context, weights = dot_product_attention(q, memory, memory, mask, scale=1)
            context = context.transpose(0, 1)  # (T, B, H)
            out = torch.tanh(self.combine(torch.cat((context, out), -1)))
        return self.output(self.dropout(out)), state._replace(hidden=hidden), weights

    def forward(
        self, source: Tensor, source_lengths: Lengths | None, target: Tensor
    ) -> tuple[Tensor, State, Tensor | None]:
        """Return what :meth:`decode` returns for a known target."""
        return self.decode(target, self.encode(source, source_lengths))

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Read a symbol per sequence, ``(B,)``; return the next one's scores ``(B, V)`` and state.

        This is the step that :func:`rnncourse.decoding.generate` and
        :func:`rnncourse.decoding.beam_search` take; the first state comes from :meth:`encode`, the
        first symbol is ``<bos>``.
        """
        check_type("ids", ids, Tensor)
        check_shape("ids", ids.shape, (state.mask.shape[1],))
        logits, state, _ = self.decode(ids[None], state)
        return logits[0], state

    def loss(
        self,
        source: Tensor,
        source_lengths: Lengths | None,
        target: Tensor,
        target_lengths: Lengths | None = None,
    ) -> Tensor:
        """Return the mean cross-entropy of the target's symbols under teacher forcing.

        At each step the decoder reads the true symbol, whatever it would have written itself
        (Williams and Zipser, 1989).

        Parameters
        ----------
        source, source_lengths
            As in :meth:`encode`.
        target
            Whole numbers ``(T, B)``, from ``<bos>`` to ``<eos>``, then padding.
        target_lengths
            Each target's true length, ``(B,)``, with ``<bos>`` and ``<eos>``; T if left out.

        Returns
        -------
        loss
            In nats per symbol, over all true symbols but ``<bos>``.

        Raises
        ------
        TypeError, ValueError
            As in :meth:`encode` and :meth:`decode`, or if a target is shorter than 2.
        """
        check_type("source", source, Tensor)
        check_ids("target", target, ("T", source.shape[-1]), self.target_embedding.num_embeddings)
        T, B = target.shape
        check_at_least("T of target", T, 2)
        target_lengths = true_lengths([T] * B if target_lengths is None else target_lengths, T, B)
        check_at_least("shortest of target_lengths", int(target_lengths.min()), 2)
        state = self.encode(source, source_lengths)
        logits, _, _ = self.decode(target[:-1], state, target_lengths - 1)  # (T - 1, B, V)
        steps = torch.arange(1, T, device=target.device)[:, None]
        true = steps < target_lengths.to(target.device)  # (T - 1, B)
        return F.cross_entropy(logits[true], target[1:][true].long())


def _run(
    net: nn.RNNBase, x: Tensor, hidden: Hidden | None, lengths: Tensor | None
) -> tuple[Tensor, Hidden]:
    """Run a network on ``(T, B, I)``; what comes after a sequence's end is never read."""
    if lengths is None:
        out, hidden = net(x, hidden)
        return out, hidden
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    out, hidden = net(packed, hidden)
    return pad_packed_sequence(out, total_length=len(x))[0], hidden


def _side_by_side(hidden: Hidden) -> Hidden:
    """Join the two directions of each layer: ``(2 * layers, B, H / 2)`` to ``(layers, B, H)``."""
    if isinstance(hidden, Tensor):
        return torch.cat((hidden[::2], hidden[1::2]), -1)
    h, c = (torch.cat((part[::2], part[1::2]), -1) for part in hidden)
    return h, c


__all__ = ["EncoderDecoder", "State"]
