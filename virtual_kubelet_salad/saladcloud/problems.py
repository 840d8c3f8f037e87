"""What an answer of SaladCloud that is no success means.

Status and content type decide before the body is believed: a proxy in front of the API answers with HTML pages of any
status. A problem's `type` may be a URL, a bare word, anything, or missing. SaladCloud's own text is passed on, clipped
and without any value of the request that could be secret. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from virtual_kubelet_salad.errors import (
    Blocked,
    Conflict,
    CouldNotAsk,
    Error,
    NotFound,
    Refused,
    Unauthorized,
    UnknownPlace,
)
from virtual_kubelet_salad.saladcloud import secret_texts
from virtual_kubelet_salad.saladcloud.owner import SALAD_VK_OWNER
from virtual_kubelet_salad.saladcloud.transport import Answer

UPDATE_IN_PROGRESS_RETRY_SECONDS = 15.0
# For a 429 that does not say when to come back.
RATE_LIMITED_RETRY_SECONDS = 5.0
TEXT_LIMIT_IN_CHARS = 400

CANNOT_START = "cannot_start_container_group_with_current_status"
QUOTA_EXCEEDED = "QuotaExceeded"
OUT_OF_CREDIT = "OutOfCredit"

# The parts of a request that hold what only the pod's author may see.
_SECRET_PARTS = ("environment_variables", "registry_authentication", "logging")
_PLACE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*(?:(?:\.|\[\d+\]\.?)[A-Za-z0-9_$]+)+|[a-z]+(?:_[a-z]+)+")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\uffff]+")


def error_of(answer: Answer, *, is_write: bool, request: object = None) -> Error:
    """The error that this answer (not a 2xx) is."""
    status = answer.status
    if status == 429:
        return CouldNotAsk(
            "SaladCloud answered that there are too many requests",
            retry_after=RATE_LIMITED_RETRY_SECONDS if answer.retry_after is None else answer.retry_after,
        )
    if status < 400:
        return CouldNotAsk(f"SaladCloud answered {status}, which is no answer")
    if status == 408 or status >= 500:
        return CouldNotAsk(f"SaladCloud answered {status}", retry_after=answer.retry_after, may_be_applied=is_write)
    if not answer.is_json or not isinstance(answer.body, Mapping):
        text = f"SaladCloud answered {status} with a page instead of a reason"
        return CouldNotAsk(text, retry_after=answer.retry_after)
    return _error_of_problem(status, answer.body, request)


def type_of(body: object) -> str:
    """The problem's type as a bare word in lower case; empty when there is none."""
    kind = body.get("type") if isinstance(body, Mapping) else None
    return kind.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1].lower() if isinstance(kind, str) else ""


def text_of(body: Mapping[str, Any], request: object = None) -> str:
    """What the problem says, fit for a log and for a pod's status."""
    said = [str(body[key]) for key in ("title", "detail") if isinstance(body.get(key), str)]
    said += [f"{place}: {' '.join(map(str, rules))}" for place, rules in _field_errors(body).items()]
    text = ": ".join(dict.fromkeys(said)) or type_of(body) or "no reason given"
    # Secrets first: what is not printable in them must still be there to be found.
    text = _NOT_PRINTABLE.sub(" ", secret_texts.without(text, _secrets(request)))
    return text if len(text) <= TEXT_LIMIT_IN_CHARS else text[: TEXT_LIMIT_IN_CHARS - 1] + "…"


def _error_of_problem(status: int, body: Mapping[str, Any], request: object) -> Error:
    kind, text = type_of(body), text_of(body, request)
    if kind == "no_credits_available":
        return Blocked(OUT_OF_CREDIT, f"SaladCloud has no credit for this organization: {text}")
    if kind.endswith("quota_exceeded"):
        return Blocked(QUOTA_EXCEEDED, f"SaladCloud's quota is used up: {text}")
    if kind == "name_conflict" or status == 409:
        return Conflict(f"SaladCloud refused the name: {text}")
    if kind == "pending_update_in_progress":
        return CouldNotAsk(
            "SaladCloud is still applying an earlier change", retry_after=UPDATE_IN_PROGRESS_RETRY_SECONDS
        )
    if status in (401, 403):
        return Unauthorized(f"SaladCloud refused the API key: {text}")
    if status == 404:
        return _not_found(kind, text)
    if status == 400:
        places = _places(body)
        named = places & _names_in(request)
        # Which classes exist changes from day to day.
        if named and "gpuclasses" not in places and kind != "container_group_update_exception":
            return Refused("RejectedBySaladCloud", f"SaladCloud refuses the request: {text}")
    return Blocked("RejectedBySaladCloud", f"SaladCloud refuses the request ({status}): {text}")


def _not_found(kind: str, text: str) -> Error:
    if kind.startswith(("organization", "project")):
        # Said about everything when the configuration is wrong; nothing may be concluded about one group.
        return UnknownPlace("SaladCloud does not know the organization or the project")
    return NotFound(f"SaladCloud says: {text}")


def _field_errors(body: Mapping[str, Any]) -> dict[str, list[Any]]:
    errors = body.get("errors")
    if not isinstance(errors, Mapping):
        return {}
    return {str(place): rules if isinstance(rules, list) else [rules] for place, rules in errors.items()}


def _places(body: Mapping[str, Any]) -> set[str]:
    """Every word of every place that the problem names, without underscores."""
    said = " ".join(str(body.get(key, "")) for key in ("title", "detail"))
    places = [*_field_errors(body), *_PLACE.findall(said)]
    return {word.replace("_", "").lower() for place in places for word in _WORD.findall(place)}


def _names_in(request: object) -> set[str]:
    """The names of the fields of a request, as `_places` writes them; names of variables are the author's, not ours."""
    names: set[str] = set()
    if isinstance(request, Mapping):
        for name, value in request.items():
            names.add(str(name).replace("_", "").lower())
            if name != "environment_variables":
                names |= _names_in(value)
    elif isinstance(request, (list, tuple)):
        for item in request:
            names |= _names_in(item)
    return names


def _secrets(request: object) -> set[str]:
    container = request.get("container") if isinstance(request, Mapping) else None
    if not isinstance(container, Mapping):
        return set()
    # The owner record is ours, and the name of the pod in it may well be part of a reason.
    ours = (container.get("environment_variables") or {}).get(SALAD_VK_OWNER)
    return {text for part in _SECRET_PARTS for text in _texts_in(container.get(part)) if text != ours}


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts_in(inner)
