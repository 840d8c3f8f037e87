"""A pod follows what the cloud says of its workload, and an exit is what the restart policy makes of it."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from tests.support.in_memory_provider import IDENTITY
from tests.support.kubelet_world import KubeletWorld, holds_finalizer
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet.provider import Ending, State


def ending(world: KubeletWorld, code: int, *, interruption: bool = False, instance: str = "1") -> Ending:
    now = world.clock.now().replace(microsecond=0)
    reason = "Interrupted" if interruption else ("Completed" if code == 0 else "Error")
    return Ending(f"memory://{instance}", now, now + datetime.timedelta(seconds=1), code, reason, "", interruption)


def test_could_not_ask_changes_nothing(world: KubeletWorld) -> None:
    world.run_pod()
    before = world.pod()

    def outage(call: str, name: str, applied: bool) -> None:
        raise errors.CouldNotAsk("down")

    world.provider.fail = outage
    world.wake()
    world.settle(3_600.0)
    assert world.pod() == before


def test_one_not_found_is_not_gone(world: KubeletWorld) -> None:
    world.run_pod()
    name = world.box_name()
    box = world.provider.boxes.pop(name)
    world.wake()
    world.settle(2.0)
    assert world.status()["phase"] == "Running"
    world.provider.boxes[name] = box
    world.settle(60.0)
    assert world.status()["phase"] == "Running"


def test_a_vanished_workload_fails_the_pod(world: KubeletWorld) -> None:
    world.run_pod()
    world.provider.boxes.clear()
    world.wake()
    world.settle(30.0)
    assert (world.status()["phase"], world.status()["reason"]) == ("Failed", "BoxNotFound")
    assert world.container()["state"]["terminated"]["exitCode"] == 137
    assert not holds_finalizer(world.pod() or {})


def test_a_failed_image_is_deleted_and_tried_again_with_the_next_attempt(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    first = world.box_name()
    world.provider.change(first, state=State.FAILED, message="manifest unknown")
    world.wake()
    world.settle(20.0)
    assert world.waiting_reason() == "ImagePullBackOff"
    assert "manifest unknown" in world.status()["message"]
    assert world.provider.boxes == {}
    world.settle(90.0)
    assert (world.pod() or {})["metadata"]["annotations"][IDENTITY.attempt_annotation] == "1"
    assert world.box_name() != first
    assert world.status()["phase"] == "Pending"


def test_the_node_controllers_not_ready_is_set_right(world: KubeletWorld) -> None:
    world.run_pod()
    blip = {"type": "Ready", "status": "False", "reason": "NodeNotReady"}
    world.patch_pod({"status": {"conditions": [blip]}}, subresource="/status")
    world.settle()
    conditions = {condition["type"]: condition["status"] for condition in world.status()["conditions"]}
    assert conditions["Ready"] == "True"


def test_a_stopped_workload_that_never_ran_is_started(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.provider.change(world.box_name(), state=State.STOPPED)
    world.wake()
    world.settle(1.0)
    assert world.provider.count("start") == 1


def test_an_image_changed_in_place_is_patched_once(world: KubeletWorld) -> None:
    world.run_pod()
    world.patch_pod({"spec": {"containers": [{"name": "main", "image": "image:2"}]}})
    world.settle(30.0)
    assert world.provider.count("update") == 1
    assert world.provider.boxes[world.box_name()].image == "image:2"


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
def test_a_job_pod_ends_with_its_exit_code_and_its_workload_goes(world: KubeletWorld, code: int, phase: str) -> None:
    world.run_pod(restartPolicy="Never")
    world.provider.change(world.box_name(), endings=(ending(world, code),))
    world.wake()
    world.settle(30.0)
    assert world.status()["phase"] == phase
    assert world.container()["state"]["terminated"]["exitCode"] == code
    assert world.provider.boxes == {}
    assert not holds_finalizer(world.pod() or {})
    assert world.container()["restartCount"] == 0


def test_an_exit_under_always_is_one_restart(world: KubeletWorld) -> None:
    world.run_pod()
    world.provider.change(world.box_name(), endings=(ending(world, 1),), run=None, is_running=True)
    world.step(), world.wake(), world.step()
    world.provider.change(world.box_name(), endings=())
    world.provider.run(world.box_name(), instance="2")
    world.wake()
    world.settle()
    assert world.container()["restartCount"] == 1
    assert world.container()["lastState"]["terminated"]["exitCode"] == 1
    assert world.container()["containerID"] == "memory://2"


def test_an_interruption_is_no_restart(world: KubeletWorld) -> None:
    world.run_pod()
    lost = (ending(world, 137, interruption=True),)
    world.provider.change(world.box_name(), endings=lost, run=None, is_running=False, reason="Reallocating")
    world.wake()
    world.step()
    assert world.waiting_reason() == "Reallocating"
    assert world.status()["phase"] == "Running"
    assert world.container()["restartCount"] == 0
    assert world.container()["lastState"]["terminated"]["reason"] == "Interrupted"


def test_an_interruption_under_never_fails_the_pod_as_a_disruption(world: KubeletWorld) -> None:
    world.run_pod(restartPolicy="Never")
    world.provider.change(world.box_name(), endings=(ending(world, 137, interruption=True),), run=None)
    world.wake()
    world.settle(30.0)
    assert (world.status()["phase"], world.status()["reason"]) == ("Failed", "Interrupted")
    assert {"DisruptionTarget"} <= {condition["type"] for condition in world.status()["conditions"]}
    assert world.provider.boxes == {}


def test_the_active_deadline_is_enforced(world: KubeletWorld) -> None:
    world.create_pod(restartPolicy="Never", activeDeadlineSeconds=60)
    world.settle(90.0)
    assert world.status()["reason"] == "DeadlineExceeded"
    assert world.provider.boxes == {}


def test_a_run_that_a_changed_image_replaced_is_a_restart_whatever_the_policy(world: KubeletWorld) -> None:
    world.run_pod(restartPolicy="Never")
    replaced = dataclasses.replace(ending(world, 137), is_replacement=True)
    world.provider.change(world.box_name(), endings=(replaced,), run=None)
    world.wake()
    world.step()
    assert world.status()["phase"] == "Running"
    assert world.container()["restartCount"] == 1


def test_a_workload_that_somebody_stopped_is_started_again_after_five_minutes(world: KubeletWorld) -> None:
    world.run_pod()
    world.provider.change(world.box_name(), state=State.STOPPED, run=None, is_running=False, reason="Stopped")
    world.wake()
    world.settle(290.0)
    assert world.waiting_reason() == "Stopped"
    assert world.container()["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert world.provider.count("start") == 0
    world.settle(20.0)
    assert world.provider.count("start") == 1


def test_a_stopped_workload_that_may_not_restart_fails_after_ten_minutes(world: KubeletWorld) -> None:
    world.run_pod(restartPolicy="Never")
    world.provider.change(world.box_name(), state=State.STOPPED, run=None, is_running=False, reason="Stopped")
    world.wake()
    world.settle(590.0)
    assert world.status()["phase"] == "Running"
    world.settle(60.0)
    assert (world.status()["phase"], world.status()["reason"]) == ("Failed", "Stopped")
    assert world.provider.boxes == {}


def test_a_stop_that_the_cloud_made_is_undone_under_on_failure_too(world: KubeletWorld) -> None:
    world.run_pod(restartPolicy="OnFailure")
    world.provider.change(
        world.box_name(),
        state=State.STOPPED,
        run=None,
        is_running=False,
        reason="OutOfCredit",
        is_stopped_by_cloud=True,
    )
    world.wake()
    world.settle(320.0)
    assert world.provider.count("start") == 1


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_what_the_cloud_had_stopped_starts_as_soon_as_the_cloud_does_not_say_so_any_more(
    world: KubeletWorld, policy: str
) -> None:
    world.run_pod(restartPolicy=policy)
    stop = {"state": State.STOPPED, "run": None, "is_running": False}
    reason = IDENTITY.stopped_by_cloud_reason
    world.provider.change(world.box_name(), reason=reason, is_stopped_by_cloud=True, **stop)
    world.wake()
    world.settle(60.0)
    assert world.waiting_reason() == reason and world.provider.count("start") == 0
    world.start()  # another process, which learns from the pod alone that it was the cloud
    world.provider.change(world.box_name(), reason="Stopped", is_stopped_by_cloud=False, **stop)
    world.wake()
    world.settle()
    assert world.provider.count("start") == 1


def test_an_address_is_told_when_it_comes_and_when_it_changes(world: KubeletWorld) -> None:
    world.run_pod()
    for host in ("one.example", "one.example", "two.example"):
        world.provider.change(world.box_name(), annotations={IDENTITY.address_annotation: host})
        world.wake()
        world.settle(60.0)
        assert (world.pod() or {})["metadata"]["annotations"][IDENTITY.address_annotation] == host
    assert world.event_reasons().count("AddressAssigned") == 2


def test_an_annotation_that_is_edited_after_the_create_is_told_to_be_ignored_once(world: KubeletWorld) -> None:
    world.run_pod(metadata={"annotations": {"memory.example/color": "red"}})
    world.patch_pod({"metadata": {"annotations": {"example.com/other": "x"}}})
    world.settle()
    assert "AnnotationIgnored" not in world.event_reasons()
    world.patch_pod({"metadata": {"annotations": {"memory.example/color": None, "memory.example/size": "1"}}})
    world.settle()
    world.wake()
    world.settle()
    assert world.event_reasons().count("AnnotationIgnored") == 1
    assert world.provider.count("create") == 1 and world.provider.count("update") == 0
