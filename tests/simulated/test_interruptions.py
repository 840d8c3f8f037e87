"""What takes a container away, or keeps it from starting: what the pod says meanwhile, and that it recovers by itself.

| interruption | tests |
|---|---|
| reallocation, preemption, machine offline | `test_a_lost_machine_*`, `test_a_run_that_may_not_be_repeated_*` |
| failed liveness probe | `test_a_failed_liveness_probe_is_a_restart` |
| out of credit | `test_without_credit_*` |
| stopped in the portal | `test_a_group_that_somebody_stops_*` |
| image failure | `test_a_failing_image_*`, `test_a_mended_image_*` |
| start failure | `test_a_container_that_cannot_start_*` |
| endless preparation, allocation, download, creation | `test_endless_*` |
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulated.world import World
from tests.support import cluster as seen
from tests.support import manifests
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel

Loss = Callable[[SaladCloudModel, str], None]
LOSSES: dict[str, Loss] = {
    "reallocated": lambda cloud, name: cloud.reallocate(name),
    "preempted": lambda cloud, name: cloud.preempt(name),
    "node offline": lambda cloud, name: cloud.node_offline(name),
    "node offline, replaced at once": lambda cloud, name: cloud.node_offline(name, has_gap=False),
}
losses = pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
CANARY_SECONDS = 300.0


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
@losses
def test_a_lost_machine_is_told_and_no_restart_and_the_pod_is_ready_again(lose: Loss, policy: str) -> None:
    world = World(allocation=40.0)
    world.create_and_run("web", restart_policy=policy)
    group = world.group()
    world.run(60.0)
    lose(world.cloud, group)
    # Also where no list ever shows that nothing ran in between.
    world.run_until(lambda: world.container()["lastState"].get("terminated"))
    assert world.container()["lastState"]["terminated"]["reason"] == "Interrupted"
    world.run_until(lambda: "Interrupted" in world.reasons())
    world.run_until(world.is_ready)
    assert world.phase() == "Running"
    assert world.container()["restartCount"] == 0
    assert world.groups() == {group}
    assert world.daemon.cloud_line.count("create") == 1


@pytest.mark.parametrize("kind", ["reallocated", "preempted", "node offline"])
def test_a_lost_machine_means_waiting_in_a_pod_that_goes_on_running(kind: str) -> None:
    world = World(allocation=120.0)
    world.create_and_run("web", within=200.0)
    LOSSES[kind](world.cloud, world.group())
    world.run_until(lambda: world.waiting() == "Reallocating")
    assert world.phase() == "Running"
    assert not world.is_ready()


@losses
def test_a_run_that_may_not_be_repeated_fails_as_a_disruption(lose: Loss) -> None:
    world = World(allocation=40.0)
    world.create_and_run("job", restart_policy="Never")
    lose(world.cloud, world.group("job"))
    world.run_until(lambda: world.phase("job") == "Failed")
    assert world.status("job")["reason"] == "Interrupted"
    assert seen.condition(world.pod("job"), "DisruptionTarget") == "True"
    assert seen.container_state(world.pod("job"), "terminated")["exitCode"] == 137
    world.run_until(lambda: not world.groups())
    world.run_until(lambda: not seen.has_finalizer(world.pod("job")))


@losses
def test_a_run_that_may_not_be_repeated_goes_on_where_its_author_wants_it(lose: Loss) -> None:
    world = World(allocation=40.0)
    world.create_and_run("job", restart_policy="Never", annotations={"salad.com/on-interruption": "continue"})
    group = world.group("job")
    lose(world.cloud, group)
    world.run_until(lambda: world.container("job")["lastState"].get("terminated"))
    world.run_until(lambda: world.is_ready("job"))
    assert world.container("job")["restartCount"] == 0
    assert world.groups() == {group}


def test_a_failed_liveness_probe_is_a_restart() -> None:
    world = World()
    world.create_and_run("web")
    world.run(30.0)
    world.cloud.liveness_failure(world.group())
    world.run_until(lambda: world.container()["restartCount"] == 1)
    assert world.container()["lastState"]["terminated"]["reason"] == "Error"
    world.run_until(world.is_ready)


# -- credit -----------------------------------------------------------------------------------------------------------


def test_without_credit_one_start_per_five_minutes_is_tried_for_all_and_all_come_back() -> None:
    world = World()
    names = [f"web-{number}" for number in range(5)]
    world.create_and_run(*names)
    world.create_and_run("sometimes", restart_policy="OnFailure")
    world.create_and_run("once", restart_policy="Never")
    groups = world.groups()
    world.run(60.0)
    world.cloud.out_of_credit(True)
    stopped = world.now
    world.run_until(lambda: all(world.waiting(name) == "OutOfCredit" for name in (*names, "sometimes")))
    world.create("new")
    world.run_until(lambda: world.waiting("new") == "OutOfCredit")
    assert world.phase("new") == "Pending"
    world.run_until(lambda: world.phase("once") == "Failed", within=900.0)
    assert world.status("once")["reason"] == "Stopped"
    world.run(3600.0)
    line = world.daemon.cloud_line
    tries = [call.at for call in line.calls if call.operation == "start" and call.at >= stopped]
    assert all(later - earlier >= CANARY_SECONDS for earlier, later in zip(tries, tries[1:]))
    assert len(tries) >= 10
    assert {world.phase(name) for name in names} == {"Running"}
    world.cloud.out_of_credit(False)
    world.run_until(lambda: all(map(world.is_ready, [*names, "sometimes", "new"])), within=1500.0)
    assert world.groups() >= groups - {world.group("once")}
    assert {world.container(name)["restartCount"] for name in names} == {0}
    world.check()


# -- stopped by somebody ----------------------------------------------------------------------------------------------


def test_a_group_that_somebody_stops_is_started_after_five_minutes_and_ever_more_rarely() -> None:
    world = World()
    world.create_and_run("web")

    def stopped_for(run: float) -> float:
        """How long it takes until the pod is ready again after it ran for so long and was stopped."""
        world.run(run)
        world.cloud.stop_group(world.group())
        stopped = world.now
        world.run_until(lambda: world.waiting() == "Stopped")
        world.run_until(world.is_ready, within=4000.0)
        return world.now - stopped

    # Each after a short run; then after a long one.
    for run, least in ((30.0, 300.0), (30.0, 300.0), (30.0, 600.0), (30.0, 1200.0), (1_200.0, 300.0)):
        assert least <= stopped_for(run) <= least + 30.0
    assert "Stopped" in world.reasons()
    assert world.phase() == "Running"
    assert world.container()["restartCount"] == 0
    assert world.daemon.cloud_line.count("create") == 1


def test_a_group_that_somebody_stops_fails_a_pod_that_may_not_restart_and_is_deleted() -> None:
    world = World()
    world.create_and_run("job", restart_policy="Never")
    world.cloud.stop_group(world.group("job"))
    stopped = world.now
    world.run_until(lambda: world.phase("job") == "Failed", within=900.0)
    assert world.now - stopped >= 600.0
    assert world.status("job")["reason"] == "Stopped"
    world.run_until(lambda: not world.groups())


# -- what cannot start ------------------------------------------------------------------------------------------------


def test_a_failing_image_is_tried_ever_more_rarely_with_one_group_at_a_time_and_never_fails_the_pod() -> None:
    world = World()
    world.create("web", image="registry.example/does-not-exist:1")
    reasons: set[str] = set()
    begun = world.now
    while world.now < begun + 3600.0:
        world.run(5.0)
        reasons.add(world.waiting())
        assert world.phase() == "Pending"
        assert len(world.groups()) <= 1
    assert {"ErrImagePull", "ImagePullBackOff"} & reasons
    assert "manifest unknown" in world.status().get("message", "") + str(world.container())
    times = [call.at for call in world.daemon.cloud_line.calls if call.operation == "create"]
    waits = [later - earlier for earlier, later in zip(times, times[1:])]
    # 1, 2, 4, 8, then every 10 minutes, each after the failed attempt is confirmed gone.
    for wait, least in zip(waits, (60.0, 120.0, 240.0, 480.0, 600.0, 600.0)):
        assert least <= wait <= least + 30.0, waits
    assert world.pod()["metadata"]["annotations"]["salad.com/attempt"] == str(len(times) - 1)
    world.check()


def test_a_mended_image_runs_with_the_next_attempt() -> None:
    world = World()
    world.create("web", image="registry.example/does-not-exist:1")
    world.run_until(lambda: world.waiting() in ("ErrImagePull", "ImagePullBackOff"))
    change = {"spec": {"containers": [{"name": "main", "image": manifests.IMAGE}]}}
    world.cluster.patch("/api/v1/namespaces/default/pods/web", change)
    world.run_until(world.is_ready, within=200.0)
    assert len(world.groups()) == 1
    assert world.container()["image"] == manifests.IMAGE


def test_a_container_that_cannot_start_says_so_and_nothing_is_deleted() -> None:
    world = World()
    world.create("web", environment={"SIM_START": "fail"})
    world.run_until(lambda: world.waiting() == "StartError")
    assert "Instance Start Failure" in seen.container_state(world.pod(), "waiting")["message"]
    world.run_until(lambda: "StartError" in world.reasons())
    world.run(1800.0)
    assert world.phase() == "Pending"
    assert (world.waiting(), world.container()["restartCount"]) == ("StartError", 0)
    line = world.daemon.cloud_line
    assert (line.count("create"), line.count("delete")) == (1, 0)


ENDLESS = {
    "preparation": ("pending", "ImagePreparing"),
    "allocation": ("allocating", "Allocating"),
    "download": ("downloading", "Downloading"),
    "creation": ("creating", "StartError"),
}


@pytest.mark.parametrize(("state", "reason"), ENDLESS.values(), ids=ENDLESS)
def test_endless_steps_on_the_way_are_waited_for_and_told(state: str, reason: str) -> None:
    world = World(preparation=20.0, allocation=20.0, download=40.0, create=20.0)
    world.create("web")

    def is_there() -> bool:
        states = [(group["status"], *(one["state"] for one in group["instances"])) for group in world.cloud.overview()]
        return any(state in each for each in states)

    world.run_until(is_there)
    world.cloud.freeze(world.group())
    world.run(3600.0)
    assert (world.phase(), world.waiting()) == ("Pending", reason)
    line = world.daemon.cloud_line
    assert (line.count("create"), line.count("delete")) == (1, 0)
    world.cloud.thaw(world.group())
    world.run_until(world.is_ready, within=200.0)


def test_a_group_that_vanishes_before_it_runs_is_told_as_one_that_ran() -> None:
    world = World(allocation=60.0)
    world.create("web")
    world.run_until(lambda: world.waiting() == "Allocating")
    world.cloud.vanish(world.group())
    world.run_until(lambda: world.phase() == "Failed")
    assert world.status()["reason"] == "ContainerGroupNotFound"
