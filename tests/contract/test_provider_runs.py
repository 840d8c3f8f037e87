"""Runs that end, as the SaladCloud provider tells them from the simulated SaladCloud: each once, with its true end."""

from __future__ import annotations

import dataclasses
import random

import pytest

from tests.support.provider_world import FollowedPod, ProviderWorld
from virtual_kubelet_salad.errors import CouldNotAsk
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider import Inputs


@pytest.fixture
def world() -> ProviderWorld:
    return ProviderWorld()


def _started_at(pod: FollowedPod) -> str:
    return str(pod.container["state"]["running"]["startedAt"])


@pytest.mark.parametrize(
    ("code", "out_of_memory", "reason"),
    [(0, False, "Completed"), (3, False, "Error"), (137, True, "OOMKilled"), (137, False, "Error")],
)
@pytest.mark.parametrize("new_id", [True, False])
def test_an_exit_is_one_restart_with_its_code(code: int, out_of_memory: bool, reason: str, new_id: bool) -> None:
    world = ProviderWorld(new_instance_id_per_run=new_id)
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.run(60)
    first = _started_at(pod)
    world.model.exit_container(pod.name, code, out_of_memory=out_of_memory)
    world.run_until(lambda: pod.container["restartCount"] == 1 and pod.is_ready, within=30)
    ended = pod.container["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["startedAt"]) == (code, reason, first)
    assert ended["finishedAt"] >= first and _started_at(pod) > first
    world.run(200)
    assert pod.container["restartCount"] == 1 and pod.is_ready


@pytest.mark.parametrize("new_id", [True, False])
@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
@pytest.mark.parametrize("exits", ["0", "0 after 1s", "0 after 30s"])
def test_a_job_completes_by_its_exit_though_the_container_runs_again(new_id: bool, policy: str, exits: str) -> None:
    world = ProviderWorld(new_instance_id_per_run=new_id)
    pod = world.pod(restart_policy=policy, exits=exits)
    world.run_until(lambda: pod.phase == "Succeeded", within=90)
    assert pod.container["state"]["terminated"]["exitCode"] == 0


@pytest.mark.parametrize("exits", ["3", "3 after 1s", "3 after 30s"])
def test_a_pod_that_never_restarts_fails_with_its_code(world: ProviderWorld, exits: str) -> None:
    pod = world.pod(restart_policy="Never", exits=exits)
    world.run_until(lambda: pod.phase == "Failed", within=90)
    assert pod.container["state"]["terminated"]["exitCode"] == 3


@pytest.mark.parametrize("seconds", [30, 120, 300])
@pytest.mark.parametrize("code", [0, 3])
def test_a_short_job_ends_with_its_code_though_it_ran_many_times_while_no_daemon_was_there(
    seconds: int, code: int
) -> None:
    world = ProviderWorld()
    pod = world.pod(restart_policy="Never", exits=f"{code} after 1s")
    world.run_until(lambda: "containerID" in pod.container and "running" in pod.container["state"])
    world.clock.advance(seconds)
    world.model.advance()
    assert world.model.statistics()["runs"][pod.name] >= seconds / 2
    world.restart()
    world.run_until(lambda: pod.phase == ("Succeeded" if code == 0 else "Failed"), within=30)
    assert pod.container["state"]["terminated"]["exitCode"] == code


@pytest.mark.parametrize("at", [1, 3, 5, 7, 9, 11, 15, 20, 25])
@pytest.mark.parametrize("policy", ["Never", "Always"])
def test_an_exit_is_counted_once_though_the_daemon_restarts(at: int, policy: str) -> None:
    world = ProviderWorld(seed=at)
    pod = world.pod(restart_policy=policy)
    world.run_until(lambda: pod.is_ready)
    world.run(60)
    world.model.exit_container(pod.name, 3)
    world.run(at)
    world.restart()
    world.run(150)
    if policy == "Never":
        assert pod.phase == "Failed" and pod.container["state"]["terminated"]["exitCode"] == 3
    else:
        assert pod.container["restartCount"] == 1 and pod.is_ready
        assert pod.container["lastState"]["terminated"]["exitCode"] == 3


@pytest.mark.parametrize("wrong_by_seconds", [-3600, -300, -40, 40, 300, 3600])
@pytest.mark.parametrize("new_id", [True, False])
def test_an_exit_is_counted_once_though_the_clock_of_the_restarted_daemon_is_wrong(
    wrong_by_seconds: int, new_id: bool
) -> None:
    world = ProviderWorld(wrong_by_seconds=wrong_by_seconds, new_instance_id_per_run=new_id)
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.run(60)
    world.model.exit_container(pod.name, 3)
    world.run(20)
    world.restart()
    world.run(150)
    assert pod.container["restartCount"] == 1 and pod.is_ready
    assert pod.container["lastState"]["terminated"]["exitCode"] == 3


def test_a_restarted_daemon_counts_nothing_again(world: ProviderWorld) -> None:
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    for _ in range(3):
        world.run(40)
        world.model.exit_container(pod.name, 1)
    world.run(60)
    assert pod.container["restartCount"] == 3
    for _ in range(3):
        world.restart()
        world.run(60)
    assert pod.container["restartCount"] == 3 and pod.is_ready


def test_a_crash_loop_is_counted_exactly() -> None:
    world = ProviderWorld(new_instance_id_per_run=True)
    pod = world.pod(exits="1 after 20s")
    world.run(600)
    runs = world.model.statistics()["runs"][pod.name]
    # A run of 20 s cannot be missed; the last one or two may not have been told yet.
    assert runs - 3 <= pod.container["restartCount"] <= runs


@pytest.mark.parametrize("seed", range(40))
def test_every_exit_counts_once_whatever_happens_in_between(seed: int) -> None:
    rng = random.Random(seed)
    world = ProviderWorld(
        seed,
        new_instance_id_per_run=rng.random() < 0.5,
        log_lag_min=1.0,
        log_lag_max=6.0,
        node_skew_max=73.0,
        restart=rng.choice([0.5, 2.0, 5.0]),
        allocation=rng.choice([0.5, 10.0]),
        download=3.0,
        rows_while_allocating=rng.random() < 0.3,
    )
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    exits = 0
    for _ in range(12):
        world.run(rng.uniform(25.0, 90.0))
        choice = rng.random()
        if choice < 0.5 and pod.is_ready:
            world.model.exit_container(pod.name, rng.choice([0, 1, 3]))
            exits += 1
        elif choice < 0.7:
            world.model.node_offline(pod.name, has_gap=rng.random() < 0.7)
        elif choice < 0.8 and pod.is_ready:
            world.model.set_ready(pod.name, rng.random() < 0.5)
        if rng.random() < 0.4:
            world.run(rng.uniform(0.0, 20.0))
            world.restart()
    world.run(200)
    assert pod.container["restartCount"] == exits


@pytest.mark.parametrize("has_gap", [True, False])
@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_the_loss_of_the_machine_is_no_restart(policy: str, has_gap: bool) -> None:
    world = ProviderWorld(allocation=20.0)
    pod = world.pod(restart_policy=policy)
    world.run_until(lambda: pod.is_ready)
    world.run(30)
    world.model.node_offline(pod.name, has_gap=has_gap)
    world.run(60)
    if policy == "Never":
        assert pod.phase == "Failed" and pod.pod["status"]["reason"] == "Interrupted"
        return
    assert pod.is_ready and pod.container["restartCount"] == 0
    assert pod.container["lastState"]["terminated"]["reason"] == "Interrupted"
    assert "Node Offline" in pod.container["lastState"]["terminated"]["message"]


def test_a_pod_without_a_machine_waits_for_another() -> None:
    world = ProviderWorld(allocation=60.0)
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.model.preempt(pod.name)
    world.run(30)
    assert pod.phase == "Running" and pod.waiting == "Reallocating" and not pod.is_ready


def test_a_lost_machine_is_not_ready_before_its_loss_is_explained() -> None:
    world = ProviderWorld(allocation=60.0, log_lag_min=40.0, log_lag_max=40.0)
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.run(60)
    world.model.preempt(pod.name)
    world.run(10)
    assert not pod.is_ready and "running" in pod.container["state"]


def test_an_end_that_no_event_explains_is_found_in_the_groups_own_log() -> None:
    world = ProviderWorld(log_lag_min=100_000.0, log_lag_max=100_000.0)
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.run(20)
    world.model.exit_container(pod.name, 7)
    world.run(20)
    assert pod.container["restartCount"] == 0
    # Nothing wakes the pod: no event, and between two lists the count was never seen to change. So look.
    world.provider._observing._tracks[pod.name].read_of = None
    pod.look()
    world.run(90)
    assert pod.container["restartCount"] == 1
    assert pod.container["lastState"]["terminated"]["exitCode"] == 7


@pytest.mark.parametrize("new_id", [True, False])
def test_the_run_after_an_end_that_no_event_explained_goes_on(new_id: bool) -> None:
    world = ProviderWorld(log_lag_min=100_000.0, log_lag_max=100_000.0, new_instance_id_per_run=new_id)
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.run(20)
    world.model.exit_container(pod.name, 7)
    world.provider.poller.step()
    pod.look()
    assert not pod.is_ready
    # Nobody looks before the container runs again and the end stays unexplained for long.
    world.clock.advance(90)
    pod.look()
    assert pod.container["restartCount"] == 1
    world.run(300)
    assert pod.is_ready
    assert pod.container["restartCount"] == 1
    assert pod.container["lastState"]["terminated"]["exitCode"] == 7


def test_an_end_from_the_groups_own_log_is_not_told_again_by_its_late_event() -> None:
    world = ProviderWorld(log_lag_min=75.0, log_lag_max=75.0)
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.run(100)
    remembered = pods.remembered_run(pod.pod)
    world.model.exit_container(pod.name, 7)
    world.clock.advance(5)
    # Between two lists the count was never seen to change.
    world.provider._observing._tracks[pod.name].read_of = None

    def exit_codes() -> list[int]:
        # The status is not written meanwhile, so the same is told again.
        workload = world.provider.observe(pod.name, remembered)
        assert workload is not None
        return [ending.exit_code for ending in workload.endings]

    for _ in range(14):
        world.clock.advance(5)
        world.provider.poller.step()
        if exit_codes():
            break
    world.clock.advance(20)
    world.provider.feed.step()
    assert exit_codes() == [7]


def test_a_count_that_is_wrong_for_a_while_ends_no_run(world: ProviderWorld) -> None:
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.run(30)
    # The list says that nothing runs, and no event says why; the instance itself runs on.
    counts = world.model._world.counts
    world.model._world.counts = lambda group: {**counts(group), "running_count": 0}  # type: ignore[method-assign]
    world.model._world.forget_texts()
    world.run(300)
    assert pod.container["restartCount"] == 0 and not pod.container.get("lastState")
    world.model._world.counts = counts  # type: ignore[method-assign]
    world.model._world.forget_texts()
    world.run(20)
    assert pod.is_ready and pod.container["restartCount"] == 0


@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_a_start_costs_one_read_of_its_instance(policy: str) -> None:
    world = ProviderWorld(preparation=0.1, allocation=0.1, download=0.1, create=0.1)
    pod = world.pod(restart_policy=policy)
    world.run_until(lambda: pod.is_ready)
    world.run(120)
    assert world.model.statistics()["requests_by_operation"]["list_container_group_instances"] == 1


def test_a_missed_exit_of_a_job_is_found_within_minutes() -> None:
    world = ProviderWorld(log_lag_min=100_000.0, log_lag_max=100_000.0)
    pod = world.pod(restart_policy="Never")
    world.run_until(lambda: pod.is_ready)
    world.run(20)
    world.model.exit_container(pod.name, 7)
    world.run(400)
    assert pod.phase == "Failed" and pod.container["state"]["terminated"]["exitCode"] == 7


def test_a_start_that_fails_says_so() -> None:
    world = ProviderWorld()
    pod = FollowedPod(world, "web", "Always")
    pod.create((("SIM_START", "fail"),))
    world.pods[pod.owner.uid] = pod
    world.run_until(lambda: pod.waiting == "StartError", within=30)
    assert "Instance Start Failure" in str(pod.container)
    assert pod.container["restartCount"] == 0 and not pod.container.get("lastState")


def test_an_endless_creation_says_so() -> None:
    world = ProviderWorld()
    pod = FollowedPod(world, "web", "Always")
    pod.create((("SIM_START", "stuck"),))
    world.pods[pod.owner.uid] = pod
    world.run(500)
    assert pod.waiting == "ContainerCreating"
    world.run(200)
    assert pod.waiting == "StartError" and "creating the container" in str(pod.container)


@pytest.mark.parametrize(("exits", "phase", "code"), [("0 after 10s", "Succeeded", 0), ("3 after 10s", "Failed", 3)])
def test_the_exit_after_a_replacement_is_told_though_no_process_saw_the_replacement(
    exits: str, phase: str, code: int
) -> None:
    world = ProviderWorld()
    pod = world.pod(restart_policy="Never", exits=exits)
    world.run_until(lambda: pod.is_ready)
    pod.pod["spec"]["containers"][0]["image"] = "nginx:2"
    owner = dataclasses.replace(pod.owner, image_hash="another")
    plan = world.provider.plan_update(pod.pod, Inputs(environment=(("SIM_EXIT", exits),), secrets={}), owner)
    world.provider.update(pod.name, plan)
    world.restart()
    world.run_until(lambda: pod.phase == phase, within=50)
    assert pod.container["state"]["terminated"]["exitCode"] == code


def test_a_new_image_replaces_the_container(world: ProviderWorld) -> None:
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    pod.pod["spec"]["containers"][0]["image"] = "nginx:2"
    owner = dataclasses.replace(pod.owner, image_hash="another")
    plan = world.provider.plan_update(pod.pod, Inputs(environment=(("A", "b"),), secrets={}), owner)
    world.provider.update(pod.name, plan)
    workload = world.provider.observe(pod.name, None)
    assert workload is not None and workload.owner == owner
    with pytest.raises(CouldNotAsk) as caught:
        world.provider.update(pod.name, plan)
    assert caught.value.retry_after == 15.0
    world.run(40)
    assert pod.is_ready and pod.container["restartCount"] == 1
    assert "Replaced by version 2" in pod.container["lastState"]["terminated"]["message"]
