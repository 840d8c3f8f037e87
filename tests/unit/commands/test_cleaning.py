"""A cleanup deletes what is provably ours, lets a pod go only then, and names what is left."""

from __future__ import annotations

import pytest

from tests.support.clock import FakeClock
from tests.support.in_memory_provider import IDENTITY
from tests.unit.commands.cleanup_world import SETTLE_SECONDS, CleanupWorld

FINALIZER = IDENTITY.finalizer


@pytest.fixture
def world(fake_clock: FakeClock) -> CleanupWorld:
    return CleanupWorld(fake_clock)


# -- what is done


def test_running_pods_lose_their_workloads_and_then_their_finalizers(world: CleanupWorld) -> None:
    for number in range(3):
        world.run_pod(f"web-{number}")
    outcome = world.clean()
    assert (outcome.deleted, outcome.released, outcome.left, outcome.notes) == (3, 3, [], [])
    assert world.provider.boxes == {}
    assert [world.finalizers(f"web-{number}") for number in range(3)] == [[], [], []]


def test_a_pod_that_is_let_go_says_that_nothing_runs_any_more(world: CleanupWorld) -> None:
    world.run_pod()
    world.clean()
    assert world.status()["phase"] == "Failed"
    assert world.container()["state"]["terminated"]["exitCode"] == 137
    conditions = {condition["type"]: condition["status"] for condition in world.status()["conditions"]}
    assert (conditions["Ready"], conditions["DisruptionTarget"]) == ("False", "True")


def test_a_finished_pod_keeps_its_status(world: CleanupWorld) -> None:
    world.run_pod(restartPolicy="Never")
    ended = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}, "name": "main"}
    status = {"phase": "Succeeded", "containerStatuses": [ended]}
    world.patch_pod({"status": status}, subresource="/status")
    outcome = world.clean()
    assert (outcome.deleted, outcome.released, outcome.left) == (1, 1, [])
    assert world.status()["phase"] == "Succeeded"
    assert FINALIZER not in world.finalizers()


def test_a_pod_that_is_being_deleted_is_removed(world: CleanupWorld) -> None:
    world.run_pod()
    world.delete_pod()
    assert world.pod() is not None
    assert world.clean().left == []
    assert world.pod() is None


def test_foreign_finalizers_stay_and_are_nobodys_trouble(world: CleanupWorld) -> None:
    world.run_pod(metadata={"finalizers": ["example.com/theirs"]})
    world.delete_pod()
    assert world.clean().left == []
    assert world.finalizers() == ["example.com/theirs"]


def test_pods_without_our_finalizer_are_left_alone(world: CleanupWorld) -> None:
    world.create_pod("pending")
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "logs", "uid": "1", "controller": True}
    world.create_pod("logs", metadata={"ownerReferences": [owner]})
    before = [world.pod("pending"), world.pod("logs")]
    outcome = world.clean()
    assert (outcome.released, outcome.left) == (0, [])
    assert [world.pod("pending"), world.pod("logs")] == before


def test_an_orphan_is_deleted_too(world: CleanupWorld) -> None:
    name = world.put_orphan("gone")
    outcome = world.clean()
    assert (outcome.deleted, outcome.left) == (1, [])
    assert world.deleted() == [name]


def test_an_earlier_attempt_is_deleted_before_the_pod_goes(world: CleanupWorld) -> None:
    world.run_pod()
    pod = world.pod()
    assert pod is not None
    world.patch_pod({"metadata": {"annotations": {IDENTITY.attempt_annotation: "1"}}})
    name = world.provider.workload_name("cluster", "web", pod["metadata"]["uid"], 1)
    world.patch_pod({"metadata": {"annotations": {IDENTITY.claim_annotation: world.provider.location(name)}}})
    outcome = world.clean()
    assert (outcome.deleted, outcome.released, outcome.left) == (1, 1, [])
    assert world.provider.boxes == {}


# -- proof


@pytest.mark.parametrize("change", [{"cluster_id": "other"}, {"node": "other"}])
def test_what_another_cluster_or_node_owns_is_never_touched(world: CleanupWorld, change: dict[str, str]) -> None:
    name = world.put_orphan("theirs", **change)
    assert world.clean().left == []
    assert list(world.provider.boxes) == [name]


def test_a_workload_without_an_owner_record_is_never_touched(world: CleanupWorld) -> None:
    world.put_box("people", None)
    assert world.clean().left == []
    assert list(world.provider.boxes) == ["people"]


def test_a_copy_of_one_of_ours_is_not_ours(world: CleanupWorld) -> None:
    name = world.put_orphan("web")
    world.put_box("my-copy-of-it", world.provider.boxes[name].owner)
    outcome = world.clean()
    assert list(world.provider.boxes) == ["my-copy-of-it"]
    assert len(outcome.left) == 1 and "my-copy-of-it" in outcome.left[0]


@pytest.mark.parametrize("owner", ["none", "another node"])
def test_a_pod_stays_while_somebody_else_bears_its_name(world: CleanupWorld, owner: str) -> None:
    world.run_pod()
    name = world.box_name()
    world.put_box(name, None if owner == "none" else world.owner("web", node="other"))
    outcome = world.clean()
    assert world.deleted() == []
    assert FINALIZER in world.finalizers()
    assert any(name in left for left in outcome.left)


def test_not_found_once_is_not_gone(world: CleanupWorld) -> None:
    world.run_pod()
    began = world.clock.monotonic()
    asked = []
    world.provider.fail = lambda call, name, applied: asked.append(call)
    world.clean()
    assert asked.count("exists") >= 2
    assert world.clock.monotonic() - began >= 5.0


def test_a_delete_without_effect_is_sent_again(world: CleanupWorld) -> None:
    world.run_pod()
    name = world.box_name()
    box = world.provider.boxes[name]
    resurrections = [box] * 3

    def come_back(call: str, what: str, applied: bool) -> None:
        if call == "delete" and applied and resurrections:
            world.provider.boxes[name] = resurrections.pop()

    world.provider.fail = come_back
    outcome = world.clean()
    assert (outcome.deleted, outcome.left) == (1, [])
    assert world.deleted() == [name] * 4


def test_a_create_that_is_still_on_its_way_is_waited_for(world: CleanupWorld) -> None:
    world.create_pod()
    while FINALIZER not in world.finalizers():
        world.step()
    name = world.provider.workload_name("cluster", "web", str(world.pod()["metadata"]["uid"]), 0)  # type: ignore[index]
    began = world.clock.monotonic()

    def appear() -> None:
        if world.clock.monotonic() - began >= 100 and name not in world.deleted():
            world.put_box(name, world.owner("web", uid=str(world.pod()["metadata"]["uid"])))  # type: ignore[index]

    world.after_wait = appear
    outcome = world.clean()
    assert (outcome.deleted, outcome.released, outcome.left) == (1, 1, [])
    assert world.provider.boxes == {}


def test_a_claim_without_a_workload_is_believed_after_the_settle_time(world: CleanupWorld) -> None:
    world.create_pod()
    while FINALIZER not in world.finalizers():
        world.step()
    began = world.clock.monotonic()
    outcome = world.clean()
    assert (outcome.deleted, outcome.released) == (0, 1)
    assert world.clock.monotonic() - began >= SETTLE_SECONDS


@pytest.mark.parametrize("annotation", [None, "nonsense", "here/web-000000000000"])
def test_an_edited_claim_is_looked_for_under_the_computed_names(world: CleanupWorld, annotation: str | None) -> None:
    world.run_pod()
    world.patch_pod({"metadata": {"annotations": {IDENTITY.claim_annotation: annotation}}})
    outcome = world.clean()
    assert (outcome.deleted, outcome.released, outcome.left) == (1, 1, [])


def test_a_wrong_cluster_id_frees_no_pod(world: CleanupWorld) -> None:
    world.run_pod()
    outcome = world.clean("another")
    assert world.deleted() == []
    assert FINALIZER in world.finalizers()
    assert any("cluster id cluster" in left for left in outcome.left)


def test_a_wrong_cluster_id_frees_no_pod_though_the_list_does_not_show_it(world: CleanupWorld) -> None:
    world.run_pod()
    world.provider.unlisted = {world.box_name()}
    assert world.clean("another").left
    assert FINALIZER in world.finalizers()


def test_a_claim_elsewhere_keeps_its_pod(world: CleanupWorld) -> None:
    world.run_pod()
    world.provider.place = "elsewhere"
    world.provider.unlisted = set(world.provider.boxes)
    outcome = world.clean()
    assert world.deleted() == []
    assert FINALIZER in world.finalizers()
    assert any("lies elsewhere" in left and "here/web-" in left for left in outcome.left)


# -- lists that show a part


def test_a_list_that_is_cut_off_is_asked_again_until_nothing_of_ours_is_in_it(world: CleanupWorld) -> None:
    for number in range(25):
        world.put_orphan(f"gone-{number}")
    for number in range(5):
        world.put_box(f"people-{number}", None)
    world.provider.list_limit = 10
    world.provider.is_complete = False
    outcome = world.clean()
    assert outcome.deleted == 25
    assert sorted(world.provider.boxes) == [f"people-{number}" for number in range(5)]
    assert (outcome.left, len(outcome.notes)) == ([], 1)


def test_a_claimed_workload_beyond_the_end_of_the_list_is_found_by_its_name(world: CleanupWorld) -> None:
    world.run_pod()
    world.provider.unlisted = {world.box_name()}
    world.provider.is_complete = False
    outcome = world.clean()
    assert (outcome.deleted, outcome.released, outcome.left) == (1, 1, [])


# -- without a cluster


def test_without_a_cluster_the_owner_records_are_enough(world: CleanupWorld) -> None:
    world.run_pod()
    world.put_orphan("gone")
    theirs = world.put_orphan("theirs", node="other")
    world.transport.before = lambda method, path: pytest.fail(f"{method} {path}")
    outcome = world.clean(has_cluster=False)
    assert (outcome.deleted, outcome.released, outcome.left) == (2, 0, [])
    assert list(world.provider.boxes) == [theirs]
    assert FINALIZER in world.finalizers()


def test_without_a_cluster_a_late_create_is_waited_for(world: CleanupWorld) -> None:
    began = world.clock.monotonic()

    def appear() -> None:
        if world.clock.monotonic() - began >= 60 and not world.deleted():
            world.put_orphan("late")

    world.after_wait = appear
    outcome = world.clean(has_cluster=False)
    assert outcome.deleted == 1
    assert world.provider.boxes == {}


def test_without_a_cluster_a_list_that_may_be_cut_off_is_not_clean(world: CleanupWorld) -> None:
    world.provider.is_complete = False
    assert any("cut off" in left for left in world.clean(has_cluster=False).left)
