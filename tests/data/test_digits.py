import sys
from difflib import SequenceMatcher

import numpy as np
import pytest

from rnncourse.data import digit_forms, digit_rows


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
    with pytest.raises(ImportError, match=r"digit_rows: .*pip install scikit-learn"):
        digit_rows(np.random.default_rng(0))
    with pytest.raises(ImportError, match=r"digit_forms: .*pip install scikit-learn"):
        digit_forms()


def test_the_labels_run_through_one_form_again_and_again():
    digits, forms = digit_forms()
    assert digits.x.shape == (8, 1797, 8)
    assert len(forms) == len(digits.y) == 1797
    assert forms.max() == 13
    assert (np.diff(forms) >= 0).all()
    labels = ["".join(map(str, digits.y[forms == k])) for k in range(14)]
    whole = labels[0]
    assert len(whole) == 130
    assert sum(130 - len(text) for text in labels) == 23
    for text in labels:
        alike = SequenceMatcher(None, whole, text, autojunk=False).get_matching_blocks()
        assert sum(block.size for block in alike) >= len(text) - 1


def test_the_digits_of_the_forms_are_those_of_the_random_split():
    digits, _ = digit_forms()
    order = np.random.default_rng(0).permutation(1797)
    _, test = digit_rows(np.random.default_rng(0))
    np.testing.assert_array_equal(test.x, digits.x[:, order[:359]])
    np.testing.assert_array_equal(test.y, digits.y[order[:359]])


def test_a_digits_nearest_neighbor_is_mostly_of_its_own_form():
    digits, forms = digit_forms()
    pixels = digits.x.transpose(1, 0, 2).reshape(1797, 64)
    squares = (pixels**2).sum(1)
    apart = squares[:, None] + squares - 2 * pixels @ pixels.T
    np.fill_diagonal(apart, np.inf)
    assert (forms[apart.argmin(1)] == forms).mean() > 0.5  # 1 / 14 if forms meant nothing
