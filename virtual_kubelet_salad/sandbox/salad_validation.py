"""Check a JSON value against a JSON schema: the few keywords that the description of the API uses.

A schema is compiled once into a closure, because the simulator checks every request and is driven at thousands of
requests per second; a full validator would cost more than the rest of the simulator. A test holds it against one on
generated values.

Complaints name the place and the rule, never the value: values may be secrets.
"""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]
Check = Callable[[Any, str, list[str]], None]  # value, place, complaints to add to

KEYWORDS = frozenset(
    {
        "type",
        "format",
        "enum",
        "default",
        "properties",
        "required",
        "additionalProperties",
        "minProperties",
        "maxProperties",
        "items",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "pattern",
        "minimum",
        "maximum",
    }
)

_INTEGER_BOUNDS = {"int32": 2**31, "int64": 2**63}


def compile_schema(schema: Schema) -> Callable[[Any], list[str]]:
    """A function from a decoded JSON value to its complaints; an empty list means that it conforms. Raises ValueError
    for a keyword it does not know.
    """
    check = _check(schema)

    def complaints(value: Any) -> list[str]:
        found: list[str] = []
        check(value, "$", found)
        return found

    return complaints


def _check(schema: Schema) -> Check:
    unknown = set(schema) - KEYWORDS
    if unknown:
        raise ValueError(f"keywords without a rule here: {sorted(unknown)}")
    written = schema.get("type", ())
    types = frozenset((written,) if isinstance(written, str) else written)
    rules = {
        name: rule
        for name, rule in (
            ("object", _object_rule(schema)),
            ("array", _array_rule(schema)),
            ("string", _string_rule(schema)),
            ("number", _number_rule(schema)),
        )
    }
    enum = schema.get("enum")

    def check(value: Any, place: str, complaints: list[str]) -> None:
        kind = _kind(value)
        if types and kind not in types and not (kind == "integer" and "number" in types):
            complaints.append(f"{place}: must be {' or '.join(sorted(types))}, not {kind}")
            return
        # The official enumerations of nullable fields do not list null.
        if enum is not None and value is not None and value not in enum:
            complaints.append(f"{place}: must be one of {', '.join(map(str, enum[:10]))}")
            return
        rule = rules.get("number" if kind == "integer" else kind)
        if rule is not None:
            rule(value, place, complaints)

    return check


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _object_rule(schema: Schema) -> Check:
    properties = {name: _check(part) for name, part in schema.get("properties", {}).items()}
    required = tuple(schema.get("required", ()))
    additional = schema.get("additionalProperties", True)
    rest = _check(additional) if isinstance(additional, Mapping) else None
    least, most = schema.get("minProperties", 0), schema.get("maxProperties")

    def check(value: Any, place: str, complaints: list[str]) -> None:
        for name in required:
            if name not in value:
                complaints.append(f"{place}.{name}: is required")
        if len(value) < least or (most is not None and len(value) > most):
            complaints.append(f"{place}: must have {least} to {most} members")
        for name, part in value.items():
            rule = properties.get(name, rest)
            if rule is not None:
                rule(part, f"{place}.{name}", complaints)
            elif additional is False:
                complaints.append(f"{place}.{name}: is not a member of this object")

    return check


def _array_rule(schema: Schema) -> Check:
    item = _check(schema["items"]) if "items" in schema else None
    least, most = schema.get("minItems", 0), schema.get("maxItems")

    def check(value: Any, place: str, complaints: list[str]) -> None:
        if len(value) < least or (most is not None and len(value) > most):
            complaints.append(f"{place}: must have {least} to {most} items")
        if item is not None:
            for index, part in enumerate(value):
                item(part, f"{place}[{index}]", complaints)

    return check


def _string_rule(schema: Schema) -> Check:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    matches = _pattern(schema["pattern"]).search if "pattern" in schema else None
    is_formed = _FORMATS.get(schema.get("format", ""))

    def check(value: Any, place: str, complaints: list[str]) -> None:
        if len(value) < least or (most is not None and len(value) > most):
            complaints.append(f"{place}: must have {least} to {most} characters")
        if matches is not None and matches(value) is None:
            complaints.append(f"{place}: must match {schema['pattern']}")
        if is_formed is not None and not is_formed(value):
            complaints.append(f"{place}: must be a {schema['format']}")

    return check


def _pattern(pattern: str) -> re.Pattern[str]:
    # In ECMA-262, which schemas are written in, $ is the very end and does not forgive a line break before it.
    return re.compile(re.sub(r"\$$", r"\\Z", pattern))


def _number_rule(schema: Schema) -> Check:
    least, most = schema.get("minimum"), schema.get("maximum")
    bound = _INTEGER_BOUNDS.get(schema.get("format", ""))

    def check(value: Any, place: str, complaints: list[str]) -> None:
        if (least is not None and value < least) or (most is not None and value > most):
            complaints.append(f"{place}: must be from {least} to {most}")
        elif bound is not None and not -bound <= value < bound:
            complaints.append(f"{place}: must fit {schema['format']}")

    return check


def parse_time(text: str) -> datetime.datetime | None:
    """An RFC 3339 time as an aware datetime, or None. Digits beyond microseconds are cut off."""
    if not _RFC_3339.fullmatch(text):
        return None
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


_FORMATS: dict[str, Callable[[str], bool]] = {"uuid": _is_uuid, "date-time": lambda text: parse_time(text) is not None}
