"""Counts requests, limits their rate, and makes chosen ones fail.

The rate limit counts the requests that were let through, per key, in a sliding minute. Everything else counts every
request. No thread, no wall clock.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

from virtual_kubelet_salad.sandbox.salad_wire import ECHOES, FAULTS, UNANSWERED, ConnectionDropped, Response

MINUTE_SECONDS = 60.0
KEPT_VIOLATIONS = 1_000  # texts; the count goes on


@dataclasses.dataclass(slots=True)
class Fault:
    """The next `left` matching requests fail. `applied`: each takes effect before its answer is lost."""

    left: int
    kind: str
    applied: bool
    operation: str | None = None  # None: any
    group: str | None = None  # how the name of the group begins that the request is about; None: any request


class Traffic:
    """Everything about requests that is not about groups."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.outage: str | None = None  # a kind of fault: every request fails so
        self._passed: dict[str, collections.deque[float]] = {}  # key → times of the requests that were let through
        self._recent: collections.deque[float] = collections.deque()
        self.total = 0
        self.most_per_minute = 0
        self.by_operation: collections.Counter[str] = collections.Counter()
        self.by_code: collections.Counter[str] = collections.Counter()
        self.violation_count = 0
        self.violations: list[str] = []

    def arrived(self, now: float) -> None:
        self.total += 1
        recent = self._recent
        recent.append(now)
        oldest = now - MINUTE_SECONDS
        while recent[0] <= oldest:
            recent.popleft()
        if len(recent) > self.most_per_minute:
            self.most_per_minute = len(recent)

    def answered(self, operation: str, code: str) -> None:
        self.by_operation[operation] += 1
        self.by_code[code] += 1

    def violated(self, operation: str, complaints: list[str]) -> None:
        """A request did not conform to the description of the API."""
        self.violation_count += 1
        if len(self.violations) < KEPT_VIOLATIONS:
            self.violations.append(f"{operation}: {'; '.join(complaints[:10])}")

    def seconds_to_wait(self, key: str, now: float, limit: int) -> float:
        """0.0: the request is let through (and counted); else how long until one will be."""
        passed = self._passed.setdefault(key, collections.deque())
        while passed and passed[0] <= now - MINUTE_SECONDS:
            passed.popleft()
        if len(passed) < limit:
            passed.append(now)
            return 0.0
        return passed[0] + MINUTE_SECONDS - now if passed else MINUTE_SECONDS

    def add_fault(self, fault: Fault) -> None:
        """Raises ValueError for a kind that does not exist."""
        _known(fault.kind)
        self._faults.append(fault)

    def set_outage(self, kind: str | None) -> None:
        """Raises ValueError for a kind that does not exist."""
        self.outage = None if kind is None else _known(kind)

    def clear_faults(self, group: str | None = None) -> None:
        """All, and an outage; or only those that were said for this beginning of a name."""
        if group is None:
            self.outage = None
        self._faults = [fault for fault in self._faults if group is not None and fault.group != group]

    def next_fault(self, operation: str, group: str) -> Fault | None:
        """The fault that hits this request, used up by it; `group` is the name of the group that it is about."""
        if self.outage is not None:
            return Fault(1, self.outage, False)
        for fault in self._faults:
            if fault.operation in (None, operation) and (fault.group is None or group.startswith(fault.group)):
                fault.left -= 1
                if fault.left <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    def statistics(self, now: float) -> dict[str, Any]:
        return {
            "requests": self.total,
            "requests_by_operation": dict(self.by_operation),
            "requests_by_code": dict(self.by_code),
            "requests_last_minute": sum(1 for moment in self._recent if moment > now - MINUTE_SECONDS),
            "requests_most_per_minute": self.most_per_minute,
            "schema_violations": self.violation_count,
            "schema_violation_texts": list(self.violations),
        }


def _known(kind: str) -> str:
    known = (*FAULTS, *UNANSWERED, *ECHOES)
    if kind not in known:
        raise ValueError(f"unknown fault {kind!r}; known: {', '.join(known)}")
    return kind


def suffer(fault: Fault) -> Response:
    """What the client gets. Raises ConnectionDropped where it gets nothing."""
    if fault.kind in UNANSWERED:
        raise ConnectionDropped(applied=fault.applied, hangs=fault.kind == "hang")
    return FAULTS[fault.kind]
