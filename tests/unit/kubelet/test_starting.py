"""From the first sight of a pod to a workload: refuse, wait, claim, create, and what uncertain creates lead to."""

from __future__ import annotations

import pytest

from tests.support.in_memory_provider import IDENTITY, Box
from tests.support.kubelet_world import NAMESPACE, KubeletWorld, holds_finalizer
from tests.support.model_transport import lost_answer
from virtual_kubelet_salad.errors import Blocked, Refused
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider import Notice, Owner, State, Workload


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
    world.run_pod()
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


@pytest.mark.parametrize(("policy", "kind"), [("Always", "waiting"), ("Never", "terminated")])
def test_every_container_of_a_refused_pod_says_why(world: KubeletWorld, policy: str, kind: str) -> None:
    container = {"name": "main", "image": "image:1"}
    world.create_pod(restartPolicy=policy, containers=[container, {"name": "debugger", "image": "tools:1"}])
    world.settle(600.0)
    main, debugger = world.status()["containerStatuses"]
    assert (debugger["name"], debugger["image"]) == ("debugger", "tools:1")
    assert list(main["state"]) == [kind] and main["state"] == debugger["state"]
    assert main["state"][kind]["reason"] == "UnsupportedField"
    assert "the container debugger: " in main["state"][kind]["message"]
    assert main["state"][kind].get("exitCode", 128) == 128


def test_a_pod_that_was_refused_has_never_had_a_workload(world: KubeletWorld) -> None:
    """Its container has ended without a run, which is not the end of one."""
    world.create_pod(restartPolicy="Never", hostNetwork=True)
    world.settle()
    pod = world.pod()
    assert pod is not None and "terminated" in world.container()["state"]
    assert not pods.has_started(pod) and not pods.was_seen(pod)
    world.delete_pod()
    world.settle(600.0)
    assert world.pod() is None
    assert world.provider.calls == []


def test_a_pod_that_another_kubelet_started_gets_no_workload(world: KubeletWorld) -> None:
    world.create_pod()
    started = {"name": "main", "image": "i", "imageID": "", "ready": True, "restartCount": 0, "started": True}
    running = {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "containerID": "containerd://x"}
    world.patch_pod({"status": {"containerStatuses": [{**started, **running}]}}, subresource="/status")
    world.settle()
    assert world.status()["reason"] == "UnclaimedPod"
    assert "NotStartedByThisNode" in world.event_reasons()
    assert world.provider.count("create") == 0


def test_a_pod_that_has_run_waits_for_the_first_list_before_it_is_given_up(
    world: KubeletWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its annotations may have been taken away together with the finalizer; then only a list tells of its group."""
    world.run_pod()
    name = world.box_name()
    annotations = {IDENTITY.claim_annotation: None, IDENTITY.attempt_annotation: None}
    finalizers = {"$deleteFromPrimitiveList/finalizers": [IDENTITY.finalizer]}
    world.patch_pod({"metadata": {**finalizers, "annotations": annotations}})
    world.start()
    with monkeypatch.context() as unlisted:
        unlisted.setattr(world.provider, "snapshot", lambda: None)
        unlisted.setattr(world.provider, "newest_attempt", lambda uid: None)
        world.settle(60.0)
        assert world.status()["phase"] == "Running"
    world.settle(60.0)
    assert holds_finalizer(world.pod() or {})
    assert (world.status()["phase"], list(world.provider.boxes)) == ("Running", [name])


def test_a_running_pod_without_finalizer_keeps_the_workload_whose_record_is_gone(world: KubeletWorld) -> None:
    world.run_pod()
    world.provider.boxes[world.box_name()].owner = None
    world.patch_pod({"metadata": {"$deleteFromPrimitiveList/finalizers": [IDENTITY.finalizer]}})
    world.settle(60.0)
    assert holds_finalizer(world.pod() or {})
    assert world.status()["phase"] == "Running"


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


def test_a_blocked_create_waits_its_backoff_out_unless_the_cloud_recovers(world: KubeletWorld) -> None:
    def block(call: str, name: str, applied: bool) -> None:
        if call == "create":
            raise Blocked("NoRoom", "there is no room")

    world.provider.fail = block
    world.create_pod()
    world.settle(2_000.0)
    tries = world.provider.count("create")
    assert world.waiting_reason() == "NoRoom"
    world.wake()
    world.settle(1.0)
    assert world.provider.count("create") == tries
    world.provider.recover()
    world.settle(1.0)
    assert world.provider.count("create") == tries + 1, "one try for one recovery"
    world.provider.fail = lambda call, name, applied: None
    world.provider.recover()
    world.settle(1.0)
    assert world.waiting_reason() == "Allocating"


def test_what_the_cloud_refuses_for_good_is_sent_once_until_the_pod_is_another(world: KubeletWorld) -> None:
    def refuse(call: str, name: str, applied: bool) -> None:
        if call == "create":
            raise Refused("Rejected", "no such thing here")

    world.provider.fail = refuse
    world.create_pod()
    world.settle(600.0)
    world.wake()
    world.provider.recover()
    world.settle(600.0)
    assert world.provider.count("create") == 1
    assert world.waiting_reason() == "Rejected"
    world.provider.fail = lambda call, name, applied: None
    world.patch_pod({"metadata": {"annotations": {"author.example/wish": "another"}}})
    world.settle()
    assert world.provider.count("create") == 2
    assert world.waiting_reason() == "Allocating"
