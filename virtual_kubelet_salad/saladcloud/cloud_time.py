"""What time it is at SaladCloud, by the `Date` of its answers.

Events and instances carry SaladCloud's times; a machine whose clock is wrong by more than the seconds that their
comparison allows would take an old event for a new one. So where our clock and SaladCloud's differ clearly, theirs is
used for what is theirs. Two answers must agree: the page of some proxy may be an old one. Safe to call from any thread.
"""

from __future__ import annotations

import datetime
import logging
import threading

from virtual_kubelet_salad.runtime.clock import Clock

log = logging.getLogger(__name__)

# `Date` has whole seconds and the answer was some time on its way; below this our own clock is as good.
CLEAR_SECONDS = 3.0
# The date of an answer that took longer tells too little.
QUICK_SECONDS = 2.0
# Two answers that agree within this show the same difference.
AGREEMENT_SECONDS = 2.0


class CloudTime:
    """A `runtime.clock.Clock`: ours, with the wall time corrected by the difference to SaladCloud's where there is
    one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._difference_seconds = 0.0
        # What the answer before the latest said, if it was something else than `_difference_seconds`.
        self._candidate_seconds: float | None = None

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def now(self) -> datetime.datetime:
        """The wall time, aware, in UTC."""
        with self._lock:
            return self._clock.now() + datetime.timedelta(seconds=self._difference_seconds)

    def heard(self, date: datetime.datetime | None, seconds: float) -> None:
        """An answer that took so many seconds bore this date (None: none that can be read)."""
        if date is None or seconds > QUICK_SECONDS:
            return
        # The date was cut to its second: it is half a second more on average.
        seen = (date - self._clock.now()).total_seconds() + 0.5
        with self._lock:
            if abs(seen - self._difference_seconds) < CLEAR_SECONDS:
                self._candidate_seconds = None
                return
            candidate, self._candidate_seconds = self._candidate_seconds, seen
            if candidate is None or abs(seen - candidate) > AGREEMENT_SECONDS:
                return
            self._difference_seconds = seen if abs(seen) >= CLEAR_SECONDS else 0.0
            self._candidate_seconds = None
        log.warning("our clock and SaladCloud's differ, its own is used for its events seconds=%.0f", seen)
