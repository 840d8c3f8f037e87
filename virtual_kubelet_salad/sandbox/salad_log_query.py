"""The query language of log entries: text → a function that tells whether an entry matches.

`field operator value`, joined by `and`, `or`, `not` and parentheses (`not` binds strongest, `or` weakest; the words
in any case). Strings are in double quotes with backslash escapes. Operators: `=  =~  !=  !=~  <  <=  >  >=` and
`contains startswith endswith`, each also with a leading `!` (negated) and a trailing `~` (case is ignored).
Severities are compared by rank, times as times, everything else as text or number. A field that an entry does not
have matches only negated operators. Source: the documentation of log queries.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from typing import Any, Protocol

from virtual_kubelet_salad.sandbox.salad_validation import parse_time

SEVERITIES = ("default", "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

Predicate = Callable[[Any], bool]


class Entry(Protocol):
    """What a query looks at; times are seconds since the epoch."""

    time: float
    received: float
    severity: str
    kind: str
    labels: dict[str, str]
    json_log: dict[str, Any] | None
    text_log: str | None


class QueryError(ValueError):
    """The query cannot be understood; the text says where."""


_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<operator>!?(?:contains|startswith|endswith)\b~?|!=~|=~|!=|<=|>=|=|<|>)"""
    r"""|(?P<bracket>[()])"""
    r"""|(?P<number>-?\d+(?:\.\d+)?(?![\w.-]))"""
    r"""|(?P<word>[A-Za-z_][\w.-]*))""",
    re.IGNORECASE,
)

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "=": operator.eq,
    "contains": operator.contains,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


@functools.lru_cache(maxsize=256)
def compile_query(query: str) -> Predicate:
    """Raises QueryError. An empty query is one, as on the live service."""
    parser = _Parser(query)
    predicate = parser.alternatives()
    parser.expect_end()
    return predicate


class _Parser:
    def __init__(self, query: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position, end = 0, len(query.rstrip())
        while position < end:
            match = _TOKEN.match(query, position)
            if match is None:
                raise QueryError(f"unexpected character at position {position}")
            self._tokens.append((str(match.lastgroup), match.group(str(match.lastgroup))))
            position = match.end()
        self._next = 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._next += 1
        return token

    def _take_word(self, word: str) -> bool:
        kind, text = self._peek()
        if kind == "word" and text.lower() == word:
            self._next += 1
            return True
        return False

    def expect_end(self) -> None:
        kind, text = self._peek()
        if kind != "end":
            raise QueryError(f"unexpected {text}")

    def alternatives(self) -> Predicate:
        parts = [self._conjunction()]
        while self._take_word("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else lambda entry: any(part(entry) for part in parts)

    def _conjunction(self) -> Predicate:
        parts = [self._term()]
        while self._take_word("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda entry: all(part(entry) for part in parts)

    def _term(self) -> Predicate:
        if self._take_word("not"):
            negated = self._term()
            return lambda entry: not negated(entry)
        kind, text = self._take()
        if (kind, text) == ("bracket", "("):
            inside = self.alternatives()
            if self._take() != ("bracket", ")"):
                raise QueryError("a closing parenthesis is missing")
            return inside
        if kind != "word":
            raise QueryError(f"a field was expected, not {text or 'the end'}")
        operator_kind, written = self._take()
        if operator_kind != "operator":
            raise QueryError(f"an operator was expected after {text}")
        return _condition(text, written.lower(), self._value())

    def _value(self) -> str | float | bool:
        kind, text = self._take()
        if kind == "string":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind == "number":
            return float(text)
        if kind == "word" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise QueryError(f"a value was expected, not {text or 'the end'}")


def _condition(field: str, written: str, value: str | float | bool) -> Predicate:
    if field == "log" and written.lstrip("!").rstrip("~") != "contains":
        raise QueryError("log can only be searched with contains")
    if field == "severity" and written in ("=", "!=", *_COMPARISONS) and value not in SEVERITIES:
        raise QueryError("unknown severity")
    read = _reader(field)
    if written in _COMPARISONS:
        return _comparison(field, read, _COMPARISONS[written], value)
    is_negated, ignores_case = written.startswith("!"), written.endswith("~")
    name = written.lstrip("!").rstrip("~") or "="
    if isinstance(value, str) and field not in ("time", "receive_time"):
        matches = _text_test(read, _TEXT_TESTS[name], value, ignores_case)
    elif name == "=":
        matches = _comparison(field, read, operator.eq, value)
    else:
        raise QueryError(f"{name} needs a text")
    return (lambda entry: not matches(entry)) if is_negated else matches


def _text_test(
    read: Callable[[Any], Any], test: Callable[[str, str], bool], wanted: str, ignores_case: bool
) -> Predicate:
    if ignores_case:
        wanted = wanted.casefold()

    def matches(entry: Any) -> bool:
        found = read(entry)
        return isinstance(found, str) and test(found.casefold() if ignores_case else found, wanted)

    return matches


def _comparison(
    field: str, read: Callable[[Any], Any], compare: Callable[[Any, Any], bool], value: str | float | bool
) -> Predicate:
    wanted: Any = value
    if field == "severity":
        rank = SEVERITIES.index(str(value))
        return lambda entry: compare(SEVERITIES.index(read(entry)), rank)
    if field in ("time", "receive_time"):
        moment = parse_time(value) if isinstance(value, str) else None
        if moment is None:
            raise QueryError(f"{field} is compared with an RFC 3339 time")
        wanted = moment.timestamp()

    def matches(entry: Any) -> bool:
        found = read(entry)
        return isinstance(found, str) == isinstance(wanted, str) and found is not None and compare(found, wanted)

    return matches


def _reader(field: str) -> Callable[[Any], Any]:
    """How to read a field from an entry."""
    if field in _PLAIN_FIELDS:
        return operator.attrgetter(_PLAIN_FIELDS[field])
    if field.startswith("resource.labels."):
        label = field.removeprefix("resource.labels.")
        return lambda entry: entry.labels.get(label)
    if field.startswith("json_log."):
        keys = field.split(".")[1:]
        return lambda entry: _inside(entry.json_log, keys)
    if field == "log":
        return lambda entry: entry.text_log if entry.text_log is not None else str(entry.json_log)
    raise QueryError(f"unknown field {field}")


_PLAIN_FIELDS = {
    "severity": "severity",
    "time": "time",
    "receive_time": "received",
    "resource.type": "kind",
    "text_log": "text_log",
}


def _inside(value: Any, keys: list[str]) -> Any:
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
