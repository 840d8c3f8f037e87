"""Holds back what would be a catastrophe if the cloud's list were wrong: many pods failed, or many workloads deleted,
at once.

Engaged when more than 10 *and* more than half of our workloads vanish between two complete lists, or as many orphans
are found at once; releases itself after 10 minutes, so a true mass event is only delayed. What joins within a minute
belongs to the same event; what comes later in the hold is judged by itself when it is over. Thread-safe.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from virtual_kubelet_salad.runtime.clock import Clock

log = logging.getLogger(__name__)

HOLD_SECONDS = 600.0
ONE_EVENT_SECONDS = 60.0
FEWEST = 10
SHARE = 0.5


class Brake:
    """One per node. `on_engage` is called with a sentence each time it engages."""

    def __init__(self, clock: Clock, on_engage: Callable[[str], None]) -> None:
        self._clock = clock
        self._on_engage = on_engage
        self._lock = threading.Lock()
        self._engaged_until = 0.0
        self._released_for: frozenset[str] = frozenset()
        self._names: frozenset[str] = frozenset()

    def examine(self, names: frozenset[str], total: int, what: str) -> bool:
        """Tells whether `names` (vanished or orphaned at once, of `total`) may be acted upon now; engages when they
        are too many.
        """
        with self._lock:
            now = self._clock.monotonic()
            if now < self._engaged_until:
                if now <= self._engaged_until - HOLD_SECONDS + ONE_EVENT_SECONDS:
                    self._names |= names
                return False
            if self._names:
                self._released_for, self._names = self._released_for | self._names, frozenset()
            fresh = names - self._released_for
            if len(fresh) <= FEWEST or len(fresh) <= SHARE * total:
                return True
            self._names = names
            self._engaged_until = now + HOLD_SECONDS
        text = f"{len(fresh)} of {total} {what} at once: held for {HOLD_SECONDS / 60:.0f} minutes"
        log.error("brake engaged: %s", text)
        self._on_engage(text)
        return False

    @property
    def remembers(self) -> bool:
        """Whether there are names that were held, or let through after it."""
        with self._lock:
            return bool(self._names or self._released_for)

    def came_back(self, names: frozenset[str]) -> None:
        """These are as they should be: were they vanished or orphaned again, that would be another event."""
        with self._lock:
            self._names -= names
            self._released_for -= names

    def is_engaged(self) -> bool:
        with self._lock:
            return self._clock.monotonic() < self._engaged_until
