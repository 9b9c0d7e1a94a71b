import math

import pytest

from rnncourse.metrics import bits_per_character, perplexity


def test_a_uniform_guess_over_v_symbols():
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert bits_per_character(math.log(50)) == pytest.approx(math.log2(50))
    assert perplexity(0) == 1
    assert perplexity(1000) == math.inf


@pytest.mark.parametrize("measure", [perplexity, bits_per_character])
@pytest.mark.parametrize("nll", [-0.1, math.nan])
def test_what_is_no_mean_loss_is_refused(measure, nll):
    with pytest.raises(ValueError, match="nll: expected a mean loss in nats of at least 0"):
        measure(nll)
