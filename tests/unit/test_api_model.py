"""The API server model on a fake clock: time, history, copies, and what happens by itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel

PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"
STRATEGIC = "application/strategic-merge-patch+json"

Json = dict[str, Any]


class Cluster:
    """A model and short words for what the tests do with it."""

    def __init__(self, clock: FakeClock, seed: int = 0) -> None:
        self.clock = clock
        self.model = ApiServerModel(clock, seed=seed)

    def done(self, method: str, path: str, body: object = None, content_type: str | None = None, **query: str) -> Json:
        answer = self.model.handle(method, path, query, body, content_type)
        assert answer.status in (200, 201), answer.body
        return answer.body

    def add_pod(self, name: str, **spec: object) -> Json:
        containers = [{"name": "main", "image": "image"}]
        return self.done("POST", PODS, {"metadata": {"name": name}, "spec": {"containers": containers, **spec}})

    def add_node(self, name: str, *, ready: str = "True", **allocatable: str) -> None:
        room = {"cpu": "4", "memory": "8Gi", "pods": "10", **allocatable}
        conditions = [{"type": "Ready", "status": ready}]
        body = {"metadata": {"name": name}, "status": {"allocatable": room, "conditions": conditions}}
        self.done("POST", "/api/v1/nodes", body)

    def node_of(self, name: str) -> str | None:
        pod = self.model.look_up("pods", "default", name)
        assert pod is not None
        node: str | None = pod["spec"].get("nodeName")
        return node

    def scheduling(self, name: str) -> Json:
        pod = self.model.look_up("pods", "default", name)
        assert pod is not None
        [condition] = [item for item in pod["status"]["conditions"] if item["type"] == "PodScheduled"]
        assert isinstance(condition, dict)
        return condition


@pytest.fixture
def cluster(fake_clock: FakeClock) -> Cluster:
    return Cluster(fake_clock)


def test_the_same_seed_makes_the_same_world() -> None:
    worlds = [Cluster(FakeClock(), seed) for seed in (1, 1, 2)]
    pods = [world.done("POST", PODS, {"metadata": {"generateName": "a-"}, "spec": SPEC}) for world in worlds]
    assert pods[0] == pods[1]
    assert pods[0]["metadata"]["uid"] != pods[2]["metadata"]["uid"]


SPEC = {"containers": [{"name": "main", "image": "image"}]}


def test_an_answer_can_be_changed_without_changing_the_cluster(cluster: Cluster) -> None:
    sent = {"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"containers": [{"name": "m", "image": "i"}]}}
    answer = cluster.done("POST", PODS, sent)
    sent["metadata"]["labels"]["x"] = "changed"  # type: ignore[index]
    answer["spec"]["containers"].clear()
    cluster.done("GET", PODS)["items"][0]["spec"].clear()
    cluster.model.events_after("pods", 0)[0]["object"]["metadata"].clear()
    found = cluster.done("GET", f"{PODS}/a")
    assert found["metadata"]["labels"] == {"x": "1"}
    assert len(found["spec"]["containers"]) == 1


def test_a_deletion_ends_when_the_clock_says(cluster: Cluster) -> None:
    cluster.add_pod("a", nodeName="node", terminationGracePeriodSeconds=45)
    cluster.clock.advance(100.7)
    marked = cluster.done("DELETE", f"{PODS}/a")["metadata"]
    assert marked["deletionTimestamp"] == "2026-01-01T00:02:25Z"
    cluster.clock.advance(20)
    shorter = cluster.done("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 5})["metadata"]
    assert shorter["deletionTimestamp"] == "2026-01-01T00:01:45Z"
    assert shorter["generation"] == marked["generation"] == 2


def test_a_negative_grace_is_one_second(cluster: Cluster) -> None:
    cluster.add_pod("a", nodeName="node")
    assert (
        cluster.done("DELETE", f"{PODS}/a", {"gracePeriodSeconds": -1})["metadata"]["deletionGracePeriodSeconds"] == 1
    )


def test_a_dry_run_of_a_delete_changes_nothing(cluster: Cluster) -> None:
    cluster.add_pod("a")
    cluster.done("DELETE", f"{PODS}/a", dryRun="All")
    assert cluster.model.look_up("pods", "default", "a") is not None


def test_events_after_a_version_are_what_a_watcher_would_have_seen(cluster: Cluster) -> None:
    before = cluster.model.version
    cluster.add_pod("a")
    cluster.done("PATCH", f"{PODS}/a/status", {"status": {"phase": "Running"}}, STRATEGIC)
    cluster.done("DELETE", f"{PODS}/a")
    events = cluster.model.events_after("pods", before)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    second = events[1]["object"]["metadata"]["resourceVersion"]
    assert [event["type"] for event in cluster.model.events_after("pods", second)] == ["MODIFIED", "DELETED"]
    running = cluster.model.events_after("pods", before, field_selector="status.phase=Running")
    assert [event["type"] for event in running] == ["ADDED", "MODIFIED", "DELETED"]
    assert cluster.model.events_after("pods", before, namespace="elsewhere") == []
    assert cluster.model.events_after("nodes", before) == []


def test_compaction_makes_earlier_watches_and_begun_lists_too_old(cluster: Cluster) -> None:
    for name in ("a", "b", "c"):
        cluster.add_pod(name)
    old = cluster.model.version - 1
    token = cluster.done("GET", PODS, limit="1")["metadata"]["continue"]
    cluster.model.compact()
    [event] = cluster.model.events_after("pods", old)
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    assert cluster.model.events_after("pods", cluster.model.version) == []
    answer = cluster.model.handle("GET", PODS, {"limit": "1", "continue": token})
    assert (answer.status, answer.body["reason"]) == (410, "Expired")


def test_the_history_is_bounded(fake_clock: FakeClock) -> None:
    model = ApiServerModel(fake_clock, history_limit=10)
    model.handle("POST", PODS, body={"metadata": {"name": "a"}, "spec": SPEC})
    first = model.version
    for number in range(50):
        body = {"metadata": {"labels": {"n": str(number)}}}
        assert model.handle("PATCH", f"{PODS}/a", {}, body, STRATEGIC).status == 200
    assert model.events_after("pods", first)[0]["type"] == "ERROR"
    assert len(model.events_after("pods", model.version - 10)) == 10


def test_a_namespace_takes_everything_in_it_along(cluster: Cluster) -> None:
    cluster.done("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})
    pods = "/api/v1/namespaces/team/pods"
    cluster.done("POST", pods, {"metadata": {"name": "a"}, "spec": {**SPEC, "nodeName": "node"}})
    cluster.done("POST", "/api/v1/namespaces/team/secrets", {"metadata": {"name": "s"}})
    assert cluster.done("DELETE", "/api/v1/namespaces/team")["status"]["phase"] == "Terminating"
    assert cluster.model.look_up("secrets", "team", "s") is None
    refused = cluster.model.handle("POST", pods, body={"metadata": {"name": "b"}, "spec": SPEC})
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    cluster.model.tick()
    assert cluster.model.look_up("namespaces", "", "team") is not None
    cluster.done("DELETE", f"{pods}/a", {"gracePeriodSeconds": 0})
    cluster.model.tick()
    assert cluster.model.look_up("namespaces", "", "team") is None


def test_events_are_forgotten_after_an_hour(cluster: Cluster) -> None:
    about = {"kind": "Pod", "name": "a", "namespace": "default"}
    cluster.done("POST", EVENTS, {"metadata": {"name": "a.1"}, "involvedObject": about})
    cluster.clock.advance(3590)
    cluster.model.tick()
    assert len(cluster.model.all_of("events")) == 1
    cluster.clock.advance(70)
    cluster.model.tick()
    assert cluster.model.all_of("events") == []


# Binding


def test_a_pod_waits_for_a_node_that_is_ready(cluster: Cluster) -> None:
    cluster.add_pod("a")
    assert cluster.model.bind_pods() == 0
    assert cluster.scheduling("a")["message"] == "no nodes available to schedule pods"
    cluster.add_node("node", ready="False")
    assert cluster.model.bind_pods() == 0
    assert cluster.scheduling("a")["reason"] == "Unschedulable"
    conditions = [{"type": "Ready", "status": "True"}]
    cluster.done("PATCH", "/api/v1/nodes/node/status", {"status": {"conditions": conditions}}, STRATEGIC)
    assert cluster.model.bind_pods() == 1
    assert cluster.node_of("a") == "node"
    assert cluster.scheduling("a")["status"] == "True"


def test_a_taint_needs_a_toleration(cluster: Cluster) -> None:
    cluster.add_node("node")
    taints = [{"key": "provider", "value": "salad", "effect": "NoSchedule"}]
    cluster.done("PATCH", "/api/v1/nodes/node", {"spec": {"taints": taints}}, STRATEGIC)
    cluster.add_pod("plain")
    cluster.add_pod("equal", tolerations=[{"key": "provider", "value": "salad", "effect": "NoSchedule"}])
    cluster.add_pod("other", tolerations=[{"key": "provider", "value": "else"}])
    cluster.add_pod("exists", tolerations=[{"key": "provider", "operator": "Exists"}])
    cluster.add_pod("all", tolerations=[{"operator": "Exists"}])
    assert cluster.model.bind_pods() == 3
    assert {name for name in ("plain", "equal", "other", "exists", "all") if cluster.node_of(name)} == {
        "equal",
        "exists",
        "all",
    }
    assert "untolerated taint {provider: salad}" in cluster.scheduling("plain")["message"]


def test_a_pod_goes_only_where_its_selector_points(cluster: Cluster) -> None:
    cluster.add_node("one")
    cluster.add_node("two")
    cluster.done("PATCH", "/api/v1/nodes/two", {"metadata": {"labels": {"disk": "fast"}}}, STRATEGIC)
    cluster.add_pod("a", nodeSelector={"disk": "fast"})
    terms = [{"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    cluster.add_pod("b", affinity={"nodeAffinity": required})
    cluster.add_pod("c", nodeSelector={"disk": "slow"})
    cluster.model.bind_pods()
    assert [cluster.node_of(name) for name in ("a", "b", "c")] == ["two", "one", None]
    assert "2 node(s) didn't match Pod's node affinity/selector" in cluster.scheduling("c")["message"]


def test_a_cordoned_node_takes_nothing(cluster: Cluster) -> None:
    cluster.add_node("node")
    cluster.done("PATCH", "/api/v1/nodes/node", {"spec": {"unschedulable": True}}, STRATEGIC)
    cluster.add_pod("a")
    assert cluster.model.bind_pods() == 0


@pytest.mark.parametrize(
    ("resources", "fitting"),
    [
        ({"cpu": "1500m"}, 2),
        ({"memory": "5Gi"}, 1),
        ({"nvidia.com/gpu": "1"}, 3),
        ({"example.com/none": "1"}, 0),
        ({}, 4),
    ],
)
def test_what_a_node_has_is_given_out_once(cluster: Cluster, resources: dict[str, str], fitting: int) -> None:
    cluster.add_node("node", pods="4", **{"nvidia.com/gpu": "3"})
    for number in range(6):
        containers = [{"name": "main", "image": "image", "resources": {"limits": resources}}]
        cluster.add_pod(f"pod-{number}", containers=containers)
    assert cluster.model.bind_pods() == fitting
    wanted = next(iter(resources), "pods")
    reason = "Too many pods" if wanted == "pods" else f"Insufficient {wanted}"
    assert f"1 {reason}" in cluster.scheduling("pod-5")["message"]


def test_a_finished_pod_makes_room(cluster: Cluster) -> None:
    cluster.add_node("node", pods="1")
    cluster.add_pod("a")
    cluster.add_pod("b")
    assert cluster.model.bind_pods() == 1
    cluster.done("PATCH", f"{PODS}/a/status", {"status": {"phase": "Succeeded"}}, STRATEGIC)
    assert cluster.model.bind_pods() == 1
    assert cluster.node_of("b") == "node"


def test_a_pod_that_still_waits_is_not_written_again(cluster: Cluster) -> None:
    cluster.add_pod("a")
    cluster.model.bind_pods()
    version = cluster.model.version
    cluster.add_pod("b")
    cluster.model.bind_pods()
    cluster.model.bind_pods()
    assert cluster.model.version == version + 2  # the new pod, and what is said about it


def test_other_schedulers_gated_and_deleted_pods_are_left_alone(cluster: Cluster) -> None:
    cluster.add_node("node")
    cluster.add_pod("other", schedulerName="mine")
    cluster.add_pod("gated", schedulingGates=[{"name": "example.com/gate"}])
    cluster.add_pod("going")
    metadata = {"metadata": {"finalizers": ["example.com/kept"]}}
    cluster.done("PATCH", f"{PODS}/going", metadata, STRATEGIC)
    cluster.done("DELETE", f"{PODS}/going")
    assert cluster.model.bind_pods() == 0


def test_a_node_that_ceases_to_be_ready_is_tainted_and_the_taint_goes_again(cluster: Cluster) -> None:
    def taints() -> list[str]:
        node = cluster.model.look_up("nodes", "", "node")
        assert node is not None
        return [taint["key"] for taint in node["spec"].get("taints", [])]

    def report(status: str) -> None:
        body = {"status": {"conditions": [{"type": "Ready", "status": status}]}}
        cluster.done("PATCH", "/api/v1/nodes/node/status", body, STRATEGIC)
        cluster.model.bind_pods()

    cluster.add_node("node")
    assert taints() == ["node.kubernetes.io/not-ready"]
    cluster.model.bind_pods()
    assert taints() == []
    report("False")
    assert taints() == ["node.kubernetes.io/not-ready"]
    report("True")
    assert taints() == []
