"""Follows the pods of one node and keeps the pod cache in step with the API server.

The official `SharedInformer` runs the loop of list and watch, asking `PodSource` for both. Left alone it asks thousands
of times per second while the server is down, never notices a dead connection, and may never stop; with it:

* at most 5 requests in 10 seconds of a failure, whatever its kind;
* a dead connection is noticed within 65 seconds;
* no event is lost, and pods are told apart by UID, also under one name;
* `stop` returns within its time limit, whatever the server does.

One thread, which the official informer owns; its handlers do nothing but `PodCache.apply`.
"""

import logging
import random
import threading
from collections.abc import Callable
from typing import Any

from kubernetes.informer import SharedInformer

from virtual_kubelet_salad.kube.cache import PodCache, uid_of, without_unread_fields
from virtual_kubelet_salad.kube.pacing import Pacing
from virtual_kubelet_salad.kube.pod_source import PodSource, StreamTransport, Timing
from virtual_kubelet_salad.runtime.clock import Clock

THREAD_NAME = "pod-informer"
STOP_TIMEOUT_SECONDS = 2.0
# How often stop() cuts the connections again: one may come up between two cuts.
_CUT_INTERVAL_SECONDS = 0.05

logger = logging.getLogger(__name__)
_official_logger = logging.getLogger("kubernetes.informer.informer")


class PodInformer:
    """Feeds `cache` with the pods bound to `node_name`. `start` and `stop` are called once each.

    The transport belongs to the informer: nobody else may use it, and `stop` closes it. `on_death(name, cause)` is
    called by `ensure_running` when the thread has ended unasked; `cause` is None when it is not known. `observe` is
    told of every list and watch as `ApiServer` tells of its calls.
    """

    def __init__(
        self,
        transport: StreamTransport,
        cache: PodCache,
        clock: Clock,
        node_name: str,
        *,
        page_size: int = 500,
        timing: Timing = Timing(),
        pacing: Pacing | None = None,
        on_death: Callable[[str, BaseException | None], None] | None = None,
        wait: Callable[[float], object] | None = None,
        observe: Callable[[str, str, str, float], None] = lambda verb, resource, code, seconds: None,
    ) -> None:
        self._transport = transport
        self._cache = cache
        self._on_death = on_death
        self._stopping = threading.Event()
        self._cause_of_death: BaseException | None = None
        self._is_death_reported = False
        self._source = PodSource(
            transport,
            cache,
            clock,
            f"spec.nodeName={node_name}",
            page_size=page_size,
            timing=timing,
            pacing=pacing if pacing is not None else Pacing(random.Random()),
            stopping=self._stopping,
            wait=wait if wait is not None else self._stopping.wait,
            observe=observe,
        )
        # The official class is not typed.
        official: Callable[..., Any] = SharedInformer
        self._informer = official(list_func=self._source, key_func=_key)
        for kind in ("ADDED", "MODIFIED", "DELETED"):
            self._informer.add_event_handler(kind, self._handler(kind))
        self._informer.add_event_handler("BOOKMARK", lambda _: self._source.note_event())
        self._informer.add_event_handler("ERROR", self._source.note_error)

    def start(self) -> None:
        """Start the thread and return at once; `synced` tells when the first list is in the cache."""
        _official_logger.addFilter(_is_worth_logging)
        self._informer.start()

    def stop(self, timeout: float = STOP_TIMEOUT_SECONDS) -> bool:
        """Stop within `timeout` seconds. False when the thread still hangs in connecting or in a TLS handshake.

        Such a thread ends by itself when that times out, 5 s after it began, and changes nothing any more.
        """
        self._stopping.set()
        stopper = threading.Thread(target=self._stop_official, name=f"{THREAD_NAME}-stop", daemon=True)
        stopper.start()
        for _ in range(max(1, round(timeout / _CUT_INTERVAL_SECONDS))):
            self._transport.interrupt()
            stopper.join(_CUT_INTERVAL_SECONDS)
            if not stopper.is_alive():
                break
        self._transport.close()
        _official_logger.removeFilter(_is_worth_logging)
        return not stopper.is_alive()

    def ensure_running(self) -> None:
        """Report the death of the thread, once. From any thread, every few seconds."""
        thread = self._source.thread
        if thread is None or thread.is_alive() or self._stopping.is_set() or self._is_death_reported:
            return
        self._is_death_reported = True
        logger.error("thread is dead name=%s cause=%s", THREAD_NAME, type(self._cause_of_death).__name__)
        if self._on_death is not None:
            self._on_death(THREAD_NAME, self._cause_of_death)

    @property
    def synced(self) -> bool:
        """Whether the cache has held the complete list once."""
        return self._cache.has_synced.is_set()

    @property
    def last_fresh(self) -> float | None:
        """Monotonic seconds of the last sign of the API server; None before the first."""
        return self._cache.last_fresh

    @property
    def restarts(self) -> int:
        """How often a list or a watch failed and was begun again; the regular ends of watches do not count."""
        return self._source.restarts

    def _handler(self, kind: str) -> Callable[[dict[str, Any]], None]:
        def handle(pod: dict[str, Any]) -> None:
            if self._stopping.is_set():
                return
            try:
                self._cache.apply(kind, pod)
            except BaseException as error:
                # The official informer would go on without this event; a restart costs less than a lost event.
                logger.exception("event not applied kind=%s", kind)
                self._cause_of_death = error
                raise SystemExit(1) from error
            self._source.note_event()

        return handle

    def _stop_official(self) -> None:
        while True:
            try:
                self._informer.stop()
            except AttributeError:
                continue  # its watch ended between its check and its use; the next call finds none
            return


def _key(pod: dict[str, Any]) -> str:
    """The UID. Asked before the informer keeps the object, so the fields that nobody reads are dropped here."""
    uid = uid_of(pod)
    if uid is None:
        return ""
    pod.update(without_unread_fields(pod))
    return uid


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Of the official informer's log only the unexpected; `PodSource` tells each failure in one line of its own."""
    return record.getMessage().startswith("Exception in informer handler")
