"""Leader election: never two at once, whatever fails, and never nobody for longer than it takes."""

from __future__ import annotations

import copy
import datetime
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.leader import LeaderElector, format_micro_time

MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Leases:
    """One Lease with optimistic locking; can fail calls before or after they are applied."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.calls: list[str] = []
        self.fail: Callable[[], str] = lambda: ""
        self.during_call: Callable[[], None] = lambda: None
        self._version = 0

    def get_lease(self, namespace: str, name: str) -> dict[str, Any]:
        return self._call("get", self._get)

    def create_lease(self, namespace: str, lease: dict[str, Any]) -> dict[str, Any]:
        def apply() -> dict[str, Any]:
            if self.lease is not None:
                raise errors.Conflict("already exists")
            return self._store(lease)

        return self._call("create", apply)

    def patch_lease(self, namespace: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        def apply() -> dict[str, Any]:
            current = self._get()
            if patch["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"]:
                raise errors.Conflict("the object has been modified")
            return self._store({**current, "spec": {**current["spec"], **patch["spec"]}})

        return self._call("patch", apply)

    def touch(self, **spec: Any) -> None:
        """Somebody else writes."""
        assert self.lease is not None
        self._store({**self.lease, "spec": {**self.lease["spec"], **spec}})

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        spec: dict[str, Any] = self.lease["spec"]
        return spec

    def _get(self) -> dict[str, Any]:
        if self.lease is None:
            raise errors.NotFound("no lease")
        return copy.deepcopy(self.lease)

    def _call(self, verb: str, apply: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self.calls.append(verb)
        fault = self.fail()
        if fault == "before":
            raise errors.CouldNotAsk("refused")
        answer = apply()
        self.during_call()
        if fault == "after":
            raise errors.CouldNotAsk("reset", may_be_applied=True)
        return answer

    def _store(self, lease: dict[str, Any]) -> dict[str, Any]:
        for field in ("renewTime", "acquireTime"):
            assert MICRO_TIME.fullmatch(lease["spec"][field])
        assert isinstance(lease["spec"]["leaseDurationSeconds"], int) and lease["spec"]["leaseDurationSeconds"] > 0
        self._version += 1
        metadata = {**lease["metadata"], "resourceVersion": str(self._version)}
        self.lease = copy.deepcopy({**lease, "metadata": metadata})
        return copy.deepcopy(self.lease)


class Replica:
    """An elector with what it has reported."""

    def __init__(self, leases: Leases, clock: FakeClock, identity: str) -> None:
        self.gained = 0
        self.lost: list[str] = []
        self.due = clock.monotonic()
        self.elector = LeaderElector(
            leases,
            clock,
            namespace="kube-system",
            name="virtual-kubelet-salad",
            identity=identity,
            on_gained=self._gain,
            on_lost=self.lost.append,
            jitter=random.Random(identity),
        )

    def _gain(self) -> None:
        self.gained += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def one(leases: Leases, clock: FakeClock) -> Replica:
    return Replica(leases, clock, "one")


@pytest.fixture
def two(leases: Leases, clock: FakeClock) -> Replica:
    return Replica(leases, clock, "two")


def run(clock: FakeClock, seconds: float, *replicas: Replica) -> None:
    """Lets the replicas step when they want to, for so long."""
    end = clock.monotonic() + seconds
    for replica in replicas:
        replica.due = clock.monotonic()
    while True:
        replica = min(replicas, key=lambda candidate: candidate.due)
        if replica.due > end:
            break
        clock.advance(max(0.0, replica.due - clock.monotonic()))
        replica.due = clock.monotonic() + replica.elector.step()
    clock.advance(max(0.0, end - clock.monotonic()))


def down() -> str:
    return "before"


def test_the_first_replica_creates_the_lease_and_leads(one: Replica, leases: Leases) -> None:
    assert not one.elector.is_leader()
    assert one.elector.step() == 2.0
    assert one.elector.is_leader()
    assert one.gained == 1
    assert leases.spec == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:00.000000Z",
        "leaseTransitions": 0,
    }


def test_a_leader_renews_with_one_call_each_two_seconds(one: Replica, leases: Leases, clock: FakeClock) -> None:
    run(clock, 20, one)
    assert leases.calls == ["get", "create"] + ["patch"] * 10
    assert leases.spec["renewTime"] == "2026-01-01T00:00:20.000000Z"
    assert leases.spec["acquireTime"] == "2026-01-01T00:00:00.000000Z"
    assert one.gained == 1


def test_a_standby_waits_while_the_leader_renews(one: Replica, two: Replica, clock: FakeClock) -> None:
    run(clock, 0, one)
    run(clock, 300, one, two)
    assert one.elector.is_leader()
    assert two.gained == 0
    assert two.elector.holder == "one"
    assert two.elector.is_led_by_another and not one.elector.is_led_by_another


def test_before_the_first_answer_nobody_is_known_to_lead(one: Replica, leases: Leases) -> None:
    leases.fail = lambda: "before"
    one.elector.step()
    assert not one.elector.is_leader() and not one.elector.is_led_by_another


def test_a_standby_takes_over_15_seconds_after_it_last_saw_a_renewal(
    one: Replica, two: Replica, leases: Leases, clock: FakeClock
) -> None:
    run(clock, 10, one, two)
    last_renewal = clock.monotonic()
    while not two.elector.is_leader():
        run(clock, 0.5, two)
    assert 15 <= clock.monotonic() - last_renewal <= 15 + 3 + 3.5
    assert leases.spec["holderIdentity"] == "two"
    assert leases.spec["leaseTransitions"] == 1
    assert leases.spec["acquireTime"] == leases.spec["renewTime"]


def test_a_wrong_wall_clock_of_the_holder_does_not_matter(two: Replica, leases: Leases, clock: FakeClock) -> None:
    far_away = format_micro_time(datetime.datetime(2040, 1, 1, tzinfo=datetime.UTC))
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": far_away, "acquireTime": far_away}
    leases._store({"metadata": {}, "spec": spec})
    run(clock, 14, two)
    assert not two.elector.is_leader()
    run(clock, 5, two)
    assert two.elector.is_leader()


def test_a_leader_knows_by_itself_that_it_leads_no_more(one: Replica, clock: FakeClock) -> None:
    one.elector.step()
    clock.advance(9.9)
    assert one.elector.is_leader()
    clock.advance(0.2)
    assert not one.elector.is_leader()


def test_the_deadline_counts_from_the_start_of_the_renewal(one: Replica, leases: Leases, clock: FakeClock) -> None:
    leases.during_call = lambda: clock.advance(4)
    one.elector.step()
    clock.advance(5.9)
    assert one.elector.is_leader()
    clock.advance(0.2)
    assert not one.elector.is_leader()


def test_an_outage_shorter_than_the_deadline_is_survived(one: Replica, leases: Leases, clock: FakeClock) -> None:
    run(clock, 4, one)
    leases.fail = down
    run(clock, 7, one)
    leases.fail = lambda: ""
    run(clock, 60, one)
    assert one.elector.is_leader()
    assert one.lost == []


def test_an_outage_longer_than_the_deadline_is_reported_once_at_the_deadline(
    one: Replica, leases: Leases, clock: FakeClock
) -> None:
    run(clock, 4, one)
    leases.fail = down
    run(clock, 9.99, one)
    assert one.lost == []
    run(clock, 0.02, one)
    assert one.lost == ["the lease could not be renewed in time"]
    leases.fail = lambda: ""
    run(clock, 60, one)
    assert len(one.lost) == 1


def test_lost_leadership_is_never_taken_again(one: Replica, leases: Leases, clock: FakeClock) -> None:
    one.elector.step()
    clock.advance(60)
    one.elector.step()
    calls = len(leases.calls)
    run(clock, 60, one)
    assert not one.elector.is_leader()
    assert len(leases.calls) == calls


def test_a_leader_that_sees_another_holder_stops_at_once(one: Replica, leases: Leases, clock: FakeClock) -> None:
    run(clock, 4, one)
    leases.touch(holderIdentity="two")
    run(clock, 1.0, one)
    assert not one.elector.is_leader()
    assert one.lost == ["two holds the lease now"]


def test_a_leader_survives_a_foreign_touch_that_leaves_it_the_holder(
    one: Replica, leases: Leases, clock: FakeClock
) -> None:
    run(clock, 4, one)
    leases.touch()
    run(clock, 60, one)
    assert one.elector.is_leader()
    assert one.lost == []


def test_a_renewal_whose_answer_was_lost_does_not_cost_the_leadership(
    one: Replica, leases: Leases, clock: FakeClock
) -> None:
    run(clock, 4, one)
    faults = ["after"]
    leases.fail = lambda: faults.pop() if faults else ""
    run(clock, 60, one)
    assert one.elector.is_leader()
    assert one.lost == []


def test_a_deleted_lease_is_created_anew_by_its_leader(one: Replica, leases: Leases, clock: FakeClock) -> None:
    run(clock, 4, one)
    leases.lease = None
    run(clock, 4, one)
    assert one.elector.is_leader()
    assert leases.spec["holderIdentity"] == "one"


def test_of_two_that_create_at_once_one_leads(one: Replica, two: Replica, leases: Leases) -> None:
    def interleave() -> str:
        if leases.calls == ["get", "create"]:
            two.elector.step()
        return ""

    leases.fail = interleave
    one.elector.step()
    assert leases.calls == ["get", "create", "get", "create"]
    assert two.elector.is_leader()
    assert not one.elector.is_leader()
    assert one.gained == 0


def test_release_frees_the_lease_for_the_next_at_once(
    one: Replica, two: Replica, leases: Leases, clock: FakeClock
) -> None:
    run(clock, 4, one, two)
    assert one.elector.release()
    assert not one.elector.is_leader()
    assert leases.spec["holderIdentity"] == ""
    run(clock, 3.1, one, two)
    assert two.elector.is_leader()
    assert not one.elector.is_leader()
    assert one.lost == []


def test_release_without_leadership_touches_nothing(
    one: Replica, two: Replica, leases: Leases, clock: FakeClock
) -> None:
    run(clock, 4, one, two)
    assert two.elector.release()
    assert leases.spec["holderIdentity"] == "one"


def test_release_that_fails_says_so_and_leads_no_more(one: Replica, leases: Leases, clock: FakeClock) -> None:
    run(clock, 4, one)
    leases.fail = down
    assert not one.elector.release()
    assert not one.elector.is_leader()


def test_a_restart_with_the_same_identity_leads_at_once(one: Replica, leases: Leases, clock: FakeClock) -> None:
    run(clock, 4, one)
    again = Replica(leases, clock, "one")
    again.elector.step()
    assert again.elector.is_leader()


def test_nothing_is_raised_whatever_the_server_says(one: Replica, leases: Leases) -> None:
    for error in (errors.Forbidden("no"), errors.Unauthorized("no"), errors.Rejected("Bad", "no")):

        def fail(error: errors.Error = error) -> str:
            raise error

        leases.fail = fail
        assert one.elector.step() > 0
        assert not one.elector.is_leader()


@pytest.mark.parametrize("microsecond", [0, 1, 120_000, 999_999])
def test_micro_time_has_six_digits_always(microsecond: int) -> None:
    moment = datetime.datetime(2026, 1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    text = format_micro_time(moment.replace(microsecond=microsecond))
    assert text == f"2026-01-01T00:00:00.{microsecond:06}Z"


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([0.0, 0.05, 0.3]))
def test_there_are_never_two_leaders_and_soon_one_when_faults_stop(choice: random.Random, fault_rate: float) -> None:
    clock, leases = FakeClock(), Leases()
    replicas = [Replica(leases, clock, name) for name in ("a", "b", "c")]
    leases.during_call = lambda: clock.advance(choice.choice([0.0, 0.01, 1.0]))
    leases.fail = lambda: choice.choice(["before", "after"]) if choice.random() < fault_rate else ""
    for _ in range(150):
        replica = choice.choice(replicas)
        event = choice.random()
        if event < 0.02:
            replica.due += choice.uniform(0, 60)  # Frozen.
        elif event < 0.04:
            replica.elector.release()
        elif replica.due <= clock.monotonic():
            replica.due = clock.monotonic() + replica.elector.step()
        else:
            clock.advance(choice.uniform(0, 2))
        leaders = [candidate for candidate in replicas if candidate.elector.is_leader()]
        assert len(leaders) <= 1
        for index, candidate in enumerate(replicas):
            if candidate.lost or candidate.elector._is_released:
                replicas[index] = Replica(leases, clock, f"{index}-{clock.monotonic()}")  # A new process.
    leases.fail = lambda: ""
    leases.during_call = lambda: None
    run(clock, 60, *replicas)
    survivors = [replica for replica in replicas if not replica.lost]
    if survivors:
        assert [replica.elector.is_leader() for replica in survivors].count(True) == 1
