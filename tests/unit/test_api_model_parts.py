"""The parts of the API server model that can be looked at alone: quantities, paths, discovery, tables, faults."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from virtual_kubelet_salad.sandbox.api_discovery import discovery_document
from virtual_kubelet_salad.sandbox.api_errors import Undecodable
from virtual_kubelet_salad.sandbox.api_faults import Fault, Faults, fault_from_json
from virtual_kubelet_salad.sandbox.api_objects import canonical_quantity, check_micro_time, parse_quantity
from virtual_kubelet_salad.sandbox.api_resources import PODS, RESOURCES, parse_path
from virtual_kubelet_salad.sandbox.api_selectors import label_matcher
from virtual_kubelet_salad.sandbox.api_tables import as_table, duration_text, pod_status_text

NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (2, "2"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("512", "512"),
        ("0", "0"),
        ("1Ki", "1Ki"),
        ("1.5Gi", "1536Mi"),
        ("2000", "2k"),
        ("1e3", "1e3"),
        ("1E", "1E"),
        ("0.0000000001", "1n"),
    ],
)
def test_a_quantity_has_one_canonical_form(given: object, canonical: str) -> None:
    assert canonical_quantity(given) == canonical
    if canonical != "1n":
        assert parse_quantity(canonical) == parse_quantity(given)


@pytest.mark.parametrize("text", ["", "one", "1 Gi", "1gi", "--1", "1.2.3", True, None, 0.5])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(Undecodable):
        parse_quantity(text)


def test_a_micro_time_has_six_decimals() -> None:
    assert check_micro_time("2026-01-02T03:04:05.000006+02:00") == "2026-01-02T01:04:05.000006Z"
    for wrong in ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.0000001Z", "2026-13-02T03:04:05.000006Z", 5):
        with pytest.raises(Undecodable):
            check_micro_time(wrong)


def test_an_empty_selector_selects_everything() -> None:
    assert label_matcher("") is None
    assert label_matcher("  ") is None


def test_paths_name_their_target() -> None:
    target = parse_path("/api/v1/namespaces/a/pods/b%2Ec/status")
    assert target is not None
    assert (target.resource, target.namespace, target.name, target.subresource) == (PODS, "a", "b.c", "status")
    everywhere = parse_path("/api/v1/pods")
    assert everywhere is not None and everywhere.namespace == ""
    namespace = parse_path("/api/v1/namespaces/a")
    assert namespace is not None and (namespace.resource.kind, namespace.name) == ("Namespace", "a")
    for wrong in (
        "/api/v1/pods/a",
        "/api/v1/namespaces/a/nodes",
        "/api/v2/pods",
        "/apis/apps/v1",
        "/",
        "/api/v1/things",
        "/api/v1/namespaces/a/pods/b/log",
        "/api/v1/namespaces/a/pods/b/status/c",
    ):
        assert parse_path(wrong) is None, wrong


def test_every_resource_can_be_discovered() -> None:
    for resource in RESOURCES:
        root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        document = discovery_document(root)
        assert document is not None
        entries = {entry["name"]: entry for entry in document["resources"]}
        assert entries[resource.plural]["kind"] == resource.kind
        assert (f"{resource.plural}/status" in entries) is resource.has_status
        assert discovery_document(f"/openapi/v3{root}") is not None
    assert discovery_document("/api/v9") is None
    assert discovery_document("/apis/absent.example") is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (120, "2m"),
        (192, "3m12s"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (19_000, "5h16m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (86_400 * 8, "8d"),
        (86_400 * 729, "729d"),
        (86_400 * 730, "2y"),
        (86_400 * 800, "2y70d"),
        (86_400 * 3000, "8y"),
    ],
)
def test_ages_read_as_kubectl_writes_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def _pod(status: Json, *, deleted: bool = False) -> Json:
    metadata: Json = {"name": "a", "creationTimestamp": "2026-01-01T11:59:00Z"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    return {"metadata": metadata, "spec": {"containers": [{}], "nodeName": "node"}, "status": status}


def _containers(*states: Json) -> list[Json]:
    return [{"state": state, "ready": "running" in state} for state in states]


@pytest.mark.parametrize(
    ("status", "deleted", "text"),
    [
        ({"phase": "Pending"}, False, "Pending"),
        (
            {"phase": "Pending", "containerStatuses": _containers({"waiting": {"reason": "Allocating"}})},
            False,
            "Allocating",
        ),
        ({"phase": "Running", "containerStatuses": _containers({"running": {}})}, False, "Running"),
        ({"phase": "Failed", "reason": "Evicted"}, False, "Evicted"),
        ({"phase": "Failed", "containerStatuses": _containers({"terminated": {"exitCode": 3}})}, False, "ExitCode:3"),
        (
            {"phase": "Failed", "containerStatuses": _containers({"terminated": {"exitCode": 3, "signal": 9}})},
            False,
            "Signal:9",
        ),
        ({"phase": "Failed", "containerStatuses": _containers({"terminated": {"reason": "Error"}})}, False, "Error"),
        (
            {
                "phase": "Running",
                "containerStatuses": _containers({"terminated": {"reason": "Completed"}}, {"running": {}}),
            },
            False,
            "NotReady",
        ),
        ({"phase": "Running"}, True, "Terminating"),
        (
            {"phase": "Succeeded", "containerStatuses": _containers({"terminated": {"reason": "Completed"}})},
            True,
            "Completed",
        ),
    ],
)
def test_the_status_column_is_what_the_server_prints(status: Json, deleted: bool, text: str) -> None:
    assert pod_status_text(_pod(status, deleted=deleted)) == text


def test_the_row_of_a_pod_counts_ready_containers_and_restarts() -> None:
    ended = {"terminated": {"finishedAt": "2026-01-01T11:58:00Z"}}
    container = {"state": {"running": {}}, "ready": True, "restartCount": 2, "lastState": ended}
    table = as_table(PODS, [_pod({"phase": "Running", "containerStatuses": [container]})], {}, NOW, "None")
    titles = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    assert dict(zip(titles, table["rows"][0]["cells"], strict=False)) == {
        "Name": "a",
        "Ready": "1/1",
        "Status": "Running",
        "Restarts": "2 (2m ago)",
        "Age": "60s",
    }


def test_a_fault_hits_what_it_names_and_is_used_up() -> None:
    faults = Faults()
    faults.add(Fault("status", method="PATCH", path_part="/pods", times=2))
    assert faults.take("GET", "/api/v1/pods", False) is None
    assert faults.take("PATCH", "/api/v1/nodes", False) is None
    assert faults.take("PATCH", "/api/v1/pods/a", False) is not None
    assert faults.take("PATCH", "/api/v1/pods/a", False) is not None
    assert faults.take("PATCH", "/api/v1/pods/a", False) is None


def test_a_watch_fault_spares_plain_requests() -> None:
    faults = Faults()
    faults.add(Fault("end_watch"))
    faults.add(Fault("close", watches=False))
    watch, plain = faults.take("GET", "/a", True), faults.take("GET", "/a", False)
    assert watch is not None and watch.kind == "end_watch"
    assert plain is not None and plain.kind == "close"
    faults.clear()
    assert faults.take("GET", "/a", True) is None


@pytest.mark.parametrize("body", [{}, {"kind": "nonsense"}, {"kind": "hang", "unknown": 1}])
def test_a_fault_that_cannot_be_read_is_refused(body: Json) -> None:
    with pytest.raises(ValueError):
        fault_from_json(body)
