"""Every operation of the client: what it asks, and when it asks nothing."""

from __future__ import annotations

import json

import pytest

from tests.support.prepared_cloud import CALLS, GROUP, JSON, READS, REQUEST, WRITES, World, problem
from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, NotFound, NotLeader
from virtual_kubelet_salad.saladcloud.transport import Answer


@pytest.fixture
def world() -> World:
    return World()


def test_secret_values_are_gone_from_every_group(world: World) -> None:
    variables = {"SALAD_VK_OWNER": "the record"}
    clean = {"name": "web-abc", "container": {"image": "nginx", "environment_variables": variables}}
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
