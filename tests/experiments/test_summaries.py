import numpy as np
import pytest
import torch

from rnncourse.experiments._summaries import (
    KINDS,
    UNKNOWN,
    batch_of,
    build,
    in_words,
    train,
    vocabulary,
)

PAIRS = [
    (["ann", "met", "bob", "in", "ulm"], ["bob", "and", "ann"]),
    (["zoe", "met", "kim", "and", "zoe"], ["kim", "sees", "zoe", "twice"]),
    (["ann"], ["ann"]),
]
KNOWN = vocabulary(PAIRS[:1] + PAIRS[2:])


def test_vocabulary_counts_both_sides():
    assert "ann" in vocabulary(PAIRS, at_least=4)
    assert "bob" not in vocabulary(PAIRS, at_least=3)


def test_unknown_words_of_a_source_are_numbered_from_v():
    batch = batch_of(PAIRS, KNOWN)
    V = len(KNOWN)
    assert batch.source[:, 1].tolist() == [V, KNOWN["met"], V + 1, KNOWN["and"], V]
    assert batch.strange == [[], ["zoe", "kim"], []]
    assert batch.target[:, 1].tolist() == [2, V + 1, 1, V, 1, 3]  # not in the source: unknown
    assert batch.lengths.tolist() == [5, 5, 1]
    assert in_words(batch.target[1:], batch, KNOWN) == [
        ["bob", "and", "ann"],
        ["kim", UNKNOWN, "zoe", UNKNOWN],
        ["ann"],
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_is_that_of_the_probabilities(kind):
    batch = batch_of(PAIRS, KNOWN)
    model = build(len(KNOWN), kind, seed=0).double()
    h, d, mask = model.encode(batch.source, batch.lengths)
    found = model.log_likelihood(batch)
    for t, ids in enumerate(batch.target[:-1]):
        scores, gate, looked, d = model.decode(ids[None], d, h, mask)
        p = model.probabilities(
            scores[0],
            None if gate is None else gate[0],
            None if looked is None else looked[0],
            batch.source,
        )
        torch.testing.assert_close(p.sum(1), torch.ones(3).double())
        goal = batch.target[t + 1]
        if kind != "pointer":
            goal = goal.where(goal < len(KNOWN), 1)
        torch.testing.assert_close(
            p.gather(1, goal[:, None])[:, 0].log(), found[t], atol=1e-6, rtol=1e-5
        )


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind):
    model = build(len(KNOWN), kind, seed=0).double()
    together = model.log_likelihood(batch_of(PAIRS, KNOWN))
    alone = model.log_likelihood(batch_of(PAIRS[2:], KNOWN))
    torch.testing.assert_close(together[:2, 2], alone[:, 0])


def test_only_a_pointer_writes_an_unknown_word():
    pairs = [([a, b], [b]) for a in "abcd" for b in "abcd"]
    known = vocabulary(pairs)
    new = batch_of([(["c", "q"], ["q"])], known)
    found = {}
    for kind in KINDS:
        model = build(len(known), kind, seed=0)
        draw = lambda rng: batch_of([pairs[i] for i in rng.integers(16, size=16)], known)  # noqa: E731
        before = torch.random.get_rng_state()
        assert train(model, draw, 0.02, 80, seed=0)
        assert torch.equal(torch.random.get_rng_state(), before)
        found[kind] = in_words(model.summarize(new, 1)[0], new, known)[0]
    assert found["pointer"] == ["q"]
    assert all(set(found[kind]) <= set(known.tokens) for kind in KINDS[:2])


def test_a_seed_repeats():
    draw = lambda rng: batch_of([PAIRS[i] for i in rng.integers(3, size=4)], KNOWN)  # noqa: E731
    weights = []
    for _ in range(2):
        model = build(len(KNOWN), "pointer", seed=1, dropout=0.2)
        train(model, draw, 0.01, 3, seed=1)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)
    assert np.isfinite(weights[0].numpy()).all()
