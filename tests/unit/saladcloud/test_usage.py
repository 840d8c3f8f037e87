"""What is measured of containers, how it is dated, and what that costs, on the model of SaladCloud."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.support.provider_world import FollowedPod, ProviderWorld
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet.provider_insight import Usage
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


@pytest.mark.parametrize(("pods", "minutes"), [(1, 10), (10, 10), (14, 10), (30, 15), (70, 25)])
@pytest.mark.parametrize("late", [0.0, 37.0])
def test_a_rate_is_right_however_seldom_a_container_is_read(pods: int, minutes: int, late: float) -> None:
    """Numbers change once a minute; readings come every 20 s to every four minutes, at any time in that minute; and
    somebody begins to ask when the containers start, or later. The model's containers use half a core.
    """
    world = UsageWorld()
    running = world.running_pods(pods)
    world.run(late)
    world.asked = running
    seen: dict[str, list[Usage]] = {pod.name: [] for pod in running}
    for _ in range(minutes * 120):
        world.step()
        for name, measurements in seen.items():
            measured = world.sampler.usage(name)
            if measured is not None and (not measurements or measurements[-1] != measured):
                measurements.append(measured)
    for measurements in seen.values():
        assert len(measurements) >= 3
        for number, (before, after) in enumerate(zip(measurements, measurements[1:])):
            assert before.cpu_seconds is not None and after.cpu_seconds is not None
            gap = (after.measured_at - before.measured_at).total_seconds()
            # As metrics-server computes it.
            rate = (after.cpu_seconds - before.cpu_seconds) / gap
            assert rate == pytest.approx(0.5, rel=0.2 if number else 0.4), measurements
            assert after.cpu_cores == pytest.approx(rate)


def test_a_measurement_lies_between_the_readings_that_frame_it() -> None:
    world = UsageWorld()
    (web,) = world.running_pods(1)
    begun = world.clock.now()
    world.asked = [web]
    measured = None
    for _ in range(300):
        world.step()
        measured = world.sampler.usage(web.name)
        if measured is not None:
            break
    # The first numbers come a minute after the start, and a container is read every 20 s.
    assert measured is not None
    assert 40.0 <= (measured.measured_at - begun).total_seconds() <= 80.0
    assert measured.measured_at < world.clock.now()


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
    assert later.measured_at - first.measured_at == usage.PERIOD
    assert (later.cpu_seconds, later.cpu_cores) == (first.cpu_seconds, 0.0)


def test_one_that_idles_has_used_some_time_and_is_seen() -> None:
    """metrics-server leaves out who has used none."""
    world = UsageWorld()
    (web,) = world.many(1)
    world.run_until(lambda: world.model.statistics()["running_instances"] == 1)
    world.model.use(web.name, 0.0, 64.0)
    world.run_until(lambda: web.is_ready)
    world.asked = [web]
    world.run(150.0)
    measured = world.sampler.usage(web.name)
    assert measured is not None and measured.cpu_seconds is not None
    assert 0.0 < measured.cpu_seconds < 1.0
    assert measured.memory_bytes == 64 * 2**20


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


@pytest.mark.parametrize(
    ("contended", "seconds_per_read"), [(False, usage.SECONDS_PER_READ), (True, usage.CONTENDED_SECONDS_PER_READ)]
)
def test_many_containers_are_measured_in_turn_within_the_share(contended: bool, seconds_per_read: float) -> None:
    world = UsageWorld()
    pods = world.running_pods(30)
    world.asked, world.contended = pods, contended
    world.run(60.0)
    begun = world.reads
    turn_minutes = math.ceil(len(pods) * seconds_per_read / 60.0)
    for _ in range(2 * turn_minutes):
        before = world.reads
        world.run(60.0)
        assert world.reads - before <= 60.0 / seconds_per_read + 1.0
    assert world.reads - begun >= 1.8 * len(pods)
    assert all(world.sampler.usage(pod.name) is not None for pod in pods)
    assert world.model.statistics()["requests_by_code"].get("429", 0) == 0


def test_one_that_joins_many_is_measured_twice_before_their_turn_is_over() -> None:
    world = UsageWorld()
    *early, late = world.running_pods(80)
    world.asked = early
    world.run(600.0)
    assert all(getattr(world.sampler.usage(pod.name), "cpu_cores", None) is not None for pod in early)
    world.asked = [*early, late]
    world.run(120.0)
    measured = world.sampler.usage(late.name)
    assert measured is not None and measured.cpu_cores == pytest.approx(0.5, rel=0.2)


def test_a_slow_answer_makes_no_turn_longer() -> None:
    """Whole periods lie between two readings of one container only as long as a turn takes no longer."""
    world = UsageWorld()
    web, _ = world.running_pods(2)
    world.asked = [web]
    world.transport.before = lambda method, path, body: world.clock.advance(1.0)
    world.sampler.usage(web.name)
    assert world.sampler.step() == usage.SECONDS_PER_READ - 1.0
    world.transport.before = lambda method, path, body: world.clock.advance(10.0)
    world.clock.advance(usage.LEAST_INTERVAL_SECONDS)
    assert world.sampler.step() == 0.0


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


def test_one_failure_hides_nothing_that_is_read_seldom() -> None:
    world = UsageWorld()
    pods = world.running_pods(70)
    world.asked = pods
    world.run(500.0)
    assert all(world.sampler.usage(pod.name) is not None for pod in pods)

    def fail(method: str, path: str, body: object) -> None:
        if path.endswith("/instances"):
            raise errors.CouldNotAsk("down")

    world.transport.before = fail
    world.run(120.0)
    assert all(world.sampler.usage(pod.name) is not None for pod in pods)


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
