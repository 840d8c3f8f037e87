"""Objects, their history and the resource version: the etcd of the minimal API server.

Stored objects are immutable by agreement: nobody changes one in place, so that readers, watches and the history share
them without copies. The history of a resource is bounded; a watch that starts before it gets 410.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

from virtual_kubelet_salad.sandbox.api_errors import Json, too_old
from virtual_kubelet_salad.sandbox.api_resources import ResourceType
from virtual_kubelet_salad.sandbox.api_selectors import Matcher

Key = tuple[str, str]
"""Namespace (empty for cluster-wide kinds) and name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the history. `previous` is None for a create; `current` is the last state for a delete."""

    version: int
    kind: str
    current: Json
    previous: Json | None


class _Collection:
    def __init__(self) -> None:
        self.objects: dict[Key, Json] = {}
        self.sorted_keys: list[Key] | None = []
        self.changes: list[Change] = []
        self.versions: list[int] = []
        self.compacted_version = 0


class Store:
    """All objects of all resources. Not safe for several threads at once: the face serialises."""

    def __init__(self, history_limit: int = 10_000) -> None:
        self._collections: dict[str, _Collection] = {}
        self._history_limit = history_limit
        self._version = 0

    @property
    def version(self) -> int:
        """The resource version of the last change."""
        return self._version

    def _collection(self, resource: ResourceType) -> _Collection:
        collection = self._collections.get(resource.qualified)
        if collection is None:
            collection = self._collections[resource.qualified] = _Collection()
        return collection

    def get(self, resource: ResourceType, key: Key) -> Json | None:
        """The object, or None."""
        return self._collection(resource).objects.get(key)

    def count(self, resource: ResourceType) -> int:
        """How many objects there are."""
        return len(self._collection(resource).objects)

    def last_version(self, resource: ResourceType) -> int:
        """The version of the last change of this kind, 0 before the first (or after a compaction of an idle kind: the
        version of that).
        """
        collection = self._collection(resource)
        return collection.versions[-1] if collection.versions else collection.compacted_version

    def items(self, resource: ResourceType) -> Iterator[Json]:
        """All objects by namespace and name; the collection may be changed meanwhile."""
        collection = self._collection(resource)
        if collection.sorted_keys is None:
            collection.sorted_keys = sorted(collection.objects)
        for key in collection.sorted_keys:
            item = collection.objects.get(key)
            if item is not None:
                yield item

    def put(self, resource: ResourceType, key: Key, item: Json) -> Json:
        """Store a state under the next resource version; what is returned is what is stored."""
        collection = self._collection(resource)
        previous = collection.objects.get(key)
        stored = self._stamped(item)
        collection.objects[key] = stored
        if previous is None:
            collection.sorted_keys = None
        self._record(collection, Change(self._version, "ADDED" if previous is None else "MODIFIED", stored, previous))
        return stored

    def remove(self, resource: ResourceType, key: Key) -> Json:
        """Drop an object; its last state carries the version of the removal. KeyError when it is not there."""
        return self.remove_as(resource, key, self._collection(resource).objects[key])

    def remove_as(self, resource: ResourceType, key: Key, last_state: Json) -> Json:
        """Drop an object together with a last change of it; watchers see only the removal."""
        collection = self._collection(resource)
        previous = collection.objects.pop(key)
        collection.sorted_keys = None
        last = self._stamped(last_state)
        self._record(collection, Change(self._version, "DELETED", last, previous))
        return last

    def _stamped(self, item: Json) -> Json:
        self._version += 1
        return {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}

    def _record(self, collection: _Collection, change: Change) -> None:
        collection.changes.append(change)
        collection.versions.append(change.version)
        if len(collection.changes) > 2 * self._history_limit:
            self._forget(collection, len(collection.changes) - self._history_limit)

    @staticmethod
    def _forget(collection: _Collection, count: int) -> None:
        if count:
            collection.compacted_version = collection.versions[count - 1]
            del collection.changes[:count]
            del collection.versions[:count]

    def compact(self) -> None:
        """Forget the whole history: every watch from an earlier version gets 410."""
        for collection in self._collections.values():
            self._forget(collection, len(collection.changes))
            collection.compacted_version = self._version

    def changes_after(self, resource: ResourceType, version: int) -> list[Change]:
        """What happened after a version, oldest first; 410 when that is not known any more."""
        collection = self._collection(resource)
        if version < collection.compacted_version:
            raise too_old(version, collection.compacted_version)
        if not collection.versions or version >= collection.versions[-1]:
            return []
        return collection.changes[bisect.bisect_right(collection.versions, version) :]


def watch_event(change: Change, matcher: Matcher | None) -> Json | None:
    """The change as a watcher with this selector sees it: an object that begins to match is ADDED, one that ceases to
    is DELETED; None: not seen at all.
    """
    if matcher is None:
        return {"type": change.kind, "object": change.current}
    did_match = change.previous is not None and matcher(change.previous)
    does_match = change.kind != "DELETED" and matcher(change.current)
    if did_match and does_match:
        return {"type": "MODIFIED", "object": change.current}
    if does_match:
        return {"type": "ADDED", "object": change.current}
    if did_match and change.previous is not None:
        last = change.previous
        return {
            "type": "DELETED",
            "object": {**last, "metadata": {**last["metadata"], "resourceVersion": str(change.version)}},
        }
    return None
