"""PyTorch layers: drop-ins for those of ``torch.nn``, with the hand-derived pass made fast."""

from rnncourse.torch.attention import AdditiveAttention, MultiHeadAttention
from rnncourse.torch.gru import GRU
from rnncourse.torch.lstm import LSTM
from rnncourse.torch.minimal import MinGRU, MinLSTM
from rnncourse.torch.rnn import RNN
from rnncourse.torch.seq2seq import EncoderDecoder
from rnncourse.torch.transformer import Transformer

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "EncoderDecoder",
    "MinGRU",
    "MinLSTM",
    "MultiHeadAttention",
    "Transformer",
]
