"""The simulated SaladCloud: what it refuses, and how it says so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.salad_caller import GROUPS, HEADERS, ORGANIZATION, SaladCaller, prototype
from virtual_kubelet_salad.sandbox.salad_wire import Request


@pytest.fixture
def salad() -> SaladCaller:
    return SaladCaller()


def test_a_request_without_key_is_unauthorized(salad: SaladCaller) -> None:
    response = salad.model.handle(Request("GET", GROUPS, {"User-Agent": "tests/1"}))
    assert (response.status, response.body["title"]) == (401, "Unauthorized")


def test_only_the_configured_key_is_accepted() -> None:
    salad = SaladCaller(api_key="right")
    assert salad.call("GET", GROUPS, **{"Salad-Api-Key": "wrong"}).status == 401
    assert salad.call("GET", GROUPS, **{"Salad-Api-Key": "right"}).status == 200


def test_the_name_of_a_header_may_be_in_any_case(salad: SaladCaller) -> None:
    assert salad.model.handle(Request("GET", GROUPS, {"salad-api-key": "k", "USER-AGENT": "t"})).status == 200


@pytest.mark.parametrize("agent", ["", "Python-urllib/3.11"])
def test_a_stock_user_agent_gets_a_page(salad: SaladCaller, agent: str) -> None:
    response = salad.call("GET", GROUPS, **{"User-Agent": agent})
    assert (response.status, response.content_type) == (403, "text/html; charset=utf-8")
    assert "1010" in response.body


@pytest.mark.parametrize(
    "path",
    [
        "/organizations/other/projects/default/containers",
        "/organizations/sandbox/projects/other/containers",
        "/organizations/other/quotas",
    ],
)
def test_an_unknown_organization_or_project_is_not_found(salad: SaladCaller, path: str) -> None:
    assert salad.call("GET", path).status == 404
    assert salad.model.statistics()["schema_violations"] == 0


def test_projects_do_not_share_names() -> None:
    salad = SaladCaller(projects=("default", "second"))
    salad.create("web")
    assert salad.call("POST", f"{ORGANIZATION}/projects/second/containers", prototype("web")).status == 201
    assert salad.names() == ["web"]


@pytest.mark.parametrize(
    "changes, place",
    [
        ({"unheard_of": 1}, "$.unheard_of"),
        ({"restart_policy": "sometimes"}, "$.restart_policy"),
        ({"replicas": 501}, "$.replicas"),
        ({"replicas": "1"}, "$.replicas"),
        ({"replicas": True}, "$.replicas"),
        ({"country_codes": []}, "$.country_codes"),
        ({"country_codes": ["xx"]}, "$.country_codes[0]"),
        ({"display_name": "a/b"}, "$.display_name"),
        ({"command": ["sh", ""]}, "$.container.command[1]"),
        ({"command": ["sh", "a\nb"]}, "$.container.command[1]"),
        ({"environment": {"A": ""}}, "$.container.environment_variables.A"),
        ({"environment": {"A": "x" * 1001}}, "$.container.environment_variables.A"),
        ({"environment": {"A": "line\n"}}, "$.container.environment_variables.A"),
        ({"resources": {"cpu": 1, "memory": 512}}, "$.container.resources.memory"),
        ({"resources": {"cpu": 1, "memory": 1024, "gpu_classes": ["rtx"]}}, "$.container.resources.gpu_classes[0]"),
        ({"networking": {"port": 80, "protocol": "http"}}, "$.networking.auth"),
        ({"readiness_probe": {"tcp": {"port": 80}}}, "$.readiness_probe.period_seconds"),
        ({"registry_authentication": {"quay": {}}}, "$.container.registry_authentication.quay"),
    ],
)
def test_a_create_that_does_not_conform_is_refused_and_counted(
    salad: SaladCaller, changes: dict[str, Any], place: str
) -> None:
    response = salad.create("web", **changes)
    assert response.status == 400
    assert place in response.body["errors"]
    statistics = salad.model.statistics()
    assert statistics["schema_violations"] == 1
    assert place in statistics["schema_violation_texts"][0]
    assert salad.names() == []


@pytest.mark.parametrize("name", ["a", "A-b", "a_b", "-ab", "ab-", "a" * 64])
def test_a_name_must_match_the_pattern(salad: SaladCaller, name: str) -> None:
    assert salad.create(name).status == 400
    assert salad.call("GET", f"{GROUPS}/{name}").status == 400
    assert salad.model.statistics()["schema_violations"] == 2


def test_a_refusal_never_repeats_a_value(salad: SaladCaller) -> None:
    response = salad.create("web", environment={"TOKEN": "hunter2" + "\n"})
    assert "hunter2" not in response.text
    assert "hunter2" not in str(salad.model.statistics())


def test_a_missing_body_and_an_unwanted_one_are_violations(salad: SaladCaller) -> None:
    assert salad.call("POST", GROUPS, "not JSON").status == 400
    assert salad.model.handle(Request("POST", GROUPS, HEADERS)).status == 400
    assert salad.call("GET", GROUPS, {}, **{"Content-Type": "application/json"}).status == 400
    assert salad.model.statistics()["schema_violations"] == 3


def test_a_route_that_does_not_exist_is_a_violation(salad: SaladCaller) -> None:
    assert salad.call("GET", f"{GROUPS}?page=2").status == 404
    assert salad.call("PUT", f"{GROUPS}/web", {}, **{"Content-Type": "application/json"}).status == 404
    assert salad.model.statistics()["schema_violations"] == 2


def test_a_patch_needs_the_content_type_of_a_merge_patch(salad: SaladCaller) -> None:
    salad.run("web")
    response = salad.call("PATCH", f"{GROUPS}/web", {"replicas": 1}, **{"Content-Type": "application/json"})
    assert response.status == 415
    assert salad.model.statistics()["schema_violations"] == 1
    salad.model.configure(merge_patch_type_is_required=False)
    assert salad.call("PATCH", f"{GROUPS}/web", {"replicas": 1}, **{"Content-Type": "application/json"}).status == 200


def test_an_unknown_gpu_class_is_refused_without_being_a_violation(salad: SaladCaller) -> None:
    classes = ["00000000-0000-4000-8000-000000000000"]
    assert salad.create("web", resources={"cpu": 1, "memory": 1024, "gpu_classes": classes}).status == 400
    assert salad.model.statistics()["schema_violations"] == 0


def test_the_quota_counts_stopped_groups_too() -> None:
    salad = SaladCaller(replica_quota=2)
    salad.create("one")
    salad.create("two", autostart_policy=False)
    salad.wait(10)
    response = salad.create("three")
    assert (response.status, response.body["type"]) == (400, "created_replicas_quota_exceeded")
    quotas = salad.call("GET", f"{ORGANIZATION}/quotas").body["container_groups_quotas"]
    assert (quotas["container_replicas_quota"], quotas["container_replicas_used"]) == (2, 2)
    salad.delete("two")
    salad.wait(1)
    assert salad.create("three").status == 201, "a refused create does not use up the name"


def test_a_start_beyond_the_quota_is_refused(salad: SaladCaller) -> None:
    salad.create("web", autostart_policy=False)
    salad.wait(1)
    salad.model.configure(replica_quota=0)
    assert salad.post("web", "start").body["type"] == "replicas_quota_exceeded"


@pytest.mark.parametrize("seconds, status", [(0.0, "pending"), (0.6, "deploying"), (3.0, "running")])
def test_a_start_is_refused_unless_the_group_is_stopped(salad: SaladCaller, seconds: float, status: str) -> None:
    salad.create("web")
    salad.wait(seconds)
    response = salad.post("web", "start")
    assert response.body["type"] == "cannot_start_container_group_with_current_status"
    assert f"{status} status" in response.body["detail"]


def test_what_is_not_there_is_not_found(salad: SaladCaller) -> None:
    for action in ("start", "stop"):
        assert salad.post("web", action).status == 404
    assert salad.patch("web", {"replicas": 1}).status == 404
    assert salad.call("GET", f"{GROUPS}/web/system-logs").status == 404
    salad.run("web")
    nobody = f"{GROUPS}/web/instances/00000000-0000-4000-8000-000000000000"
    assert salad.call("GET", nobody).status == 404
    assert salad.call("POST", f"{nobody}/restart").status == 404


def test_requests_beyond_the_limit_of_a_sliding_minute_are_refused() -> None:
    salad = SaladCaller(rate_limit_per_minute=3)
    for _ in range(3):
        assert salad.call("GET", GROUPS).status == 200
        salad.wait(10)
    refused = salad.call("GET", GROUPS)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
    assert salad.call("GET", GROUPS, **{"Salad-Api-Key": "another"}).status == 200, "each key has its own limit"
    salad.wait(30)
    assert salad.call("GET", GROUPS).status == 200
    assert salad.call("GET", GROUPS).status == 429


def test_a_429_without_retry_after_is_a_setting() -> None:
    salad = SaladCaller(rate_limit_per_minute=0, retry_after_is_sent=False)
    response = salad.call("GET", GROUPS)
    assert response.status == 429 and "Retry-After" not in response.headers


def test_the_default_limit_is_240_per_minute() -> None:
    salad = SaladCaller(rate_limit_per_minute=240)
    statuses = [salad.call("GET", GROUPS).status for _ in range(241)]
    assert statuses.count(200) == 240
    statistics = salad.model.statistics()
    assert statistics["requests_by_code"] == {"200": 240, "429": 1}
    assert statistics["requests_most_per_minute"] == 241


def test_instance_actions_have_their_own_limit() -> None:
    salad = SaladCaller(instance_actions_per_minute=1)
    instance = salad.run("web")
    path = f"{GROUPS}/web/instances/{instance['id']}"
    assert salad.call("POST", f"{path}/restart").status == 202
    salad.wait(2)
    path = f"{GROUPS}/web/instances/{salad.instance('web')['id']}"
    assert salad.call("POST", f"{path}/restart").status == 429
    assert salad.call("POST", f"{path}/reallocate").status == 202


def test_out_of_credit_stops_everything_and_refuses_creates_and_starts(salad: SaladCaller) -> None:
    salad.run("web")
    salad.create("new")
    salad.model.out_of_credit(True)
    assert salad.status("web") == "stopped"
    assert salad.create("more").body["type"] == "no_credits_available"
    assert salad.post("web", "start").body["type"] == "no_credits_available"
    salad.wait(100)
    assert salad.status("new") == "stopped"
    salad.model.out_of_credit(False)
    salad.wait(100)
    assert salad.status("web") == "stopped", "nothing starts by itself after the top-up"
    assert salad.post("web", "start").status == 202
