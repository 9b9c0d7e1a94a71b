import numpy as np
import pytest

from rnncourse.data.reports import KNOWN_NAMES, NEW_NAMES, PLACES, RESULTS, reports


def patterns(words):
    """Read the result as a person would: by four patterns."""
    text = " ".join(words).split(" . ")
    for sentence in text:
        match sentence.replace(" .", "").split():
            case [a, "beat", b, "in", p] if b != "a":
                return a, p, b
            case ["in", p, a, "won", "against", b]:
                return a, p, b
            case [b, "lost", "to", a, "in", p]:
                return a, p, b
            case ["in", p, b, "was", "beaten", "by", a]:
                return a, p, b
    raise AssertionError(words)


@pytest.mark.parametrize("names", ["known", "new"])
def test_each_report_tells_one_result_and_its_summary_says_it(rng, names):
    for report in reports(500, rng, (1, 8), names):
        assert patterns(report.words) == (report.winner, report.place, report.loser)
        said = f"{report.winner} wins in {report.place} , {report.loser} is out"
        assert report.summary == tuple(said.split())
        sentences = " ".join(report.words).split(" . ")
        assert len(sentences) == report.sentences
        assert report.winner in sentences[report.result]
        assert report.loser in sentences[report.result]
        assert not {"wins", "is", "out"} & {*report.words}


def test_names_are_all_different_and_new_ones_are_new(rng):
    assert len({*KNOWN_NAMES, *NEW_NAMES, *PLACES}) == 210
    for names, others in (("known", NEW_NAMES), ("new", KNOWN_NAMES)):
        assert not {w for r in reports(100, rng, names=names) for w in r.words} & {*others}


def test_baselines(rng):
    drawn = reports(4000, rng, (4, 4))
    assert np.mean([r.result == 0 for r in drawn]) == pytest.approx(1 / 4, abs=0.03)
    named_first = [
        next(w for w in s.split() if w in (r.winner, r.loser)) == r.winner
        for r in drawn
        for s in [" ".join(r.words).split(" . ")[r.result]]
    ]
    assert np.mean(named_first) == pytest.approx(1 / 2, abs=0.03)
    assert len(RESULTS) == 4


@pytest.mark.parametrize("first", [0, 0.3, 1])
def test_how_often_the_result_comes_first(rng, first):
    drawn = reports(3000, rng, (3, 6), first=first)
    assert np.mean([r.result == 0 for r in drawn]) == pytest.approx(first, abs=0.03)


def test_a_seed_repeats_and_lengths_vary(rng):
    assert reports(5, np.random.default_rng(1)) == reports(5, np.random.default_rng(1))
    assert {r.sentences for r in reports(200, rng, (3, 6))} == {3, 4, 5, 6}
    assert reports(0, rng) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": -1}, ValueError, "n: expected at least 0, got -1"),
        ({"rng": 0}, TypeError, "rng: expected numpy.Generator, got int"),
        ({"sentences": (0, 2)}, ValueError, r"sentences\[0\]: expected at least 1"),
        ({"sentences": (3, 2)}, ValueError, r"sentences\[1\]: expected at least 3"),
        ({"names": "old"}, ValueError, "names: expected 'known' or 'new', got 'old'"),
        ({"first": 2}, ValueError, "first: expected a probability or None, got 2"),
    ],
)
def test_errors(rng, arguments, error, message):
    with pytest.raises(error, match=message):
        reports(**{"n": 1, "rng": rng} | arguments)
