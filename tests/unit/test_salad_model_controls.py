"""The simulated SaladCloud: what tests can make happen, faults, and what it counts."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.salad_caller import GROUPS, ORGANIZATION, RTX_3060, SaladCaller, prototype
from virtual_kubelet_salad.sandbox.salad_control import CONTROLS, KEPT_REQUESTS, ControlError
from virtual_kubelet_salad.sandbox.salad_settings import PROFILES
from virtual_kubelet_salad.sandbox.salad_wire import FAULTS, ConnectionDropped


@pytest.fixture
def salad() -> SaladCaller:
    return SaladCaller()


def test_a_container_can_be_made_to_exit(salad: SaladCaller) -> None:
    first = salad.run("web")
    salad.model.exit_container("web", 7)
    assert "Instance Exited:7 (Error)" in salad.events("web")
    salad.wait(1)
    assert salad.instance("web")["machine_id"] == first["machine_id"]
    salad.model.exit_container("web", 137, out_of_memory=True)
    assert "Instance Exited:137 (Likely Out of System Memory)" in salad.events("web")


@pytest.mark.parametrize(
    "control, event",
    [
        ("reallocate", "Instance Reallocated by Platform"),
        ("preempt", "Instance Interrupted (Priority)"),
        ("node_offline", "Instance Interrupted (Node Offline)"),
        ("liveness_failure", "Instance Interrupted (Liveness Probe Failure)"),
    ],
)
def test_an_interruption_leads_to_another_machine(salad: SaladCaller, control: str, event: str) -> None:
    before = salad.run("web")
    salad.model.control(control, {"name": "web"})
    assert salad.instances("web") == []
    assert salad.status("web") == "running", "the group stays running"
    salad.wait(2)
    after = salad.instance("web")
    assert after["id"] != before["id"] and after["machine_id"] != before["machine_id"]
    assert event in salad.events("web")


def test_a_lost_machine_may_leave_no_gap(salad: SaladCaller) -> None:
    before = salad.run("web")
    salad.model.node_offline("web", has_gap=False)
    after = salad.instance("web")
    assert after["state"] == "running"
    assert after["id"] != before["id"] and after["machine_id"] != before["machine_id"]


def test_readiness_can_be_set(salad: SaladCaller) -> None:
    salad.run("web")
    salad.model.set_ready("web", False)
    assert salad.instance("web")["ready"] is False
    assert salad.events("web")[-1] == "Instance Not Ready (Readiness Probe Failure)"


def test_a_preparation_can_be_made_to_fail(salad: SaladCaller) -> None:
    salad.create("web")
    salad.model.fail_image("web", "too large")
    state = salad.group("web")["current_state"]
    assert (state["status"], state["description"]) == ("failed", "too large")
    salad.wait(100)
    assert salad.status("web") == "failed"


def test_somebody_else_can_stop_and_start(salad: SaladCaller) -> None:
    salad.run("web")
    salad.model.stop_group("web")
    assert salad.status("web") == "stopped"
    salad.model.start_group("web")
    assert salad.status("web") == "deploying"


def test_a_group_can_vanish(salad: SaladCaller) -> None:
    salad.run("web")
    salad.model.vanish("web")
    assert salad.call("GET", f"{GROUPS}/web").status == 404
    assert salad.create("web").body["type"] == "name_conflict"
    salad.wait(1_000)


@pytest.mark.parametrize("seconds, status", [(0.1, "pending"), (0.7, "deploying"), (1.7, "deploying")])
def test_a_frozen_group_stays_as_it_is_until_it_thaws(salad: SaladCaller, seconds: float, status: str) -> None:
    salad.create("web")
    salad.wait(seconds)
    salad.model.freeze("web")
    salad.wait(10_000)
    assert salad.status("web") == status
    salad.model.thaw("web")
    salad.wait(3)
    assert salad.status("web") == "running"


def test_a_frozen_group_can_be_deleted(salad: SaladCaller) -> None:
    salad.create("web")
    salad.model.freeze("web")
    salad.delete("web")
    salad.wait(10)
    assert salad.names() == []


def test_a_script_can_be_stuck_in_creating(salad: SaladCaller) -> None:
    salad.create("web", environment={"SIM_START": "stuck"})
    salad.wait(10_000)
    assert salad.instance("web")["state"] == "creating"


def test_a_control_that_cannot_be_carried_out_says_why(salad: SaladCaller) -> None:
    salad.create("web")
    for name, arguments in (
        ("unheard_of", {}),
        ("__init__", {}),
        ("statistics", {}),
        ("vanish", {}),
        ("vanish", {"name": "other"}),
        ("exit_container", {"name": "web"}),
        ("reallocate", {"name": "web"}),
        ("start_group", {"name": "web"}),
        ("outage", {"kind": "unheard_of"}),
        ("configure", {"unheard_of": 1}),
    ):
        with pytest.raises(ControlError):
            salad.model.control(name, arguments)


def test_every_control_is_a_method(salad: SaladCaller) -> None:
    assert all(callable(getattr(salad.model, name)) for name in CONTROLS)


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_every_fault_is_answered_once_and_without_effect(salad: SaladCaller, kind: str) -> None:
    salad.model.fail_next(1, kind)
    response = salad.create("web")
    assert response.status == FAULTS[kind].status
    assert salad.create("web").status == 201


def test_a_fault_can_come_after_the_request_took_effect(salad: SaladCaller) -> None:
    salad.model.fail_next(1, "503", applied=True)
    assert salad.create("web").status == 503
    assert salad.names() == ["web"]


@pytest.mark.parametrize("kind", ["reset", "hang"])
@pytest.mark.parametrize("applied", [False, True])
def test_a_dropped_connection_says_whether_the_request_took_effect(
    salad: SaladCaller, kind: str, applied: bool
) -> None:
    salad.model.fail_next(1, kind, applied=applied)
    with pytest.raises(ConnectionDropped) as caught:
        salad.create("web")
    assert (caught.value.applied, caught.value.hangs) == (applied, kind == "hang")
    assert salad.names() == (["web"] if applied else [])
    assert salad.model.statistics()["requests_by_code"]["dropped"] == 1


def test_a_fault_can_wait_for_its_operation(salad: SaladCaller) -> None:
    salad.model.fail_next(2, "500", operation="delete_container_group")
    salad.create("web")
    assert [salad.delete("web").status for _ in range(3)] == [500, 500, 202]


def test_a_fault_can_wait_for_its_group(salad: SaladCaller) -> None:
    salad.model.fail_next(2, "500", group="web")
    assert salad.create("other").status == 201
    assert salad.call("GET", GROUPS).status == 200
    assert [salad.create("web-1").status for _ in range(3)] == [500, 500, 201]


def test_an_outage_lasts_until_it_ends(salad: SaladCaller) -> None:
    salad.model.outage("502")
    assert {salad.create("web").status for _ in range(5)} == {502}
    salad.model.outage(None)
    assert salad.create("web").status == 201


def test_faults_can_be_cleared(salad: SaladCaller) -> None:
    salad.model.fail_next(5, "500")
    salad.model.outage("502")
    salad.model.clear_faults()
    assert salad.create("web").status == 201


def test_faults_can_be_cleared_for_one_group_alone(salad: SaladCaller) -> None:
    salad.model.fail_next(100, "500", group="web")
    salad.model.fail_next(100, "500", group="other")
    salad.model.clear_faults(group="web")
    assert (salad.create("web").status, salad.create("other").status) == (201, 500)
    salad.model.outage("502")
    salad.model.clear_faults(group="other")
    assert salad.create("other").status == 502


def test_all_keys_can_be_refused(salad: SaladCaller) -> None:
    salad.model.refuse_keys(True)
    assert salad.call("GET", GROUPS).status == 401
    salad.model.refuse_keys(False)
    assert salad.call("GET", GROUPS).status == 200


def test_broken_answers_are_not_json(salad: SaladCaller) -> None:
    salad.model.fail_next(1, "garbage")
    response = salad.call("GET", GROUPS)
    assert (response.status, response.content_type) == (200, "application/json")
    assert isinstance(response.body, str)


def test_requests_are_counted(salad: SaladCaller) -> None:
    salad.create("web")
    salad.group("web")
    salad.call("GET", f"{GROUPS}/other")
    salad.wait(61)
    salad.group("web")
    statistics = salad.model.statistics()
    assert statistics["requests"] == 4
    assert statistics["requests_by_operation"] == {"create_container_group": 1, "get_container_group": 3}
    assert statistics["requests_by_code"] == {"201": 1, "200": 2, "404": 1}
    assert (statistics["requests_most_per_minute"], statistics["requests_last_minute"]) == (3, 1)


def test_two_groups_of_one_pod_at_the_same_time_are_noticed(salad: SaladCaller) -> None:
    salad.create("one", uid="u-1")
    salad.create("other", uid="u-2")
    assert salad.model.statistics()["duplicates"] == []
    salad.create("two", uid="u-1")
    assert salad.model.statistics()["duplicates"] == [{"uid": "u-1", "groups": ["one", "two"]}]


def test_a_group_that_is_being_deleted_still_counts_as_there(salad: SaladCaller) -> None:
    salad.create("one", uid="u-1")
    salad.delete("one")
    salad.create("two", uid="u-1")
    assert len(salad.model.statistics()["duplicates"]) == 1


def test_one_attempt_after_the_other_is_no_duplicate(salad: SaladCaller) -> None:
    salad.create("one", uid="u-1")
    salad.delete("one")
    salad.wait(1)
    salad.create("two", uid="u-1")
    assert salad.model.statistics()["duplicates"] == []


def test_the_deletion_of_a_group_without_owner_record_is_noticed(salad: SaladCaller) -> None:
    salad.create("ours", uid="u-1")
    salad.create("theirs")
    salad.create("odd", environment={"SALAD_VK_OWNER": "not a record"})
    for name in ("ours", "theirs", "odd"):
        salad.delete(name)
    assert salad.model.statistics()["foreign_deletions"] == ["theirs", "odd"]


def test_groups_are_counted_by_status(salad: SaladCaller) -> None:
    salad.run("one")
    salad.create("two")
    statistics = salad.model.statistics()
    assert statistics["groups_by_status"] == {"running": 1, "pending": 1}
    assert (statistics["groups"], statistics["running_instances"]) == (2, 1)


def test_the_overview_names_every_group_and_its_instances(salad: SaladCaller) -> None:
    instance = salad.run("web", uid="u-1")
    (line,) = salad.model.overview()
    assert (line["name"], line["owner_uid"], line["status"]) == ("web", "u-1", "running")
    assert line["instances"][0]["instance_id"] == instance["id"]


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_gets_a_group_to_run(profile: str) -> None:
    salad = SaladCaller(**dataclasses.asdict(PROFILES[profile]))
    salad.call("POST", GROUPS, prototype("web"))
    salad.wait(600)
    assert salad.status("web") == "running"


@pytest.mark.parametrize(("kind", "content_type"), [("echo", "application/json"), ("echo_page", "text/html")])
def test_a_refusal_can_repeat_the_whole_request(salad: SaladCaller, kind: str, content_type: str) -> None:
    salad.model.fail_next(kind=kind)
    response = salad.create("web", environment={"TOKEN": "hidden"})
    assert response.status == 400 and response.content_type.startswith(content_type)
    assert "hidden" in response.text and "some key" in response.text
    assert salad.names() == []


def test_the_offer_of_gpu_classes_can_change(salad: SaladCaller) -> None:
    def offered() -> dict[str, str]:
        items = salad.call("GET", f"{ORGANIZATION}/gpu-classes").body["items"]
        return {item["name"]: item["prices"][0]["price"] for item in items}

    resources = {"cpu": 1, "memory": 1024, "gpu_classes": [RTX_3060]}
    before = offered()
    salad.model.control("withdraw_gpu_class", {"name": "RTX 3060 (12 GB)"})
    assert before.keys() - offered().keys() == {"RTX 3060 (12 GB)"}
    assert salad.create("web", resources=resources).status == 400
    salad.model.control("restore_gpu_class", {"name": RTX_3060})
    salad.model.control("price_gpu_class", {"name": "RTX 3060 (12 GB)", "dollars": 0.5})
    assert offered() == {**before, "RTX 3060 (12 GB)": "0.500"}
    assert salad.create("web", resources=resources).status == 201
    with pytest.raises(ControlError, match="no GPU class 'none'"):
        salad.model.control("withdraw_gpu_class", {"name": "none"})


def test_the_latest_accepted_creates_can_be_looked_up_with_what_no_answer_shows(salad: SaladCaller) -> None:
    credentials = {"basic": {"username": "u", "password": "p"}}
    salad.create("web", registry_authentication=credentials)
    salad.create("web")
    salad.create("Not a name")
    salad.delete("web")
    salad.wait(10)
    assert list(salad.model.requests()) == ["web"]
    assert salad.model.requests()["web"]["container"]["registry_authentication"] == credentials
    for number in range(KEPT_REQUESTS):
        salad.create(f"web-{number}")
    assert len(salad.model.requests()) == KEPT_REQUESTS and "web" not in salad.model.requests()
