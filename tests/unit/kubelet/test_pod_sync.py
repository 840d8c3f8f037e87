"""What the reconcile loop does to a pod, on the API server's model and a cloud that is a dictionary."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from tests.support.clock import FakeClock
from tests.support.in_memory_provider import IDENTITY, Box
from tests.support.kubelet_world import NAMESPACE, KubeletWorld, holds_finalizer
from tests.support.model_transport import lost_answer
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet.provider import Ending, Notice, Owner, State, Workload


@pytest.fixture
def world(fake_clock: FakeClock) -> KubeletWorld:
    return KubeletWorld(fake_clock)


def ending(world: KubeletWorld, code: int, *, interruption: bool = False, instance: str = "1") -> Ending:
    now = world.clock.now().replace(microsecond=0)
    reason = "Interrupted" if interruption else ("Completed" if code == 0 else "Error")
    return Ending(f"memory://{instance}", now, now + datetime.timedelta(seconds=1), code, reason, "", interruption)


# -- starting ---------------------------------------------------------------------------------------------------------


def test_a_pod_is_claimed_before_its_workload_is_created(world: KubeletWorld) -> None:
    world.create_pod()
    held_at_create: list[bool] = []

    def look(call: str, name: str, applied: bool) -> None:
        if call == "create" and not applied:
            held_at_create.append(holds_finalizer(world.pod() or {}))

    world.provider.fail = look
    world.settle()
    assert held_at_create == [True]
    annotations = (world.pod() or {})["metadata"]["annotations"]
    assert annotations[IDENTITY.claim_annotation] == f"here/{world.box_name()}"
    assert annotations[IDENTITY.attempt_annotation] == "0"


def test_a_running_workload_makes_the_pod_running_and_ready(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    assert world.waiting_reason() == "Allocating"
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    assert world.status()["phase"] == "Running"
    conditions = {condition["type"]: condition["status"] for condition in world.status()["conditions"]}
    assert conditions["Ready"] == conditions["ContainersReady"] == conditions["Initialized"] == "True"
    assert world.container()["containerID"] == "memory://1"
    assert world.status()["hostIP"] == "192.0.2.7"
    assert "podIP" not in world.status()


def test_a_settled_pod_costs_no_write(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    before = (world.pod() or {})["metadata"]["resourceVersion"]
    world.wake()
    world.settle()
    assert (world.pod() or {})["metadata"]["resourceVersion"] == before


def test_a_missing_secret_keeps_the_pod_waiting_until_it_appears(world: KubeletWorld) -> None:
    reference = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "t"}}}
    world.create_pod(container={"env": [reference]})
    world.settle()
    assert world.waiting_reason() == "CreateContainerConfigError"
    assert not holds_finalizer(world.pod() or {})
    assert "MandatorySecretNotFound" in world.event_reasons()
    secret = {"metadata": {"name": "tokens"}, "data": {"t": "czNjcjN0"}}
    world.model.handle("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", {}, secret)
    world.settle(15.0)
    assert world.provider.count("create") == 1


def test_a_refused_pod_says_why_and_costs_no_request(world: KubeletWorld) -> None:
    world.provider.refused = [Notice("Warning", "UnsupportedPodSpec", "no such thing here")]
    world.create_pod()
    world.settle(600.0)
    assert world.waiting_reason() == "UnsupportedPodSpec"
    assert "no such thing here" in world.status()["message"]
    assert world.provider.calls == []


def test_a_refused_pod_of_a_job_fails(world: KubeletWorld) -> None:
    world.provider.refused = [Notice("Warning", "UnsupportedPodSpec", "no such thing here")]
    world.create_pod(restartPolicy="Never")
    world.settle()
    assert world.status()["phase"] == "Failed"
    assert world.status()["reason"] == "UnsupportedPodSpec"


def test_a_pod_that_another_kubelet_started_gets_no_workload(world: KubeletWorld) -> None:
    world.create_pod()
    started = {"name": "main", "image": "i", "imageID": "", "ready": True, "restartCount": 0, "started": True}
    running = {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "containerID": "containerd://x"}
    world.patch_pod({"status": {"containerStatuses": [{**started, **running}]}}, subresource="/status")
    world.settle()
    assert world.status()["reason"] == "UnclaimedPod"
    assert "NotStartedByThisNode" in world.event_reasons()
    assert world.provider.count("create") == 0


def test_a_daemonset_pod_is_reported_ready_without_a_workload(world: KubeletWorld) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u", "controller": True}
    world.create_pod(metadata={"ownerReferences": [owner]})
    world.settle()
    assert (world.status()["phase"], world.status()["reason"]) == ("Running", "NotRunOnVirtualNode")
    assert not holds_finalizer(world.pod() or {})
    assert world.provider.calls == []
    world.delete_pod()
    world.settle()
    assert world.pod() is None


# -- uncertain creates ------------------------------------------------------------------------------------------------


def test_a_create_whose_answer_is_lost_is_adopted(world: KubeletWorld) -> None:
    def lose(call: str, name: str, applied: bool) -> None:
        if call == "create" and applied:
            raise lost_answer()

    world.provider.fail = lose
    world.create_pod()
    world.settle(30.0)
    assert world.provider.count("create") == 1
    assert world.waiting_reason() == "Allocating"


def test_an_unsettled_create_that_was_not_applied_is_repeated_only_after_it_has_settled(world: KubeletWorld) -> None:
    def lose(call: str, name: str, applied: bool) -> None:
        if call == "create" and not applied and world.provider.count("create") == 1:
            raise lost_answer()

    world.provider.fail = lose
    world.create_pod()
    world.settle(100.0)
    assert world.provider.count("create") == 1
    world.settle(60.0)
    assert world.provider.count("create") == 2
    assert len(world.provider.boxes) == 1


def test_a_restart_between_claim_and_create_waits_before_it_creates(world: KubeletWorld) -> None:
    world.create_pod()
    world.step()
    assert holds_finalizer(world.pod() or {})
    world.start()
    world.settle(100.0)
    assert world.provider.count("create") == 0
    world.settle(60.0)
    assert world.provider.count("create") == 1


def test_a_restart_after_the_create_adopts_without_a_create(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.start()
    world.settle(300.0)
    assert world.provider.count("create") == 1


def test_a_used_up_name_leads_to_the_next_attempt(world: KubeletWorld) -> None:
    pod = world.create_pod()
    name = world.provider.workload_name("cluster", "web", pod["metadata"]["uid"], 0)
    world.provider.used_names.add(name)
    world.settle(200.0)
    assert (world.pod() or {})["metadata"]["annotations"][IDENTITY.attempt_annotation] == "1"
    assert len(world.provider.boxes) == 1


def test_somebody_elses_workload_under_our_name_is_left_alone(world: KubeletWorld) -> None:
    pod = world.create_pod()
    name = world.provider.workload_name("cluster", "web", pod["metadata"]["uid"], 0)
    owner = Owner("another-cluster", "n", "ns", "p", "u", 0, "")
    world.provider.boxes[name] = Box(owner, Workload(name, owner, State.RUNNING))
    world.provider.used_names.add(name)
    world.settle(300.0)
    assert name in world.provider.boxes
    assert len(world.provider.boxes) == 2
    assert ("delete", name) not in world.provider.calls


# -- the cloud's answers ----------------------------------------------------------------------------------------------


def test_could_not_ask_changes_nothing(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    before = world.pod()

    def outage(call: str, name: str, applied: bool) -> None:
        raise errors.CouldNotAsk("down")

    world.provider.fail = outage
    world.wake()
    world.settle(3_600.0)
    assert world.pod() == before


def test_one_not_found_is_not_gone(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    name = world.box_name()
    box = world.provider.boxes.pop(name)
    world.wake()
    world.settle(2.0)
    assert world.status()["phase"] == "Running"
    world.provider.boxes[name] = box
    world.settle(60.0)
    assert world.status()["phase"] == "Running"


def test_a_vanished_workload_fails_the_pod(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
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
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
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
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    world.patch_pod({"spec": {"containers": [{"name": "main", "image": "image:2"}]}})
    world.settle(30.0)
    assert world.provider.count("update") == 1
    assert world.provider.boxes[world.box_name()].image == "image:2"


# -- exits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
def test_a_job_pod_ends_with_its_exit_code_and_its_workload_goes(world: KubeletWorld, code: int, phase: str) -> None:
    world.create_pod(restartPolicy="Never")
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    world.provider.change(world.box_name(), endings=(ending(world, code),))
    world.wake()
    world.settle(30.0)
    assert world.status()["phase"] == phase
    assert world.container()["state"]["terminated"]["exitCode"] == code
    assert world.provider.boxes == {}
    assert not holds_finalizer(world.pod() or {})
    assert world.container()["restartCount"] == 0


def test_an_exit_under_always_is_one_restart(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
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
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    lost = (ending(world, 137, interruption=True),)
    world.provider.change(world.box_name(), endings=lost, run=None, is_running=False, reason="Reallocating")
    world.wake()
    world.step()
    assert world.waiting_reason() == "Reallocating"
    assert world.status()["phase"] == "Running"
    assert world.container()["restartCount"] == 0
    assert world.container()["lastState"]["terminated"]["reason"] == "Interrupted"


def test_an_interruption_under_never_fails_the_pod_as_a_disruption(world: KubeletWorld) -> None:
    world.create_pod(restartPolicy="Never")
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
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


# -- deletion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grace", [None, 0, 600])
def test_a_deleted_pod_goes_only_after_its_workload(world: KubeletWorld, grace: int | None) -> None:
    world.create_pod()
    world.settle()
    world.provider.run(world.box_name())
    world.wake()
    world.settle()
    world.delete_pod(grace=grace)
    world.settle(1.0)
    assert world.provider.boxes == {}
    assert world.pod() is not None
    world.settle(30.0)
    assert world.pod() is None


def test_a_pod_deleted_before_its_create_goes_without_one(world: KubeletWorld) -> None:
    world.create_pod()
    world.step()
    world.delete_pod()
    world.settle(30.0)
    assert world.pod() is None
    assert world.provider.count("create") == 0


def test_a_pod_deleted_during_an_unsettled_create_waits_for_it(world: KubeletWorld) -> None:
    def lose(call: str, name: str, applied: bool) -> None:
        if call == "create" and not applied:
            raise lost_answer()

    world.provider.fail = lose
    world.create_pod()
    world.step(), world.step()
    assert world.provider.count("create") == 1
    world.delete_pod(grace=0)
    world.settle(100.0)
    assert world.pod() is not None
    world.settle(60.0)
    assert world.pod() is None


def test_a_deleted_pod_stays_while_the_cloud_cannot_be_asked(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()

    def outage(call: str, name: str, applied: bool) -> None:
        raise errors.CouldNotAsk("down")

    world.provider.fail = outage
    world.delete_pod(grace=0)
    world.settle(3_600.0)
    assert world.pod() is not None
    world.provider.fail = lambda call, name, applied: None
    world.settle(700.0)
    assert world.pod() is None
    assert world.provider.boxes == {}


def test_foreign_finalizers_keep_the_object_but_not_the_workload(world: KubeletWorld) -> None:
    world.create_pod(metadata={"finalizers": ["example.com/keep"]})
    world.settle()
    world.delete_pod()
    world.settle(60.0)
    assert world.provider.boxes == {}
    assert (world.pod() or {})["metadata"]["finalizers"] == ["example.com/keep"]


# -- claims in doubt --------------------------------------------------------------------------------------------------


def test_an_edited_claim_is_repaired_and_nothing_is_created_twice(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    edited = {IDENTITY.claim_annotation: "here/other", IDENTITY.attempt_annotation: "3"}
    world.patch_pod({"metadata": {"annotations": edited}})
    world.settle(30.0)
    assert (world.pod() or {})["metadata"]["annotations"][IDENTITY.attempt_annotation] == "0"
    assert world.provider.count("create") == 1


def test_a_removed_claim_annotation_does_not_leak_the_workload(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.patch_pod({"metadata": {"annotations": {IDENTITY.claim_annotation: None, IDENTITY.attempt_annotation: None}}})
    world.delete_pod(grace=0)
    world.settle(200.0)
    assert world.pod() is None
    assert world.provider.boxes == {}


def test_a_claim_in_another_project_changes_nothing(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()
    world.provider.place = "elsewhere"
    world.start()
    calls = len(world.provider.calls)
    world.delete_pod(grace=0)
    world.settle(600.0)
    assert len(world.provider.calls) == calls
    assert world.pod() is not None


def test_dataclasses_of_the_seam_show_no_secret_in_their_repr(world: KubeletWorld) -> None:
    world.create_pod(container={"env": [{"name": "A", "value": "canary"}]})
    pod = world.pod() or {}
    planner = world.daemon.pod_sync._on.planner
    plan = planner.plan(pod, world.daemon.pod_sync._on.claims.owner(pod, 0), first_seen=0.0)
    assert "canary" in str(plan.request)
    assert "canary" not in repr(plan)
    assert dataclasses.is_dataclass(plan)
