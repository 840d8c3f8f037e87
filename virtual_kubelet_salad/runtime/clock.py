"""Time as a collaborator, so that everything that waits can be driven by a test.

Monotonic time measures intervals; wall time (UTC) is only for what goes on the wire.
"""

from __future__ import annotations

import datetime
import time
from typing import Protocol


class Clock(Protocol):
    """Both kinds of time. Safe to call from any thread."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean something."""
        ...

    def now(self) -> datetime.datetime:
        """The wall time, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)
