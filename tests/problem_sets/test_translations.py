"""A translated set is released in its language, and graded like the English one."""

import os
import re
import subprocess
from copy import deepcopy
from importlib import import_module

import nbformat
import pytest

from rnncourse.grading import check
from rnncourse.grading.restore import rebuild
from tools import editions, trial
from tools.notebooks import NOTEBOOKS, ROOT

from .submissions import HOME, Submissions

TRANSLATED = [
    (language, page.rpartition("/")[2])
    for language, found in editions.configuration()["editions"].items()
    for page in found["pages"]
    if "problem-sets/" in page
]


def edition_in(folder, language):
    """Return an edition whose sources other tests do not write at the same time."""
    edition = editions.Edition(language)
    edition.tree = folder / edition.path
    return edition


@pytest.fixture(scope="module", params=TRANSLATED, ids="-".join)
def work(request, tmp_path_factory):
    """One translated set, released."""
    language, name = request.param
    folder = tmp_path_factory.mktemp(language)
    edition = edition_in(folder, language)
    editions.plant(edition, [page for page in editions.contents() if page not in edition.pages])
    found = Submissions(edition.tree / "notebooks" / "problem-sets" / f"{name}.md", folder)
    found.edition = edition
    return found


@pytest.fixture(scope="module")
def known(work):
    return import_module(f"{__package__}.set_{work.name[:2]}")


@pytest.fixture(scope="module")
def lost(work, known):
    """Return which of the grader's tests fail, by student."""
    answers = {"reference": work.answer(), "untouched": work.released}
    answers |= {student: work.answer(changes) for student, changes in known.OTHER.items()}
    answers |= {
        student: work.replace(cell, old, new)
        for student, (cell, old, new, _) in known.WRONG.items()
    }
    trials = trial.failed({s: work.with_all_tests(nb) for s, nb in answers.items()})
    return {s: {t: m for t, m in told.items() if HOME not in t} for s, told in trials}


def test_the_reference_solution_scores_in_full_and_an_untouched_set_nothing(work, lost):
    assert lost["reference"] == {}
    assert set(lost["untouched"]) == set(work.tests)


def test_every_answer_is_worth_what_it_is_in_english(known, lost, none):
    wanted = {s: found[3] for s, found in known.WRONG.items()} | {s: () for s in known.OTHER}
    pairs = {student: (set(lost[student]), set(tests)) for student, tests in wanted.items()}
    none(f"{s}: lost {sorted(a)}, not {sorted(b)}" for s, (a, b) in pairs.items() if a != b)


def test_nbgrader_says_the_same(work):
    work.hand_in("reference", work.answer())
    work.hand_in("untouched", work.released)
    grades = work.grade()
    assert grades["reference"].score == sum(work.tests.values())
    assert grades["untouched"].score == 0
    assert grades["untouched"].by_hand == []
    assert {grade.status for grade in grades.values()} == {"graded"}


def test_points_and_names_of_cells_are_those_of_the_english_set(work, tmp_path):
    english = Submissions(NOTEBOOKS / "problem-sets" / f"{work.name}.md", tmp_path)
    assert work.tests == english.tests
    assert [cell.id for cell in work.solved.cells] == [cell.id for cell in english.solved.cells]
    # handed in to a class that has the English one: nothing is lost, whatever language is around it
    whole, notes = rebuild(deepcopy(work.answer()), english.released)
    sources = {cell.id: cell.source for cell in whole.cells}
    for cell in work.answer().cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            assert sources[cell.id] == cell.source
    assert not [note for note in notes if "deleted" in note or "lost its mark" in note]


def test_an_answer_is_asked_for_in_the_language(work):
    stub = work.edition.says(check.TEXT_STUB)
    assert stub != check.TEXT_STUB
    text = "\n".join(cell.source for cell in work.released.cells)
    assert stub in text
    assert check.TEXT_STUB not in text
    answer = work.answer()
    for cell in answer.cells:
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "markdown":
            cell.source += f"\n\n{stub}"
            problems, _ = check.look(answer, f"{work.name}.ipynb")
            assert f"cell '{cell.metadata.nbgrader.grade_id}' holds no answer yet" in problems


@pytest.mark.parametrize("name", ["pt_BR", "pt-br", "pt-BR", "PT_BR"])
def test_a_language_has_one_name(name):
    assert editions.Edition(name).language == "pt_BR"
    assert editions.Edition(name).folder.name == "pt_BR"


def test_a_set_is_released_in_portuguese(tmp_path, monkeypatch):
    """Whatever is translated of it: its catalog may be empty, the words of the site are there."""
    edition = edition_in(tmp_path, "pt-br")
    edition.pages = ["notebooks/problem-sets/03-recurrent-network"]
    monkeypatch.setattr(editions, "counts", lambda *_: (1, 0, 1))
    (path,) = editions.release(edition, ["03"], tmp_path / "course")
    released = nbformat.read(path, as_version=4)
    assert edition.says(check.TEXT_STUB) in [cell.source.split("\n")[-1] for cell in released.cells]


@pytest.mark.parametrize(
    ("language", "sets", "message"),
    [
        ("fr", ["03"], r"language: expected one of es \(Español\), pt_BR \(.*\), got fr"),
        ("es", ["05"], r"set: expected one in Español \(03-recurrent-network\), got 05"),
        ("pt_BR", ["03"], "set: there is none in Português"),
        ("es", ["03"], "is not complete in Español: 2 of 3 pieces are translated"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, monkeypatch, language, sets, message):
    pages = {"es": ["notebooks/problem-sets/03-recurrent-network"], "pt_BR": []}
    settings = deepcopy(editions.configuration())
    for name, found in settings["editions"].items():
        found["pages"] = pages[name]
    monkeypatch.setattr(editions, "configuration", lambda *_: settings)
    monkeypatch.setattr(editions, "counts", lambda *_: (2, 0, 3))
    with pytest.raises(SystemExit, match=message):
        editions.main(["release", language, *sets, "--course", str(tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["SET=03"], "rnncourse.grading release 03"),
        (["SET=03", "LANGUAGE=es"], "tools.editions release es 03"),
        (["LANGUAGE=pt-br"], "tools.editions release pt-br"),
        (["SET=03", "COURSE=a b"], 'rnncourse.grading --course "a b" release 03'),
        (["LANGUAGE=es", "COURSE=a b"], 'tools.editions release es --course "a b"'),
    ],
)
def test_make_asks_for_what_was_typed(typed, command):
    """What a system sets as LANGUAGE, for its own programs, is not meant."""
    system = {**os.environ, "LANGUAGE": "en_US:en"}
    run = ["make", "-n", "release", *typed]
    said = subprocess.run(run, cwd=ROOT, env=system, capture_output=True, text=True, check=True)
    assert command in re.sub(" +", " ", said.stdout.splitlines()[-1])
