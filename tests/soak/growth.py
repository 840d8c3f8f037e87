"""Does a number grow: the slope of a row of samples, and how much a daemon's objects hold on to."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# What everything leads to, and nothing belongs to.
_SHARED = (types.ModuleType, type)


class Held(NamedTuple):
    """What can be reached from an object: how many objects, and their size together."""

    objects: int
    bytes: int


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Of the straight line that fits (x, y) best, in y per x."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


def held(root: object, strangers: Iterable[object]) -> Held:
    """What can be reached from `root` without going through `strangers`, texts and numbers included."""
    gc.collect()
    seen = {id(stranger) for stranger in strangers}
    waiting: list[object] = [root]
    objects = size = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        objects += 1
        size += sys.getsizeof(one)
        if isinstance(one, dict):
            waiting += one  # the collector passes over keys that are texts
        # A function leads to its module and so to everything; what it remembers is in its closure.
        waiting += list(one.__closure__ or ()) if isinstance(one, types.FunctionType) else gc.get_referents(one)
    return Held(objects, size)


def instances(package: str, but_not: str) -> int:
    """How many objects of that package's classes there are, wherever they are held; `but_not` is a part of it."""
    gc.collect()
    count = 0
    for one in gc.get_objects():
        module = str(type(one).__module__)
        count += module.startswith(package) and not module.startswith(but_not)
    return count
