"""One watch as a stream of JSON lines: first events, changes, bookmarks, and an end at its deadline.

Runs on the connection's own thread; it holds the face's lock only while it looks for events, never while it writes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.api_errors import ApiError, Json
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.api_resources import ResourceType

# A real server ends a watch without timeoutSeconds after 30 to 60 minutes.
_DEFAULT_TIMEOUT_SECONDS = 1800.0
_BOOKMARK_BEFORE_END_SECONDS = 2.0
# A client that hangs up sends nothing more, so nobody would notice it in a quiet watch.
_LOOK_AFTER_CLIENT_SECONDS = 0.5


class WatchHost(Protocol):
    """What a watch needs of the server it runs in."""

    condition: threading.Condition
    model: ApiServerModel
    clock: Clock
    bookmark_interval_seconds: float

    def must_end(self, generation: int) -> bool:
        """Whether watches of this generation are to end now; asked with the lock held."""
        ...

    def watch_generation(self) -> int:
        """A number that grows when all present watches are to end."""
        ...


def encode_event(event: Json) -> bytes:
    """One line of the stream."""
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def error_event(error: ApiError) -> Json:
    """The event that tells a watcher of an error in an accepted watch."""
    return {"type": "ERROR", "object": error.status()}


def _bookmark(resource: ResourceType, version: int, *, ends_initial_events: bool = False) -> Json:
    metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    if ends_initial_events:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    item: Json = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    if resource.plural == "pods":
        item.update(spec={"containers": None}, status={})
    return {"type": "BOOKMARK", "object": item}


def _timeout(query: Mapping[str, str]) -> float:
    text = query.get("timeoutSeconds", "")
    return float(text) if text.isdigit() and int(text) > 0 else _DEFAULT_TIMEOUT_SECONDS


def run_watch(
    host: WatchHost,
    path: str,
    query: Mapping[str, str],
    send: Callable[[list[bytes]], None],
    shape: Callable[[Json], Json],
    is_client_gone: Callable[[], bool],
) -> None:
    """Send events until the deadline, an error event, or the server's end. OSError when the client has gone.

    `shape` turns each event into the form the client asked for (the object itself, or a table row).
    """
    clock, model = host.clock, host.model
    with host.condition:
        generation = host.watch_generation()
        try:
            start = model.watch_start(path, query)
        except ApiError as error:
            if error.code != 410:
                raise
            # As a real server does: the watch is accepted, and its only event says that the version is too old.
            start, expired = None, error_event(error)
    if start is None:
        send([encode_event(expired)])
        return
    wants_bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
    first = [encode_event(shape(event)) for event in start.first_events]
    if wants_bookmarks and query.get("sendInitialEvents") == "true":
        first.append(encode_event(shape(_bookmark(start.resource, start.version, ends_initial_events=True))))
    send(first)
    version = start.version
    end = clock.monotonic() + _timeout(query)

    def next_bookmark() -> float:
        now, last = clock.monotonic(), end - _BOOKMARK_BEFORE_END_SECONDS
        return min(now + host.bookmark_interval_seconds, last if last > now else end) if wants_bookmarks else end

    bookmark_due = next_bookmark()
    while True:
        with host.condition:
            while True:
                try:
                    events, version = model.watch_events(start.resource, start.matcher, version)
                except ApiError as error:
                    events, is_over = [error_event(error)], True
                    break
                now = clock.monotonic()
                is_over = host.must_end(generation) or now >= end
                if events or is_over or now >= bookmark_due:
                    break
                host.condition.wait(min(end - now, bookmark_due - now, _LOOK_AFTER_CLIENT_SECONDS))
                if is_client_gone():
                    return
        lines = [encode_event(shape(event)) for event in events]
        if not is_over and now >= bookmark_due:
            lines.append(encode_event(shape(_bookmark(start.resource, version))))
            bookmark_due = next_bookmark()
        send(lines)
        if is_over:
            return
