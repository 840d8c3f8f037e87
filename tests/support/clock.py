"""A clock that moves only when a test says so."""

from __future__ import annotations

import datetime


class FakeClock:
    """Implements `runtime.clock.Clock`; both times advance together."""

    def __init__(self, start: datetime.datetime = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)) -> None:
        self._start = start
        self._elapsed_seconds = 0.0

    def monotonic(self) -> float:
        return 1_000.0 + self._elapsed_seconds

    def now(self) -> datetime.datetime:
        return self._start + datetime.timedelta(seconds=self._elapsed_seconds)

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time does not go back")
        self._elapsed_seconds += seconds


class WrongClock:
    """The clock of a machine whose wall time is wrong by so many seconds; intervals are right."""

    def __init__(self, right: FakeClock, seconds: float) -> None:
        self._right = right
        self.wrong_by = datetime.timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self._right.monotonic()

    def now(self) -> datetime.datetime:
        return self._right.now() + self.wrong_by
