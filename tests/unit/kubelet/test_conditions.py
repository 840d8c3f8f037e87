"""The conditions of a pod are complete, with the times of their transitions, at each step of its life."""

from __future__ import annotations

import datetime
from typing import Any

from tests.support.kubelet_world import KubeletWorld
from virtual_kubelet_salad.kubelet import conditions, status
from virtual_kubelet_salad.kubelet.provider import Ending, Machine, State

OWN = ["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"]
NOW = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)


def found(world: KubeletWorld) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in world.status()["conditions"]}


def statuses(world: KubeletWorld) -> dict[str, str]:
    return {name: condition["status"] for name, condition in found(world).items()}


def test_a_pod_that_waits_runs_and_ends_has_all_conditions_with_reasons(world: KubeletWorld) -> None:
    world.create_pod(restartPolicy="Never")
    world.settle()
    name = world.box_name()
    waiting = {**dict.fromkeys(OWN, "False"), "PodScheduled": "True", "Initialized": "True"}
    assert statuses(world) == waiting
    assert found(world)["Ready"]["reason"] == found(world)["ContainersReady"]["reason"] == "ContainersNotReady"
    assert found(world)["Ready"]["message"] == "containers with unready status: [main]"
    world.provider.change(name, machine=Machine("machine 1"), reason="Downloading")
    world.wake()
    world.settle()
    assert statuses(world) == {**waiting, "PodReadyToStartContainers": "True"}
    world.provider.run(name, ready=False)
    world.wake()
    world.settle()
    assert statuses(world) == {**waiting, "PodReadyToStartContainers": "True"}
    world.provider.run(name)
    world.wake()
    world.settle()
    assert statuses(world) == dict.fromkeys(OWN, "True")
    assert "reason" not in found(world)["Ready"] and "message" not in found(world)["Ready"]
    now = world.clock.now().replace(microsecond=0)
    world.provider.change(name, endings=(Ending("memory://1", now, now, 0, "Completed", ""),))
    world.wake()
    world.settle()
    assert statuses(world) == waiting
    assert {found(world)[each].get("reason") for each in ("Initialized", "ContainersReady", "Ready")} == {
        "PodCompleted"
    }


def test_a_transition_time_is_that_of_the_transition_and_survives_a_restart(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    began = found(world)
    world.clock.advance(100.0)
    world.provider.run(world.box_name(), ready=False)
    world.wake()
    world.settle()
    assert found(world)["Ready"]["lastTransitionTime"] == began["Ready"]["lastTransitionTime"]
    machine = found(world)["PodReadyToStartContainers"]["lastTransitionTime"]
    assert machine > began["PodReadyToStartContainers"]["lastTransitionTime"]
    world.start()
    world.clock.advance(100.0)
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    assert found(world)["Ready"]["lastTransitionTime"] > machine
    assert found(world)["PodReadyToStartContainers"]["lastTransitionTime"] == machine
    assert found(world)["Initialized"]["lastTransitionTime"] == began["Initialized"]["lastTransitionTime"]


def test_a_lost_machine_is_lost_since_then(world: KubeletWorld) -> None:
    world.run_pod()
    world.clock.advance(50.0)
    lost = {"run": None, "is_running": False, "reason": "Reallocating", "machine": None}
    world.provider.change(world.box_name(), **lost)
    world.wake()
    world.settle()
    assert found(world)["PodReadyToStartContainers"]["status"] == "False"
    moment = found(world)["PodReadyToStartContainers"]["lastTransitionTime"]
    assert moment == found(world)["Ready"]["lastTransitionTime"]


def test_conditions_of_others_and_the_schedulers_own_are_left_alone(world: KubeletWorld) -> None:
    world.create_pod()
    theirs = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2025-12-31T23:59:00Z"},
        {"type": "example.com/gate", "status": "False", "lastTransitionTime": "2025-12-31T23:59:00Z"},
    ]
    world.patch_pod({"status": {"conditions": theirs}}, subresource="/status")
    world.settle()
    for condition in theirs:
        assert condition.items() <= found(world)[condition["type"]].items()


def test_conditions_tell_the_generation_that_they_are_about() -> None:
    pod = {"metadata": {"generation": 3}, "status": {}}
    container = {"name": "main", "ready": True}
    told = conditions.standard(pod, NOW, "Running", container, has_machine=True)
    assert {condition["observedGeneration"] for condition in told} == {3}
    told = conditions.standard({"metadata": {}}, NOW, "Running", container, has_machine=True)
    assert not any("observedGeneration" in condition for condition in told)


def test_an_api_server_that_drops_the_observed_generation_is_not_written_to_again_and_again() -> None:
    ready = {"type": "Ready", "status": "True"}
    wanted = {"phase": "Running", "observedGeneration": 3, "conditions": [{**ready, "observedGeneration": 3}]}
    kept: dict[str, Any] = {"phase": "Running", "conditions": [ready]}
    assert not status.differs({"status": kept}, wanted)
    assert status.differs({"status": {**kept, "observedGeneration": 2}}, wanted)
    assert status.differs({"status": {**kept, "phase": "Pending"}}, wanted)


def test_a_pod_waits_since_its_last_run_ended_or_since_it_was_not_ready() -> None:
    moments = [NOW - datetime.timedelta(minutes=minutes) for minutes in (30, 20, 10)]
    start, unready, ended = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in moments)
    pod: dict[str, Any] = {"spec": {"containers": [{"name": "main"}]}, "status": {}}
    assert conditions.unready_since(pod, NOW) == NOW
    pod["status"]["startTime"] = start
    assert conditions.unready_since(pod, NOW) == moments[0]
    pod["status"]["conditions"] = [{"type": "ContainersReady", "status": "False", "lastTransitionTime": unready}]
    assert conditions.unready_since(pod, NOW) == moments[1]
    container: dict[str, Any] = {"name": "main", "lastState": {"terminated": {"finishedAt": ended}}}
    pod["status"]["containerStatuses"] = [container]
    assert conditions.unready_since(pod, NOW) == moments[2]
    container["state"] = {"running": {"startedAt": ended}}
    assert conditions.unready_since(pod, NOW) == NOW


def test_a_stopped_workload_is_told_of_with_the_time_of_its_stop_which_stays(world: KubeletWorld) -> None:
    world.run_pod()
    world.clock.advance(1_000.0)
    stop = {"state": State.STOPPED, "run": None, "is_running": False, "reason": "Stopped", "message": "It was stopped"}
    world.provider.change(world.box_name(), **stop)
    world.wake()
    world.settle()
    message = world.status()["message"]
    assert f"(waiting since {found(world)['Ready']['lastTransitionTime']}; started again at " in message
    written = (world.pod() or {})["metadata"]["resourceVersion"]
    world.settle(200.0)
    assert (world.pod() or {})["metadata"]["resourceVersion"] == written
