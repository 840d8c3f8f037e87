"""An API server that only keeps Events, and a recorder's loop without a thread."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.support.clock import FakeClock
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.events import EventRecorder

POD = {"metadata": {"name": "web", "namespace": "shop", "uid": "u-1"}}
NODE = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "saladcloud-node", "uid": "n-1"}}


class EventApi:
    """Keeps events by namespace and name, and fails when told: before or after the call is applied."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.fail_before: list[errors.Error] = []
        self.fail_after: list[errors.Error] = []
        self.during_call: Callable[[], None] = lambda: None

    def create_event(self, namespace: str, event: dict[str, Any]) -> dict[str, Any]:
        self.calls.append("create")
        self.during_call()
        self._fail(self.fail_before)
        assert event["metadata"]["namespace"] == namespace
        key = (namespace, event["metadata"]["name"])
        if key in self.events:
            raise errors.Conflict("already exists")
        self.events[key] = copy.deepcopy(event)
        self._fail(self.fail_after)
        return event

    def patch_event(self, namespace: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        self.calls.append("patch")
        self._fail(self.fail_before)
        if (namespace, name) not in self.events:
            raise errors.NotFound("no such event")
        self.events[namespace, name].update(patch)
        self._fail(self.fail_after)
        return self.events[namespace, name]

    def _fail(self, failures: list[errors.Error]) -> None:
        if failures:
            raise failures.pop(0)

    @property
    def only(self) -> dict[str, Any]:
        (event,) = self.events.values()
        return event


def pod(number: int) -> dict[str, Any]:
    """One of many pods."""
    return {"metadata": {"name": f"web-{number}", "namespace": "shop", "uid": f"u-{number}"}}


def post_all(recorder: EventRecorder) -> None:
    while recorder.step() == 0.0:
        pass


def run(recorder: EventRecorder, clock: FakeClock, seconds: float) -> None:
    """The recorder's loop for so long."""
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        clock.advance(min(recorder.step(), end - clock.monotonic()))
