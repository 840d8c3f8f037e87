"""What a DELETE does: grace, preconditions, finalizers, finished pods."""

from __future__ import annotations

import datetime

from tests.conformance.conftest import Api, Pods

FINALIZER = "example.com/claimed"


def _claim(pods: Pods, pod: dict[str, object]) -> None:
    status, answer = pods.api.patch(pods.status_path(pod), {"metadata": {"finalizers": [FINALIZER]}})
    assert status == 200, answer


def _let_go(pods: Pods, pod: dict[str, object]) -> None:
    body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
    status, answer = pods.api.patch(pods.status_path(pod), body)
    assert status == 200, answer


def test_a_pod_on_a_node_is_only_marked_and_waits_for_its_kubelet(pods: Pods) -> None:
    pod = pods.create()
    before = datetime.datetime.now(datetime.UTC)
    status, answer = pods.delete(pod)
    assert (status, answer["kind"]) == (200, "Pod")
    assert answer["metadata"]["deletionGracePeriodSeconds"] == 30
    until = datetime.datetime.fromisoformat(answer["metadata"]["deletionTimestamp"])
    assert 28 <= (until - before).total_seconds() <= 40
    assert answer["metadata"]["generation"] == pod["metadata"]["generation"] + 1
    assert pods.exists(pod)


def test_the_grace_of_the_pod_is_used_unless_the_request_names_one(pods: Pods) -> None:
    own, asked = pods.create(terminationGracePeriodSeconds=77), pods.create(terminationGracePeriodSeconds=77)
    assert pods.delete(own)[1]["metadata"]["deletionGracePeriodSeconds"] == 77
    assert pods.delete(asked, gracePeriodSeconds=12)[1]["metadata"]["deletionGracePeriodSeconds"] == 12


def test_a_second_delete_can_only_shorten_the_grace(pods: Pods) -> None:
    pod = pods.create()
    first = pods.delete(pod)[1]["metadata"]
    longer = pods.delete(pod, gracePeriodSeconds=90)[1]["metadata"]
    assert longer["resourceVersion"] == first["resourceVersion"]
    plain = pods.delete(pod)[1]["metadata"]
    assert plain["resourceVersion"] == first["resourceVersion"]
    shorter = pods.delete(pod, gracePeriodSeconds=10)[1]["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 10
    assert shorter["deletionTimestamp"] < first["deletionTimestamp"]


def test_a_pod_without_a_node_goes_at_once(pods: Pods) -> None:
    pod = pods.create(bound=False)
    status, answer = pods.delete(pod)
    assert (status, answer["kind"]) == (200, "Pod")
    assert not pods.exists(pod)


def test_a_pod_that_is_over_goes_at_once_whatever_its_grace(pods: Pods) -> None:
    for phase in ("Succeeded", "Failed"):
        pod = pods.create()
        pods.report(pod, phase=phase)
        assert pods.delete(pod)[0] == 200
        assert not pods.exists(pod)


def test_a_delete_without_grace_removes_the_pod(pods: Pods) -> None:
    pod = pods.create()
    pods.delete(pod)
    status, answer = pods.delete(pod, gracePeriodSeconds=0)
    assert (status, answer["kind"]) == (200, "Pod")
    assert not pods.exists(pod)


def test_the_grace_may_stand_in_the_query(pods: Pods) -> None:
    pod = pods.create()
    status, _ = pods.api.request("DELETE", pods.path(pod), {"gracePeriodSeconds": "0"})
    assert status == 200
    assert not pods.exists(pod)


def test_a_uid_precondition_that_does_not_hold_is_a_conflict(pods: Pods) -> None:
    pod = pods.create()
    status, answer = pods.delete(pod, gracePeriodSeconds=0, preconditions={"uid": "another"})
    assert (status, answer["reason"]) == (409, "Conflict")
    assert "the UID in the precondition (another) does not match the UID in record" in answer["message"]
    assert pods.exists(pod)
    status, _ = pods.delete(pod, gracePeriodSeconds=0, preconditions={"uid": pod["metadata"]["uid"]})
    assert status == 200
    assert not pods.exists(pod)


def test_a_forced_delete_leaves_a_pod_with_a_finalizer_until_that_goes(pods: Pods) -> None:
    pod = pods.create()
    _claim(pods, pod)
    status, answer = pods.delete(pod, gracePeriodSeconds=0)
    assert status == 200
    assert answer["metadata"]["deletionGracePeriodSeconds"] == 0
    assert pods.get(pod)["metadata"]["deletionTimestamp"] == answer["metadata"]["deletionTimestamp"]
    again = pods.delete(pod, gracePeriodSeconds=0)[1]
    assert again["metadata"]["resourceVersion"] == answer["metadata"]["resourceVersion"]
    _let_go(pods, pod)
    assert not pods.exists(pod)


def test_a_pod_in_its_grace_stays_when_its_finalizer_goes(pods: Pods) -> None:
    pod = pods.create()
    _claim(pods, pod)
    pods.delete(pod)
    _let_go(pods, pod)
    assert pods.exists(pod)
    pods.delete(pod, gracePeriodSeconds=0)
    assert not pods.exists(pod)


def test_a_finished_pod_with_a_finalizer_waits_for_it(pods: Pods) -> None:
    pod = pods.create()
    _claim(pods, pod)
    pods.report(pod, phase="Failed")
    assert pods.delete(pod)[1]["metadata"]["deletionGracePeriodSeconds"] == 0
    assert pods.exists(pod)
    _let_go(pods, pod)
    assert not pods.exists(pod)


def test_the_status_of_a_terminating_pod_can_be_written(pods: Pods) -> None:
    pod = pods.create()
    pods.delete(pod)
    answer = pods.report(pod, phase="Failed", reason="Test")
    assert answer["status"]["phase"] == "Failed"
    assert "deletionTimestamp" in answer["metadata"]


def test_deletion_times_cannot_be_written(pods: Pods) -> None:
    pod = pods.create()
    pods.api.patch(pods.path(pod), {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert "deletionTimestamp" not in pods.get(pod)["metadata"]


def test_a_plain_object_goes_at_once_and_answers_with_a_status(api: Api, namespace: str) -> None:
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}
    created = api.done("POST", collection, body=body)
    answer = api.done("DELETE", f"{collection}/settings")
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {"name": "settings", "kind": "configmaps", "uid": created["metadata"]["uid"]}
    assert api.request("GET", f"{collection}/settings")[0] == 404


def test_a_plain_object_with_a_finalizer_waits_for_it(api: Api, namespace: str) -> None:
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    metadata = {"name": "kept", "finalizers": [FINALIZER]}
    api.done("POST", collection, body={"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    answer = api.done("DELETE", f"{collection}/kept")
    assert answer["metadata"]["deletionGracePeriodSeconds"] == 0
    body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
    assert api.patch(f"{collection}/kept", body)[0] == 200
    assert api.request("GET", f"{collection}/kept")[0] == 404


def test_a_collection_is_deleted_by_selector(api: Api, namespace: str) -> None:
    collection = f"/api/v1/namespaces/{namespace}/secrets"
    for name, color in (("one", "red"), ("two", "red"), ("three", "blue")):
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": {"color": color}}}
        api.done("POST", collection, body=body)
    api.done("DELETE", collection, {"labelSelector": "color=red"})
    left = api.done("GET", collection, {"labelSelector": "color"})
    assert [item["metadata"]["name"] for item in left["items"]] == ["three"]


def test_an_eviction_deletes_with_grace(pods: Pods) -> None:
    pod = pods.create()
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["metadata"]["name"]}}
    status, answer = pods.api.request("POST", f"{pods.path(pod)}/eviction", None, body)
    assert (status, answer["status"]) == (201, "Success")
    assert pods.get(pod)["metadata"]["deletionGracePeriodSeconds"] == 30
