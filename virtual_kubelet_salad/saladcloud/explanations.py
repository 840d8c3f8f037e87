"""The system events of each container group that a status may still need, bounded in number.

SaladCloud says only here why a run ended. Safe to call from any thread. Lost with the process; the feed reads the
last hours again after a start.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Collection

from virtual_kubelet_salad.saladcloud.events import Event

# A crash loop makes some six events per run; older ones have been told long ago.
EVENTS_PER_GROUP = 40


class Explanations:
    """Events by the group's name, in the order of their receipt."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, collections.deque[Event]] = {}
        self._counts: collections.Counter[str] = collections.Counter()

    def add(self, name: str, event: Event) -> None:
        """Keeps the event; the oldest of the group goes when there are too many."""
        with self._lock:
            events = self._events.setdefault(name, collections.deque(maxlen=EVENTS_PER_GROUP))
            events.append(event)
            self._counts[name] += 1

    def of(self, name: str) -> tuple[Event, ...]:
        """The events of a group, by receive time."""
        with self._lock:
            return tuple(sorted(self._events.get(name, ()), key=lambda event: event.receive_time))

    def count(self, name: str) -> int:
        """How many there have been; a change tells that there is something new."""
        with self._lock:
            return self._counts[name]

    def since(self, name: str, count: int) -> tuple[Event, ...]:
        """The events that came in after there had been `count`, as far as they are kept."""
        with self._lock:
            events = self._events.get(name, ())
            new = min(self._counts[name] - count, len(events))
            return tuple(events)[-new:] if new > 0 else ()

    def forget(self, name: str) -> None:
        with self._lock:
            self._events.pop(name, None)
            self._counts.pop(name, None)

    def keep_only(self, names: Collection[str]) -> None:
        """Drops the events of all other groups."""
        with self._lock:
            for name in [name for name in self._events if name not in names]:
                del self._events[name]
                del self._counts[name]
