"""Reads what containers wrote in the past: from a moment on, or so many of the last lines.

The live service answers wide windows of a busy container with errors and narrow ones of a silent container with
nothing, so windows grow while they are nearly empty and shrink when they fail. Runs on the thread of whoever asks,
which comes back about each second while the budget or a failure makes it wait.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator, Iterator, Sequence

from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, Unauthorized
from virtual_kubelet_salad.saladcloud.client import LOG_PAGE_SIZE, SaladCloud
from virtual_kubelet_salad.saladcloud.models import OutputEntry
from virtual_kubelet_salad.saladcloud.output_order import HELD
from virtual_kubelet_salad.saladcloud.output_pages import Abandoned, Page, Pages, Seen

FIRST_WIDTH = datetime.timedelta(minutes=5)
NARROWEST = datetime.timedelta(seconds=15)
WIDEST = datetime.timedelta(days=1)
# One window further back, at most so much longer than all before it.
GROWTH = 4
# A little more than what seems to be needed, so that one window is enough.
SURPLUS = 1.25
MOST_FAILURES = 5
WAIT_SECONDS = 1.0
_ALMOST_EMPTY = LOG_PAGE_SIZE // 2

Pause = Callable[[float], None]


class OutputHistory:
    """What matches one query. For one thread."""

    def __init__(self, client: SaladCloud, wanted: str, pause: Pause) -> None:
        """`pause` waits for so many seconds, or less."""
        self._pages = Pages(client)
        self._wanted = wanted
        self._pause = pause
        self._width = FIRST_WIDTH
        self._widest = WIDEST
        self._failures = 0

    def abandon(self) -> None:
        """Nobody waits for it any more: `Abandoned` at once, also out of a query that hangs. From any thread."""
        self._pages.abandon()

    def forward(
        self, start: datetime.datetime, end: datetime.datetime
    ) -> Iterator[tuple[Sequence[OutputEntry], datetime.datetime]]:
        """Page by page, and how far that was; pages overlap. An empty page at the same place: it had to wait. Raises
        `CouldNotAsk`.
        """
        at = start
        while at < end:
            stop = min(end, at + self._width)
            page = self._page(at, stop)
            if page is None:
                yield (), at
                continue
            at = stop if page.next_start is None else page.next_start
            if page.next_start is None and len(page.entries) < _ALMOST_EMPTY:
                self._width = min(self._widest, self._width * 2)
            yield page.entries, at

    def last(
        self, count: int, start: datetime.datetime, end: datetime.datetime
    ) -> Generator[None, None, list[OutputEntry]]:
        """All entries from somewhere before the last `count` lines on; yields when it had to wait. Raises
        `CouldNotAsk`.

        What was received within ten seconds after the beginning of a window may have been overtaken by lines that
        came in before it, so that many more are read.
        """
        found: list[OutputEntry] = []
        # Windows share the millisecond in which they meet.
        seen = Seen()
        at, width = end, min(FIRST_WIDTH, max(NARROWEST, end - start))
        while at > start:
            begin = max(start, at - width)
            chunk = yield from self._window(begin, at, count)
            if isinstance(chunk, datetime.timedelta):
                width = chunk
                continue
            found += seen.new(chunk)
            at = begin
            sure = sum(entry.receive_time >= begin + HELD for entry in found)
            if sure >= count:
                break
            width = min(WIDEST, (end - begin) * GROWTH)
            if found:
                width = min(width, _width_for(count - sure, len(found), end - begin))
        return found

    def _window(
        self, begin: datetime.datetime, end: datetime.datetime, count: int
    ) -> Generator[None, None, list[OutputEntry] | datetime.timedelta]:
        """All entries of a window; or how wide it should be, because this one holds many more than are wanted."""
        found: list[OutputEntry] = []
        seen = Seen()
        at = begin
        while True:
            page = self._page(at, end)
            if page is None:
                yield
                if self._failures and end - begin > self._widest:
                    return self._widest
                continue
            found += seen.new(page.entries)
            if page.next_start is None:
                return found
            if at == begin:
                enough = _width_for(count, len(page.entries), page.next_start - begin)
                if enough < (end - begin) / 2:
                    return enough
            at = page.next_start

    def _page(self, start: datetime.datetime, stop: datetime.datetime) -> Page | None:
        """None: it had to wait."""
        try:
            page = self._pages.read(self._wanted, start, stop)
        except (Unauthorized, Abandoned):
            raise
        except NoBudget as error:
            self._pause(min(error.retry_after or WAIT_SECONDS, WAIT_SECONDS))
            return None
        except CouldNotAsk as error:
            self._failures += 1
            if self._failures > MOST_FAILURES:
                raise
            self._width = self._widest = max(NARROWEST, (stop - start) / 2)
            self._pause(min(error.retry_after or WAIT_SECONDS, WAIT_SECONDS))
            return None
        self._failures = 0
        return page


def _width_for(count: int, seen: int, span: datetime.timedelta) -> datetime.timedelta:
    """A window that should hold `count` lines, when there were `seen` in `span`."""
    return max(NARROWEST, span * (SURPLUS * count / seen) + HELD)
