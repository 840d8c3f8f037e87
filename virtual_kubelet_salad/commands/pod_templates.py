"""The pods that a manifest leads to, as the API server stores them: what controllers and admission add is added.

One pod stands for all of a workload: the first, where they differ. What only a cluster can know (a UID, the random end
of a name) has a placeholder, and is named as one. Only those defaults are set that anything here depends on: everything
else reads a field that is absent like one that has its default. What webhooks, LimitRanges and the like would change is
not known here. Pure. Source: the controllers of Kubernetes 1.36.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from virtual_kubelet_salad.commands.manifests import Document
from virtual_kubelet_salad.kube import shapes

Pod = dict[str, Any]

PLACEHOLDER_UID = "00000000-0000-0000-0000-000000000000"
DEFAULT_SERVICE_ACCOUNT = "default"

_RANDOM = "xxxxx"
_HASH = "xxxxxxxxxx"
_SCHEDULED = "00000000"  # the minute that a CronJob's Job was made for
_COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
_QUANTITY_MAPPINGS = frozenset({"limits", "requests", "overhead"})
_QUANTITIES = frozenset({"divisor", "sizeLimit", "storage"})


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A pod that a manifest leads to."""

    document: Document
    pod: Pod = dataclasses.field(repr=False)
    placeholders: tuple[str, ...]
    """What is made up in it."""
    unknown_fields: tuple[str, ...]
    """Fields of the manifest that no API server knows, as far as we know."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Workload:
    """How a kind of workload makes pods."""

    api_version: str
    template: tuple[str, ...]
    restart_policies: tuple[str, ...]
    adapt: Callable[[Pod, Mapping[str, Any]], None]
    """Names the pod and adds what the controller adds; gets the workload's manifest."""


def is_rendered(document: Document) -> bool:
    """Whether it is a pod or makes pods."""
    if document.kind == "Pod":
        return document.api_version == "v1"
    workload = _WORKLOADS.get(document.kind)
    return workload is not None and workload.api_version == document.api_version


def candidate(document: Document, default_namespace: str, problems: list[str]) -> Candidate | None:
    """The pod of such a document; None when the API server would not take it, with the reasons in `problems`."""
    manifest = _without_nulls(_with_quantities_as_text(document.manifest))
    shape = shapes.examine(document.kind, manifest)
    wrong = [*shape.wrong] or _broken_rules(document.kind, manifest)
    problems += [f"{document.place} ({document.kind} {document.name}): {problem}" for problem in wrong]
    if wrong:
        return None
    pod = manifest if document.kind == "Pod" else _made_by(_WORKLOADS[document.kind], manifest)
    placeholders = _complete(pod, default_namespace)
    return Candidate(document, pod, placeholders, shape.unknown)


def _broken_rules(kind: str, manifest: Mapping[str, Any]) -> list[str]:
    """The few rules between fields without which there would be no pod to speak of."""
    template, place = manifest, ""
    if kind != "Pod":
        template = _template(_WORKLOADS[kind], manifest)
        place = ".".join((*_WORKLOADS[kind].template, ""))
    spec: Mapping[str, Any] = template.get("spec") or {}
    if not spec:
        return [f"{place}spec: is missing"]
    broken = []
    if not spec.get("containers"):
        broken.append(f"{place}spec.containers: must have at least one container")
    if kind != "Pod":
        allowed = _WORKLOADS[kind].restart_policies
        if spec.get("restartPolicy", "Always") not in allowed:
            broken.append(f"{place}spec.restartPolicy: must be {' or '.join(allowed)} for a {kind}")
    return broken


def _made_by(workload: _Workload, manifest: Mapping[str, Any]) -> Pod:
    template = _template(workload, manifest)
    pod: Pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **{
                field: copy.deepcopy((template.get("metadata") or {}).get(field) or {})
                for field in ("labels", "annotations")
            },
            "namespace": manifest["metadata"].get("namespace"),
            "ownerReferences": [_owner(manifest)],
        },
        "spec": copy.deepcopy(dict(template["spec"])),
    }
    workload.adapt(pod, manifest)
    return pod


def _template(workload: _Workload, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = manifest
    for step in workload.template:
        found = found.get(step) or {}
    return found


def _owner(manifest: Mapping[str, Any]) -> dict[str, Any]:
    kind = "Job" if manifest["kind"] == "CronJob" else manifest["kind"]
    return {"kind": kind, "name": _name(manifest), "uid": PLACEHOLDER_UID, "controller": True}


def _name(manifest: Mapping[str, Any]) -> str:
    metadata = manifest["metadata"]
    return str(metadata.get("name") or f"{metadata['generateName']}{_RANDOM}")


def _complete(pod: Pod, default_namespace: str) -> tuple[str, ...]:
    """Sets what each pod has; returns what of it is made up."""
    metadata, spec = pod["metadata"], pod["spec"]
    placeholders = []
    metadata["namespace"] = metadata.get("namespace") or default_namespace
    if not metadata.get("name"):
        metadata["name"] = f"{metadata['generateName']}{_RANDOM}"
        placeholders.append("metadata.name")
    if not metadata.get("uid"):
        metadata["uid"] = PLACEHOLDER_UID
        placeholders.append("metadata.uid")
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT_SERVICE_ACCOUNT
    spec["serviceAccountName"] = account
    return tuple(placeholders)


# -- what the controllers do


def _of_deployment(pod: Pod, manifest: Mapping[str, Any]) -> None:
    pod["metadata"]["generateName"] = f"{_name(manifest)}-{_HASH}-"
    pod["metadata"]["labels"]["pod-template-hash"] = _HASH


def _with_a_random_name(pod: Pod, manifest: Mapping[str, Any]) -> None:
    pod["metadata"]["generateName"] = f"{_name(manifest)}-"


def _of_stateful_set(pod: Pod, manifest: Mapping[str, Any]) -> None:
    """The first of the set; it has the name of the set's first claims, too."""
    set_name, set_spec = _name(manifest), manifest["spec"]
    index = str((set_spec.get("ordinals") or {}).get("start") or 0)
    name = pod["metadata"]["name"] = f"{set_name}-{index}"
    pod["metadata"]["labels"] |= {
        "apps.kubernetes.io/pod-index": index,
        "controller-revision-hash": f"{set_name}-{_HASH}",
        "statefulset.kubernetes.io/pod-name": name,
    }
    pod["spec"]["hostname"] = name
    pod["spec"]["subdomain"] = set_spec.get("serviceName") or ""
    claims = [template["metadata"]["name"] for template in set_spec.get("volumeClaimTemplates") or []]
    volumes = [volume for volume in pod["spec"].get("volumes") or [] if volume["name"] not in claims]
    pod["spec"]["volumes"] = [
        *({"name": claim, "persistentVolumeClaim": {"claimName": f"{claim}-{name}"}} for claim in claims),
        *volumes,
    ]


def _of_job(pod: Pod, manifest: Mapping[str, Any]) -> None:
    _of_job_named(pod, _name(manifest), manifest["spec"])


def _of_cron_job(pod: Pod, manifest: Mapping[str, Any]) -> None:
    _of_job_named(pod, f"{_name(manifest)}-{_SCHEDULED}", manifest["spec"]["jobTemplate"].get("spec") or {})


def _of_job_named(pod: Pod, job: str, job_spec: Mapping[str, Any]) -> None:
    """The first of an indexed Job knows its index from a variable in each container."""
    metadata = pod["metadata"]
    metadata["generateName"] = f"{job}-"
    for prefix in ("", "batch.kubernetes.io/"):
        metadata["labels"] |= {f"{prefix}job-name": job, f"{prefix}controller-uid": PLACEHOLDER_UID}
    if job_spec.get("completionMode") != "Indexed":
        return
    metadata["generateName"] = f"{job}-0-"
    metadata["labels"][_COMPLETION_INDEX] = metadata["annotations"][_COMPLETION_INDEX] = "0"
    pod["spec"]["hostname"] = f"{job}-0"
    index = {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{_COMPLETION_INDEX}']"}},
    }
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        variables = container.get("env") or []
        if all(variable["name"] != index["name"] for variable in variables):
            container["env"] = [*variables, index]


_TEMPLATE = ("spec", "template")
_ALWAYS = ("Always",)
_ENDING = ("OnFailure", "Never")
_WORKLOADS = {
    "Deployment": _Workload("apps/v1", _TEMPLATE, _ALWAYS, _of_deployment),
    "ReplicaSet": _Workload("apps/v1", _TEMPLATE, _ALWAYS, _with_a_random_name),
    "StatefulSet": _Workload("apps/v1", _TEMPLATE, _ALWAYS, _of_stateful_set),
    "DaemonSet": _Workload("apps/v1", _TEMPLATE, _ALWAYS, _with_a_random_name),
    "ReplicationController": _Workload("v1", _TEMPLATE, _ALWAYS, _with_a_random_name),
    "Job": _Workload("batch/v1", _TEMPLATE, _ENDING, _of_job),
    "CronJob": _Workload("batch/v1", ("spec", "jobTemplate", *_TEMPLATE), _ENDING, _of_cron_job),
}


KINDS = ("Pod", *_WORKLOADS)


# -- what the API server does to values


def _with_quantities_as_text(value: Any, is_quantities: bool = False) -> Any:
    """Quantities may be written as numbers; they are kept as text."""
    if isinstance(value, dict):
        return {
            name: (
                f"{inner}"
                if (is_quantities or name in _QUANTITIES) and _is_number(inner)
                else _with_quantities_as_text(inner, name in _QUANTITY_MAPPINGS)
            )
            for name, inner in value.items()
        }
    return [_with_quantities_as_text(inner) for inner in value] if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _without_nulls(value: Any) -> Any:
    """A field that is null is a field that is not there."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
