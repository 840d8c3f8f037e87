"""Where a container group sends its logs beside SaladCloud: from annotations, or from a Secret that holds the sink as
JSON.

Tokens reach the request and nothing else: a message names keys, never values. Pure. Source of the limits: SaladCloud's
OpenAPI file, `CreateContainerLogging`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from virtual_kubelet_salad.kubelet.provider import Inputs, Pod, UnfitSource
from virtual_kubelet_salad.saladcloud import pod_annotations
from virtual_kubelet_salad.saladcloud.text_limits import problem_of

SECRET_KEY = "logging"
GREATEST_PORT = 65_535
# Of headers and of tags.
GREATEST_PAIR_COUNT = 1000

_REASON = "InvalidLoggingSecret"
_TEXT_SINKS = {
    "new_relic": {
        "host": pod_annotations.LOGGING_NEW_RELIC_HOST,
        "ingestion_key": pod_annotations.LOGGING_NEW_RELIC_INGESTION_KEY,
    },
    "splunk": {"host": pod_annotations.LOGGING_SPLUNK_HOST, "token": pod_annotations.LOGGING_SPLUNK_TOKEN},
}


def secret_names(pod: Pod) -> tuple[str, ...]:
    name = pod_annotations.text(pod, pod_annotations.LOGGING_SECRET)
    return (name,) if name else ()


def logging(pod: Pod, inputs: Inputs) -> dict[str, Any] | None:
    """`container.logging` of the request; None: no sink. Raises `Refused` for annotations, `UnfitSource` for the
    Secret.
    """
    sinks = annotated(pod)
    for name in secret_names(pod):
        return _from_secret(name, inputs.secrets.get(name))
    return sinks or None


def annotated(pod: Pod) -> dict[str, Any]:
    """The sink that annotations name; empty: none. Raises `Refused`, also when more than one sink is named in whatever
    way.
    """
    sinks: dict[str, Any] = {}
    for sink, parts in _TEXT_SINKS.items():
        values = {part: _limited(pod, name) for part, name in parts.items()}
        _refuse_half({name: values[part] for part, name in parts.items()})
        if values["host"] is not None:
            sinks[sink] = values
    host = _limited(pod, pod_annotations.LOGGING_TCP_HOST)
    port = pod_annotations.integer(pod, pod_annotations.LOGGING_TCP_PORT, 1, GREATEST_PORT)
    _refuse_half({pod_annotations.LOGGING_TCP_HOST: host, pod_annotations.LOGGING_TCP_PORT: port})
    if host is not None:
        sinks["tcp"] = {"host": host, "port": port}
    named = [*sinks, *(["the one in the Secret"] if secret_names(pod) else [])]
    if len(named) > 1:
        raise pod_annotations.invalid(
            pod_annotations.LOGGING_SECRET if secret_names(pod) else f"{pod_annotations.PREFIX}logging-…",
            f"is one of several logging sinks ({', '.join(named)}); SaladCloud takes one",
        )
    return sinks


def _limited(pod: Pod, name: str) -> str | None:
    value = pod_annotations.text(pod, name)
    problem = problem_of(value) if value else ""
    if problem:
        raise pod_annotations.invalid(name, f"{problem}, which SaladCloud does not take")
    return value


def _refuse_half(parts: Mapping[str, object]) -> None:
    missing = [name for name, value in parts.items() if value is None]
    present = [name for name, value in parts.items() if value is not None]
    if missing and present:
        raise pod_annotations.invalid(present[0], f"has no effect without {missing[0]}; name both or none")


def _from_secret(name: str, secret: Mapping[str, Any] | None) -> dict[str, Any]:
    if secret is None:
        raise UnfitSource(_REASON, f"The Secret {name} with the logging sink does not exist")
    encoded = (secret.get("data") or {}).get(SECRET_KEY)
    if encoded is None:
        raise UnfitSource(_REASON, f"The Secret {name} has no key {SECRET_KEY} with the logging sink")
    try:
        sink = json.loads(base64.b64decode(encoded, validate=True).decode())
    except (binascii.Error, ValueError, RecursionError):
        raise UnfitSource(_REASON, f"The key {SECRET_KEY} of the Secret {name} is not JSON") from None
    problem = _problem_of_sinks(sink)
    if problem:
        raise UnfitSource(
            _REASON, f"The key {SECRET_KEY} of the Secret {name} is no logging sink of SaladCloud's: {problem}"
        )
    found: dict[str, Any] = sink
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not problem_of(value)


def _is_text_or_null(value: object) -> bool:
    return value is None or _is_text(value)


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= GREATEST_PORT


def _are_pairs(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= GREATEST_PAIR_COUNT
        and all(
            isinstance(pair, dict) and set(pair) == {"name", "value"} and all(map(_is_text, pair.values()))
            for pair in value
        )
    )


def _are_pairs_or_null(value: object) -> bool:
    return value is None or _are_pairs(value)


def _is_format(value: object) -> bool:
    return value in ("json", "json_lines")


def _is_compression(value: object) -> bool:
    return value in ("none", "gzip")


_Check = Callable[[object], bool]
# Of each sink: what it must have, and what it may have.
_SINKS: dict[str, tuple[dict[str, _Check], dict[str, _Check]]] = {
    "axiom": ({"host": _is_text, "api_token": _is_text, "dataset": _is_text}, {}),
    "datadog": ({"host": _is_text, "api_key": _is_text, "tags": _are_pairs_or_null}, {}),
    "http": (
        {"host": _is_text, "port": _is_port, "format": _is_format, "compression": _is_compression},
        {"headers": _are_pairs, "user": _is_text_or_null, "password": _is_text_or_null, "path": _is_text_or_null},
    ),
    "new_relic": ({"host": _is_text, "ingestion_key": _is_text}, {}),
    "splunk": ({"host": _is_text, "token": _is_text}, {}),
    "tcp": ({"host": _is_text, "port": _is_port}, {}),
}


def _problem_of_sinks(sinks: object) -> str:
    """What is wrong with the JSON of a sink, named by its keys; empty when it is fine."""
    if not isinstance(sinks, dict) or len(sinks) != 1:
        return f"it must be an object with exactly one of {', '.join(_SINKS)}"
    kind, parts = next(iter(sinks.items()))
    if kind not in _SINKS or not isinstance(parts, dict):
        return f"it must be an object with exactly one of {', '.join(_SINKS)}"
    required, optional = _SINKS[kind]
    missing = sorted(set(required) - set(parts))
    if missing:
        return f"{kind} lacks {', '.join(missing)}"
    if set(parts) - set(required) - set(optional):
        return f"{kind} takes only {', '.join([*required, *optional])}"
    wrong = sorted(name for name, value in parts.items() if not (required | optional)[name](value))
    return f"{kind} has a value that SaladCloud does not take in {', '.join(wrong)}" if wrong else ""
