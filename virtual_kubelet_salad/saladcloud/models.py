"""What SaladCloud's answers become: values without behavior. No secret is among them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from decimal import Decimal

from virtual_kubelet_salad.kubelet.provider import Owner


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """A container group."""

    name: str
    status: str
    """`pending`, `deploying`, `running`, `stopped`, `failed`, `succeeded`, or a word that is new to us."""
    description: str
    """What SaladCloud says about the preparation of the image."""
    restart_policy: str
    priority: str
    version: int
    pending_change: bool
    allocating_count: int
    creating_count: int
    running_count: int
    stopping_count: int
    gpu_classes: tuple[str, ...]
    """Ids."""
    cpu_in_cores: int
    memory_in_mib: int
    host: str
    """The gateway's host name; empty without a gateway, or before it has one."""
    owner: Owner | None


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """One row of a group's instances."""

    id: str
    machine_id: str
    state: str
    """`allocating`, `downloading`, `creating`, `running`, `stopping`, or a word that is new to us."""
    update_time: datetime.datetime
    """When its state changed last; SaladCloud's clock."""
    version: int
    ready: bool
    started: bool
    progress_in_percent: float | None
    """How much of the image it has, while it downloads."""
    cpu_seconds: float | None = None
    """Core-seconds since it was started; read anew about every minute."""
    memory_in_mib: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class LogEntry:
    """One system event out of the logs."""

    group: str
    instance_id: str
    machine_id: str
    time: datetime.datetime
    """The machine's clock, which may be wrong by more than a minute."""
    receive_time: datetime.datetime
    """SaladCloud's clock; some seconds after it happened."""
    message: str
    gpu_class: str


@dataclasses.dataclass(frozen=True, slots=True)
class LogPage:
    """One answer to a query of log entries."""

    entries: tuple[LogEntry, ...]
    count: int
    """How many items the answer held, unreadable ones included."""
    last_time: datetime.datetime | None
    """The greatest time on the page, of the clock that the window goes by."""


@dataclasses.dataclass(frozen=True, slots=True)
class OutputEntry:
    """One line that a container wrote, out of the logs. It may hold anything, so its text has no repr."""

    group: str
    instance_id: str
    time: datetime.datetime
    """The machine's clock, which may be wrong by more than a minute."""
    receive_time: datetime.datetime
    """SaladCloud's clock; some seconds after it was written."""
    text: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class OutputPage:
    """One answer to a query of what containers wrote."""

    entries: tuple[OutputEntry, ...]
    count: int
    """How many items the answer held, unreadable ones included."""
    last_time: datetime.datetime | None
    """The greatest time on the page, of the clock that the window goes by."""


@dataclasses.dataclass(frozen=True, slots=True)
class Quota:
    """How many replicas the organization may have."""

    replicas: int
    replicas_used: int


@dataclasses.dataclass(frozen=True, slots=True)
class GpuClass:
    """A kind of GPU on offer. None: SaladCloud does not say."""

    id: str
    name: str
    prices: Mapping[str, Decimal]
    """Dollars per hour, by priority."""
    gpu_count: int | None = None
    min_vcpu: int | None = None
    max_vcpu: int | None = None
    min_ram: int | None = None
    """MiB."""
    max_ram: int | None = None
    min_storage: int | None = None
    """Bytes."""
    max_storage: int | None = None
    is_high_demand: bool | None = dataclasses.field(default=None, compare=False)
    """Whether it is hard to get now; comes and goes while the offer stays the same."""
