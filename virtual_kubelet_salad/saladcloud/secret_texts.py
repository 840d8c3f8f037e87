"""Takes secrets out of a text that somebody else wrote, such as a refusal that repeats the request.

Guarantees: no secret stays, neither as it is nor as JSON or HTML escapes it, and of a longer one no part that could be
told from chance (a server may cut what it repeats). Too much may go: whoever reads the text sees where. Pure.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

MARK = "…"
# A shorter text cannot be taken out of a sentence without tearing it, and is no secret either.
SHORTEST_SECRET_IN_CHARS = 3
# Words are shorter.
SHORTEST_PART_IN_CHARS = 12
# What is behind it is dropped unread: a reason is shorter, and a page of megabytes should cost nothing.
LONGEST_TEXT_IN_CHARS = 4_000


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with `MARK` in place of each run of characters that a secret could have."""
    forms = {form for secret in secrets if len(secret) >= SHORTEST_SECRET_IN_CHARS for form in _forms(secret)}
    kept, rest = text[:LONGEST_TEXT_IN_CHARS], text[LONGEST_TEXT_IN_CHARS:]
    hidden = [False] * len(kept)
    for form in forms:
        start = kept.find(form)
        while start >= 0:
            _hide(hidden, start, len(form))
            start = kept.find(form, start + 1)
    parts = {part for form in forms for part in _parts(form)}
    for start, part in enumerate(_parts(kept)):
        if part in parts:
            _hide(hidden, start, SHORTEST_PART_IN_CHARS)
    if rest:
        # It may have cut a secret.
        _hide(hidden, max(0, len(kept) - SHORTEST_PART_IN_CHARS), SHORTEST_PART_IN_CHARS)
    return "".join(
        MARK if is_hidden else character
        for index, (character, is_hidden) in enumerate(zip(kept, hidden, strict=True))
        if not (is_hidden and index > 0 and hidden[index - 1])
    )


def without_in(value: Any, secrets: tuple[str, ...]) -> Any:
    """The same for every text in a JSON value."""
    if isinstance(value, str):
        return without(value, secrets)
    if isinstance(value, list):
        return [without_in(item, secrets) for item in value]
    if isinstance(value, dict):
        return {without(key, secrets): without_in(inner, secrets) for key, inner in value.items()}
    return value


def _forms(secret: str) -> tuple[str, ...]:
    """How a secret may be written in a text."""
    return (
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
    )


def _parts(text: str) -> Iterable[str]:
    return (text[start : start + SHORTEST_PART_IN_CHARS] for start in range(len(text) - SHORTEST_PART_IN_CHARS + 1))


def _hide(hidden: list[bool], start: int, length: int) -> None:
    hidden[start : start + length] = [True] * length
