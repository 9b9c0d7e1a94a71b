"""The models in NumPy: forward and backward by hand, one model per file.

These files are written to be read. They need only NumPy.
"""

from rnncourse.reference.attention import (
    additive_attention,
    additive_attention_backward,
    dot_product_attention,
    dot_product_attention_backward,
)
from rnncourse.reference.ctc import ctc_loss
from rnncourse.reference.embedding import embedding, embedding_backward
from rnncourse.reference.gradcheck import check_gradients, numerical_gradient, relative_error
from rnncourse.reference.gru import GRU
from rnncourse.reference.layers import linear, linear_backward, softmax_cross_entropy
from rnncourse.reference.lstm import LSTM
from rnncourse.reference.normalization import layer_norm, layer_norm_backward
from rnncourse.reference.optim import SGD, Adam, clip_by_norm
from rnncourse.reference.rnn import RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adam",
    "additive_attention",
    "additive_attention_backward",
    "check_gradients",
    "clip_by_norm",
    "ctc_loss",
    "dot_product_attention",
    "dot_product_attention_backward",
    "embedding",
    "embedding_backward",
    "layer_norm",
    "layer_norm_backward",
    "linear",
    "linear_backward",
    "numerical_gradient",
    "relative_error",
    "softmax_cross_entropy",
]
