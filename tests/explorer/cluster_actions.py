"""What the cluster's own controllers do, and what befalls the API server's memory."""

from __future__ import annotations

from typing import Any

from tests.explorer.people_actions import pod_path
from tests.explorer.rules import FOREIGN_MARK, is_finished
from tests.explorer.world import STRATEGIC, World


def controllers(world: World, first: int, second: int) -> None:
    """Jobs get their pods, emptied namespaces go, old Events are forgotten."""
    world.api_model.tick()


def node_blip(world: World, first: int, second: int) -> None:
    """The node controller sets Ready=False on a pod and never takes it back."""
    path = pod_path(world, first)
    if path is not None:
        patch = {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]}}
        world.ask_api("PATCH", f"{path}/status", patch, STRATEGIC)


def node_is_lost(world: World, first: int, second: int) -> None:
    """The node controller has not seen the lease for long: the Node is not ready, and neither are its pods."""
    node = world.layout.nodes[first % len(world.layout.nodes)]
    unknown = [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]
    world.ask_api("PATCH", f"/api/v1/nodes/{node}/status", {"status": {"conditions": unknown}}, STRATEGIC)
    for number, pod in enumerate(world.api_model.all_of("pods")):
        if pod["spec"]["nodeName"] == node:
            node_blip(world, number, second)


def edit_node(world: World, first: int, second: int) -> None:
    """Somebody cordons it, or gives it a label or a taint of their own, or takes these away."""
    edits: tuple[dict[str, Any], ...] = (
        {"spec": {"unschedulable": True}},
        {"spec": {"unschedulable": None}},
        {"metadata": {"labels": {FOREIGN_MARK: "yes"}, "annotations": {FOREIGN_MARK: "yes"}}},
        {"metadata": {"labels": {FOREIGN_MARK: None}}},
        {"spec": {"taints": [{"key": FOREIGN_MARK, "value": "yes", "effect": "NoSchedule"}]}},
    )
    node = world.layout.nodes[first % len(world.layout.nodes)]
    world.ask_api("PATCH", f"/api/v1/nodes/{node}", edits[second % len(edits)], STRATEGIC)


def delete_node(world: World, first: int, second: int) -> None:
    """Somebody deletes the Node object; its lease goes with it."""
    node = world.layout.nodes[first % len(world.layout.nodes)]
    world.ask_api("DELETE", f"/api/v1/nodes/{node}")
    world.ask_api("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}")


def collect_pods(world: World, first: int, second: int) -> None:
    """Pod GC: pods of a node that does not exist, and sometimes finished ones, are deleted without grace."""
    for pod in world.api_model.all_of("pods"):
        is_lost = world.api_model.look_up("nodes", "", pod["spec"]["nodeName"]) is None
        if is_lost or (second % 4 == 0 and is_finished(pod)):
            metadata = pod["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            world.ask_api("DELETE", path, {"gracePeriodSeconds": 0})


def compact(world: World, first: int, second: int) -> None:
    """A restarted API server: whoever watches gets 410."""
    world.api_model.compact()
