"""What a container group costs per hour while it runs. Pure.

SaladCloud picks one of the group's GPU classes, each of which has a price per priority; without a GPU, cores and memory
are paid. Source of the prices without a GPU: SaladCloud's price list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from virtual_kubelet_salad.saladcloud.models import GpuClass

_DOLLARS_PER_CORE = Decimal("0.004")
_DOLLARS_PER_GIBIBYTE = Decimal("0.001")


def per_hour(
    class_ids: Sequence[str], priority: str, cpu_in_cores: int, memory_in_mib: int, classes: Iterable[GpuClass]
) -> list[Decimal]:
    """All the prices in dollars that it may have, in ascending order; empty: none of its classes has a known price."""
    if not class_ids:
        return [cpu_in_cores * _DOLLARS_PER_CORE + Decimal(memory_in_mib) / 1024 * _DOLLARS_PER_GIBIBYTE]
    return sorted(one.prices[priority] for one in classes if one.id in class_ids and priority in one.prices)


def in_words(found: Sequence[Decimal], priority: str) -> str:
    """For an author: from the least to the most of one or more prices."""
    lowest, highest = f"${min(found):f}", f"${max(found):f}"
    span = lowest if lowest == highest else f"{lowest} to {highest}"
    return f"{span} per hour at priority {priority}"
