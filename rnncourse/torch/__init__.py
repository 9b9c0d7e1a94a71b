"""PyTorch layers: drop-ins for those of ``torch.nn``, with the hand-derived pass made fast."""

from rnncourse.torch.rnn import RNN

__all__ = ["RNN"]
