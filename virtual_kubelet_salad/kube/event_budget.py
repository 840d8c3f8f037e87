"""How many Events may be written: so many at once, then one per period. Pure; who shares one guards it.

The figures are those of the kubelet: 50 a second for the whole node (bursts of 100), and for each object 25 and then
one in five minutes (client-go's spam filter). Unlike there, what comes too early is put off, and only what would have
to wait for too long is given up.
"""

from __future__ import annotations

import math
from collections import OrderedDict

NODE_BURST = 100
NODE_PERIOD_SECONDS = 1 / 50
OBJECT_BURST = 25
OBJECT_PERIOD_SECONDS = 300.0
# An object that is forgotten begins with a full burst; as many objects as a large node has pods.
_MAX_OBJECTS = 8_192


class NodeBudget:
    """Paces all writes together."""

    def __init__(self) -> None:
        self._spent_until = -math.inf

    def seconds_until_next(self, now: float) -> float:
        """How long the next write must wait; 0.0: it may go. `now` is monotonic."""
        return max(0.0, self._spent_until - NODE_BURST * NODE_PERIOD_SECONDS + NODE_PERIOD_SECONDS - now)

    def spend(self, now: float) -> None:
        """A write goes."""
        self._spent_until = max(self._spent_until, now) + NODE_PERIOD_SECONDS


class ObjectBudgets:
    """One budget for each object; a time per object is all that it takes."""

    def __init__(self) -> None:
        self._spent_until: OrderedDict[str, float] = OrderedDict()

    def reserve(self, name: str, now: float, longest_wait_seconds: float) -> float | None:
        """The monotonic time from which one more Event about the object may be written; None: too late to be of use,
        and nothing is reserved.
        """
        spent_until = max(self._spent_until.get(name, now), now) + OBJECT_PERIOD_SECONDS
        due = max(now, spent_until - OBJECT_BURST * OBJECT_PERIOD_SECONDS)
        if due - now > longest_wait_seconds:
            return None
        self._spent_until[name] = spent_until
        self._spent_until.move_to_end(name)
        # Who has a full burst again needs no entry.
        while len(self._spent_until) > _MAX_OBJECTS or next(iter(self._spent_until.values())) <= now:
            self._spent_until.popitem(last=False)
        return due
