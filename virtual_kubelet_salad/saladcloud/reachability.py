"""Whether SaladCloud answers: told by whoever asks it regularly. Safe to call from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, Unauthorized, UnknownPlace
from virtual_kubelet_salad.kubelet.provider import Reachability
from virtual_kubelet_salad.runtime.clock import Clock

ANSWERS = "SaladCloudAnswers"
NOT_ASKED = "NotAskedYet"
NO_ANSWER = "SaladCloudUnreachable"
KEY_REFUSED = "ApiKeyRefused"
UNKNOWN_PLACE = "ProjectNotFound"


class Watch:
    """Keeps the time since which the present state holds. It starts as reachable: nothing has failed yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.on_recovery: Callable[[], None] = lambda: None
        """Called when SaladCloud answers again, on the thread that asked."""
        self._now = Reachability(True, clock.monotonic(), NOT_ASKED, "SaladCloud has not been asked yet")

    def succeeded(self) -> None:
        """SaladCloud has answered."""
        was_reachable = self.now().is_reachable
        self._set(True, ANSWERS, "SaladCloud answers")
        if not was_reachable:
            self.on_recovery()

    def failed(self, error: CouldNotAsk) -> None:
        """There was no answer to believe. A request that was never sent for want of budget says nothing."""
        if not isinstance(error, NoBudget):
            self._set(False, _reason(error), str(error))

    def now(self) -> Reachability:
        with self._lock:
            return self._now

    def _set(self, is_reachable: bool, reason: str, message: str) -> None:
        with self._lock:
            since = self._now.since if self._now.is_reachable == is_reachable else self._clock.monotonic()
            self._now = Reachability(is_reachable, since, reason, message)


def _reason(error: CouldNotAsk) -> str:
    if isinstance(error, Unauthorized):
        return KEY_REFUSED
    return UNKNOWN_PLACE if isinstance(error, UnknownPlace) else NO_ANSWER
