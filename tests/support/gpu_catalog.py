"""A small offer of GPU classes, with the oddities of the real one: a leading blank, near names, a cluster, no price."""

from __future__ import annotations

import uuid
from decimal import Decimal

from virtual_kubelet_salad.saladcloud.models import GpuClass

PRIORITIES = ("high", "medium", "low", "batch")
GIB = 2**30


def gpu_class(
    name: str,
    high: str,
    *,
    gpu_count: int | None = None,
    max_vcpu: int | None = 16,
    max_ram: int | None = 61_440,
    max_storage: int | None = 250 * GIB,
    prices: dict[str, Decimal] | None = None,
    identifier: str = "",
) -> GpuClass:
    """A class whose price falls by a fifth with each step of priority."""
    factors = (Decimal("1"), Decimal("0.8"), Decimal("0.6"), Decimal("0.4"))
    made = {priority: Decimal(high) * factor for priority, factor in zip(PRIORITIES, factors, strict=True)}
    return GpuClass(
        id=identifier or str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
        name=name,
        prices=made if prices is None else prices,
        gpu_count=gpu_count,
        min_vcpu=1,
        max_vcpu=max_vcpu,
        min_ram=1024,
        max_ram=max_ram,
        min_storage=GIB,
        max_storage=max_storage,
    )


RTX_3060 = gpu_class("RTX 3060 (12 GB)", "0.10", identifier="f51baccc-dc95-40fb-a5d1-6d0ee0db31d2")
RTX_4090 = gpu_class("RTX 4090 (24 GB)", "0.30", identifier="ed563892-aacd-40f5-80b7-90c9be6c759b")
CLASSES = (
    RTX_4090,
    gpu_class("RTX 3060 (8 GB)", "0.08"),
    RTX_3060,
    gpu_class(" RTX 3090 (24 GB)", "0.20"),
    gpu_class("RTX 5090 Laptop (24 GB)", "0.28", max_vcpu=8),
    gpu_class("A100 (80 GB)", "1.20"),
    gpu_class("H100 x8 (80 GB)", "18.00", gpu_count=8),
    gpu_class("Radeon RX 7900 XTX (24 GB)", "0.15"),
    gpu_class("GTX 1660", "0.03", prices={"batch": Decimal("0.01")}),
)


class FixedCatalog:
    """Offers what it was made with."""

    def __init__(self, classes: tuple[GpuClass, ...] | None = CLASSES) -> None:
        self._classes = classes

    def classes(self) -> tuple[GpuClass, ...] | None:
        return self._classes
