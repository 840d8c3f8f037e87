"""The node: registration, what it says about itself, and its lease."""

from __future__ import annotations


from tests.support.kubelet_world import NODE, KubeletWorld
from tests.support.model_transport import lost_answer
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet.provider import Reachability


def node(world: KubeletWorld) -> dict[str, object]:
    answer = world.model.handle("GET", f"/api/v1/nodes/{NODE}")
    assert answer.status == 200
    return answer.body


def condition(world: KubeletWorld, kind: str) -> str:
    conditions = {item["type"]: item["status"] for item in node(world)["status"]["conditions"]}  # type: ignore[index]
    return str(conditions[kind])


def taint_keys(world: KubeletWorld) -> set[str]:
    """Those that the node controller sets by condition aside."""
    keys = {item["key"] for item in node(world)["spec"].get("taints", [])}  # type: ignore[attr-defined]
    return {key for key in keys if not key.startswith("node.kubernetes.io/")}


def test_the_node_registers_with_labels_taint_capacity_and_conditions(world: KubeletWorld) -> None:
    world.daemon.node_status.step()
    found = node(world)
    metadata, spec, status = found["metadata"], found["spec"], found["status"]
    assert metadata["labels"]["kubernetes.io/os"] == "linux"  # type: ignore[index]
    assert taint_keys(world) == {"virtual-kubelet.io/provider"}
    assert spec["providerID"] == f"memory://{NODE}"  # type: ignore[index]
    assert status["allocatable"]["pods"] == "100"  # type: ignore[index]
    assert status["capacity"]["cpu"] == "1600"  # type: ignore[index]
    assert status["nodeInfo"]["kubeletVersion"] == "v1.36.3"  # type: ignore[index]
    for kind in ("Ready", "MemoryReachable"):
        assert condition(world, kind) == "True"
    for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"):
        assert condition(world, kind) == "False"
    assert world.daemon.node_status.is_registered.is_set()


def test_an_unchanged_status_is_written_every_five_minutes_only(world: KubeletWorld) -> None:
    world.daemon.node_status.step()
    before = node(world)["metadata"]["resourceVersion"]  # type: ignore[index]
    world.clock.advance(100)
    world.daemon.node_status.step()
    assert node(world)["metadata"]["resourceVersion"] == before  # type: ignore[index]
    world.clock.advance(250)
    world.daemon.node_status.step()
    assert node(world)["metadata"]["resourceVersion"] != before  # type: ignore[index]


def test_an_unreachable_cloud_taints_the_node_and_leaves_it_ready(world: KubeletWorld) -> None:
    world.daemon.node_status.step()
    now = world.clock.monotonic()
    world.provider.reachability = lambda: Reachability(False, now, "Outage", "no answer")  # type: ignore[method-assign]
    world.clock.advance(59)
    world.daemon.node_status.step()
    assert condition(world, "MemoryReachable") == "True"
    world.clock.advance(2)
    world.daemon.node_status.step()
    assert condition(world, "MemoryReachable") == "False"
    assert condition(world, "Ready") == "True"
    assert "memory.virtual-kubelet.io/unreachable" in taint_keys(world)
    world.provider.reachability = lambda: Reachability(True, now, "", "")  # type: ignore[method-assign]
    world.daemon.node_status.step()
    assert taint_keys(world) == {"virtual-kubelet.io/provider"}


def test_a_cordon_outlasts_an_outage_and_an_outage_a_cordon(world: KubeletWorld) -> None:
    cordon_taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}

    def patch_spec(spec: dict[str, object]) -> None:
        path = f"/api/v1/nodes/{NODE}"
        answer = world.model.handle("PATCH", path, {}, {"spec": spec}, "application/merge-patch+json")
        assert answer.status == 200, answer.body

    def taints() -> list[dict[str, str]]:
        found: list[dict[str, str]] = node(world)["spec"]["taints"]  # type: ignore[index]
        return found

    world.daemon.node_status.step()
    patch_spec({"unschedulable": True, "taints": [*taints(), cordon_taint]})
    now = world.clock.monotonic()
    world.provider.reachability = lambda: Reachability(False, now, "Outage", "no answer")  # type: ignore[method-assign]
    world.clock.advance(61)
    world.daemon.node_status.step()
    own, unreachable = "virtual-kubelet.io/provider", "memory.virtual-kubelet.io/unreachable"
    assert taint_keys(world) == {own, unreachable} and cordon_taint in taints()
    world.provider.reachability = lambda: Reachability(True, now, "", "")  # type: ignore[method-assign]
    world.daemon.node_status.step()
    assert taint_keys(world) == {own} and cordon_taint in taints()
    assert node(world)["spec"]["unschedulable"] is True  # type: ignore[index]

    world.provider.reachability = lambda: Reachability(False, now, "Outage", "no answer")  # type: ignore[method-assign]
    world.daemon.node_status.step()
    patch_spec({"unschedulable": None, "taints": [taint for taint in taints() if taint != cordon_taint]})
    world.daemon.node_status.step()
    assert taint_keys(world) == {own, unreachable} and cordon_taint not in taints()
    assert "unschedulable" not in node(world)["spec"]  # type: ignore[operator]


def test_foreign_labels_taints_and_conditions_are_left_alone(world: KubeletWorld) -> None:
    world.daemon.node_status.step()
    patch = {
        "metadata": {"labels": {"theirs": "1", "kubernetes.io/os": "changed"}},
        "spec": {"taints": [{"key": "theirs", "effect": "NoExecute"}]},
    }
    world.model.handle("PATCH", f"/api/v1/nodes/{NODE}", {}, patch, "application/strategic-merge-patch+json")
    foreign = {"status": {"conditions": [{"type": "Theirs", "status": "True"}]}}
    world.model.handle("PATCH", f"/api/v1/nodes/{NODE}/status", {}, foreign, "application/strategic-merge-patch+json")
    world.clock.advance(400)
    world.daemon.node_status.step()
    labels = node(world)["metadata"]["labels"]  # type: ignore[index]
    assert (labels["theirs"], labels["kubernetes.io/os"]) == ("1", "linux")
    assert taint_keys(world) == {"theirs", "virtual-kubelet.io/provider"}
    assert condition(world, "Theirs") == "True"


def test_a_foreign_provider_id_is_left(world: KubeletWorld) -> None:
    body = {"metadata": {"name": NODE}, "spec": {"providerID": "other://x"}}
    world.model.handle("POST", "/api/v1/nodes", {}, body)
    world.daemon.node_status.step()
    assert node(world)["spec"]["providerID"] == "other://x"  # type: ignore[index]


def test_what_others_use_of_the_quota_is_not_allocatable(world: KubeletWorld) -> None:
    from virtual_kubelet_salad.kubelet.provider import Capacity

    world.provider.capacity = lambda: Capacity(10, 4, {"cpu": 2})  # type: ignore[method-assign]
    world.daemon.node_status.step()
    status = node(world)["status"]
    assert status["capacity"]["pods"] == "10"  # type: ignore[index]
    assert status["allocatable"]["pods"] == "6"  # type: ignore[index]
    assert status["allocatable"]["cpu"] == "12"  # type: ignore[index]


def test_without_a_quota_there_is_room_for_nothing(world: KubeletWorld) -> None:
    world.provider.capacity = lambda: None  # type: ignore[method-assign]
    world.daemon.node_status.step()
    assert node(world)["status"]["allocatable"]["pods"] == "0"  # type: ignore[index]


def test_the_lease_is_renewed_and_owned_by_the_node(world: KubeletWorld) -> None:
    world.daemon.node_status.step()
    world.daemon.heartbeat.step()
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}"
    first = world.model.handle("GET", path).body
    world.clock.advance(10)
    assert world.daemon.heartbeat.step() == 10.0
    second = world.model.handle("GET", path).body
    assert first["spec"]["renewTime"] < second["spec"]["renewTime"]
    assert first["metadata"]["ownerReferences"][0]["uid"] == node(world)["metadata"]["uid"]  # type: ignore[index]
    assert world.daemon.heartbeat.age_seconds() == 0.0


def test_a_deleted_node_is_created_again_and_its_lease_owned_anew(world: KubeletWorld) -> None:
    world.daemon.node_status.step()
    world.daemon.heartbeat.step()
    world.model.handle("DELETE", f"/api/v1/nodes/{NODE}")
    world.clock.advance(10)
    world.daemon.heartbeat.step()
    world.daemon.node_status.step()
    world.clock.advance(2)
    world.daemon.heartbeat.step()
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}"
    lease = world.model.handle("GET", path).body
    assert lease["metadata"]["ownerReferences"][0]["uid"] == node(world)["metadata"]["uid"]  # type: ignore[index]


def test_a_failed_renewal_is_tried_again_soon(world: KubeletWorld) -> None:
    world.daemon.node_status.step()

    def cut(method: str, path: str) -> None:
        if "leases" in path:
            raise lost_answer()

    world.transport.before = cut
    assert world.daemon.heartbeat.step() == 2.0
    assert world.daemon.heartbeat.age_seconds() == float("inf")


def test_a_status_that_cannot_be_written_is_tried_again_soon(world: KubeletWorld) -> None:
    def down(method: str, path: str) -> None:
        raise errors.CouldNotAsk("down")

    world.transport.before = down
    assert world.daemon.node_status.step() == 2.0
    assert not world.daemon.node_status.is_registered.is_set()
