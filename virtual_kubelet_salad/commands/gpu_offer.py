"""SaladCloud's offer of GPU classes for a command: asked for, written as JSON, read from such a file.

The JSON has the shape of the API's own answer, so what `curl` brought home can be read as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.runtime.ratelimit import Budget
from virtual_kubelet_salad.saladcloud import gpu
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.models import GpuClass
from virtual_kubelet_salad.saladcloud.schemas import answers
from virtual_kubelet_salad.saladcloud.transport import RequestsTransport

_LIMITS = ("min_vcpu", "max_vcpu", "min_ram", "max_ram", "min_storage", "max_storage")
_NO_PROJECT = ""  # the classes are the organization's


class BadCatalog(Exception):
    """What is wrong with a file of GPU classes."""


def ask(options: Mapping[str, Any]) -> tuple[GpuClass, ...]:
    """The classes on offer now, with the key, organization and URL of the command line. Raises `CouldNotAsk`."""
    clock = SystemClock()
    transport = RequestsTransport(options["sce_api_url"], options["api_key"].api_key, lambda: True, clock)
    client = SaladCloud(
        transport,
        Budget(clock, 0),
        clock,
        Metrics.in_new_registry(),
        options["sce_organization_name"],
        _NO_PROJECT,
    )
    try:
        return client.gpu_classes()
    finally:
        transport.close()


def in_order(classes: Sequence[GpuClass]) -> list[GpuClass]:
    """From little VRAM to much, the cheaper first."""

    def key(one: GpuClass) -> tuple[Any, ...]:
        vram = gpu.vram_in_gib(one.name)
        price = one.prices.get("high")
        return vram is None, vram or 0, price is None, price or 0, gpu.title(one), one.id

    return sorted(classes, key=key)


def as_document(classes: Sequence[GpuClass]) -> dict[str, Any]:
    """The offer as the API writes it."""
    return {"items": [_as_item(one) for one in in_order(classes)]}


def read(path: str) -> tuple[GpuClass, ...]:
    """The offer in a file. Raises `BadCatalog`."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise BadCatalog(f"the file cannot be read ({error.strerror})") from None
    except ValueError:
        raise BadCatalog("the file is not JSON") from None
    classes = answers.gpu_classes(document)
    if classes is None:
        raise BadCatalog("the file is no list of GPU classes; `gpu-classes --output json` prints one")
    if len(classes) < len(document["items"]) or not all(one.prices for one in classes):
        raise BadCatalog("each GPU class in the file must have id, name and prices, as `gpu-classes` prints them")
    return classes


def _as_item(one: GpuClass) -> dict[str, Any]:
    stated = {"gpu_count": one.gpu_count, "is_high_demand": one.is_high_demand}
    stated |= {limit: getattr(one, limit) for limit in _LIMITS}
    return {
        "id": one.id,
        "name": one.name,
        "prices": [{"priority": priority, "price": f"{price:f}"} for priority, price in one.prices.items()],
        **{name: value for name, value in stated.items() if value is not None},
    }
