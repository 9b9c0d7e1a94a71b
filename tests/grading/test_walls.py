"""What a submission uses, taken as a whole."""

import subprocess
import sys
import time

import pytest

from rnncourse.grading import walls

MB = 2**20
FORK = "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        break\n"
PROGRAMS = {
    "it used more than 0 GB of memory": FORK + "room = b'x' * (40 * 2**20)\ntime.sleep(60)",
    "it started more than 3 processes": FORK + "time.sleep(60)",
    "it wrote more than 5 MB": "open('a', 'wb').write(bytes(3 * 2**20))\n"
    "open('b', 'wb').write(bytes(3 * 2**20))\nimport time\ntime.sleep(60)",
    "it wrote more than 1000 files": "for n in range(1001):\n    open(str(n), 'w')\n"
    "import time\ntime.sleep(60)",
}


@pytest.mark.parametrize("why", PROGRAMS)
def test_what_uses_too_much_is_ended_with_all_its_processes(tmp_path, why):
    first = subprocess.Popen([sys.executable, "-c", PROGRAMS[why]], cwd=tmp_path)
    processes = 3 if "processes" in why else 10
    memory = 100 * MB if "memory" in why else 10_000 * MB
    watch = walls.Watch(first.pid, tmp_path, memory, 5 * MB, processes)
    began = time.monotonic()
    watch.start()
    watch.join(30)
    assert watch.found == why
    assert first.wait(10) != 0
    assert time.monotonic() - began < 30


def test_what_stays_within_its_limits_is_left_alone(tmp_path):
    code = "import time; open('a', 'wb').write(bytes(2**20)); time.sleep(1)"
    first = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    watch = walls.Watch(first.pid, tmp_path, 1000 * MB, 5 * MB, 10)
    watch.start()
    assert first.wait(30) == 0
    watch.join(5)
    assert not watch.is_alive()
    assert watch.found == ""


def test_a_watch_can_be_stopped(tmp_path):
    first = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    watch = walls.Watch(first.pid, tmp_path, 1000 * MB, 5 * MB, 10)
    watch.start()
    watch.stop()
    watch.join(5)
    assert not watch.is_alive()
    assert first.poll() is None
    first.kill()
    first.wait()
