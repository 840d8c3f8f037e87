"""Orphans are deleted with proof only, and never many at once."""

from __future__ import annotations

import pytest

from tests.support.clock import FakeClock
from tests.support.in_memory_provider import Box
from tests.support.kubelet_world import NODE, KubeletWorld
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet.brake import HOLD_SECONDS, Brake
from virtual_kubelet_salad.kubelet.provider import Owner, State, Workload


def put(world: KubeletWorld, pod: str, *, name: str = "", **changes: object) -> str:
    """A workload of a pod that was never there, under its computed name or another; returns the name."""
    values = {"cluster_id": "cluster", "node": NODE, "namespace": "default", "pod": pod, "uid": f"uid-{pod}"}
    owner = Owner(**{"attempt": 0, "image_hash": "", **values, **changes})  # type: ignore[arg-type]
    name = name or world.provider.workload_name(owner.cluster_id, owner.pod, owner.uid, owner.attempt)
    world.provider.boxes[name] = Box(owner, Workload(name, owner, State.RUNNING))
    return name


def sweep(world: KubeletWorld, seconds: float) -> None:
    for _ in range(int(seconds / 5)):
        world.daemon.cache.mark_fresh()
        world.daemon.orphans.step()
        world.clock.advance(5)


def test_an_orphan_is_deleted_after_two_sightings_half_a_minute_apart(world: KubeletWorld) -> None:
    lost = put(world, "lost")
    sweep(world, 30)
    assert lost in world.provider.boxes
    sweep(world, 10)
    assert lost not in world.provider.boxes


@pytest.mark.parametrize("change", [{"cluster_id": "other"}, {"node": "other"}])
def test_what_another_cluster_or_node_owns_is_never_touched(world: KubeletWorld, change: dict[str, str]) -> None:
    theirs = put(world, "theirs", **change)
    sweep(world, 120)
    assert theirs in world.provider.boxes


def test_a_workload_without_an_owner_record_is_never_touched(world: KubeletWorld) -> None:
    world.provider.boxes["people"] = Box(None, Workload("people", None, State.RUNNING))
    sweep(world, 120)
    assert "people" in world.provider.boxes


def test_a_copy_that_somebody_has_made_of_a_workload_is_not_ours(world: KubeletWorld) -> None:
    put(world, "gone", name="my-copy-of-it")
    sweep(world, 120)
    assert "my-copy-of-it" in world.provider.boxes


def test_a_pod_that_the_api_server_still_has_is_no_orphan(world: KubeletWorld) -> None:
    body = {"metadata": {"name": "elsewhere"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    pod = world.model.handle("POST", "/api/v1/namespaces/default/pods", {}, body).body
    box = put(world, "elsewhere", uid=pod["metadata"]["uid"])
    sweep(world, 120)
    assert box in world.provider.boxes


def test_nothing_is_deleted_while_the_api_server_cannot_be_asked(world: KubeletWorld) -> None:
    lost = put(world, "lost")

    def down(method: str, path: str) -> None:
        raise errors.CouldNotAsk("down")

    world.transport.before = down
    sweep(world, 120)
    assert lost in world.provider.boxes


def test_a_stale_cache_proves_nothing(world: KubeletWorld) -> None:
    lost = put(world, "lost")
    world.clock.advance(100)
    for _ in range(30):
        world.daemon.orphans.step()
        world.clock.advance(5)
    assert lost in world.provider.boxes


def test_an_earlier_attempt_of_a_live_pod_is_deleted(world: KubeletWorld) -> None:
    pod = world.create_pod()
    name = world.provider.workload_name("cluster", "web", pod["metadata"]["uid"], 0)
    world.provider.used_names.add(name)
    world.settle(200)
    assert put(world, "web", uid=pod["metadata"]["uid"]) == name
    sweep(world, 60)
    assert name not in world.provider.boxes
    assert len(world.provider.boxes) == 1


def test_many_orphans_at_once_are_held_and_told(world: KubeletWorld) -> None:
    for number in range(12):
        put(world, f"lost-{number}")
    sweep(world, 300)
    assert len(world.provider.boxes) == 12
    assert world.daemon.brake.is_engaged()
    assert "Brake" in world.event_reasons(NODE)
    sweep(world, 700)
    assert world.provider.boxes == {}


def test_many_orphans_that_were_seen_one_after_the_other_are_held_together(world: KubeletWorld) -> None:
    for number in range(6):
        put(world, f"early-{number}")
    sweep(world, 20)
    for number in range(6):
        put(world, f"late-{number}")
    sweep(world, 300)
    assert len(world.provider.boxes) == 12
    assert world.daemon.brake.is_engaged()


@pytest.mark.parametrize(
    ("count", "total", "is_held"),
    [(10, 10, False), (11, 11, True), (11, 21, True), (11, 22, False), (500, 1_000, False), (501, 1_000, True)],
)
def test_the_brake_holds_more_than_ten_and_more_than_half(
    fake_clock: FakeClock, count: int, total: int, is_held: bool
) -> None:
    brake = Brake(fake_clock, lambda text: None)
    assert brake.examine(frozenset(map(str, range(count))), total, "boxes vanished") is not is_held
    assert brake.is_engaged() is is_held


def test_few_vanishing_do_not_engage_the_brake(fake_clock: FakeClock) -> None:
    told: list[str] = []
    brake = Brake(fake_clock, told.append)
    assert brake.examine(frozenset(str(number) for number in range(10)), 10, "boxes vanished")
    assert brake.examine(frozenset(str(number) for number in range(40)), 100, "boxes vanished")
    assert told == []


def test_a_second_mass_event_late_in_the_hold_is_held_as_long(fake_clock: FakeClock) -> None:
    brake = Brake(fake_clock, lambda text: None)
    first, second = (frozenset(f"{event}-{number}" for number in range(20)) for event in ("first", "second"))
    assert not brake.examine(first, 39, "boxes vanished")
    fake_clock.advance(HOLD_SECONDS - 1.0)
    assert not brake.examine(first | second, 40, "boxes vanished")
    fake_clock.advance(1.0)
    assert not brake.examine(first | second, 39, "boxes vanished")
    fake_clock.advance(HOLD_SECONDS)
    assert brake.examine(first | second, 40, "boxes vanished")


def test_the_brake_lets_a_true_mass_event_through_after_ten_minutes(fake_clock: FakeClock) -> None:
    brake = Brake(fake_clock, lambda text: None)
    names = frozenset(str(number) for number in range(50))
    assert not brake.examine(names, 50, "boxes vanished")
    fake_clock.advance(599)
    assert not brake.examine(names, 50, "boxes vanished")
    fake_clock.advance(2)
    assert brake.examine(names, 50, "boxes vanished")


def test_mass_vanishing_is_held_before_a_pod_fails(world: KubeletWorld) -> None:
    for number in range(12):
        world.create_pod(f"web-{number}")
    world.settle()
    sweep(world, 10)
    assert len(world.provider.boxes) == 12
    world.provider.boxes.clear()
    for number in range(12):
        world.wake(f"web-{number}")
    sweep(world, 10)
    world.settle(60)
    assert {world.status(f"web-{number}")["phase"] for number in range(12)} == {"Pending"}
