"""Whose submission is it? Names as Moodle, Canvas and students write them."""

import os

import nbformat
import pytest
from nbformat.v4 import new_notebook

from rnncourse.grading import roster
from rnncourse.grading.roster import Student, whose

CLASS = [
    Student("ada", "Ada Lovelace", "ada@example.org", "4711", "A"),
    Student("emmy", "Emmy Noether", "", "4712"),
    Student("jose", "José Luis Peña Ruiz", "jose+rnn@example.org", ""),
    Student("grace.h", "Grace Hopper"),
    Student("grace.k", "Grace Hopper"),
]


@pytest.mark.parametrize(
    ("entry", "student"),
    [
        ("ada", "ada"),
        ("ADA", "ada"),
        ("Ada Lovelace", "ada"),
        ("Lovelace, Ada", "ada"),
        ("ada@example.org", "ada"),
        ("jose+rnn@example.org", "jose"),
        ("Ada Lovelace_17_assignsubmission_file", "ada"),
        ("Ada Lovelace_17_assignsubmission_file_", "ada"),
        ("Lovelace, Ada_4711_assignsubmission_file_", "ada"),
        ("Emmy Noether_4711_assignsubmission_file_my homework (2)", "emmy"),
        ("José Luis Peña Ruiz_18_assignsubmission_file", "jose"),
        ("Jose Luis Pena Ruiz_18_assignsubmission_file", "jose"),
        ("lovelaceada_4711_90210_03-recurrent-network", "ada"),
        ("lovelaceada_LATE_4711_90210_03-recurrent-network-1", "ada"),
        ("noetheremmy_9999_90210_03_recurrent_network", "emmy"),
        ("somebodyelse_4712_90210_x", "emmy"),
        ("grace.k", "grace.k"),
    ],
)
def test_a_platforms_names_are_understood(entry, student):
    assert whose(entry, CLASS) == (student, "")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("Alan Turing", "nobody of this name"),
        ("Alan Turing_17_assignsubmission_file", "nobody of this name"),
        ("Grace Hopper", "several of this name in roster.csv: grace.h, grace.k"),
        ("4711", "nobody of this name"),
        ("", "nobody of this name"),
    ],
)
def test_who_is_not_known_is_not_guessed(entry, problem):
    name, found = whose(entry, CLASS)
    assert name == entry
    assert problem in found


def test_without_a_roster_the_name_is_the_students():
    assert whose("Ada", []) == ("Ada", "")
    assert "characters" in whose("o'neill", [])[1]
    for name in ("Ada Lovelace_17_assignsubmission_file_", "lovelaceada_4711_90210_x"):
        assert "write roster.csv" in whose(name, [])[1]


def hand_in(folder, *parts):
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(), path)


def test_a_folder_is_read(tmp_path):
    hand_in(tmp_path, "ada.ipynb")
    hand_in(tmp_path, "Emmy Noether_17_assignsubmission_file", "anything.ipynb")
    hand_in(tmp_path, "__MACOSX", "._ada.ipynb")
    hand_in(tmp_path, ".ipynb_checkpoints", "ada.ipynb")
    hand_in(tmp_path, "grace.h", "03", "03.ipynb")
    hand_in(tmp_path, "grace.h", "other.ipynb")
    (tmp_path / "jose").mkdir()
    (tmp_path / "jose" / "._03.ipynb").write_text("")
    (tmp_path / "readme.txt").write_text("")
    found = {f.entry: f for f in roster.look(tmp_path, "03", CLASS)}
    assert {entry: (f.student, f.problem) for entry, f in found.items()} == {
        "ada.ipynb": ("ada", ""),
        "Emmy Noether_17_assignsubmission_file": ("emmy", ""),
        "grace.h": ("grace.h", ""),
        "jose": ("jose", "no notebook"),
    }
    assert found["grace.h"].notebook == tmp_path / "grace.h" / "03" / "03.ipynb"


def test_links_and_what_is_no_file_are_refused(tmp_path):
    """A link could lead to the solutions, or to a classmate's notebook."""
    hand_in(tmp_path, "outside", "solved.ipynb")
    inbox = tmp_path / "inbox"
    hand_in(inbox, "bob.ipynb")
    (inbox / "a.ipynb").symlink_to(tmp_path / "outside" / "solved.ipynb")
    (inbox / "b.ipynb").symlink_to("bob.ipynb")
    (inbox / "c").symlink_to(tmp_path / "outside")
    (inbox / "d").mkdir()
    (inbox / "d" / "03").symlink_to(tmp_path / "outside")
    (inbox / "e").mkdir()
    (inbox / "e" / "03.ipynb").symlink_to(tmp_path / "outside" / "solved.ipynb")
    (inbox / "f.ipynb").symlink_to(tmp_path / "nowhere")
    os.mkfifo(inbox / "g.ipynb")
    found = {f.entry: f for f in roster.look(inbox, "03", [])}
    assert found.pop("bob.ipynb").problem == ""
    assert len(found) == 7
    for entry in found.values():
        assert (entry.problem, entry.notebook) == ("a link, or no file at all", None)


def test_one_student_with_two_entries_is_asked_which(tmp_path):
    hand_in(tmp_path, "ada.ipynb")
    hand_in(tmp_path, "lovelaceada_LATE_4711_90210_x.ipynb")
    for found in roster.look(tmp_path, "03", CLASS):
        assert found.student == "ada"
        assert "handed in twice: ada.ipynb, lovelaceada_LATE_4711_90210_x.ipynb" in found.problem


def test_a_roster_is_read_or_refused(tmp_path):
    path = tmp_path / "roster.csv"
    assert roster.read(path) == []
    path.write_text("\ufeffstudent,name,extension\nada, Ada Lovelace ,\nemmy,Emmy,2.5\n", "utf-8")
    assert roster.read(path) == [
        Student("ada", "Ada Lovelace"),
        Student("emmy", "Emmy", extension=2.5),
    ]
    for text, message in (
        ("student,nickname\nada,x\n", "line 2: expected columns student, name, .* got 'nickname'"),
        ("name\nAda\n", "line 2: student: expected letters, .* got ''"),
        ("student\nada\nada\n", "line 3: student: expected each one once, got 'ada' again"),
        ("student\nada/..\n", "got 'ada/..'"),
        ("student,extension\nada,soon\n", "line 2: extension: expected days"),
        ("student\nada,Lovelace,too,many\n", "expected columns"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            roster.read(path)
