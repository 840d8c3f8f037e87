"""CPU, memory, storage and shared memory of a container group, from the requests and limits of a pod.

Sizes are exact and rounded up; below what SaladCloud offers they are raised to it, above it they are refused. Pure.
Source of the bounds: SaladCloud's OpenAPI file, `CreateContainerResourceRequirements`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.kubelet.provider import Pod
from virtual_kubelet_salad.runtime import quantity
from virtual_kubelet_salad.runtime.quantity import GIBIBYTE_IN_BYTES, MEBIBYTE_IN_BYTES
from virtual_kubelet_salad.saladcloud import pod_annotations, pod_fields

CPU_RANGE_IN_CORES = (1, 1024)
# The API counts memory in MB and means MiB: 1024 is its 1 GiB.
MEMORY_RANGE_IN_MIB = (1024, 1_073_741_824)
STORAGE_RANGE_IN_BYTES = (GIBIBYTE_IN_BYTES, 2**50)
SHARED_MEMORY_RANGE_IN_MIB = (64, 1_073_741_824)

GPU_RESOURCE = "nvidia.com/gpu"
# SaladCloud's largest cluster of GPUs.
GREATEST_GPU_COUNT = 512
SHARED_MEMORY_PATH = "/dev/shm"

OTHER_RESOURCES_OPT_OUT = "resources"

_OFFERED = ("cpu", "memory", "ephemeral-storage", GPU_RESOURCE)


@dataclasses.dataclass(frozen=True, slots=True)
class Sizes:
    """What a container group is to have; None: not stated, SaladCloud decides."""

    cpu_in_cores: int
    memory_in_mib: int
    storage_in_bytes: int | None
    shared_memory_in_mib: int | None
    gpus: int
    """Number of `nvidia.com/gpu` devices; 0: the pod asks for none by that name."""

    def as_request(self) -> dict[str, Any]:
        """`container.resources` of the request, without GPU classes."""
        request: dict[str, Any] = {"cpu": self.cpu_in_cores, "memory": self.memory_in_mib}
        if self.storage_in_bytes is not None:
            request["storage_amount"] = self.storage_in_bytes
        if self.shared_memory_in_mib is not None:
            request["shm_size"] = self.shared_memory_in_mib
        return request


def sizes(pod: Pod) -> Sizes:
    """The sizes that a pod states. Raises `Refused`."""
    stated = _stated(pod)
    unknown = unknown_names(pod)
    if unknown and OTHER_RESOURCES_OPT_OUT not in pod_annotations.ignored_words(pod):
        raise Refused(
            "InvalidResources",
            f"SaladCloud offers {', '.join(_OFFERED)}, but no {', '.join(unknown)}. To run the pod without it, "
            f'annotate it with {pod_annotations.IGNORE_UNSUPPORTED}: "{OTHER_RESOURCES_OPT_OUT}"',
        )
    cpu = quantity.ceil_to(stated.get("cpu", Fraction(0)))
    memory_in_gib = quantity.ceil_to(stated.get("memory", Fraction(0)), GIBIBYTE_IN_BYTES)
    memory_in_mib = _fitted("memory", memory_in_gib * 1024, MEMORY_RANGE_IN_MIB, "MiB")
    storage: int | None = None
    if stated.get("ephemeral-storage"):
        storage = _fitted(
            "ephemeral-storage", quantity.ceil_to(stated["ephemeral-storage"]), STORAGE_RANGE_IN_BYTES, "bytes"
        )
    return Sizes(
        cpu_in_cores=_fitted("cpu", cpu, CPU_RANGE_IN_CORES, "cores"),
        memory_in_mib=memory_in_mib,
        storage_in_bytes=storage,
        shared_memory_in_mib=_shared_memory_in_mib(pod, memory_in_mib),
        gpus=_gpus(stated.get(GPU_RESOURCE, Fraction(0))),
    )


def unknown_names(pod: Pod) -> list[str]:
    """Resources that the pod asks for and SaladCloud does not have. Raises `Refused` for an amount that is none."""
    return sorted(name for name, amount in _stated(pod).items() if amount and name not in _OFFERED)


def _stated(pod: Pod) -> dict[str, Fraction]:
    """Each resource by name: the container's request, else its limit, else the pod's own request, else the pod's own
    limit. An amount of 0 asks for nothing, so the next one counts.
    """
    stated: dict[str, Fraction] = {}
    for owner in (pod_fields.container(pod), pod_fields.spec(pod)):
        resources: Mapping[str, Any] = owner.get("resources") or {}
        for kind in ("requests", "limits"):
            for name, value in (resources.get(kind) or {}).items():
                if not stated.get(name):
                    stated[name] = _parsed(name, value)
    return stated


def _parsed(name: str, value: object) -> Fraction:
    try:
        amount = quantity.parse(value)
    except ValueError as error:
        raise Refused("InvalidResources", f"The amount of {name} cannot be read: {error}") from None
    if amount < 0:
        raise Refused("InvalidResources", f"The amount of {name} is negative")
    return amount


def _fitted(name: str, amount: int, offered: tuple[int, int], unit: str) -> int:
    least, greatest = offered
    if amount > greatest:
        raise Refused(
            "InvalidResources", f"The pod asks for {amount} {unit} of {name}; SaladCloud offers {least} to {greatest}"
        )
    return max(least, amount)


def _gpus(amount: Fraction) -> int:
    if amount.denominator != 1 or amount > GREATEST_GPU_COUNT:
        raise Refused(
            "InvalidResources",
            f"The pod asks for {amount} {GPU_RESOURCE}; it must be a whole number up to {GREATEST_GPU_COUNT}",
        )
    return int(amount)


def _shared_memory_in_mib(pod: Pod, memory_in_mib: int) -> int | None:
    """The size of the emptyDir mounted at /dev/shm; without a limit of its own it is bounded by the memory, as on any
    node. One of huge pages is none.
    """
    mounted = {
        mount.get("name")
        for mount in pod_fields.container(pod).get("volumeMounts") or []
        if str(mount.get("mountPath", "")).rstrip("/") == SHARED_MEMORY_PATH
    }
    for volume in pod_fields.spec(pod).get("volumes") or []:
        empty_dir = volume.get("emptyDir")
        if volume.get("name") in mounted and empty_dir is not None and empty_dir.get("medium") in (None, "", "Memory"):
            limit = empty_dir.get("sizeLimit")
            if limit is None:
                return memory_in_mib
            size_in_mib = quantity.ceil_to(_parsed("shared memory", limit), MEBIBYTE_IN_BYTES)
            return _fitted("shared memory", size_in_mib, SHARED_MEMORY_RANGE_IN_MIB, "MiB")
    return None
