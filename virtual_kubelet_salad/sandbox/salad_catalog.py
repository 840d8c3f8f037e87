"""The GPU classes that the simulated SaladCloud offers, with the traps of the live list: near duplicates, a leading
space, another vendor, a cluster.

Plain data, and an offer that can change. Memory in MB, storage in bytes, prices in dollars per hour.
"""

from __future__ import annotations

import json
from typing import Any

_GIB = 2**30
# What a priority costs of the price at high; the live list rounds to tenths of a cent.
_PRICES_IN_PARTS = {"high": 1.0, "medium": 0.85, "low": 0.7, "batch": 0.5}


def _prices(high: float) -> list[dict[str, str]]:
    return [{"priority": priority, "price": f"{high * part:.3f}"} for priority, part in _PRICES_IN_PARTS.items()]


def _gpu_class(
    identifier: str,
    name: str,
    high: float,
    *,
    count: int = 1,
    kind: str = "community",
    vcpu: int = 16,
    ram: int = 61_440,
    demand: bool = False,
) -> dict[str, Any]:
    return {
        "id": identifier,
        "name": name,
        "prices": _prices(high),
        "is_high_demand": demand,
        "gpu_class_type": kind,
        "gpu_count": count,
        "min_vcpu": 1,
        "max_vcpu": vcpu,
        "min_ram": 1024,
        "max_ram": ram,
        "min_storage": _GIB,
        "max_storage": 250 * _GIB,
    }


# The live list is not ordered either.
GPU_CLASSES: tuple[dict[str, Any], ...] = (
    _gpu_class("ed563892-aacd-40f5-80b7-90c9be6c759b", "RTX 4090 (24 GB)", 0.30, demand=True),
    _gpu_class("f51baccc-dc95-40fb-a5d1-6d0ee0db31d2", "RTX 3060 (12 GB)", 0.08),
    _gpu_class("0d062939-7c01-4aae-a2b1-30e315124e51", "RTX 3060 (8 GB)", 0.07),
    _gpu_class("5f8f5d0b-6cb1-4d0e-8c2f-3f0f6f0c9a11", "RTX 3060 Ti (8 GB)", 0.09),
    _gpu_class("a5db5c50-cbcb-4596-ae80-6a0c8090d80f", "RTX 3090 (24 GB)", 0.18),
    _gpu_class("9998fe42-04a5-4807-b3a5-849943f16c38", " RTX 3090 Ti (24 GB)", 0.21),
    _gpu_class("951131f6-5acf-489c-b303-0906be8b26ef", "RTX 5090 (32 GB)", 0.45, demand=True),
    _gpu_class("2b1b5b6a-7b42-4c0e-9a3e-0d4f8a1c77d2", "RTX 5090 Laptop (24 GB)", 0.25, vcpu=12, ram=30_720),
    _gpu_class("cb6c1931-89b6-4f76-976f-54047320ccc6", "GTX 1650 (4 GB)", 0.03, vcpu=8, ram=24_576),
    _gpu_class("7c2f0c5e-3d7c-4a67-9f0b-1e5d6f7a8b90", "RX 7900 XTX (24 GB)", 0.16),
    _gpu_class("3f1c9d02-4b8e-4d6a-8c55-6a7b8c9d0e1f", "L40S (48 GB)", 0.60, kind="secure", vcpu=32, ram=122_880),
    _gpu_class(
        "6e0a4f7b-9c31-47d5-b2aa-4c5d6e7f8091",
        "8x H100 SXM (80 GB)",
        16.0,
        count=8,
        kind="secure",
        vcpu=192,
        ram=1_572_864,
    ),
)

CPU_ONLY_CLASS = ""  # what a system log shows as the class of a group without GPU

NAMES: dict[str, str] = {gpu_class["id"]: gpu_class["name"] for gpu_class in GPU_CLASSES}


class Offer:
    """The classes on offer now. Classes are named by their name or id; KeyError for one that was never there."""

    def __init__(self) -> None:
        self._classes = {one["id"]: one for one in GPU_CLASSES}
        self._withdrawn: set[str] = set()
        self._write()

    def withdraw(self, name: str) -> None:
        """It is offered no more; groups that were created with it stay."""
        self._withdrawn.add(self._id(name))
        self._write()

    def restore(self, name: str) -> None:
        """It is offered again."""
        self._withdrawn.discard(self._id(name))
        self._write()

    def set_price(self, name: str, dollars: float) -> None:
        """Another price at high priority; the others follow."""
        identifier = self._id(name)
        self._classes[identifier] = {**self._classes[identifier], "prices": _prices(dollars)}
        self._write()

    def _id(self, name: str) -> str:
        ids: dict[str, str] = {key: one["id"] for one in GPU_CLASSES for key in (one["id"], one["name"].strip())}
        return ids[name]

    def _write(self) -> None:
        on_offer = [one for one in self._classes.values() if one["id"] not in self._withdrawn]
        self.ids = frozenset(one["id"] for one in on_offer)
        # The body of the list, kept because it is asked for far more often than it changes.
        self.text = json.dumps({"items": on_offer}, separators=(",", ":"))
