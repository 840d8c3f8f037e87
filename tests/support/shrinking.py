"""Makes a failing example small: whatever can be taken away while it still fails is taken away."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

MOST_TRIES = 3000


def shrunk(example: Any, is_failing: Callable[[Any], bool]) -> Any:
    """A part of `example` (dicts and lists) that fails too; nothing more can be taken from it within so many tries."""
    tries = 0
    found = True
    while found:
        found = False
        for path in _paths(example):
            candidate = _without(example, path)
            tries += 1
            if tries > MOST_TRIES:
                return example
            if is_failing(candidate):
                example, found = candidate, True
                break
    return example


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """The places of all parts, the largest first."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (key,)
    for key in keys:
        for path in _paths(value[key]):
            yield (key, *path)


def _without(value: Any, path: tuple[Any, ...]) -> Any:
    smaller = copy.deepcopy(value)
    owner = smaller
    for key in path[:-1]:
        owner = owner[key]
    del owner[path[-1]]
    return smaller
