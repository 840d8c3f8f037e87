"""Puts the lines of each run in order, although they come in late and the clocks of machines are wrong. Pure.

A machine's clock is wrong but steady, so its lines are in order by it. A line that comes in may be overtaken by an
earlier one that is still on its way, so each is held back for as long as a line can take: ten seconds, which is what
the live service was seen to need. That the lines so far came in evenly does not shorten it, because one late line among
a thousand would then be shown in the wrong place. A line that takes longer still is shown when it comes.
"""

from __future__ import annotations

import bisect
import collections
import datetime
from collections.abc import Iterable

from virtual_kubelet_salad.saladcloud.models import OutputEntry

HELD = datetime.timedelta(seconds=10)


class OutputOrder:
    """The lines of any number of runs. For one thread."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def add(self, entries: Iterable[OutputEntry]) -> None:
        for entry in entries:
            run = self._runs.get(entry.instance_id)
            if run is None:
                run = self._runs[entry.instance_id] = _Run(len(self._runs))
            run.add(entry)

    def release(self, read_until: datetime.datetime | None) -> list[OutputEntry]:
        """The lines that nothing can overtake any more when everything that SaladCloud received until then has been
        added; None: there is no more to come, so all.
        """
        released = [due for run in self._runs.values() for due in run.release(read_until)]
        # Runs one beside the other by when their lines were written, as far as that can be told.
        released.sort(key=lambda due: due[:2])
        return [entry for _, _, entry in released]

    def written(self, entry: OutputEntry) -> datetime.datetime:
        """About when a line that was added was written, by SaladCloud's clock."""
        return self._runs[entry.instance_id].written(entry)


class _Run:
    def __init__(self, number: int) -> None:
        self._number = number
        self._held: collections.deque[OutputEntry] = collections.deque()
        # Difference of the clocks and least delay together.
        self._least: datetime.timedelta | None = None

    def add(self, entry: OutputEntry) -> None:
        delay = entry.receive_time - entry.time
        self._least = delay if self._least is None else min(self._least, delay)
        if not self._held or _place(self._held[-1]) <= _place(entry):
            self._held.append(entry)
        else:
            bisect.insort(self._held, entry, key=_place)

    def written(self, entry: OutputEntry) -> datetime.datetime:
        assert self._least is not None, "the entry has been added"
        return entry.time + self._least

    def release(self, read_until: datetime.datetime | None) -> list[tuple[datetime.datetime, int, OutputEntry]]:
        due = []
        while self._held:
            written = self.written(self._held[0])
            if read_until is not None and written + HELD > read_until:
                break
            due.append((written, self._number, self._held.popleft()))
        return due


def _place(entry: OutputEntry) -> tuple[datetime.datetime, datetime.datetime]:
    return entry.time, entry.receive_time
