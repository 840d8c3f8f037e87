"""The informer's part for one daemon process: lists and watches the pods of its node, as far as the world lets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.explorer.process import Process


class PodWatch:
    """Feeds the process's cache. Events come in order and each at least once, as the API server guarantees."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._model = process.world.api_model
        self._selector = f"spec.nodeName={process.node}"
        self._version = -1
        self._undelivered: list[dict[str, Any]] = []
        self.dead_until = float("-inf")
        """Monotonic: a watch that nobody has noticed to be dead."""
        self.is_doubling = False
        """Whether each event comes twice, as after a watch that was begun anew."""

    def deliver(self, most: int = 1_000_000) -> int:
        """Gives the cache up to so many events; returns how many it gave."""
        world, cache = self._process.world, self._process.daemon.cache
        if world.api_is_down or world.clock.monotonic() < max(self.dead_until, self._process.api_is_out_of_reach_until):
            return 0
        if self._version < 0:
            self._list()
            return 1
        if not self._undelivered:
            version = self._model.version
            if version == self._version:
                cache.mark_fresh()
                return 0
            events = self._model.events_after("pods", self._version, field_selector=self._selector)
            if events and events[0]["type"] == "ERROR":
                self._list()
                return 1
            self._undelivered, self._version = events, version
        given, self._undelivered = self._undelivered[:most], self._undelivered[most:]
        for event in given:
            for _ in range(2 if self.is_doubling else 1):
                cache.apply(event["type"], event["object"])
        cache.mark_fresh()
        return len(given)

    def _list(self) -> None:
        """A list, as the official informer hands it on: what is new or changed, and what is there no more."""
        cache = self._process.daemon.cache
        self._undelivered = []
        answer = self._model.handle("GET", "/api/v1/pods", {"fieldSelector": self._selector})
        listed = {pod["metadata"]["uid"] for pod in answer.body["items"]}
        for known in cache.all():
            if known["metadata"]["uid"] not in listed:
                cache.apply("DELETED", dict(known))
        for pod in answer.body["items"]:
            cache.apply("ADDED", pod)
        self._version = int(answer.body["metadata"]["resourceVersion"])
        cache.mark_fresh()
        cache.has_synced.set()
