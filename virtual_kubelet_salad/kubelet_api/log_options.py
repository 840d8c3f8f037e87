"""The options of a question for logs, as `kubectl logs` puts them into the query; pure.

The API server has checked them already; what others send wrong is answered like a kubelet does, with 400.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from virtual_kubelet_salad.kubelet.pods import parse_time
from virtual_kubelet_salad.kubelet_api.answers import Answered

# A cloud's logs come in at some thousand lines a minute; who wants more of them reads from a moment on.
MOST_TAIL_LINES = 10_000
_MOST_DIGITS = 15


@dataclass(frozen=True, slots=True)
class LogOptions:
    """See `kubectl logs --help`."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since_seconds: int | None = None
    since_time: datetime.datetime | None = None


def parse(query: str) -> LogOptions:
    """Raises `Answered` with 400. Options that are new to us are ignored, as a kubelet does."""
    try:
        given = parse_qs(query, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise _bad("the query cannot be read") from None
    options = LogOptions(
        follow=_switch(given, "follow"),
        previous=_switch(given, "previous"),
        timestamps=_switch(given, "timestamps"),
        tail_lines=_number(given, "tailLines", 0),
        limit_bytes=_number(given, "limitBytes", 1),
        since_seconds=_number(given, "sinceSeconds", 1),
        since_time=_moment(given, "sinceTime"),
    )
    if options.since_seconds is not None and options.since_time is not None:
        raise _bad("at most one of sinceTime and sinceSeconds may be given")
    if options.tail_lines is not None and options.tail_lines > MOST_TAIL_LINES:
        raise _bad(f"tailLines may be {MOST_TAIL_LINES} at the most on this node")
    if given.get("stream", ["All"])[-1] not in ("", "All"):
        raise _bad("the logs of this node do not tell stdout from stderr, so stream can only be All")
    return options


def _switch(given: Mapping[str, Sequence[str]], name: str) -> bool:
    text = given.get(name, ["false"])[-1]
    if text in ("1", "t", "T", "true", "TRUE", "True", ""):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise _bad(f"{name} is neither true nor false")


def _number(given: Mapping[str, Sequence[str]], name: str, least: int) -> int | None:
    if name not in given:
        return None
    text = given[name][-1]
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS) or int(text) < least:
        raise _bad(f"{name} must be a whole number of at least {least}")
    return int(text)


def _moment(given: Mapping[str, Sequence[str]], name: str) -> datetime.datetime | None:
    if name not in given:
        return None
    moment = parse_time(given[name][-1])
    if moment is None or moment.tzinfo is None:
        raise _bad(f"{name} is not a time as RFC 3339 writes it")
    return moment


def _bad(text: str) -> Answered:
    return Answered(400, "BadRequest", text)
