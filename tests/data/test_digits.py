import sys

import numpy as np
import pytest

from rnncourse.data import digit_rows


def test_the_digits_are_sequences_of_rows():
    train, test = digit_rows(np.random.default_rng(0), test_fraction=0.25)
    assert train.x.shape[::2] == test.x.shape[::2] == (8, 8)
    assert train.x.shape[1] == len(train.y)
    assert len(train.y) + len(test.y) == 1797
    assert len(test.y) == 449
    assert train.x.dtype == np.float32
    assert train.y.dtype == np.int64
    assert (train.x.min(), train.x.max()) == (0, 1)
    assert set(test.y) == set(range(10))


def test_rows_run_from_top_to_bottom():
    from sklearn.datasets import load_digits

    data = load_digits()
    train, _ = digit_rows(np.random.default_rng(0))
    first = data.images[np.random.default_rng(0).permutation(1797)[359]]
    np.testing.assert_allclose(train.x[:, 0], first / 16)


def test_the_generator_decides_the_split():
    a, b, c = (digit_rows(np.random.default_rng(seed))[1].y for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1e-9, np.nan, np.inf])
def test_a_fraction_that_leaves_a_side_empty_is_refused(fraction):
    with pytest.raises(ValueError, match="test_fraction: expected a share"):
        digit_rows(np.random.default_rng(0), fraction)


def test_a_seed_is_no_generator():
    with pytest.raises(TypeError, match=r"rng: expected numpy\.Generator, got int"):
        digit_rows(0)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        digit_rows(np.random.default_rng(0))
