"""A cleanup leads in place of the daemon: it refuses while one works, or takes the lease by force."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.clock import FakeClock
from tests.support.model_transport import ModelTransport
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.commands.takeover import ACQUIRE_SECONDS, HEARTBEAT_SECONDS, StillRunning, Takeover
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.leader import LeaderElector, format_micro_time
from virtual_kubelet_salad.runtime.threads import Loop
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel

NODE = "virtual"
LEASE = f"virtual-kubelet-salad-{NODE}"


class Steps:
    """Loops without threads: each is stepped when it is due. Implements `takeover.Threads`."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._due: list[tuple[Callable[[], float | None], list[float]]] = []
        self.is_running = False

    def add(self, loop: Loop) -> None:
        self._due.append((loop.step, [0.0]))

    def start(self) -> None:
        self.is_running = True
        self.step()

    def stop(self, deadline_seconds: float) -> list[str]:
        self.is_running = False
        return []

    def step(self) -> None:
        for step, due in self._due:
            if self.is_running and self._clock.monotonic() >= due[0]:
                due[0] = self._clock.monotonic() + (step() or 0.0)


class World:
    """One node's leases; `daemons` are the electors that live, each stepped at every pause."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.model = ApiServerModel(clock)
        self.transport = ModelTransport(self.model)
        self.api = ApiServer(self.transport, clock=clock)
        self.daemons: list[LeaderElector] = []
        self.heart_beats = False
        self.beats = 0
        self.steps = Steps(clock)
        self.takeover = Takeover(
            self.api,
            clock,
            node_name=NODE,
            namespace="kube-system",
            lease_name=LEASE,
            identity="cleanup",
            wait=self.wait,
            threads=self.steps,
        )

    def daemon(self, identity: str = "daemon") -> LeaderElector:
        elector = LeaderElector(
            self.api, self.clock, namespace="kube-system", name=LEASE, identity=identity,
            on_gained=lambda: None, on_lost=lambda why: None,
        )  # fmt: skip
        elector.step()
        self.daemons.append(elector)
        return elector

    def beat(self) -> None:
        """The daemon renews the Node's lease."""
        self.beats += 1
        spec = {"holderIdentity": NODE, "renewTime": format_micro_time(self.clock.now())}
        lease = {"metadata": {"name": NODE}, "spec": spec}
        try:
            self.api.create_lease("kube-node-lease", lease)
        except errors.Conflict:
            self.api.patch_lease("kube-node-lease", NODE, {"spec": spec})

    def wait(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(min(1.0, end - self.clock.monotonic()))
            for elector in self.daemons:
                elector.step()
            if self.heart_beats:
                self.beat()
            self.steps.step()

    def lease(self) -> dict[str, object]:
        found: dict[str, object] = self.api.get_lease("kube-system", LEASE)["spec"]
        return found

    def seconds(self, action: Callable[[], None]) -> float:
        began = self.clock.monotonic()
        action()
        return self.clock.monotonic() - began


@pytest.fixture
def world(fake_clock: FakeClock) -> World:
    return World(fake_clock)


def acquire(world: World, *, by_force: bool = False) -> float:
    return world.seconds(lambda: world.takeover.acquire(by_force=by_force))


def test_it_refuses_while_a_daemon_leads(world: World) -> None:
    elector = world.daemon()
    with pytest.raises(StillRunning, match="daemon leads"):
        world.takeover.acquire(by_force=False)
    assert elector.is_leader()
    with pytest.raises(errors.NotLeader):
        world.takeover.check()
    world.takeover.release()
    assert elector.is_leader()


def test_after_an_ordered_stop_it_begins_at_once(world: World) -> None:
    elector = world.daemon()
    world.beat()
    world.clock.advance(1)
    elector.release()
    world.daemons.clear()
    assert acquire(world) == 0.0
    world.takeover.check()


def test_a_daemon_that_was_killed_is_waited_out(world: World) -> None:
    world.daemon()
    world.daemons.clear()
    world.beat()
    assert HEARTBEAT_SECONDS <= acquire(world) <= ACQUIRE_SECONDS + HEARTBEAT_SECONDS
    world.takeover.check()


def test_a_node_that_never_had_a_daemon_is_free(world: World) -> None:
    assert acquire(world) == 0.0


@pytest.mark.parametrize("was_led_before", [False, True])
def test_a_daemon_without_an_election_is_noticed_by_its_heartbeat(world: World, was_led_before: bool) -> None:
    if was_led_before:
        world.daemon().release()
        world.daemons.clear()
        world.clock.advance(10)
    world.beat()
    world.heart_beats = True
    with pytest.raises(StillRunning, match="without leader election"):
        world.takeover.acquire(by_force=False)


def test_force_takes_the_lease_and_the_daemon_gives_up(world: World) -> None:
    elector = world.daemon()
    assert acquire(world, by_force=True) >= 10.0
    world.takeover.check()
    assert not elector.is_leader()
    assert world.lease()["holderIdentity"] == "cleanup"


def test_a_daemon_that_is_started_meanwhile_stands_by(world: World) -> None:
    acquire(world)
    late = world.daemon("late")
    world.wait(60)
    assert not late.is_leader()
    world.takeover.check()


def test_a_lease_that_is_kept_holds_a_daemon_back_for_five_minutes(world: World) -> None:
    acquire(world)
    late = world.daemon("late")
    assert world.takeover.keep()
    world.wait(290)
    assert not late.is_leader()
    world.wait(20)
    assert late.is_leader()


def test_a_lease_that_is_released_lets_the_next_daemon_lead(world: World) -> None:
    acquire(world)
    world.takeover.release()
    with pytest.raises(errors.NotLeader):
        world.takeover.check()
    assert world.daemon("next").is_leader()


def test_a_lease_that_nobody_needs_is_deleted(world: World) -> None:
    acquire(world)
    assert world.takeover.delete()
    with pytest.raises(errors.NotFound):
        world.lease()


def test_an_api_server_that_is_away_for_long_ends_the_lead(world: World) -> None:
    acquire(world)

    def away(method: str, path: str) -> None:
        raise errors.CouldNotAsk("away")

    world.transport.before = away
    world.wait(15)
    assert world.takeover.lost
    with pytest.raises(errors.NotLeader):
        world.takeover.check()
    assert not world.takeover.keep()
    assert not world.takeover.delete()


def test_missing_rights_on_the_lease_are_no_lead(world: World) -> None:
    def forbid(method: str, path: str) -> None:
        if method != "GET":
            raise errors.Forbidden("leases are forbidden")

    world.transport.before = forbid
    with pytest.raises(StillRunning, match="could not be had"):
        world.takeover.acquire(by_force=False)


def test_the_holder_is_told_without_touching_the_lease(world: World) -> None:
    assert world.takeover.holder() == ""
    world.daemon()
    before = world.lease()
    assert world.takeover.holder() == "daemon"
    assert world.lease() == before
