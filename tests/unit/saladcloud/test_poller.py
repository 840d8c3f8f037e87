"""The poller: whom it wakes, and what it asks for by name when the list does not show everything."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.unit.saladcloud.test_groups import CLUSTER, NODE, raw
from virtual_kubelet_salad.errors import CouldNotAsk, NoBudget, NotFound
from virtual_kubelet_salad.runtime.ratelimit import RequestClass
from virtual_kubelet_salad.saladcloud.credit import Credit
from virtual_kubelet_salad.saladcloud.explanations import Explanations
from virtual_kubelet_salad.saladcloud.followed import SETTLED_SECONDS, Followed
from virtual_kubelet_salad.saladcloud.groups import GroupCache
from virtual_kubelet_salad.saladcloud.models import Group
from virtual_kubelet_salad.saladcloud.poller import Poller
from virtual_kubelet_salad.saladcloud.reachability import Watch


class Cloud:
    """Shows the first `shown` of its groups in a list, and all by name."""

    def __init__(self) -> None:
        self.groups: dict[str, Any] = {}
        self.shown = 3
        self.failure: Exception | None = None
        self.asked: list[str] = []
        self.budget = 1_000

    def list_groups(self) -> list[Any]:
        if self.failure is not None:
            raise self.failure
        return list(self.groups.values())[: self.shown]

    def get_group(self, name: str, request_class: RequestClass) -> Any:
        assert request_class is RequestClass.SWEEP
        if self.budget == 0:
            raise NoBudget("none left", retry_after=5.0)
        self.budget -= 1
        self.asked.append(name)
        if name not in self.groups:
            raise NotFound("gone")
        return self.groups[name]


class Reported:
    """Keeps the gauges; knows no prices."""

    def __init__(self) -> None:
        self.groups: dict[str, int] = {}

    def groups_by_state(self, groups: Any) -> None:
        self.groups = dict(groups)

    def dollars_per_hour(self, groups: Any) -> float:
        return 0.0


@dataclasses.dataclass
class World:
    def __post_init__(self) -> None:
        self.clock, self.cloud, self.reported = FakeClock(), Cloud(), Reported()
        self.cache, self.followed = GroupCache(CLUSTER, NODE, list_limit=3), Followed()
        self.credit, self.watch, self.explanations = Credit(self.clock), Watch(self.clock), Explanations()
        self.woken: list[str] = []
        self.active = True

        def wake(group: Group) -> None:
            self.woken.append(group.name)

        self.poller = Poller(
            self.cloud,  # type: ignore[arg-type]
            self.cache,
            self.followed,
            self.explanations,
            self.reported,  # type: ignore[arg-type]
            self.credit,
            self.watch,
            self.reported,
            self.clock,
            wake,
            5.0,
            lambda: self.active,
        )

    def add(self, name: str, status: str = "running") -> None:
        self.cloud.groups[name] = raw(name, status)

    def tick(self) -> list[str]:
        self.clock.advance(5.0)
        self.woken.clear()
        self.poller.step()
        return sorted(self.woken)


@pytest.fixture
def world() -> World:
    return World()


def test_only_changes_wake(world: World) -> None:
    world.add("a")
    world.add("b")
    assert world.tick() == ["a", "b"]
    assert world.tick() == []
    world.add("b", "stopped")
    assert world.tick() == ["b"]
    del world.cloud.groups["a"]
    assert world.tick() == ["a"]
    assert world.reported.groups == {"stopped": 1}


def test_a_failure_is_noted_and_changes_nothing(world: World) -> None:
    world.add("a")
    world.tick()
    world.cloud.failure = CouldNotAsk("down", retry_after=100.0)
    assert world.tick() == []
    assert not world.watch.now().is_reachable and world.cache.get("a") is not None
    assert world.poller.step() == 5.0


def test_a_complete_list_asks_for_nothing_by_name(world: World) -> None:
    world.add("a")
    world.followed.observed("a", is_settled=False)
    world.followed.observed("never created", is_settled=False)
    for _ in range(100):
        world.tick()
    assert world.cloud.asked == []


def test_what_a_cut_list_hides_is_asked_for_by_name(world: World) -> None:
    for name in "abcd":
        world.add(name)
        world.followed.observed(name, is_settled=False)
    assert world.tick() == ["a", "b", "c", "d"]
    assert world.cloud.asked == ["d"]
    world.add("d", "stopped")
    assert "d" in world.tick() + world.tick()


def test_a_woken_group_comes_first_and_a_settled_one_seldom(world: World) -> None:
    for name in "abcdef":
        world.add(name)
        world.followed.observed(name, is_settled=True)
    world.tick()
    assert sorted(world.cloud.asked) == ["d", "e", "f"]
    world.cloud.asked.clear()
    world.followed.wake("e")
    world.followed.wake("nobody follows it")
    world.tick()
    world.tick()
    assert world.cloud.asked == ["e"]
    for _ in range(int(SETTLED_SECONDS / 5)):
        world.tick()
    assert sorted(world.cloud.asked) == ["d", "e", "e", "f"]


def test_without_budget_the_rest_waits_for_the_next_step(world: World) -> None:
    for name in "abcdefgh":
        world.add(name)
        world.followed.observed(name, is_settled=True)
    world.cloud.budget = 2
    world.tick()
    world.cloud.budget = 100
    world.tick()
    assert sorted(world.cloud.asked) == ["d", "e", "f", "g", "h"]


def test_a_hidden_group_that_is_gone_wakes_its_pod_to_ask_itself(world: World) -> None:
    for name in "abcd":
        world.add(name)
        world.followed.observed(name, is_settled=False)
    world.tick()
    del world.cloud.groups["d"]
    assert "d" in world.tick() + world.tick()
    assert world.cache.get("d") is None


def test_several_groups_that_stop_at_once_mean_no_credit(world: World) -> None:
    world.cloud.shown = 2
    for name in "ab":
        world.add(name)
    world.tick()
    world.add("a", "stopped")
    world.tick()
    assert not world.credit.is_out
    world.add("a")
    world.add("b")
    world.add("c")
    world.cloud.shown = 3
    world.tick()
    for name in "abc":
        world.add(name, "stopped")
    world.tick()
    assert world.credit.is_out


def test_a_standby_lists_nothing(world: World) -> None:
    world.active = False
    world.add("a")
    assert world.tick() == [] and world.cache.snapshot() is None
