"""Faults on request: what the API server's face does instead of answering.

A fault stays until it is taken back, or for a number of requests. It can be limited to a method, to a part of the
path and to watches.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from typing import Any

KINDS = (
    "status",  # answer with a Status of `code`
    "repeat",  # the same, and its message repeats the body of the request
    "answer",  # answer 200 with `body`, whatever the question
    "hang",  # read the request and never answer
    "close",  # close the connection instead of answering; nothing is applied
    "close_after",  # carry the request out, then close the connection without an answer
    "html",  # a proxy's error page with `code`
    "garbage",  # bytes that are neither HTTP headers nor JSON of the right shape: 200 with a broken body
    "end_watch",  # a watch is accepted and ends at once
    "gone_event",  # a watch is accepted and sends the 410 as an event
)


@dataclass
class Fault:
    """One rule. `times` None means: until cleared."""

    kind: str
    method: str = ""
    path_part: str = ""
    watches: bool | None = None
    times: int | None = None
    code: int = 503
    retry_after_seconds: int | None = None
    body: Any = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(KINDS)}")

    def concerns(self, method: str, path: str, is_watch: bool) -> bool:
        """Whether this request is hit."""
        if self.kind in ("end_watch", "gone_event") and not is_watch:
            return False
        is_wanted = self.watches is None or self.watches == is_watch
        return is_wanted and self.method in ("", method) and self.path_part in path


def fault_from_json(body: dict[str, Any]) -> Fault:
    """A fault as the control route takes it; ValueError when it is none."""
    known = {field.name for field in fields(Fault)}
    unknown = set(body) - known
    if unknown or "kind" not in body:
        raise ValueError(f"a fault has the fields {', '.join(sorted(known))}")
    return Fault(**body)


class Faults:
    """The rules in force. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a rule in force; earlier ones win."""
        with self._lock:
            self._faults.append(fault)

    def only(self, *faults: Fault) -> None:
        """Put these in force instead of all others, at once."""
        with self._lock:
            self._faults[:] = faults

    def clear(self) -> None:
        """Take all rules back."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str, is_watch: bool) -> Fault | None:
        """The rule that hits this request; a limited one is used up by it."""
        with self._lock:
            for fault in self._faults:
                if fault.concerns(method, path, is_watch):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._faults.remove(fault)
                    return fault
        return None
