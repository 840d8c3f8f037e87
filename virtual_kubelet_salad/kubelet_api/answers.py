"""The forms in which the port answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

_PHRASES = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
}  # fmt: skip
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class Answered(Exception):
    """Raised to answer a request at once with an error. `message` is for the one who asked."""

    def __init__(self, code: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.headers = dict(headers or {})


def text(start_response: StartResponse, code: int, content: str, content_type: str = TEXT) -> Iterable[bytes]:
    return _whole(start_response, code, content.encode(), content_type, {})


def json_object(start_response: StartResponse, content: Mapping[str, Any]) -> Iterable[bytes]:
    return _whole(start_response, 200, json.dumps(content).encode(), JSON, {})


def plain_error(start_response: StartResponse, error: Answered) -> Iterable[bytes]:
    """An error as text, which is what `kubectl logs` shows as it is."""
    return _whole(start_response, error.code, error.message.encode(), TEXT, error.headers)


def status_error(start_response: StartResponse, error: Answered) -> Iterable[bytes]:
    """An error as a `Status` object, whose message `kubectl exec` and its like show."""
    content = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "code": error.code,
    }
    return _whole(start_response, error.code, json.dumps(content).encode(), JSON, error.headers)


def begin(start_response: StartResponse, content_type: str = TEXT) -> None:
    """The begin of a stream; its chunks follow."""
    start_response("200 OK", [("Content-Type", content_type), ("Cache-Control", "no-store")])


def _whole(
    start_response: StartResponse, code: int, content: bytes, content_type: str, headers: Mapping[str, str]
) -> Iterable[bytes]:
    own = {"Content-Type": content_type, "Content-Length": str(len(content)), "Cache-Control": "no-store"}
    start_response(f"{code} {_PHRASES[code]}", [*own.items(), *headers.items()])
    return [content]
