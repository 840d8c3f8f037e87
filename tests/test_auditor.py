"""The tests' auditor must be able to find what it looks for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.auditor import Auditor
from tests.support.cluster import Cluster
from virtual_kubelet_salad.sandbox.https_api import RawAnswer


class Books:
    """A cluster and a cloud that hold what a test puts there."""

    def __init__(self) -> None:
        self.url = ""
        self.pods: list[dict[str, Any]] = []
        self.groups: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self.is_away = False

    def send(self, method: str, path: str, body: object, content_type: str) -> RawAnswer:
        assert (method, path) == ("GET", "/api/v1/pods")
        return RawAnswer(503, "") if self.is_away else RawAnswer(200, {"items": self.pods})

    def overview(self) -> list[dict[str, Any]]:
        return self.groups

    def control(self, name: str, /, **arguments: Any) -> None:
        assert name == "pod_ended"
        self.ended.append(arguments["uid"])

    def statistics(self) -> dict[str, Any]:
        return {}

    def add(self, uid: str) -> None:
        self.pods.append({"metadata": {"uid": uid}, "status": {"phase": "Running"}})
        self.groups.append({"name": f"group-of-{uid}", "owner_uid": uid, "owner_namespace": "default"})


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def auditor(books: Books) -> Auditor:
    """Not started: it looks when the test says so."""
    return Auditor(Cluster(books.send), books)


def test_a_pod_that_went_before_its_group_is_found(books: Books, auditor: Auditor) -> None:
    for uid in ("one", "two"):
        books.add(uid)
    books.groups.append({"name": "somebodys", "owner_uid": None, "owner_namespace": None})
    auditor.look()
    books.groups.pop(0)
    books.pods.pop(0)
    auditor.look()
    auditor.check()
    books.pods.clear()
    auditor.look()
    with pytest.raises(AssertionError, match="the pod of group-of-two in default has gone before its group"):
        auditor.check()


def test_nothing_is_concluded_while_the_api_server_is_away(books: Books, auditor: Auditor) -> None:
    books.add("one")
    auditor.look()
    books.is_away = True
    books.pods.clear()
    auditor.look()
    auditor.check()
    assert books.ended == []


def test_each_pods_end_is_told_once(books: Books, auditor: Auditor) -> None:
    for uid in ("leaving", "finished", "gone", "alive"):
        books.add(uid)
    auditor.look()
    assert books.ended == []
    books.groups.clear()
    books.pods[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    books.pods[1]["status"]["phase"] = "Failed"
    books.pods.pop(2)
    auditor.look()
    auditor.look()
    assert sorted(books.ended) == ["finished", "gone", "leaving"]


def test_who_saw_nothing_does_not_say_that_all_is_well(auditor: Auditor) -> None:
    auditor.look()
    with pytest.raises(AssertionError, match="1 looks, 0 pods"):
        auditor.check()
