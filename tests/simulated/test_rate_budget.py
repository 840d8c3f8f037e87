"""The request budget of one API key: never exceeded, well used, never starved of what tells us the state.

| clause | tests |
|---|---|
| 240/min is never exceeded in any sliding minute | `test_a_rollout_of_hundreds_*`, `test_a_lower_limit_*` |
| lists and feed are never starved | `test_a_rollout_of_hundreds_*`, `test_a_shared_key_*` |
| nor is it across restarts and takeovers | `test_however_often_*`, `test_the_limit_holds_when_*` |
| deletes go first | `test_deletes_go_before_*` |
| a shared key makes us slower, not wrong | `test_a_shared_key_*`, `test_two_daemons_*` |
| at rest requests do not grow with pods | `test_at_rest_*` |
"""

from __future__ import annotations

import pytest

from tests.simulated.process import Process
from tests.simulated.world import GROUPS, World
from tests.support.cloud_transport import CloudSettings

LIMIT_PER_MINUTE = 240
# Twice the interval at which each is due.
LIST_GAP_SECONDS, FEED_GAP_SECONDS = 10.0, 20.0
OUR_KEY = "our-key"


def _polls_are_fed(process: Process, since: float, until: float, factor: float = 1.0) -> None:
    line = process.cloud_line
    assert line.longest_gap("list", since, until) <= LIST_GAP_SECONDS * factor
    assert line.longest_gap("feed", since, until) <= FEED_GAP_SECONDS * factor


def _refusals(world: World) -> int:
    return int(world.cloud.statistics()["requests_by_code"].get("429", 0))


@pytest.mark.parametrize("foreign", [0, 130], ids=["whole list", "list of 100 of more"])
def test_a_rollout_of_hundreds_and_its_end_keep_to_the_limit_and_starve_no_poll(foreign: int) -> None:
    world = World(start=False)
    others = world.create_foreign_groups(foreign)
    world.clock.advance(61.0)
    world.daemon = world.start()
    world.run(5.0)
    begun = world.now
    names = [f"web-{number}" for number in range(150)]
    world.create_and_run(*names, within=400.0)
    for name in names[:75]:
        world.cluster.delete_pod(name)
    world.create(*(f"new-{number}" for number in range(75)))
    world.run_until(lambda: world.is_gone(*names[:75]), within=300.0)
    world.run_until(lambda: all(world.is_ready(f"new-{number}") for number in range(75)), within=400.0)
    line = world.daemon.cloud_line
    assert line.most_per_minute <= LIMIT_PER_MINUTE
    assert _refusals(world) == 0
    _polls_are_fed(world.daemon, begun, world.now)
    world.check(others)


@pytest.mark.parametrize("limit", [60, 120])
def test_a_lower_limit_is_kept_too(limit: int) -> None:
    world = World(start=False, rate_limit_per_minute=limit)
    world.daemon = world.start(operator=CloudSettings(nodename="virtual", sce_rate_limit=limit))
    world.run(5.0)
    world.create_and_run(*(f"web-{number}" for number in range(30)), within=600.0)
    assert world.daemon.cloud_line.most_per_minute <= limit
    assert _refusals(world) == 0


def _busiest_minute(processes: list[Process]) -> int:
    times = sorted(call.at for process in processes for call in process.cloud_line.calls)
    most, first = 0, 0
    for last, at in enumerate(times):
        while at - times[first] >= 60.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_however_often_the_daemon_starts_the_limit_is_kept() -> None:
    """A new process does not know what the one before it has asked for."""
    world = World(start=False)
    processes = [world.start()]
    world.run(60.0)
    world.create(*(f"web-{number}" for number in range(250)))
    for lives_for in (25.0, 30.0, 5.0, 5.0, 10.0, 25.0):
        world.run(lives_for)
        world.kill(processes[-1])
        processes.append(world.start())
    assert LIMIT_PER_MINUTE * 0.8 <= _busiest_minute(processes) <= LIMIT_PER_MINUTE
    assert _refusals(world) == 0
    world.check()


def test_the_limit_holds_when_a_replica_takes_over_in_full_flight() -> None:
    world = World(start=False)
    leader = world.start(replica="one")
    world.run(10.0)
    standby = world.start(replica="two")
    world.run(60.0)
    world.create(*(f"web-{number}" for number in range(250)))
    world.run(50.0)
    leader.stop()
    world.kill(leader)
    world.run(20.0)
    assert standby.is_active() and len(standby.cloud_line.calls) >= 50
    assert LIMIT_PER_MINUTE * 0.8 <= _busiest_minute([leader, standby]) <= LIMIT_PER_MINUTE
    assert _refusals(world) == 0


def test_deletes_go_before_hundreds_of_creates() -> None:
    world = World()
    old = [f"old-{number}" for number in range(20)]
    world.create_and_run(*old)
    world.run(30.0)
    world.create(*(f"new-{number}" for number in range(300)))
    world.run(10.0)
    groups = {world.group(name) for name in old}
    for name in old:
        world.cluster.delete_pod(name)
    line = world.daemon.cloud_line
    creates = line.count("create")
    assert creates < 250, "otherwise there is nothing to go before"
    took = world.run_until(lambda: not groups & world.groups(), within=60.0)
    assert took <= 15.0
    assert line.count("create") < 300, "creates still wait"
    assert line.most_per_minute <= LIMIT_PER_MINUTE


def test_a_shared_key_makes_us_slower_and_not_wrong() -> None:
    world = World()
    others_per_minute = 180
    theirs = {"refused": 0, "sent": 0}
    begun = world.now

    def others_ask() -> None:
        """Somebody else asks at a steady rate with the same key."""
        while theirs["sent"] < (world.now - begun) * others_per_minute / 60.0:
            theirs["sent"] += 1
            theirs["refused"] += world.ask("GET", GROUPS, key=OUR_KEY) == 429

    names = [f"web-{number}" for number in range(100)]
    world.create(*names)
    while not all(map(world.is_ready, names)):
        assert world.now - begun < 900.0
        world.step(world.now + 1.0)
        others_ask()
    refused = _refusals(world) - theirs["refused"]
    assert 0 < refused < 100, "we are told to be slower, and are"
    _polls_are_fed(world.daemon, begun, world.now, factor=4.0)
    assert len(world.groups()) == 100
    world.check()
    # When the others are gone we become quick again.
    world.run(700.0)
    assert world.daemon.budget.rate_per_minute() == pytest.approx(220.0)


def test_two_daemons_with_one_key_both_end_well() -> None:
    world = World()
    other = world.start(node="other", key=OUR_KEY)
    world.run(5.0)
    for node in ("virtual", "other"):
        world.create(*(f"{node}-{number}" for number in range(60)), node=node)
    names = [f"{node}-{number}" for node in ("virtual", "other") for number in range(60)]
    world.run_until(lambda: all(map(world.is_ready, names)), within=900.0)
    assert len(world.groups()) == 120
    for name in names:
        world.cluster.delete_pod(name)
    world.run_until(lambda: world.is_gone(*names) and not world.groups(), within=900.0)
    assert other.cloud_line.count("create") <= 65, "no create is sent again and again"
    world.check()


@pytest.mark.parametrize("retry_after_is_sent", [True, False])
def test_after_a_429_nothing_is_sent_before_its_time(retry_after_is_sent: bool) -> None:
    world = World()
    world.create_and_run("web")
    world.run(30.0)
    kind = "429-retry-after" if retry_after_is_sent else "429"
    world.cloud.fail_next(1, kind, operation="list_container_groups")
    line = world.daemon.cloud_line
    lists = line.count("list")
    world.run_until(lambda: line.count("list") > lists)
    refused = line.calls[-1].at
    world.run(10.0)
    later = [call.at for call in line.calls if call.at > refused]
    assert later and min(later) >= refused + 5.0
    assert world.is_ready()


def test_at_rest_requests_do_not_grow_with_the_pods() -> None:
    world = World()
    counts = []
    for pods in (range(10), range(10, 80)):
        world.create(*(f"web-{number}" for number in pods))
        world.run(180.0)
        before = len(world.daemon.cloud_line.calls)
        world.run(600.0)
        counts.append((len(world.daemon.cloud_line.calls) - before) / 10.0)
    assert counts[0] == pytest.approx(counts[1], abs=1.0)
    assert max(counts) <= 24.0


def test_deleted_pods_go_one_after_the_other_though_there_is_budget_for_few_questions_only() -> None:
    """Two answers of "not found" count as a row only within a minute: asking for all in turn would break every row."""
    world = World()
    names = [f"web-{number}" for number in range(60)]
    world.create_and_run(*names, within=200.0)
    for name in names:
        world.cluster.delete_pod(name)
    world.run(1.0)
    for _ in range(20):
        # Others use up what the key may ask for.
        world.daemon.budget.throttled(1.0)
        world.run(60.0)
    assert not world.groups()
    assert world.daemon.budget.rate_per_minute() < 60.0
    assert sum(world.is_gone(name) for name in names) >= 45
