"""What may stand in SaladCloud's answers beside or instead of what its description says.

Events that are late, doubled or missing; fields and words that nobody has heard of. Which ones is decided by their
content, so the same answer is always distorted alike. Nothing is taken away that a decision needs, events apart.
"""

from __future__ import annotations

import datetime
import zlib
from typing import Any

from tests.explorer.layout import Layout

_UNKNOWN: dict[str, Any] = {"moonPhase": "waxing", "nested": {"list": [1, None, {"a": "b"}]}, "empty": None}
_STRANGE_ENTRIES: tuple[Any, ...] = (None, "text", {}, {"time": "yesterday"}, {"json_log": 7})
_STRANGE_GROUPS: tuple[Any, ...] = (None, "text", {"name": 5}, {"container": None})


def distorted(path: str, answer: Any, layout: Layout, now: datetime.datetime) -> Any:
    """The answer (decoded JSON, the caller's own) as it reaches a daemon."""
    if path.endswith("/log-entries") and isinstance(answer, dict):
        answer["items"] = _events(answer.get("items") or [], layout, now)
    if layout.is_strange and isinstance(answer, dict):
        _add_strangeness(path, answer, layout)
    return answer


def _share(item: Any, salt: str) -> float:
    """From 0 to 1, always the same for one event."""
    name = f"{salt} {item['resource']['labels'].get('instance_id')} {item['time']} {item.get('json_log')}"
    return zlib.crc32(name.encode()) / 2**32


def _events(items: list[Any], layout: Layout, now: datetime.datetime) -> list[Any]:
    if not (layout.event_loss or layout.event_doubling or layout.event_delay_seconds):
        return items
    shown: list[Any] = []
    for item in items:
        if _share(item, "lost") < layout.event_loss:
            continue
        hidden_for = layout.event_delay_seconds * _share(item, "late")
        if (now - datetime.datetime.fromisoformat(item["receive_time"])).total_seconds() < hidden_for:
            continue
        shown.append(item)
        if _share(item, "double") < layout.event_doubling:
            shown.append(item)
    return shown


def _add_strangeness(path: str, answer: dict[str, Any], layout: Layout) -> None:
    answer.update(_UNKNOWN)
    items = answer.get("items")
    if path.endswith("/containers") and isinstance(items, list):
        for group in items:
            _make_group_strange(group)
        if len(items) + len(_STRANGE_GROUPS) < layout.list_limit:  # a longer list would be one that is never cut
            items += _STRANGE_GROUPS
    elif path.endswith("/log-entries") and isinstance(items, list):
        for entry in items:
            entry.update(_UNKNOWN, severity="deafening")
        items += _STRANGE_ENTRIES
    elif path.endswith("/instances"):
        for instance in answer.get("instances") or []:
            instance.update(_UNKNOWN)
            if instance.get("state") == "downloading":
                instance["state"] = "verifying"
    elif "current_state" in answer:
        _make_group_strange(answer)


def _make_group_strange(group: dict[str, Any]) -> None:
    group.update(_UNKNOWN, priority="desperate")
    state = group["current_state"]
    state.update(_UNKNOWN)
    state["instance_status_counts"]["dreaming_count"] = 1
    if state["status"] == "deploying":
        state["status"] = "hibernating"
