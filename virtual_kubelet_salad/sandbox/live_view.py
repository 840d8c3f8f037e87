"""The sandbox on a terminal: tables redrawn in place with rich, which the extra `sandbox` brings."""

from __future__ import annotations

from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from virtual_kubelet_salad.sandbox.picture import Picture


class LiveScreen:
    """A context whose `show` redraws the terminal."""

    def __init__(self, head: list[str]) -> None:
        self._head = head
        self._live = Live(refresh_per_second=1, redirect_stderr=True, transient=False)

    def __enter__(self) -> LiveScreen:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, picture: Picture) -> None:
        self._live.update(
            Group(
                Text("\n".join(self._head)),
                _table("Nodes", ("NAME", "STATUS", "SALADCLOUD", "PODS"), picture.node_rows()),
                _table("Pods", ("NAME", "STATUS", "READY", "RESTARTS", "MESSAGE"), picture.pod_rows()),
                _table("Container groups", ("NAME", "STATUS", "INSTANCES", "RUNS"), picture.group_rows()),
                Text(f"{picture.traffic()}   (Ctrl-C ends the sandbox)"),
            ),
            refresh=True,
        )


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", expand=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
