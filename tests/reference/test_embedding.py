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


def test_one_token_and_a_list_of_tokens(rng):
    W = rng.normal(size=(5, 3))
    np.testing.assert_array_equal(embedding(np.int64(2), W), W[2])
    np.testing.assert_array_equal(embedding([2, 0], W), W[[2, 0]])
    np.testing.assert_array_equal(embedding_backward(W[:2], [2, 0], W)[[2, 0]], W[:2])


W, TOKENS, DY = np.zeros((5, 3)), np.array([0, 1]), np.ones((2, 3))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tokens": np.array([0, 5])}, ValueError, "tokens: expected numbers from 0 to 4, got 0"),
        ({"tokens": np.array([0, -1])}, ValueError, "tokens: expected numbers from 0 to 4, got -1"),
        ({"tokens": np.array([0.0, 1.0])}, TypeError, "tokens: expected whole numbers, got float"),
        ({"W": W[0]}, ValueError, "W: expected 2 axes"),
        ({"W": W.tolist()}, TypeError, "W: expected numpy.ndarray, got list"),
        ({"dy": DY[:, :2]}, ValueError, r"dy: expected shape \(2, 3\), got \(2, 2\)"),
        ({"dy": DY.tolist()}, TypeError, "dy: expected numpy.ndarray, got list"),
        ({"padding_idx": 9}, ValueError, "padding_idx: expected numbers from 0 to 4, got 9"),
        ({"padding_idx": True}, TypeError, "padding_idx: expected whole numbers, got bool"),
        ({"padding_idx": 1.0}, TypeError, "padding_idx: expected whole numbers, got float64"),
    ],
)
def test_bad_input(change, error, message):
    values = {"dy": DY, "tokens": TOKENS, "W": W} | change
    with pytest.raises(error, match=message):
        embedding_backward(**values)
    if change.keys() <= {"tokens", "W"}:
        with pytest.raises(error, match=message):
            embedding(values["tokens"], values["W"])
