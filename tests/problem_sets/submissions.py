"""Submissions made from a problem set's source and its release."""

import copy
import os

import nbformat

from rnncourse.grading import course
from rnncourse.grading.walls import bubblewrap
from tools.notebooks import NOTEBOOKS

FLAGS = [] if bubblewrap() else ["--submissions-may-read-and-change-my-files"]
WALLS = "none" if FLAGS else "bwrap"
HOME = " at home"  # after the name of a test cell: as students have it
SETS = sorted((NOTEBOOKS / "problem-sets").glob("[0-9][0-9]-*.md"))


class Submissions:
    """One set, released into a course's folder, with its reference solution at hand."""

    def __init__(self, source, folder):
        self.source, self.name = source, source.stem
        self.course, self.inbox = folder / "course", folder / "inbox"
        self.inbox.mkdir(parents=True)
        self.released_path = course.release(source, self.course)
        made = self.course / "source" / source.stem / f"{source.stem}.ipynb"
        self.solved = nbformat.read(made, as_version=4)
        self.released = nbformat.read(self.released_path, as_version=4)
        self.tests = {
            cell.id: cell.metadata.nbgrader.points
            for cell in self.solved.cells
            if cell.metadata.get("nbgrader", {}).get("grade")
            and not cell.metadata.nbgrader.solution
        }

    def answer(self, changes=None):
        """Return the release filled in with the reference solution, some cells changed."""
        sources = {cell.id: cell.source for cell in self.solved.cells} | (changes or {})
        notebook = copy.deepcopy(self.released)
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("solution"):
                cell.source = sources[cell.id].strip()
        return notebook

    def replace(self, cell, old, new):
        """Return the answer with one text of one cell replaced."""
        (source,) = (c.source for c in self.solved.cells if c.id == cell)
        assert source.count(old) == 1, f"{cell}: {source.count(old)} times {old!r}"
        return self.answer({cell: source.replace(old, new)})

    def with_all_tests(self, notebook):
        """Return a submission with the graders' tests, each after the one that students have."""
        tests = {cell.id: cell.source for cell in self.solved.cells if cell.id in self.tests}
        cells = []
        for cell in notebook.cells:
            if cell.id in tests:
                visible = copy.deepcopy(cell)
                visible.metadata.nbgrader.grade_id += HOME
                cells.append(visible)
                cell = nbformat.from_dict({**cell, "source": tests[cell.id]})
            cells.append(cell)
        return nbformat.from_dict({**notebook, "cells": cells})

    def hand_in(self, student, notebook):
        nbformat.write(notebook, self.inbox / f"{student}.ipynb")

    def grade(self, **options):
        """Grade all; where there is no bubblewrap, without it, and the note on that left out."""
        asked = "walls" in options
        options = {"progress": False, "jobs": 1, "walls": WALLS, **options}
        grades = course.grade(self.name, self.inbox, self.course, **options)
        return {g.student: g if asked else as_behind_walls(g) for g in grades}

    def autograded(self, student):
        """Return a student's notebook as it was graded."""
        path = self.course / "autograded" / student / self.name / f"{self.name}.ipynb"
        return nbformat.read(os.fspath(path), as_version=4)

    def printed(self, student):
        """Return all that a student's cells printed."""
        outputs = (o for cell in self.autograded(student).cells for o in cell.get("outputs", []))
        return "".join(output.get("text", "") for output in outputs)

    def lost(self, grade):
        """Return the test cells that did not give all of their points."""
        return {name for name, points in self.tests.items() if grade.questions[name] < points}


def as_behind_walls(grade):
    """Return a grade without the note that it was made without walls."""
    notes = [
        note for note in grade.notes if not (FLAGS and note.startswith("it ran without walls"))
    ]
    status = "graded" if grade.status == "look" and not notes else grade.status
    return grade._replace(notes=notes, status=status)
