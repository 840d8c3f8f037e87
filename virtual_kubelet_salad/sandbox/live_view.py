"""The sandbox on a terminal: tables redrawn in place with rich, which the extra `sandbox` brings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.picture import GroupRow, NodeRow, Picture, PodRow
from virtual_kubelet_salad.sandbox.screen import Head

_GOOD = frozenset({"Running", "Completed", "Succeeded", "running", "succeeded", "yes"})
_BAD = frozenset({"Failed", "Error", "OOMKilled", "failed"})
_BAD_PREFIXES = ("Unsupported", "Invalid", "Rejected", "ImagePull", "ErrImage", "CrashLoop")
_IDLE = frozenset({"Terminating", "deleting", "stopped", "no"})
_GAP = 2
_MESSAGE_INDENT = 4
# A terminal that is lower than this is treated as this high.
_LEAST_LINES = 12

Line = list[Text]
"""The cells of one line of a table."""


class LiveScreen:
    """A context whose `show` redraws the terminal. Nothing else runs in between, no thread either."""

    def __init__(self, head: Head, clock: Clock, console: Console | None = None) -> None:
        self._head = head
        self._clock = clock
        self._started = clock.monotonic()
        self._console = console if console is not None else Console(highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),  # a log that goes to a file stays there
        )

    def __enter__(self) -> LiveScreen:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, picture: Picture) -> None:
        self._live.update(self._fitting(picture, "Ctrl-C ends it."), refresh=True)

    def finish(self, picture: Picture) -> None:
        """It stays on the terminal."""
        self._live.update(self._fitting(picture, "Ended."), refresh=True)

    def _fitting(self, picture: Picture, foot: str) -> RenderableType:
        """What the terminal has lines for: messages are cut before rows are left out, those of bad news last."""
        room = max(self._console.size.height - 1, _LEAST_LINES)
        counts = [len(picture.pods), len(picture.groups)]
        for shows_in_full in (_always, _is_bad_news, _never) if sum(counts) <= room else ():
            renderable = self._render(picture, counts, foot, shows_in_full)
            if self._height(renderable) <= room:
                return renderable
        without_rows = self._height(self._render(picture, [0, 0], foot, _never))
        return self._render(picture, _most_rows(counts, room - without_rows), foot, _never)

    def _height(self, renderable: RenderableType) -> int:
        return len(self._console.render_lines(renderable, pad=False))

    def _render(
        self, picture: Picture, shown: Sequence[int], foot: str, shows_in_full: Callable[[PodRow], bool]
    ) -> Group:
        seconds = self._clock.monotonic() - self._started
        width = self._console.size.width
        parts: list[RenderableType] = [
            Text(self._head.title, style="bold"),
            Text.assemble("kubectl: ", (self._head.kubectl, "cyan"), overflow="fold"),
            Text(),
            *map(_node, picture.node_rows()),
            Text(),
            *_pods(picture.pod_rows()[: shown[0]], width, shows_in_full),
            *_rest(len(picture.pods) - shown[0], "pods"),
            Text(),
            *_groups(picture.group_rows()[: shown[1]]),
            *_rest(len(picture.groups) - shown[1], "container groups"),
            Text(),
            Text(picture.traffic()),
            Text(f"{picture.summary()}. {seconds:.0f} s. {foot}", style="dim"),
        ]
        return Group(*parts)


def _node(row: NodeRow) -> Text:
    is_good = row.is_ready and row.is_cloud_reachable
    return Text.assemble(f"Node {row.name}: ", (row.text(), "green" if is_good else "yellow"))


def _pods(rows: list[PodRow], width: int, shows_in_full: Callable[[PodRow], bool]) -> list[RenderableType]:
    """A message that is too long for its line stands below it where it is shown in full, else it is cut."""
    has_restarts = any(row.restarts for row in rows)  # none: the more room for messages
    columns = ["POD", "STATUS", "READY", *(["RESTARTS"] if has_restarts else []), "MESSAGE"]
    cells = [[Text(row.name), _colored(row.status), _colored("yes" if row.is_ready else "no")] for row in rows]
    if has_restarts:
        for row, line in zip(rows, cells):
            line.append(Text(str(row.restarts)))
    left = width - sum(size + _GAP for size in _widths(columns[:-1], cells))
    is_below = [len(row.message) > left and shows_in_full(row) for row in rows]
    for row, line, below in zip(rows, cells, is_below):
        line.append(Text("" if below else row.message))
    head, *lines = _table(columns, cells)
    parts: list[RenderableType] = [head]
    for row, text, below in zip(rows, lines, is_below):
        parts.append(text)
        if below:
            parts.append(Padding(Text(row.message, overflow="fold"), (0, 0, 0, _MESSAGE_INDENT)))
    return parts


def _groups(rows: list[GroupRow]) -> list[Text]:
    lines = [[Text(row.name), _colored(row.status), Text(row.instances), Text(row.image)] for row in rows]
    return _table(("CONTAINER GROUP", "STATUS", "INSTANCE", "IMAGE"), lines)


def _table(columns: Sequence[str], lines: Sequence[Line]) -> list[Text]:
    """Like kubectl's: the head and one line each, cut where the terminal ends."""
    widths = _widths(columns, lines)
    head = [Text(column, style="dim") for column in columns]
    return [_aligned(line, widths) for line in (head, *lines)]


def _widths(columns: Sequence[str], lines: Sequence[Line]) -> list[int]:
    return [max(len(column), *(len(line[number]) for line in lines), 0) for number, column in enumerate(columns)]


def _aligned(cells: Line, widths: Sequence[int]) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for cell, width in zip(cells, widths):
        text.append_text(cell).append(" " * (width - len(cell) + _GAP))
    text.rstrip()
    return text


def _rest(count: int, what: str) -> list[Text]:
    return [Text(f"and {count} more {what}", style="dim")] if count > 0 else []


def _always(row: PodRow) -> bool:
    return True


def _is_bad_news(row: PodRow) -> bool:
    return _style(row.status) == "red"


def _never(row: PodRow) -> bool:
    return False


def _colored(word: str) -> Text:
    return Text(word, style=_style(word))


def _style(word: str) -> str:
    if word in _GOOD:
        return "green"
    if word in _BAD or word.startswith(_BAD_PREFIXES):
        return "red"
    return "dim" if word in _IDLE else "yellow"


def _most_rows(counts: Sequence[int], room: int) -> list[int]:
    """How many rows of each table are shown when `room` rows are there for all: small tables whole, the others equally.

    At least one row of each that has any.
    """
    shown = [0] * len(counts)
    left = room
    waiting = [index for index, count in enumerate(counts) if count]
    while waiting:
        share = max(1, left // len(waiting))
        index = min(waiting, key=lambda number: counts[number])
        waiting.remove(index)
        shown[index] = min(counts[index], share)
        left -= shown[index]
    return shown
