"""Every set grades rightly: the reference, the release, known mistakes, other styles."""

import copy
import importlib
import re

import pytest

from rnncourse.grading.restore import rebuild
from tools import effort, mutants, trial
from tools.notebooks import set_twin

from .submissions import HOME, SETS, Submissions

POSSIBLE = "Here you can test only whether your answer is possible; the grader checks its value."


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
def trials(work, submissions):
    """Return which test cells fail, and with which message, by student, also of those at home.

    Without nbgrader, which takes seconds for each.
    """
    return dict(trial.failed({s: work.with_all_tests(nb) for s, nb in submissions.items()}))


@pytest.fixture(scope="module")
def lost(trials):
    """Return what the grader's tests say, by student."""
    return {s: {t: m for t, m in told.items() if HOME not in t} for s, told in trials.items()}


@pytest.fixture(scope="module")
def at_home(trials):
    """Return what the students' own tests say, by student."""
    return {s: {t: m for t, m in told.items() if HOME in t} for s, told in trials.items()}


@pytest.fixture(scope="module")
def grades(work, submissions):
    """Return nbgrader's grades of the reference solution and of the notebook as it is released."""
    for student in ("reference", "untouched"):
        work.hand_in(student, submissions[student])
    return work.grade()


def test_points_and_questions_are_as_promised(work, known):
    cells = [c for c in work.solved.cells if c.metadata.get("nbgrader", {}).get("grade")]
    by_hand = [cell for cell in cells if cell.metadata.nbgrader.solution]
    text = "\n".join(cell.source for cell in work.released.cells)
    assert sum(cell.metadata.nbgrader.points for cell in cells) == 20
    questions = effort.questions(work.source)
    minutes = sum(question.minutes for question in questions)
    assert abs(effort.stated(work.source) - minutes) <= 5  # see tools/effort.py
    for question in questions:
        assert f"({question.points:g} points" in question.title
        assert abs(question.points - 20 * question.minutes / minutes) < 1.4, question.title
    assert 5 <= text.count("\n## Question") + text.startswith("## Question") <= 7
    assert by_hand == cells[-1:]  # the last one, and it alone
    assert text.count(POSSIBLE) == 1
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
    """The call, so that it can be made again; the input; or the name of a student's number."""
    cells = mutants.solutions(work.solved)
    asked = {name for source in cells.values() for name in mutants.answers(source)}

    def named(message):
        call = re.search(r"\nThe last call was (\w+)\(.*\)$", message)
        said = message.partition(": ")[2].partition(":")[0]
        stated = any(name in said for name in asked) or re.search(r"\d(, \d)+", said)
        return call[1] in asked if call else stated

    mistakes = [(student, test) for student in known.WRONG for test in lost[student]]
    none(f"{s}, {t}: {lost[s][t]}" for s, t in mistakes if not named(lost[s][t]))


def test_a_mistake_shows_itself_at_home(work, known, lost, at_home, none):
    """What passes the tests that students have makes none of the known mistakes."""
    personal = {c.id for c in work.solved.cells if "variant(STUDENT" in c.source}
    mistakes = [student for student in known.WRONG if set(lost[student]) - personal]
    none(f"{s}: only hidden tests find it" for s in mistakes if not at_home[s])


def test_another_style_scores_in_full(known, lost, none):
    assert known.OTHER
    none(f"{student} lost {lost[student]}" for student in known.OTHER if lost[student])


def test_honest_work_raises_no_suspicion(work, known, submissions, grades, none):
    none(f"{grade.student}: {note}" for grade in grades.values() for note in grade.notes)
    for student in known.OTHER:
        _, notes = rebuild(copy.deepcopy(submissions[student]), copy.deepcopy(work.released))
        none(f"{student}: {note}" for note in notes)


def test_students_notebook_is_that_of_the_source(work):
    stored = work.source.with_suffix(".ipynb")
    advice = f"run `make notebooks ONLY={work.name}`"
    assert stored.exists(), advice
    assert stored.read_text(encoding="utf-8") == set_twin(work.released_path), advice
