"""Turns SIGTERM and SIGINT into an ordered stop: the first sets an event, the second ends the process with code 1.

The signals are blocked and a thread of its own waits for them, because a handler could run while the main thread holds
the very lock that setting an event needs. Threads that are started inside the `with` block inherit the blocked signals.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType

_log = logging.getLogger(__name__)

_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


class StopSignals:
    """A context in which signals ask for the stop. Enter it on the main thread, before any other thread starts."""

    def __init__(self, exit_at_once: Callable[[int], object] = os._exit) -> None:
        self.stop_requested = threading.Event()
        self._exit_at_once = exit_at_once
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._wait_for_signals, name="signals", daemon=True)
        self._previous_mask: set[int] = set()

    def __enter__(self) -> threading.Event:
        self._previous_mask = {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)}
        self._thread.start()
        return self.stop_requested

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        if self._thread.is_alive() and self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, signal.SIGTERM)  # ends its wait; the signal reaches nobody else
        self._thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._previous_mask)

    def _wait_for_signals(self) -> None:
        while True:
            number = signal.sigwait(_STOP_SIGNALS)
            if self._is_over.is_set():
                return
            if self.stop_requested.is_set():
                _log.warning("stopping at once signal=%s", signal.Signals(number).name)
                logging.shutdown()
                self._exit_at_once(1)
            _log.info("stopping signal=%s", signal.Signals(number).name)
            self.stop_requested.set()
