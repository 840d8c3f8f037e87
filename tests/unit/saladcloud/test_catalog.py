"""Quota, classes, cost, credit and reachability."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.clock import FakeClock
from tests.support.gpu_catalog import CLASSES, RTX_3060, RTX_4090
from virtual_kubelet_salad.errors import Blocked, CouldNotAsk, NoBudget, Unauthorized
from virtual_kubelet_salad.saladcloud.catalog import Catalog
from virtual_kubelet_salad.saladcloud.credit import CANARY_SECONDS, Credit
from virtual_kubelet_salad.saladcloud.models import GpuClass, Group, Quota
from virtual_kubelet_salad.saladcloud.reachability import Watch
from virtual_kubelet_salad.saladcloud.room import HELD_SECONDS, Room
from virtual_kubelet_salad.saladcloud.schemas import answers


class Offer:
    """Answers as the client does; what is None fails."""

    def __init__(self) -> None:
        self.now_quota: Quota | None = Quota(10, 4)
        self.now_classes: tuple[GpuClass, ...] | None = CLASSES
        self.failure: Exception = CouldNotAsk("down")
        self.asked: list[str] = []

    def quota(self) -> Quota:
        self.asked.append("quota")
        if self.now_quota is None:
            raise CouldNotAsk("down")
        return self.now_quota

    def gpu_classes(self) -> tuple[GpuClass, ...]:
        self.asked.append("classes")
        if self.now_classes is None:
            raise self.failure
        return self.now_classes


def _group(**changes: object) -> Group:
    group = answers.group({"name": "web", "priority": "high"})
    assert group is not None
    return dataclasses.replace(group, running_count=1, **changes)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def _run(catalog: Catalog, clock: FakeClock, seconds: float) -> None:
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        clock.advance(catalog.step())


def test_the_quota_is_read_each_minute_and_the_classes_each_ten(clock: FakeClock) -> None:
    offer = Offer()
    _run(Catalog(offer, clock), clock, 1_200)  # type: ignore[arg-type]
    assert (offer.asked.count("quota"), offer.asked.count("classes")) == (20, 2)


def test_nothing_is_known_before_the_first_success_and_the_last_value_stays(clock: FakeClock) -> None:
    offer = Offer()
    offer.now_quota = offer.now_classes = None
    catalog = Catalog(offer, clock)  # type: ignore[arg-type]
    _run(catalog, clock, 60)
    assert catalog.capacity() is None and catalog.classes() is None
    offer.now_quota, offer.now_classes = Quota(10, 4), CLASSES
    _run(catalog, clock, 60)
    offer.now_quota = offer.now_classes = None
    _run(catalog, clock, 1_200)
    capacity = catalog.capacity()
    assert capacity is not None and (capacity.workloads, capacity.workloads_used) == (10, 4)
    assert catalog.classes() == CLASSES


def test_the_largest_workload_is_that_of_the_largest_class(clock: FakeClock) -> None:
    catalog = Catalog(Offer(), clock)  # type: ignore[arg-type]
    catalog.step()
    capacity = catalog.capacity()
    assert capacity is not None
    assert capacity.largest == {
        "cpu": 16,
        "memory": 61_440 * 2**20,
        "ephemeral-storage": 250 * 2**30,
        "nvidia.com/gpu": 8,
    }


def test_only_another_offer_is_told(clock: FakeClock) -> None:
    offer, told = Offer(), []
    catalog = Catalog(offer, clock)  # type: ignore[arg-type]
    catalog.on_change = lambda: told.append(clock.monotonic())
    _run(catalog, clock, 1_800)
    assert len(told) == 1, "the first classes are another offer than none"
    offer.now_classes = CLASSES[1:]
    _run(catalog, clock, 1_800)
    assert len(told) == 2
    offer.now_classes = None
    _run(catalog, clock, 1_800)
    assert len(told) == 2


def test_a_refused_key_is_an_obstacle_only_while_no_classes_are_known(clock: FakeClock) -> None:
    offer = Offer()
    offer.now_classes, offer.failure = None, Unauthorized("SaladCloud refused the API key")
    catalog = Catalog(offer, clock)  # type: ignore[arg-type]
    _run(catalog, clock, 60)
    with pytest.raises(Blocked) as caught:
        catalog.classes()
    assert (caught.value.reason, str(caught.value)) == ("ApiKeyRefused", "SaladCloud refused the API key")
    offer.failure = CouldNotAsk("down")
    _run(catalog, clock, 60)
    assert catalog.classes() is None
    offer.now_classes = CLASSES
    _run(catalog, clock, 60)
    offer.now_classes, offer.failure = None, Unauthorized("SaladCloud refused the API key")
    _run(catalog, clock, 1_200)
    assert catalog.classes() == CLASSES


def test_a_standby_reads_nothing(clock: FakeClock) -> None:
    offer = Offer()
    catalog = Catalog(offer, clock, lambda: False)  # type: ignore[arg-type]
    assert catalog.step() == 1.0 and offer.asked == []


def test_what_runs_is_priced_and_what_does_not_is_free(clock: FakeClock) -> None:
    catalog = Catalog(Offer(), clock)  # type: ignore[arg-type]
    catalog.step()
    both = (RTX_3060.id, RTX_4090.id)
    assert catalog.dollars_per_hour([_group(gpu_classes=both)]) == pytest.approx(0.30)
    assert catalog.dollars_per_hour([_group(gpu_classes=both, priority="batch")]) == pytest.approx(0.12)
    assert catalog.dollars_per_hour([_group(cpu_in_cores=2, memory_in_mib=4096)]) == pytest.approx(0.012)
    assert catalog.dollars_per_hour([dataclasses.replace(_group(gpu_classes=both), running_count=0)]) == 0.0
    assert catalog.dollars_per_hour([_group(gpu_classes=("unknown",))]) == 0.0


def test_a_class_is_known_by_its_name(clock: FakeClock) -> None:
    catalog = Catalog(Offer(), clock)  # type: ignore[arg-type]
    assert catalog.name_of(RTX_3060.id) is None
    catalog.step()
    assert catalog.name_of(RTX_3060.id) == "RTX 3060 (12 GB)"


# -- credit


def test_without_credit_one_start_in_five_minutes_tries(clock: FakeClock) -> None:
    credit = Credit(clock)
    credit.check_start()
    credit.refused("QuotaExceeded")
    assert not credit.is_out
    credit.refused("OutOfCredit")
    for _ in range(2):
        with pytest.raises(Blocked) as caught:
            credit.check_start()
        assert caught.value.retry_after == CANARY_SECONDS
    clock.advance(CANARY_SECONDS)
    credit.check_start()
    with pytest.raises(Blocked):
        credit.check_start()
    credit.accepted()
    credit.check_start()


def test_one_stopped_group_is_no_sign_of_missing_credit(clock: FakeClock) -> None:
    credit = Credit(clock)
    credit.stopped(1)
    assert not credit.is_out
    credit.stopped(3)
    assert credit.is_out


def test_the_return_of_credit_is_told_once(clock: FakeClock) -> None:
    credit, told = Credit(clock), []
    credit.on_recovery = lambda: told.append(1)
    credit.accepted()
    assert told == []
    credit.refused("OutOfCredit")
    credit.accepted()
    credit.accepted()
    assert told == [1]


# -- room


def _full() -> Blocked:
    return Blocked("QuotaExceeded", "SaladCloud's quota is used up")


def test_after_a_refusal_for_the_quota_no_create_goes_out_until_the_quota_is_read(clock: FakeClock) -> None:
    room = Room(clock)
    room.check_create()
    room.refused(Blocked("OutOfCredit", "no credit"))
    room.check_create()
    room.refused(_full())
    with pytest.raises(Blocked) as caught:
        room.check_create()
    assert (caught.value.reason, str(caught.value)) == ("QuotaExceeded", "SaladCloud's quota is used up")
    room.read(Quota(10, 10))
    room.check_create()


def test_a_quota_that_cannot_be_read_holds_creates_for_a_minute_only(clock: FakeClock) -> None:
    room = Room(clock)
    room.refused(_full())
    clock.advance(HELD_SECONDS)
    room.check_create()


def test_room_is_told_once_and_only_to_those_who_wait_for_it(clock: FakeClock) -> None:
    room, told = Room(clock), []
    room.on_recovery = lambda: told.append(1)
    room.read(Quota(10, 4))
    room.refused(_full())
    room.read(Quota(10, 10))
    assert told == []
    room.read(Quota(10, 9))
    room.read(Quota(10, 8))
    assert told == [1]


# -- reachability


def test_the_time_of_the_change_is_kept(clock: FakeClock) -> None:
    watch = Watch(clock)
    assert watch.now().is_reachable
    clock.advance(10)
    watch.succeeded()
    assert watch.now().since == clock.monotonic() - 10
    clock.advance(10)
    watch.failed(CouldNotAsk("down"))
    failed_at = clock.monotonic()
    clock.advance(10)
    watch.failed(Unauthorized("key"))
    now = watch.now()
    assert (now.is_reachable, now.since, now.reason) == (False, failed_at, "ApiKeyRefused")
    watch.failed(NoBudget("not sent"))
    assert watch.now() == now
    watch.succeeded()
    assert watch.now().is_reachable and watch.now().since == clock.monotonic()
