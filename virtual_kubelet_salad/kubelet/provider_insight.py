"""The part of the seam for those who look into a workload: what its container writes, and what it uses.

Values and one Protocol, as in `provider`; nothing here acts.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a container wrote. It may hold anything, so it has no repr."""

    time: datetime.datetime
    """When, by the clock of its machine."""
    text: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class LogQuestion:
    """Which lines somebody wants to see."""

    names: tuple[str, ...]
    """The pod's workloads: one for each attempt that may have run, newest last."""
    container_id: str
    """The run whose lines are wanted; empty: not known, so those of every run."""
    began: datetime.datetime
    """Nothing before this is wanted: when the run, or the pod, began."""
    ended: datetime.datetime | None = None
    """When the run ended; None: it goes on."""
    after: datetime.datetime | None = None
    """Where one id stands for two runs: the run is what was written after this moment …"""
    before: datetime.datetime | None = None
    """… and before this one."""
    tail: int | None = None
    """Only so many of the last lines; None: all."""
    newest_seconds: float | None = None
    """Only lines of the last seconds."""
    since: datetime.datetime | None = None
    """Only lines from then on, by the clocks of their machines."""
    follows: bool = False
    """Lines that are written later are wanted too, also those of later runs …"""
    earlier_container_ids: frozenset[str] = frozenset()
    """… but not of these."""


class LogStream(Protocol):
    """The answer to a `LogQuestion`, as it comes in. For one thread."""

    def read(self) -> Sequence[LogLine] | None:
        """The next lines, each once, those of one run in order. Empty: none at the moment; it has waited about a second
        then, and is to be asked again. None: that was all. Raises `CouldNotAsk` when it cannot go on.
        """
        ...

    def end(self) -> None:
        """The container writes no more: once what is still on its way has come in, `read` answers None."""
        ...

    def abandon(self) -> None:
        """Nobody waits for the present `read` any more. Called by another thread than the reader's, again and again: a
        call to the cloud that hangs ends (`read` raises `CouldNotAsk`), and no other is begun.
        """
        ...

    def close(self) -> None:
        """Nobody reads any more. May be called again."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What one run used, as far as the cloud has measured it."""

    container_id: str
    measured_at: datetime.datetime
    cpu_seconds: float | None
    """Core-seconds since the run began."""
    cpu_cores: float | None
    """In use at that moment."""
    memory_bytes: int | None
