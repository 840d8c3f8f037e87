"""The simulated SaladCloud: changes to a group and its instances that somebody asked for."""

from __future__ import annotations

import json

import pytest

from tests.support.salad_caller import GROUPS, RTX_3060, SaladCaller

PROBE = {
    "tcp": {"port": 80},
    "failure_threshold": 3,
    "initial_delay_seconds": 0,
    "period_seconds": 1,
    "success_threshold": 1,
    "timeout_seconds": 1,
}


@pytest.fixture
def salad() -> SaladCaller:
    return SaladCaller()


def test_a_new_image_is_a_new_version_and_restarts_the_container(salad: SaladCaller) -> None:
    before = salad.run("web")
    response = salad.patch("web", {"container": {"image": "nginx:2"}})
    assert (response.status, response.content_type) == (200, "application/merge-patch+json")
    assert (response.body["container"]["image"], response.body["version"]) == ("nginx:2", 2)
    assert response.body["pending_change"] is True
    assert salad.instance("web")["id"] == before["id"], "the old container runs on until the image is there"
    salad.wait(2)
    after = salad.instance("web")
    assert salad.group("web")["pending_change"] is False
    assert (after["version"], after["state"], after["machine_id"]) == (2, "running", before["machine_id"])
    assert after["id"] != before["id"]
    assert "Container Group Updated (Version 2)" in salad.events("web")


def test_a_new_version_on_another_machine_is_a_setting() -> None:
    salad = SaladCaller(update_moves_instance=True)
    before = salad.run("web")
    salad.patch("web", {"container": {"environment_variables": {"A": "1"}}})
    salad.wait(3)
    assert salad.instance("web")["machine_id"] != before["machine_id"]


def test_the_environment_is_replaced_as_a_whole(salad: SaladCaller) -> None:
    salad.run("web", environment={"A": "1", "B": "2"})
    salad.patch("web", {"container": {"environment_variables": {"C": "3"}}})
    assert salad.group("web")["container"]["environment_variables"] == {"C": "3"}


def test_what_a_patch_does_not_name_stays(salad: SaladCaller) -> None:
    salad.run("web", command=["sleep", "infinity"], country_codes=["de"], readiness_probe=PROBE)
    salad.patch("web", {"display_name": "The web"})
    group = salad.group("web")
    assert (group["display_name"], group["country_codes"], group["version"]) == ("The web", ["de"], 1)
    assert group["container"]["command"] == ["sleep", "infinity"]
    assert "readiness_probe" in group


def test_null_removes(salad: SaladCaller) -> None:
    salad.run("web", command=["sleep", "infinity"], country_codes=["de"], readiness_probe=PROBE)
    body = {"country_codes": None, "readiness_probe": None, "container": {"command": None}}
    assert salad.patch("web", body).status == 200
    group = salad.group("web")
    assert (group["country_codes"], group["container"]["command"]) == ([], None)
    assert "readiness_probe" not in group


def test_one_change_at_a_time(salad: SaladCaller) -> None:
    salad.create("web")
    assert salad.patch("web", {"replicas": 2}).body["type"] == "pending_update_in_progress"
    salad.wait(5)
    assert salad.patch("web", {"container": {"image": "nginx:2"}}).status == 200
    assert salad.patch("web", {"container": {"image": "nginx:3"}}).body["type"] == "pending_update_in_progress"
    salad.wait(1)
    assert salad.patch("web", {"container": {"image": "nginx:3"}}).status == 200


def test_a_private_image_needs_its_credentials_again(salad: SaladCaller) -> None:
    credentials = {"basic": {"username": "me", "password": "secret"}}
    salad.run("web", image="private.example/app:1", registry_authentication=credentials)
    salad.patch("web", {"container": {"image": "private.example/app:2"}})
    salad.wait(5)
    assert salad.status("web") == "failed"
    salad.patch("web", {"container": {"image": "private.example/app:3", "registry_authentication": credentials}})
    salad.wait(5)
    assert salad.status("web") in ("running", "stopped")


def test_a_failed_group_gets_another_chance_with_another_image(salad: SaladCaller) -> None:
    salad.create("web", image="does-not-exist:1")
    salad.wait(1)
    assert salad.status("web") == "failed"
    salad.patch("web", {"container": {"image": "nginx:1"}})
    assert salad.status("web") == "pending"
    salad.wait(5)
    assert salad.status("web") == "running"


def test_scaling_is_no_new_version_and_keeps_the_others(salad: SaladCaller) -> None:
    before = salad.run("web")
    assert salad.patch("web", {"replicas": 3}).body["version"] == 1
    salad.wait(5)
    assert len(salad.instances("web")) == 3
    cheap = [instance for instance in salad.instances("web") if instance["id"] != before["id"]]
    salad.call("PATCH", f"{GROUPS}/web/instances/{before['id']}", {"deletion_cost": 100})
    salad.patch("web", {"replicas": 1})
    salad.wait(5)
    assert [instance["id"] for instance in salad.instances("web")] == [before["id"]] and len(cheap) == 2
    assert "Container Group Desired Replica Count Updated from 3 to 1" in salad.events("web")


def test_scaling_to_nothing_ends_the_container(salad: SaladCaller) -> None:
    salad.run("job", command=["sh", "-c", "sleep 1; exit 0"])
    salad.patch("job", {"replicas": 0})
    salad.wait(60)
    assert salad.instances("job") == []
    assert salad.model.statistics()["runs"]["job"] == 1


def test_a_patch_resets_the_priority_of_a_group_without_gpu(salad: SaladCaller) -> None:
    salad.run("cpu", priority="high")
    salad.run("gpu", priority="high", resources={"cpu": 1, "memory": 1024, "gpu_classes": [RTX_3060]})
    salad.patch("cpu", {"display_name": "cpu only"})
    salad.patch("gpu", {"display_name": "with gpu"})
    assert (salad.group("cpu")["priority"], salad.group("gpu")["priority"]) == ("batch", "high")


def test_only_the_port_of_an_existing_gateway_can_be_changed(salad: SaladCaller) -> None:
    salad.run("plain")
    salad.run("open", networking={"auth": False, "port": 80, "protocol": "http"})
    assert salad.patch("plain", {"networking": {"port": 81}}).body["type"] == "container_group_update_exception"
    assert salad.patch("open", {"networking": {"port": 81}}).body["networking"]["port"] == 81
    assert salad.patch("open", {"networking": {"auth": True}}).status == 400


def test_writing_the_replica_count_puts_scheduled_scaling_on_hold(salad: SaladCaller) -> None:
    action = {"schedule": "0 8 * * *", "replicas": 2}
    salad.run("web", **{"scaling-actions": [action], "scheduled-scaling-enabled": True})
    assert salad.patch("web", {"replicas": 2}).body["scheduled-scaling-enabled"] is False


def test_an_instance_read_is_answered_with_202(salad: SaladCaller) -> None:
    instance = salad.run("web")
    response = salad.call("GET", f"{GROUPS}/web/instances/{instance['id']}")
    assert (response.status, response.body) == (202, instance)
    salad.model.configure(instance_read_status=200)
    assert salad.call("GET", f"{GROUPS}/web/instances/{instance['id']}").status == 200


def test_a_restart_stays_on_the_machine_and_downloads_nothing(salad: SaladCaller) -> None:
    for action, event in (("restart", "Instance Restarted"), ("recreate", "Instance Recreated")):
        before = salad.run(action)
        assert salad.call("POST", f"{GROUPS}/{action}/instances/{before['id']}/{action}").status == 202
        assert salad.instance(action)["state"] == "creating"
        salad.wait(1)
        after = salad.instance(action)
        assert (after["state"], after["machine_id"]) == ("running", before["machine_id"])
        assert after["id"] != before["id"]
        assert event in salad.events(action)
        assert not any("Exited" in name for name in salad.events(action))


def test_an_exit_event_for_a_restart_on_request_is_a_setting() -> None:
    salad = SaladCaller(exit_event_on_user_restart=True)
    instance = salad.run("web")
    salad.call("POST", f"{GROUPS}/web/instances/{instance['id']}/restart")
    assert "Instance Exited:137 (Likely Out of System Memory)" in salad.events("web")


def test_a_reallocation_moves_to_another_machine(salad: SaladCaller) -> None:
    before = salad.run("web")
    assert salad.call("POST", f"{GROUPS}/web/instances/{before['id']}/reallocate").status == 202
    assert salad.instances("web") == []
    assert salad.status("web") == "running", "the group stays running"
    salad.wait(2)
    after = salad.instance("web")
    assert after["machine_id"] != before["machine_id"]
    assert "Instance Reallocated by User" in salad.events("web")


def test_an_owner_record_can_arrive_with_a_patch(salad: SaladCaller) -> None:
    salad.run("one", uid="u-1")
    salad.run("two")
    record = json.dumps({"uid": "u-1"})
    salad.patch("two", {"container": {"environment_variables": {"SALAD_VK_OWNER": record}}})
    assert salad.model.statistics()["duplicates"] == [{"uid": "u-1", "groups": ["one", "two"]}]
