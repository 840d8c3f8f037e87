"""What SaladCloud offers: the organization's quota and the GPU classes, as last read.

A loop of its own reads the quota each minute and the classes each ten minutes, and tells when the classes have changed.
A failed read keeps the last value; before the first success there is none. Safe to call from any thread; answers never
wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from virtual_kubelet_salad.errors import Blocked, CouldNotAsk, NoBudget, Unauthorized
from virtual_kubelet_salad.kubelet.provider import Capacity
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.trouble import Trouble
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.models import GpuClass as GpuClass
from virtual_kubelet_salad.saladcloud.models import Group, Quota
from virtual_kubelet_salad.saladcloud.prices import per_hour
from virtual_kubelet_salad.saladcloud.reachability import KEY_REFUSED

log = logging.getLogger(__name__)

QUOTA_SECONDS = 60.0
CLASSES_SECONDS = 600.0
RETRY_SECONDS = 15.0
STANDBY_SECONDS = 1.0

# The product's limits, for classes that do not state their own: 16 vCPU, 60 GB of memory, 250 GB of storage, one GPU.
_LARGEST_CPU = 16
_LARGEST_MEMORY_IN_MIB = 61_440
_LARGEST_STORAGE_IN_BYTES = 250 * 2**30
_MEBIBYTE_IN_BYTES = 2**20


class Catalog:
    """Quota and classes of one organization."""

    def __init__(self, client: SaladCloud, clock: Clock, is_active: Callable[[], bool] = lambda: True) -> None:
        self._client = client
        self._clock = clock
        self._is_active = is_active
        self.on_quota: Callable[[Quota], None] = lambda quota: None
        """Told each quota that is read, on the loop's thread."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when other classes are on offer, or at other prices, on the loop's thread."""
        # Each is replaced as a whole by the loop's thread, so readers need no lock.
        self._quota: Quota | None = None
        self._classes: tuple[GpuClass, ...] | None = None
        self._names: Mapping[str, str] = {}
        self._key_refusal = ""
        self._quota_due = self._classes_due = clock.monotonic()
        self._quota_trouble = Trouble(clock, log, "quota not read, the last one stays")
        self._classes_trouble = Trouble(clock, log, "GPU classes not read, the last ones stay")

    def step(self) -> float:
        """Reads what is due; returns the seconds until the next."""
        if not self._is_active():
            return STANDBY_SECONDS
        if self._clock.monotonic() >= self._quota_due:
            self._quota_due = self._clock.monotonic() + self._read_quota()
        if self._clock.monotonic() >= self._classes_due:
            self._classes_due = self._clock.monotonic() + self._read_classes()
        return max(1.0, min(self._quota_due, self._classes_due) - self._clock.monotonic())

    def classes(self) -> tuple[GpuClass, ...] | None:
        """The GPU classes on offer; None before the first success. Raises `Blocked` when there was none because
        SaladCloud refuses the API key.
        """
        if self._classes is None and self._key_refusal:
            raise Blocked(KEY_REFUSED, self._key_refusal)
        return self._classes

    def name_of(self, class_id: str) -> str | None:
        """The name of a class; None when it is not known."""
        return self._names.get(class_id)

    def capacity(self) -> Capacity | None:
        """None before the quota was read for the first time."""
        quota, classes = self._quota, self._classes or ()
        if quota is None:
            return None
        memory_in_mib = _largest((one.max_ram for one in classes), _LARGEST_MEMORY_IN_MIB)
        return Capacity(
            workloads=quota.replicas,
            workloads_used=quota.replicas_used,
            largest={
                "cpu": _largest((one.max_vcpu for one in classes), _LARGEST_CPU),
                "memory": memory_in_mib * _MEBIBYTE_IN_BYTES,
                "ephemeral-storage": _largest((one.max_storage for one in classes), _LARGEST_STORAGE_IN_BYTES),
                "nvidia.com/gpu": _largest((one.gpu_count for one in classes), 1),
            },
        )

    def dollars_per_hour(self, groups: Iterable[Group]) -> float:
        """What those of the groups that run cost together; for a group that may run on several classes, the dearest
        counts.
        """
        total = Decimal(0)
        for group in groups:
            prices = per_hour(
                group.gpu_classes,
                group.priority or "high",
                group.cpu_in_cores,
                group.memory_in_mib,
                self._classes or (),
            )
            total += max(prices, default=Decimal(0)) * max(group.running_count, 0)
        return float(total)

    def _read_quota(self) -> float:
        try:
            quota = self._client.quota()
        except CouldNotAsk as error:
            _note(error, self._quota_trouble)
            return error.retry_after or RETRY_SECONDS
        self._quota_trouble.over()
        self._quota = quota
        self.on_quota(quota)
        return QUOTA_SECONDS

    def _read_classes(self) -> float:
        try:
            classes = self._client.gpu_classes()
        except CouldNotAsk as error:
            self._key_refusal = str(error) if isinstance(error, Unauthorized) else ""
            _note(error, self._classes_trouble)
            return error.retry_after or RETRY_SECONDS
        self._classes_trouble.over()
        if classes != self._classes:
            self._classes = classes
            self._names = {one.id: one.name.strip() for one in classes}
            self.on_change()
        return CLASSES_SECONDS


def _note(error: CouldNotAsk, trouble: Trouble) -> None:
    """That nothing was sent for want of budget is no trouble."""
    if not isinstance(error, NoBudget):
        trouble.failed(error)


def _largest(values: Iterable[int | None], default: int) -> int:
    return max((value for value in values if value), default=default)
