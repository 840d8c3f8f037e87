"""What the sandbox reads from the objects that it is shown."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.pictures import REFUSAL, Json, finished, group, node, picture, pod, running, waiting


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (pod("web", "Pending"), "Pending"),
        (waiting("web", "ImagePreparing"), "ImagePreparing"),
        (running("web"), "Running"),
        (finished("web"), "Completed"),
        (finished("web", "OOMKilled"), "OOMKilled"),
        (pod("web", "Failed", reason="Evicted"), "Evicted"),
        ({**running("web"), "metadata": {"name": "web", "deletionTimestamp": "now"}}, "Terminating"),
    ],
)
def test_the_status_of_a_pod_is_what_kubectl_shows(shown: Json, status: str) -> None:
    assert picture(shown).pod_rows()[0].status == status


def test_the_namespace_is_shown_unless_it_is_the_default_one() -> None:
    rows = picture(pod("web", "Pending"), pod("web", "Pending", namespace="shop")).pod_rows()
    assert [row.name for row in rows] == ["web", "shop/web"]


def test_a_pod_that_found_no_node_tells_why_in_the_words_of_the_scheduler() -> None:
    unscheduled = pod("web", "Pending")
    unscheduled["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available:\n1 Too many pods."}
    ]
    assert picture(unscheduled).pod_rows()[0].message == "0/1 nodes are available: 1 Too many pods."


def test_restarts_and_readiness_are_those_of_the_container() -> None:
    (row,) = picture(running("web", restarts=3)).pod_rows()
    assert (row.is_ready, row.restarts) == (True, 3)


def test_a_node_tells_whether_it_and_saladcloud_are_well() -> None:
    well, ill = picture(nodes=[node(), node(is_ready=False, is_reachable=False)]).node_rows()
    assert well.text() == "ready, SaladCloud reached, room for 1k pods"
    assert ill.text() == "not ready, SaladCloud not reached, room for 1k pods"


def test_groups_are_in_the_order_of_the_pods_whose_names_they_bear() -> None:
    rows = picture(groups=[group("web-2", "running", "running"), group("web-1", is_deleting=True)]).group_rows()
    assert [(row.name, row.status, row.instances) for row in rows] == [
        ("web-1", "deleting", ""),
        ("web-2", "running", "running"),
    ]


@pytest.mark.parametrize(
    ("shown", "stage"),
    [
        (pod("web", "Pending"), "waiting"),
        (running("web", is_ready=False), "waiting"),
        (running("web"), "ready"),
        (finished("web"), "finished"),
        (finished("web", "Error"), "finished"),
        (waiting("web", "UnsupportedField", REFUSAL), "refused"),
        (waiting("web", "InvalidAnnotation"), "refused"),
        (waiting("web", "InvalidImagePullSecret"), "waiting"),
        (waiting("web", "QuotaExceeded"), "waiting"),
        ({**running("web"), "metadata": {"name": "web", "deletionTimestamp": "now"}}, "waiting"),
    ],
)
def test_only_ready_finished_and_refused_pods_are_settled(shown: Json, stage: str) -> None:
    one = picture(shown)
    assert one.summary() == f"1 pod: 1 {stage}"
    assert one.is_settled(1) is (stage != "waiting")
    assert len(one.unsettled()) == (stage == "waiting")


def test_nothing_is_settled_before_all_pods_that_were_asked_for_are_there() -> None:
    assert not picture(running("web-1")).is_settled(2)
    assert picture(running("web-1"), running("web-2")).is_settled(2)


def test_nothing_is_settled_without_a_node_that_is_ready() -> None:
    assert not picture(nodes=[]).is_settled(0)
    assert not picture(nodes=[node(is_ready=False)]).is_settled(0)
    assert picture().is_settled(0)


def test_the_traffic_names_what_went_wrong_only_when_something_did() -> None:
    assert picture(requests=7, billed_seconds={"a": 1.2, "b": 2}).traffic() == (
        "SaladCloud: 7 requests in the last minute, 7 in all, 3 s billed"
    )
    bad = picture(requests_by_code={"429": 2}, schema_violations=1)
    assert bad.traffic().endswith("0 s billed, 2 over the rate limit, 1 malformed")
