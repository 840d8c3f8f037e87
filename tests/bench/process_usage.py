"""What a process has used, as the kernel counts it. Linux only."""

from __future__ import annotations

import os
import pathlib

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_KIB_PER_MIB = 1024.0


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads since its start. FileNotFoundError when it has ended."""
    # The name of the program stands in brackets and may hold anything; the 14th and 15th field are utime and stime.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def rss_mib(pid: int) -> float:
    """Resident memory now."""
    return _status_kib(pid, "VmRSS") / _KIB_PER_MIB


def peak_rss_mib(pid: int) -> float:
    """The most resident memory since its start."""
    return _status_kib(pid, "VmHWM") / _KIB_PER_MIB


def _status_kib(pid: int, field: str) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return float(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no {field}")
