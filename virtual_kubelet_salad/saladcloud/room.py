"""Whether the organization's quota has room for one more container group, as far as refusals and readings tell. Safe to
call from any thread.

After a refusal no other create is sent until the quota has been read again, or a minute has passed: many pods that wait
for room cost few requests. When a reading shows room after a refusal, all of them are told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from virtual_kubelet_salad.errors import Blocked
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.saladcloud.models import Quota
from virtual_kubelet_salad.saladcloud.problems import QUOTA_EXCEEDED

# The time between two readings; without readings, pods that wait try by themselves.
HELD_SECONDS = 60.0


class Room:
    """One organization's quota of replicas."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.on_recovery: Callable[[], None] = lambda: None
        """Called when there is room again, on the thread that has read the quota."""
        self._is_awaited = False
        self._refusal = ""
        self._held_until = clock.monotonic()

    def check_create(self) -> None:
        """Raises `Blocked` when SaladCloud has just refused another create for the quota."""
        with self._lock:
            if self._refusal and self._clock.monotonic() < self._held_until:
                raise Blocked(QUOTA_EXCEEDED, self._refusal)

    def refused(self, error: Blocked) -> None:
        """SaladCloud refused a create or a start, for whatever reason."""
        if error.reason != QUOTA_EXCEEDED:
            return
        with self._lock:
            self._is_awaited = True
            self._refusal = str(error)
            self._held_until = self._clock.monotonic() + HELD_SECONDS

    def read(self, quota: Quota) -> None:
        """The quota as it is now."""
        with self._lock:
            self._refusal = ""
            is_there_again = self._is_awaited and quota.replicas_used < quota.replicas
            if is_there_again:
                self._is_awaited = False
        if is_there_again:
            self.on_recovery()
