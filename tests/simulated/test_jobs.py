"""Pods that run to their end: how they ended is told, and their groups are not billed on.

| clause | tests |
|---|---|
| the group is deleted at most two ticks after the exit was visible | `test_the_group_of_a_job_*` |
| the exit's event is lost | `test_a_lost_exit_*` |
| the same while requests are few | `test_few_requests_are_enough_*` |
| controllers, policies and limits of Jobs: `tests/cluster/stories/jobs.py` | |
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulated.world import GROUPS, World
from tests.support import cluster as seen
from tests.support import manifests
from virtual_kubelet_salad.runtime.ratelimit import RequestClass

FEED_SECONDS = 10.0
# When an instance is read though nothing is heard of it, when its end is then explained, and what they need of ticks.
SAFETY_SECONDS, EXPLANATION_SECONDS, SLACK_SECONDS = 300.0, 60.0, 30.0
# What reads leave to polls, deletes and creates, and one.
READS_BEGIN_AT = 7.0
NAMES = [f"job-{number}" for number in range(5)]


class Jobs:
    """Jobs' pods, each of whose containers exits once and again."""

    def __init__(self, code: int, *, is_lost: bool = False, seed: int = 1, policy: str = "Never") -> None:
        self.world = world = World(seed)
        self.visible: dict[str, float] = {}
        """Group -> when its first exit could be seen for the first time."""
        self._listen()
        environment = manifests.exits(code, 37.0 + seed)
        if is_lost:
            environment = {**environment, "SIM_EXIT_EVENT": "lost"}
        for name in NAMES:
            world.create(name, restart_policy=policy, environment=environment)
            world.run(1.7)

    def _listen(self) -> None:
        logs: Any = self.world.cloud._logs
        tell = logs.instance_event

        def note(group: Any, replica: Any, message: str, *reach: str) -> None:
            if message.startswith("Instance Exited"):
                # What is told arrives within a second in the profile of these tests.
                self.visible.setdefault(group.name, self.world.now + 1.0)
            tell(group, replica, message, *reach)

        logs.instance_event = note

    def until_all_are_over(self, code: int, within: float) -> None:
        world, phase = self.world, "Failed" if code else "Succeeded"
        world.run_until(lambda: {world.phase(name) for name in NAMES} == {phase}, within)
        for name in NAMES:
            assert seen.container_state(world.pod(name), "terminated")["exitCode"] == code
        world.run_until(lambda: not world.groups())
        world.check()

    def longest_delay(self) -> float:
        """From the moment at which an exit was visible to the delete of its group."""
        deleted: dict[str, float] = {}
        for call in self.world.daemon.cloud_line.calls:
            if call.operation == "delete":
                deleted.setdefault(call.path.removeprefix(f"{GROUPS}/"), call.at)
        assert deleted.keys() == self.visible.keys()
        return max(deleted[name] - at for name, at in self.visible.items())


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("seed", range(1, 4))
def test_the_group_of_a_job_is_deleted_two_ticks_after_its_exit_was_visible(code: int, seed: int) -> None:
    jobs = Jobs(code, seed=seed)
    jobs.until_all_are_over(code, within=120.0)
    assert jobs.longest_delay() <= 2 * FEED_SECONDS


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_a_lost_exit_is_found_by_looking_and_explained_by_the_groups_own_log(code: int, policy: str) -> None:
    jobs = Jobs(code, is_lost=True, policy=policy)
    if policy == "OnFailure" and code:
        world = jobs.world
        world.run_until(lambda: all(world.container(name)["restartCount"] >= 1 for name in NAMES), within=500.0)
        assert {seen.phase(world.pod(name)) for name in NAMES} == {"Running"}
        return
    jobs.until_all_are_over(code, within=500.0)
    assert jobs.longest_delay() <= SAFETY_SECONDS + EXPLANATION_SECONDS + SLACK_SECONDS


def test_few_requests_are_enough_to_explain_a_lost_exit() -> None:
    """Several questions belong to it; who can send one at a time must come to the last one."""
    jobs = Jobs(3, is_lost=True)
    world, line = jobs.world, jobs.world.daemon.cloud_line
    world.run_until(lambda: len(jobs.visible) == len(NAMES))
    world.run(30.0)
    budget, begun = world.daemon.budget, world.now
    while {world.phase(name) for name in NAMES} != {"Failed"}:
        assert world.now - begun < 500.0
        world.step(world.now + 1.0)
        # Others of this process leave enough for one read at a time.
        while budget.remaining() >= READS_BEGIN_AT + 1.0:
            assert budget.try_acquire(RequestClass.READ) == 0.0
    minutes = (world.now - begun) / 60.0
    assert line.count("instances", begun) <= 12 * minutes * len(NAMES), "they are not read again and again"
    jobs.until_all_are_over(3, within=60.0)
