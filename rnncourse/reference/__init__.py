"""The models in NumPy: forward and backward by hand, one model a file.

These files are written to be read. They import NumPy alone.
"""

from rnncourse.reference.gradcheck import check_gradients, numerical_gradient, relative_error
from rnncourse.reference.layers import linear, linear_backward, softmax_cross_entropy
from rnncourse.reference.rnn import RNN

__all__ = [
    "RNN",
    "check_gradients",
    "linear",
    "linear_backward",
    "numerical_gradient",
    "relative_error",
    "softmax_cross_entropy",
]
