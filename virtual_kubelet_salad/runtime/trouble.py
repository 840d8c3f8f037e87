"""Tells the log about something that goes on failing, without a line for each failure.

One line when it begins, one for each further kind of failure (a few at most), one every five minutes while it lasts,
and one when it is over. Each instance belongs to one thread.
"""

from __future__ import annotations

import logging

from virtual_kubelet_salad.runtime.clock import Clock

REMINDER_SECONDS = 300.0
# Beyond these the kinds are no news any more: a text may be another one at each failure.
MOST_KINDS = 5


class Trouble:
    """One thing that can fail again and again; `what` begins each line, e.g. "container groups not listed"."""

    def __init__(self, clock: Clock, logger: logging.Logger, what: str) -> None:
        self._clock = clock
        self._logger = logger
        self._what = what
        self._kinds: set[str] = set()
        self._count = 0
        self._began_at = self._told_at = 0.0

    def failed(self, reason: object) -> None:
        """It failed (again); the text of `reason` tells its kind."""
        kind, now = str(reason), self._clock.monotonic()
        self._count += 1
        is_new = kind not in self._kinds and len(self._kinds) < MOST_KINDS
        if self._count == 1:
            self._began_at = now
            self._logger.warning("%s reason=%s", self._what, kind)
        elif is_new or now - self._told_at >= REMINDER_SECONDS:
            seconds = now - self._began_at
            self._logger.warning("%s, still reason=%s times=%d seconds=%.0f", self._what, kind, self._count, seconds)
        else:
            return
        self._kinds.add(kind)
        self._told_at = now

    def over(self) -> None:
        """It has worked; news only after a failure."""
        if self._count:
            seconds = self._clock.monotonic() - self._began_at
            self._logger.info("over: %s times=%d seconds=%.0f", self._what, self._count, seconds)
            self._count = 0
            self._kinds.clear()
