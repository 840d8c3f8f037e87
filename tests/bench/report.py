"""What was measured against what was promised: targets, readings, the table and the JSON. Pure, but for `machine()`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import virtual_kubelet_salad

# What decides how fast the daemon is.
REPORTED_PACKAGES = ("kubernetes", "requests", "urllib3", "marshmallow", "prometheus-client")
_TARGET = re.compile(r"(?P<sign><=|>=) (?P<limit>[0-9]+(?:\.[0-9]+)?)(?: (?P<unit>\S(?:.*\S)?))?")


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A bound that a value must keep: at most `limit` of `unit`, or at least."""

    limit: float
    unit: str
    is_floor: bool = False

    @classmethod
    def parse(cls, text: str) -> Target:
        """`<= 35 s`, `>= 10 requests/min`, `<= 0`. ValueError for anything else."""
        found = _TARGET.fullmatch(text)
        if found is None:
            raise ValueError(f"a target is written as `<= 35 s`, not {text!r}")
        return cls(float(found["limit"]), found["unit"] or "", found["sign"] == ">=")

    def is_met_by(self, value: float) -> bool:
        return value >= self.limit if self.is_floor else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.is_floor else '<='} {self.limit:g} {self.unit}".rstrip()


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """One measured value. None: it was not reached within the measure's bound, which is a miss. Without a target it is
    for information."""

    name: str
    value: float | None
    unit: str
    target: Target | None = None
    remark: str = ""

    @property
    def is_miss(self) -> bool:
        return self.target is not None and (self.value is None or not self.target.is_met_by(self.value))

    @property
    def verdict(self) -> str:
        return "" if self.target is None else "MISS" if self.is_miss else "ok"


def held(name: str, value: float | None, target: str, remark: str = "") -> Reading:
    """A reading that is held against a target, in the target's unit."""
    parsed = Target.parse(target)
    return Reading(name, value, parsed.unit, parsed, remark)


def told(name: str, value: float | None, unit: str, remark: str = "") -> Reading:
    """A reading for information."""
    return Reading(name, value, unit, None, remark)


def table(readings: Iterable[Reading]) -> str:
    """Name, measured, target and verdict, in columns."""
    rows = [("measure", "measured", "target", "", "")]
    rows += [
        (reading.name, _shown(reading), str(reading.target or ""), reading.verdict, reading.remark)
        for reading in readings
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for name, measured, target, verdict, remark in rows:
        cells = [name.ljust(widths[0]), measured.rjust(widths[1]), target.ljust(widths[2]), verdict.ljust(widths[3])]
        lines.append("  ".join([*cells, remark]).rstrip())
    return "\n".join(lines)


def _shown(reading: Reading) -> str:
    if reading.value is None:
        return "not reached"
    return f"{reading.value:.3g} {reading.unit}" if abs(reading.value) < 100 else f"{reading.value:.0f} {reading.unit}"


def as_json(readings: Sequence[Reading], *, seed: int, profile: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that somebody needs to compare two runs."""
    return {
        "machine": machine(),
        "versions": {
            "virtual-kubelet-salad": virtual_kubelet_salad.__version__,
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in REPORTED_PACKAGES},
        },
        "seed": seed,
        "profile": profile,
        "misses": sum(reading.is_miss for reading in readings),
        "readings": [
            {
                "name": reading.name,
                "value": reading.value,
                "unit": reading.unit,
                "target": None if reading.target is None else str(reading.target),
                "verdict": reading.verdict,
                "remark": reading.remark,
            }
            for reading in readings
        ],
        "details": dict(details),
    }


def machine() -> dict[str, Any]:
    """Where it was measured, and how busy that place is now."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu_name() -> str:
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
