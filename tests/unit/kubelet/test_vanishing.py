"""Many workloads that vanish at once are held before a pod is failed, and a false alarm costs nothing."""

from __future__ import annotations

import pytest

from tests.support.in_memory_provider import Box
from tests.support.kubelet_world import NODE, KubeletWorld
from virtual_kubelet_salad.kubelet.brake import HOLD_SECONDS
from virtual_kubelet_salad.kubelet.provider import Snapshot

MANY = 12
FEW = 5


def run_pods(world: KubeletWorld, count: int) -> list[str]:
    names = [f"web-{number}" for number in range(count)]
    for name in names:
        world.create_pod(name)
    world.settle()
    for box in list(world.provider.boxes):
        world.provider.run(box)
    for name in names:
        world.wake(name)
    world.settle()
    world.daemon.vanishing.look()
    return names


def vanish(world: KubeletWorld, names: list[str]) -> dict[str, Box]:
    """The cloud shows them no more, neither in lists nor by name; what is to be put back."""
    hidden = {world.box_name(name): world.provider.boxes[world.box_name(name)] for name in names}
    for box in hidden:
        del world.provider.boxes[box]
    return hidden


def look_at(world: KubeletWorld, names: list[str], seconds: float = 60.0) -> None:
    for name in names:
        world.wake(name)
    world.settle(seconds)


def phases(world: KubeletWorld, names: list[str]) -> set[str]:
    return {world.status(name)["phase"] for name in names}


def node_events(world: KubeletWorld) -> list[str]:
    return [reason for reason in world.event_reasons(NODE) if reason == "Brake"]


def test_few_that_vanish_are_believed(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    vanish(world, names[:FEW])
    look_at(world, names)
    assert phases(world, names[:FEW]) == {"Failed"}
    assert phases(world, names[FEW:]) == {"Running"}
    assert not world.daemon.brake.is_engaged()


def test_many_are_held_though_no_thread_but_the_workers_has_looked(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    vanish(world, names)
    look_at(world, names)
    assert phases(world, names) == {"Running"}
    assert world.daemon.brake.is_engaged()
    assert node_events(world) == ["Brake"]


def test_those_that_vanish_while_lists_are_taken_count_together(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    for name in names:
        vanish(world, [name])
        world.clock.advance(0.5)
        world.daemon.vanishing.look()
    look_at(world, names)
    assert phases(world, names) == {"Running"}
    assert node_events(world) == ["Brake"]


def test_those_that_came_and_went_between_two_looks_count_too(world: KubeletWorld) -> None:
    world.daemon.vanishing.look()
    names = [f"web-{number}" for number in range(MANY)]
    for name in names:
        world.run_pod(name)
    vanish(world, names)
    look_at(world, names)
    assert phases(world, names) == {"Running"}
    assert node_events(world) == ["Brake"]


def test_those_that_vanish_over_hours_do_not(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    for name in names:
        vanish(world, [name])
        look_at(world, [name])
        world.clock.advance(600)
    assert phases(world, names) == {"Failed"}
    assert node_events(world) == []


def test_after_ten_minutes_it_is_believed(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    vanish(world, names)
    for _ in range(12):
        look_at(world, names)
    assert phases(world, names) == {"Failed"}


def test_a_second_false_alarm_is_held_as_the_first(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    for _ in range(2):
        hidden = vanish(world, names)
        look_at(world, names)
        assert world.daemon.brake.is_engaged()
        world.provider.boxes.update(hidden)
        look_at(world, names)
        world.daemon.vanishing.look()
        world.clock.advance(HOLD_SECONDS + 1)
    assert phases(world, names) == {"Running"}


@pytest.mark.parametrize(("count", "phase"), [(10, "Failed"), (11, "Running")])
def test_exactly_ten_are_believed_and_eleven_are_held(world: KubeletWorld, count: int, phase: str) -> None:
    names = run_pods(world, count)
    vanish(world, names)
    look_at(world, names)
    assert phases(world, names) == {phase}


def test_a_restart_in_the_hold_begins_it_anew(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    hidden = vanish(world, names)
    look_at(world, names, HOLD_SECONDS / 2.0)
    world.start()
    look_at(world, names, HOLD_SECONDS - 60.0)
    assert phases(world, names) == {"Running"}
    assert world.daemon.brake.is_engaged()
    world.provider.boxes.update(hidden)
    look_at(world, names, HOLD_SECONDS)
    assert phases(world, names) == {"Running"}


def test_what_vanished_while_no_daemon_ran_is_held_too(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    vanish(world, names)
    world.clock.advance(60)
    world.start()
    look_at(world, names)
    assert phases(world, names) == {"Running"}
    assert world.daemon.brake.is_engaged()


def test_what_a_list_does_not_show_yet_has_not_vanished(world: KubeletWorld) -> None:
    world.clock.advance(60)
    for number in range(MANY):
        world.create_pod(f"web-{number}")
    world.settle()
    world.provider.unlisted = set(world.provider.boxes)
    world.daemon.vanishing.look()
    assert not world.daemon.brake.is_engaged()


@pytest.mark.parametrize("has_list", [False, True])
def test_nothing_is_believed_before_a_list_is_newer_than_the_absence(world: KubeletWorld, has_list: bool) -> None:
    names = run_pods(world, 1)
    old = world.provider.snapshot() if has_list else None
    live = world.provider.snapshot
    world.provider.snapshot = lambda: old  # type: ignore[method-assign]
    world.clock.advance(1)
    vanish(world, names)
    look_at(world, names, 300)
    assert phases(world, names) == {"Running"}
    world.provider.snapshot = live  # type: ignore[method-assign]
    look_at(world, names)
    assert phases(world, names) == {"Failed"}


@pytest.mark.parametrize(("count", "phase"), [(FEW, "Failed"), (MANY, "Running")])
def test_lists_that_show_a_part_are_made_up_for_by_what_is_missed(world: KubeletWorld, count: int, phase: str) -> None:
    world.provider.is_complete = False
    names = run_pods(world, 2 * MANY)
    vanish(world, names[:count])
    look_at(world, names)
    assert phases(world, names[:count]) == {phase}
    assert phases(world, names[count:]) == {"Running"}


def test_a_part_that_is_not_shown_has_not_vanished(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    world.provider.is_complete = False
    world.provider.unlisted = set(world.provider.boxes)
    look_at(world, names)
    world.daemon.vanishing.look()
    assert phases(world, names) == {"Running"}
    assert not world.daemon.brake.is_engaged()


def test_pods_that_nobody_wants_any_more_are_no_alarm(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    for name in names:
        world.delete_pod(name)
    world.settle(60)
    world.daemon.vanishing.look()
    assert world.provider.boxes == {}
    assert not world.daemon.brake.is_engaged()


def test_others_workloads_may_vanish(world: KubeletWorld) -> None:
    names = run_pods(world, 1)
    for number in range(MANY):
        box = world.provider.boxes[world.box_name(names[0])]
        world.provider.boxes[f"people-{number}"] = Box(None, box.workload)
    world.daemon.vanishing.look()
    for number in range(MANY):
        del world.provider.boxes[f"people-{number}"]
    world.daemon.vanishing.look()
    assert not world.daemon.brake.is_engaged()


def test_one_list_is_judged_once(world: KubeletWorld) -> None:
    names = run_pods(world, MANY)
    vanish(world, names)
    taken = world.provider.snapshot()
    assert isinstance(taken, Snapshot)
    world.provider.snapshot = lambda: taken  # type: ignore[method-assign]
    for _ in range(3):
        world.daemon.vanishing.look()
    assert node_events(world) == ["Brake"]
