"""What an Event looks like to the API server: its identity, its body and the limits of its texts. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

Object = dict[str, Any]

# The API server's own limits.
MAX_MESSAGE_BYTES = 1024
MAX_REASON_CHARACTERS = 128
MAX_NAME_CHARACTERS = 253

# Where Events about objects without a namespace live.
CLUSTER_NAMESPACE = "default"


class Key(NamedTuple):
    """Events that agree in all of this are one event that happened several times."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str

    @property
    def event_namespace(self) -> str:
        return self.namespace or CLUSTER_NAMESPACE


def key_of(regarding: Mapping[str, Any], type: str, reason: str, message: str) -> Key:
    """The identity of an event about an object as the API server sends it; texts are clipped to the limits."""
    metadata = regarding.get("metadata") or {}
    return Key(
        api_version=str(regarding.get("apiVersion") or "v1"),
        kind=str(regarding.get("kind") or "Pod"),  # Items of a list come without their kind.
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        type=type,
        reason=reason[:MAX_REASON_CHARACTERS],
        message=_clipped(message),
    )


def name_of(key: Key, nanoseconds: int) -> str:
    """As client-go names them: the object's name and a time."""
    suffix = f".{nanoseconds:x}"
    return key.name[: MAX_NAME_CHARACTERS - len(suffix)].rstrip(".-") + suffix


def body(
    key: Key,
    name: str,
    *,
    component: str,
    host: str,
    first: datetime.datetime,
    last: datetime.datetime,
    count: int,
) -> Object:
    """The Event to be created; `component` and `host` tell who reports."""
    regarding = {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "uid": key.uid,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": key.event_namespace},
        "involvedObject": {field: value for field, value in regarding.items() if value},
        "type": key.type,
        "reason": key.reason,
        "message": key.message,
        "source": {"component": component, "host": host},
        "reportingComponent": component,
        "reportingInstance": host,
        "firstTimestamp": _format(first),
        "lastTimestamp": _format(last),
        "count": count,
    }


def patch(last: datetime.datetime, count: int) -> Object:
    """What makes a posted Event one that has happened so often, last at that time."""
    return {"count": count, "lastTimestamp": _format(last)}


def _clipped(message: str) -> str:
    """At most as many bytes as the API takes, with a sign that something is missing."""
    encoded = message.encode("utf-8", errors="replace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return encoded.decode()
    return encoded[: MAX_MESSAGE_BYTES - len("…".encode())].decode(errors="ignore") + "…"


def _format(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
