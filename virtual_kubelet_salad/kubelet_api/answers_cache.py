"""Keeps answers of the API server for a time that their kind decides, and never more than a number of them.

Safe to use from any thread.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from virtual_kubelet_salad.runtime.clock import Clock

T = TypeVar("T")


class AnswersCache(Generic[T]):
    """At most `most` answers; the ones asked for longest ago go first."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._answers: collections.OrderedDict[Hashable, tuple[T, float]] = collections.OrderedDict()

    def get(self, key: Hashable) -> tuple[T] | None:
        """The answer, in a tuple because it may be None itself; None: there is none (any more)."""
        with self._lock:
            kept = self._answers.get(key)
            if kept is None:
                return None
            answer, until = kept
            if self._clock.monotonic() >= until:
                del self._answers[key]
                return None
            self._answers.move_to_end(key)
            return (answer,)

    def put(self, key: Hashable, answer: T, seconds: float) -> None:
        """To be believed for that long."""
        with self._lock:
            self._answers[key] = answer, self._clock.monotonic() + seconds
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)

    def __len__(self) -> int:
        with self._lock:
            return len(self._answers)
