"""What happens in the cluster by itself: workloads get pods, pods get nodes, emptied namespaces and old events go.

Stands for the workload controllers, the scheduler, the namespace controller and the expiry of events. Nothing runs
unless `tick()` or one of its parts is called.
"""

from __future__ import annotations

import datetime

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.api_binding import Capacity, is_ready, place
from virtual_kubelet_salad.sandbox.api_deletion import DeleteOptions
from virtual_kubelet_salad.sandbox.api_errors import Json
from virtual_kubelet_salad.sandbox.api_lifecycle import Lifecycle
from virtual_kubelet_salad.sandbox.api_objects import format_time, parse_time
from virtual_kubelet_salad.sandbox.api_resources import EVENTS, NAMESPACES, NODES, PODS, RESOURCES, Target
from virtual_kubelet_salad.sandbox.api_rules import NOT_READY_TAINT
from virtual_kubelet_salad.sandbox.api_store import Store
from virtual_kubelet_salad.sandbox.api_workloads import Workloads

_EVENT_LIFETIME = datetime.timedelta(hours=1)
_EXPIRY_INTERVAL_SECONDS = 60.0
_NAMESPACED = [resource for resource in RESOURCES if resource.namespaced]
_SCHEDULER_NAME = "default-scheduler"


def _waits_for_a_node(pod: Json) -> bool:
    spec = pod["spec"]
    is_ours = not spec.get("nodeName") and spec["schedulerName"] == _SCHEDULER_NAME
    return is_ours and not spec.get("schedulingGates") and "deletionTimestamp" not in pod["metadata"]


class Controllers:
    """The controllers of one store. Not safe for several threads at once."""

    def __init__(self, store: Store, lifecycle: Lifecycle, clock: Clock) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._clock = clock
        self._bound_at: tuple[int, int] | None = None
        self._next_expiry = clock.monotonic()
        self._workloads = Workloads(store, lifecycle, clock)

    def tick(self) -> None:
        """One round of everything."""
        self._workloads.tick()
        self.bind_pods()
        self.finish_namespaces()
        self._expire_events()

    def _follow_readiness(self) -> None:
        """A node that is not ready carries the taint of that; the taint goes when the node says that it is ready."""
        for node in list(self._store.items(NODES)):
            taints = node["spec"].get("taints", [])
            others = [taint for taint in taints if taint.get("key") != NOT_READY_TAINT["key"]]
            wanted = others if is_ready(node) else [*others, NOT_READY_TAINT]
            if len(wanted) != len(taints):
                spec = {key: value for key, value in node["spec"].items() if key != "taints"}
                if wanted:
                    spec["taints"] = wanted
                self._store.put(NODES, ("", node["metadata"]["name"]), {**node, "spec": spec})

    def bind_pods(self) -> int:
        """Give a node to each waiting pod that fits one, say on the others why not; how many were bound."""
        seen = (self._store.last_version(PODS), self._store.last_version(NODES))
        if seen == self._bound_at:
            return 0
        self._follow_readiness()
        pods = list(self._store.items(PODS))
        waiting = [pod for pod in pods if _waits_for_a_node(pod)]
        bound = 0
        if waiting:
            by_node: dict[str, list[Json]] = {}
            for pod in pods:
                by_node.setdefault(pod["spec"].get("nodeName", ""), []).append(pod)
            nodes = self._store.items(NODES)
            capacities = [Capacity(node, by_node.get(node["metadata"]["name"], [])) for node in nodes]
            for pod in sorted(waiting, key=lambda item: int(item["metadata"]["resourceVersion"])):
                node_name, message = place(pod, capacities)
                if node_name is None:
                    self._lifecycle.report_unschedulable(pod, message)
                else:
                    self._lifecycle.assign(pod, node_name)
                    bound += 1
        self._bound_at = (self._store.last_version(PODS), self._store.last_version(NODES))
        return bound

    def terminate_namespace(self, target: Target, options: DeleteOptions) -> Json:
        """Begin the end of a namespace: everything in it is deleted, pods with their grace; 404, 409."""
        item = self._lifecycle.existing(target)
        if options.is_dry_run or "deletionTimestamp" in item["metadata"]:
            return item
        metadata = {**item["metadata"], "deletionTimestamp": format_time(self._clock.now())}
        changed = {**item, "metadata": metadata, "status": {"phase": "Terminating"}}
        item = self._store.put(NAMESPACES, ("", target.name), changed)
        for resource in _NAMESPACED:
            for child in list(self._store.items(resource)):
                if child["metadata"]["namespace"] == target.name:
                    self._lifecycle.delete(
                        Target(resource, target.name, child["metadata"]["name"], ""), DeleteOptions()
                    )
        self.finish_namespaces()
        return item

    def finish_namespaces(self) -> None:
        """Remove the namespaces that are being deleted and hold nothing any more."""
        for item in list(self._store.items(NAMESPACES)):
            name = item["metadata"]["name"]
            if "deletionTimestamp" not in item["metadata"] or item["metadata"].get("finalizers"):
                continue
            children = (child for resource in _NAMESPACED for child in self._store.items(resource))
            if not any(child["metadata"]["namespace"] == name for child in children):
                self._store.remove(NAMESPACES, ("", name))

    def _expire_events(self) -> None:
        if self._clock.monotonic() < self._next_expiry:
            return
        self._next_expiry = self._clock.monotonic() + _EXPIRY_INTERVAL_SECONDS
        oldest = self._clock.now() - _EVENT_LIFETIME
        for item in list(self._store.items(EVENTS)):
            metadata = item["metadata"]
            if parse_time(item.get("lastTimestamp") or metadata["creationTimestamp"]) < oldest:
                self._store.remove(EVENTS, (metadata["namespace"], metadata["name"]))
