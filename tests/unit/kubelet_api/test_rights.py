from __future__ import annotations

from typing import Any

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.outcomes import ApiAnswer
from virtual_kubelet_salad.kubelet_api import rights
from virtual_kubelet_salad.kubelet_api.identity import User
from virtual_kubelet_salad.kubelet_api.rights import Authorizer, subresources

ADA = User("ada", "7", ("devs",), {"x": ("y",)})


class Reviews:
    """An API server that allows these pairs of verb and subresource."""

    def __init__(self) -> None:
        self.allowed: set[tuple[str, str]] = set()
        self.asked: list[dict[str, Any]] = []

    def request(self, method: str, path: str, *, body: Any = None, **other: Any) -> ApiAnswer:
        assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews")
        self.asked.append(body["spec"])
        attributes = body["spec"]["resourceAttributes"]
        allowed = (attributes["verb"], attributes["subresource"]) in self.allowed
        return ApiAnswer(201, {"kind": "SubjectAccessReview", "status": {"allowed": allowed}})


@pytest.fixture
def reviews() -> Reviews:
    return Reviews()


@pytest.fixture
def authorizer(reviews: Reviews, fake_clock: FakeClock) -> Authorizer:
    return Authorizer(ApiServer(reviews, clock=fake_clock), fake_clock, "node")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/stats/summary", ("stats",)),
        ("/stats", ("stats",)),
        ("/statsx", ("proxy",)),
        ("/metrics/resource", ("metrics",)),
        ("/metrics", ("metrics",)),
        ("/logs/", ("log",)),
        ("/containerLogs/ns/pod/c", ("proxy",)),
        ("/exec/ns/pod/c", ("proxy",)),
        ("/pods", ("pods", "proxy")),
        ("/runningpods/", ("pods", "proxy")),
        ("/healthz", ("healthz", "proxy")),
        ("/configz", ("configz", "proxy")),
        ("/", ("proxy",)),
        ("//stats/summary", ("proxy",)),
        ("/x/../stats", ("proxy",)),
    ],
)
def test_a_path_stands_for_the_subresources_of_a_kubelet(path: str, expected: tuple[str, ...]) -> None:
    assert subresources(path) == expected


def test_the_question_names_the_user_the_node_and_what_is_asked(authorizer: Authorizer, reviews: Reviews) -> None:
    assert not authorizer.may(ADA, "GET", "/stats/summary")
    assert reviews.asked == [
        {
            "user": "ada",
            "uid": "7",
            "groups": ["devs"],
            "extra": {"x": ["y"]},
            "resourceAttributes": {
                "verb": "get", "version": "v1", "resource": "nodes", "subresource": "stats", "name": "node",
            },
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "wanted"), [("GET", "get"), ("POST", "create"), ("PUT", "update"), ("DELETE", "delete")]
)
def test_the_method_is_the_verb(authorizer: Authorizer, reviews: Reviews, method: str, wanted: str) -> None:
    reviews.allowed = {(wanted, "proxy")}
    assert authorizer.may(ADA, method, "/exec/ns/pod/c")
    assert not authorizer.may(User("bob"), "PATCH" if method != "PATCH" else "GET", "/exec/ns/pod/c")


def test_a_method_that_no_kubelet_knows_is_never_allowed(authorizer: Authorizer, reviews: Reviews) -> None:
    assert not authorizer.may(ADA, "TRACE", "/pods")
    assert reviews.asked == []


def test_the_narrow_right_or_the_wide_one_will_do(authorizer: Authorizer, reviews: Reviews) -> None:
    reviews.allowed = {("get", "pods")}
    assert authorizer.may(ADA, "GET", "/pods")
    assert len(reviews.asked) == 1
    reviews.allowed = {("get", "proxy")}
    assert authorizer.may(User("bob"), "GET", "/pods")


def test_an_answer_is_believed_for_two_minutes_and_a_refusal_for_ten_seconds(
    authorizer: Authorizer, reviews: Reviews, fake_clock: FakeClock
) -> None:
    assert not authorizer.may(ADA, "GET", "/stats/summary")
    reviews.allowed = {("get", "stats")}
    assert not authorizer.may(ADA, "GET", "/stats/summary")
    fake_clock.advance(rights.DENIED_SECONDS)
    assert authorizer.may(ADA, "GET", "/stats/summary")
    reviews.allowed.clear()
    fake_clock.advance(rights.ALLOWED_SECONDS - 1)
    assert authorizer.may(ADA, "GET", "/stats/summary")
    fake_clock.advance(1.0)
    assert not authorizer.may(ADA, "GET", "/stats/summary")


def test_two_users_with_one_name_are_two_users(authorizer: Authorizer, reviews: Reviews) -> None:
    reviews.allowed = {("get", "stats")}
    assert authorizer.may(ADA, "GET", "/stats/summary")
    reviews.allowed.clear()
    for other in (User("ada", "8", ("devs",), {"x": ("y",)}), User("ada", "7", (), {"x": ("y",)}), User("ada", "7")):
        assert not authorizer.may(other, "GET", "/stats/summary")


def test_could_not_ask_is_no_refusal(fake_clock: FakeClock) -> None:
    class Down:
        def request(self, *args: Any, **options: Any) -> ApiAnswer:
            raise errors.CouldNotAsk("down")

    with pytest.raises(errors.CouldNotAsk):
        Authorizer(ApiServer(Down()), fake_clock, "node").may(ADA, "GET", "/pods")
