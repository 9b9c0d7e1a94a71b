"""PyTorch layers: drop-ins for those of ``torch.nn``, with the hand-derived pass made fast."""

from rnncourse.torch.attention import AdditiveAttention, MultiHeadAttention
from rnncourse.torch.gru import GRU
from rnncourse.torch.linear_attention import LinearAttention
from rnncourse.torch.lstm import LSTM
from rnncourse.torch.minimal import MinGRU, MinLSTM
from rnncourse.torch.rnn import RNN
from rnncourse.torch.seq2seq import EncoderDecoder
from rnncourse.torch.state_space import StateSpace
from rnncourse.torch.transformer import Transformer

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "EncoderDecoder",
    "LinearAttention",
    "MinGRU",
    "MinLSTM",
    "MultiHeadAttention",
    "StateSpace",
    "Transformer",
]
