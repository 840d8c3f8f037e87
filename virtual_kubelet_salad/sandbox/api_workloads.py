"""Small controllers for Deployments, ReplicaSets and Jobs, so that ordinary manifests run without a controller manager.

They keep the number of pods, roll a Deployment from one template to the next within maxSurge and maxUnavailable, count
a Job's successes and failures, and delete what belonged to a workload that is gone. There is no rollback, no pause and
no deadline; the real controllers do all that.
"""

from __future__ import annotations

import hashlib
import json
import math

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.api_deletion import DeleteOptions
from virtual_kubelet_salad.sandbox.api_errors import ApiError, Json
from virtual_kubelet_salad.sandbox.api_jobs import is_finished, job_status, missing_pods
from virtual_kubelet_salad.sandbox.api_lifecycle import Lifecycle
from virtual_kubelet_salad.sandbox.api_objects import format_time
from virtual_kubelet_salad.sandbox.api_resources import (
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    PODS,
    REPLICA_SETS,
    ResourceType,
    Target,
)
from virtual_kubelet_salad.sandbox.api_store import Store

_HASH_LABEL = "pod-template-hash"
_HASH_LENGTH = 10
_MOST_ROUNDS = 10
_WATCHED = (DEPLOYMENTS, REPLICA_SETS, JOBS, PODS)


def is_ready(pod: Json) -> bool:
    """Whether the pod's Ready condition is true."""
    conditions = pod["status"].get("conditions", [])
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _is_active(pod: Json) -> bool:
    return pod["status"].get("phase") not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]


def _is_deleted(item: Json) -> bool:
    return "deletionTimestamp" in item["metadata"]


def _owner(item: Json) -> str | None:
    owners = item["metadata"].get("ownerReferences", [])
    return next((owner.get("uid") for owner in owners if owner.get("controller")), None)


def _share(value: object, whole: int, *, rounds_up: bool) -> int:
    """A maxSurge or maxUnavailable as a number of pods."""
    if isinstance(value, int):
        return value
    part = whole * int(str(value).rstrip("%")) / 100
    return math.ceil(part) if rounds_up else math.floor(part)


class Workloads:
    """The controllers of one store. Not safe for several threads at once."""

    def __init__(self, store: Store, lifecycle: Lifecycle, clock: Clock) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._clock = clock
        self._owners_seen: set[str] = set()
        self._complaints: set[tuple[str, int]] = set()
        self._seen: tuple[int, ...] = ()

    def tick(self) -> None:
        """Rounds until nothing changes any more."""
        if not self._owners_seen and not any(self._store.count(kind) for kind in (DEPLOYMENTS, REPLICA_SETS, JOBS)):
            return
        for _ in range(_MOST_ROUNDS):
            seen = tuple(self._store.last_version(kind) for kind in _WATCHED)
            if seen == self._seen:
                return
            self._seen = seen
            self._round()

    def _round(self) -> None:
        self._collect()
        pods: dict[str, list[Json]] = {}
        for pod in self._store.items(PODS):
            if (uid := _owner(pod)) is not None:
                pods.setdefault(uid, []).append(pod)
        sets: dict[str, list[Json]] = {}
        for item in list(self._store.items(REPLICA_SETS)):
            self._follow_replica_set(item, pods.get(item["metadata"]["uid"], []))
        for item in self._store.items(REPLICA_SETS):
            if (uid := _owner(item)) is not None:
                sets.setdefault(uid, []).append(item)
        for item in list(self._store.items(DEPLOYMENTS)):
            self._follow_deployment(item, sets.get(item["metadata"]["uid"], []), pods)
        for item in list(self._store.items(JOBS)):
            self._follow_job(item, pods.get(item["metadata"]["uid"], []))

    # Writing

    def _put(self, resource: ResourceType, item: Json) -> None:
        metadata = item["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if self._store.get(resource, key) != item:
            self._store.put(resource, key, item)

    def _set_status(self, resource: ResourceType, item: Json, status: Json) -> None:
        if item.get("status") != status:
            self._put(resource, {**item, "status": status})

    def _set_replicas(self, item: Json, replicas: int) -> None:
        if item["spec"]["replicas"] != replicas:
            metadata = {**item["metadata"], "generation": item["metadata"]["generation"] + 1}
            self._put(REPLICA_SETS, {**item, "metadata": metadata, "spec": {**item["spec"], "replicas": replicas}})

    def _delete(self, resource: ResourceType, item: Json) -> None:
        metadata = item["metadata"]
        self._lifecycle.delete(Target(resource, metadata["namespace"], metadata["name"], ""), DeleteOptions())

    def _create_pod(self, resource: ResourceType, owner: Json) -> None:
        template = owner["spec"]["template"]
        inherited = template.get("metadata", {})
        metadata: Json = {
            "generateName": f"{owner['metadata']['name']}-",
            "ownerReferences": [_reference(resource, owner)],
        }
        for name in ("labels", "annotations"):
            if name in inherited:
                metadata[name] = inherited[name]
        self._create(PODS, {"metadata": metadata, "spec": template["spec"]}, resource, owner)

    def _create(self, kind: ResourceType, body: Json, resource: ResourceType, owner: Json) -> None:
        """Create a dependent; a refusal becomes an event on its owner, as the author's template is the cause."""
        namespace = owner["metadata"]["namespace"]
        try:
            self._lifecycle.create(kind, namespace, body)
        except ApiError as error:
            complaint = (owner["metadata"]["uid"], owner["metadata"]["generation"])
            if complaint in self._complaints:
                return
            self._complaints.add(complaint)
            now = format_time(self._clock.now())
            reference = {**_reference(resource, owner), "namespace": namespace}
            event = {
                "metadata": {"generateName": f"{owner['metadata']['name']}."},
                "involvedObject": {
                    name: reference[name] for name in ("apiVersion", "kind", "namespace", "name", "uid")
                },
                "type": "Warning",
                "reason": "FailedCreate",
                "message": f"Error creating: {error.message}",
                "source": {"component": f"{resource.singular}-controller"},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            }
            self._lifecycle.create(EVENTS, namespace, event)

    def _collect(self) -> None:
        """Delete the dependents of workloads that were here and are gone."""
        present = {item["metadata"]["uid"] for kind in _WATCHED[:3] for item in self._store.items(kind)}
        self._owners_seen |= present
        gone = self._owners_seen - present
        for kind in (REPLICA_SETS, PODS):
            for item in list(self._store.items(kind)):
                if _owner(item) in gone and not _is_deleted(item):
                    self._delete(kind, item)

    # The kinds

    def _follow_replica_set(self, item: Json, pods: list[Json]) -> None:
        active = [pod for pod in pods if _is_active(pod)]
        wanted = item["spec"]["replicas"]
        if not _is_deleted(item):
            for _ in range(wanted - len(active)):
                self._create_pod(REPLICA_SETS, item)
            # The least useful go first: without a node, not ready, youngest.
            worst = sorted(active, key=lambda pod: (bool(pod["spec"].get("nodeName")), is_ready(pod), -_age_rank(pod)))
            for pod in worst[: max(0, len(active) - wanted)]:
                self._delete(PODS, pod)
        ready = sum(1 for pod in active if is_ready(pod))
        status = {
            "replicas": len(active),
            "fullyLabeledReplicas": len(active),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": item["metadata"]["generation"],
        }
        current = self._store.get(REPLICA_SETS, (item["metadata"]["namespace"], item["metadata"]["name"]))
        if current is not None:
            self._set_status(REPLICA_SETS, current, {name: value for name, value in status.items() if value})

    def _follow_deployment(self, item: Json, sets: list[Json], pods: dict[str, list[Json]]) -> None:
        if _is_deleted(item):
            return
        text = json.dumps(item["spec"]["template"], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
        newest = next((one for one in sets if one["metadata"]["labels"].get(_HASH_LABEL) == digest), None)
        if newest is None:
            self._create_replica_set(item, digest)
            return
        older = [one for one in sets if one is not newest]
        active = {
            one["metadata"]["uid"]: [pod for pod in pods.get(one["metadata"]["uid"], []) if _is_active(pod)]
            for one in sets
        }
        ready = {uid: sum(1 for pod in found if is_ready(pod)) for uid, found in active.items()}
        self._roll(item, newest, older, ready)
        self._report_deployment(item, newest, active, sum(ready.values()))

    def _create_replica_set(self, item: Json, digest: str) -> None:
        template = item["spec"]["template"]
        inherited = template.get("metadata", {})
        labels = {**inherited.get("labels", {}), _HASH_LABEL: digest}
        selector = {"matchLabels": {**item["spec"]["selector"].get("matchLabels", {}), _HASH_LABEL: digest}}
        body = {
            "metadata": {
                "name": f"{item['metadata']['name']}-{digest}",
                "labels": labels,
                "ownerReferences": [_reference(DEPLOYMENTS, item)],
            },
            "spec": {
                "replicas": 0,
                "selector": selector,
                "template": {**template, "metadata": {**inherited, "labels": labels}},
            },
        }
        self._create(REPLICA_SETS, body, DEPLOYMENTS, item)

    def _roll(self, item: Json, newest: Json, older: list[Json], ready: dict[str, int]) -> None:
        """One step towards the newest template, within the strategy's bounds.

        It counts what the ReplicaSets are asked for, not the pods of this moment, as the real controller does: what
        was given up in the last step must not be given up again.
        """
        wanted, strategy = item["spec"]["replicas"], item["spec"]["strategy"]
        old_total = sum(one["spec"]["replicas"] for one in older)
        asked = newest["spec"]["replicas"]
        if strategy["type"] == "Recreate":
            for one in older:
                self._set_replicas(one, 0)
            has_ended = not any(one.get("status", {}).get("replicas") for one in older)
            self._set_replicas(newest, wanted if has_ended and old_total == 0 else asked)
            return
        rolling = strategy["rollingUpdate"]
        surge = _share(rolling["maxSurge"], wanted, rounds_up=True)
        unavailable = _share(rolling["maxUnavailable"], wanted, rounds_up=False)
        if surge == 0 and unavailable == 0:
            unavailable = 1
        self._set_replicas(newest, min(wanted, max(asked, wanted + surge - old_total)))
        new_unready = max(0, asked - ready[newest["metadata"]["uid"]])
        spare = asked + old_total - (wanted - unavailable) - new_unready
        ready_spare = sum(ready.values()) - (wanted - unavailable)
        for one in older:
            replicas = one["spec"]["replicas"]
            unready = max(0, replicas - ready[one["metadata"]["uid"]])
            removed = max(0, min(replicas, spare, unready + max(0, ready_spare)))
            self._set_replicas(one, replicas - removed)
            spare -= removed
            ready_spare -= max(0, removed - unready)

    def _report_deployment(self, item: Json, newest: Json, active: dict[str, list[Json]], ready: int) -> None:
        wanted, total = item["spec"]["replicas"], sum(len(found) for found in active.values())
        updated = len(active[newest["metadata"]["uid"]])
        unavailable = _share(
            item["spec"]["strategy"].get("rollingUpdate", {}).get("maxUnavailable", 0), wanted, rounds_up=False
        )
        is_available = ready >= wanted - unavailable
        before = {entry["type"]: entry for entry in item.get("status", {}).get("conditions", [])}
        status: Json = {
            "observedGeneration": item["metadata"]["generation"],
            "replicas": total,
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(0, wanted - ready),
        }
        status = {name: value for name, value in status.items() if value}
        word = "True" if is_available else "False"
        reason = "MinimumReplicasAvailable" if is_available else "MinimumReplicasUnavailable"
        condition = before.get("Available", {})
        if condition.get("status") != word:
            now = format_time(self._clock.now())
            condition = {"type": "Available", "status": word, "reason": reason, "lastTransitionTime": now}
        status["conditions"] = [condition]
        self._set_status(DEPLOYMENTS, item, status)

    def _follow_job(self, item: Json, pods: list[Json]) -> None:
        if _is_deleted(item):
            return
        now = format_time(self._clock.now())
        status = job_status(item, pods, now)
        self._set_status(JOBS, item, status)
        if is_finished(status):
            for pod in pods:
                if _is_active(pod):
                    self._delete(PODS, pod)
        else:
            for _ in range(missing_pods(item, pods)):
                self._create_pod(JOBS, item)


def _age_rank(pod: Json) -> int:
    return -int(pod["metadata"]["resourceVersion"])


def _reference(resource: ResourceType, owner: Json) -> Json:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
