"""The log entries of the simulated SaladCloud: system events and container output, with receive lag and wrong node
clocks, and the query call's answer.

Guarantees: an entry can be seen only after its receive time; answers are ordered and paged as asked. As on the live
service entries have no id, stay after the group is deleted, and times finer than a millisecond are refused. No
thread; the model calls it.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

from virtual_kubelet_salad.sandbox.salad_catalog import CPU_ONLY_CLASS, NAMES
from virtual_kubelet_salad.sandbox.salad_log_query import SEVERITIES, QueryError, compile_query
from virtual_kubelet_salad.sandbox.salad_validation import parse_time
from virtual_kubelet_salad.sandbox.salad_world import Group, Replica, World, rfc3339

SYSTEM_LOG_LIMIT = 50
DEFAULT_PAGE_SIZE = 100
_FINER_THAN_MILLISECONDS = re.compile(r"\.\d{4,}")
_TRIM_EVERY = 1_000  # entries between two looks for those that are too old


class BadQuery(Exception):
    """The request is refused; the text becomes the problem's detail."""


@dataclasses.dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry; times in seconds since the epoch. `emitted` is the true time, `time` what the node's clock showed."""

    received: float
    time: float
    emitted: float
    severity: str
    kind: str
    labels: dict[str, str]
    json_log: dict[str, Any] | None
    text_log: str | None
    resources: dict[str, Any]

    def answer(self) -> dict[str, Any]:
        body = {"json_log": self.json_log} if self.json_log is not None else {"text_log": self.text_log}
        return {
            "time": rfc3339(self.time),
            "receive_time": rfc3339(self.received),
            "severity": self.severity,
            "resource": {"type": self.kind, "labels": self.labels},
            **body,
        }


class LogStore:
    """All entries, ordered by receive time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._entries: list[LogEntry] = []
        self._system_logs: dict[str, list[LogEntry]] = {}  # group identifier → its events

    def group_event(self, group: Group, message: str) -> None:
        """An event of the group itself."""
        self._add(group, None, "deployment_controller", "info", {"message": message}, None)

    def instance_event(self, group: Group, replica: Replica, message: str, reach: str = "told") -> None:
        """An event of one instance; names as SaladCloud writes them. Its `reach`: "told", "lost" (only the group's own
        system log has it), "none".
        """
        if reach == "none":
            return
        body: dict[str, Any] = {"message": message}
        classes = group.spec["container"]["resources"]["gpu_classes"]
        if classes:
            body["gpu_class_name"] = NAMES.get(classes[0], "")
        self._add(group, replica, "instance_controller", "info", body, None, is_lost=reach == "lost")

    def output(self, group: Group, replica: Replica, line: str) -> None:
        """A line that the container wrote; a JSON object is taken apart."""
        body = _json_object(line)
        severity = "default"
        if body is not None and body.get("severity") in SEVERITIES:
            severity = body.pop("severity")
        self._add(group, replica, "container", severity, body, None if body is not None else line)

    def _add(
        self,
        group: Group,
        replica: Replica | None,
        kind: str,
        severity: str,
        body: dict[str, Any] | None,
        text: str | None,
        *,
        is_lost: bool = False,
    ) -> None:
        world, settings = self._world, self._world.settings
        labels = {"project_name": group.project, "container_group_name": group.name}
        emitted = world.epoch(world.now)
        shown = emitted
        if replica is not None:
            labels.update(
                container_group_version=str(replica.version),
                instance_id=replica.instance_id,
                machine_id=replica.machine_id,
            )
            labels = {key: value for key, value in labels.items() if value}
            # One clock per machine: wrong by the same amount for as long as the machine exists.
            shown += _skew_share(replica.machine_id) * settings.node_skew_max
        received = emitted + world.random.uniform(settings.log_lag_min, settings.log_lag_max)
        entry = LogEntry(
            received, shown, emitted, severity, kind, labels, body, text, group.spec["container"]["resources"]
        )
        if not is_lost:
            bisect.insort(self._entries, entry, key=_received)
        if kind != "container":
            self._system_logs.setdefault(group.identifier, []).append(entry)
        if len(self._entries) % _TRIM_EVERY == 0:
            self._trim(emitted - settings.log_retention)

    def _trim(self, oldest: float) -> None:
        del self._entries[: bisect.bisect_left(self._entries, oldest, key=_received)]

    def query(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request that conforms to its schema. Raises BadQuery."""
        if not request["query"].strip():
            raise BadQuery("query must not be empty")
        start, end = (_moment(request, name) for name in ("start_time", "end_time"))
        if end < start:
            raise BadQuery("end_time must not be before start_time")
        try:
            matches = compile_query(request["query"])
        except QueryError as error:
            raise BadQuery(f"query: {error}") from error
        now = self._world.epoch(self._world.now)
        is_descending = request.get("sort_order", "desc") == "desc"
        found = [entry for entry in self._window(start, end, now) if matches(entry)]
        if is_descending:
            found.reverse()
        page = found[: request.get("page_size", DEFAULT_PAGE_SIZE)]
        place = self._place()
        times = [place(entry) for entry in page]
        return {
            "items": [entry.answer() for entry in page],
            "organization_name": self._world.settings.organization,
            "page_min_time": rfc3339(min(times, default=start)),
            "page_max_time": rfc3339(max(times, default=end)),
        }

    def _place(self) -> Callable[[LogEntry], float]:
        return _received if self._world.settings.log_window_is_receive_time else _time

    def _window(self, start: float, end: float, now: float) -> list[LogEntry]:
        """Visible entries from start to end, both included, ascending."""
        retained = now - self._world.settings.log_retention
        visible = bisect.bisect_right(self._entries, now, key=_received)
        if self._world.settings.log_window_is_receive_time:
            first = bisect.bisect_left(self._entries, max(start, retained), key=_received)
            return self._entries[first : min(visible, bisect.bisect_right(self._entries, end, key=_received))]
        chosen = [
            entry for entry in self._entries[:visible] if start <= entry.time <= end and entry.received >= retained
        ]
        return sorted(chosen, key=_time)

    def system_logs(self, group: Group) -> dict[str, Any]:
        """The newest events of one group, newest first; they are there at once."""
        newest = self._system_logs.get(group.identifier, [])[-SYSTEM_LOG_LIMIT:]
        return {"items": [_system_log(entry) for entry in reversed(newest)]}

    def forget_group(self, group: Group) -> None:
        """Its system log can no longer be asked for; its entries stay."""
        self._system_logs.pop(group.identifier, None)


def _received(entry: LogEntry) -> float:
    return entry.received


def _time(entry: LogEntry) -> float:
    return entry.time


def _skew_share(machine_id: str) -> float:
    """From -1 to 1, always the same for one machine."""
    return int(machine_id[:8] or "80000000", 16) / 2**31 - 1


def _moment(request: dict[str, Any], name: str) -> float:
    text = request[name]
    if _FINER_THAN_MILLISECONDS.search(text):
        raise BadQuery(f"{name} must not be more precise than a millisecond")
    moment = parse_time(text)
    if moment is None:
        raise BadQuery(f"{name} is not a time")
    return moment.timestamp()


def _json_object(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        body = json.loads(line)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _system_log(entry: LogEntry) -> dict[str, Any]:
    resources = entry.resources
    classes = resources["gpu_classes"]
    log = {
        "event_name": entry.json_log["message"] if entry.json_log else "",
        "event_time": rfc3339(entry.emitted),
        "resource_cpu": resources["cpu"],
        "resource_gpu_class": NAMES.get(classes[0], "") if classes else CPU_ONLY_CLASS,
        "resource_memory": resources["memory"],
        "resource_storage_amount": resources.get("storage_amount"),
        "version": entry.labels.get("container_group_version", "1"),
    }
    return {**log, **{key: entry.labels[key] for key in ("instance_id", "machine_id") if key in entry.labels}}
