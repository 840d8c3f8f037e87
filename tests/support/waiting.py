"""Waiting for a condition with a bound, for tests that watch real threads, sockets and processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, timeout: float, what: str, interval: float = 0.02) -> T:
    """Asks `condition` until it answers with something true, and returns that answer.

    `timeout` and `interval` in seconds. A condition may `assert`: a failed assertion counts as "not yet". At the bound
    an AssertionError names `what` and the last answer; anything else that the condition raises passes through at once.
    """
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while True:
        failed: AssertionError | None = None
        answer: object
        try:
            answer = result = condition()
            if result:
                return result
        except AssertionError as error:
            answer, failed = error, error
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}; last seen: {answer!r}") from failed
        pause.wait(interval)
