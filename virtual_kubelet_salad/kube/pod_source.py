"""Answers the official informer's two questions: which pods are there, and what happens from here on.

Here is everything that the official informer lacks: the list is paged, every watch is bounded, every attempt is spaced
and can be called off at once, and whatever the server answers instead of a list or a watch becomes one log line and
another attempt. `PodSource` returns only with what was asked for; it raises only to be stopped, or to have the official
informer list anew.

This module must not postpone the evaluation of annotations: the official Watch reads the return annotation of
`PodSource.__call__`, and only the class `object` itself makes it hand out plain dicts and remember their
resourceVersion.

Runs on the official informer's thread.
"""

import contextlib
import gc
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from kubernetes.client.exceptions import ApiException

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube import resources
from virtual_kubelet_salad.kube.cache import PodCache, uid_of, without_unread_fields
from virtual_kubelet_salad.kube.outcomes import ApiAnswer, body_of
from virtual_kubelet_salad.kube.pacing import Pacing
from virtual_kubelet_salad.kube.transport import Stream
from virtual_kubelet_salad.runtime.clock import Clock

# Watches that broke one after the other without bringing one event: they may be stuck at an event that cannot be read,
# and a new list goes around it.
BROKEN_WATCHES_BEFORE_LIST = 4
# Answers to a watch after which its resourceVersion will never be served: malformed, too old, or newer than everything
# that the server knows (it was restored from a backup).
_NOT_RESUMABLE = frozenset({400, 410, 504})
# The API server writes the type of an event first.
_EVENT_TYPE_BYTES = 40

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """How long things may take, in seconds."""

    # The server ends a quiet watch itself before the read timeout; so a read timeout means that the connection is dead.
    watch: int = 50
    watch_read_timeout: float = 60.0
    # A page of 500 pods takes the server well under a second.
    list_read_timeout: float = 30.0
    # A watch that has lived as long as this was a healthy one.
    healthy_watch: float = 5.0


class StreamTransport(Protocol):
    """What the informer needs of a transport; `transport.OfficialTransport` implements it."""

    def request(self, method: str, path: str, *, query: Mapping[str, str], timeout: float) -> ApiAnswer: ...

    def open_stream(self, path: str, *, query: Mapping[str, str], timeout: float) -> Stream: ...

    def read_answer(self, response: Stream) -> ApiAnswer: ...

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


class Stopping(Exception):
    """Ends a call of the official informer, because we are being stopped."""


class _WatchStream:
    """The response of a watch, as far as the official Watch uses it. It looks out for the event that ends a watch for
    good.

    The official Watch would ask once more for the same version before it gives up, and that would cost a long wait.
    """

    def __init__(self, response: Stream) -> None:
        self.status = response.status
        self.connection = getattr(response, "connection", None)
        self._response = response

    def stream(self, amt: int | None, decode_content: bool) -> Iterator[bytes]:
        """Pieces of the stream as they come; raises ApiException 410 instead of passing on that event."""
        for piece in self._response.stream(amt=amt, decode_content=decode_content):
            if _ends_the_version(piece):
                raise ApiException(status=410, reason="the watch cannot be resumed")
            yield piece

    def close(self) -> None:
        self._response.close()

    def release_conn(self) -> None:
        self._response.release_conn()


def _ends_the_version(piece: bytes) -> bool:
    """Whether it is an ERROR event after which the resourceVersion is of no use; the server sends it alone."""
    if b'"ERROR"' not in piece[:_EVENT_TYPE_BYTES]:
        return False
    try:
        event = json.loads(piece)
    except ValueError:
        return False
    status = event.get("object") if isinstance(event, dict) else None
    return isinstance(status, dict) and status.get("code") in _NOT_RESUMABLE


class PodSource:
    """The `list_func` of the official informer. `wait(seconds)` must return early once `stopping` is set."""

    def __init__(
        self,
        transport: StreamTransport,
        cache: PodCache,
        clock: Clock,
        field_selector: str,
        *,
        page_size: int,
        timing: Timing,
        pacing: Pacing,
        stopping: threading.Event,
        wait: Callable[[float], object],
        observe: Callable[[str, str, str, float], None] = lambda verb, resource, code, seconds: None,
    ) -> None:
        self._observe = observe
        self.thread: threading.Thread | None = None
        self.restarts = 0
        self._transport = transport
        self._cache = cache
        self._clock = clock
        self._field_selector = field_selector
        self._page_size = page_size
        self._timing = timing
        self._pacing = pacing
        self._stopping = stopping
        self._wait = wait
        self._watch_opened: float | None = None
        self._watch_is_broken = False
        self._broken_watches = 0
        self._must_list = False
        self._has_listed = False

    def __call__(self, *, watch: bool = False, resource_version: str = "0", **_unused: Any) -> object:
        """A list (an object with items and metadata.resource_version) or the open response of a watch."""
        self.thread = threading.current_thread()
        self._settle_last_watch()
        return self._watch(resource_version) if watch else self._list()

    def note_event(self) -> None:
        """The watch has brought something."""
        self._broken_watches = 0
        self._cache.mark_fresh()

    def note_error(self, error: object) -> None:
        """The official informer could not go on with a watch; it will ask for another one."""
        if self._stopping.is_set() or self._must_list:
            return
        self._watch_is_broken = True
        self._broken_watches += 1
        self._must_list = self._broken_watches >= BROKEN_WATCHES_BEFORE_LIST
        text = type(error).__name__
        if isinstance(error, ApiException):
            self._must_list = self._must_list or error.status in _NOT_RESUMABLE
            text = f"HTTP {error.status}"
        self._note_failure("watch of pods broke off", errors.CouldNotAsk(text))

    # -- list ----------------------------------------------------------------------------------------------------------

    def _list(self) -> SimpleNamespace:
        if self._must_list:
            self._pacing.list_is_needed()
        while True:
            self._take_turn()
            try:
                pods, version = self._read_pages()
            except errors.Error as error:
                self._note_failure("pods not listed", error)
                continue
            self._pacing.list_succeeded()
            self._must_list = False
            self._broken_watches = 0
            self._has_listed = True
            return SimpleNamespace(items=pods, metadata=SimpleNamespace(resource_version=version))

    def _read_pages(self) -> tuple[list[dict[str, Any]], str]:
        pods: list[dict[str, Any]] = []
        query = {"fieldSelector": self._field_selector, "limit": str(self._page_size)}
        while True:
            with self._observed("list") as outcome:
                answer = self._transport.request(
                    "GET", resources.PODS, query=query, timeout=self._timing.list_read_timeout
                )
                outcome.code = str(answer.status)
            if self._stopping.is_set():
                raise Stopping
            body = body_of(answer, is_write=False)
            metadata, items = body.get("metadata"), body.get("items") or []
            if not (isinstance(metadata, dict) and metadata.get("resourceVersion") and isinstance(items, list)):
                raise errors.CouldNotAsk("the answer is no list of pods")
            page = [without_unread_fields(item) for item in items if uid_of(item) is not None]
            if len(page) < len(items):
                logger.warning("list holds items that are no pods count=%d", len(items) - len(page))
            pods += page
            if not self._cache.has_synced.is_set():
                # The collector of cyclic garbage would walk the growing list again and again, which takes four times as
                # long as the list itself and stalls all threads. Pods hold no cycles; what lives now lives long.
                gc.freeze()
            if not metadata.get("continue"):
                return pods, str(metadata["resourceVersion"])
            query["continue"] = str(metadata["continue"])

    # -- watch ---------------------------------------------------------------------------------------------------------

    def _watch(self, version: str) -> "_WatchStream":
        if self._has_listed:
            # The official informer asks for a watch only after it has handed on everything that was listed.
            self._has_listed = False
            self._cache.mark_fresh()
            self._cache.has_synced.set()
            logger.info("pods listed count=%d", len(self._cache))
        query = {
            "fieldSelector": self._field_selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(self._timing.watch),
        }
        while not self._must_list:
            self._take_turn()
            try:
                return self._open(query)
            except errors.Error as error:
                self._note_failure("pods not watched", error)
        raise ApiException(status=410, reason="a new list is needed")

    def _open(self, query: Mapping[str, str]) -> "_WatchStream":
        with self._observed("watch") as outcome:
            response = self._transport.open_stream(resources.PODS, query=query, timeout=self._timing.watch_read_timeout)
            outcome.code = str(response.status)
        if self._stopping.is_set():
            response.close()
            raise Stopping
        if response.status != 200:
            self._must_list = response.status in _NOT_RESUMABLE
            body_of(self._transport.read_answer(response), is_write=False)
        if response.status != 200 or not response.headers.get("content-type", "").startswith("application/json"):
            response.close()
            raise errors.CouldNotAsk(f"HTTP {response.status} that is no stream of JSON")
        self._watch_opened = self._clock.monotonic()
        return _WatchStream(response)

    def _settle_last_watch(self) -> None:
        """The official informer asks again, so the last watch is over: in order, unless it was reported as broken."""
        if self._watch_opened is None:
            return
        if not self._watch_is_broken:
            self.note_event()
        if self._clock.monotonic() - self._watch_opened >= self._timing.healthy_watch:
            self._pacing.watch_was_healthy(ended_in_order=not self._watch_is_broken)
        self._watch_opened = None
        self._watch_is_broken = False

    # -- both ----------------------------------------------------------------------------------------------------------

    def _take_turn(self) -> None:
        delay = self._pacing.next_delay()
        if delay > 0:
            self._wait(delay)
        if self._stopping.is_set():
            raise Stopping

    @contextlib.contextmanager
    def _observed(self, verb: str) -> Iterator[SimpleNamespace]:
        """Tells of one request, answered or not; the body of the block sets `code`."""
        started, outcome = self._clock.monotonic(), SimpleNamespace(code="none")
        try:
            yield outcome
        finally:
            self._observe(verb, "pods", outcome.code, self._clock.monotonic() - started)

    def _note_failure(self, what: str, error: errors.Error) -> None:
        if self._stopping.is_set():
            return  # we cut the connection ourselves
        self.restarts += 1
        if isinstance(error, errors.CouldNotAsk) and error.retry_after is not None:
            self._pacing.wait_at_least(error.retry_after)
        logger.warning("%s error=%s", what, error)
