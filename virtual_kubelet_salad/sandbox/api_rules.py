"""What is special about each kind: defaults at create, what an update may change, how long a graceful deletion takes.

`Rules` is the behaviour of a plain object; the subclasses follow the registry strategies of a real API server. Every
`prepare_*` gets a fresh object that it may change; every `check_*` returns the causes of a 422.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from virtual_kubelet_salad.sandbox.api_errors import Json, Undecodable, field_forbidden, field_invalid, field_required
from virtual_kubelet_salad.sandbox.api_objects import canonical_quantity, check_micro_time, drop_empty, truncate_times
from virtual_kubelet_salad.sandbox.api_pod_checks import (
    check_ephemeral_containers,
    check_new_pod,
    check_spec_update,
    check_status_update,
)
from virtual_kubelet_salad.sandbox.api_pods import (
    add_ephemeral_containers,
    default_pod,
    normalize_pod_status,
    qos_class,
)
from virtual_kubelet_salad.sandbox.api_resources import EPHEMERAL

NOT_READY_TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
"""A real server puts it on every new node; it goes when the node says that it is ready."""

_EMPTY_NODE_INFO = {
    "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "", "containerRuntimeVersion": "",
    "kubeletVersion": "", "kubeProxyVersion": "", "operatingSystem": "", "architecture": "",
}  # fmt: skip
_NODE_UPDATE = 'node updates may not change providerID except from "" to valid'


class Rules:
    """A plain object: stored as sent, deleted at once."""

    returns_deleted_object = False
    allows_unconditional_update = True
    allows_create_on_update = False
    counts_generations = False

    def prepare_create(self, item: Json, random_suffix: Callable[[], str]) -> None:
        """Defaults of a new object."""

    def check_create(self, item: Json) -> list[Json]:
        return []

    def prepare_update(self, new: Json, old: Json, subresource: str) -> None:
        """Normalise a changed object and put back what this route may not change."""

    def check_update(self, new: Json, old: Json, subresource: str) -> list[Json]:
        return []

    def grace_seconds(self, item: Json, wanted: int | None) -> int | None:
        """How long a first deletion takes; None when this kind knows no graceful deletion."""
        return None


def keep_status_apart(new: Json, old: Json, subresource: str) -> None:
    """A status route changes the status (and metadata) only; every other route leaves it alone."""
    part = "spec" if subresource == "status" else "status"
    if part in old:
        new[part] = old[part]
    else:
        new.pop(part, None)


class PodRules(Rules):
    """Pods: defaulting, a spec that hardly changes, graceful deletion by the kubelet."""

    returns_deleted_object = True
    counts_generations = True

    def prepare_create(self, item: Json, random_suffix: Callable[[], str]) -> None:
        default_pod(item, random_suffix())

    def check_create(self, item: Json) -> list[Json]:
        return check_new_pod(item)

    def prepare_update(self, new: Json, old: Json, subresource: str) -> None:
        if subresource == EPHEMERAL:
            add_ephemeral_containers(new, old)
        keep_status_apart(new, old, subresource)
        if subresource == "status":
            if "ownerReferences" in old["metadata"]:
                new["metadata"]["ownerReferences"] = old["metadata"]["ownerReferences"]
            else:
                new["metadata"].pop("ownerReferences", None)
            # The new object is a fresh copy that shares nothing with the stored one, so it may be changed in place.
            status = new.setdefault("status", {})
            status.setdefault("qosClass", qos_class(new["spec"]))
            status.setdefault("phase", "Pending")
            normalize_pod_status(status)

    def check_update(self, new: Json, old: Json, subresource: str) -> list[Json]:
        if subresource == "status":
            return check_status_update(new["status"], old["status"], old["spec"]["restartPolicy"])
        if subresource == EPHEMERAL:
            return check_ephemeral_containers(new["spec"], old["spec"])
        return check_spec_update(new["spec"], old["spec"])

    def grace_seconds(self, item: Json, wanted: int | None) -> int | None:
        is_unscheduled = not item["spec"].get("nodeName")
        is_over = item["status"].get("phase") in ("Succeeded", "Failed")
        if is_unscheduled or is_over:
            return 0
        period = item["spec"]["terminationGracePeriodSeconds"] if wanted is None else wanted
        return int(period) if period >= 0 else 1


class NodeRules(Rules):
    """Nodes: status kept from the registration, providerID settable once."""

    def prepare_create(self, item: Json, random_suffix: Callable[[], str]) -> None:
        spec = item.setdefault("spec", {})
        if not any(taint.get("key") == NOT_READY_TAINT["key"] for taint in spec.get("taints", [])):
            spec.setdefault("taints", []).append(dict(NOT_READY_TAINT))
        self._normalize(item.setdefault("status", {}))

    @staticmethod
    def _normalize(status: Json) -> None:
        status["nodeInfo"] = {**_EMPTY_NODE_INFO, **status.get("nodeInfo", {})}
        status.setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})
        for name in ("capacity", "allocatable"):
            if name in status:
                status[name] = {key: canonical_quantity(value) for key, value in status[name].items()}
        if "capacity" in status:
            status.setdefault("allocatable", status["capacity"])
        for condition in status.get("conditions", []):
            truncate_times(condition, "lastHeartbeatTime", "lastTransitionTime")
            condition.setdefault("lastHeartbeatTime", None)
            condition.setdefault("lastTransitionTime", None)
            drop_empty(condition, "reason", "message")

    def check_create(self, item: Json) -> list[Json]:
        return self._check_taints(item)

    @staticmethod
    def _check_taints(item: Json) -> list[Json]:
        causes = []
        for index, taint in enumerate(item["spec"].get("taints", [])):
            if not taint.get("key"):
                causes.append(field_required(f"metadata.taints[{index}].key"))
            if taint.get("effect") not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
                causes.append(
                    field_invalid(f"metadata.taints[{index}].effect", taint.get("effect", ""), "must be a known effect")
                )
        return causes

    def prepare_update(self, new: Json, old: Json, subresource: str) -> None:
        new.setdefault("spec", {})
        keep_status_apart(new, old, subresource)
        if subresource == "status":
            self._normalize(new.setdefault("status", {}))

    def check_update(self, new: Json, old: Json, subresource: str) -> list[Json]:
        before = old["spec"].get("providerID")
        if before and new["spec"].get("providerID") != before:
            return [field_forbidden("spec.providerID", _NODE_UPDATE)]
        return self._check_taints(new)


class NamespaceRules(Rules):
    """Namespaces: a phase, and the label with their own name."""

    def prepare_create(self, item: Json, random_suffix: Callable[[], str]) -> None:
        metadata = item["metadata"]
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
        item["spec"] = {"finalizers": ["kubernetes"]}
        item["status"] = {"phase": "Active"}

    def prepare_update(self, new: Json, old: Json, subresource: str) -> None:
        keep_status_apart(new, old, subresource)


class LeaseRules(Rules):
    """Leases: times with six decimals, and no update without a resourceVersion."""

    allows_unconditional_update = False
    allows_create_on_update = True

    @staticmethod
    def _normalize(item: Json) -> None:
        spec = item.setdefault("spec", {})
        for name in ("renewTime", "acquireTime"):
            if name in spec:
                spec[name] = check_micro_time(spec[name])

    def prepare_create(self, item: Json, random_suffix: Callable[[], str]) -> None:
        self._normalize(item)

    def prepare_update(self, new: Json, old: Json, subresource: str) -> None:
        self._normalize(new)

    def check_create(self, item: Json) -> list[Json]:
        duration = item["spec"].get("leaseDurationSeconds")
        if duration is not None and duration <= 0:
            return [field_invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")]
        return []

    def check_update(self, new: Json, old: Json, subresource: str) -> list[Json]:
        return self.check_create(new)


class EventRules(Rules):
    """Events: they live in the namespace of what they are about (default for cluster-wide objects)."""

    allows_create_on_update = True

    def prepare_create(self, item: Json, random_suffix: Callable[[], str]) -> None:
        if not isinstance(item.get("involvedObject"), dict):
            item["involvedObject"] = {}
        self._normalize(item)

    def prepare_update(self, new: Json, old: Json, subresource: str) -> None:
        self._normalize(new)

    @staticmethod
    def _normalize(item: Json) -> None:
        truncate_times(item, "firstTimestamp", "lastTimestamp")
        if "eventTime" in item:
            item["eventTime"] = check_micro_time(item["eventTime"])
        for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
            item.setdefault(name, None)
        for name in ("reportingComponent", "reportingInstance"):
            item.setdefault(name, "")
        item.setdefault("source", {})

    def check_create(self, item: Json) -> list[Json]:
        regarding, namespace = item["involvedObject"].get("namespace", ""), item["metadata"]["namespace"]
        if regarding != namespace and (regarding or namespace != "default"):
            return [field_invalid("involvedObject.namespace", regarding, "does not match event.namespace")]
        return []


class SecretRules(Rules):
    """Secrets: stringData becomes data, values are base64."""

    def prepare_create(self, item: Json, random_suffix: Callable[[], str]) -> None:
        item.setdefault("type", "Opaque")
        self._fold_string_data(item)

    def prepare_update(self, new: Json, old: Json, subresource: str) -> None:
        new.setdefault("type", old.get("type", "Opaque"))
        self._fold_string_data(new)

    @staticmethod
    def _fold_string_data(item: Json) -> None:
        plain = item.pop("stringData", None)
        if plain:
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
            item["data"] = {**item.get("data", {}), **encoded}
        for value in item.get("data", {}).values():
            try:
                base64.b64decode(value, validate=True)
            except (TypeError, ValueError):
                raise Undecodable("illegal base64 data") from None

    def check_update(self, new: Json, old: Json, subresource: str) -> list[Json]:
        if new["type"] != old.get("type", "Opaque"):
            return [field_invalid("type", new["type"], "field is immutable")]
        return []


class ConfigMapRules(Rules):
    """ConfigMaps have nothing of their own."""


class ServiceAccountRules(Rules):
    """ServiceAccounts answer a delete with their last state."""

    returns_deleted_object = True
