"""From a pod to the request that creates its container group, and to the one that changes its image.

Guarantees: pure; every field of the request is within the limits that SaladCloud publishes; what cannot be sent is
raised as `Refused` (decided from the pod alone) or `Blocked` (it lies outside the pod), and nothing is left out
without a notice. Fields of a pod that no provider could honour are the kubelet's refusals.
Sources: SaladCloud's OpenAPI file, `ContainerGroupPrototype` and `ContainerGroupPatch`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

from virtual_kubelet_salad.errors import CouldNotAsk, Refused
from virtual_kubelet_salad.kubelet.provider import Inputs, Notice, Owner, Plan, Pod
from virtual_kubelet_salad.saladcloud import (
    command,
    countries,
    gpu,
    group_environment,
    logging_sinks,
    names,
    networking,
    pod_annotations,
    pod_fields,
    probes,
    registry,
    resources,
)
from virtual_kubelet_salad.saladcloud.models import GpuClass
from virtual_kubelet_salad.saladcloud.text_limits import problem_of

IMAGE_LIMIT_IN_CHARS = 2048
# The API's limit for a change is tighter than the one for a create.
CHANGED_IMAGE_LIMIT_IN_CHARS = 1024
DISPLAY_NAME_LIMIT_IN_CHARS = 63
PRIORITIES = ("high", "medium", "low", "batch")
INTERRUPTION_CHOICES = ("continue",)

_RESTART_POLICIES = {"Always": "always", "OnFailure": "on_failure", "Never": "never"}
_NOT_IN_A_DISPLAY_NAME = re.compile(r"[^ ,\-.0-9A-Za-z]")


class Catalog(Protocol):
    """The GPU classes on offer, as last read."""

    def classes(self) -> tuple[GpuClass, ...] | None:
        """None: never read yet. Raises `Blocked` when that has a reason which the pod should show."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decides about every pod."""

    default_priority: str = "high"
    max_price_per_hour: Decimal | None = None
    """Dollars per hour that one group may cost at most; None: no bound."""


def build(pod: Pod, inputs: Inputs, owner: Owner, catalog: Catalog, settings: Settings) -> Plan:
    """The request that creates the group. Raises `Refused`, `Blocked`, and `CouldNotAsk` when the pod wants a GPU and
    the classes were never read.
    """
    for check in _CHECKS:
        check(pod)
    tell: list[Notice] = []
    priority = _priority(pod, settings.default_priority)
    container: dict[str, Any] = _changeable(pod, inputs, owner, tell)
    container["resources"] = _resources(pod, priority, catalog, settings, tell)
    container["priority"] = priority
    _put(container, "command", command.command(pod, inputs))
    _put(container, "logging", logging_sinks.logging(pod, inputs))
    request: dict[str, Any] = {
        "name": names.workload_name(owner.cluster_id, owner.pod, owner.uid, owner.attempt),
        "display_name": display_name(owner),
        "autostart_policy": True,
        "replicas": 1,
        "restart_policy": _restart_policy(pod),
        "container": container,
    }
    _put(request, "country_codes", countries.country_codes(pod))
    _put(request, "networking", networking.networking(pod))
    request.update(probes.probes(pod, tell))
    return Plan(request, tuple(tell))


def build_update(pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
    """The merge patch that brings image, credentials and environment of a group in line with its pod. Raises
    `Refused`, `Blocked`.

    It asks for no GPU class: a price that rose meanwhile is no reason to hold a change of the image back.
    """
    tell: list[Notice] = []
    return Plan(_patch(_changeable(pod, inputs, owner, tell)), tuple(tell))


def refusals(pod: Pod) -> list[Notice]:
    """Everything in the pod that SaladCloud can never honour, decided from the pod alone; empty: none."""
    found: list[Notice] = []
    for check in _CHECKS:
        try:
            check(pod)
        except Refused as refusal:
            notice = Notice("Warning", refusal.reason, str(refusal))
            # Two checks that read one annotation refuse it with the same words.
            if notice not in found:
                found.append(notice)
    return found


def wanted_secrets(pod: Pod) -> tuple[str, ...]:
    """Names of the Secrets that `build` and `build_update` must be given. Raises `Refused`."""
    return tuple(dict.fromkeys(registry.secret_names(pod) + logging_sinks.secret_names(pod)))


def display_name(owner: Owner) -> str:
    """Namespace and pod as a person would look for them, in the characters that SaladCloud allows."""
    whole = f"{owner.namespace}, {owner.pod}"
    return _NOT_IN_A_DISPLAY_NAME.sub("-", whole)[:DISPLAY_NAME_LIMIT_IN_CHARS].rstrip(" ,-.")


def _changeable(pod: Pod, inputs: Inputs, owner: Owner, tell: list[Notice]) -> dict[str, Any]:
    """The part of `container` that a change of the image sends again."""
    image = _image(pod)
    part: dict[str, Any] = {"image": image}
    _put(part, "registry_authentication", registry.authentication(pod, image, inputs, owner.attempt, tell))
    part["environment_variables"] = group_environment.environment_variables(pod, inputs, owner, tell)
    return part


def _patch(container: Any) -> dict[str, Any]:
    if len(container["image"]) > CHANGED_IMAGE_LIMIT_IN_CHARS:
        raise Refused(
            "InvalidImage",
            f"The image has {len(container['image'])} characters; SaladCloud takes "
            f"{CHANGED_IMAGE_LIMIT_IN_CHARS} in a change. Delete the pod to run it",
        )
    keys = ("image", "registry_authentication", "environment_variables")
    return {"container": {key: container[key] for key in keys if key in container}}


def _resources(pod: Pod, priority: str, catalog: Catalog, settings: Settings, tell: list[Notice]) -> dict[str, Any]:
    sizes = resources.sizes(pod)
    unknown = resources.unknown_names(pod)
    if unknown:
        text = f"Ignored: the resources {', '.join(unknown)} (as the pod wishes)"
        tell.append(Notice("Normal", "FieldsIgnored", text))
    wish = gpu.wish(pod, sizes, priority, settings.max_price_per_hour)
    if wish is None:
        return sizes.as_request()
    classes = catalog.classes()
    if classes is None:
        raise CouldNotAsk("the GPU classes of SaladCloud have not been read yet")
    chosen = gpu.choose(wish, sizes, classes, tell)
    return gpu.raised_to_least(sizes, chosen).as_request() | {"gpu_classes": [one.id for one in chosen]}


def _put(request: dict[str, Any], name: str, value: object) -> None:
    """Sends a field only where it has a value; most fields of the API may be absent but not null."""
    if value is not None:
        request[name] = value


def _image(pod: Pod) -> str:
    image = str(pod_fields.container(pod).get("image") or "").strip()
    problem = problem_of(image, IMAGE_LIMIT_IN_CHARS)
    if problem:
        raise Refused("InvalidImage", f"The image {problem}; SaladCloud takes 1 to {IMAGE_LIMIT_IN_CHARS} characters")
    return image


def _priority(pod: Pod, default: str) -> str:
    return pod_annotations.choice(pod, pod_annotations.PRIORITY, PRIORITIES) or default


def _restart_policy(pod: Pod) -> str:
    policy = pod_fields.spec(pod).get("restartPolicy") or "Always"
    if policy not in _RESTART_POLICIES:
        raise Refused(
            "InvalidRestartPolicy", f"The restart policy is {policy}; it must be one of {', '.join(_RESTART_POLICIES)}"
        )
    return _RESTART_POLICIES[policy]


def _check_resources(pod: Pod) -> None:
    gpu.wish(pod, resources.sizes(pod), PRIORITIES[0], None)


_CHECKS: tuple[Callable[[Pod], object], ...] = (
    pod_annotations.refuse_misspelled,
    _image,
    _restart_policy,
    command.check,
    group_environment.check,
    _check_resources,
    lambda pod: _priority(pod, PRIORITIES[0]),
    countries.country_codes,
    networking.networking,
    logging_sinks.annotated,
    lambda pod: probes.probes(pod, []),
    lambda pod: pod_annotations.choice(pod, pod_annotations.ON_INTERRUPTION, INTERRUPTION_CHOICES),
)
