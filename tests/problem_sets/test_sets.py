"""Every set grades rightly: the reference, the release, known mistakes, other styles."""

import importlib

import pytest

from tools.notebooks import set_twin

from .submissions import SETS, Submissions


@pytest.fixture(scope="module", params=SETS, ids=lambda path: path.stem)
def graded(request, tmp_path_factory):
    """One set, its known submissions and their grades: all of them graded in one go."""
    numbered = f"{__package__}.set_{request.param.stem[:2]}"
    known = importlib.import_module(numbered)
    work = Submissions(request.param, tmp_path_factory.mktemp("course"))
    work.hand_in("reference", work.answer())
    work.hand_in("untouched", work.released)
    for student, (cell, old, new, _) in known.WRONG.items():
        work.hand_in(student, work.replace(cell, old, new))
    for student, changes in known.OTHER.items():
        work.hand_in(student, work.answer(changes))
    return work, known, work.grade()


def test_points_and_questions_are_as_promised(graded):
    work, known, _ = graded
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


def test_reference_scores_in_full(graded, none):
    work, _, grades = graded
    grade = grades["reference"]
    none(f"{name}: {grade.notes}" for name in work.lost(grade))
    assert grade.score == sum(work.tests.values())
    assert grade.by_hand  # a person has still to read an answer
    assert grade.seconds < 30  # all of it in the time that one cell may take
    assert grade.status == "graded"


def test_untouched_release_scores_nothing(graded):
    work, _, grades = graded
    grade = grades["untouched"]
    assert grade.score == 0
    assert work.lost(grade) == set(work.tests)
    assert grade.by_hand == []  # nobody has to read what was not written
    assert grade.status == "graded"


def test_each_mistake_costs_its_own_points(graded, none):
    work, known, grades = graded
    wrong = {
        student: (work.lost(grades[student]), known.WRONG[student][3]) for student in known.WRONG
    }
    none(f"{s}: lost {sorted(a)}, not {sorted(b)}" for s, (a, b) in wrong.items() if a != b)


def test_another_style_scores_in_full(graded, none):
    work, known, grades = graded
    assert known.OTHER
    none(
        f"{student} lost {work.lost(grades[student])}"
        for student in known.OTHER
        if work.lost(grades[student])
    )


def test_honest_work_raises_no_suspicion(graded, none):
    _, _, grades = graded
    none(f"{grade.student}: {note}" for grade in grades.values() for note in grade.notes)


def test_students_notebook_is_that_of_the_source(graded):
    work, _, _ = graded
    stored = work.source.with_suffix(".ipynb")
    advice = f"run `make notebooks ONLY={work.name}`"
    assert stored.exists(), advice
    assert stored.read_text(encoding="utf-8") == set_twin(work.released_path), advice
