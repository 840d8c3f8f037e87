"""Owns the daemon's threads: starts them, watches their age, reports the one that dies, joins them all.

Every thread is a loop around a step: `while not stopping: delay = step(); wait(delay)`. A step blocks on nothing but
the call it makes, so a test can run it without any thread. Constructors start nothing; `ThreadGroup.start()` does. A
step that raises ends its thread, and `on_death` hears of it: nothing is restarted or swallowed here, because a daemon
with a missing part is worse than one that is started anew.

Does not interrupt a step: a thread that hangs in a call outlives the stop deadline, is named in the answer of `stop()`,
and ends with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from virtual_kubelet_salad.runtime.clock import Clock


class Stale(NamedTuple):
    """A loop that is late:

    its step runs, or should have begun, for `age` seconds, and `bound` is the most it published.
    """

    name: str
    age: float
    bound: float


class Loop:
    """One thread's work.

    `step` returns the seconds until the next step; None or 0 means at once. `bound_seconds` is the longest that a step
    may take or be overdue before the health page says so. `wait(seconds)` replaces the wait between steps (it may
    return early) and `wake()` ends such a wait; without them the loop waits on an event of its own. A `wait` without a
    `wake` must return within the stop deadline by itself.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], float | None],
        *,
        bound_seconds: float,
        wait: Callable[[float], None] | None = None,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.bound_seconds = bound_seconds
        self.step = step
        self._wait = wait if wait is not None else self._wait_for_event
        self._custom_wake = wake
        self._woken = threading.Event()
        # Written by the loop's thread alone (and once before it starts), each a single value, so readers need no lock.
        self._last_finished: float | None = None
        # When the step that now runs began, or when the next one is planned to begin: whichever the loop is at.
        self._expected_since: float | None = None

    @property
    def last_finished(self) -> float | None:
        """Monotonic time at which a step last returned; None before the first."""
        return self._last_finished

    def age(self, now: float) -> float:
        """For how many seconds the present step has been running or overdue; 0.0 while the loop rightly waits or is not
        started.
        """
        return 0.0 if self._expected_since is None else max(0.0, now - self._expected_since)

    def is_stale(self, now: float) -> bool:
        """Whether a step runs, or is overdue, for longer than the loop's bound."""
        return self.age(now) > self.bound_seconds

    def wake(self) -> None:
        """Let the next step begin now.

        A wake during a step is kept for the wait that follows it (unless the loop brought its own wait).
        """
        self._woken.set()
        if self._custom_wake is not None:
            self._custom_wake()

    def expect_from(self, now: float) -> None:
        """Begin to count the age. Called by the owner just before the thread starts."""
        self._expected_since = now

    def run(self, stopping: threading.Event, clock: Clock) -> None:
        """Step and wait until `stopping` is set. Passes on whatever the step raises."""
        while not stopping.is_set():
            self._expected_since = clock.monotonic()
            delay = self.step() or 0.0
            finished = clock.monotonic()
            self._last_finished = finished
            self._expected_since = finished + delay
            if delay > 0 and not stopping.is_set():
                self._wait(delay)

    def _wait_for_event(self, seconds: float) -> None:
        self._woken.wait(seconds)
        self._woken.clear()


class ThreadGroup:
    """A set of loops that live and stop together.

    `on_death(name, exception)` is called on the dying thread, once for each that dies.
    """

    def __init__(self, clock: Clock, on_death: Callable[[str, BaseException], None]) -> None:
        self._clock = clock
        self._on_death = on_death
        self._stopping = threading.Event()
        self._loops: list[Loop] = []
        self._threads: list[threading.Thread] = []

    def add(self, loop: Loop) -> None:
        """Add a loop. Only before start(): a group is complete or not at all. ValueError for a name that is taken."""
        if self._threads:
            raise RuntimeError("the group has been started")
        if any(loop.name == other.name for other in self._loops):
            raise ValueError(f"two loops are named {loop.name}")
        self._loops.append(loop)

    def start(self) -> None:
        """Start one thread for each loop. Only once."""
        if self._threads:
            raise RuntimeError("the group has been started")
        # Daemon threads, although each is joined: one that hangs in a call past the stop deadline must not keep the
        # process from ending.
        self._threads = [
            threading.Thread(target=self._guard, args=(loop,), name=loop.name, daemon=True) for loop in self._loops
        ]
        for loop, thread in zip(self._loops, self._threads):
            loop.expect_from(self._clock.monotonic())
            thread.start()

    def stop(self, deadline_seconds: float) -> list[str]:
        """Let every loop finish its present step, and join all within one common deadline.

        Returns the names that still run. May be called again.
        """
        self._stopping.set()
        for loop in self._loops:
            loop.wake()
        deadline = self._clock.monotonic() + deadline_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        return [thread.name for thread in self._threads if thread.is_alive()]

    def stale(self, now: float) -> list[Stale]:
        """The loops that are late at the monotonic time `now`; empty when all is well."""
        late = [loop for loop in self._loops if loop.is_stale(now)]
        return [Stale(loop.name, loop.age(now), loop.bound_seconds) for loop in late]

    def ages(self) -> dict[str, float]:
        """Seconds since each loop last finished a step; loops without a finished step are left out."""
        now = self._clock.monotonic()
        finished = {loop.name: loop.last_finished for loop in self._loops}
        return {name: now - at for name, at in finished.items() if at is not None}

    def _guard(self, loop: Loop) -> None:
        try:
            loop.run(self._stopping, self._clock)
        except BaseException as error:  # The thread guard; a SystemExit would otherwise end the thread without a word.
            self._on_death(loop.name, error)
