"""A cloud that holds nothing but lines, exactly as coarse and as late as a test says: what readers of logs ask."""

from __future__ import annotations

import dataclasses
import datetime

from tests.support.clock import FakeClock
from virtual_kubelet_salad.kubelet.provider_insight import LogLine, LogQuestion
from virtual_kubelet_salad.saladcloud.client import LOG_PAGE_SIZE
from virtual_kubelet_salad.saladcloud.container_output import ContainerOutput, OutputStream
from virtual_kubelet_salad.saladcloud.models import OutputEntry, OutputPage
from virtual_kubelet_salad.saladcloud.output_tail import OutputTail

MILLISECOND = datetime.timedelta(milliseconds=1)
LONG_SECONDS = 3_600.0


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of one run; times in whole milliseconds since the begin of the world."""

    written: int
    delay: int
    """From the writing until a query can find it."""
    text: str
    run: str = "first"
    skew: int = 0
    """How wrong the machine's clock is."""


class LineCloud:
    """Answers as `SaladCloud.output_entries` does: windows include both ends, in milliseconds."""

    project = "default"

    def __init__(self, clock: FakeClock, *, is_by_receive_time: bool = True, group: str = "web") -> None:
        self.begin = clock.now()
        self.queries = 0
        self._clock = clock
        self._is_by_receive_time = is_by_receive_time
        self._group = group
        self._entries: list[OutputEntry] = []

    def put(self, *lines: Line) -> None:
        """They are found as soon as the clock has come to their time."""
        for line in lines:
            received = self.begin + (line.written + line.delay) * MILLISECOND
            shown = self.begin + (line.written + line.skew) * MILLISECOND
            self._entries.append(OutputEntry(self._group, line.run, shown, received, line.text))
        self._entries.sort(key=self._place)

    def output_entries(
        self, query: str, start: datetime.datetime, end: datetime.datetime, *, sort_order: str = "asc"
    ) -> OutputPage:
        self.queries += 1
        first, last, now = _cut(start), _cut(end), self._clock.now()
        wanted_run = query.partition('instance_id = "')[2].rstrip('"')
        found = [
            entry
            for entry in self._entries
            if first <= self._place(entry) <= last
            and entry.receive_time <= now
            and (not wanted_run or entry.instance_id == wanted_run)
        ]
        if sort_order == "desc":
            found.reverse()
        page = tuple(found[:LOG_PAGE_SIZE])
        return OutputPage(page, len(page), max(map(self._place, page), default=None))

    def cut(self, thread_id: int) -> None:
        """Nothing hangs here."""

    def _place(self, entry: OutputEntry) -> datetime.datetime:
        return entry.receive_time if self._is_by_receive_time else entry.time


class Reading:
    """One who reads the log of the group, and the tail that reads for them, step by step."""

    def __init__(self, cloud: LineCloud, clock: FakeClock) -> None:
        self._clock = clock
        self.cloud = cloud
        self.tail = OutputTail(cloud, clock)  # type: ignore[arg-type]
        self._tail_due = 0.0
        self.tail.wake = self._wake
        self._output = ContainerOutput(cloud, self.tail, clock, wait_seconds=0.0)  # type: ignore[arg-type]
        self._streams: list[tuple[OutputStream, list[LogLine]]] = []

    def ask(self, **options: object) -> list[LogLine]:
        """What this reader has got; grows as time passes."""
        question = LogQuestion(("web",), **{"container_id": "", "began": self.cloud.begin, **options})  # type: ignore
        lines: list[LogLine] = []
        self._streams.append((self._output.stream(question), lines))
        self._read()
        return lines

    def run(self, seconds: float, step_seconds: float = 1.0) -> None:
        end = self._clock.monotonic() + seconds
        while self._clock.monotonic() < end:
            self._clock.advance(step_seconds)
            if self._tail_due <= self._clock.monotonic():
                self._tail_due = self._clock.monotonic() + LONG_SECONDS
                self._tail_due = self._clock.monotonic() + self.tail.step()
            self._read()

    def _wake(self) -> None:
        self._tail_due = 0.0

    def _read(self) -> None:
        for stream, lines in list(self._streams):
            while found := stream.read():
                lines.extend(found)
            if found is None:
                self._streams.remove((stream, lines))


def _cut(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
