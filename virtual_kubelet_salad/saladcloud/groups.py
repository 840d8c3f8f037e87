"""The container groups as last seen: by the list, and by answers about single groups, which may be newer.

Guarantees: presence is truth; absence counts only in a complete list that began after the last direct answer about the
name. Raw answers are compared first and only changed ones are loaded, because lists are asked for far more often than
groups change. Safe to call from any thread; nothing here asks SaladCloud or waits.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from virtual_kubelet_salad.kubelet.provider import Owner, Sighting, Snapshot
from virtual_kubelet_salad.saladcloud import names
from virtual_kubelet_salad.saladcloud.models import Group
from virtual_kubelet_salad.saladcloud.schemas import answers

RawGroup = dict[str, Any]


@dataclasses.dataclass(slots=True)
class _Entry:
    raw: RawGroup
    group: Group
    asked_at: float
    """Monotonic time at which the newest request that showed it began."""
    is_listed: bool
    maker: Owner | None
    """Its owner record, when it bears the name that belongs to that record: a copy that somebody made of it does not,
    nor does one whose record was altered.
    """


class GroupCache:
    """All groups of the project."""

    def __init__(self, cluster_id: str, node: str, list_limit: int) -> None:
        """`list_limit`: the length at which a list may have been cut; 0: lists are never cut."""
        self._cluster_id = cluster_id
        self._node = node
        self._list_limit = list_limit
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._gone: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._snapshot: Snapshot | None = None
        self._has_no_cap = list_limit == 0

    # -- what SaladCloud said

    def put_list(self, items: Sequence[RawGroup], asked_at: float) -> list[Group]:
        """A list that was asked for at that monotonic time; returns our groups that are new, changed, or gone now."""
        with self._lock:
            self._has_no_cap = self._has_no_cap or len(items) > self._list_limit
            is_complete = self._has_no_cap or len(items) < self._list_limit
            changed: list[Group] = []
            shown: set[str] = set()
            for raw in items:
                name = raw.get("name")
                if not isinstance(name, str) or self._gone.get(name, asked_at) > asked_at:
                    continue
                shown.add(name)
                group = self._put(name, raw, asked_at, is_direct=False)
                if group is not None:
                    changed.append(group)
            for name in [name for name in self._entries if name not in shown]:
                entry = self._entries[name]
                entry.is_listed = False
                if is_complete and entry.asked_at <= asked_at:
                    changed.append(self._entries.pop(name).group)
            self._gone = {name: at for name, at in self._gone.items() if at > asked_at}
            self._count_attempts()
            number = self._snapshot.number + 1 if self._snapshot is not None else 1
            known = sorted(shown & self._entries.keys())
            sightings = tuple(Sighting(name, self._entries[name].group.owner) for name in known)
            self._snapshot = Snapshot(number, asked_at, is_complete, sightings)
            return [group for group in changed if self._is_ours(group.owner)]

    def put(self, raw: RawGroup, asked_at: float) -> Group | None:
        """A direct answer about one group; returns it when it is new or changed."""
        with self._lock:
            name = raw["name"]
            self._gone.pop(name, None)
            changed = self._put(name, raw, asked_at, is_direct=True)
            entry = self._entries.get(name)
            if entry is not None and entry.maker is not None:
                self._note_attempt(entry.maker)
            return changed

    def put_gone(self, name: str, asked_at: float) -> None:
        """SaladCloud said that the name does not exist."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or entry.asked_at <= asked_at:
                self._entries.pop(name, None)
                self._gone[name] = asked_at

    # -- what is known

    def get(self, name: str) -> Group | None:
        with self._lock:
            entry = self._entries.get(name)
            return entry.group if entry is not None else None

    def is_listed(self, name: str) -> bool:
        """Whether the latest list shows it."""
        with self._lock:
            entry = self._entries.get(name)
            return entry is not None and entry.is_listed

    def asked_at(self, name: str) -> float | None:
        """Monotonic time of the newest request that showed it; None when nothing is known of it."""
        with self._lock:
            entry = self._entries.get(name)
            return entry.asked_at if entry is not None else None

    def snapshot(self) -> Snapshot | None:
        with self._lock:
            return self._snapshot

    def newest_attempt(self, uid: str) -> int | None:
        with self._lock:
            return self._attempts.get(uid)

    def ours(self) -> list[Group]:
        """The groups of this node."""
        with self._lock:
            return [entry.group for entry in self._entries.values() if self._is_ours(entry.group.owner)]

    def forget(self, name: str) -> None:
        """Nobody asks for it any more: drop what no list will correct."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is not None and not entry.is_listed:
                del self._entries[name]
            self._gone.pop(name, None)

    # -- with the lock held

    def _put(self, name: str, raw: RawGroup, asked_at: float, *, is_direct: bool) -> Group | None:
        entry = self._entries.get(name)
        if entry is not None and entry.asked_at > asked_at:
            entry.is_listed = entry.is_listed or not is_direct
            return None
        if entry is not None and entry.raw == raw:
            entry.asked_at = asked_at
            entry.is_listed = entry.is_listed or not is_direct
            return None
        group = answers.group(raw)
        if group is None:
            return None
        is_listed = not is_direct or (entry is not None and entry.is_listed)
        self._entries[name] = _Entry(raw, group, asked_at, is_listed, _maker(group))
        return group

    def _is_ours(self, owner: Owner | None) -> bool:
        return owner is not None and (owner.cluster_id, owner.node) == (self._cluster_id, self._node)

    def _count_attempts(self) -> None:
        self._attempts = {}
        for entry in self._entries.values():
            if entry.maker is not None:
                self._note_attempt(entry.maker)

    def _note_attempt(self, owner: Owner) -> None:
        if owner.cluster_id == self._cluster_id:
            self._attempts[owner.uid] = max(owner.attempt, self._attempts.get(owner.uid, 0))


def _maker(group: Group) -> Owner | None:
    owner = group.owner
    if owner is None or group.name != names.workload_name(owner.cluster_id, owner.pod, owner.uid, owner.attempt):
        return None
    return owner


def by_state(groups: Iterable[Group]) -> Mapping[str, int]:
    """How many groups there are of each status."""
    return collections.Counter(group.status for group in groups)
