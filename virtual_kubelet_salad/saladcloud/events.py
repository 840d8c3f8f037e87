"""SaladCloud's system events: which name means what. Pure.

The only source of exit codes and of reasons for interruptions. Names that are new to us are kept as `OTHER`. Source:
SaladCloud's documentation of system events, and names seen live beside it.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import re

from virtual_kubelet_salad.saladcloud.models import LogEntry

_EXITED = re.compile(r"Instance Exited:(-?\d+)(?: \((.*)\))?")
# Exit codes that Kubernetes can carry are 32 bits wide; nobody means more digits.
_GREATEST_EXIT_CODE = 2**31 - 1


class Kind(enum.Enum):
    """What an event says about an instance or its group."""

    EXIT = "exit"
    """The container ended by itself; SaladCloud starts it again."""
    INTERRUPTION = "interruption"
    """The machine went away, or the instance was taken from it."""
    RENEWAL = "renewal"
    """Somebody had it restarted or recreated on its machine."""
    START_FAILURE = "start failure"
    RUNNING = "running"
    READINESS = "readiness"
    GROUP = "group"
    """About the group as a whole."""
    OTHER = "other"


ENDS_A_RUN = frozenset({Kind.EXIT, Kind.INTERRUPTION, Kind.RENEWAL})


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One system event."""

    kind: Kind
    message: str
    """As SaladCloud writes it."""
    instance_id: str
    machine_id: str
    time: datetime.datetime
    """The machine's clock."""
    receive_time: datetime.datetime
    """SaladCloud's clock, some seconds after it happened."""
    exit_code: int | None = None
    gpu_class: str = ""

    @property
    def is_out_of_memory(self) -> bool:
        return self.exit_code == 137 and "out of system memory" in self.message.lower()


def from_entry(entry: LogEntry) -> Event:
    """The event in a log entry."""
    kind, exit_code = _meaning(entry.message)
    return Event(
        kind=kind,
        message=entry.message,
        instance_id=entry.instance_id,
        machine_id=entry.machine_id,
        time=entry.time,
        receive_time=entry.receive_time,
        exit_code=exit_code,
        gpu_class=entry.gpu_class,
    )


def _meaning(message: str) -> tuple[Kind, int | None]:
    exited = _EXITED.match(message)
    if exited and abs(int(exited[1])) <= _GREATEST_EXIT_CODE:
        return Kind.EXIT, int(exited[1])
    words = message.replace(" ", "").lower()
    for beginning, kind in _BEGINNINGS:
        if words.startswith(beginning):
            return kind, None
    return Kind.OTHER, None


_BEGINNINGS = (
    ("instanceinterrupted", Kind.INTERRUPTION),
    ("instancereallocated", Kind.INTERRUPTION),
    ("instancerestarted", Kind.RENEWAL),
    ("instancerecreated", Kind.RENEWAL),
    ("instancestartfailure", Kind.START_FAILURE),
    ("startfailure", Kind.START_FAILURE),
    ("instancerunning", Kind.RUNNING),
    ("instanceready", Kind.READINESS),
    ("instancenotready", Kind.READINESS),
    ("instancestartupprobepassed", Kind.READINESS),
    ("containergroup", Kind.GROUP),
)
