"""Requests and answers as the model sees them, the problems it answers with, and the ways a request can fail to be
answered.

Plain values; no socket. Paths are below the API's base URL. Answers carry text, and `body` decodes it afresh each
time, so that no caller can change what the model keeps.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from virtual_kubelet_salad.sandbox.salad_description import JSON

HTML = "text/html; charset=utf-8"

_EMPTY: Mapping[str, str] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """`headers` in any case; `body` is decoded JSON, None when nothing was sent."""

    method: str
    path: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: object = None


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """`text` is what goes on the wire; an empty one means: no body."""

    status: int
    text: str = ""
    content_type: str = JSON
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def body(self) -> Any:
        """The decoded JSON (a new object at each call), the text of anything that is not JSON, or None."""
        if not self.text:
            return None
        if "json" not in self.content_type:
            return self.text
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text


class ConnectionDropped(Exception):
    """The connection ends without an answer. `hangs`: only after the client has waited in vain. `applied`: the
    request took effect all the same.
    """

    def __init__(self, *, applied: bool, hangs: bool = False) -> None:
        super().__init__("no answer" if hangs else "connection reset")
        self.applied = applied
        self.hangs = hangs


def json_answer(status: int, body: object, content_type: str = JSON, headers: Mapping[str, str] = _EMPTY) -> Response:
    return Response(status, json.dumps(body, separators=(",", ":")), content_type, headers)


def problem(status: int, kind: str | None, title: str, detail: str | None = None, **members: object) -> Response:
    """Problem details. The live service sends bare words as `type`, and sometimes none at all."""
    body: dict[str, object] = {"type": kind, "title": title, "status": status, "detail": detail, **members}
    return json_answer(status, {key: value for key, value in body.items() if value is not None})


def page(status: int, title: str) -> Response:
    """An HTML page, as the proxy in front of the API sends them."""
    head, body = f"<head><title>{title}</title></head>", f"<body><center><h1>{title}</h1></center></body>"
    return Response(status, f"<!DOCTYPE html>\n<html>{head}{body}</html>\n", HTML)


def invalid(complaints: list[str]) -> Response:
    """A refusal as the service's web framework writes it. Complaints name places and rules, never values."""
    errors = dict(complaint.partition(": ")[::2] for complaint in complaints)
    return problem(
        400,
        None,
        "One or more validation errors occurred.",
        "; ".join(complaints)[:2000],
        errors={place: [rule] for place, rule in errors.items()},
    )


NOT_FOUND = problem(404, "not_found", "Not Found")
GROUP_NOT_FOUND = problem(404, "container_group_not_found", "Not Found", "The container group was not found")
INSTANCE_NOT_FOUND = problem(
    404, "container_group_instance_not_found", "Not Found", "The container group instance was not found"
)
ORGANIZATION_NOT_FOUND = problem(
    404, "organization_not_found", "Not Found", "The organization or project was not found"
)
UNAUTHORIZED = problem(401, None, "Unauthorized")
BANNED_AGENT = page(403, "Access denied | error code: 1010")
NO_CREDITS_TITLE = "Entitlement check failed"

# Every `type` that the live service is known to have sent.
PROBLEM_TYPES = (
    "name_conflict",
    "created_replicas_quota_exceeded",
    "replicas_quota_exceeded",
    "no_credits_available",
    "cannot_start_container_group_with_current_status",
    "pending_update_in_progress",
    "container_group_update_exception",
    "connection_timeout",
    "created_quota_exceeded",
    "created_instance_quota_exceeded",
    "invalid_logging_configuration",
    "invalid_registry_authentication",
    "updated_instance_quota_exceeded",
    "organization_not_found",
    "container_group_not_found",
    "node_not_scheduled",
    "container_group_instance_not_found",
    "organization_quotas_not_defined",
    "too_many_requests",
    "unexpected_error",
)

# What a fault looks like: a status, a broken answer, or a problem of a type. `reset` and `hang` are no answers at all.
FAULTS: dict[str, Response] = {
    "400": problem(400, "unexpected_error", "Bad Request"),
    "401": UNAUTHORIZED,
    "403": page(403, "403 Forbidden"),
    "404": NOT_FOUND,
    "408": problem(408, "connection_timeout", "Request Timeout"),
    "429": problem(429, "too_many_requests", "Too Many Requests"),
    "429-retry-after": dataclasses.replace(
        problem(429, "too_many_requests", "Too Many Requests"), headers={"Retry-After": "5"}
    ),
    "500": problem(500, "unexpected_error", "An unexpected error occurred"),
    "502": page(502, "502 Bad Gateway"),
    "503": page(503, "503 Service Temporarily Unavailable"),
    "504": page(504, "504 Gateway Time-out"),
    "garbage": Response(200, '{"items":[{"name":"trunc'),
    "html200": page(200, "One moment"),
    **{kind: problem(400, kind, "Bad Request") for kind in PROBLEM_TYPES},
}
UNANSWERED = ("reset", "hang")
# Refusals that repeat the whole request, the key included: as a problem, and as a page.
ECHOES = ("echo", "echo_page")


def echo(kind: str, request: Request) -> Response:
    """A refusal of that kind to this request."""
    sent = json.dumps({"headers": dict(request.headers), "path": request.path, "body": request.body})
    if kind == "echo_page":
        return page(400, sent)
    container = request.body.get("container") if isinstance(request.body, dict) else None
    texts = [f"The value {text!r} is not valid." for text in _texts_in(container)]
    # Clients clip a long text, so what must not be shown comes first.
    return problem(400, None, "Bad Request", " ".join([*texts, sent]), errors={"container.image": [sent, *texts]})


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
