"""Notebooks are run as on other machines, and the limits do hold there."""

import os

import nbformat.v4 as v4
import pytest
import yaml

from tools import processors

FEW = "few instructions, 2 threads"


@pytest.fixture
def notebook(tmp_path):
    """Return a notebook of two cells, the second of which depends on the machine."""
    path = tmp_path / "01-small.ipynb"
    capability = "import torch\nprint(torch.backends.cpu.get_cpu_capability())"
    cells = [
        v4.new_code_cell("1 + 1", execution_count=1),
        v4.new_code_cell(capability, execution_count=2),
    ]
    cells[0].outputs = [v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)]
    cells[1].outputs = [v4.new_output("stream", text="AVX2\n")]
    path.write_text(processors.dumps(v4.new_notebook(cells=cells)))
    return path


@pytest.fixture
def probe(tmp_path):
    """Return a function that runs the code of the probe in this process, which is not limited."""

    def execute(few, threads):
        processors.write_probe(few, threads, tmp_path)
        (cell,) = processors.code(processors.read_twin(tmp_path / "probe.ipynb"))
        exec(cell.source, {})

    return execute


@pytest.mark.skipif(not processors.numpy_features(), reason="this processor is an old one")
def test_the_probe_fails_where_nothing_is_limited(probe):
    import torch

    threads = torch.get_num_threads()
    probe(False, threads)
    with pytest.raises(AssertionError, match="PyTorch runs"):
        probe(False, threads + 1)
    with pytest.raises(AssertionError, match=r"PyTorch uses|NumPy uses"):
        probe(True, threads)


@pytest.mark.skipif(not processors.on_x86(), reason="the limits are those of x86 processors")
def test_a_cell_that_differs_on_another_machine_is_named(notebook, tmp_path):
    first_line = "code cell 2 (`import torch`)"
    assert processors.run(FEW, [notebook], tmp_path) == [f"01-small, {first_line}"]


@pytest.mark.skipif(not processors.on_x86(), reason="the limits are those of x86 processors")
def test_settings_that_do_not_hold_are_named(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "CONDITIONS", {FEW: (processors.without_vectors, 2)})
    monkeypatch.setattr(processors, "threads", lambda number: {"OMP_NUM_THREADS": "1"})
    (problem,) = processors.run(FEW, [notebook], tmp_path)
    assert "do not hold in the kernel" in problem


def test_the_summary_says_what_failed_where(monkeypatch, capsys):
    found = {FEW: ["01-small, code cell 2 (`x`)"]}
    monkeypatch.setattr(processors, "on_x86", lambda: True)
    monkeypatch.setattr(processors, "run", lambda condition, _: found.get(condition, []))
    assert processors.main([]) == 1
    said = capsys.readouterr().out
    assert f"{FEW}, 0 min: 1 failed\n    01-small, code cell 2 (`x`)\n" in said
    assert "all instructions, 2 threads, 0 min: all passed" in said
    assert processors.main(["--under", "all instructions, 2 threads"]) == 0


def test_the_weekly_job_runs_every_condition(root):
    job = yaml.safe_load((root / ".github" / "workflows" / "processors.yml").read_text())["jobs"]
    listed = job["processors"]["strategy"]["matrix"]["condition"]
    assert listed == list(processors.CONDITIONS), "processors.yml: list the same conditions"


def test_a_notebook_that_cannot_be_read_is_named(tmp_path):
    broken = tmp_path / "02-broken.ipynb"
    broken.write_text(processors.dumps(v4.new_notebook()).replace("nbformat", "other"))
    (problem,) = processors.run_one(broken, dict(os.environ), tmp_path)
    assert problem.startswith("02-broken: pytest ended with status")
