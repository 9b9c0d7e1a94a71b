"""Handwritten digits, read row by row."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_type


class Digits(NamedTuple):
    """Images as sequences of rows, and which digit each shows."""

    x: NDArray[np.float32]  # (T=8, N, I=8), from 0 (paper) to 1 (ink)
    y: NDArray[np.int64]  # (N,), from 0 to 9


def digit_rows(rng: np.random.Generator, test_fraction: float = 0.2) -> tuple[Digits, Digits]:
    """Return scikit-learn's 1797 handwritten digits as sequences of 8 rows of 8 pixels.

    Guessing the most common digit is right in about 10 % of cases.

    Parameters
    ----------
    rng
        Decides which images are held out.
    test_fraction
        The share that is held out, between 0 and 1.

    Returns
    -------
    train, test
        Pairs ``(x, y)``: float32 ``(T=8, N, I=8)`` in [0, 1] from the top row to the bottom
        row, and int64 ``(N,)``.

    Raises
    ------
    ImportError
        If scikit-learn, which carries the images, is not installed.
    TypeError, ValueError
        If ``rng`` is not a generator, or the fraction is not between 0 and 1 or leaves one side
        without an image.

    References
    ----------
    Alpaydin and Kaynak (1998), "Optical recognition of handwritten digits", UCI Machine Learning
    Repository.

    Examples
    --------
    >>> train, test = digit_rows(np.random.default_rng(0))
    >>> train.x.shape, test.x.shape
    ((8, 1438, 8), (8, 359, 8))
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "digit_rows: expected scikit-learn, which carries the images; "
            "install it with: pip install scikit-learn"
        ) from error
    check_type("rng", rng, np.random.Generator)
    data = load_digits()
    n = len(data.target)
    n_test = round(n * test_fraction) if 0 < test_fraction < 1 else 0
    if not 0 < n_test < n:
        raise ValueError(
            f"test_fraction: expected a share between 0 and 1 that leaves images on both sides, "
            f"got {test_fraction}"
        )
    x = np.ascontiguousarray(data.images.transpose(1, 0, 2) / 16, np.float32)
    y = data.target.astype(np.int64)
    order = rng.permutation(n)
    test, train = order[:n_test], order[n_test:]
    return Digits(x[:, train], y[train]), Digits(x[:, test], y[test])
