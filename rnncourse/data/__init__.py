"""The course's data sets. None needs a network: they come with a library or are generated.

Two modules are for full runs on public data sets: :mod:`rnncourse.data.download` fetches them,
:mod:`rnncourse.data.files` reads them.

Everything here is NumPy. Time is the first axis, ``(T, B)`` or ``(T, B, I)``.
"""

from rnncourse.data.digits import Digits, digit_forms, digit_rows
from rnncourse.data.memory import (
    adding,
    associative_recall,
    copying,
    delayed_echo,
    parity,
    recall_first,
)
from rnncourse.data.music import compose
from rnncourse.data.series import Series, load_prices, load_series, seasonal_naive, split_series
from rnncourse.data.shapes import caption_batch
from rnncourse.data.speech import spoken_digits
from rnncourse.data.text import Vocabulary, python_manual, split_text, stream_batches
from rnncourse.data.translation import Pair, translation_pairs, word_by_word

__all__ = [
    "Digits",
    "Pair",
    "Series",
    "Vocabulary",
    "adding",
    "associative_recall",
    "caption_batch",
    "compose",
    "copying",
    "delayed_echo",
    "digit_forms",
    "digit_rows",
    "load_prices",
    "load_series",
    "parity",
    "python_manual",
    "recall_first",
    "seasonal_naive",
    "split_series",
    "split_text",
    "spoken_digits",
    "stream_batches",
    "translation_pairs",
    "word_by_word",
]
