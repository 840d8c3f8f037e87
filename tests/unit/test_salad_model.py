"""The simulated SaladCloud: what happens to a container group and its instance from create to gone."""

from __future__ import annotations

import pytest

from tests.support.salad_caller import GROUPS, RTX_3060, SaladCaller, prototype

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


def test_a_create_is_answered_with_the_group_and_its_location(salad: SaladCaller) -> None:
    response = salad.create("web", priority="low", country_codes=["no"])
    assert response.status == 201
    assert response.headers["Location"] == f"{GROUPS}/web"
    group = response.body
    assert (group["name"], group["display_name"], group["country_codes"]) == ("web", "web", ["no"])
    assert group["priority"] == "low", "the priority is at the top level on read"
    assert "priority" not in group["container"]
    assert group["current_state"]["status"] == "pending"
    assert group == salad.group("web")


def test_registry_credentials_are_never_shown(salad: SaladCaller) -> None:
    credentials = {"basic": {"username": "me", "password": "hunter2"}}
    response = salad.create("web", registry_authentication=credentials)
    assert response.status == 201
    assert "hunter2" not in response.text
    assert "hunter2" not in salad.call("GET", GROUPS).text


def test_a_group_goes_through_every_state(salad: SaladCaller) -> None:
    salad.create("web")
    seen = [salad.status("web")]
    states: list[str] = []
    for _ in range(30):
        salad.wait(0.1)
        seen.append(salad.status("web"))
        states += [instance["state"] for instance in salad.instances("web")]
    assert list(dict.fromkeys(seen)) == ["pending", "deploying", "running"]
    assert list(dict.fromkeys(states)) == ["downloading", "creating", "running"]


def test_no_instance_is_shown_while_it_is_allocated_although_it_is_counted(salad: SaladCaller) -> None:
    salad.create("web")
    salad.wait_for(lambda: salad.status("web") == "deploying")
    assert salad.instances("web") == []
    assert salad.group("web")["current_state"]["instance_status_counts"]["allocating_count"] == 1


def test_rows_while_allocating_are_a_setting() -> None:
    salad = SaladCaller(rows_while_allocating=True)
    salad.create("web")
    salad.wait_for(lambda: salad.status("web") == "deploying")
    assert salad.instance("web")["state"] == "allocating"


def test_download_progress_is_a_fraction(salad: SaladCaller) -> None:
    salad.create("web")
    salad.wait_for(lambda: bool(salad.instances("web")))
    salad.wait(0.25)
    assert salad.instance("web")["pulling_progress"] == pytest.approx(0.5, abs=0.01)


def test_download_progress_in_percent_is_a_setting() -> None:
    salad = SaladCaller(progress_is_a_fraction=False)
    salad.create("web")
    salad.wait_for(lambda: bool(salad.instances("web")))
    salad.wait(0.25)
    assert salad.instance("web")["pulling_progress"] == pytest.approx(50, abs=1)


def test_the_autostart_flag_falls_at_the_start(salad: SaladCaller) -> None:
    salad.create("web")
    assert salad.group("web")["autostart_policy"] is True
    salad.wait_for(lambda: salad.status("web") == "deploying")
    assert salad.group("web")["autostart_policy"] is False


def test_without_autostart_a_prepared_group_is_stopped_until_it_is_started(salad: SaladCaller) -> None:
    salad.create("web", autostart_policy=False)
    salad.wait(10)
    assert salad.status("web") == "stopped"
    assert salad.post("web", "start").status == 202
    salad.wait_for(lambda: salad.status("web") == "running")


def test_an_autostart_that_does_not_work_is_a_setting() -> None:
    salad = SaladCaller(autostart_works=False)
    salad.create("web")
    salad.wait(10)
    assert salad.status("web") == "stopped"


def test_the_image_has_hash_and_size_after_its_preparation(salad: SaladCaller) -> None:
    assert "hash" not in salad.create("web").body["container"]
    salad.wait(1)
    assert salad.group("web")["container"]["hash"].startswith("sha256:")


def test_an_image_that_does_not_exist_makes_the_group_failed(salad: SaladCaller) -> None:
    salad.create("web", image="registry.example/does-not-exist:1")
    salad.wait(1)
    assert salad.status("web") == "failed"
    assert "manifest unknown" in salad.group("web")["current_state"]["description"]


def test_a_private_image_needs_credentials(salad: SaladCaller) -> None:
    credentials = {"basic": {"username": "me", "password": "secret"}}
    salad.create("anonymous", image="private.example/app:1")
    salad.create("known", image="private.example/app:1", registry_authentication=credentials)
    salad.wait(5)
    assert salad.status("anonymous") == "failed"
    assert salad.status("known") == "running"


def test_a_container_without_probes_is_ready_as_soon_as_it_runs(salad: SaladCaller) -> None:
    instance = salad.run("web")
    assert (instance["ready"], instance["started"]) == (True, True)


def test_probes_delay_started_and_ready(salad: SaladCaller) -> None:
    instance = salad.run("web", readiness_probe=PROBE, startup_probe=PROBE)
    assert (instance["ready"], instance["started"]) == (False, False)
    salad.wait(0.25)
    assert (salad.instance("web")["ready"], salad.instance("web")["started"]) == (False, True)
    salad.wait(0.5)
    assert salad.instance("web")["ready"] is True
    assert salad.events("web")[-2:] == ["Instance Startup Probe Passed", "Instance Ready (Readiness Probe Passed)"]


def test_the_gateway_host_is_shown_late(salad: SaladCaller) -> None:
    salad.create("web", networking={"auth": True, "port": 80, "protocol": "http"})
    assert "dns" not in salad.group("web")["networking"]
    salad.wait(2)
    assert salad.group("web")["networking"]["dns"].endswith(".salad.cloud")


@pytest.mark.parametrize("policy", ["always", "on_failure", "never"])
@pytest.mark.parametrize("code", [0, 1])
def test_a_container_is_restarted_after_every_exit(salad: SaladCaller, policy: str, code: int) -> None:
    first = salad.run("job", restart_policy=policy, environment={"SIM_EXIT": f"{code} after 1s"})
    salad.wait_for(lambda: salad.model.statistics()["runs"]["job"] == 3)
    last = salad.instance("job")
    assert salad.status("job") == "running"
    assert last["machine_id"] == first["machine_id"]
    assert last["id"] != first["id"]
    assert salad.events("job").count(f"Instance Exited:{code} ({'Error' if code else 'Exited Successfully'})") == 2


def test_one_instance_id_for_all_runs_is_a_setting() -> None:
    salad = SaladCaller(new_instance_id_per_run=False)
    first = salad.run("job", command=["sh", "-c", "sleep 1; exit 3"])
    salad.wait_for(lambda: salad.model.statistics()["runs"]["job"] == 2)
    again = salad.instance("job")
    assert again["id"] == first["id"]
    assert again["update_time"] > first["update_time"]


def test_repeated_failures_lead_to_another_machine(salad: SaladCaller) -> None:
    first = salad.run("job", command=["sh", "-c", "exit 3"])
    salad.wait_for(lambda: "Instance Reallocated by Platform" in salad.events("job"))
    assert salad.events("job").count("Instance Exited:3 (Error)") == 1 + salad.settings.restarts_before_moving
    salad.wait_for(lambda: bool(salad.instances("job")))
    assert salad.instance("job")["machine_id"] != first["machine_id"]


@pytest.mark.parametrize(
    "command, event",
    [
        (["sh", "-c", "echo hello && sleep 2; exit 3"], "Instance Exited:3 (Error)"),
        (["true"], "Instance Exited:0 (Exited Successfully)"),
        (["/bin/false"], "Instance Exited:1 (Error)"),
        (["sleep", "5"], "Instance Exited:0 (Exited Successfully)"),
    ],
)
def test_simple_commands_are_understood(salad: SaladCaller, command: list[str], event: str) -> None:
    salad.run("job", command=command)
    salad.wait_for(lambda: event in salad.events("job"))


@pytest.mark.parametrize(
    "command",
    [None, ["sleep", "infinity"], ["sh", "-c", "while true; do date; done"], ["python", "x"], ["sh", "-c", "'"]],
)
def test_a_command_that_is_not_understood_runs_for_ever(salad: SaladCaller, command: list[str] | None) -> None:
    salad.run("job", command=command)
    salad.wait(10_000)
    assert salad.model.statistics()["runs"]["job"] == 1


def test_out_of_memory_has_its_own_event(salad: SaladCaller) -> None:
    salad.run("job", environment={"SIM_EXIT": "137 after 1s oom"})
    salad.wait(1.5)
    assert "Instance Exited:137 (Likely Out of System Memory)" in salad.events("job")


def test_a_command_that_cannot_start_loops_across_machines(salad: SaladCaller) -> None:
    salad.create("job", command=["no-such-command"])
    salad.wait(10)
    assert salad.events("job").count("Instance Start Failure: Other") >= 3
    assert salad.model.statistics()["billed_seconds"]["job"] == 0
    assert salad.status("job") == "deploying"


def test_a_command_that_cannot_start_may_be_stuck_without_an_event() -> None:
    salad = SaladCaller(bad_command_is_stuck=True)
    salad.create("job", command=["no-such-command"])
    salad.wait(1_000)
    assert salad.instance("job")["state"] == "creating"
    assert not any("Failure" in event for event in salad.events("job"))


def test_stopped_is_said_before_the_container_is_dead(salad: SaladCaller) -> None:
    salad.run("web")
    assert salad.post("web", "stop").status == 202
    assert salad.status("web") == "stopped"
    assert salad.instance("web")["state"] == "stopping"
    assert salad.group("web")["current_state"]["instance_status_counts"]["stopping_count"] == 1
    salad.wait(salad.settings.shutdown_max)
    assert salad.instances("web") == []


def test_a_stopped_group_starts_on_another_machine(salad: SaladCaller) -> None:
    first = salad.run("web")
    salad.post("web", "stop")
    salad.wait(2)
    assert salad.post("web", "start").status == 202
    salad.wait_for(lambda: salad.status("web") == "running")
    assert salad.instance("web")["machine_id"] != first["machine_id"]


def test_a_group_stopped_during_preparation_is_not_started(salad: SaladCaller) -> None:
    salad.create("web")
    assert salad.post("web", "stop").status == 202
    salad.wait(10)
    assert salad.status("web") == "stopped"


def test_a_started_group_may_still_read_stopped() -> None:
    salad = SaladCaller(stale_start=2.0)
    salad.create("web", autostart_policy=False)
    salad.wait(1)
    salad.post("web", "start")
    assert salad.status("web") == "stopped"
    salad.wait(2.1)
    assert salad.status("web") == "deploying"


def test_a_deleted_group_is_gone_only_after_a_while(salad: SaladCaller) -> None:
    salad.run("web")
    assert salad.delete("web").status == 202
    assert salad.delete("web").status == 202, "again is accepted, too"
    assert salad.names() == ["web"]
    salad.wait(salad.settings.deletion)
    assert salad.names() == []
    assert salad.call("GET", f"{GROUPS}/web").status == 404
    assert salad.call("GET", f"{GROUPS}/web/instances").status == 404
    assert salad.delete("web").status == 404


def test_a_name_is_never_free_again(salad: SaladCaller) -> None:
    salad.create("web")
    assert salad.create("web").body["type"] == "name_conflict"
    salad.delete("web")
    salad.wait(1_000_000)
    response = salad.create("web")
    assert (response.status, response.body["type"]) == (400, "name_conflict")


def test_a_name_that_becomes_free_is_a_setting() -> None:
    salad = SaladCaller(names_are_single_use=False)
    salad.create("web")
    salad.delete("web")
    salad.wait(10)
    assert salad.create("web").status == 201


def test_a_list_shows_at_most_100_groups() -> None:
    salad = SaladCaller(replica_quota=200)
    for number in range(101):
        salad.create(f"web-{number}")
    assert len(salad.names()) == 100
    salad.model.configure(list_limit=None)
    assert len(salad.names()) == 101


def test_a_new_group_may_be_missing_from_the_list() -> None:
    salad = SaladCaller(stale_list=3.0)
    salad.create("web")
    assert salad.names() == []
    assert salad.status("web") == "pending"
    salad.wait(3)
    assert salad.names() == ["web"]


def test_answers_do_not_share_state_with_the_model(salad: SaladCaller) -> None:
    salad.create("web", environment={"A": "1"})
    first = salad.call("GET", GROUPS).body
    first["items"][0]["container"]["environment_variables"].clear()
    assert salad.group("web")["container"]["environment_variables"] == {"A": "1"}


def test_requests_do_not_share_state_with_the_model(salad: SaladCaller) -> None:
    body = prototype("web", environment={"A": "1"})
    salad.call("POST", GROUPS, body)
    body["container"]["environment_variables"]["A"] = "2"
    assert salad.group("web")["container"]["environment_variables"] == {"A": "1"}


def test_only_running_time_is_billed(salad: SaladCaller) -> None:
    salad.run("web", resources={"cpu": 1, "memory": 1024, "gpu_classes": [RTX_3060]})
    salad.wait(100)
    assert salad.model.statistics()["billed_seconds"]["web"] == pytest.approx(100)
    salad.delete("web")
    salad.wait(100)
    assert salad.model.statistics()["billed_seconds"]["web"] == pytest.approx(100)


def test_several_replicas_are_several_instances(salad: SaladCaller) -> None:
    salad.create("web", replicas=3)
    salad.wait(5)
    assert salad.group("web")["current_state"]["instance_status_counts"]["running_count"] == 3
    assert len({instance["machine_id"] for instance in salad.instances("web")}) == 3


def test_an_old_running_instance_tells_its_usage(salad: SaladCaller) -> None:
    assert "cpu_percent" not in salad.run("web")
    salad.wait(61)
    usage = salad.instance("web")
    assert 0 <= usage["cpu_percent"] <= 100 and usage["memory_usage_mb"] > 0
    assert salad.instance("web") == usage


def test_an_instance_tells_once_a_minute_what_it_was_made_to_use(salad: SaladCaller) -> None:
    salad.run("web")
    salad.wait(61)
    before = salad.instance("web")
    salad.model.use("web", 2.0, 300.0)
    assert salad.instance("web")["cpu_usage_total"] == before["cpu_usage_total"] == 30
    salad.wait(120)
    after = salad.instance("web")
    assert (after["cpu_percent"], after["cpu_usage"], after["memory_usage_mb"]) == (200.0, 120, 300.0)
    assert 268 <= after["cpu_usage_total"] <= 270
    salad.model.configure(usage_period=5.0)
    salad.model.use("web", 0.0, 300.0)
    salad.wait(10)
    assert (salad.instance("web")["cpu_percent"], salad.instance("web")["cpu_usage"]) == (0.0, 0)


def test_the_same_seed_gives_the_same_answers() -> None:
    def story(seed: int) -> str:
        salad = SaladCaller(seed=seed, jitter=0.5)
        salad.create("one")
        salad.create("two", command=["sh", "-c", "sleep 1; exit 1"])
        salad.wait(20)
        return salad.call("GET", GROUPS).text + salad.logs('resource.type != "x"').text

    assert story(7) == story(7)
    assert story(7) != story(8)


def test_one_big_step_of_the_clock_is_many_small_ones() -> None:
    big, small = SaladCaller(jitter=0.5), SaladCaller(jitter=0.5)
    for salad in (big, small):
        salad.create("one", command=["sh", "-c", "sleep 1; exit 1"])
    big.wait(30)
    for _ in range(300):
        small.wait(0.1)
    assert big.events("one") == small.events("one")
    assert [row["id"] for row in big.instances("one")] == [row["id"] for row in small.instances("one")]


def test_nothing_is_due_when_nothing_will_happen(salad: SaladCaller) -> None:
    assert salad.model.next_change() is None
    salad.run("web")
    assert salad.model.next_change() is None


def test_a_list_of_many_groups_is_built_only_once() -> None:
    salad = SaladCaller(replica_quota=1_000, list_limit=None)
    for number in range(1_000):
        salad.create(f"web-{number}")
    salad.wait(10)
    first = salad.call("GET", GROUPS)
    assert salad.call("GET", GROUPS).text is first.text
