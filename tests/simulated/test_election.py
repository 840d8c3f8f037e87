"""Two replicas for one node: one works, and the other takes over without a pod noticing.

| what happens to the leader | tests |
|---|---|
| nothing | `test_a_standby_*` |
| it is killed | `test_a_killed_leader_*` |
| it stops in order | `test_an_ordered_stop_*` |
| it is frozen past its lease, in the middle of a call | `test_a_call_that_was_under_way_*` |
| it is cut off from the API server | `test_a_leader_that_is_cut_off_*` |
| freezing, partition and stops over sockets: `tests/integration/test_election.py` | |
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulated.process import Process
from tests.simulated.world import World
from tests.support import manifests
from virtual_kubelet_salad.kube.leader import RENEW_DEADLINE_SECONDS

TAKE_OVER_SECONDS = 20.0
POD = "/api/v1/namespaces/default/pods"


class Replicas:
    """The first leads."""

    def __init__(self) -> None:
        self.world = world = World(start=False)
        self.leader = world.start(replica="one")
        world.run(5.0)
        self.standby = world.start(replica="two")
        world.run(5.0)
        assert self.leader.is_active() and not self.standby.is_active()

    def until_taken_over(self, standby: Process | None = None) -> float:
        """How many seconds it takes the standby to lead."""
        return self.world.run_until((standby or self.standby).is_active, within=60.0)


@pytest.fixture
def replicas() -> Replicas:
    return Replicas()


def test_a_standby_asks_saladcloud_nothing_and_writes_nothing(replicas: Replicas) -> None:
    world = replicas.world
    world.create_and_run("web")
    world.run(300.0)
    assert replicas.standby.cloud_line.calls == []
    assert replicas.standby.api_line.writes == []
    assert replicas.standby.daemon.cache.get(world.pod()["metadata"]["uid"]) is not None
    assert replicas.standby.elector is not None and replicas.standby.elector.is_led_by_another


def test_a_killed_leader_is_replaced_and_no_pod_notices(replicas: Replicas) -> None:
    world = replicas.world
    world.create_and_run("web", "leaves")
    world.create_and_run("job", restart_policy="Never", environment=manifests.exits(3, 40.0))
    before = world.status()
    world.create(*(f"new-{number}" for number in range(10)))
    world.step(world.now + 0.5)
    world.cluster.delete_pod("leaves")
    world.kill(replicas.leader)
    assert replicas.until_taken_over() <= TAKE_OVER_SECONDS
    world.run_until(lambda: all(world.is_ready(f"new-{number}") for number in range(10)), within=200.0)
    world.run_until(lambda: world.is_gone("leaves"))
    world.run_until(lambda: world.phase("job") == "Failed")
    assert world.status() == before
    assert world.node()["status"]["conditions"][0]["status"] == "True"
    world.run_until(lambda: len(world.groups()) == 11)
    world.check()


@pytest.mark.parametrize("seed", range(8))
def test_a_leader_is_replaced_within_20_seconds_whenever_it_dies(seed: int) -> None:
    """Right after it has renewed, and while the standby has just looked, is the worst moment."""
    for moment in range(5):
        world = World(seed, start=False)
        leader = world.start(replica="one")
        world.run(5.0)
        standby = world.start(replica="two")
        world.run(5.0 + 0.4 * moment + 0.05 * seed)
        world.kill(leader)
        assert world.run_until(standby.is_active, within=60.0) <= TAKE_OVER_SECONDS


def test_an_ordered_stop_hands_over_at_once(replicas: Replicas) -> None:
    world = replicas.world
    world.create_and_run("web")
    before = world.status()
    replicas.leader.stop()
    world.kill(replicas.leader)
    assert replicas.until_taken_over() <= 5.0
    world.run(60.0)
    assert world.status() == before
    assert replicas.standby.cloud_line.count("create") == 0


def test_a_leader_that_is_cut_off_from_the_api_server_stops_writing_before_another_leads(replicas: Replicas) -> None:
    world = replicas.world
    world.create_and_run("web")
    before = world.status()
    leader = replicas.leader
    leader.api_line.is_cut = True
    cut = world.now
    # Something that it would want to write about, and something that it would delete.
    world.cloud.set_ready(world.group(), False)
    world.create("comes")
    world.cluster.delete_pod("web", grace_seconds=0)
    world.run_until(lambda: bool(leader.lost_leadership), within=RENEW_DEADLINE_SECONDS + 5.0)
    assert not replicas.standby.is_active()
    replicas.until_taken_over()
    assert world.now - cut <= TAKE_OVER_SECONDS
    world.run_until(lambda: world.is_gone("web") and world.is_ready("comes"))
    writes = ("create", "delete", "update", "start")
    assert not [call for call in leader.cloud_line.calls if call.operation in writes and call.at > cut + 10.0]
    assert before["phase"] == "Running"
    world.check()


# -- frozen in the middle of a call -----------------------------------------------------------------------------------


def _freeze_in(
    replicas: Replicas, is_meant: Callable[[str, str], bool], line: str, meanwhile: Callable[[], None] = lambda: None
) -> list[str]:
    """The leader freezes when it is about to send such a request, past its check of the leadership, for minutes in
    which the other replica takes over and does its work; then the request goes out. Returns what was sent so.
    """
    world, leader = replicas.world, replicas.leader
    sent: list[str] = []

    def freeze(method: str, path: str) -> None:
        if sent or not is_meant(method, path):
            return
        sent.append(f"{method} {path}")
        leader.is_frozen = True
        # A group that the new leader has not seen itself is believed to be gone after two minutes.
        world.run(160.0)
        assert replicas.standby.is_active()
        meanwhile()
        world.run(40.0)
        leader.is_frozen = False

    getattr(leader, line).before = freeze
    return sent


def _calls_after_the_thaw(leader: Process) -> int:
    writes = ("create", "delete", "update", "start")
    calls = leader.cloud_line.calls
    return sum(call.operation in writes for call in calls)


@pytest.mark.parametrize(
    ("line", "is_meant"),
    [
        ("cloud_line", lambda method, path: method == "POST" and path.endswith("/containers")),
        ("api_line", lambda method, path: method == "PATCH" and path.endswith("/web/status")),
        ("api_line", lambda method, path: method == "POST" and path.endswith("/events")),
    ],
    ids=["create", "claim or status", "event"],
)
def test_a_call_that_was_under_way_when_a_new_pod_began_does_no_harm(
    replicas: Replicas, line: str, is_meant: Callable[[str, str], bool]
) -> None:
    world = replicas.world
    sent = _freeze_in(replicas, is_meant, line)
    world.create("web")
    world.run(240.0)
    assert len(sent) == 1
    assert replicas.leader.lost_leadership, "it notices when it wakes, and ends"
    assert world.is_ready()
    assert world.groups() == {world.group()}
    assert world.container()["restartCount"] == 0
    assert _calls_after_the_thaw(replicas.leader) <= 1
    world.check()


@pytest.mark.parametrize(
    ("line", "is_meant"),
    [
        ("cloud_line", lambda method, path: method == "DELETE"),
        ("api_line", lambda method, path: method == "PATCH" and path.endswith("/web/status")),
        ("api_line", lambda method, path: method == "DELETE"),
    ],
    ids=["delete of the group", "last status", "delete of the pod"],
)
def test_a_call_that_was_under_way_when_a_pod_was_replaced_by_one_of_its_name_does_no_harm(
    replicas: Replicas, line: str, is_meant: Callable[[str, str], bool]
) -> None:
    """While the leader is frozen the pod goes, and a new one of the same name comes: the old call must not hit it."""
    world = replicas.world
    world.create_and_run("web")
    old = world.group()

    def make_a_new_one() -> None:
        assert world.is_gone("web"), "the other replica lets it go"
        world.create("web")

    sent = _freeze_in(replicas, is_meant, line, make_a_new_one)
    world.cluster.delete_pod("web")
    world.run(300.0)
    assert len(sent) == 1
    assert replicas.leader.lost_leadership
    assert world.is_ready() and world.group() != old
    assert world.groups() == {world.group()}
    world.check()


def test_a_lease_renewal_that_was_under_way_makes_nobody_lead_twice(replicas: Replicas) -> None:
    world, leader = replicas.world, replicas.leader
    sent = _freeze_in(replicas, lambda method, path: method == "PATCH" and "kube-system/leases" in path, "api_line")
    world.run(210.0)
    assert len(sent) == 1
    assert replicas.standby.is_active() and not leader.is_active()
    world.run(60.0)
    assert leader.lost_leadership
    assert replicas.standby.is_active()
