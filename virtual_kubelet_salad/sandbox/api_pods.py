"""What a real API server adds to a pod: defaults, the token volume and tolerations of its admission plugins, and the
fields of a status that are always there.

Facts: k8s.io/kubernetes `pkg/apis/core/v1/defaults.go` and the plugins ServiceAccount, DefaultTolerationSeconds,
Priority.
"""

from __future__ import annotations

from typing import Any

from virtual_kubelet_salad.sandbox.api_errors import Json
from virtual_kubelet_salad.sandbox.api_objects import canonical_quantity, drop_empty, parse_quantity, truncate_times

_TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_LIFETIME_SECONDS = 3607
_TOLERATION_SECONDS = 300
_PRIORITIES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
_OMITTED_WHEN_EMPTY = (
    "message",
    "reason",
    "nominatedNodeName",
    "hostIP",
    "podIP",
    "conditions",
    "containerStatuses",
    "initContainerStatuses",
    "podIPs",
    "hostIPs",
)


def default_pod_spec(spec: Json, *, is_template: bool) -> None:
    """Complete a fresh pod spec in place; in a template the requests are not yet filled from the limits."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for volume in spec.get("volumes", []):
        _default_volume(volume)
    for container in spec.get("containers", []) + spec.get("initContainers", []):
        _default_container(container, is_template=is_template)


def default_pod(pod: Json, token_suffix: str) -> None:
    """Complete a fresh pod of a create in place. `token_suffix` makes the name of the token volume unique."""
    spec: Json = pod.setdefault("spec", {})
    default_pod_spec(spec, is_template=False)
    spec.setdefault("enableServiceLinks", True)
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = account
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", _PRIORITIES.get(spec.get("priorityClassName", ""), 0))
    if spec.get("automountServiceAccountToken", True):
        _add_token_volume(spec, spec.get("containers", []) + spec.get("initContainers", []), token_suffix)
    _add_tolerations(spec)
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}


def add_ephemeral_containers(new: Json, old: Json) -> None:
    """What the route of ephemeral containers makes of a changed pod, in place: the old one with those of the new."""
    added = new.get("spec", {}).get("ephemeralContainers", [])
    for container in added:
        _default_container(container, is_template=False)
    kept = {name: value for name, value in old["spec"].items() if name != "ephemeralContainers"}
    new["spec"] = {**kept, "ephemeralContainers": added} if added else kept
    new["metadata"].clear()
    new["metadata"].update(old["metadata"])


def _default_volume(volume: Json) -> None:
    for name in ("secret", "configMap", "projected", "downwardAPI"):
        if isinstance(volume.get(name), dict):
            volume[name].setdefault("defaultMode", 420)
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def _default_container(container: Json, *, is_template: bool) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    image = str(container.get("image", ""))
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    is_latest = "@" not in image and tag in ("", "latest")
    container.setdefault("imagePullPolicy", "Always" if is_latest else "IfNotPresent")
    resources = container.setdefault("resources", {})
    for name in ("limits", "requests"):
        if isinstance(resources.get(name), dict):
            resources[name] = {key: canonical_quantity(value) for key, value in resources[name].items()}
    if isinstance(resources.get("limits"), dict) and not is_template:
        requests = resources.setdefault("requests", {})
        for name, quantity in resources["limits"].items():
            requests.setdefault(name, quantity)
    for port in container.get("ports", []):
        port.setdefault("protocol", "TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(name), dict):
            _default_probe(container[name])
    for variable in container.get("env", []):
        drop_empty(variable, "value")
        reference = variable.get("valueFrom", {}).get("fieldRef")
        if isinstance(reference, dict):
            reference.setdefault("apiVersion", "v1")


def _default_probe(probe: Json) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        probe[name] = probe.get(name) or value
    if isinstance(probe.get("httpGet"), dict):
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")
    if isinstance(probe.get("grpc"), dict):
        probe["grpc"].setdefault("service", "")


def _add_token_volume(spec: Json, containers: list[Json], suffix: str) -> None:
    if containers and all(_has_token_mount(container) for container in containers):
        return
    name = f"kube-api-access-{suffix}"
    field = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_LIFETIME_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [field]}},
    ]
    spec.setdefault("volumes", []).append({"name": name, "projected": {"sources": sources, "defaultMode": 420}})
    for container in containers:
        if not _has_token_mount(container):
            container.setdefault("volumeMounts", []).append(
                {"name": name, "readOnly": True, "mountPath": _TOKEN_MOUNT_PATH}
            )


def _has_token_mount(container: Json) -> bool:
    return any(mount.get("mountPath") == _TOKEN_MOUNT_PATH for mount in container.get("volumeMounts", []))


def _add_tolerations(spec: Json) -> None:
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(
            item.get("key", "") in ("", key) and item.get("effect", "") in ("", "NoExecute") for item in tolerations
        ):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATION_SECONDS}
            )


def qos_class(spec: Json) -> str:
    """Guaranteed, Burstable or BestEffort, from cpu and memory alone."""
    names = ("cpu", "memory")
    is_guaranteed, has_any = True, False
    for container in spec.get("containers", []) + spec.get("initContainers", []):
        resources = container.get("resources", {})
        limits, requests = resources.get("limits", {}), resources.get("requests", {})
        has_any = has_any or any(name in limits or name in requests for name in names)
        for name in names:
            if name not in limits or parse_quantity(requests.get(name, limits[name])) != parse_quantity(limits[name]):
                is_guaranteed = False
    if not has_any:
        return "BestEffort"
    return "Guaranteed" if is_guaranteed else "Burstable"


def normalize_pod_status(status: Json) -> None:
    """Bring a fresh status into the form that a typed server gives back: times in whole seconds, required fields
    present, empty optional ones gone.
    """
    truncate_times(status, "startTime")
    for name in _OMITTED_WHEN_EMPTY:
        if status.get(name) in ("", []):
            del status[name]
    for condition in status.get("conditions", []):
        truncate_times(condition, "lastTransitionTime", "lastProbeTime")
        condition.setdefault("lastProbeTime", None)
        condition.setdefault("lastTransitionTime", None)
        drop_empty(condition, "reason", "message")
    for name in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for container in status.get(name, []):
            _normalize_container_status(container)
    addresses = [item.get("ip") for item in status.get("podIPs", [])]
    if status.get("podIP") and addresses[:1] != [status["podIP"]]:
        status["podIPs"] = [{"ip": status["podIP"]}]


def _normalize_container_status(container: Json) -> None:
    defaults: tuple[tuple[str, Any], ...] = (("ready", False), ("restartCount", 0), ("image", ""), ("imageID", ""))
    for name, value in defaults:
        container.setdefault(name, value)
    drop_empty(container, "containerID")
    for name in ("state", "lastState"):
        state = container.setdefault(name, {})
        if isinstance(state.get("running"), dict):
            truncate_times(state["running"], "startedAt")
            state["running"].setdefault("startedAt", None)
        if isinstance(state.get("waiting"), dict):
            drop_empty(state["waiting"], "reason", "message")
        if isinstance(state.get("terminated"), dict):
            ended = state["terminated"]
            ended.setdefault("exitCode", 0)
            truncate_times(ended, "startedAt", "finishedAt")
            ended.setdefault("startedAt", None)
            ended.setdefault("finishedAt", None)
            drop_empty(ended, "reason", "message", "containerID")
