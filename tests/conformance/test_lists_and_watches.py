"""Lists with selectors and pages, and watches that continue where a list ended."""

from __future__ import annotations

import pytest

from tests.conformance.conftest import Api, Json, Pods


def _names(answer: Json) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


def _seen(events: list[Json]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events if event["type"] != "BOOKMARK"]


@pytest.fixture
def config_maps(api: Api, namespace: str) -> str:
    """The collection with seven objects that carry the label `set=seven`."""
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    for number in range(7):
        labels = {"set": "seven", "number": str(number), "parity": "odd" if number % 2 else "even"}
        metadata = {"name": f"cm-{number}", "labels": labels}
        api.done("POST", collection, body={"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    return collection


def test_a_list_names_its_kind_and_its_items_do_not(api: Api, config_maps: str) -> None:
    answer = api.done("GET", config_maps, {"labelSelector": "set=seven"})
    assert (answer["kind"], answer["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(answer["metadata"]["resourceVersion"]) > 0
    assert not any("kind" in item or "apiVersion" in item for item in answer["items"])


def test_a_list_comes_in_pages_that_show_one_moment(api: Api, config_maps: str) -> None:
    query = {"limit": "3", "labelSelector": "set=seven"}
    first = api.done("GET", config_maps, query)
    assert _names(first) == ["cm-0", "cm-1", "cm-2"]
    api.done("DELETE", f"{config_maps}/cm-4")
    second = api.done("GET", config_maps, {**query, "continue": first["metadata"]["continue"]})
    assert _names(second) == ["cm-3", "cm-4", "cm-5"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    third = api.done("GET", config_maps, {**query, "continue": second["metadata"]["continue"]})
    assert _names(third) == ["cm-6"]
    assert "continue" not in third["metadata"]


def test_the_rest_of_a_list_is_counted(api: Api, config_maps: str) -> None:
    whole = len(api.done("GET", config_maps)["items"])
    assert api.done("GET", config_maps, {"limit": "2"})["metadata"]["remainingItemCount"] == whole - 2


def test_an_unreadable_continue_token_is_a_bad_request(api: Api, config_maps: str) -> None:
    status, answer = api.request("GET", config_maps, {"limit": "2", "continue": "nonsense"})
    assert (status, answer["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("parity=odd", [1, 3, 5]),
        ("parity==odd", [1, 3, 5]),
        ("set=seven,parity!=odd", [0, 2, 4, 6]),
        ("number in (1, 2,9)", [1, 2]),
        ("set,number notin (0,1,2,3)", [4, 5, 6]),
        ("set,!absent,number>4", [5, 6]),
        ("set,number<2", [0, 1]),
        ("absent", []),
        ("set=seven,absent!=x,parity in (odd),number notin (3)", [1, 5]),
    ],
)
def test_labels_select(api: Api, config_maps: str, selector: str, expected: list[int]) -> None:
    found = _names(api.done("GET", config_maps, {"labelSelector": selector}))
    assert found == [f"cm-{number}" for number in expected]


@pytest.mark.parametrize("selector", ["a in b", "=x", "a=b=c", "number>many"])
def test_a_label_selector_that_cannot_be_read_is_a_bad_request(api: Api, config_maps: str, selector: str) -> None:
    status, answer = api.request("GET", config_maps, {"labelSelector": selector})
    assert (status, answer["reason"]) == (400, "BadRequest")


def test_pods_are_selected_by_node_and_phase(pods: Pods) -> None:
    first, second, elsewhere = pods.create(), pods.create(), pods.create(bound=False)
    pods.report(second, phase="Running")
    on_node = f"spec.nodeName={pods.node}"

    def found(selector: str) -> list[str]:
        return _names(pods.api.done("GET", pods.collection, {"fieldSelector": selector}))

    one, two, three = (pod["metadata"]["name"] for pod in (first, second, elsewhere))
    assert found(on_node) == [one, two]
    assert found("spec.nodeName=") == [three]
    assert found(f"{on_node},status.phase=Running") == [two]
    assert found(f"{on_node},status.phase!=Running") == [one]
    assert found(f"metadata.name={two}") == [two]
    everywhere = pods.api.done("GET", "/api/v1/pods", {"fieldSelector": on_node})
    assert _names(everywhere) == [one, two]


def test_events_are_selected_by_their_object(api: Api, namespace: str) -> None:
    collection = f"/api/v1/namespaces/{namespace}/events"
    for name in ("a", "b"):
        about = {"kind": "Pod", "namespace": namespace, "name": name, "uid": f"uid-{name}"}
        metadata = {"name": f"{name}.1"}
        body = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": about, "reason": "Test"}
        api.done("POST", collection, body=body)
    for selector in ("involvedObject.name=b", "involvedObject.uid=uid-b,involvedObject.kind=Pod,reason=Test"):
        assert _names(api.done("GET", collection, {"fieldSelector": selector})) == ["b.1"]


def test_a_field_that_is_not_indexed_is_a_bad_request(pods: Pods) -> None:
    status, answer = pods.api.request("GET", pods.collection, {"fieldSelector": "spec.hostname=a"})
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert "field label not supported" in answer["message"]


def test_a_watch_goes_on_where_the_list_ended(pods: Pods) -> None:
    pods.create()
    version = pods.api.done("GET", pods.collection)["metadata"]["resourceVersion"]
    pod = pods.create()
    pods.report(pod, phase="Running")
    pods.delete(pod, gracePeriodSeconds=0)
    events = pods.api.watch(pods.collection, 1, resourceVersion=version)
    name = pod["metadata"]["name"]
    assert _seen(events)[:2] == [("ADDED", name), ("MODIFIED", name)]
    assert _seen(events)[-1] == ("DELETED", name)
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert events[0]["object"]["kind"] == "Pod"


def test_a_watch_without_a_version_begins_with_what_is_there(pods: Pods) -> None:
    names = sorted(pods.create()["metadata"]["name"] for _ in range(2))
    for query in ({}, {"resourceVersion": "0"}):
        events = pods.api.watch(pods.collection, 1, **query)
        assert sorted(_seen(events)) == [("ADDED", name) for name in names]


def test_an_object_that_begins_to_match_is_added_and_one_that_ceases_is_deleted(pods: Pods) -> None:
    version = pods.api.done("GET", pods.collection)["metadata"]["resourceVersion"]
    pod = pods.create()
    name = pod["metadata"]["name"]
    pods.report(pod, phase="Running")
    pods.report(pod, reason="Still")
    pods.report(pod, phase="Failed")
    events = pods.api.watch(pods.collection, 1, resourceVersion=version, fieldSelector="status.phase=Running")
    assert _seen(events) == [("ADDED", name), ("MODIFIED", name), ("DELETED", name)]
    assert events[-1]["object"]["status"]["phase"] == "Running"


def test_a_removal_by_the_last_finalizer_is_seen_as_one_deletion(pods: Pods) -> None:
    pod = pods.create()
    pods.api.patch(pods.status_path(pod), {"metadata": {"finalizers": ["example.com/claimed"]}})
    pods.delete(pod, gracePeriodSeconds=0)
    version = pods.api.done("GET", pods.collection)["metadata"]["resourceVersion"]
    body = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/claimed"]}}
    pods.api.patch(pods.status_path(pod), body)
    events = pods.api.watch(pods.collection, 1, resourceVersion=version)
    assert _seen(events) == [("DELETED", pod["metadata"]["name"])]


def test_bookmarks_tell_the_version_before_the_end(pods: Pods) -> None:
    version = pods.api.done("GET", pods.collection)["metadata"]["resourceVersion"]
    events = pods.api.watch(pods.collection, 4, resourceVersion=version, allowWatchBookmarks="true")
    assert {event["type"] for event in events} == {"BOOKMARK"}
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) >= int(version)
    assert events[-1]["object"]["kind"] == "Pod"


def test_a_watch_from_a_forgotten_version_gets_410(pods: Pods) -> None:
    version = pods.create()["metadata"]["resourceVersion"]
    pods.create()
    pods.api.forget_history()
    events = pods.api.watch(pods.collection, 2, resourceVersion=version)
    assert [event["type"] for event in events] == ["ERROR"]
    status = events[0]["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert "too old resource version" in status["message"]
