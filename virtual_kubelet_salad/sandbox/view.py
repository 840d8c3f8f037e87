"""Shows the sandbox: tables that are redrawn on a terminal, plain lines for every change elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol, TextIO

from virtual_kubelet_salad.sandbox.picture import Picture


class Screen(Protocol):
    """Where pictures go."""

    def show(self, picture: Picture) -> None: ...


@contextlib.contextmanager
def open_view(head: list[str], stream: TextIO | None = None) -> Iterator[Screen]:
    """A screen for standard output: live tables if it is a terminal and rich is installed, else lines."""
    target = stream if stream is not None else sys.stdout
    if target.isatty():
        try:
            from virtual_kubelet_salad.sandbox.live_view import LiveScreen
        except ImportError:
            print("for live tables install the extra: pip install 'virtual-kubelet-salad[sandbox]'", file=target)
        else:
            with LiveScreen(head) as screen:
                yield screen
            return
    yield LineScreen(head, target)


class LineScreen:
    """One line per change, and the traffic at the end of each picture that brought one."""

    def __init__(self, head: list[str], stream: TextIO) -> None:
        self._stream = stream
        self._shown: dict[tuple[str, str], tuple[str, ...]] = {}
        for line in head:
            print(line, file=stream, flush=True)

    def show(self, picture: Picture) -> None:
        rows = {("node", row[0]): row for row in picture.node_rows()}
        rows.update({("pod", row[0]): row for row in picture.pod_rows()})
        rows.update({("group", row[0]): row for row in picture.group_rows()})
        changed = [(kind, row) for (kind, name), row in rows.items() if self._shown.get((kind, name)) != row]
        gone = [key for key in self._shown if key not in rows]
        for kind, row in changed:
            print(f"{kind:<5} {'  '.join(part for part in row if part)}", file=self._stream)
        for kind, name in gone:
            print(f"{kind:<5} {name}  gone", file=self._stream)
        if changed or gone:
            print(picture.traffic(), file=self._stream, flush=True)
        self._shown = rows
