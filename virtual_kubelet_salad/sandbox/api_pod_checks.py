"""What a real API server refuses about a pod, at create and at update; each finding is a cause of a 422.

A small part of k8s.io/kubernetes `pkg/apis/core/validation`: what authors get wrong and what a kubelet could do
wrong.
"""

from __future__ import annotations

import ipaddress

from virtual_kubelet_salad.sandbox.api_errors import (
    Json,
    field_duplicate,
    field_forbidden,
    field_invalid,
    field_not_found,
    field_required,
    field_unsupported,
)
from virtual_kubelet_salad.sandbox.api_objects import is_dns_label, is_dns_subdomain, parse_quantity

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character "
    "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_IMMUTABLE_SPEC = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_RESTART_POLICIES = ["Always", "OnFailure", "Never"]
_VOLUME_SOURCES = {
    "emptyDir", "hostPath", "secret", "configMap", "projected", "downwardAPI", "persistentVolumeClaim", "csi",
    "ephemeral", "nfs", "image", "gcePersistentDisk", "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs",
    "cinder", "fc", "flexVolume", "flocker", "gitRepo",
    "glusterfs", "iscsi", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos",
    "vsphereVolume",
}  # fmt: skip


def check_new_pod(pod: Json) -> list[Json]:
    """All that is wrong with a pod after defaulting."""
    spec = pod["spec"]
    causes = _check_volumes(spec.get("volumes", []))
    volumes = {volume.get("name") for volume in spec.get("volumes", [])}
    if not spec.get("containers"):
        causes.append(field_required("spec.containers"))
    if spec.get("ephemeralContainers"):
        causes.append(field_forbidden("spec.ephemeralContainers", "cannot be set on create"))
    names: set[str] = set()
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group, [])):
            causes.extend(_check_container(container, f"spec.{group}[{index}]", names, volumes))
    if spec["restartPolicy"] not in _RESTART_POLICIES:
        causes.append(field_unsupported("spec.restartPolicy", spec["restartPolicy"], _RESTART_POLICIES))
    if spec["terminationGracePeriodSeconds"] < 0:
        causes.append(
            field_invalid(
                "spec.terminationGracePeriodSeconds",
                spec["terminationGracePeriodSeconds"],
                "must be greater than or equal to 0",
            )
        )
    if "nodeName" in spec and not is_dns_subdomain(spec["nodeName"]):
        causes.append(field_invalid("spec.nodeName", spec["nodeName"], "a lowercase RFC 1123 subdomain"))
    return causes


def _check_volumes(volumes: list[Json]) -> list[Json]:
    causes: list[Json] = []
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        field, name = f"spec.volumes[{index}]", volume.get("name", "")
        if not name:
            causes.append(field_required(f"{field}.name"))
        elif not is_dns_label(name):
            causes.append(field_invalid(f"{field}.name", name, LABEL_RULE))
        elif name in seen:
            causes.append(field_duplicate(f"{field}.name", name))
        seen.add(name)
        if len(_VOLUME_SOURCES & set(volume)) > 1:
            causes.append(field_forbidden(field, "may not specify more than 1 volume type"))
        elif not _VOLUME_SOURCES & set(volume):
            causes.append(field_required(field, "must specify a volume type"))
    return causes


def _check_container(container: Json, field: str, names: set[str], volumes: set[str | None]) -> list[Json]:
    causes: list[Json] = []
    name = container.get("name", "")
    if not name:
        causes.append(field_required(f"{field}.name"))
    elif not is_dns_label(name):
        causes.append(field_invalid(f"{field}.name", name, LABEL_RULE))
    elif name in names:
        causes.append(field_duplicate(f"{field}.name", name))
    names.add(name)
    image = container.get("image", "")
    if not image:
        causes.append(field_required(f"{field}.image"))
    elif image != image.strip():
        causes.append(field_invalid(f"{field}.image", image, "must not have leading or trailing whitespace"))
    for index, variable in enumerate(container.get("env", [])):
        if not variable.get("name"):
            causes.append(field_required(f"{field}.env[{index}].name"))
        if variable.get("value") and variable.get("valueFrom"):
            causes.append(
                field_invalid(f"{field}.env[{index}].valueFrom", "", "may not be specified when `value` is not empty")
            )
    for index, mount in enumerate(container.get("volumeMounts", [])):
        if mount.get("name") not in volumes:
            causes.append(field_not_found(f"{field}.volumeMounts[{index}].name", mount.get("name", "")))
        if not mount.get("mountPath"):
            causes.append(field_required(f"{field}.volumeMounts[{index}].mountPath"))
    return causes + _check_resources(container.get("resources", {}), f"{field}.resources")


def _check_resources(resources: Json, field: str) -> list[Json]:
    causes: list[Json] = []
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    for kind, quantities in (("limits", limits), ("requests", requests)):
        for name, quantity in quantities.items():
            value = parse_quantity(quantity)
            if value < 0:
                causes.append(field_invalid(f"{field}.{kind}[{name}]", quantity, "must be greater than or equal to 0"))
            if "/" in name and value != int(value):
                causes.append(field_invalid(f"{field}.{kind}[{name}]", quantity, "must be an integer"))
    for name, quantity in requests.items():
        if "/" in name and name not in limits:
            causes.append(field_required(f"{field}.limits", "Limit must be set for non overcommitable resources"))
        elif name not in limits:
            continue
        elif "/" in name and parse_quantity(quantity) != parse_quantity(limits[name]):
            causes.append(
                field_invalid(f"{field}.requests", quantity, f"must be equal to {name} limit of {limits[name]}")
            )
        elif parse_quantity(quantity) > parse_quantity(limits[name]):
            causes.append(
                field_invalid(
                    f"{field}.requests", quantity, f"must be less than or equal to {name} limit of {limits[name]}"
                )
            )
    return causes


def _comparable(spec: Json) -> Json:
    """The spec without the fields that may be changed."""
    free = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")
    rest = {key: value for key, value in spec.items() if key not in free}
    for group in ("containers", "initContainers"):
        if group in rest:
            rest[group] = [
                {key: value for key, value in container.items() if key != "image"} for container in rest[group]
            ]
    return rest


def check_spec_update(new: Json, old: Json) -> list[Json]:
    """What may not change in the spec of a pod that exists."""
    if new == old:
        return []
    causes: list[Json] = []
    old_grace, new_grace = old.get("terminationGracePeriodSeconds"), new.get("terminationGracePeriodSeconds")
    is_grace_free = old_grace == new_grace or (old_grace is not None and old_grace < 0 and new_grace == 1)
    are_tolerations_kept = all(item in new.get("tolerations", []) for item in old.get("tolerations", []))
    if _comparable(new) != _comparable(old) or not is_grace_free or not are_tolerations_kept:
        causes.append(field_forbidden("spec", _IMMUTABLE_SPEC))
    old_deadline, new_deadline = old.get("activeDeadlineSeconds"), new.get("activeDeadlineSeconds")
    if old_deadline is not None and (new_deadline is None or new_deadline > old_deadline):
        causes.append(
            field_invalid(
                "spec.activeDeadlineSeconds", new_deadline or 0, "must be less than or equal to previous value"
            )
        )
    for index, container in enumerate(new.get("containers", [])):
        if not container.get("image"):
            causes.append(field_required(f"spec.containers[{index}].image"))
    return causes


def check_ephemeral_containers(new: Json, old: Json) -> list[Json]:
    """They can be added, and nothing else."""
    present = {container.get("name"): container for container in new.get("ephemeralContainers", [])}
    causes = []
    for container in old.get("ephemeralContainers", []):
        name = container.get("name")
        if present.get(name) != container:
            what = "changed" if name in present else "removed"
            text = f'existing ephemeral containers "{name}" may not be {what}'
            causes.append(field_forbidden("spec.ephemeralContainers", text))
    return causes


def _is_ip(text: object) -> bool:
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return True


def check_status_update(new: Json, old: Json, restart_policy: str) -> list[Json]:
    """What may not change in a status. The phase is not guarded: a real server does not guard it either."""
    causes: list[Json] = []
    if old.get("qosClass") and new.get("qosClass") != old["qosClass"]:
        causes.append(field_invalid("status.qosClass", new.get("qosClass", ""), "field is immutable"))
    for index, item in enumerate(new.get("podIPs", [])):
        if not _is_ip(item.get("ip")):
            why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            causes.append(field_invalid(f"status.podIPs[{index}]", item.get("ip", ""), why))
    if restart_policy == "Always":
        return causes
    for index, before in enumerate(old.get("containerStatuses", [])):
        ended = before.get("state", {}).get("terminated")
        if ended is None or (ended.get("exitCode", 0) != 0 and restart_policy == "OnFailure"):
            continue
        for after in new.get("containerStatuses", []):
            if after.get("name") == before.get("name") and "terminated" not in after.get("state", {}):
                causes.append(
                    field_forbidden(
                        f"status.containerStatuses[{index}].state", "may not be transitioned to non-terminated state"
                    )
                )
    return causes
