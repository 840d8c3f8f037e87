"""The container groups that pods ask about, and how urgent a look at each is while no list shows it.

Safe to call from any thread; decides, asks nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

# A settled group that no list shows is asked for this often at most; the budget's share decides how often it really is.
SETTLED_SECONDS = 240.0
UNSETTLED_SECONDS = 10.0


class Followed:
    """The groups that pods ask about, and how urgent each is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled: dict[str, bool] = {}
        self._woken: set[str] = set()

    def observed(self, name: str, *, is_settled: bool) -> None:
        """A pod has asked for it; a settled one changes rarely."""
        with self._lock:
            self._settled[name] = is_settled

    def wake(self, name: str) -> None:
        """Something has happened to it."""
        with self._lock:
            if name in self._settled:
                self._woken.add(name)

    def forget(self, name: str) -> None:
        with self._lock:
            self._settled.pop(name, None)
            self._woken.discard(name)

    def read(self, name: str) -> None:
        """It has just been asked for."""
        with self._lock:
            self._woken.discard(name)

    def names(self) -> set[str]:
        with self._lock:
            return set(self._settled)

    def due(self, asked_at: Callable[[str], float | None], is_listed: Callable[[str], bool], now: float) -> list[str]:
        """Those that no list shows and that should be asked for, the most urgent first."""
        with self._lock:
            unlisted = [name for name in self._settled if not is_listed(name)]
            ages = {name: now - (asked_at(name) or 0.0) for name in unlisted}
            woken = [name for name in unlisted if name in self._woken]
            others = [
                name
                for name in unlisted
                if name not in self._woken
                and ages[name] >= (SETTLED_SECONDS if self._settled[name] else UNSETTLED_SECONDS)
            ]
            return woken + sorted(others, key=lambda name: (self._settled[name], -ages[name]))
