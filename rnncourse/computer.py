"""Where a measurement was made."""

import platform
from pathlib import Path


def processor() -> str:
    """Return the name of the processor."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        name = next((v.split(":")[1].strip() for v in lines if v.startswith("model name")), name)
    return name
