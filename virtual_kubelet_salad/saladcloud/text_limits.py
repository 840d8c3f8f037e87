"""What SaladCloud takes as the text of a command item or an environment value (OpenAPI: 1 to 1000 characters, pattern
`^.*$`).
"""

from __future__ import annotations

ITEM_LIMIT_IN_CHARS = 1000

# What `.` does not match in an ECMA regular expression, the dialect of OpenAPI patterns.
_LINE_BREAKS = frozenset("\n\r\u2028\u2029")


def has_line_break(text: str) -> bool:
    return not _LINE_BREAKS.isdisjoint(text)


def problem_of(text: str, limit_in_chars: int = ITEM_LIMIT_IN_CHARS) -> str:
    """What is wrong with a text, to continue a sentence that names it; empty when it is fine. Never quotes it."""
    if not text:
        return "is empty"
    if len(text) > limit_in_chars:
        return f"has {len(text)} characters"
    if has_line_break(text):
        return "has a line break"
    return ""
