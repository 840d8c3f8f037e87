"""The cluster's side of `cleanup`: cordons the Node, lets its pods go, and deletes the Node and its leases.

Touches only a Node that a kubelet of this kind has registered, only pods that carry our finalizer, and only leases that
are this node's. Nothing is decided here about workloads. Everything runs on the caller's thread; every method raises
the errors of `kube.client`.
"""

from __future__ import annotations

from typing import Any

from virtual_kubelet_salad.errors import NotFound
from virtual_kubelet_salad.kube import resources
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kubelet import pods, status
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.heartbeat import LEASE_NAMESPACE
from virtual_kubelet_salad.kubelet.provider import Identity, Pod
from virtual_kubelet_salad.runtime.clock import Clock

_WHY = "the node is being removed, and its container group was deleted"

Object = dict[str, Any]


class NotOurNode(Exception):
    """The Node of that name was registered by somebody else."""


class NodeRemoval:
    """One node of one cluster."""

    def __init__(self, api: ApiServer, claims: Claims, identity: Identity, node_name: str, clock: Clock) -> None:
        self._api = api
        self._claims = claims
        self._identity = identity
        self._node_name = node_name
        self._clock = clock
        self._statuses = status.Writer("", identity.interruption_annotation)

    # -- looking ------------------------------------------------------------------------------------------------------

    def node(self) -> Object | None:
        """The Node; None when it is gone. Raises `NotOurNode`."""
        try:
            node = self._api.get_node(self._node_name)
        except NotFound:
            return None
        labels = (node.get("metadata") or {}).get("labels") or {}
        provider_id = str((node.get("spec") or {}).get("providerID") or "")
        if labels.get("type") != "virtual-kubelet" or not provider_id.startswith(f"{self._identity.name}://"):
            raise NotOurNode(f"node {self._node_name} was not registered by this kubelet")
        return node

    def claimed_pods(self) -> list[Pod]:
        """The node's pods that carry our finalizer."""
        listed = self._api.get(resources.PODS, {"fieldSelector": f"spec.nodeName={self._node_name}"})
        return [
            pod
            for pod in listed.get("items") or []
            if self._identity.finalizer in (pods.metadata(pod).get("finalizers") or [])
        ]

    # -- changing -----------------------------------------------------------------------------------------------------

    def cordon(self) -> bool:
        """Keeps new pods away; False when there was nothing to do. Raises `NotOurNode`."""
        node = self.node()
        if node is None or (node.get("spec") or {}).get("unschedulable"):
            return False
        self._api.patch_node(self._node_name, {"spec": {"unschedulable": True}})
        return True

    def let_go(self, pod: Pod) -> None:
        """Takes our finalizer from a pod whose workload is confirmed gone, and says on it that nothing runs any more.
        One that is being deleted is removed first, as its kubelet would do. Raises `AnotherPod`.
        """
        namespace, name, uid = pods.namespace(pod), pods.name(pod), pods.uid(pod)
        if pods.is_terminating(pod):
            self._api.delete_pod(namespace, name, uid, grace_seconds=0)
            try:
                pod = self._api.get_pod(namespace, name)  # as the delete has left it
            except NotFound:
                return
        version = pods.metadata(pod).get("resourceVersion", "")
        patch: Object = {"metadata": {**self._claims.release_patch(), "resourceVersion": version}}
        if not pods.is_finished(pod):
            patch["status"] = self._ended(pod)
        self._api.patch_pod_status(namespace, name, uid, patch)

    def delete_node(self) -> bool:
        """False when it was gone already. Raises `NotOurNode`."""
        node = self.node()
        return node is not None and self._delete(resources.node(self._node_name), node)

    def delete_heartbeat_lease(self) -> bool:
        """The Node's own lease; False when it was gone already."""
        return self.delete_lease(LEASE_NAMESPACE, self._node_name)

    def delete_lease(self, namespace: str, name: str) -> bool:
        """False when it was gone already."""
        try:
            lease = self._api.get_lease(namespace, name)
        except NotFound:
            return False
        return self._delete(resources.lease(namespace, name), lease)

    def _delete(self, path: str, thing: Object) -> bool:
        """Deletes exactly what was read; one of the same name that is made meanwhile stays."""
        uid = (thing.get("metadata") or {}).get("uid", "")
        try:
            self._api.delete(path, {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}})
        except NotFound:
            return False
        return True

    def _ended(self, pod: Pod) -> Object:
        ended = self._statuses.ended(pod, self._clock.now())
        if ended["phase"] == "Failed" and not pods.is_terminating(pod):
            # A Job may count it as a disruption, as when a machine is drained.
            disruption = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
            moment = pods.format_time(self._clock.now())
            ended["conditions"].append({**disruption, "message": _WHY, "lastTransitionTime": moment})
            ended["message"] = _WHY
        return ended
