"""Every operation: what it asks, when it is not asked at all, and what each answer means."""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad.errors import (
    Blocked,
    Conflict,
    CouldNotAsk,
    NoBudget,
    NotFound,
    NotLeader,
    Refused,
    Unauthorized,
)
from virtual_kubelet_salad.runtime.ratelimit import Budget, RequestClass
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.transport import Answer

JSON = "application/json; charset=utf-8"
HTML = "text/html"
GROUP = {
    "name": "web-abc",
    "container": {
        "image": "nginx",
        "environment_variables": {"TOKEN": "hidden", "SALAD_VK_OWNER": "the record"},
        "logging": {"tcp": {"host": "hidden", "port": 1}},
    },
}
REQUEST = {
    "name": "web-abc",
    "container": {
        "image": "nginx",
        "environment_variables": {"TOKEN": "hidden-value"},
        "registry_authentication": {"basic": {"username": "me", "password": "hidden-password"}},
    },
    "readiness_probe": {"http": {"path": "/"}},
}


class Wire:
    """A transport that gives prepared answers and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer | Exception] = []
        self.sent: list[tuple[str, str, object, str | None]] = []

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str | None = None,
        timeout: tuple[float, float],
    ) -> Answer:
        self.sent.append((method, path, body, content_type))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def say(self, status: int, body: Any = None, content_type: str = JSON, retry_after: float | None = None) -> None:
        self.answers.append(Answer(status, content_type, copy.deepcopy(body), retry_after))


class Counted:
    """What the client reports."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int | None]] = []
        self.limited = 0

    def salad_request(self, operation: str, code: int | None, seconds: float) -> None:
        self.requests.append((operation, code))

    def salad_rate_limited(self) -> None:
        self.limited += 1

    def salad_budget_remaining(self, requests: float) -> None:
        self.remaining = requests


class World:
    def __init__(self, limit: float = 240.0, before_write: Callable[[], None] = lambda: None) -> None:
        self.clock, self.wire, self.counted = FakeClock(), Wire(), Counted()
        self.budget = Budget(self.clock, limit)
        self.client = SaladCloud(
            self.wire, self.budget, self.clock, self.counted, "org", "project", before_write=before_write
        )


@pytest.fixture
def world() -> World:
    return World()


READS: dict[str, Callable[[SaladCloud], object]] = {
    "list": lambda client: client.list_groups(),
    "get": lambda client: client.get_group("web-abc"),
    "instances": lambda client: client.list_instances("web-abc"),
    "system logs": lambda client: client.system_logs("web-abc"),
    "quota": lambda client: client.quota(),
    "classes": lambda client: client.gpu_classes(),
    "log entries": lambda client: client.log_entries(
        "query",
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2026, 1, 1, 0, 1, 0, 123456, tzinfo=datetime.UTC),
        request_class=RequestClass.POLL,
    ),
}
WRITES: dict[str, Callable[[SaladCloud], object]] = {
    "create": lambda client: client.create_group(REQUEST),
    "patch": lambda client: client.patch_group("web-abc", {"container": {"image": "nginx:2"}}),
    "delete": lambda client: client.delete_group("web-abc"),
    "start": lambda client: client.start_group("web-abc"),
    "stop": lambda client: client.stop_group("web-abc"),
}
CALLS = {**READS, **WRITES}
# Those that ask about one group, so that a 404 can mean that one.
ABOUT_ONE = ("get", "instances", "system logs", "patch", "delete", "start", "stop")


def problem(kind: str | None, detail: str = "", **members: Any) -> dict[str, Any]:
    return {"type": kind, "title": "Bad Request", "detail": detail, **members}


# -- what is asked


def test_secret_values_are_gone_from_every_group(world: World) -> None:
    clean = {"name": "web-abc", "container": {"image": "nginx", "environment_variables": {"SALAD_VK_OWNER": "the record"}}}
    world.wire.say(200, {"items": [GROUP]})
    world.wire.say(201, GROUP)
    world.wire.say(200, GROUP)
    world.wire.say(200, GROUP, "application/merge-patch+json")
    client = world.client
    assert client.list_groups() == [clean]
    assert client.create_group(REQUEST) == clean
    assert client.get_group("web-abc") == clean
    assert client.patch_group("web-abc", {}) == clean


def test_a_patch_is_sent_as_a_merge_patch(world: World) -> None:
    world.wire.say(200, GROUP)
    world.client.patch_group("web-abc", {"container": {}})
    path = "/organizations/org/projects/project/containers/web-abc"
    assert world.wire.sent == [("PATCH", path, {"container": {}}, "application/merge-patch+json")]


def test_a_name_cannot_leave_its_place_in_the_path(world: World) -> None:
    world.wire.say(404, problem("not_found"))
    with pytest.raises(NotFound):
        world.client.get_group("../../quotas")
    assert world.wire.sent[0][1].endswith("/containers/..%2F..%2Fquotas")


def test_times_of_a_log_query_are_no_finer_than_milliseconds(world: World) -> None:
    world.wire.say(200, {"items": []})
    READS["log entries"](world.client)
    body = world.wire.sent[0][2]
    assert isinstance(body, dict)
    assert (body["start_time"], body["end_time"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.123Z")


# -- when it is not asked


@pytest.mark.parametrize("name", CALLS)
def test_without_budget_nothing_is_sent(name: str) -> None:
    world = World(limit=1.0)
    world.budget.throttled(30.0)
    with pytest.raises(NoBudget) as caught:
        CALLS[name](world.client)
    assert world.wire.sent == [] and (caught.value.retry_after or 0.0) >= 30.0
    assert world.counted.requests == []


@pytest.mark.parametrize("name", WRITES)
def test_a_standby_writes_nothing(name: str) -> None:
    def refuse() -> None:
        raise NotLeader("another replica leads")

    world = World(before_write=refuse)
    with pytest.raises(NotLeader):
        WRITES[name](world.client)
    assert world.wire.sent == []


@pytest.mark.parametrize("name", READS)
def test_a_read_does_not_ask_for_leadership(name: str) -> None:
    def refuse() -> None:
        raise NotLeader("another replica leads")

    world = World(before_write=refuse)
    world.wire.say(500)
    with pytest.raises(CouldNotAsk, match="500"):
        READS[name](world.client)


# -- answers that say nothing


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [301, 302, 408, 429, 500, 502, 503, 504, 520])
def test_no_answer_to_believe(world: World, name: str, status: int) -> None:
    world.wire.say(status, problem("name_conflict"), retry_after=7.0)
    with pytest.raises(CouldNotAsk) as caught:
        CALLS[name](world.client)
    assert caught.value.may_be_applied is (name in WRITES and status in (408, 500, 502, 503, 504, 520))
    assert not isinstance(caught.value, (Unauthorized, NoBudget))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_an_html_page_of_any_status_says_nothing(world: World, name: str, status: int) -> None:
    world.wire.say(status, None, HTML)
    with pytest.raises(CouldNotAsk) as caught:
        CALLS[name](world.client)
    assert not isinstance(caught.value, Unauthorized)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("delete", "start", "stop")])
@pytest.mark.parametrize("body", [None, [], "text", {"items": "no list"}, {"name": 5}])
def test_a_success_without_an_answer_in_it_is_none(world: World, name: str, body: object) -> None:
    world.wire.say(200, body)
    with pytest.raises(CouldNotAsk) as caught:
        CALLS[name](world.client)
    assert caught.value.may_be_applied is (name in WRITES)


def test_a_429_slows_everybody_down(world: World) -> None:
    world.wire.say(429, problem("too_many_requests"), retry_after=30.0)
    with pytest.raises(CouldNotAsk) as caught:
        world.client.get_group("web-abc")
    assert caught.value.retry_after == 30.0 and world.counted.limited == 1
    with pytest.raises(NoBudget):
        world.client.list_groups()


def test_what_the_transport_says_about_an_applied_write_is_passed_on(world: World) -> None:
    world.wire.answers.append(CouldNotAsk("broken", may_be_applied=True))
    with pytest.raises(CouldNotAsk) as caught:
        world.client.create_group(REQUEST)
    assert caught.value.may_be_applied
    assert world.counted.requests == [("create_container_group", None)]


# -- answers that do


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_unauthorized(world: World, name: str, status: int) -> None:
    world.wire.say(status, problem(None))
    with pytest.raises(Unauthorized) as caught:
        CALLS[name](world.client)
    assert not caught.value.may_be_applied


@pytest.mark.parametrize("name", ABOUT_ONE)
def test_a_404_with_a_problem_is_not_found(world: World, name: str) -> None:
    world.wire.say(404, problem("container_group_not_found"))
    with pytest.raises(NotFound):
        CALLS[name](world.client)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ["organization_not_found", "https://example.test/problems/project_not_found"])
def test_a_404_about_the_project_says_nothing_about_a_group(world: World, name: str, kind: str) -> None:
    world.wire.say(404, problem(kind))
    with pytest.raises(CouldNotAsk):
        CALLS[name](world.client)


@pytest.mark.parametrize("name", ["list", "quota", "classes", "log entries"])
def test_a_404_to_a_question_about_everything_says_nothing(world: World, name: str) -> None:
    world.wire.say(404, problem("not_found"))
    with pytest.raises(CouldNotAsk):
        CALLS[name](world.client)


@pytest.mark.parametrize("status", [400, 409])
@pytest.mark.parametrize("kind", ["name_conflict", "https://example.test/name_conflict", "Name_Conflict"])
def test_a_name_conflict(world: World, status: int, kind: str) -> None:
    world.wire.say(status, problem(kind))
    with pytest.raises(Conflict):
        world.client.create_group(REQUEST)


def test_a_409_is_a_conflict_whatever_its_type(world: World) -> None:
    world.wire.say(409, problem("something_new"))
    with pytest.raises(Conflict):
        world.client.create_group(REQUEST)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("created_replicas_quota_exceeded", "QuotaExceeded"),
        ("replicas_quota_exceeded", "QuotaExceeded"),
        ("created_instance_quota_exceeded", "QuotaExceeded"),
        ("no_credits_available", "OutOfCredit"),
        ("container_group_update_exception", "RejectedBySaladCloud"),
        ("something_new", "RejectedBySaladCloud"),
        (None, "RejectedBySaladCloud"),
    ],
)
@pytest.mark.parametrize("status", [400, 422])
def test_what_can_change_outside_blocks(world: World, kind: str | None, reason: str, status: int) -> None:
    world.wire.say(status, problem(kind, "for some reason"))
    with pytest.raises(Blocked) as caught:
        world.client.create_group(REQUEST)
    assert caught.value.reason == reason and "for some reason" in str(caught.value)


def test_a_missing_credit_blocks_whatever_the_status(world: World) -> None:
    world.wire.say(403, problem("no_credits_available"))
    with pytest.raises(Blocked, match="credit"):
        world.client.create_group(REQUEST)


@pytest.mark.parametrize(
    "body",
    [
        problem(None, errors={"ReadinessProbe.Http.Headers": ["The Headers field is required."]}),
        problem(None, errors={"$.container.image": ["is not an image"]}),
        problem(None, "container.environment_variables is too large"),
        problem(None, "the field readiness_probe is not allowed here"),
    ],
)
def test_a_400_that_names_a_field_of_the_request_refuses_the_pod(world: World, body: dict[str, Any]) -> None:
    world.wire.say(400, body)
    with pytest.raises(Refused):
        world.client.create_group(REQUEST)


@pytest.mark.parametrize(
    "body",
    [
        problem(None, "the container group cannot be created now, try the image again"),
        problem(None, errors={"CountryCodes": ["unknown country"]}),
        problem(None, errors={"$.container.resources.gpu_classes": ["unknown class"]}),
    ],
)
def test_a_400_that_names_none_of_them_only_blocks(world: World, body: dict[str, Any]) -> None:
    world.wire.say(400, body)
    with pytest.raises(Blocked):
        world.client.create_group(REQUEST)


def test_an_update_in_progress_is_tried_again_in_15_seconds(world: World) -> None:
    world.wire.say(400, problem("pending_update_in_progress"))
    with pytest.raises(CouldNotAsk) as caught:
        world.client.patch_group("web-abc", {})
    assert caught.value.retry_after == 15.0 and not caught.value.may_be_applied


@pytest.mark.parametrize("state", ["running", "deploying"])
def test_a_group_on_its_way_needs_no_start(world: World, state: str) -> None:
    world.wire.say(400, problem("cannot_start_container_group_with_current_status", f"cannot start in {state} status"))
    world.client.start_group("web-abc")
    assert len(world.wire.sent) == 1


def test_a_group_that_is_still_prepared_cannot_be_started_yet(world: World) -> None:
    world.wire.say(400, problem("cannot_start_container_group_with_current_status", "cannot start in pending status"))
    with pytest.raises(Blocked) as caught:
        world.client.start_group("web-abc")
    assert caught.value.retry_after == 15.0


@pytest.mark.parametrize("body", [problem(None), problem("name_conflict"), problem(None, "container.image is bad")])
def test_a_refused_delete_could_not_be_asked(world: World, body: dict[str, Any]) -> None:
    world.wire.say(400, body)
    with pytest.raises(CouldNotAsk):
        world.client.delete_group("web-abc")


@pytest.mark.parametrize("name", [name for name in READS if name != "create"])
def test_a_refused_read_could_not_be_asked(world: World, name: str) -> None:
    world.wire.say(400, problem("something_new"))
    with pytest.raises(CouldNotAsk):
        READS[name](world.client)


def test_a_refusal_never_repeats_a_secret(world: World) -> None:
    text = 'the value "hidden-value" of container.environment_variables and "hidden-password" are not allowed'
    world.wire.say(400, problem(None, text, errors={"container.environment_variables": ["hidden-value is bad"]}))
    with pytest.raises(Refused) as caught:
        world.client.create_group(REQUEST)
    assert "hidden" not in str(caught.value) and "are not allowed" in str(caught.value)


def test_a_long_text_is_clipped_and_made_printable(world: World) -> None:
    world.wire.say(400, problem("something_new", "a\x00b\n" + "x" * 5000))
    with pytest.raises(Blocked) as caught:
        world.client.create_group(REQUEST)
    assert len(str(caught.value)) < 600 and str(caught.value).isprintable()


@pytest.mark.parametrize("body", [{"type": 5}, {"type": {"a": 1}, "title": None, "detail": [], "errors": "x"}, {}])
def test_a_strange_problem_is_still_one(world: World, body: dict[str, Any]) -> None:
    world.wire.say(400, body)
    with pytest.raises(Blocked):
        world.client.create_group(REQUEST)


def test_every_request_is_counted_with_its_code(world: World) -> None:
    world.wire.say(202)
    world.wire.say(404, problem(None))
    world.client.delete_group("web-abc")
    with pytest.raises(NotFound):
        world.client.get_group("web-abc")
    assert world.counted.requests == [("delete_container_group", 202), ("get_container_group", 404)]


def test_an_answer_shows_no_body(world: World) -> None:
    assert "hidden" not in repr(Answer(200, JSON, GROUP))
    assert "hidden" in json.dumps(GROUP)
