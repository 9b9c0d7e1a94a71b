"""The rules of the book notice what they are there to notice."""

import shutil

import nbformat.v4 as v4
import pytest

from tools import notebooks, rules

HEAD = "---\nkernelspec: {display_name: Python 3, name: python3}\n---\n\n"
SOURCE = (
    HEAD + "# Title\n\n```{code-cell}\n1 + 1\n```\n\nMiddle.\n\n```{code-cell}\nprint('two')\n```\n"
)
PICTURE = """\
```{code-cell}
---
mystnb: {image: {alt: "A line that falls from 4 to 1"}}
---
import matplotlib.pyplot as plt
plt.plot([4, 1])
plt.show()
```
"""
PNG = v4.new_output("display_data", {"image/png": "", "text/plain": "<Figure>"})
ALT = {"mystnb": {"image": {"alt": "A line that falls from 4 to 1"}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with a small source and its twin."""
    folder = tmp_path_factory.mktemp("made")
    path = folder / "01-small.md"
    path.write_text(SOURCE)
    notebooks.update(path, force=False)
    assert notebooks.problems(path) == []
    return folder


@pytest.fixture
def source(made, tmp_path):
    """Return a copy of the small source, in step with its twin."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "01-small.md"


def cell(source="1", tags=(), metadata=None, outputs=()):
    """Return a code cell that was run."""
    metadata = {"tags": list(tags), **(metadata or {})}
    return v4.new_code_cell(source, execution_count=1, metadata=metadata, outputs=list(outputs))


def notebook(*cells):
    return v4.new_notebook(cells=list(cells))


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_running_an_unchanged_source_again_writes_the_same_twin(source):
    twin = source.with_suffix(".ipynb")
    before = twin.read_bytes()
    assert notebooks.update(source, force=True)
    assert twin.read_bytes() == before


def test_only_changed_code_is_run(source):
    replace(source, "Middle.", "Other words.")
    assert not notebooks.update(source, force=False)
    assert notebooks.problems(source) == []
    replace(source, "1 + 1", "1 + 2")
    assert notebooks.update(source, force=False)
    assert notebooks.read_twin(source.with_suffix(".ipynb")).cells[1].outputs[0].data == {
        "text/plain": "3"
    }


@pytest.mark.parametrize("suffix", [".md", ".ipynb"])
@pytest.mark.parametrize(("old", "new"), [("Middle.", "Changed."), ("1 + 1", "1 + 2")])
def test_a_change_on_either_side_is_found(source, suffix, old, new):
    replace(source.with_suffix(suffix), old, new)
    (problem,) = notebooks.problems(source)
    assert "differ (source) at 01-small.md" in problem
    assert "run `make notebooks`" in problem


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"execution_count": 1', '"execution_count": null', "not run in order"),
        ('"execution_count": 2', '"execution_count": 7', "not run in order"),
        ('"text/plain": [\n       "2"', '"text/plain": [\n       "3"', "changed by hand"),
        ('"pygments_lexer"', '"version": "3.11", "pygments_lexer"', "writes them otherwise"),
        ('"metadata": {}', '"metadata": {"collapsed": true}', "differ (metadata)"),
    ],
)
def test_a_twin_from_elsewhere_is_found(source, old, new, message):
    replace(source.with_suffix(".ipynb"), old, new)
    (problem,) = notebooks.problems(source)
    assert message in problem


def edit(source, old, new):
    """Change one cell of the twin, as a notebook program does."""
    twin = source.with_suffix(".ipynb")
    stored = notebooks.read_twin(twin)
    (changed,) = (cell for cell in stored.cells if old in cell.source)
    changed.source = changed.source.replace(old, new)
    changed.execution_count = 99 if changed.cell_type == "code" else None
    twin.write_text(notebooks.dumps(stored))
    return twin.read_bytes()


@pytest.mark.parametrize(("old", "new"), [("Middle.", "In between."), ("1 + 1", "1 + 2")])
@pytest.mark.parametrize("force", [False, True])
def test_an_edit_in_the_twin_is_not_overwritten(source, old, new, force):
    edited = edit(source, old, new)
    with pytest.raises(notebooks.Refusal) as refusal:
        notebooks.update(source, force=force)
    assert source.with_suffix(".ipynb").read_bytes() == edited
    for part in (f"-{old}", f"+{new}", "01-small.md", "git restore"):
        assert part in str(refusal.value)


def test_an_edit_in_the_twin_that_was_carried_over_is_kept(source):
    edit(source, "Middle.", "In between.")
    replace(source, "Middle.", "In between.")
    assert not notebooks.update(source, force=False)
    assert notebooks.problems(source) == []
    edit(source, "1 + 1", "1 + 2")
    replace(source, "1 + 1", "1 + 2")
    notebooks.update(source, force=False)
    assert notebooks.problems(source) == []


def test_a_twin_that_was_only_run_or_unfolded_is_written_again(source):
    twin = source.with_suffix(".ipynb")
    before, stored = twin.read_bytes(), notebooks.read_twin(twin)
    stored.cells[1].outputs, stored.cells[1].execution_count = [], 7
    stored.cells[1].metadata["jupyter"] = {"source_hidden": False}
    stored.metadata.language_info["version"] = "3.14.1"
    twin.write_text(notebooks.dumps(stored))
    notebooks.update(source, force=False)
    assert twin.read_bytes() == before


def test_an_edit_in_a_students_notebook_is_not_overwritten(source):
    released = notebooks.read_twin(source.with_suffix(".ipynb"))
    edited = edit(source, "Middle.", "In between.")
    with pytest.raises(notebooks.Refusal, match="In between"):
        notebooks.refuse_to_lose_edits(source.with_suffix(".ipynb"), released, source)
    assert source.with_suffix(".ipynb").read_bytes() == edited


def test_a_failing_cell_is_named(source):
    replace(source, "print('two')", "one = 1\nprint(one / 0)")
    before = source.with_suffix(".ipynb").read_bytes()
    with pytest.raises(notebooks.Refusal) as refusal:
        notebooks.update(source, force=False)
    message = str(refusal.value)
    assert source.with_suffix(".ipynb").read_bytes() == before
    line = source.read_text().splitlines().index("one = 1") + 1
    assert f"01-small.md, line {line} (`one = 1`): ZeroDivisionError: division by zero" in message
    assert "print(one / 0)" in message
    assert "make notebooks ONLY=01" in message
    assert len(message.splitlines()) < 10
    assert "\x1b" not in message


def test_a_stopped_kernel_and_a_cell_without_end_are_named(source, monkeypatch):
    replace(source, "1 + 1", "import os\nos._exit(1)")
    with pytest.raises(notebooks.Refusal, match=r"`import os`.*the kernel stopped"):
        notebooks.update(source, force=False)
    monkeypatch.setattr(notebooks, "CELL_TIMEOUT", 1)
    replace(source, "import os\nos._exit(1)", "while True:\n    pass")
    with pytest.raises(notebooks.Refusal, match=r"`while True:`.*more than 1 s"):
        notebooks.update(source, force=False)


def test_the_command_goes_on_after_a_refusal_and_fails(source, monkeypatch, capsys):
    other = source.with_name("02-other.md")
    other.write_text(source.read_text())
    replace(source, "1 + 1", "1 / 0")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", source.parent)
    monkeypatch.setattr(notebooks, "SETS", source.parent / "problem-sets")
    assert notebooks.main(["run"]) == 1
    printed = capsys.readouterr().out
    assert "01-small: NOT written. 01-small.md, line" in printed
    assert "02-other: ran in" in printed
    assert "1 of 2 notebooks were not written" in printed
    assert notebooks.main(["run", "02"]) == 0


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_name_that_is_not_there_is_said(command, capsys):
    assert notebooks.main([command, "03", "99"]) == 1
    printed = capsys.readouterr().out
    assert "no notebook has '99' in its name" in printed
    assert "03-recurrent-network" in printed


def test_alternative_texts_travel_with_the_pictures(tmp_path):
    path = tmp_path / "01-picture.md"
    path.write_text(HEAD + PICTURE)
    notebooks.update(path, force=False)
    twin = notebooks.read_twin(path.with_suffix(".ipynb"))
    (output,) = twin.cells[0].outputs
    assert output.metadata["image/png"] == {"alt": "A line that falls from 4 to 1"}

    replace(path, "that falls", "that sinks")
    assert notebooks.problems(path)
    assert not notebooks.update(path, force=False), "no code changed, and it ran"
    (output,) = notebooks.read_twin(path.with_suffix(".ipynb")).cells[0].outputs
    assert output.metadata["image/png"] == {"alt": "A line that sinks from 4 to 1"}
    assert notebooks.problems(path) == []


def test_a_missing_side_is_found(source):
    source.with_suffix(".ipynb").rename(source.with_name("02-other.ipynb"))
    assert "has no twin" in notebooks.problems(source)[0]
    assert "has no source" in notebooks.problems(source.with_name("02-other.md"))[0]


def test_a_traceback_is_cut_to_its_last_line(tmp_path):
    path = tmp_path / "01-error.md"
    path.write_text(HEAD + "```{code-cell}\n:tags: [raises-exception]\nint('x')\n```\n")
    notebooks.update(path, force=False)
    assert str(tmp_path) not in path.with_suffix(".ipynb").read_text()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([v4.new_code_cell("1")], "was not run"),
        ([cell("# NBVAL_SKIP\n1")], "exempt by a comment"),
        ([cell(tags=["nbval-skip"])], "exempt by a comment"),
        ([cell(outputs=[v4.new_output("stream", name="stderr", text="w")])], "stores a warning"),
        ([cell(outputs=[v4.new_output("error", ename="E")])], "stores an error"),
        ([cell(outputs=[PNG])], "pictures are not compared"),
        ([cell(tags=["nbval-ignore-output"]), cell(), cell(), cell("assert 1")], "nothing asserts"),
    ],
)
def test_an_unchecked_cell_is_found(cells, message):
    (problem,) = rules.unchecked_cells(notebook(*cells))
    assert message in problem


@pytest.mark.parametrize(
    "cells",
    [
        [cell("")],
        [cell(tags=["illustration"], outputs=[PNG])],
        [cell(tags=["nbval-ignore-output"], outputs=[PNG]), cell(), cell("assert 1")],
        [cell("torch.testing.assert_close(1, 1)", tags=["nbval-ignore-output"])],
        [cell(tags=["raises-exception"], outputs=[v4.new_output("error", ename="E")])],
    ],
)
def test_a_checked_cell_passes(cells):
    assert list(rules.unchecked_cells(notebook(*cells))) == []


def says(text):
    return v4.new_output("stream", text=text)


TABLE = v4.new_output("display_data", {"text/plain": "0.5", "text/html": "<td>0.5</td>"})


@pytest.mark.parametrize(
    ("stated", "tags", "outputs", "message"),
    [
        ("wide", [], [says("0.5")], "`wide` is no tolerance: write a positive number such as"),
        ("2%", ["nbval-ignore-output"], [says("0.5")], "keep one of the two"),
        ("2%", [], [says("none")], "holds no number"),
        ("2%", [], [PNG], "holds no number"),
        (0.1, [], [], "holds no number"),
        ("50%", [], [says("0.5")], "compares next to nothing"),
        (0.5, [], [says("0.5 and -0.25")], "a tolerance of 0.5, which compares next to nothing"),
        (0.5, [], [TABLE], "compares next to nothing"),
        (0.5, [], [says("nan")], "compares next to nothing"),
        ("2%", [], [says("300 updates, nan")], "lets none of its numbers move"),
        (0.5, [], [says("300 updates")], "lets none of its numbers move"),
    ],
)
def test_a_wrong_tolerance_is_found(stated, tags, outputs, message):
    wrong = cell("x", tags=tags, metadata={"tolerance": stated}, outputs=outputs)
    (problem,) = rules.wrong_tolerances(notebook(cell(), wrong))
    assert problem.startswith("code cell 2 (`x`)")
    assert message in problem


@pytest.mark.parametrize(
    ("stated", "outputs"),
    [
        ("2%", [says("after 300 updates: 0.5")]),
        ("49%", [says("87%")]),
        (0.02, [says("0.5")]),
        (3, [says("142 of 200 right")]),
        ("2%", [TABLE]),
    ],
)
def test_a_right_tolerance_passes(stated, outputs):
    right = cell(metadata={"tolerance": stated}, outputs=outputs)
    assert list(rules.wrong_tolerances(notebook(cell(), right))) == []


def shows(**data):
    data = {f"text/{kind}": text for kind, text in data.items()}
    return v4.new_output("execute_result", data, execution_count=1)


@pytest.mark.parametrize(
    ("outputs", "lines"),
    [
        (
            [says("error below 1e-7: True\nfine\n  no: False")],
            ["error below 1e-7: True", "no: False"],
        ),
        ([shows(plain="False")], ["False"]),
        ([shows(plain="[True, False]", html="<td>True</td>")], ["[True, False]"]),
        ([shows(plain="<HTML>", html="<p alt='x'>\n<b>True</b>\n</p>")], ["True"]),
    ],
)
def test_a_bare_truth_value_is_found(outputs, lines):
    found = list(rules.bare_truth_values(notebook(cell("f(x)", outputs=outputs))))
    shown = [f"code cell 1 (`f(x)`) prints `{line}`: print the number" for line in lines]
    assert [problem[: len(start)] for problem, start in zip(found, shown, strict=True)] == shown


@pytest.mark.parametrize(
    "right",
    [
        cell(outputs=[says("Truely 0.5"), PNG]),
        cell(outputs=[shows(plain="<HTML>", html="<img alt='True'>")]),
        cell(tags=["boolean"], outputs=[shows(plain="tensor([True, False])")]),
    ],
)
def test_other_outputs_hold_no_bare_truth_value(right):
    assert list(rules.bare_truth_values(notebook(right))) == []


@pytest.mark.parametrize(
    ("metadata", "outputs", "message"),
    [
        ({}, [PNG], "without alt text"),
        ({"mystnb": {"image": {"alt": "A plot"}}}, [PNG], "without alt text"),
        (ALT, [PNG, PNG], "several pictures"),
    ],
)
def test_a_picture_without_alt_text_is_found(metadata, outputs, message):
    (problem,) = rules.missing_alt_in_outputs(notebook(cell(metadata=metadata, outputs=outputs)))
    assert message in problem


def test_a_picture_with_alt_text_passes():
    assert list(rules.missing_alt_in_outputs(notebook(cell(metadata=ALT, outputs=[PNG])))) == []


@pytest.mark.parametrize(
    "text",
    [
        "![{}](a.png)",
        '<img src="a.png" alt="{}">',
        "```{{image}} a.png\n:width: 3em\n:alt: {}\n```\n",
        ":::{{figure}} a.png\n:alt: {}\n\nA caption.\n:::\n",
    ],
)
def test_images_in_text_need_alt_text(text):
    assert list(rules.missing_alt_in_text(text.format("A network with three layers"))) == []
    assert len(list(rules.missing_alt_in_text(text.format("")))) == 1


def test_the_template_keeps_the_rules(tmp_path):
    path = tmp_path / "01-chapter.md"
    path.write_text(rules.TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    notebooks.update(path, force=False)
    twin = notebooks.read_twin(path.with_suffix(".ipynb"))
    for rule in (
        rules.unchecked_cells,
        rules.wrong_tolerances,
        rules.bare_truth_values,
        rules.missing_alt_in_outputs,
        rules.wrong_setup_cell,
    ):
        assert list(rule(twin)) == []


def test_another_first_cell_is_found():
    (problem,) = rules.wrong_setup_cell(notebook(cell("import rnncourse")))
    assert "not the set-up cell" in problem


def test_citations_are_read():
    text = "As {cite:t}`elman1990finding` and {cite}`a1, b2` say."
    assert rules.cited(text) == {"elman1990finding", "a1", "b2"}


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("missing.html", "leads to no file"),
        ("b/b.html#nowhere", "leads to no anchor"),
        ("#nowhere", "leads to no anchor"),
        ("https://", "is no address"),
    ],
)
def test_a_broken_link_is_found(tmp_path, link, message):
    good = '<p id="here"><a href="#here"> <a href="#"> <a href="b/b.html?q=1#there">'
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "b.html").write_text('<a name="there" href="../a.html#here">')
    (tmp_path / "a.html").write_text(good + '<a href="https://example.org/x"> <a href="mailto:a">')
    assert list(rules.broken_links(tmp_path)) == []
    (tmp_path / "a.html").write_text(f'{good}<a href="{link}">')
    (problem,) = rules.broken_links(tmp_path)
    assert message in problem
