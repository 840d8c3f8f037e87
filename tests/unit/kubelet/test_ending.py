"""A pod goes only after its workload, in whatever order things happen; a claim in doubt is settled by asking."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.support.in_memory_provider import IDENTITY, Box
from tests.support.kubelet_world import NAMESPACE, NODE, KubeletWorld
from tests.support.model_transport import lost_answer
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.outcomes import ApiAnswer
from virtual_kubelet_salad.kubelet.provider import Owner, State, Workload


@pytest.mark.parametrize("grace", [None, 0, 600])
def test_a_deleted_pod_goes_only_after_its_workload(world: KubeletWorld, grace: int | None) -> None:
    world.run_pod()
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


def test_absence_from_before_a_late_create_does_not_let_the_pod_go(world: KubeletWorld) -> None:
    def lose(call: str, name: str, applied: bool) -> None:
        if call == "create" and not applied:
            raise lost_answer()

    world.provider.fail = lose
    pod = world.create_pod()
    world.step(), world.step()
    name = world.provider.calls[-1][1]
    world.settle(20.0)
    owner = Owner("cluster", NODE, NAMESPACE, "web", pod["metadata"]["uid"], 0, "")
    world.provider.boxes[name] = Box(owner, Workload(name, owner, State.RUNNING))
    world.delete_pod(grace=0)
    world.settle(0.0)
    assert world.provider.count("delete") == 1
    asked = world.provider.count("exists")
    world.settle(30.0)
    assert world.pod() is None
    assert world.provider.count("exists") - asked >= 2


def test_a_deleted_pod_stays_while_the_cloud_cannot_be_asked(world: KubeletWorld) -> None:
    world.create_pod()
    world.settle()

    def outage(call: str, name: str, applied: bool) -> None:
        raise errors.CouldNotAsk("down")

    world.provider.fail = outage
    world.delete_pod(grace=0)
    world.settle(5.0)
    assert "DeletionWaits" in world.event_reasons()
    world.settle(3_600.0)
    assert world.pod() is not None
    world.provider.fail = lambda call, name, applied: None
    world.provider.recover()
    world.settle(30.0)
    assert world.pod() is None
    assert world.provider.boxes == {}


def test_a_deleted_pod_that_waits_for_a_list_says_so_while_the_cloud_cannot_be_asked(
    world: KubeletWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workload is gone already; that no list follows would otherwise be seen by nobody."""
    world.run_pod()
    with monkeypatch.context() as outage:
        outage.setattr(world.provider, "snapshot", lambda: None)
        world.delete_pod()
        world.settle(30.0)
        assert world.provider.boxes == {} and "DeletionWaits" not in world.event_reasons()
        world.provider.reachable = False
        world.settle(120.0)
        (told,) = [event for event in world.events() if event["reason"] == "DeletionWaits"]
        assert "said by the test" in told["message"] and told["count"] < 30
        assert world.pod() is not None
    world.provider.reachable = True
    world.settle(30.0)
    assert world.pod() is None


def test_foreign_finalizers_keep_the_object_but_not_the_workload(world: KubeletWorld) -> None:
    world.create_pod(metadata={"finalizers": ["example.com/keep"]})
    world.settle()
    world.delete_pod()
    world.settle(60.0)
    assert world.provider.boxes == {}
    assert (world.pod() or {})["metadata"]["finalizers"] == ["example.com/keep"]


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


def test_the_provider_forgets_a_workload_whose_pod_is_let_go(world: KubeletWorld) -> None:
    world.run_pod()
    name = world.box_name()
    world.delete_pod()
    world.settle(30.0)
    assert world.pod() is None
    assert ("forget", name) in world.provider.calls


def test_the_provider_forgets_a_workload_though_the_answer_to_the_last_write_is_lost(world: KubeletWorld) -> None:
    world.run_pod()
    name = world.box_name()
    request = world.transport.request

    def lose(method: str, path: str, **more: Any) -> ApiAnswer:
        answer = request(method, path, **more)
        if method == "PATCH" and world.pod() is None:
            raise errors.CouldNotAsk("the connection broke", may_be_applied=True)
        return answer

    world.transport.request = lose  # type: ignore[method-assign]
    world.delete_pod()
    world.settle(60.0)
    assert world.pod() is None
    assert ("forget", name) in world.provider.calls


def test_the_provider_forgets_a_workload_whose_pod_was_torn_from_us(world: KubeletWorld) -> None:
    world.run_pod()
    name = world.box_name()
    world.patch_pod({"metadata": {"$deleteFromPrimitiveList/finalizers": [IDENTITY.finalizer]}})
    world.delete_pod(grace=0)
    world.settle(5.0)
    assert world.pod() is None
    assert ("forget", name) in world.provider.calls


def test_a_final_delete_that_was_not_applied_is_sent_again(world: KubeletWorld) -> None:
    world.run_pod()
    world.delete_pod()
    # A proxy, or a conflict inside the server, is answered as if the name belonged to another pod.
    refused = 0
    request = world.transport.request

    def refuse_once(method: str, path: str, **more: Any) -> ApiAnswer:
        nonlocal refused
        if method == "DELETE" and not refused:
            refused += 1
            return ApiAnswer(409, {"kind": "Status", "code": 409, "reason": "Conflict"}, {})
        return request(method, path, **more)

    world.transport.request = refuse_once  # type: ignore[method-assign]
    world.settle(60.0)
    assert refused == 1
    assert world.pod() is None


def test_a_deleted_pod_ends_as_unknown_and_not_as_a_success(world: KubeletWorld) -> None:
    world.run_pod(metadata={"finalizers": ["example.com/others"]})
    world.delete_pod()
    world.settle(60.0)
    assert world.provider.boxes == {}
    assert world.status()["phase"] == "Failed"
    ended = world.container()["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")


def test_a_pod_that_has_run_goes_soon_though_another_process_had_deleted_its_workload(world: KubeletWorld) -> None:
    world.run_pod()
    world.delete_pod()
    world.provider.boxes.clear()
    world.start()
    world.settle(15.0)
    assert world.pod() is None


def test_a_pod_of_which_nothing_was_seen_waits_until_its_create_must_have_settled(world: KubeletWorld) -> None:
    world.create_pod()
    world.step()
    world.delete_pod()
    world.start()
    world.settle(100.0)
    assert world.pod() is not None
    world.settle(60.0)
    assert world.pod() is None
