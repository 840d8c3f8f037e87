"""Turns an answer of the API server into its body or into one typed error.

An error is believed only when it comes with the API server's own `Status` object: a 404 page of a proxy says nothing
about an object, so it is "could not ask". Texts are taken from `Status.message` alone and are clipped; raw bodies and
headers never reach an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from virtual_kubelet_salad import errors

# Long enough for every sentence of the API server that helps; a rejected object may be printed behind it in full.
MAX_TEXT_CHARACTERS = 300
# A server that asks for more is asked again after this long all the same.
MAX_RETRY_AFTER_SECONDS = 300.0

# Refusals that repeat themselves for the same request; all of them mean that nothing was applied.
_DEFINITE_REFUSALS = frozenset({400, 405, 406, 413, 415})


@dataclass(frozen=True)
class ApiAnswer:
    """What came back. `body` is the decoded JSON object, None if there was none; names in `headers` are lower case."""

    status: int
    body: dict[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def body_of(answer: ApiAnswer, *, is_write: bool) -> dict[str, Any]:
    """The body of a success. Raises the typed error of anything else; `is_write` decides whether it may have been
    applied.
    """
    if 200 <= answer.status < 300:
        if answer.body is None:
            raise errors.CouldNotAsk(f"HTTP {answer.status} without a JSON object", may_be_applied=is_write)
        return answer.body
    raise _error_of(answer, is_write)


def _error_of(answer: ApiAnswer, is_write: bool) -> errors.Error:
    status = answer.body if answer.body is not None and answer.body.get("kind") == "Status" else None
    delay = retry_after(answer.headers)
    if answer.status == 401:
        return errors.Unauthorized("the API server refused the credentials (401)")
    if answer.status == 429:
        return errors.CouldNotAsk("the API server asks for fewer requests (429)", retry_after=delay)
    if status is None:
        text = f"HTTP {answer.status} that does not come from the API server itself"
        return errors.CouldNotAsk(text, retry_after=delay, may_be_applied=is_write)
    text = _clipped(status.get("message")) or f"HTTP {answer.status}"
    match answer.status:
        case 403:
            return errors.Forbidden(text)
        case 404:
            return errors.NotFound(text)
        case 409:
            return errors.Conflict(text)
        case 410:
            return errors.Expired(text)
        case 422:
            return errors.Invalid(text, _causes(status))
    if answer.status in _DEFINITE_REFUSALS:
        return errors.Rejected(_clipped(status.get("reason")) or "BadRequest", text)
    return errors.CouldNotAsk(f"HTTP {answer.status}: {text}", retry_after=delay, may_be_applied=is_write)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header; None when there is none or it is a date."""
    value = headers.get("retry-after", "").strip()
    return min(float(value), MAX_RETRY_AFTER_SECONDS) if value.isascii() and value.isdigit() else None


def _causes(status: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    if not isinstance(causes, list):
        return ()
    known = [cause for cause in causes if isinstance(cause, dict)]
    return tuple((_clipped(cause.get("field")), _clipped(cause.get("message"))) for cause in known)


def _clipped(text: object) -> str:
    """One printable line of at most MAX_TEXT_CHARACTERS; "" for anything but a text."""
    if not isinstance(text, str):
        return ""
    line = " ".join(text[: 4 * MAX_TEXT_CHARACTERS].split())
    return line if len(line) <= MAX_TEXT_CHARACTERS else line[: MAX_TEXT_CHARACTERS - 1] + "…"
