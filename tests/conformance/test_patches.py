"""How the three kinds of PATCH change an object, and which changes are refused."""

from __future__ import annotations

import pytest

from tests.conformance.conftest import Api, Pods

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
FINALIZER = "example.com/claimed"


def test_a_strategic_merge_replaces_the_condition_of_its_type_and_keeps_the_others(pods: Pods) -> None:
    pod = pods.create()
    pods.report(pod, conditions=[{"type": "Ready", "status": "False"}, {"type": "example.com/own", "status": "True"}])
    answer = pods.report(pod, conditions=[{"type": "Ready", "status": "True"}])
    found = {item["type"]: item["status"] for item in answer["status"]["conditions"]}
    assert found["Ready"] == "True"
    assert found["example.com/own"] == "True"


def test_a_strategic_merge_can_delete_a_condition(pods: Pods) -> None:
    pod = pods.create()
    pods.report(pod, conditions=[{"type": "Ready", "status": "False"}, {"type": "example.com/own", "status": "True"}])
    answer = pods.report(pod, conditions=[{"type": "example.com/own", "$patch": "delete"}])
    assert "example.com/own" not in [item["type"] for item in answer["status"]["conditions"]]
    assert "Ready" in [item["type"] for item in answer["status"]["conditions"]]


def test_an_element_order_is_obeyed(pods: Pods) -> None:
    pod = pods.create()
    pods.report(
        pod, conditions=[{"type": "example.com/a", "status": "True"}, {"type": "example.com/b", "status": "True"}]
    )
    order = [{"type": "example.com/b"}, {"type": "example.com/a"}]
    _, answer = pods.api.patch(
        pods.status_path(pod),
        {
            "status": {
                "$setElementOrder/conditions": order,
                "conditions": [{"type": "example.com/b", "status": "False"}],
            }
        },
    )
    found = [item["type"] for item in answer["status"]["conditions"] if item["type"].startswith("example.com/")]
    assert found == ["example.com/b", "example.com/a"]


def test_container_statuses_are_replaced_as_a_whole(pods: Pods) -> None:
    pod = pods.create()
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    pods.report(pod, containerStatuses=[{"name": "main", "state": waiting, "imageID": "first", "restartCount": 3}])
    answer = pods.report(pod, containerStatuses=[{"name": "main", "state": waiting}])
    assert answer["status"]["containerStatuses"][0]["imageID"] == ""
    assert answer["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_status_is_given_back_with_its_required_fields_and_whole_seconds(pods: Pods) -> None:
    pod = pods.create()
    running = {"running": {"startedAt": "2026-01-02T03:04:05.678901Z"}}
    answer = pods.report(
        pod, message="", containerStatuses=[{"name": "main", "state": running}], startTime="2026-01-02T03:04:05+00:00"
    )
    status = answer["status"]
    found = status["containerStatuses"][0]
    assert found["state"]["running"]["startedAt"] == "2026-01-02T03:04:05Z"
    assert status["startTime"] == "2026-01-02T03:04:05Z"
    assert (found["ready"], found["restartCount"], found["image"], found["imageID"]) == (False, 0, "", "")
    assert found["lastState"] == {}
    assert "message" not in status


def test_containers_are_merged_by_name(pods: Pods) -> None:
    pod = pods.create()
    body = {"spec": {"containers": [{"name": "main", "image": "registry.example/image:2"}]}}
    status, answer = pods.api.patch(pods.path(pod), body)
    assert status == 200
    assert len(answer["spec"]["containers"]) == 1
    assert answer["spec"]["containers"][0]["image"] == "registry.example/image:2"
    assert answer["spec"]["containers"][0]["terminationMessagePath"] == "/dev/termination-log"
    assert answer["metadata"]["generation"] == pod["metadata"]["generation"] + 1


def test_other_fields_of_a_pod_spec_cannot_be_changed(pods: Pods) -> None:
    pod = pods.create()
    status, answer = pods.api.patch(pods.path(pod), {"spec": {"containers": [{"name": "main", "command": ["sleep"]}]}})
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "pod updates may not change fields other than" in answer["message"]


def test_ephemeral_containers_are_added_by_a_route_of_their_own_and_stay(pods: Pods) -> None:
    pod = pods.create()
    route = f"{pods.path(pod)}/ephemeralcontainers"
    added = {"spec": {"ephemeralContainers": [{"name": "debugger", "image": "registry.example/tools:1"}]}}
    status, answer = pods.api.patch(route, {**added, "metadata": {"labels": {"a": "b"}}})
    assert status == 200
    assert answer["metadata"]["generation"] == pod["metadata"]["generation"] + 1
    (container,) = answer["spec"].pop("ephemeralContainers")
    assert (container["name"], container["terminationMessagePolicy"]) == ("debugger", "File")
    assert answer["spec"] == pod["spec"]
    assert answer["metadata"].get("labels") == pod["metadata"].get("labels")
    assert pods.api.patch(route, added)[1]["metadata"]["resourceVersion"] == answer["metadata"]["resourceVersion"]
    status, answer = pods.api.patch(pods.path(pod), {"spec": {"ephemeralContainers": [{"name": "x", "image": "i"}]}})
    assert status == 422 and "pod updates may not change fields" in answer["message"]
    other = {"spec": {"ephemeralContainers": [{"name": "debugger", "image": "another"}]}}
    gone: dict[str, object] = {"spec": {"ephemeralContainers": []}}
    for body, word in ((other, "changed"), (gone, "removed")):
        status, answer = pods.api.patch(route, body, MERGE_PATCH)
        assert status == 422, answer
        assert f'existing ephemeral containers "debugger" may not be {word}' in answer["message"]


def test_a_new_pod_has_no_ephemeral_containers(pods: Pods) -> None:
    spec = {"containers": [{"name": "main", "image": "i"}], "ephemeralContainers": [{"name": "x", "image": "i"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new"}, "spec": spec}
    status, answer = pods.api.request("POST", pods.collection, None, body)
    assert status == 422 and "spec.ephemeralContainers: Forbidden: cannot be set on create" in answer["message"]


def test_finalizers_are_merged_as_a_set_and_taken_away_by_a_directive(pods: Pods) -> None:
    pod = pods.create()
    for finalizer in (FINALIZER, "example.com/second", FINALIZER):
        status, _ = pods.api.patch(pods.status_path(pod), {"metadata": {"finalizers": [finalizer]}})
        assert status == 200
    assert sorted(pods.get(pod)["metadata"]["finalizers"]) == [FINALIZER, "example.com/second"]
    body = {"metadata": {"uid": pod["metadata"]["uid"], "$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
    status, answer = pods.api.patch(pods.status_path(pod), body)
    assert status == 200
    assert answer["metadata"]["finalizers"] == ["example.com/second"]
    pods.api.patch(pods.status_path(pod), {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/second"]}})


def test_a_finalizer_needs_a_domain(pods: Pods) -> None:
    pod = pods.create()
    status, answer = pods.api.patch(pods.status_path(pod), {"metadata": {"finalizers": ["plain"]}})
    assert status == 422
    assert answer["details"]["causes"][0]["field"] == "metadata.finalizers[0]"


def test_a_uid_of_another_pod_is_refused_as_invalid(pods: Pods) -> None:
    pod = pods.create()
    for path in (pods.path(pod), pods.status_path(pod)):
        status, answer = pods.api.patch(path, {"metadata": {"uid": "00000000-0000-4000-8000-000000000000"}})
        assert (status, answer["reason"], answer["kind"]) == (422, "Invalid", "Status")
        causes = answer["details"]["causes"]
        assert {cause["field"] for cause in causes} == {"metadata.uid"}
        assert "field is immutable" in causes[0]["message"]
        assert f'Pod "{pod["metadata"]["name"]}" is invalid: metadata.uid: Invalid value: ' in answer["message"]


def test_no_finalizer_can_be_added_to_a_pod_that_is_being_deleted(pods: Pods) -> None:
    pod = pods.create()
    pods.delete(pod)
    status, answer = pods.api.patch(pods.status_path(pod), {"metadata": {"finalizers": [FINALIZER]}})
    assert (status, answer["reason"]) == (422, "Invalid")
    cause = answer["details"]["causes"][0]
    assert (cause["reason"], cause["field"]) == ("FieldValueForbidden", "metadata.finalizers")
    expected = "no new finalizers can be added if the object is being deleted, found new finalizers []string"
    assert cause["message"] == f'Forbidden: {expected}{{"{FINALIZER}"}}'


def test_a_status_patch_claims_a_pod_in_one_request(pods: Pods) -> None:
    pod = pods.create()
    metadata = {"uid": pod["metadata"]["uid"], "finalizers": [FINALIZER], "annotations": {"example.com/attempt": "1"}}
    status, answer = pods.api.patch(pods.status_path(pod), {"metadata": metadata, "status": {"reason": "Claimed"}})
    assert status == 200
    assert answer["metadata"]["finalizers"] == [FINALIZER]
    assert answer["metadata"]["annotations"]["example.com/attempt"] == "1"
    assert answer["status"]["reason"] == "Claimed"
    pods.api.patch(pods.status_path(pod), {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}})


def test_a_status_patch_cannot_change_the_spec(pods: Pods) -> None:
    pod = pods.create()
    body = {
        "spec": {"containers": [{"name": "main", "image": "registry.example/other"}]},
        "status": {"phase": "Running"},
    }
    status, answer = pods.api.patch(pods.status_path(pod), body)
    assert status == 200
    assert answer["spec"]["containers"][0]["image"] == "registry.example/image:1"
    assert answer["status"]["phase"] == "Running"


def test_a_patch_of_the_pod_cannot_change_the_status(pods: Pods) -> None:
    pod = pods.create()
    body = {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Running"}}
    status, answer = pods.api.patch(pods.path(pod), body)
    assert status == 200
    assert answer["metadata"]["labels"]["a"] == "b"
    assert answer["status"]["phase"] == "Pending"


def test_a_merge_patch_deletes_with_null_and_replaces_lists(pods: Pods) -> None:
    pod = pods.create(labels={"keep": "1", "drop": "1"})
    body = {"metadata": {"labels": {"drop": None, "new": "2"}}}
    status, answer = pods.api.patch(pods.path(pod), body, MERGE_PATCH)
    assert status == 200
    assert answer["metadata"]["labels"] == {"keep": "1", "new": "2"}
    conditions = {"status": {"conditions": [{"type": "example.com/a", "status": "True"}]}}
    pods.api.patch(pods.status_path(pod), conditions, MERGE_PATCH)
    conditions["status"]["conditions"] = [{"type": "example.com/b", "status": "True"}]
    _, answer = pods.api.patch(pods.status_path(pod), conditions, MERGE_PATCH)
    assert [item["type"] for item in answer["status"]["conditions"]] == ["example.com/b"]


def test_a_json_patch_is_applied_as_a_whole_or_not_at_all(pods: Pods) -> None:
    pod = pods.create(labels={"a/b": "1"})
    add = {"op": "add", "path": "/metadata/labels/c", "value": "2"}
    status, answer = pods.api.patch(
        pods.path(pod), [{"op": "test", "path": "/metadata/labels/a~1b", "value": "1"}, add], JSON_PATCH
    )
    assert status == 200
    assert answer["metadata"]["labels"] == {"a/b": "1", "c": "2"}
    remove = {"op": "remove", "path": "/metadata/labels/c"}
    status, answer = pods.api.patch(
        pods.path(pod), [remove, {"op": "test", "path": "/metadata/labels/a~1b", "value": "other"}], JSON_PATCH
    )
    assert (status, answer["reason"]) == (422, "Invalid")
    assert pods.get(pod)["metadata"]["labels"] == {"a/b": "1", "c": "2"}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_a_patch_of_an_unknown_kind_is_an_unsupported_media_type(pods: Pods, content_type: str) -> None:
    status, answer = pods.api.patch(pods.path(pods.create()), {"metadata": {}}, content_type)
    assert (status, answer["reason"]) == (415, "UnsupportedMediaType")


def test_a_patch_that_changes_nothing_keeps_the_version(pods: Pods) -> None:
    pod = pods.create()
    first = pods.report(pod, conditions=[{"type": "Ready", "status": "True", "reason": "", "message": ""}])
    again = pods.report(pod, conditions=[{"type": "Ready", "status": "True"}])
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_patch_with_an_old_version_is_a_conflict(pods: Pods) -> None:
    pod = pods.create()
    pods.report(pod, phase="Running")
    metadata = {"resourceVersion": pod["metadata"]["resourceVersion"], "labels": {"a": "b"}}
    status, answer = pods.api.patch(pods.path(pod), {"metadata": metadata})
    assert (status, answer["reason"]) == (409, "Conflict")


def test_a_patch_of_an_absent_pod_is_not_found(pods: Pods, api: Api) -> None:
    status, answer = api.patch(f"{pods.collection}/absent/status", {"status": {"phase": "Running"}})
    assert (status, answer["reason"]) == (404, "NotFound")
    assert answer["details"] == {"name": "absent", "kind": "pods"}
    assert answer["message"] == 'pods "absent" not found'
