"""Handwritten digits, read row by row."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_type


class Digits(NamedTuple):
    """Images as sequences of rows, and which digit each shows."""

    x: NDArray[np.float32]  # (T=8, N, I=8), from 0 (paper) to 1 (ink)
    y: NDArray[np.int64]  # (N,), from 0 to 9


FORM_STARTS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)
"""Which images of scikit-learn's file are the first of a form; see :func:`digit_forms`."""


def digit_rows(rng: np.random.Generator, test_fraction: float = 0.2) -> tuple[Digits, Digits]:
    """Return scikit-learn's 1797 handwritten digits as sequences of 8 rows of 8 pixels.

    Guessing the most common digit is right in about 10 % of cases. The split is at random, so
    that both sides hold digits by the same writers; :func:`digit_forms` allows a split by form.

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
    check_type("rng", rng, np.random.Generator)
    x, y = _all_digits("digit_rows")
    n = len(y)
    n_test = round(n * test_fraction) if 0 < test_fraction < 1 else 0
    if not 0 < n_test < n:
        raise ValueError(
            f"test_fraction: expected a share between 0 and 1 that leaves images on both sides, "
            f"got {test_fraction}"
        )
    order = rng.permutation(n)
    test, train = order[:n_test], order[n_test:]
    return Digits(x[:, train], y[train]), Digits(x[:, test], y[test])


def digit_forms() -> tuple[Digits, NDArray[np.int64]]:
    """Return all of scikit-learn's digits in the order of the file, and the form of each.

    The labels of the file run 14 times through one sequence of 130 digits, of which 23 are missing
    and one differs: the same printed form, filled in 14 times. Images of one form are by one hand,
    as far as the file tells; which form is by whom is not known.

    Returns
    -------
    digits, forms
        A pair ``(x, y)`` as from :func:`digit_rows`, float32 ``(T=8, N=1797, I=8)`` and int64
        ``(N,)``; and the form of each image, int64 ``(N,)``, from 0 to 13.

    Raises
    ------
    ImportError
        If scikit-learn, which carries the images, is not installed.

    Examples
    --------
    >>> digits, forms = digit_forms()
    >>> digits.x.shape, np.bincount(forms).tolist()
    ((8, 1797, 8), [130, 126, 130, 130, 130, 130, 130, 123, 128, 130, 128, 130, 122, 130])
    """
    digits = _all_digits("digit_forms")
    forms = np.searchsorted(FORM_STARTS, np.arange(len(digits.y)), side="right") - 1
    return digits, forms.astype(np.int64)


def _all_digits(caller: str) -> Digits:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            f"{caller}: expected scikit-learn, which carries the images; "
            "install it with: pip install scikit-learn"
        ) from error
    data = load_digits()
    x = np.ascontiguousarray(data.images.transpose(1, 0, 2) / 16, np.float32)
    return Digits(x, data.target.astype(np.int64))
