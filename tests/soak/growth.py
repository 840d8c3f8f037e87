"""Does a number grow: the slope of a row of samples, and how much a daemon's objects hold on to."""

from __future__ import annotations

import gc
import types
from collections.abc import Iterable, Sequence

# What everything leads to, and nothing belongs to.
_SHARED = (types.ModuleType, type)


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Of the straight line that fits (x, y) best, in y per x."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


def reachable(root: object, strangers: Iterable[object]) -> int:
    """How many objects that can hold others can be reached from `root` without going through `strangers`."""
    gc.collect()
    seen = {id(stranger) for stranger in strangers}
    waiting: list[object] = [root]
    count = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        count += 1
        # A function leads to its module and so to everything; what it remembers is in its closure.
        referents = list(one.__closure__ or ()) if isinstance(one, types.FunctionType) else gc.get_referents(one)
        waiting += [referent for referent in referents if gc.is_tracked(referent)]
    return count
