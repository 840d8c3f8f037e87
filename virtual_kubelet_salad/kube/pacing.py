"""Decides how long to wait before the next attempt to list or watch, so that a broken server is never hammered.

After a failure the waits grow 0.5, 1.5, 4.5, 13.5, 30, 30 … seconds, each shortened by up to a quarter at random, so
that many clients do not return at the same moment. A list is always followed by its watch at once: between the two,
changes go unseen. In return a second list in a row waits long. For every way to fail that is at most 5 requests in 10
seconds. Only a watch that has lived for a while proves that all is well again: a server may answer every list and end
every watch at once.

Pure state; used by one thread.
"""

from __future__ import annotations

import random

FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 30.0
_FACTOR = 3.0
_LEAST_SHARE = 0.75
# Lists since the last healthy watch, from which on attempts are far apart.
_MANY_LISTS = 2
_STEPS_BEFORE_NEXT_OF_MANY_LISTS = 3
# A server that asks for more gets an early question; it would otherwise leave us blind.
_MAX_ASKED_SECONDS = 60.0


class Pacing:
    """Waits for one sequence of attempts; the first attempt waits for nothing."""

    def __init__(
        self,
        jitter: random.Random,
        *,
        first_delay: float = FIRST_DELAY_SECONDS,
        max_delay: float = MAX_DELAY_SECONDS,
    ) -> None:
        self._jitter = jitter
        self._first_delay = first_delay
        self._max_delay = max_delay
        self._delay = 0.0
        self._asked = 0.0
        self._lists = 0
        self._has_just_listed = False

    def next_delay(self) -> float:
        """Seconds to wait before the attempt that is now due."""
        if self._has_just_listed:
            self._has_just_listed = False
            return 0.0
        delay = max(self._delay * self._jitter.uniform(_LEAST_SHARE, 1.0), self._asked)
        self._asked = 0.0
        self._delay = min(max(self._first_delay, self._delay * _FACTOR), self._max_delay)
        return delay

    def list_succeeded(self) -> None:
        """The watch after it need not wait."""
        self._has_just_listed = True
        self._lists += 1
        if self._lists >= _MANY_LISTS:
            long_delay = self._first_delay * _FACTOR**_STEPS_BEFORE_NEXT_OF_MANY_LISTS
            self._delay = min(max(self._delay, long_delay), self._max_delay)

    def list_is_needed(self) -> None:
        """The server is there, but cannot resume the watch: the first list since a healthy watch need not wait."""
        if self._lists == 0:
            self._delay = 0.0

    def watch_was_healthy(self, *, ended_in_order: bool) -> None:
        """A watch has lived long enough. After a regular end the next one begins at once."""
        self._delay = 0.0 if ended_in_order else self._first_delay
        self._lists = 0

    def wait_at_least(self, seconds: float) -> None:
        """The server asked for a pause before the next attempt."""
        self._asked = min(seconds, _MAX_ASKED_SECONDS)
