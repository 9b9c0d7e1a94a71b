import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncourse.data import delayed_echo


@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 19), st.integers(2, 9))
def test_the_target_is_the_symbol_some_steps_ago(T, B, delay, n_symbols):
    delay = min(delay, T - 1)
    x, y, mask = delayed_echo(T, B, delay, np.random.default_rng(0), n_symbols)
    assert x.shape == y.shape == mask.shape == (T, B)
    assert x.dtype == y.dtype == np.int64
    assert x.min() >= 0
    assert x.max() < n_symbols
    for t in range(T):
        assert mask[t].all() == mask[t].any() == (t >= delay)
        if t >= delay:
            np.testing.assert_array_equal(y[t], x[t - delay])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0), "T: expected at least 1"),
        ((5, 0, 1), "B: expected at least 1"),
        ((5, 1, -1), "delay: expected at least 0"),
        ((5, 1, 5), "delay: expected less than T = 5, got 5"),
        ((5, 1, 1.5), "delay: expected a whole number"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        delayed_echo(*arguments, np.random.default_rng(0))
    with pytest.raises(ValueError, match="n_symbols: expected at least 2"):
        delayed_echo(5, 1, 1, np.random.default_rng(0), n_symbols=1)
