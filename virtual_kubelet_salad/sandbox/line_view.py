"""The sandbox as plain lines, one for every change: for files, pipes and tests."""

from __future__ import annotations

from typing import TextIO

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.picture import GroupRow, Picture, PodRow
from virtual_kubelet_salad.sandbox.screen import Head

TRAFFIC_SECONDS = 10.0


class LineScreen:
    """One line per change with the seconds since the start, and the traffic now and then."""

    def __init__(self, head: Head, clock: Clock, stream: TextIO) -> None:
        self._clock = clock
        self._stream = stream
        self._started = clock.monotonic()
        self._traffic_due = self._started + TRAFFIC_SECONDS
        self._traffic = ""
        self._shown: dict[tuple[str, str], str] = {}
        self._print(head.title, f"kubectl: {head.kubectl}")

    def show(self, picture: Picture) -> None:
        rows = _lines(picture)
        seconds = self._clock.monotonic() - self._started
        changed = {thing: text for thing, text in rows.items() if self._shown.get(thing) != text}
        lines = [f"{kind} {name}: {text}" for (kind, name), text in changed.items()]
        lines += [f"{kind} {name}: gone" for kind, name in self._shown if (kind, name) not in rows]
        traffic = picture.traffic()
        if self._clock.monotonic() >= self._traffic_due and traffic != self._traffic:
            self._traffic_due, self._traffic = self._clock.monotonic() + TRAFFIC_SECONDS, traffic
            lines.append(traffic)
        self._print(*(f"{seconds:4.0f}s  {line}" for line in lines))
        self._shown = rows

    def finish(self, picture: Picture) -> None:
        """What has changed last, and the sums."""
        self._traffic_due = self._clock.monotonic()
        self.show(picture)
        self._print(f"{picture.summary()}.")

    def _print(self, *lines: str) -> None:
        for line in lines:
            print(line, file=self._stream)
        self._stream.flush()


def _lines(picture: Picture) -> dict[tuple[str, str], str]:
    """What there is to say about each thing, by kind and name."""
    lines = {("node ", row.name): row.text() for row in picture.node_rows()}
    lines.update({("pod  ", row.name): _pod_text(row) for row in picture.pod_rows()})
    lines.update({("group", row.name): _group_text(row) for row in picture.group_rows()})
    return lines


def _pod_text(row: PodRow) -> str:
    restarts = f"restarts {row.restarts}" if row.restarts else ""
    text = _joined(row.status, "ready" if row.is_ready else "", restarts)
    return f"{text}: {row.message}" if row.message else text


def _group_text(row: GroupRow) -> str:
    return f"{row.status} ({row.instances})" if row.instances else row.status


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
