"""Asks SaladCloud for what containers wrote, one page at a time, and knows each line again.

Answers hold at most 100 entries, which have no ids and whose times are cut to a millisecond where they are asked for;
so windows overlap, and an entry is new when a page shows it more often than it was seen before. Pure but for the
client's calls. Sources: SaladCloud's documentation of log queries, and what its users found out about their order.
"""

from __future__ import annotations

import collections
import datetime
import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from virtual_kubelet_salad.errors import CouldNotAsk
from virtual_kubelet_salad.saladcloud.client import LOG_PAGE_SIZE, SaladCloud
from virtual_kubelet_salad.saladcloud.models import OutputEntry, OutputPage

log = logging.getLogger(__name__)

MILLISECOND = datetime.timedelta(milliseconds=1)
# More than a window can show again: 150 s at the most that the budget lets through (3,000 entries a minute).
REMEMBERED = 20_000


def query(project: str, groups: Iterable[str], instance_id: str = "") -> str:
    """For what the containers of these groups wrote, those of one instance alone if it is named."""
    named = " or ".join(f'resource.labels.container_group_name = "{group}"' for group in groups)
    parts = ['resource.type = "container"', f'resource.labels.project_name = "{project}"', f"({named})"]
    if instance_id:
        parts.append(f'resource.labels.instance_id = "{instance_id}"')
    return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Page:
    """The first entries of a window."""

    entries: Sequence[OutputEntry]
    next_start: datetime.datetime | None
    """Where the window goes on, some of these entries included; None: this was all."""
    is_by_receive_time: bool | None
    """Whether windows go by SaladCloud's clock; False: by the machines'. None: this page does not tell."""


class Abandoned(CouldNotAsk):
    """Nobody waits for the answer any more."""


class Pages:
    """Reads pages. For one thread, but for `cut` and `abandon`, which end its present query from others."""

    def __init__(self, client: SaladCloud) -> None:
        self._client = client
        self._lock = threading.Lock()
        # Who waits in a query.
        self._asking: int | None = None
        self._is_abandoned = False
        # A page that was full of one millisecond, and of which query and moment.
        self._full: tuple[str, datetime.datetime, OutputPage] | None = None

    def cut(self) -> None:
        """Lets the query under way, if any, fail at once."""
        with self._lock:
            if self._asking is not None:
                self._client.cut(self._asking)

    def abandon(self) -> None:
        """The same, and no other query is begun. Again and again: one that only connects is not reached."""
        self._is_abandoned = True
        self.cut()

    def read(self, wanted: str, start: datetime.datetime, end: datetime.datetime) -> Page:
        """The entries that match from `start` on, as many as an answer holds. Raises `CouldNotAsk`."""
        begin = _floored(start)
        if self._full is not None and self._full[:2] == (wanted, begin):
            found = self._full[2]
        else:
            found = self._ask(wanted, start, end)
        told = _clock_of(found)
        if found.count < LOG_PAGE_SIZE:
            return Page(found.entries, None, told)
        reached = _floored(found.last_time or max((entry.receive_time for entry in found.entries), default=start))
        if reached > begin:
            return Page(found.entries, reached, told)
        # All of them in one millisecond: the other end of it, and on. The budget may not allow that at once.
        self._full = wanted, begin, found
        rest = self._ask(wanted, begin, begin + MILLISECOND, sort_order="desc")
        self._full = None
        both = _joined(found.entries, rest.entries)
        if len(both) >= 2 * LOG_PAGE_SIZE:
            log.warning("more was written in one millisecond than SaladCloud shows, lines may be missing at=%s", begin)
        return Page(both, begin + MILLISECOND, told)

    def _ask(
        self, wanted: str, start: datetime.datetime, end: datetime.datetime, sort_order: str = "asc"
    ) -> OutputPage:
        with self._lock:
            self._asking = threading.get_ident()
        try:
            if self._is_abandoned:
                raise Abandoned("nobody waits for this log any more")
            return self._client.output_entries(wanted, start, end, sort_order=sort_order)
        except CouldNotAsk as error:
            if self._is_abandoned:
                raise Abandoned("nobody waits for this log any more") from error
            raise
        finally:
            # Not before a cut is over that another thread has begun: it must not meet what this one does next.
            with self._lock:
                self._asking = None


_Key = tuple[datetime.datetime, datetime.datetime, str, int]


class Seen:
    """Which entries are known already. For one thread."""

    def __init__(self) -> None:
        self._counts: collections.OrderedDict[_Key, int] = collections.OrderedDict()

    def new(self, entries: Sequence[OutputEntry]) -> list[OutputEntry]:
        """Those of one page that are not known yet. Two equal lines of one moment are two, however often each is
        shown again.
        """
        fresh = []
        on_page: collections.Counter[_Key] = collections.Counter()
        for entry in entries:
            key = entry.time, entry.receive_time, entry.instance_id, hash(entry.text)
            on_page[key] += 1
            if on_page[key] > self._counts.get(key, 0):
                self._counts[key] = on_page[key]
                self._counts.move_to_end(key)
                fresh.append(entry)
        while len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        return fresh

    def forget(self, before: datetime.datetime) -> None:
        """What lies before this moment, by the machine's clock and by SaladCloud's, is not shown again."""
        while self._counts:
            first = next(iter(self._counts))
            if max(first[:2]) >= before:
                return
            del self._counts[first]


def _joined(first: Sequence[OutputEntry], second: Sequence[OutputEntry]) -> list[OutputEntry]:
    seen = Seen()
    return [*seen.new(first), *seen.new(second)]


def _clock_of(page: OutputPage) -> bool | None:
    if page.last_time is None or not page.entries or page.count != len(page.entries):
        return None
    is_received = page.last_time == max(entry.receive_time for entry in page.entries)
    is_written = page.last_time == max(entry.time for entry in page.entries)
    return None if is_received == is_written else is_received


def _floored(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
