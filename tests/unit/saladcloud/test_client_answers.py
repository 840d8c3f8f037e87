"""What each answer of SaladCloud means to the client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.prepared_cloud import ABOUT_ONE, CALLS, HTML, READS, REQUEST, WRITES, World, problem
from virtual_kubelet_salad.errors import (
    Blocked,
    Conflict,
    CouldNotAsk,
    NoBudget,
    NotFound,
    Refused,
    Unauthorized,
    UnknownPlace,
)


@pytest.fixture
def world() -> World:
    return World()


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


@pytest.mark.parametrize("name", ABOUT_ONE)
def test_a_404_is_not_believed_of_a_service_that_does_not_even_list(world: World, name: str) -> None:
    world.client.believes_absence = lambda: False
    world.wire.say(404, problem("container_group_not_found"))
    with pytest.raises(CouldNotAsk) as caught:
        CALLS[name](world.client)
    assert not caught.value.may_be_applied


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ["organization_not_found", "https://example.test/problems/project_not_found"])
def test_a_404_about_the_project_says_nothing_about_a_group(world: World, name: str, kind: str) -> None:
    world.wire.say(404, problem(kind))
    with pytest.raises(UnknownPlace):
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


def test_the_name_of_the_pod_may_stand_in_a_refusal(world: World) -> None:
    record = '{"uid":"u","pod":"my-inference-server"}'
    request = {"container": {"environment_variables": {"SALAD_VK_OWNER": record}}}
    world.wire.say(400, problem(None, "my-inference-server-0 is too long"))
    with pytest.raises(Blocked, match="my-inference-server-0 is too long"):
        world.client.create_group(request)


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
