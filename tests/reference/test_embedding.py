import numpy as np
import pytest

from rnncourse.reference import check_gradients, embedding, embedding_backward


def test_gradient_and_repeated_tokens(rng):
    W, tokens = rng.normal(size=(5, 3)), np.array([[1, 4, 1], [0, 1, 2]])
    w = rng.normal(size=(2, 3, 3))
    dW = embedding_backward(w, tokens, W)
    errors = check_gradients(lambda: float((embedding(tokens, W) * w).sum()), {"W": W}, {"W": dW})
    assert errors["W"] < 1e-8
    assert (dW[3] == 0).all(), "a token that does not occur has no gradient"
    without = embedding_backward(w, tokens, W, padding_idx=1)
    assert (without[1] == 0).all()
    np.testing.assert_array_equal(without[[0, 2, 3, 4]], dW[[0, 2, 3, 4]])


def test_bad_input():
    W = np.zeros((5, 3))
    with pytest.raises(ValueError, match="tokens: expected numbers from 0 to 4, got 0 to 5"):
        embedding(np.array([0, 5]), W)
    with pytest.raises(ValueError, match="tokens: expected numbers from 0 to 4, got -1 to 0"):
        embedding(np.array([0, -1]), W)
    with pytest.raises(TypeError, match="tokens: expected whole numbers, got float64"):
        embedding(np.array([0.0]), W)
    with pytest.raises(ValueError, match="W: expected 2 axes"):
        embedding(np.array([0]), W[0])
    with pytest.raises(ValueError, match=r"dy: expected shape \(2, 3\), got \(2, 4\)"):
        embedding_backward(np.zeros((2, 4)), np.array([0, 1]), W)
