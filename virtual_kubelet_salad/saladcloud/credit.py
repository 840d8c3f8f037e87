"""Whether the organization has credit left, as far as refusals and stops tell. Safe to call from any thread.

Without credit SaladCloud stops every group and refuses starts; nothing says when credit is back. So one start per five
minutes is let through for all groups together, until one is accepted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from virtual_kubelet_salad.errors import Blocked
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.saladcloud.problems import OUT_OF_CREDIT

CANARY_SECONDS = 300.0
# So many groups of ours that stop between two lists were not stopped one by one.
STOPPED_TOGETHER = 3


class Credit:
    """One organization's credit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.on_recovery: Callable[[], None] = lambda: None
        """Called when there is credit again, on the thread whose create or start was accepted."""
        self._is_out = False
        self._next_try_at = clock.monotonic()

    @property
    def is_out(self) -> bool:
        with self._lock:
            return self._is_out

    def check_start(self) -> None:
        """Raises `Blocked` when there is no credit and another start has been tried lately."""
        with self._lock:
            if not self._is_out:
                return
            wait = self._next_try_at - self._clock.monotonic()
            if wait > 0.0:
                raise Blocked(OUT_OF_CREDIT, "The organization has no credit left at SaladCloud", retry_after=wait)
            self._next_try_at = self._clock.monotonic() + CANARY_SECONDS

    def accepted(self) -> None:
        """SaladCloud took a create or a start."""
        with self._lock:
            is_back, self._is_out = self._is_out, False
        if is_back:
            self.on_recovery()

    def refused(self, reason: str) -> None:
        """SaladCloud refused a create or a start, for that reason."""
        with self._lock:
            if reason == OUT_OF_CREDIT:
                self._note_out()

    def stopped(self, count: int) -> None:
        """So many groups of ours were stopped by somebody else between two lists."""
        with self._lock:
            if count >= STOPPED_TOGETHER:
                self._note_out()

    def _note_out(self) -> None:
        if not self._is_out:
            self._is_out = True
            self._next_try_at = self._clock.monotonic() + CANARY_SECONDS
