"""What the simulated SaladCloud tells about the use of processor and memory by an instance.

Like the live service it measures once in a period and tells the same numbers until the next; nothing before the first.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

USUAL_CORES = 0.5


@dataclasses.dataclass(slots=True)
class Load:
    """How much a container uses: half a core and some memory, until something else is wished."""

    memory_mb: float | None = None
    """None: some."""
    _cores: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def change(self, now: float, cpu_cores: float, memory_mb: float) -> None:
        """From `now` on it uses so much."""
        self._cores.append((now, cpu_cores))
        self.memory_mb = memory_mb

    def core_seconds(self, since: float, until: float) -> float:
        """Used between two moments."""
        total, at, cores = 0.0, since, USUAL_CORES
        for moment, next_cores in self._cores:
            moment = min(max(moment, since), until)
            total += cores * (moment - at)
            at, cores = moment, next_cores
        return total + cores * (until - at)


def usage(load: Load, instance_id: str, running_since: float, now: float, period: float) -> dict[str, Any]:
    """The fields of an instance that tell it; empty before the first measurement."""
    periods = int((now - running_since) // period)
    if periods < 1:
        return {}
    until = running_since + periods * period
    latest = load.core_seconds(running_since, until) - load.core_seconds(running_since, until - period)
    noise = random.Random(f"{instance_id}/{periods}")
    some_memory = noise.uniform(100.0, 900.0)
    return {
        "cpu_percent": round(100.0 * latest / period, 2),
        "cpu_usage": round(latest),
        "cpu_usage_total": round(load.core_seconds(running_since, until)),
        "memory_usage_mb": round(some_memory if load.memory_mb is None else load.memory_mb, 1),
        "memory_usage_percent": round(noise.uniform(10.0, 90.0), 2),
    }
