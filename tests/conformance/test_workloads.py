"""Deployments and Jobs make pods, and take them along when they go."""

from __future__ import annotations

from typing import Any

from tests.conformance.conftest import Api
from tests.support.waiting import wait_until

SECONDS = 30

Json = dict[str, Any]


def _template(**spec: object) -> Json:
    containers = [{"name": "main", "image": "image:1"}]
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": containers, "schedulerName": "nobody", **spec},
    }


def _pods(api: Api, namespace: str) -> list[Json]:
    items: list[Json] = api.done("GET", f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": "app=web"})["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def test_a_deployment_keeps_its_number_of_pods(api: Api, namespace: str) -> None:
    collection = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": _template()}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    created = api.done("POST", collection, body=body)["spec"]
    assert created["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert (created["revisionHistoryLimit"], created["progressDeadlineSeconds"]) == (10, 600)
    assert created["template"]["spec"]["terminationGracePeriodSeconds"] == 30
    wait_until(lambda: len(_pods(api, namespace)) == 2, timeout=SECONDS, what="two pods")
    pod = _pods(api, namespace)[0]
    [owner] = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["controller"]) == ("ReplicaSet", True)
    assert pod["metadata"]["generateName"] == f"{owner['name']}-"
    assert "pod-template-hash" in pod["metadata"]["labels"]
    api.done("DELETE", f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}")
    wait_until(
        lambda: sorted(item["metadata"]["uid"] != pod["metadata"]["uid"] for item in _pods(api, namespace))
        == [True, True],
        timeout=SECONDS,
        what="another pod",
    )
    scale = api.done("GET", f"{collection}/web/scale")
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == ("Scale", 2, "app=web")
    status, _ = api.patch(f"{collection}/web/scale", {"spec": {"replicas": 1}}, "application/merge-patch+json")
    assert status == 200
    wait_until(lambda: len(_pods(api, namespace)) == 1, timeout=SECONDS, what="one pod")
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    assert api.request("DELETE", f"{collection}/web", None, options)[0] == 200
    wait_until(lambda: _pods(api, namespace) == [], timeout=SECONDS, what="no pods")


def _run_job(api: Api, namespace: str, phases: list[str], **spec: object) -> list[str]:
    """Lets the pods of a Job end in these phases, one after another; returns how the Job ended."""
    collection = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}}
    template = _template(restartPolicy="Never")
    job = api.done("POST", collection, body={**body, "spec": {"template": template, **spec}})
    assert (job["spec"]["parallelism"], job["spec"]["completions"]) == (1, 1)

    def next_pod() -> Json | None:
        return next((pod for pod in _pods(api, namespace) if pod["status"]["phase"] == "Pending"), None)

    for phase in phases:
        pod = wait_until(next_pod, timeout=SECONDS, what="the next pod of the job")
        assert pod is not None
        path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/status"
        assert api.patch(path, {"status": {"phase": phase}})[0] == 200

    def ends() -> list[str]:
        conditions = api.done("GET", f"{collection}/work").get("status", {}).get("conditions", [])
        return [item["type"] for item in conditions if item["type"] in ("Complete", "Failed")]

    return wait_until(ends, timeout=SECONDS, what="the job to end")


def test_a_job_is_complete_when_its_pod_has_succeeded(api: Api, namespace: str) -> None:
    assert _run_job(api, namespace, ["Succeeded"]) == ["Complete"]


def test_a_job_without_tries_fails_with_its_first_pod(api: Api, namespace: str) -> None:
    assert _run_job(api, namespace, ["Failed"], backoffLimit=0) == ["Failed"]
