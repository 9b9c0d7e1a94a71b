"""Every set grades rightly: the reference, the release, known mistakes, other styles."""

import importlib

import pytest

from tools import trial
from tools.notebooks import set_twin

from .submissions import SETS, Submissions


@pytest.fixture(scope="module", params=SETS, ids=lambda path: path.stem)
def work(request, tmp_path_factory):
    """One set, released."""
    return Submissions(request.param, tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def known(work):
    """Return the module of the mistakes and the other solutions that are known."""
    return importlib.import_module(f"{__package__}.set_{work.name[:2]}")


@pytest.fixture(scope="module")
def submissions(work, known):
    """Return all that is handed in, by student."""
    answers = {"reference": work.answer(), "untouched": work.released}
    answers |= {student: work.answer(changes) for student, changes in known.OTHER.items()}
    return answers | {
        student: work.replace(cell, old, new)
        for student, (cell, old, new, _) in known.WRONG.items()
    }


@pytest.fixture(scope="module")
def lost(work, submissions):
    """Return which test cells fail, and with which message, by student.

    Without nbgrader, which takes seconds for each.
    """
    return dict(trial.failed({s: work.with_all_tests(nb) for s, nb in submissions.items()}))


@pytest.fixture(scope="module")
def grades(work, known, submissions):
    """Return nbgrader's grades of all that are no mistakes."""
    for student in submissions.keys() - known.WRONG.keys():
        work.hand_in(student, submissions[student])
    return work.grade()


def test_points_and_questions_are_as_promised(work, known):
    cells = [c for c in work.solved.cells if c.metadata.get("nbgrader", {}).get("grade")]
    by_hand = [cell for cell in cells if cell.metadata.nbgrader.solution]
    text = "\n".join(cell.source for cell in work.released.cells)
    assert sum(cell.metadata.nbgrader.points for cell in cells) == 20
    assert 4 <= text.count("\n## Question") + text.startswith("## Question") <= 7
    assert by_hand
    assert all("Rubric" in cell.source for cell in by_hand)
    assert "minutes" in work.released.cells[0].source
    assert "variant(STUDENT" in text
    assert len(known.WRONG) >= 5


def test_reference_scores_in_full(work, grades, lost, none):
    grade = grades["reference"]
    none(f"{name}: {grade.notes}" for name in work.lost(grade))
    assert lost["reference"] == {}
    assert grade.score == sum(work.tests.values())
    assert grade.by_hand  # a person has still to read an answer
    assert grade.seconds < 30  # all of it in the time that one cell may take
    assert grade.status == "graded"


def test_untouched_release_scores_nothing(work, grades, lost):
    grade = grades["untouched"]
    assert grade.score == 0
    assert work.lost(grade) == set(lost["untouched"]) == set(work.tests)
    assert grade.by_hand == []  # nobody has to read what was not written
    assert grade.status == "graded"


def test_each_mistake_costs_its_own_points(known, lost, none):
    wrong = {student: (set(lost[student]), known.WRONG[student][3]) for student in known.WRONG}
    none(f"{s}: lost {sorted(a)}, not {sorted(b)}" for s, (a, b) in wrong.items() if a != b)


def test_every_message_names_its_case(work, known, lost, none):
    """The call, so that it can be made again; or the name that a person's own numbers stand for."""
    asked = {c.id: set(mutants.answers(c.source)) for c in work.solved.cells if is_solution(c)}
    names = set().union(*(asked[name] for name in asked))
    for student in known.WRONG:
        for test, message in lost[student].items():
            call = re.search(r"\nThe last call was (\w+)\(", message)
            if call is None or call[1] not in names:
                said = message.partition(": ")[2].partition(":")[0]
                if call is not None or not any(name in said for name in names):
                    none([f"{student}, {test}: {message}"])


def test_another_style_scores_in_full(known, lost, none):
    assert known.OTHER
    none(f"{student} lost {lost[student]}" for student in known.OTHER if lost[student])


def test_nbgrader_finds_the_same(work, known, grades, lost, none):
    assert len(grades) == 2 + len(known.OTHER)
    none(
        f"{student}: {sorted(work.lost(grade))}, and without nbgrader {sorted(lost[student])}"
        for student, grade in grades.items()
        if work.lost(grade) != set(lost[student])
    )


def test_honest_work_raises_no_suspicion(grades, none):
    none(f"{grade.student}: {note}" for grade in grades.values() for note in grade.notes)


def test_students_notebook_is_that_of_the_source(work):
    stored = work.source.with_suffix(".ipynb")
    advice = f"run `make notebooks ONLY={work.name}`"
    assert stored.exists(), advice
    assert stored.read_text(encoding="utf-8") == set_twin(work.released_path), advice
