"""The system events of each container group that a status may still need, bounded in number.

SaladCloud says only here why a run ended. Kept are the latest events, and the first of those that no status tells yet:
a container can run and end many times while nobody can look at it, and how its first run ended may be what its pod
needs to know. Safe to call from any thread. Lost with the process; the feed reads the last hours again after a start.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Collection

from virtual_kubelet_salad.saladcloud.events import Event
from virtual_kubelet_salad.saladcloud.runs import EventKey, key_of

# A crash loop makes some two events per run that are kept.
LATEST_EVENTS = 40
UNTOLD_EVENTS = 160


class Explanations:
    """Events by the group's name, in the order of their receipt."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, list[Event]] = {}
        self._counts: collections.Counter[str] = collections.Counter()

    def add(self, name: str, event: Event) -> None:
        """Keeps the event, unless it is kept already; when there are too many of the group, one between the first and
        the latest goes.
        """
        with self._lock:
            events = self._events.setdefault(name, [])
            if event in events:
                return
            events.append(event)
            if len(events) > UNTOLD_EVENTS + LATEST_EVENTS:
                del events[UNTOLD_EVENTS]
            self._counts[name] += 1

    def told(self, name: str, keys: Collection[EventKey]) -> None:
        """A status tells these events now: of what came before them only the latest events are still kept."""
        with self._lock:
            events = self._events.get(name, [])
            count = max((number for number, event in enumerate(events, 1) if key_of(event) in keys), default=0)
            del events[: max(0, min(count, len(events) - LATEST_EVENTS))]

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
