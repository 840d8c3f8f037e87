"""What is measured of containers, how it is dated, and what that costs, on the model of SaladCloud."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.provider_world import FollowedPod, ProviderWorld
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.saladcloud import usage
from virtual_kubelet_salad.saladcloud.usage import UsageSampler


class UsageWorld(ProviderWorld):
    """Steps the sampler too, while a metrics-server asks every 15 s about some pods."""

    def __init__(self, **settings: Any) -> None:
        self.asked: list[FollowedPod] = []
        self.contended = False
        self.reads = 0
        super().__init__(**settings)

    def restart(self) -> None:
        super().restart()
        self.sampler = UsageSampler(self.provider._client, self.clock, lambda: self.contended)
        self._sampler_due = self._asked_at = self.clock.monotonic()
        self.sampler.wake = self._wake_sampler

    def _wake_sampler(self) -> None:
        self._sampler_due = self.clock.monotonic()

    def step(self, seconds: float = 0.5) -> None:
        super().step(seconds)
        now = self.clock.monotonic()
        if now - self._asked_at >= 15.0:
            self._asked_at = now
            for pod in self.asked:
                self.sampler.usage(pod.name)
        if self._sampler_due <= now:
            before = self._instance_reads()
            self._sampler_due = now + self.sampler.step()
            self.reads += self._instance_reads() - before

    def _instance_reads(self) -> int:
        return int(self.model.statistics()["requests_by_operation"].get("list_container_group_instances", 0))

    def running_pods(self, count: int) -> list[FollowedPod]:
        pods = self.many(count)
        self.run_until(lambda: all(pod.is_ready for pod in pods), within=300.0)
        return pods


def test_a_container_is_measured_once_somebody_asks() -> None:
    world = UsageWorld()
    (web,) = world.running_pods(1)
    world.run(120.0)
    assert world.reads == 0
    assert world.sampler.usage(web.name) is None
    world.run(5.0)
    first = world.sampler.usage(web.name)
    assert first is not None
    assert first.container_id == web.container["containerID"]
    assert first.cpu_seconds is not None and first.memory_bytes is not None and first.memory_bytes > 100 * 2**20
    assert first.cpu_cores is None


def test_a_measurement_is_dated_by_the_first_reading_that_shows_it() -> None:
    world = UsageWorld()
    (web,) = world.running_pods(1)
    world.asked = [web]
    seen = []
    for _ in range(1_200):
        world.step()
        measured = world.sampler.usage(web.name)
        if measured is not None and (not seen or seen[-1] != measured):
            seen.append(measured)
    assert 8 <= len(seen) <= 11  # ten minutes
    for before, after in zip(seen, seen[1:]):
        gap = (after.measured_at - before.measured_at).total_seconds()
        assert 35.0 <= gap <= 85.0
        # The model's containers use half a core.
        assert after.cpu_cores is not None
        assert after.cpu_cores == pytest.approx(30.0 / gap)


def test_numbers_that_stay_the_same_are_measured_all_the_same() -> None:
    world = UsageWorld()
    (web,) = world.running_pods(1)
    world.run(70.0)
    world.asked = [web]
    rows = world.provider._client.list_instances(web.name)
    world.provider._client.list_instances = lambda *args: rows  # type: ignore[method-assign,assignment]
    world.run(30.0)
    first = world.sampler.usage(web.name)
    world.run(100.0)
    later = world.sampler.usage(web.name)
    assert first is not None and later is not None
    assert later.measured_at - first.measured_at >= usage.STEADY
    assert (later.cpu_seconds, later.cpu_cores) == (first.cpu_seconds, 0.0)


def test_a_new_run_begins_anew_and_the_old_one_is_not_shown_for_it() -> None:
    world = UsageWorld()
    (web,) = world.running_pods(1)
    world.asked = [web]
    world.run(150.0)
    first = world.sampler.usage(web.name)
    world.model.node_offline(web.name)
    world.run_until(lambda: web.is_ready and web.container["containerID"] != getattr(first, "container_id"))
    world.run(25.0)
    assert world.sampler.usage(web.name) is None
    world.run(60.0)
    second = world.sampler.usage(web.name)
    assert second is not None and second.container_id == web.container["containerID"]
    assert second.cpu_cores is None


@pytest.mark.parametrize(("contended", "most"), [(False, 21), (True, 11)])
def test_many_containers_are_measured_in_turn_within_the_share(contended: bool, most: int) -> None:
    world = UsageWorld()
    pods = world.running_pods(30)
    world.asked, world.contended = pods, contended
    world.run(60.0)
    for _ in range(3):
        before = world.reads
        world.run(60.0)
        assert most - 4 <= world.reads - before <= most
    world.run(120.0)
    assert all(world.sampler.usage(pod.name) is not None for pod in pods)
    assert world.model.statistics()["requests_by_code"].get("429", 0) == 0


def test_few_containers_are_not_read_more_often_than_their_numbers_change() -> None:
    world = UsageWorld()
    (web,) = world.running_pods(1)
    world.asked = [web]
    world.run(60.0)
    before = world.reads
    world.run(120.0)
    assert world.reads - before <= 120.0 / usage.LEAST_INTERVAL_SECONDS


def test_when_nobody_asks_any_more_nothing_is_read() -> None:
    world = UsageWorld()
    world.asked = world.running_pods(2)
    world.run(120.0)
    pods, world.asked = world.asked, []
    world.run(usage.WANTED_SECONDS + 30.0)
    before = world.reads
    world.run(120.0)
    assert world.reads == before
    world.sampler.usage(pods[0].name)
    world.run(5.0)
    assert world.reads == before + 1


def test_what_cannot_be_read_keeps_its_last_numbers_for_some_minutes() -> None:
    world = UsageWorld()
    (web,) = world.running_pods(1)
    world.asked = [web]
    world.run(150.0)
    known = world.sampler.usage(web.name)
    assert known is not None

    def fail(method: str, path: str, body: object) -> None:
        if path.endswith("/instances"):
            raise errors.CouldNotAsk("down")

    world.transport.before = fail
    world.run(60.0)
    assert world.sampler.usage(web.name) == known
    world.run(240.0)
    assert world.sampler.usage(web.name) is None


def test_a_group_that_is_gone_is_forgotten() -> None:
    world = UsageWorld()
    (web,) = world.running_pods(1)
    world.asked = [web]
    world.run(150.0)
    world.asked = []
    world.sampler.forget(web.name)
    before = world.reads
    world.run(60.0)
    assert world.reads == before
