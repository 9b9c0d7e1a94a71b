"""The processor has a name, on Linux the one that the system tells."""

from pathlib import Path

import pytest

from rnncourse.computer import processor


def test_the_processor_has_a_name_of_one_line():
    assert processor().strip() == processor()
    assert processor()
    assert "\n" not in processor()


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo here")
def test_it_is_the_name_that_linux_tells():
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    assert processor() in text or "model name" not in text
