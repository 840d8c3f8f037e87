from __future__ import annotations

from typing import Any

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.outcomes import ApiAnswer
from virtual_kubelet_salad.kubelet_api import identity
from virtual_kubelet_salad.kubelet_api.identity import Authenticator, User

CERTIFICATE = {
    "subject": ((("organizationName", "system:masters"),), (("commonName", "kube-apiserver-kubelet-client"),)),
    "notAfter": "Jan  2 00:00:00 2026 GMT",  # the fake clock begins on the day before
}


class Reviews:
    """An API server that knows these tokens."""

    def __init__(self, known: dict[str, dict[str, Any]]) -> None:
        self.known = known
        self.asked: list[str] = []
        self.is_down = False

    def request(self, method: str, path: str, *, body: Any = None, **other: Any) -> ApiAnswer:
        assert (method, path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews")
        if self.is_down:
            raise errors.CouldNotAsk("down")
        token = body["spec"]["token"]
        self.asked.append(token)
        user = self.known.get(token)
        status = {"authenticated": True, "user": user} if user else {"error": "invalid bearer token"}
        return ApiAnswer(201, {"kind": "TokenReview", "status": status})


@pytest.fixture
def reviews() -> Reviews:
    user = {"username": "ada", "uid": "7", "groups": ["devs", "system:authenticated"], "extra": {"x": ["y"]}}
    return Reviews({"good": user})


@pytest.fixture
def authenticator(reviews: Reviews, fake_clock: FakeClock) -> Authenticator:
    return Authenticator(ApiServer(reviews, clock=fake_clock), fake_clock)


def test_a_certificate_names_user_and_groups_and_nobody_is_asked(
    authenticator: Authenticator, reviews: Reviews
) -> None:
    found = authenticator.user(CERTIFICATE, "Bearer good")
    assert found == User("kube-apiserver-kubelet-client", "", ("system:masters", "system:authenticated"))
    assert reviews.asked == []


def test_a_certificate_that_has_ended_since_the_handshake_counts_no_more(
    authenticator: Authenticator, fake_clock: FakeClock
) -> None:
    fake_clock.advance(86_400.0)
    assert authenticator.user(CERTIFICATE, "") is None


def test_a_certificate_without_a_name_leaves_the_word_to_the_token(authenticator: Authenticator) -> None:
    found = authenticator.user({**CERTIFICATE, "subject": ((("organizationName", "system:masters"),),)}, "Bearer good")
    assert found is not None and found.name == "ada"


def test_a_token_is_who_the_api_server_says(authenticator: Authenticator) -> None:
    found = authenticator.user(None, "Bearer good")
    assert found == User("ada", "7", ("devs", "system:authenticated"))
    assert found is not None and found.extra == {"x": ("y",)}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic Z29vZA==", "good", "Bearer bad", "Bearer " + "x" * 20_000]
)
def test_everything_else_is_nobody(authenticator: Authenticator, header: str) -> None:
    assert authenticator.user(None, header) is None


def test_a_known_token_is_believed_for_two_minutes(
    authenticator: Authenticator, reviews: Reviews, fake_clock: FakeClock
) -> None:
    for _ in range(3):
        assert authenticator.user(None, "bearer good")
    assert reviews.asked == ["good"]
    fake_clock.advance(identity.KNOWN_SECONDS)
    reviews.known.clear()
    assert authenticator.user(None, "Bearer good") is None


def test_an_unknown_token_is_asked_for_again_soon(
    authenticator: Authenticator, reviews: Reviews, fake_clock: FakeClock
) -> None:
    assert authenticator.user(None, "Bearer late") is None
    reviews.known["late"] = {"username": "late"}
    assert authenticator.user(None, "Bearer late") is None
    fake_clock.advance(identity.UNKNOWN_SECONDS)
    assert authenticator.user(None, "Bearer late") is not None


def test_could_not_ask_is_not_nobody_and_is_not_kept(authenticator: Authenticator, reviews: Reviews) -> None:
    reviews.is_down = True
    with pytest.raises(errors.CouldNotAsk):
        authenticator.user(None, "Bearer good")
    reviews.is_down = False
    assert authenticator.user(None, "Bearer good") is not None


def test_guessed_tokens_are_no_flood_for_the_api_server(authenticator: Authenticator, reviews: Reviews) -> None:
    with pytest.raises(errors.CouldNotAsk):
        for number in range(1_000):
            authenticator.user(None, f"Bearer guess-{number}")
    assert len(reviews.asked) == identity.REVIEWS_AT_ONCE


@pytest.mark.parametrize("status", [{}, {"authenticated": "yes"}, {"authenticated": True}, {"authenticated": False}])
def test_only_a_clear_answer_is_believed(fake_clock: FakeClock, status: dict[str, Any]) -> None:
    class Odd:
        def request(self, *args: Any, **options: Any) -> ApiAnswer:
            return ApiAnswer(201, {"kind": "TokenReview", "status": status})

    assert Authenticator(ApiServer(Odd()), fake_clock).user(None, "Bearer x") is None
