"""A daemon that is killed again and again: the simulator's books are told when it is away, when it starts, and when it
could act, so that what a container cost while nobody could have stopped it is counted apart.
"""

from __future__ import annotations

import threading
import time
import types
from typing import Self

from tests.support.cloud_process import Cloud
from tests.support.daemon_process import DaemonProcess

LOOK_SECONDS = 0.1
STOP_SECONDS = 30.0


class Mortal:
    """A context manager: while it lasts, a thread looks whether the daemon that was started is ready. `start` and
    `kill` are called from the thread that is to own the process.
    """

    def __init__(self, daemon: DaemonProcess, cloud: Cloud) -> None:
        self._daemon = daemon
        self._cloud = cloud
        self._lock = threading.Lock()
        self._started_at: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mortal")
        self.kills = 0
        self.starts: list[float] = []
        """Seconds from the begin of a process until it was ready."""
        self.cut_starts: list[float] = []
        """Seconds of those that were killed before."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(STOP_SECONDS)
        assert not self._thread.is_alive(), "nobody looks any more whether the daemon is ready"

    def start(self) -> None:
        """Returns at once."""
        with self._lock:
            # Before the books are told, so that no start is longer there than here.
            self._started_at = time.monotonic()
            self._cloud.control("daemon_is", doing="starting")
            self._daemon.start()

    def kill(self) -> None:
        """`kill -9`."""
        with self._lock:
            self._daemon.kill()
            self._cloud.control("daemon_is", doing="away")
            if self._started_at is not None:
                self.cut_starts.append(time.monotonic() - self._started_at)
                self._started_at = None
            self.kills += 1

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            with self._lock:
                if self._started_at is not None and self._is_ready():
                    self._cloud.control("daemon_is", doing="working")
                    self.starts.append(time.monotonic() - self._started_at)
                    self._started_at = None

    def _is_ready(self) -> bool:
        try:
            return self._daemon.get("/readyz").status == 200
        except AssertionError:
            return False  # it does not serve yet
