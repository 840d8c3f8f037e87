"""Holds the pods of this node as the API server last showed them, by UID.

Guarantees: a pod that was deleted and made again under its name is two pods here; a pod that we have just written is
read back as written, even before the informer shows it. `apply` has one caller at a time (the informer's thread);
everything else may be called from any thread.

The objects are handed out as they are, not copied: whoever reads them must not change them.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from virtual_kubelet_salad.runtime.clock import Clock

Pod = dict[str, Any]
OnChange = Callable[[str, "Pod | None", "Pod | None"], None]

# The informer shows a write within milliseconds; when it has not after this long, it is behind or the write was undone,
# and its view is the better one.
WRITTEN_VALID_SECONDS = 30.0

# The largest parts of a pod's metadata, read by nobody here. The second one repeats the whole manifest, environment
# values included.
_UNREAD_METADATA = "managedFields"
_UNREAD_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Written:
    """The answer to one of our own writes, and when it came (monotonic seconds)."""

    pod: Pod
    at: float


class PodCache:
    """The pods of this node. `on_change(uid, old, new)` is called outside the lock, in the order of `apply`, by the
    thread that called `apply`.
    """

    def __init__(self, clock: Clock, on_change: OnChange | None = None) -> None:
        self.on_change = on_change
        self.has_synced = threading.Event()
        self._clock = clock
        self._lock = threading.Lock()
        self._pods: dict[str, Pod] = {}
        self._written: dict[str, _Written] = {}
        self._uid_by_name: dict[tuple[str, str], str] = {}
        self._last_fresh: float | None = None

    # -- the informer's side ------------------------------------------------------------------------------------------

    def apply(self, kind: str, pod: Pod) -> None:
        """Take over one event; `kind` is ADDED, MODIFIED or DELETED. The caller must not change the pod any more."""
        identity = _identity(pod)
        if identity is None:
            logger.warning("event ignored, it carries no pod kind=%s", kind)
            return
        uid, name = identity
        with self._lock:
            old = self._visible(uid)
            if kind == "DELETED":
                self._pods.pop(uid, None)
                self._written.pop(uid, None)
                if self._uid_by_name.get(name) == uid:
                    del self._uid_by_name[name]
                if old is None:
                    return
            else:
                if _is_same_version(self._pods.get(uid), pod):
                    return  # a relist repeats every pod; only changes are news
                self._pods[uid] = without_unread_fields(pod)
                self._uid_by_name[name] = uid
                self._drop_overtaken_write(uid)
            new = self._visible(uid)
        if self.on_change is not None:
            self.on_change(uid, old, new)

    def mark_fresh(self) -> None:
        """The API server was heard just now: a list, an event, a bookmark, or a watch that ended in order."""
        with self._lock:
            self._last_fresh = self._clock.monotonic()

    # -- the workers' side --------------------------------------------------------------------------------------------

    def note_written(self, pod: Pod) -> None:
        """Show the answer to our own write until the informer shows it or a later version, for at most
        WRITTEN_VALID_SECONDS.

        Ignored when the pod is not in the cache (any more), or when something newer is known.
        """
        identity = _identity(pod)
        version = _version(pod)
        if identity is None or version is None:
            return
        uid = identity[0]
        with self._lock:
            visible = self._visible(uid)
            if visible is None:
                return
            seen = _version(visible)
            if seen is not None and version > seen:
                self._written[uid] = _Written(without_unread_fields(pod), self._clock.monotonic())

    def get(self, uid: str) -> Pod | None:
        """The pod of this UID, None when the API server does not have it (as far as the informer knows)."""
        with self._lock:
            return self._visible(uid)

    def by_name(self, namespace: str, name: str) -> Pod | None:
        """The pod that bears this name now."""
        with self._lock:
            uid = self._uid_by_name.get((namespace, name))
            return self._visible(uid) if uid is not None else None

    def all(self) -> list[Pod]:
        """Every pod of the node, in no order."""
        with self._lock:
            visible = [self._visible(uid) for uid in self._pods]
        return [pod for pod in visible if pod is not None]

    def __len__(self) -> int:
        with self._lock:
            return len(self._pods)

    @property
    def last_fresh(self) -> float | None:
        """Monotonic seconds of the last sign of the API server; None before the first."""
        with self._lock:
            return self._last_fresh

    def age_seconds(self) -> float:
        """Seconds since the last sign of the API server; infinite before the first. At rest it grows to a watch's
        length between two of them.
        """
        last_fresh = self.last_fresh
        return math.inf if last_fresh is None else self._clock.monotonic() - last_fresh

    # -- with the lock held -------------------------------------------------------------------------------------------

    def _visible(self, uid: str) -> Pod | None:
        pod = self._pods.get(uid)
        written = self._written.get(uid)
        if pod is None or written is None:
            return pod
        if self._clock.monotonic() - written.at > WRITTEN_VALID_SECONDS:
            del self._written[uid]
            return pod
        return written.pod

    def _drop_overtaken_write(self, uid: str) -> None:
        written = self._written.get(uid)
        if written is None:
            return
        ours, shown = _version(written.pod), _version(self._pods[uid])
        if ours is None or shown is None or shown >= ours:
            del self._written[uid]


def without_unread_fields(pod: Pod) -> Pod:
    """The pod without the metadata that nobody here reads; the given object is left alone, and returned as it is when
    there is nothing to drop.
    """
    metadata = pod["metadata"]
    annotations = metadata.get("annotations") or {}
    if _UNREAD_METADATA not in metadata and _UNREAD_ANNOTATION not in annotations:
        return pod
    kept = {key: value for key, value in metadata.items() if key != _UNREAD_METADATA}
    if _UNREAD_ANNOTATION in annotations:
        kept["annotations"] = {key: value for key, value in annotations.items() if key != _UNREAD_ANNOTATION}
    return {**pod, "metadata": kept}


def uid_of(pod: object) -> str | None:
    """The UID of anything that may be a pod; None when it is none that can be kept."""
    identity = _identity(pod)
    return identity[0] if identity is not None else None


def _identity(pod: object) -> tuple[str, tuple[str, str]] | None:
    metadata = pod.get("metadata") if isinstance(pod, dict) else None
    if not isinstance(metadata, dict):
        return None
    uid, namespace, name = metadata.get("uid"), metadata.get("namespace"), metadata.get("name")
    if not (isinstance(uid, str) and uid and isinstance(namespace, str) and isinstance(name, str)):
        return None
    if not isinstance(metadata.get("annotations"), dict | None):
        return None
    return uid, (namespace, name)


def _is_same_version(known: Pod | None, pod: Pod) -> bool:
    version = pod["metadata"].get("resourceVersion")
    return known is not None and version is not None and known["metadata"].get("resourceVersion") == version


def _version(pod: Pod) -> int | None:
    """resourceVersion as a number, so that two can be ordered; None when it is none."""
    version = pod["metadata"].get("resourceVersion")
    return int(version) if isinstance(version, str) and version.isascii() and version.isdigit() else None
