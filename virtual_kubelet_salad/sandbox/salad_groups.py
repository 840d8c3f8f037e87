"""From what a client sends to the group that an answer shows: a create's prototype, and a PATCH.

Three things differ from a plain merge, as on the live service: the environment is replaced as a whole, the priority
is shown at the top level, and registry credentials are never shown. No scheduling here; the caller tells the
lifecycle.
"""

from __future__ import annotations

import json
from typing import Any

from virtual_kubelet_salad.sandbox.salad_script import read_script
from virtual_kubelet_salad.sandbox.salad_world import Group, World, owner_uid

_PROBES = ("liveness_probe", "readiness_probe", "startup_probe")
_OPTIONAL = ("queue_autoscaler", "queue_connection")
_GATEWAY_DEFAULTS = {
    "load_balancer": "round_robin",
    "client_request_timeout": 100_000,
    "server_response_timeout": 100_000,
    "single_connection_limit": False,
}
_WORDS = (
    "apple",
    "beet",
    "carrot",
    "dill",
    "endive",
    "fennel",
    "garlic",
    "kale",
    "leek",
    "olive",
    "pepper",
    "radish",
    "spinach",
    "thyme",
)


def new_group(world: World, project: str, prototype: dict[str, Any]) -> Group:
    """A group from a prototype that conforms to its schema."""
    wanted: dict[str, Any] = json.loads(json.dumps(prototype))
    name, container = wanted["name"], wanted["container"]
    has_credentials = bool(container.pop("registry_authentication", None))
    priority = container.pop("priority", None)
    container.setdefault("command", None)
    container.setdefault("environment_variables", {})
    container["resources"] = {"gpu_classes": [], "shm_size": 64, **container["resources"]}
    spec: dict[str, Any] = {
        "display_name": wanted.get("display_name", name),
        "container": container,
        "country_codes": wanted.get("country_codes", []),
        "priority": priority or "high",
        "replicas": wanted["replicas"],
        "restart_policy": wanted["restart_policy"],
        "scaling-actions": wanted.get("scaling-actions", []),
        "scheduled-scaling-enabled": wanted.get("scheduled-scaling-enabled", False),
        **{key: wanted[key] for key in (*_PROBES, *_OPTIONAL) if wanted.get(key) is not None},
    }
    if "networking" in wanted:
        spec["networking"] = {**_GATEWAY_DEFAULTS, **wanted["networking"], "dns": _host_name(world)}
    return Group(
        identifier=world.new_id(),
        project=project,
        name=name,
        spec=spec,
        created_at=world.now,
        updated_at=world.now,
        started_at=world.now,
        finished_at=world.now,
        autostart=wanted["autostart_policy"],
        has_credentials=has_credentials,
        owner_uid=owner_uid(container["environment_variables"]),
        script=read_script(
            container["image"], container["command"], container["environment_variables"], has_credentials
        ),
    )


def _host_name(world: World) -> str:
    first, second = world.random.choice(_WORDS), world.random.choice(_WORDS)
    return f"{first}-{second}-a{world.random.getrandbits(60):015x}.salad.cloud"


def apply_patch(group: Group, patch: dict[str, Any]) -> tuple[bool, bool]:
    """Change the group as a PATCH that conforms to its schema says. Returns whether there is a new image, and whether
    it is a new version.
    """
    wanted: dict[str, Any] = json.loads(json.dumps(patch))
    spec = group.spec
    is_versioned = False
    for key in _PROBES:
        if key in wanted:
            is_versioned = True
            _set_or_remove(spec, key, wanted[key])
    for key in ("display_name", "replicas", "queue_autoscaler", "scaling-actions", "scheduled-scaling-enabled"):
        if wanted.get(key) is not None:
            spec[key] = wanted[key]
    if wanted.get("replicas") is not None and "scheduled-scaling-enabled" not in wanted:
        spec["scheduled-scaling-enabled"] = False  # writing the count puts the schedule on hold
    if "country_codes" in wanted:
        spec["country_codes"] = wanted["country_codes"] or []
    if (wanted.get("networking") or {}).get("port") is not None:
        is_versioned = True
        spec["networking"]["port"] = wanted["networking"]["port"]
    has_new_image = False
    if wanted.get("container"):
        has_new_image, has_other_changes = _patch_container(group, wanted["container"])
        is_versioned = is_versioned or has_new_image or has_other_changes
    if not spec["container"]["resources"]["gpu_classes"]:
        spec["priority"] = "batch"  # the live service resets it at every PATCH of a group without GPU
    container = spec["container"]
    group.owner_uid = owner_uid(container["environment_variables"])
    group.script = read_script(
        container["image"], container["command"], container["environment_variables"], group.has_credentials
    )
    return has_new_image, is_versioned


def _patch_container(group: Group, wanted: dict[str, Any]) -> tuple[bool, bool]:
    spec = group.spec
    container: dict[str, Any] = dict(spec["container"])
    has_new_image = wanted.get("image") not in (None, container["image"])
    if wanted.get("registry_authentication"):
        group.has_credentials = True
    elif has_new_image:
        group.has_credentials = False  # they are kept for one pull only
    if has_new_image:
        container["image"] = wanted["image"]
    if wanted.get("priority") is not None:
        spec["priority"] = wanted["priority"]
    for key in ("command", "logging"):
        if key in wanted:
            container[key] = wanted[key]
    if container.get("logging", ()) is None:
        del container["logging"]
    for key in ("environment_variables", "image_caching"):
        if key in wanted:
            container[key] = wanted[key]
    if wanted.get("resources"):
        container["resources"] = {
            **container["resources"],
            **{key: value for key, value in wanted["resources"].items() if value is not None},
        }
    spec["container"] = container
    return has_new_image, any(key in wanted for key in ("command", "environment_variables", "logging"))


def _set_or_remove(spec: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        spec.pop(key, None)
    else:
        spec[key] = value
