"""The course's data sets. All are there without a network: they ship with Python or are generated.

Everything here is NumPy. Sequences lie along the first axis, ``(T, B)`` or ``(T, B, I)``.
"""

from rnncourse.data.digits import Digits, digit_rows
from rnncourse.data.memory import delayed_echo
from rnncourse.data.text import Vocabulary, python_manual, split_text, stream_batches

__all__ = [
    "Digits",
    "Vocabulary",
    "delayed_echo",
    "digit_rows",
    "python_manual",
    "split_text",
    "stream_batches",
]
