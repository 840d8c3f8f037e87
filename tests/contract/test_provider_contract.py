"""The SaladCloud provider against the simulated SaladCloud: the promises of the seam, and DESIGN's table of states."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.cloud_transport import CloudSettings
from tests.support.provider_world import CLUSTER, FollowedPod, ProviderWorld
from virtual_kubelet_salad.errors import Blocked, Conflict, CouldNotAsk, NotFound
from virtual_kubelet_salad.kubelet.provider import Inputs, State


@pytest.fixture
def world() -> ProviderWorld:
    return ProviderWorld()


def _started_at(pod: FollowedPod) -> str:
    return str(pod.container["state"]["running"]["startedAt"])


# -- the seam's promises


def test_a_created_workload_is_seen_at_once_and_is_ours(world: ProviderWorld) -> None:
    pod = world.pod()
    workload = world.provider.observe(pod.name, None)
    assert workload is not None and workload.owner == pod.owner and workload.state is State.STARTING
    assert world.provider.exists(pod.name) == pod.owner
    assert world.provider.newest_attempt(pod.owner.uid) == 0


def test_what_does_not_exist_is_none_false_or_not_found(world: ProviderWorld) -> None:
    name = world.provider.workload_name(CLUSTER, "nobody", "no uid", 0)
    assert world.provider.observe(name, None) is None
    assert world.provider.exists(name) is False
    with pytest.raises(NotFound):
        world.provider.delete(name)
    with pytest.raises(NotFound):
        world.provider.start(name)


def test_a_second_create_of_one_name_is_a_conflict(world: ProviderWorld) -> None:
    pod = world.pod()
    with pytest.raises(Conflict):
        pod.create()


def test_a_create_without_an_answer_may_be_applied(world: ProviderWorld) -> None:
    world.model.fail_next(1, "reset", applied=True, operation="create_container_group")
    pod = FollowedPod(world, "web", "Always")
    with pytest.raises(CouldNotAsk) as caught:
        pod.create()
    assert caught.value.may_be_applied
    assert world.provider.exists(pod.name) == pod.owner


def test_what_an_answer_shows_exists_though_a_newer_list_does_not_show_it(
    world: ProviderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list may be some seconds behind; who took its silence for a name of somebody else's would create it twice."""
    pod, cache = world.pod(), world.provider._cache
    put = cache.put

    def overtaken(raw: Any, asked_at: float) -> object:
        found = put(raw, asked_at)
        cache.put_list([], asked_at + 0.1)
        return found

    monkeypatch.setattr(cache, "put", overtaken)
    assert world.provider.exists(pod.name) == pod.owner


def test_a_deleted_workload_goes_from_list_and_by_name(world: ProviderWorld) -> None:
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.provider.delete(pod.name)
    world.run(10)
    assert world.provider.observe(pod.name, None) is None
    snapshot = world.provider.snapshot()
    assert snapshot is not None and snapshot.is_complete and snapshot.sightings == ()


def test_a_group_of_somebody_else_is_seen_without_an_owner(world: ProviderWorld) -> None:
    pod = FollowedPod(world, "web", "Always")
    plan = world.provider.plan(pod.pod, Inputs(environment=(), secrets={}), pod.owner)
    request = {**plan.request, "name": "somebody-elses", "container": {**plan.request["container"]}}
    request["container"]["environment_variables"] = {"A": "b"}
    world.provider._client.create_group(request)
    assert world.provider.exists("somebody-elses") is True
    world.run(6)
    snapshot = world.provider.snapshot()
    assert snapshot is not None and [sighting.owner for sighting in snapshot.sightings] == [None]


@pytest.mark.parametrize(
    "fault", ["500", "502", "408", "429", "html200", "garbage", "reset", "403", "organization_not_found"]
)
def test_an_outage_never_makes_a_workload_disappear(world: ProviderWorld, fault: str) -> None:
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.model.outage(fault)
    begun = world.clock.monotonic()
    for _ in range(30):
        world.clock.advance(5)
        world.provider.poller.step()
        world.provider.feed.step()
        try:
            assert pod.look() is not None
        except CouldNotAsk:
            pass
    assert pod.phase == "Running" and pod.is_ready
    reachability = world.provider.reachability()
    assert not reachability.is_reachable and reachability.since <= begun + 20
    world.model.outage(None)
    world.run(60)
    assert world.provider.reachability().is_reachable


def test_a_refused_key_is_told_apart_from_an_outage(world: ProviderWorld) -> None:
    world.model.refuse_keys(True)
    world.run(1)
    assert world.provider.reachability().reason == "ApiKeyRefused"


def test_locations_lead_back_to_names(world: ProviderWorld) -> None:
    name = world.provider.workload_name(CLUSTER, "web", "uid", 3)
    assert world.provider.name_at(world.provider.location(name)) == name
    assert world.provider.name_at(f"another/default/{name}") is None
    for nonsense in ("", name, "a/b", "a/b/c/d", f"sandbox/default/{name}/", "sandbox/default/UPPER"):
        with pytest.raises(ValueError, match="not the location"):
            world.provider.name_at(nonsense)


def test_capacity_is_known_after_the_first_look_at_the_catalog(world: ProviderWorld) -> None:
    assert world.provider.capacity() is None
    world.pod()
    world.step()
    capacity = world.provider.capacity()
    assert capacity is not None and (capacity.workloads, capacity.workloads_used) == (1_000, 1)
    assert capacity.largest["nvidia.com/gpu"] >= 1 and capacity.largest["memory"] >= 60 * 2**30


# -- the table of states


def test_a_pod_comes_up_through_every_state_in_order() -> None:
    world = ProviderWorld(preparation=20.0, allocation=20.0, download=90.0, create=40.0, rows_while_allocating=True)
    pod = world.pod()
    reasons: list[str] = []
    messages: list[str] = []
    while not pod.is_ready:
        world.step()
        waiting = (pod.container.get("state") or {}).get("waiting") or {}
        if waiting and (not reasons or reasons[-1] != waiting["reason"]):
            reasons.append(waiting["reason"])
        messages.append(waiting.get("message", ""))
    assert reasons == ["ImagePreparing", "Allocating", "Downloading", "ContainerCreating"]
    assert any(re.search(r" (?!0 )\d+ %; ", message) for message in messages)
    assert pod.pod["metadata"]["annotations"]["salad.com/machine-id"]


@pytest.mark.parametrize("is_fraction", [True, False])
def test_progress_is_percent_in_both_forms(is_fraction: bool) -> None:
    world = ProviderWorld(download=300.0, progress_is_a_fraction=is_fraction)
    pod = world.pod()
    world.run_until(lambda: pod.waiting == "Downloading")
    world.run(120)
    message = pod.container["state"]["waiting"]["message"]
    percent = re.search(r" (\d+) %; ", message)
    assert percent is not None and 20 <= int(percent[1]) <= 80


def test_a_host_name_that_comes_late_is_written_back(world: ProviderWorld) -> None:
    pod = FollowedPod(world, "web", "Always")
    pod.pod["metadata"]["annotations"] = {"salad.com/networking-port": "8080"}
    pod.create()
    world.pods[pod.owner.uid] = pod
    world.run(15)
    assert pod.pod["metadata"]["annotations"]["salad.com/access-domain-name"].endswith(".salad.cloud")


def test_an_image_that_cannot_be_prepared_fails_the_workload(world: ProviderWorld) -> None:
    pod = world.pod(image="fail manifest unknown")
    world.run(6)
    workload = world.provider.observe(pod.name, None)
    assert workload is not None and workload.state is State.FAILED
    assert (workload.reason, workload.message) == ("ErrImagePull", "manifest unknown")


def test_readiness_follows_the_instance(world: ProviderWorld) -> None:
    probe = {"readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 5}}
    pod = world.pod(container=probe)
    world.run_until(lambda: pod.is_ready)
    world.model.set_ready(pod.name, False)
    world.run_until(lambda: not pod.is_ready, within=20)
    assert pod.phase == "Running" and pod.container["restartCount"] == 0
    started_at = _started_at(pod)
    world.model.set_ready(pod.name, True)
    world.run_until(lambda: pod.is_ready, within=20)
    assert _started_at(pod) == started_at and pod.container["restartCount"] == 0


def test_a_stopped_group_is_stopped_and_runs_again_after_a_start(world: ProviderWorld) -> None:
    pod = world.pod()
    world.run_until(lambda: pod.is_ready)
    world.model.stop_group(pod.name)
    world.run(11)
    workload = pod.seen[-1]
    assert (workload.state, workload.reason) == (State.STOPPED, "Stopped") and "not by this node" in workload.message
    world.provider.start(pod.name)
    world.provider.start(pod.name)
    world.run(20)
    workload = world.provider.observe(pod.name, None)
    assert workload is not None and workload.run is not None


def test_many_groups_that_stop_at_once_are_out_of_credit_and_one_start_tries(world: ProviderWorld) -> None:
    followed = [world.pod(f"web-{number}") for number in range(4)]
    world.run_until(lambda: all(pod.is_ready for pod in followed))
    world.model.out_of_credit(True)
    world.run(11)
    workload = followed[0].look()
    assert workload is not None and (workload.state, workload.reason) == (State.STOPPED, "OutOfCredit")
    world.clock.advance(300)
    with pytest.raises(Blocked, match="credit"):
        world.provider.start(followed[0].name)
    starts = world.model.statistics()["requests_by_operation"]["start_container_group"]
    with pytest.raises(Blocked) as caught:
        world.provider.start(followed[1].name)
    assert 0 < (caught.value.retry_after or 0) <= 300
    assert world.model.statistics()["requests_by_operation"]["start_container_group"] == starts
    world.model.out_of_credit(False)
    world.clock.advance(300)
    for pod in followed:
        world.provider.start(pod.name)


# -- the budget


@pytest.mark.parametrize("count", [1, 40])
def test_at_rest_requests_do_not_grow_with_pods(count: int) -> None:
    world = ProviderWorld(seed=count)
    followed = world.many(count)
    world.run_until(lambda: all(pod.is_ready for pod in followed))
    world.run(200)
    before = world.model.statistics()["requests"]
    world.run(300)
    assert world.model.statistics()["requests"] - before <= 24 * 5


def test_a_hundred_pods_start_within_the_rate_limit() -> None:
    world = ProviderWorld(list_limit=None, operator=CloudSettings(salad_list_limit=0))
    begun = world.clock.monotonic()
    followed = world.many(100)
    world.run_until(lambda: all(pod.is_ready for pod in followed))
    statistics = world.model.statistics()
    assert "429" not in statistics["requests_by_code"]
    assert world.clock.monotonic() - begun <= 75


def test_a_cut_list_still_shows_every_pod_within_the_share() -> None:
    world = ProviderWorld(list_limit=10, operator=CloudSettings(salad_list_limit=10))
    followed = world.many(30)
    world.run_until(lambda: all(pod.is_ready for pod in followed), within=300)
    world.run(120)
    before = world.model.statistics()["requests"]
    world.run(600)
    assert world.model.statistics()["requests"] - before <= 84 * 10
    world.model.vanish(followed[-1].name)
    world.model.exit_container(followed[-2].name, 3)
    world.run_until(lambda: followed[-2].container["restartCount"] == 1, within=60)
    world.run(300)
    assert world.provider.observe(followed[-1].name, None) is None
    snapshot = world.provider.snapshot()
    assert snapshot is not None and not snapshot.is_complete


def test_no_request_violates_the_description(world: ProviderWorld) -> None:
    pods = [world.pod(f"web-{number}", exits=exits) for number, exits in enumerate(("", "1 after 5s", "0"))]
    world.run(120)
    for pod in pods:
        world.provider.delete(pod.name)
    statistics = world.model.statistics()
    assert statistics["schema_violations"] == 0, statistics["schema_violation_texts"]
    assert statistics["duplicates"] == [] and statistics["foreign_deletions"] == []
