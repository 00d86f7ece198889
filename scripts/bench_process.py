"""What a process and those that it starts use until they end."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

_PERIOD = 0.02  # seconds between two looks at the memory


class Used(NamedTuple):
    """Seconds on the clock and on the processors (which a busy machine changes less), the peak of memory in bytes."""

    seconds: float
    cpu: float
    memory: int
    code: int


def watched(process: subprocess.Popen[bytes]) -> Used:
    """Wait for the end of a process that was started a moment ago."""
    begun, peak = time.perf_counter(), 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, sum(_memory(process.pid)))
        time.sleep(_PERIOD)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Used(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, peak, process.returncode)


def _memory(pid: int) -> Iterator[int]:
    """Yield what a process, and each that it started, holds of its own, and shared pages once for each."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                yield int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _memory(int(child))
    except OSError:
        return
