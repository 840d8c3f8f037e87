"""Small tools for JSON objects: copying, the times on the wire, names and quantities.

Stored objects are never changed in place; whoever wants another state makes a new object (`copy_json`, or a new outer
dict around shared inner ones).
"""

from __future__ import annotations

import datetime
import functools
import re
from decimal import ROUND_CEILING, Decimal
from typing import Any

from virtual_kubelet_salad.sandbox.api_errors import Json, Undecodable

_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d+)?")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX_OF_EXPONENT = {exponent: suffix for suffix, exponent in _DECIMAL.items()}


def copy_json(value: Any) -> Any:
    """A deep copy of plain JSON; faster than `copy.deepcopy`, and keys whose value is null are left out, as a typed
    server leaves them out.
    """
    if isinstance(value, dict):
        return {
            key: copy_json(item) if isinstance(item, (dict, list)) else item
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [copy_json(item) if isinstance(item, (dict, list)) else item for item in value]
    return value


def clone_json(value: Any) -> Any:
    """A deep copy of plain JSON, nulls included: what a caller may keep and change."""
    if isinstance(value, dict):
        return {key: clone_json(item) if isinstance(item, (dict, list)) else item for key, item in value.items()}
    if isinstance(value, list):
        return [clone_json(item) if isinstance(item, (dict, list)) else item for item in value]
    return value


def format_time(moment: datetime.datetime) -> str:
    """`metav1.Time`: whole seconds, UTC, with Z."""
    return moment.astimezone(datetime.UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


@functools.lru_cache(maxsize=4096)
def parse_time(text: str) -> datetime.datetime:
    """An aware time of RFC 3339; Undecodable when it is none."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Undecodable(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse it') from None
    if moment.tzinfo is None:
        raise Undecodable(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00"')
    return moment


@functools.lru_cache(maxsize=4096)
def whole_seconds(text: str) -> str:
    """The time as the server stores it: fractions of a second are lost, the zone becomes Z."""
    return format_time(parse_time(text))


def check_micro_time(text: object) -> str:
    """`metav1.MicroTime` as the server stores it; Undecodable unless it has exactly six decimals."""
    if not isinstance(text, str) or not _MICRO_TIME.fullmatch(text):
        raise Undecodable(
            f'parsing time "{text}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse it as a time with six decimals'
        )
    return parse_time(text).astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def truncate_times(item: Json, *names: str) -> None:
    """Bring the named `metav1.Time` fields of a fresh object into the server's form."""
    for name in names:
        if item.get(name) is not None:
            item[name] = whole_seconds(item[name])


def drop_empty(item: Json, *names: str) -> None:
    """Take the named fields out of a fresh object where they are the empty text."""
    for name in names:
        if item.get(name) == "":
            del item[name]


def is_dns_subdomain(name: object) -> bool:
    """RFC 1123 subdomain of at most 253 characters."""
    return isinstance(name, str) and len(name) <= 253 and _DNS_SUBDOMAIN.fullmatch(name) is not None


def is_dns_label(name: object) -> bool:
    """RFC 1123 label of at most 63 characters."""
    return isinstance(name, str) and len(name) <= 63 and _DNS_LABEL.fullmatch(name) is not None


@functools.lru_cache(maxsize=4096)
def parse_quantity(text: object) -> Decimal:
    """The exact value of a Kubernetes quantity; Undecodable when it is none."""
    match = _QUANTITY.fullmatch(str(text)) if isinstance(text, (str, int)) else None
    if match is None:
        raise Undecodable("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * Decimal(1024) ** _BINARY[suffix]
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix])
    return number.scaleb(int(suffix[1:]))


@functools.lru_cache(maxsize=4096)
def canonical_quantity(text: object) -> str:
    """The quantity as a server gives it back: the same number with the largest suffix that leaves an integer."""
    number = parse_quantity(text)
    match = _QUANTITY.fullmatch(str(text))
    suffix = (match[2] or "") if match else ""
    if suffix in _BINARY and number == int(number) and abs(number) >= 1024:
        power = 0
        value = int(number)
        while value and power < len(_BINARY) and value % 1024 == 0:
            value, power = value // 1024, power + 1
        return f"{value}{['', *_BINARY][power]}"
    exponent = -9
    value = int((number.scaleb(9)).to_integral_value(rounding=ROUND_CEILING))
    while value and value % 1000 == 0 and exponent < 18:
        value, exponent = value // 1000, exponent + 3
    if not value:
        return "0"
    if suffix[:1] in ("e", "E") and suffix != "E":
        return f"{value}e{exponent}" if exponent else str(value)
    return f"{value}{_SUFFIX_OF_EXPONENT[exponent]}"


def pod_requests(pod: Json) -> dict[str, Decimal]:
    """What the scheduler counts for a pod: the sum over containers, or the greatest init container; `pods` is always
    1.
    """
    total: dict[str, Decimal] = {"pods": Decimal(1)}
    spec = pod["spec"]
    for container in spec.get("containers", []):
        for name, quantity in container.get("resources", {}).get("requests", {}).items():
            total[name] = total.get(name, Decimal(0)) + parse_quantity(quantity)
    for container in spec.get("initContainers", []):
        for name, quantity in container.get("resources", {}).get("requests", {}).items():
            total[name] = max(total.get(name, Decimal(0)), parse_quantity(quantity))
    return total
