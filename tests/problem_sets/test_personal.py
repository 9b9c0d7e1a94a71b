"""Personal numbers: among 300 students no two have the same, and a copied answer is wrong."""

import contextlib
import os
import re

import numpy as np
import pytest
from nbgrader.utils import is_grade, is_solution

from rnncourse.grading import course
from tools import mutants

from .submissions import SETS

NAMES = [f"student{number:03d}" for number in range(300)]
LUCK = 0.005  # the largest share of pairs in which one student's answer is right for the other


@pytest.fixture(scope="module", params=SETS, ids=lambda path: path.stem)
def people(request):
    """Return what each student is given, and the right answers: plain numbers, flat."""
    nb = course.source_notebook(request.param)
    cells = nb.cells
    tests = [c.source for c in cells if is_grade(c) and not is_solution(c)]
    personal = [text for text in tests if "variant(STUDENT" in text]
    code = {c.id: c.source for c in cells if c.cell_type == "code"}
    (given,) = (text for name, text in code.items() if name[:5] == "given" and "variant(" in text)
    ((names, solution),) = (
        (names, text)
        for name, text in code.items()
        if name in mutants.solutions(nb)
        and (
            names := [
                n for n in mutants.answers(text) if re.search(rf"\b{n}\b", " ".join(personal))
            ]
        )
    )
    found = []
    for student in NAMES:
        space: dict[str, object] = {"STUDENT": student}
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            exec("import numpy as np\nfrom rnncourse.grading import variant", space)
            before = set(space)
            exec(given, space)
            mine = {n: v for n, v in space.items() if n not in before and plain(v)}
            exec(solution, space)
        answers = np.concatenate([np.ravel(space[name]).astype(float) for name in names])
        found.append((repr(sorted(mine.items())), answers))
    return found


def plain(value):
    return re.fullmatch(r"[\w\s.,'\[\]()-]+", repr(value)) is not None and not callable(value)


def test_no_two_have_the_same_numbers(people):
    assert len({given for given, _ in people}) == len(NAMES)


def test_answers_do_not_round_to_zero(people):
    """What is asked for to three decimals is hardly ever 0.000."""
    answers = np.array([a for _, a in people])
    nothing = ((answers != 0) & (np.abs(answers) < 0.0005)).any(axis=1)
    assert nothing.mean() < LUCK


def test_another_students_answer_is_wrong(people):
    answers = np.array([a for _, a in people])
    off = np.abs(answers[:, None] - answers[None]).max(axis=-1)  # as far as the tests allow
    pairs = len(NAMES) * (len(NAMES) - 1)
    alike = (off <= 0.001).sum() - len(NAMES)
    assert alike / pairs < LUCK
