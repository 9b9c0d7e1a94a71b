import time

import torch

from rnncourse import bench


def test_ratios_are_taken_in_turn_and_the_warm_up_is_left_out():
    calls = []
    slow, fast = bench.ratios(
        lambda: (calls.append("slow"), time.sleep(0.004)), lambda: calls.append("fast"), runs=4
    )
    assert len(slow) == len(fast) == 4
    assert calls == ["slow", "fast"] * 7
    assert min(slow) >= 0.004 > max(fast)


def test_the_table_names_the_machine_and_has_a_row_a_case(monkeypatch):
    monkeypatch.setattr(bench, "SIZES", [(2, 1, 2, 3)])
    page = bench.table(runs=2)
    assert torch.__version__ in page
    assert page.count("| RNN | 2 | 1 | 2 | 3 |") == 2
    assert "Geometric mean" in page
