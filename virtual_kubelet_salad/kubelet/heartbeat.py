"""Keeps the node alive in the cluster: its lease on one thread, its object and status on another.

The lease has a transport of its own, so neither busy workers nor a slow cloud can delay it. Pods are never looked at
here, and the cloud is never asked.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from virtual_kubelet_salad.errors import Conflict, Error, NotFound
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.leader import format_micro_time
from virtual_kubelet_salad.kubelet import node
from virtual_kubelet_salad.kubelet.node import Facts, NodeSettings
from virtual_kubelet_salad.kubelet.placement import Verdict
from virtual_kubelet_salad.kubelet.provider import Identity
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.trouble import Trouble

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
# As a kubelet's: the node controller looks at the lease's renew time, not at its duration.
LEASE_SECONDS = 40
# A failed renewal is tried again soon: the node controller waits 40 s before the node is NotReady.
LEASE_RETRY_SECONDS = 2.0
STATUS_CHECK_SECONDS = 10.0
# Until the cloud's quota is known the node offers no room at all.
NO_CAPACITY_CHECK_SECONDS = 1.0
STATUS_AT_LEAST_SECONDS = 300.0


class LeaseHeartbeat:
    """Renews the node's lease and notices when the Node is gone. `step` belongs to its own thread."""

    def __init__(
        self, api: ApiServer, clock: Clock, node_name: str, interval_seconds: float, on_node_missing: Callable[[], None]
    ) -> None:
        self._api = api
        self._clock = clock
        self._node_name = node_name
        self._interval_seconds = interval_seconds
        self._on_node_missing = on_node_missing
        self._node_uid = ""
        self._renewed_at: float | None = None
        self._read_trouble = Trouble(clock, log, f"node could not be read node={node_name}")
        self._renew_trouble = Trouble(clock, log, f"lease was not renewed node={node_name}")

    def step(self) -> float:
        """Renews once; returns the seconds until the next renewal."""
        try:
            uid = str(self._api.get_node(self._node_name).get("metadata", {}).get("uid", ""))
        except NotFound:
            # Without its Node the lease would be garbage-collected again and again.
            level = logging.WARNING if self._node_uid else logging.INFO
            log.log(level, "node is not there and will be created node=%s", self._node_name)
            self._on_node_missing()
            return LEASE_RETRY_SECONDS
        except Error as error:
            self._read_trouble.failed(error)
            uid = self._node_uid
        else:
            self._read_trouble.over()
        try:
            self._renew(uid)
        except Error as error:
            self._renew_trouble.failed(error)
            return LEASE_RETRY_SECONDS
        self._renew_trouble.over()
        self._renewed_at = self._clock.monotonic()
        return self._interval_seconds

    def age_seconds(self) -> float:
        """Seconds since the last successful renewal; infinite before the first. From any thread."""
        renewed_at = self._renewed_at
        return float("inf") if renewed_at is None else self._clock.monotonic() - renewed_at

    def _renew(self, uid: str) -> None:
        spec = {"renewTime": format_micro_time(self._clock.now())}
        if uid == self._node_uid and uid:
            try:
                self._api.patch_lease(LEASE_NAMESPACE, self._node_name, {"spec": spec})
                return
            except NotFound:
                pass
        owners = [{"apiVersion": "v1", "kind": "Node", "name": self._node_name, "uid": uid}] if uid else []
        whole = {"holderIdentity": self._node_name, "leaseDurationSeconds": LEASE_SECONDS, **spec}
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._node_name, "namespace": LEASE_NAMESPACE, "ownerReferences": owners},
            "spec": whole,
        }
        try:
            self._api.create_lease(LEASE_NAMESPACE, lease)
        except Conflict:
            patch: dict[str, Any] = {"spec": whole}
            if owners:
                patch["metadata"] = {"ownerReferences": owners}
            self._api.patch_lease(LEASE_NAMESPACE, self._node_name, patch)
        self._node_uid = uid


@dataclasses.dataclass(slots=True)
class NodeStatus:
    """Keeps the Node object there and true. `step` belongs to its own thread."""

    api: ApiServer
    clock: Clock
    settings: NodeSettings
    identity: Identity
    facts: Callable[[], Facts]
    judge: Callable[[Mapping[str, Any]], Verdict]
    """Whether the right place is served, by the Node as it was read."""
    is_registered: threading.Event = dataclasses.field(default_factory=threading.Event)
    """Set once the Node has been there with our status."""
    node_uid: str = ""
    conditions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Type -> status as last written, for the metrics."""
    _written_at: float = float("-inf")
    _has_warned_of_provider_id: bool = False
    _trouble: Trouble = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self._trouble = Trouble(self.clock, log, f"node status was not written node={self.settings.name}")

    def step(self) -> float:
        """Looks once, writes what differs; returns the seconds until the next look."""
        facts = self.facts()
        try:
            self._reconcile(facts)
        except Error as error:
            self._trouble.failed(error)
            return LEASE_RETRY_SECONDS
        self._trouble.over()
        return STATUS_CHECK_SECONDS if facts.capacity is not None else NO_CAPACITY_CHECK_SECONDS

    def _reconcile(self, facts: Facts) -> None:
        try:
            present = self.api.get_node(self.settings.name)
            facts = dataclasses.replace(facts, placement=self.judge(present))
        except NotFound:
            facts = dataclasses.replace(facts, placement=self.judge({}))
            present = self._create(facts)
        self.node_uid = str(present.get("metadata", {}).get("uid", ""))
        patch = node.object_patch(present, self.settings, self.identity, facts)
        if patch:
            present = self.api.patch_node(self.settings.name, patch)
        self._warn_of_foreign_provider_id(present)
        wanted = node.status(present, self.settings, self.identity, facts)
        is_due = self.clock.monotonic() - self._written_at >= STATUS_AT_LEAST_SECONDS
        if is_due or node.is_worth_writing(present, wanted):
            self.api.patch_node_status(self.settings.name, {"status": wanted})
            self._written_at = self.clock.monotonic()
        self.conditions = {condition["type"]: condition["status"] for condition in wanted["conditions"]}
        self.is_registered.set()

    def _create(self, facts: Facts) -> dict[str, Any]:
        wanted = node.new_node(self.settings, self.identity, facts)
        try:
            created = self.api.create_node(wanted)
        except Conflict:
            return self.api.get_node(self.settings.name)
        log.info("node created node=%s", self.settings.name)
        return created

    def _warn_of_foreign_provider_id(self, present: Mapping[str, Any]) -> None:
        found = (present.get("spec") or {}).get("providerID")
        wanted = node.provider_id(self.settings, self.identity)
        if found and found != wanted and not self._has_warned_of_provider_id:
            self._has_warned_of_provider_id = True
            log.warning("node keeps a providerID that is not ours node=%s", self.settings.name)
