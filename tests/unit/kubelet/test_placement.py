"""A daemon that was configured for the wrong place changes nothing and says so; one author's edit is that pod's own."""

from __future__ import annotations

import pytest

from tests.support.in_memory_provider import IDENTITY
from tests.support.kubelet_world import NODE, KubeletWorld, holds_finalizer

RECORD = IDENTITY.place_annotation
REASON = IDENTITY.misplaced_reason


@pytest.fixture
def world(world: KubeletWorld) -> KubeletWorld:
    """With a pod that runs here, and a Node that says where that is."""
    world.daemon.node_status.step()
    world.run_pod()
    return world


def node(world: KubeletWorld) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = world.model.handle("GET", f"/api/v1/nodes/{NODE}").body
    return found


def record(world: KubeletWorld) -> object:
    annotations: dict[str, object] = node(world)["metadata"].get("annotations", {})  # type: ignore[assignment]
    return annotations.get(RECORD)


def reachable(world: KubeletWorld) -> tuple[str, str]:
    """Status and reason of the condition."""
    conditions: list[dict[str, str]] = node(world)["status"]["conditions"]  # type: ignore[assignment]
    (found,) = [each for each in conditions if each["type"] == IDENTITY.reachable_condition]
    return found["status"], found["reason"]


def is_tainted(world: KubeletWorld) -> bool:
    taints: list[dict[str, str]] = node(world)["spec"].get("taints", [])  # type: ignore[assignment]
    return any(taint["key"] == "memory.virtual-kubelet.io/unreachable" for taint in taints)


def restart(world: KubeletWorld, place: str) -> None:
    """A new daemon, configured for that place, which has looked at the Node."""
    world.provider.place = place
    world.start()
    world.daemon.node_status.step()


def edit_claim(world: KubeletWorld, place: str = "elsewhere") -> None:
    """What a pod's author can do."""
    world.patch_pod({"metadata": {"annotations": {IDENTITY.claim_annotation: f"{place}/web-000000000000"}}})


def test_the_node_bears_the_place_that_it_serves(world: KubeletWorld) -> None:
    assert record(world) == "here"
    assert reachable(world) == ("True", "Reachable")
    assert not is_tainted(world)


def test_in_the_wrong_place_condition_and_taint_tell_at_once(world: KubeletWorld) -> None:
    restart(world, "elsewhere")
    assert reachable(world) == ("False", REASON)
    assert is_tainted(world)
    assert record(world) == "here"


def test_in_the_wrong_place_nothing_is_asked_changed_or_started(world: KubeletWorld) -> None:
    world.create_pod("leaving")
    world.settle()
    world.delete_pod("leaving")
    restart(world, "elsewhere")
    before = world.pod(), world.pod("leaving")
    calls = len(world.provider.calls)
    world.create_pod("new")
    world.settle(60)
    assert REASON in world.event_reasons("web") and REASON in world.event_reasons("leaving")
    world.settle(900)
    assert world.provider.calls[calls:] == []
    assert (world.pod(), world.pod("leaving")) == before
    new = world.pod("new")
    assert new is not None and not holds_finalizer(new)
    assert world.waiting_reason("new") == REASON


def test_before_the_node_was_read_nothing_is_started_either(world: KubeletWorld) -> None:
    world.provider.place = "elsewhere"
    world.start()
    world.create_pod("new")
    world.settle(60)
    assert world.provider.count("create") == 1
    assert world.waiting_reason("new") == REASON


def test_back_in_the_right_place_everything_goes_on(world: KubeletWorld) -> None:
    restart(world, "elsewhere")
    world.create_pod("new")
    world.settle(60)
    restart(world, "here")
    assert reachable(world) == ("True", "Reachable")
    assert not is_tainted(world)
    world.settle(60)
    assert world.provider.count("create") == 2
    assert world.status()["phase"] == "Running"
    world.delete_pod()
    world.settle(60)
    assert world.pod() is None


def test_an_author_who_edits_a_claim_harms_only_the_own_pod(world: KubeletWorld) -> None:
    edit_claim(world)
    world.settle(60)
    world.daemon.node_status.step()
    assert REASON in world.event_reasons("web")
    assert reachable(world) == ("True", "Reachable")
    assert not is_tainted(world)
    world.create_pod("other")
    world.settle(60)
    assert world.provider.count("create") == 2


def test_an_edited_claim_is_not_believed_after_a_restart_either(world: KubeletWorld) -> None:
    edit_claim(world)
    restart(world, "here")
    assert reachable(world) == ("True", "Reachable")
    world.create_pod("other")
    world.settle(60)
    assert world.provider.count("create") == 2


def test_an_edited_claim_does_not_move_the_record(world: KubeletWorld) -> None:
    edit_claim(world, "nowhere")
    restart(world, "elsewhere")
    assert record(world) == "here"


def test_a_place_without_pods_is_left_behind_without_a_word(world: KubeletWorld) -> None:
    world.delete_pod()
    world.settle(60)
    restart(world, "elsewhere")
    assert record(world) == "elsewhere"
    assert reachable(world) == ("True", "Reachable")
    world.create_pod("new")
    world.settle(60)
    assert world.provider.count("create") == 2


def test_the_record_follows_when_the_last_pod_of_the_old_place_is_gone(world: KubeletWorld) -> None:
    restart(world, "elsewhere")
    world.patch_pod({"metadata": {"finalizers": None}})
    world.delete_pod(grace=0)
    world.settle()
    world.daemon.node_status.step()
    assert (record(world), reachable(world)) == ("elsewhere", ("True", "Reachable"))
    assert not is_tainted(world)


@pytest.mark.parametrize(("pods_here", "status"), [(0, "False"), (1, "True")])
def test_a_node_without_a_record_is_judged_by_all_its_pods(world: KubeletWorld, pods_here: int, status: str) -> None:
    if pods_here:
        world.run_pod("other")
    edit_claim(world)
    world.model.handle("DELETE", f"/api/v1/nodes/{NODE}")
    restart(world, "here")
    assert reachable(world)[0] == status
    assert record(world) is None


def test_before_the_pods_are_listed_nothing_is_said_or_recorded(world: KubeletWorld) -> None:
    world.provider.place = "elsewhere"
    world.start()
    world.daemon.cache.has_synced.clear()
    world.daemon.node_status.step()
    assert (record(world), reachable(world)) == ("here", ("True", "Reachable"))


def test_the_message_names_both_places(world: KubeletWorld) -> None:
    restart(world, "elsewhere")
    conditions: list[dict[str, str]] = node(world)["status"]["conditions"]  # type: ignore[assignment]
    (message,) = [each["message"] for each in conditions if each["type"] == IDENTITY.reachable_condition]
    assert "here" in message and "elsewhere" in message


def test_an_outage_does_not_hide_the_wrong_place(world: KubeletWorld) -> None:
    world.provider.reachable = False
    restart(world, "elsewhere")
    assert reachable(world) == ("False", REASON)
