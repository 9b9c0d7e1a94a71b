"""The benchmark measures what it says; and training takes no more memory than torch.nn."""

import os
import time

import pytest
import torch

from rnncourse import bench
from rnncourse.torch import RNN


def test_functions_take_turns():
    calls = []

    def work(name):
        calls.append(name)
        sum(range(10**4))

    slow, fast = bench.ratios(lambda: work("s"), lambda: work("f"), runs=4)
    assert calls == ["s", "f"] * 7  # three calls each to warm up
    assert len(slow) == len(fast) == 4
    assert min(slow + fast) > 0


@pytest.mark.parametrize("step", bench.STEPS)
def test_a_step_is_what_it_is_called(step):
    layer = torch.nn.GRU(3, 4)
    run = bench.one_step(layer, 5, 2, 3, step)
    run()
    assert (layer.weight_hh_l0.grad is None) == (step == "inference")


def test_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "SIZES", [(9, 2, 2, 3), (4, 1, 2, 3)])
    monkeypatch.setattr(bench, "SCANS", [(5, 2, 3), (3, 1, 2)])
    bench.main(["--runs", "2", "--output", str(tmp_path / "page.md")])
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert page in capsys.readouterr().out
    assert page.startswith("# Benchmarks\n")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    scans = 1 + 2 * 2
    both = bench.TRITON and torch.cuda.is_available()
    assert len(lines) == 1 + 3 * 2 * 3 + 1 + 3 * 3 + 1 + 3 * 2 * 3 + scans * (2 if both else 1)
    conclusion = page.partition("## Time")[0]
    assert "for `RNN`" in conclusion
    assert "| LSTM | inference |" in conclusion
    assert "| 5 | 2 | 3 | training |" in page
    assert ("The scan against the kernel: not measured." in page) == (not both)
    assert "| GRU | 9 | 2 | 2 | 3 | training |" in page


def test_the_page_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    row = bench.ScanRow("cuda", (5, 2, 3), "training", (4e-3, 1e-3), 4.0)
    page = bench.scan_section([row], runs=2)
    assert "On A GPU:" in page
    assert "| T | B | H | step | scan (ms) | kernel (ms) | ratio |" in page
    assert "| 5 | 2 | 3 | training | 4.000 | 1.000 | 4.00 |" in page
    assert f"The loop against the scan: not measured. {bench.ABSENT}" in page


@pytest.mark.parametrize("step", ["training", "inference"])
@pytest.mark.parametrize("device", bench.WAYS)
def test_a_scan_waits_for_its_device(device, step):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    for solve in bench.WAYS[device].values():
        bench.one_scan(solve, (5, 2, 3), step, device)()


@pytest.mark.parametrize("pair", bench.PAIRS, ids=lambda pair: pair[1].__name__)
def test_no_more_memory_is_kept_for_the_backward_pass_than_by_torch(pair):
    T, B, I, H = 200, 8, 16, 32
    x, kept = torch.randn(T, B, I), []
    for layer in (pair[0](I, H, kernel="hand-derived"), pair[1](I, H)):
        found = {}

        def pack(tensor, found=found):
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = layer(x)
        kept.append(sum(found.values()))
        del out
    assert kept[0] <= 1.01 * kept[1]


def test_the_sizes_reach_from_one_step_of_one_sequence_to_long_batches():
    assert {size[0] for size in bench.SIZES} > {1, 2, 4}
    assert {size[0] for size in bench.SIZES if size[1] == 1} == {1, 128, 1024}
    assert RNN.fewest_to_train == bench.MANY


@pytest.mark.parametrize("step", ["training", "inference"])
@pytest.mark.parametrize("T", [1, 2, 4])
@pytest.mark.parametrize("pair", bench.PAIRS, ids=lambda pair: pair[1].__name__)
def test_a_few_steps_run_the_pass_of_torch(pair, T, step):
    """There the hand-derived pass has half to nine tenths of its speed."""
    with torch.set_grad_enabled(step == "training"):
        assert pair[0](3, 4).kernel_for(torch.zeros(T, 1, 3)) == "torch"


@pytest.mark.parametrize("kind", [torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM])
def test_without_a_gradient_only_a_long_rnn_runs_by_hand(kind):
    ours = next(ours for ours, theirs in bench.PAIRS if theirs is kind)
    with torch.no_grad():
        for T, by_hand in ((8, False), (63, False), (64, kind is torch.nn.RNN)):
            found = ours(3, 4, dtype=torch.float64).kernel_for(torch.zeros(T, 1, 3).double())
            assert found == ("hand-derived" if by_hand else "torch")


def test_least_times_go_round_by_round_and_count_work_alone():
    calls = []

    def work():
        calls.append("work")
        end = time.process_time() + 0.02  # on Windows that clock has 64 ticks a second
        while time.process_time() < end:
            pass

    def wait():
        calls.append("wait")
        time.sleep(0.02)

    found = bench.least_times({"work": work, ("wait", 1): wait}, rounds=3)
    assert calls == ["work", "wait"] * 3
    assert found["work"] > 0
    assert found["wait", 1] < 0.02  # asleep, the processor does nothing


def test_peak_memory_is_that_of_the_largest_moment(capfd):
    x = torch.zeros(1000, 100)  # 400 kB, there before

    def step():
        y = x + 1
        z = y * 2
        del y
        return float((z + 1).sum())

    assert 800e3 <= bench.peak_memory(step) < 810e3
    assert capfd.readouterr().err == ""  # the profiler's notes are not for the reader
    os.write(2, b"back")
    assert capfd.readouterr().err == "back"


def test_peak_memory_counts_what_an_earlier_step_left_neither_twice_nor_never():
    kept = []

    def step():
        kept.clear()  # 400 kB given back, seen by the profiler in some runs and not in others
        kept.append(torch.zeros(1000, 100))

    found = [bench.peak_memory(step, runs=1) for _ in range(4)]
    assert all(400e3 <= peak < 410e3 for peak in found)


@pytest.mark.parametrize("pair", bench.PAIRS, ids=lambda pair: pair[1].__name__)
@pytest.mark.parametrize("step", bench.STEPS[:2])
@pytest.mark.parametrize("size", [s for s in bench.SIZES if s[0] >= bench.MANY], ids=str)
def test_training_takes_no_more_memory_than_torch(pair, size, step):
    T, B, I, H = size
    ours, theirs = (
        bench.peak_memory(bench.one_step(layer, T, B, I, step))
        for layer in (pair[0](I, H, kernel="hand-derived"), pair[1](I, H))
    )
    assert ours <= 1.01 * theirs + 2**13  # 8 kB: a few small arrays
