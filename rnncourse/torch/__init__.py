"""PyTorch layers: drop-ins for those of ``torch.nn``, with the hand-derived pass made fast."""

if __name__ == "torch":
    raise ImportError(
        "This is rnncourse/torch, not PyTorch: a file of the package was run as a program from its "
        "own folder. Run it as a module, 'python -m rnncourse.training' for instance."
    )

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
