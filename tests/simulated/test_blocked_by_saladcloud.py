"""A pod that SaladCloud holds back (its offer, its prices, the quota, the credit, the key) starts by itself when that
is over: nobody touches it. What runs does not feel any of it.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.simulated.blocked_pods import (
    GPU,
    LONG_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    START_SECONDS,
    BlockedPods,
    assert_blocked,
)
from tests.support import manifests
from tests.support.cloud_transport import CloudSettings
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.saladcloud.catalog import CLASSES_SECONDS, QUOTA_SECONDS
from virtual_kubelet_salad.saladcloud.credit import CANARY_SECONDS

CREATE_SETTLE_SECONDS = 120.0


def _until_the_offer_is_read(world: BlockedPods) -> None:
    before = world.requests("list_gpu_classes")
    world.run_until(lambda: world.requests("list_gpu_classes") > before, within=CLASSES_SECONDS + 1.0)


@pytest.mark.parametrize("waited", [30.0, LONG_SECONDS])
def test_a_pod_starts_when_its_gpu_class_exists_again(waited: float) -> None:
    world = BlockedPods()
    world.cloud.withdraw_gpu_class("RTX 4090 (24 GB)")
    world.run(10.0)
    world.create_pod(annotations={"salad.com/gpu-classes": "rtx 4090 (24 gb)"}, container=GPU)
    world.run(waited)
    assert_blocked(world, "UnknownGpuClass")
    assert world.requests("create_container_group") == 0
    world.cloud.restore_gpu_class("RTX 4090 (24 GB)")
    _until_the_offer_is_read(world)
    world.run_until(world.cloud.overview, within=2.0)
    world.run_until(world.is_running, within=START_SECONDS)


@pytest.mark.parametrize("capped_by", ["pod", "operator"])
def test_a_pod_starts_when_the_price_falls_below_the_cap(capped_by: str) -> None:
    operator = CloudSettings(
        nodename="virtual", max_price_per_hour=Decimal("0.25") if capped_by == "operator" else None
    )
    world = BlockedPods(operator)
    annotations = {"salad.com/gpu-classes": "RTX 4090 (24 GB)"}
    if capped_by == "pod":
        annotations["salad.com/max-price-per-hour"] = "0.25"
    world.run(10.0)
    world.create_pod(annotations=annotations, container=GPU)
    world.run(LONG_SECONDS)
    assert_blocked(world, "NoGpuClassFits")
    assert "0.3" in pods.container_status(world.pod())["state"]["waiting"]["message"]
    assert world.requests("create_container_group") == 0
    world.cloud.price_gpu_class("RTX 4090 (24 GB)", 0.25)
    _until_the_offer_is_read(world)
    world.run_until(world.cloud.overview, within=2.0)
    world.run_until(world.is_running, within=START_SECONDS)


def test_a_pod_starts_soon_after_quota_was_freed() -> None:
    world = BlockedPods(replica_quota=2)
    for name in ("first", "second"):
        world.create_pod(name)
    world.run_until(lambda: world.is_running("first") and world.is_running("second"), within=START_SECONDS)
    world.create_pod()
    world.run(LONG_SECONDS)
    assert_blocked(world, "QuotaExceeded")
    assert len(world.cloud.overview()) == 2
    world.cluster.delete_pod("first")
    world.run_until(lambda: not any(group["name"].startswith("first") for group in world.cloud.overview()), within=30.0)
    world.run_until(lambda: len(world.cloud.overview()) == 2, within=QUOTA_SECONDS + 1.0)
    world.run_until(world.is_running, within=START_SECONDS)


def test_a_raised_quota_lets_all_run_who_wait_and_waiting_costs_few_requests() -> None:
    waiting = 40
    world = BlockedPods(replica_quota=1)
    names = [f"web-{number}" for number in range(waiting)]
    for name in names:
        world.create_pod(name)
    world.run(800.0)
    before = world.requests("create_container_group")
    world.run(LONGEST_BACKOFF_SECONDS)
    # At most one refusal between two readings of the quota.
    assert 1 <= world.requests("create_container_group") - before <= LONGEST_BACKOFF_SECONDS / QUOTA_SECONDS + 1
    world.cloud.configure(replica_quota=waiting)
    world.run_until(lambda: all(map(world.is_running, names)), within=QUOTA_SECONDS + 2 * START_SECONDS)


def test_a_pod_that_found_no_credit_starts_when_there_is_credit_again_and_so_do_all_others() -> None:
    world = BlockedPods()
    world.cloud.out_of_credit(True)
    names = [f"web-{number}" for number in range(5)]
    for name in names:
        world.create_pod(name)
        world.run(97.0)
    world.run(LONG_SECONDS)
    for name in names:
        assert_blocked(world, "OutOfCredit", name=name)
    assert not world.cloud.overview()
    world.cloud.out_of_credit(False)
    world.run_until(world.cloud.overview, within=LONGEST_BACKOFF_SECONDS)
    world.run_until(lambda: all(map(world.is_running, names)), within=START_SECONDS)


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_what_ran_out_of_credit_goes_on_when_there_is_credit_again(policy: str, is_restarted: bool) -> None:
    world = BlockedPods()
    names = [f"web-{number}" for number in range(5)]
    for name in names:
        world.create_pod(name, policy=policy)
    world.run_until(lambda: all(map(world.is_running, names)), within=2 * START_SECONDS)
    world.cloud.out_of_credit(True)
    world.run(LONG_SECONDS)
    for name in names:
        assert world.waiting(name) == "OutOfCredit"
        assert pods.phase(world.pod(name)) == "Running"
    if is_restarted:
        world.restart()
        world.run(60.0)
        assert {world.waiting(name) for name in names} == {"OutOfCredit"}
    world.cloud.out_of_credit(False)
    # The one that is let through to try, and then all others at once.
    world.run_until(lambda: any(map(world.is_running, names)), within=CANARY_SECONDS + START_SECONDS)
    world.run_until(lambda: all(map(world.is_running, names)), within=START_SECONDS)
    assert len(world.cloud.overview()) == len(names)


def test_starts_without_credit_are_few() -> None:
    world = BlockedPods()
    names = [f"web-{number}" for number in range(5)]
    for name in names:
        world.create_pod(name)
    world.run_until(lambda: all(map(world.is_running, names)), within=2 * START_SECONDS)
    world.cloud.out_of_credit(True)
    world.run(600.0)
    before = world.requests("start_container_group")
    world.run(3_600.0)
    assert 1 <= world.requests("start_container_group") - before <= 3_600.0 / CANARY_SECONDS + 1


@pytest.mark.parametrize("waited", [15.0, LONG_SECONDS])
def test_a_pod_shows_a_refused_key_and_starts_when_the_key_is_valid_again(waited: float) -> None:
    world = BlockedPods()
    world.run(10.0)
    world.cloud.refuse_keys(True)
    world.create_pod()
    world.create_pod("gpu", container=GPU)
    world.run(waited)
    for name in ("web", "gpu"):
        assert_blocked(world, "ApiKeyRefused", name=name)
    assert not world.cloud.overview()
    world.cloud.refuse_keys(False)
    # One poll finds out.
    world.run_until(lambda: len(world.cloud.overview()) == 2, within=6.0)
    world.run_until(lambda: world.is_running() and world.is_running("gpu"), within=START_SECONDS)


def test_a_pod_shows_a_key_that_was_refused_from_the_start() -> None:
    world = BlockedPods()
    world.cloud.refuse_keys(True)
    world.restart()
    world.create_pod("gpu", container=GPU)
    world.run(LONG_SECONDS)
    assert_blocked(world, "ApiKeyRefused", name="gpu")
    assert world.requests("create_container_group") == 0
    world.cloud.refuse_keys(False)
    # The classes are asked for anew every 15 s.
    world.run_until(world.cloud.overview, within=16.0)
    world.run_until(lambda: world.is_running("gpu"), within=START_SECONDS)


def test_an_outage_of_hours_ends_for_a_waiting_pod_with_the_first_answer() -> None:
    world = BlockedPods()
    world.run(10.0)
    world.cloud.outage("503")
    world.create_pod()
    world.run(2 * 3_600.0)
    assert not world.cloud.overview()
    world.cloud.outage(None)
    # The create of two hours ago may still be on its way; absence counts when it was said for two minutes.
    world.run_until(world.cloud.overview, within=CREATE_SETTLE_SECONDS + 20.0)


def test_the_gateways_host_name_is_told_once_and_written_on_the_pod() -> None:
    world = BlockedPods(dns_delay=20.0)
    world.create_pod(annotations={"salad.com/networking-port": "8080"})
    world.run(600.0)
    host = pods.annotations_of(world.pod())["salad.com/access-domain-name"]
    (group,) = world.cloud.overview()
    world.cloud.reallocate(group["name"])
    world.run(600.0)
    assert world.is_running() and "Interrupted" in world.reasons()
    (told,) = [event for event in world.cluster.events_of("web") if event["reason"] == "AddressAssigned"]
    assert host in told["message"] and (told["type"], told["count"]) == ("Normal", 1)
    world.restart()
    world.run(600.0)
    told_then = [event["count"] for event in world.cluster.events_of("web") if event["reason"] == "AddressAssigned"]
    assert told_then == [1]


def test_container_ports_open_nothing_by_themselves() -> None:
    world = BlockedPods()
    world.create_pod(container={"ports": [{"containerPort": 8080, "name": "http"}]})
    world.run(60.0)
    assert world.is_running()
    (request,) = world.cloud.requests().values()
    assert "networking" not in request
    assert "salad.com/access-domain-name" not in pods.annotations_of(world.pod())
    assert "AddressAssigned" not in world.reasons()


def test_a_running_pod_does_not_care_for_any_of_this() -> None:
    world = BlockedPods()
    world.create_secret(manifests.secret("token", {"t": "x"}))
    annotations = {"salad.com/gpu-classes": "RTX 4090 (24 GB)", "salad.com/max-price-per-hour": "0.30"}
    world.run(10.0)
    world.create_pod(annotations=annotations, container={**GPU, "env": [manifests.from_secret("T", "token", "t")]})
    world.run_until(world.is_running, within=START_SECONDS)
    before = world.pod()["status"]
    world.replace_secret(manifests.secret("token", {"t": "y"}))
    world.cloud.price_gpu_class("RTX 4090 (24 GB)", 9.0)
    world.run(LONG_SECONDS)
    world.cloud.withdraw_gpu_class("RTX 4090 (24 GB)")
    world.run(LONG_SECONDS)
    assert world.pod()["status"] == before
    assert world.requests("create_container_group") == 1 and world.requests("update_container_group") == 0
