"""Watches the API server as a user would, and notes when what happened: the bench's stopwatch.

Each watch is one thread that the owner starts and stops. Times are monotonic seconds of this process, at the arrival of
the event.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

PODS = "/api/v1/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_WATCH_SECONDS = 3_600
# How often a watch that is to end is cut again: its connection may come up between two cuts.
_CUT_SECONDS = 0.1


class Watch:
    """Hands every event of one resource to `note(kind, object, time)`, on its own thread. What is there already comes
    as ADDED, again whenever the server has ended the watch."""

    def __init__(self, url: str, path: str, note: Callable[[str, dict[str, Any], float], None]) -> None:
        parts = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
        self._path = f"{path}?watch=true&resourceVersion=0&timeoutSeconds={_WATCH_SECONDS}"
        self._note = note
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {path}")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The server must still be there."""
        self._stopping.set()
        while self._thread.is_alive():
            if self._connection.sock is not None:
                with contextlib.suppress(OSError):  # the server was faster
                    self._connection.sock.shutdown(socket.SHUT_RDWR)
            self._thread.join(_CUT_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._connection.request("GET", self._path)
                with self._connection.getresponse() as response:
                    for line in response:
                        event = json.loads(line)
                        self._note(event["type"], event["object"], time.monotonic())
            except (OSError, ValueError, http.client.HTTPException):
                if not self._stopping.is_set():
                    raise
            finally:
                self._connection.close()


class PodTimes:
    """When each pod was first seen Running, Ready and gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._ready: dict[str, float] = {}
        self._gone: dict[str, float] = {}
        self._changes: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        self._latest: dict[str, dict[str, Any]] = {}

    def note(self, kind: str, pod: dict[str, Any], moment: float) -> None:
        if kind not in ("ADDED", "MODIFIED", "DELETED"):
            return
        name = pod["metadata"]["name"]
        with self._lock:
            if kind == "DELETED":
                self._gone.setdefault(name, moment)
                self._latest.pop(name, None)
                return
            self._latest[name] = pod
            if (pod.get("status") or {}).get("phase") == "Running":
                self._running.setdefault(name, moment)
            if is_ready(pod):
                self._ready.setdefault(name, moment)
            if name in self._changes:
                self._changes[name].append((moment, pod))

    def running(self) -> list[float]:
        with self._lock:
            return sorted(self._running.values())

    def ready(self) -> list[float]:
        with self._lock:
            return sorted(self._ready.values())

    def gone(self) -> list[float]:
        with self._lock:
            return sorted(self._gone.values())

    def latest(self) -> dict[str, dict[str, Any]]:
        """The present pods by name."""
        with self._lock:
            return dict(self._latest)

    def ready_now(self) -> int:
        return sum(map(is_ready, self.latest().values()))

    def follow(self, name: str) -> None:
        """Keep what this pod becomes from now on."""
        with self._lock:
            self._changes.setdefault(name, [])

    def first_change(self, name: str, after: float, is_wanted: Callable[[dict[str, Any]], bool]) -> float | None:
        """When a followed pod first looked as wanted, after a time; None: not yet."""
        with self._lock:
            seen = self._changes.get(name, [])
            return next((moment for moment, pod in seen if moment >= after and is_wanted(pod)), None)


class RenewalTimes:
    """When a node's lease was renewed."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._last_renewal = ""
        self._times: list[float] = []

    def note(self, kind: str, lease: dict[str, Any], moment: float) -> None:
        if kind not in ("ADDED", "MODIFIED") or lease["metadata"]["name"] != self._node:
            return
        renewal = str(lease["spec"].get("renewTime", ""))
        with self._lock:
            if renewal != self._last_renewal:
                self._last_renewal = renewal
                self._times.append(moment)

    def longest_gap(self, since: float, until: float) -> float | None:
        """The longest time without a renewal between two moments, both ends counted; None: not one renewal before."""
        with self._lock:
            before = [moment for moment in self._times if moment <= since]
            within = [moment for moment in self._times if since < moment <= until]
        if not before:
            return None
        moments = [before[-1], *within, until]
        return max(later - earlier for earlier, later in zip(moments, moments[1:]))


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
