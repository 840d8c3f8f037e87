"""SaladCloud's answers, read tolerantly.

Unknown fields and words are accepted, and a missing or odd field becomes its default; only what has no identity cannot
be read (None). Pure. Source: SaladCloud's OpenAPI file, and what the live service sends instead.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, TypeVar

import marshmallow
from marshmallow import fields

from virtual_kubelet_salad.saladcloud import owner
from virtual_kubelet_salad.saladcloud.models import (
    GpuClass,
    Group,
    Instance,
    LogEntry,
    LogPage,
    OutputEntry,
    OutputPage,
    Quota,
)

T = TypeVar("T")

# A fraction up to this is one of 1, a greater number is percent: the API describes percent and sends fractions.
_GREATEST_FRACTION = 1.0
# Keys that SaladCloud takes out of a line that is a JSON object; it writes the last three names in two ways.
_TAKEN_OUT = ("severity_number", "trace_id", "trace_Id", "span_id", "span_Id", "parent_span_id")
_NO_SEVERITY = "default"


def moment(value: object) -> datetime.datetime | None:
    """A time as the API writes it, aware; None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=datetime.UTC)


def group(raw: Mapping[str, Any]) -> Group | None:
    """A container group, sanitized or not; None when it has no name."""
    flat = _flat(
        raw,
        name=("name",),
        status=("current_state", "status"),
        description=("current_state", "description"),
        restart_policy=("restart_policy",),
        priority=("priority",),
        version=("version",),
        pending_change=("pending_change",),
        allocating_count=("current_state", "instance_status_counts", "allocating_count"),
        creating_count=("current_state", "instance_status_counts", "creating_count"),
        running_count=("current_state", "instance_status_counts", "running_count"),
        stopping_count=("current_state", "instance_status_counts", "stopping_count"),
        gpu_classes=("container", "resources", "gpu_classes"),
        cpu_in_cores=("container", "resources", "cpu"),
        memory_in_mib=("container", "resources", "memory"),
        host=("networking", "dns"),
    )
    loaded: dict[str, Any] = _GROUP.load(flat)
    return Group(owner=owner.owner_of(raw), **loaded) if loaded["name"] else None


def instances(raw: object) -> tuple[Instance, ...] | None:
    """The rows in an answer to a list of instances; rows without id or time are left out. None: this is none."""
    items = raw.get("instances") if isinstance(raw, Mapping) else None
    if not isinstance(items, list):
        return None
    loaded = [_INSTANCE.load(item) for item in items if isinstance(item, Mapping)]
    return tuple(Instance(**one) for one in loaded if one["id"] and one["update_time"])


def log_page(raw: object) -> LogPage | None:
    """An answer to a query of log entries; entries without a message are left out. None: this is no such answer."""
    items = raw.get("items") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(items, list):
        return None
    loaded = [_LOG_ENTRY.load(_flat_entry(item)) for item in items if isinstance(item, Mapping)]
    entries = [LogEntry(**one) for one in loaded if one["message"] and one["time"] and one["receive_time"]]
    return LogPage(tuple(entries), len(items), moment(raw.get("page_max_time")))


def output_page(raw: object) -> OutputPage | None:
    """An answer to a query of what containers wrote; entries without a time are left out. None: this is none."""
    items = raw.get("items") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(items, list):
        return None
    loaded = [_OUTPUT_ENTRY.load(_flat_output(item)) for item in items if isinstance(item, Mapping)]
    entries = [OutputEntry(**one) for one in loaded if one["time"] and one["receive_time"]]
    return OutputPage(tuple(entries), len(items), moment(raw.get("page_max_time")))


def system_logs(raw: object, group_name: str) -> tuple[LogEntry, ...] | None:
    """The events in a group's system log, in the order of the answer. None: this is no such log."""
    items = raw.get("items") if isinstance(raw, Mapping) else None
    if not isinstance(items, list):
        return None
    names_in_log = {"message": "event_name", "time": "event_time", "receive_time": "event_time"}
    same = {"instance_id": "instance_id", "machine_id": "machine_id", "gpu_class": "resource_gpu_class"}
    flat = [
        {"group": group_name, **{ours: item.get(theirs) for ours, theirs in (names_in_log | same).items()}}
        for item in items
        if isinstance(item, Mapping)
    ]
    return tuple(LogEntry(**one) for one in map(_LOG_ENTRY.load, flat) if one["message"] and one["time"])


def quota(raw: object) -> Quota | None:
    """None: this holds no quota."""
    inner = raw.get("container_groups_quotas") if isinstance(raw, Mapping) else None
    if not isinstance(inner, Mapping) or not _is_whole(inner.get("container_replicas_quota")):
        return None
    return Quota(**_QUOTA.load(inner))


def gpu_classes(raw: object) -> tuple[GpuClass, ...] | None:
    """The classes on offer; those without id or name are left out. None: this is no such list."""
    items = raw.get("items") if isinstance(raw, Mapping) else None
    if not isinstance(items, list):
        return None
    loaded = [_GPU_CLASS.load(item) for item in items if isinstance(item, Mapping)]
    return tuple(GpuClass(**one) for one in loaded if one["id"] and one["name"])


class _Lenient(fields.Field[T], Generic[T]):
    """A field that never fails: what it cannot convert is its default."""

    def __init__(self, convert: Callable[[Any], T], default: T, data_key: str | None = None) -> None:
        super().__init__(load_default=default, data_key=data_key)
        self._convert, self._default = convert, default

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> T:
        if value is marshmallow.missing or value is None:
            return self._default
        try:
            return self._convert(value)
        except (TypeError, ValueError, OverflowError):
            return self._default


def _text() -> _Lenient[str]:
    return _Lenient(_only(str), "")


def _whole(default: int | None = 0) -> _Lenient[int | None]:
    return _Lenient(_as_whole, default)


def _true_or(default: bool) -> _Lenient[bool]:
    return _Lenient(_only(bool), default)


def _time() -> _Lenient[datetime.datetime | None]:
    return _Lenient(moment, None)


def _only(kind: type[T]) -> Callable[[Any], T]:
    def check(value: Any) -> T:
        if not isinstance(value, kind):
            raise TypeError
        return value

    return check


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value)


def _as_whole(value: Any) -> int | None:
    if not _is_whole(value):
        raise TypeError
    return int(value)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str))


def _as_percent(value: Any) -> float | None:
    progress = float(value)
    if not 0.0 <= progress <= 100.0:
        raise ValueError
    return progress * 100.0 if progress <= _GREATEST_FRACTION else progress


def _as_amount(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < math.inf:
        raise ValueError
    return float(value)


def _as_prices(value: Any) -> Mapping[str, Decimal]:
    prices: dict[str, Decimal] = {}
    for item in value:
        priority = item.get("priority") if isinstance(item, Mapping) else None
        price = _as_price(item.get("price")) if isinstance(priority, str) else None
        if isinstance(priority, str) and price is not None:
            prices[priority] = price
    return prices


def _as_price(value: object) -> Decimal | None:
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() else None


def _reader(**members: fields.Field[Any]) -> marshmallow.Schema:
    return marshmallow.Schema.from_dict(dict(members))(unknown=marshmallow.EXCLUDE)


def _flat(raw: Mapping[str, Any], **places: tuple[str, ...]) -> dict[str, Any]:
    """The members at the given places; one that is not there, or below something odd, is left out."""
    flat: dict[str, Any] = {}
    for name, place in places.items():
        value: Any = raw
        for step in place:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is not None:
            flat[name] = value
    return flat


def _flat_entry(raw: Mapping[str, Any]) -> dict[str, Any]:
    labels = ("resource", "labels")
    return _flat(
        raw,
        group=(*labels, "container_group_name"),
        instance_id=(*labels, "instance_id"),
        machine_id=(*labels, "machine_id"),
        time=("time",),
        receive_time=("receive_time",),
        message=("json_log", "message"),
        gpu_class=("json_log", "gpu_class_name"),
    )


def _flat_output(raw: Mapping[str, Any]) -> dict[str, Any]:
    labels = ("resource", "labels")
    flat = _flat(
        raw,
        group=(*labels, "container_group_name"),
        instance_id=(*labels, "instance_id"),
        time=("time",),
        receive_time=("receive_time",),
    )
    parsed = raw.get("json_log")
    return {**flat, "text": _json_line(raw, parsed) if isinstance(parsed, Mapping) else raw.get("text_log")}


def _json_line(raw: Mapping[str, Any], parsed: Mapping[str, Any]) -> str:
    """A line that was a JSON object, as near as it can be told: SaladCloud takes it apart."""
    severity = raw.get("severity")
    taken_out = {key: raw[key] for key in _TAKEN_OUT if raw.get(key) is not None}
    first = {"severity": severity} if severity not in (None, _NO_SEVERITY) else {}
    return json.dumps({**first, **parsed, **taken_out}, ensure_ascii=False, separators=(",", ":"))


_GROUP = _reader(
    name=_text(),
    status=_text(),
    description=_text(),
    restart_policy=_text(),
    priority=_text(),
    version=_whole(1),
    pending_change=_true_or(False),
    allocating_count=_whole(),
    creating_count=_whole(),
    running_count=_whole(),
    stopping_count=_whole(),
    gpu_classes=_Lenient(_texts, ()),
    cpu_in_cores=_whole(),
    memory_in_mib=_whole(),
    host=_text(),
)
_INSTANCE = _reader(
    id=_text(),
    machine_id=_text(),
    state=_text(),
    update_time=_time(),
    version=_whole(1),
    ready=_true_or(False),
    started=_true_or(False),
    progress_in_percent=_Lenient(_as_percent, None, data_key="pulling_progress"),
    cpu_seconds=_Lenient(_as_amount, None, data_key="cpu_usage_total"),
    memory_in_mib=_Lenient(_as_amount, None, data_key="memory_usage_mb"),
)
_LOG_ENTRY = _reader(
    group=_text(),
    instance_id=_text(),
    machine_id=_text(),
    time=_time(),
    receive_time=_time(),
    message=_text(),
    gpu_class=_text(),
)
_OUTPUT_ENTRY = _reader(
    group=_text(),
    instance_id=_text(),
    time=_time(),
    receive_time=_time(),
    text=_text(),
)
_QUOTA = _reader(
    replicas=_Lenient(_as_whole, 0, data_key="container_replicas_quota"),
    replicas_used=_Lenient(_as_whole, 0, data_key="container_replicas_used"),
)
_GPU_CLASS = _reader(
    id=_text(),
    name=_text(),
    prices=_Lenient(_as_prices, {}),
    gpu_count=_whole(None),
    min_vcpu=_whole(None),
    max_vcpu=_whole(None),
    min_ram=_whole(None),
    max_ram=_whole(None),
    min_storage=_whole(None),
    max_storage=_whole(None),
    is_high_demand=_Lenient(_only(bool), None),
)
