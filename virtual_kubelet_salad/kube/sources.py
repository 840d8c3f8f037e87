"""Reads Secrets and ConfigMaps by name, each only once for all who ask at the same time.

Guarantees: a read serves only a caller whose `not_before` is not later than the read's start, so nobody is served from
before it knew that it would ask. Nothing is kept once a read has ended: no cache, no copy of a Secret.
Does not retry. Callers of one read share its answer, which is read-only. Runs on the callers' threads: the first one
reads, the others wait for it, which is bounded by the timeout of the call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from virtual_kubelet_salad.runtime.clock import Clock

Object = dict[str, Any]


class Api(Protocol):
    """What is needed of `kube.client.ApiServer`."""

    def get_secret(self, namespace: str, name: str) -> Object: ...

    def get_config_map(self, namespace: str, name: str) -> Object: ...


class _Key(NamedTuple):
    kind: str
    namespace: str
    name: str


class _Read(NamedTuple):
    """A read that is under way."""

    started: float
    answer: Future[Object]


class Sources:
    """`not_before` is monotonic time. Both methods raise NotFound, Forbidden, CouldNotAsk as the API client does."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._lock = threading.Lock()
        # The latest read of each object that is under way. An earlier one may still be: it has its own callers.
        self._reads: dict[_Key, _Read] = {}

    def secret(self, namespace: str, name: str, *, not_before: float) -> Object:
        """The Secret as the API server sends it; its values are still base64."""
        return self._read(_Key("Secret", namespace, name), self._api.get_secret, not_before)

    def config_map(self, namespace: str, name: str, *, not_before: float) -> Object:
        """The ConfigMap as the API server sends it."""
        return self._read(_Key("ConfigMap", namespace, name), self._api.get_config_map, not_before)

    def _read(self, key: _Key, ask: Callable[[str, str], Object], not_before: float) -> Object:
        with self._lock:
            read = self._reads.get(key)
            joins = read is not None and read.started >= not_before
            if read is None or not joins:
                read = self._reads[key] = _Read(self._clock.monotonic(), Future())
        if not joins:
            self._ask(key, ask, read)
        return read.answer.result()

    def _ask(self, key: _Key, ask: Callable[[str, str], Object], read: _Read) -> None:
        try:
            answer = ask(key.namespace, key.name)
        except BaseException as error:  # Passed on to this caller and to all who wait: they must hear how it ended.
            self._end(key, read)
            read.answer.set_exception(error)
        else:
            self._end(key, read)
            read.answer.set_result(answer)

    def _end(self, key: _Key, read: _Read) -> None:
        with self._lock:
            if self._reads.get(key) is read:
                del self._reads[key]
