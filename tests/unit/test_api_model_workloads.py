"""The small controllers: Deployments roll within their bounds, Jobs end, and nothing is left of a deleted workload."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
PODS = "/api/v1/namespaces/default/pods"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"

Json = dict[str, Any]


class Cluster:
    """A model with a node, and a kubelet that does what the test says."""

    def __init__(self, clock: FakeClock) -> None:
        self.model = ApiServerModel(clock)
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"allocatable": {"pods": "100"}, "conditions": conditions}
        self.done("POST", "/api/v1/nodes", {"metadata": {"name": "node"}, "status": status})

    def done(self, method: str, path: str, body: object = None, content_type: str | None = None) -> Json:
        answer = self.model.handle(method, path, {}, body, content_type)
        assert answer.status in (200, 201), answer.body
        return answer.body

    def deploy(self, replicas: int, **spec: object) -> None:
        template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "one"}]}}
        whole = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template, **spec}
        self.done("POST", DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": whole})
        self.model.tick()

    def change_image(self, image: str) -> None:
        body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
        self.done("PATCH", f"{DEPLOYMENTS}/web", body, STRATEGIC)
        self.model.tick()

    def pods(self, image: str | None = None) -> list[Json]:
        """The pods that are wanted, i.e. not being deleted."""
        return [
            pod
            for pod in self.model.all_of("pods")
            if "deletionTimestamp" not in pod["metadata"] and image in (None, pod["spec"]["containers"][0]["image"])
        ]

    def report(self, pod: Json, **status: object) -> None:
        self.done("PATCH", f"{PODS}/{pod['metadata']['name']}/status", {"status": status}, STRATEGIC)

    def make_ready(self, pod: Json) -> None:
        self.report(pod, phase="Running", conditions=[{"type": "Ready", "status": "True"}])

    def settle(self) -> None:
        """The kubelet runs what is wanted and lets go of the rest."""
        for _ in range(50):
            version = self.model.version
            self.model.tick()
            for pod in self.model.all_of("pods"):
                if "deletionTimestamp" in pod["metadata"]:
                    self.done("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
                elif not is_ready(pod) and pod["status"]["phase"] == "Pending":
                    self.make_ready(pod)
            if self.model.version == version:
                return
        raise AssertionError("the cluster does not come to rest")


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


@pytest.fixture
def cluster(fake_clock: FakeClock) -> Cluster:
    return Cluster(fake_clock)


def test_a_deployment_gets_its_pods_on_the_node(cluster: Cluster) -> None:
    cluster.deploy(3)
    pods = cluster.pods()
    assert len(pods) == 3
    for pod in pods:
        assert pod["spec"]["nodeName"] == "node"
        [owner] = pod["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["controller"]) == ("ReplicaSet", True)
        assert pod["metadata"]["labels"]["app"] == "web"
    cluster.settle()
    status = cluster.done("GET", f"{DEPLOYMENTS}/web")["status"]
    assert (status["replicas"], status["readyReplicas"], status["availableReplicas"]) == (3, 3, 3)
    assert status["observedGeneration"] == 1
    assert [(item["type"], item["status"]) for item in status["conditions"]] == [("Available", "True")]


def test_a_pod_that_goes_or_fails_is_replaced(cluster: Cluster) -> None:
    cluster.deploy(2)
    first, second = cluster.pods()
    cluster.done("DELETE", f"{PODS}/{first['metadata']['name']}")
    cluster.report(second, phase="Failed")
    cluster.model.tick()
    living = [pod for pod in cluster.pods() if pod["status"]["phase"] != "Failed"]
    assert len(living) == 2
    assert not {first["metadata"]["uid"], second["metadata"]["uid"]} & {pod["metadata"]["uid"] for pod in living}


def test_a_new_image_rolls_within_the_bounds(cluster: Cluster) -> None:
    cluster.deploy(4)
    cluster.settle()
    cluster.change_image("two")
    for _ in range(20):
        everything = cluster.pods()
        assert len(everything) <= 5
        assert sum(is_ready(pod) for pod in everything) >= 3
        waiting = [pod for pod in cluster.pods("two") if not is_ready(pod)]
        if not waiting:
            break
        cluster.make_ready(waiting[0])
        cluster.model.tick()
    assert (len(cluster.pods("one")), len(cluster.pods("two"))) == (0, 4)
    cluster.settle()
    assert cluster.done("GET", f"{DEPLOYMENTS}/web")["status"]["updatedReplicas"] == 4


def test_a_roll_stops_while_the_new_pods_are_not_ready(cluster: Cluster) -> None:
    cluster.deploy(4)
    cluster.settle()
    cluster.change_image("two")
    for _ in range(5):
        cluster.model.tick()
    assert len(cluster.pods("one")) == 3
    assert len(cluster.pods("two")) == 2


def test_recreate_waits_for_the_old_pods_to_end(cluster: Cluster) -> None:
    cluster.deploy(2, strategy={"type": "Recreate"})
    cluster.settle()
    cluster.change_image("two")
    assert cluster.pods("one") == []
    cluster.settle()
    assert len(cluster.pods("two")) == 2


def test_a_scale_goes_both_ways_and_through_the_subresource(cluster: Cluster) -> None:
    cluster.deploy(2)
    cluster.settle()
    keeper = cluster.pods()[0]["metadata"]["uid"]
    scale = cluster.done("GET", f"{DEPLOYMENTS}/web/scale")
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == ("Scale", 2, "app=web")
    cluster.done("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 5}}, MERGE)
    cluster.model.tick()
    assert len(cluster.pods()) == 5
    scale["spec"]["replicas"] = 2
    cluster.done("PUT", f"{DEPLOYMENTS}/web/scale", scale)
    cluster.model.tick()
    left = cluster.pods()
    assert len(left) == 2
    assert all(is_ready(pod) for pod in left)
    assert keeper in [pod["metadata"]["uid"] for pod in left]
    assert cluster.model.handle("PUT", f"{DEPLOYMENTS}/web/scale", {}, {"spec": {"replicas": -1}}).status == 400


def test_nothing_is_left_of_a_deleted_deployment(cluster: Cluster) -> None:
    cluster.deploy(3)
    cluster.settle()
    cluster.done("DELETE", f"{DEPLOYMENTS}/web")
    cluster.settle()
    assert cluster.model.all_of("replicasets") == []
    assert cluster.model.all_of("pods") == []


def test_a_template_that_makes_no_pod_is_told_as_an_event(cluster: Cluster) -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main"}]}}
    cluster.deploy(1, template=template)
    cluster.model.tick()
    [event] = cluster.model.all_of("events")
    assert (event["reason"], event["involvedObject"]["kind"]) == ("FailedCreate", "ReplicaSet")
    assert "spec.containers[0].image: Required value" in event["message"]


def test_a_selector_that_misses_the_template_is_refused(cluster: Cluster) -> None:
    template = {"metadata": {"labels": {"app": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": template}
    answer = cluster.model.handle("POST", DEPLOYMENTS, {}, {"metadata": {"name": "web"}, "spec": spec})
    assert answer.status == 422
    assert "`selector` does not match template `labels`" in answer.body["message"]


def _start_job(cluster: Cluster, policy: str = "Never", **spec: object) -> None:
    template = {"spec": {"restartPolicy": policy, "containers": [{"name": "main", "image": "one"}]}}
    cluster.done("POST", JOBS, {"metadata": {"name": "work"}, "spec": {"template": template, **spec}})
    cluster.model.tick()


def _job(cluster: Cluster) -> Json:
    return cluster.done("GET", f"{JOBS}/work")


def _ends(cluster: Cluster) -> list[str]:
    return [item["type"] for item in _job(cluster).get("status", {}).get("conditions", [])]


def test_a_job_is_complete_when_enough_pods_have_succeeded(cluster: Cluster) -> None:
    _start_job(cluster, completions=3, parallelism=2)
    for expected in (2, 2, 1):
        running = [pod for pod in cluster.pods() if pod["status"]["phase"] == "Pending"]
        assert len(running) == expected
        assert _ends(cluster) == []
        cluster.report(running[0], phase="Succeeded")
        cluster.model.tick()
    assert _ends(cluster) == ["Complete"]
    assert _job(cluster)["status"]["succeeded"] == 3


def test_a_job_fails_when_its_tries_are_used_up(cluster: Cluster) -> None:
    _start_job(cluster, backoffLimit=1)
    for expected in ([], ["Failed"]):
        [pod] = [pod for pod in cluster.pods() if pod["status"]["phase"] == "Pending"]
        cluster.report(pod, phase="Failed")
        cluster.model.tick()
        assert _ends(cluster) == expected
    assert not [pod for pod in cluster.pods() if pod["status"]["phase"] == "Pending"]


def test_restarts_of_a_container_use_up_the_tries_of_a_job(cluster: Cluster) -> None:
    _start_job(cluster, "OnFailure", backoffLimit=2)
    [pod] = cluster.pods()
    for count, expected in ((2, []), (3, ["Failed"])):
        status = [{"name": "main", "restartCount": count, "state": {"running": {}}}]
        cluster.report(pod, phase="Running", containerStatuses=status)
        cluster.model.tick()
        assert _ends(cluster) == expected


@pytest.mark.parametrize(("policy", "at_once"), [("TerminatingOrFailed", True), ("Failed", False)])
def test_a_deleted_pod_of_a_job_is_replaced_as_the_policy_says(cluster: Cluster, policy: str, at_once: bool) -> None:
    _start_job(cluster, podReplacementPolicy=policy)
    [pod] = cluster.pods()
    cluster.done("DELETE", f"{PODS}/{pod['metadata']['name']}")
    cluster.model.tick()
    assert bool(cluster.pods()) is at_once
    cluster.report(pod, phase="Failed")
    cluster.model.tick()
    assert len(cluster.pods()) == 1


def test_a_job_needs_a_restart_policy_that_ends(cluster: Cluster) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "one"}]}}
    answer = cluster.model.handle("POST", JOBS, {}, {"metadata": {"name": "work"}, "spec": {"template": template}})
    assert answer.status == 422
    assert "spec.template.spec.restartPolicy" in answer.body["message"]
