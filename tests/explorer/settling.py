"""Faults stop, people repair what they broke; then everything must come to rest in the way that it should."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tests.explorer.fault_actions import GREAT_QUOTA
from tests.explorer.people_actions import JOBS, path_of, release
from tests.explorer.pod_kinds import FOREIGN_FINALIZER, LOOPS, NEVER_RUNS
from tests.explorer.rules import Violation, annotation, condition, is_claimed, is_finished
from tests.explorer.schedule import Schedule
from tests.explorer.world import STRATEGIC, WRONG_PROJECT, World
from virtual_kubelet_salad.sandbox.salad_catalog import NAMES
from virtual_kubelet_salad.sandbox.salad_world import Group

# What no registry has.
BAD_IMAGE = "does-not-exist"
# Simulated time in which everything must settle once faults have stopped: the longest backoff and wait, and some.
SETTLE_SECONDS = 7_200.0
LEAST_SECONDS = 60.0
LAST_OUTAGE_SECONDS = 5.0
# Where requests are counted when nothing happens any more.
REST_MINUTES = 15
MINUTE_SECONDS = 60.0
# Events are caught up in windows of five minutes, one a second.
CAUGHT_UP_SECONDS_PER_MINUTE = 60 * 300.0
# For list, feed, quota and classes; without a complete list the groups are asked for one by one.
REST_REQUESTS_PER_MINUTE = 24
REST_REQUESTS_PER_MINUTE_CAPPED = 84
SAFETY_READS_PER_MINUTE = 6
LEASE_SECONDS = 40.0


def settle(world: World) -> None:
    """Raises `Violation` when something does not come to rest."""
    _stop_faults(world)
    if world.let_go & {group.owner_uid for group in world.own_groups()}:
        # What no pod speaks for is found in a list only, so the list shows everything from now on.
        world.cloud.configure(list_limit=None)
    _empty_wrong_project(world)
    for process in list(world.processes):
        if process.project == WRONG_PROJECT:
            world.restart(process)
    _repair(world)
    schedule = Schedule(world)
    _fail_for_the_last_time(world, schedule)
    schedule.run(LEAST_SECONDS)
    _repair(world)
    if not schedule.run(SETTLE_SECONDS, until=lambda: not unsettled(world)):
        raise Violation("liveness", unsettled(world))
    _judge_rest(world, schedule)


def _stop_faults(world: World) -> None:
    world.fate = world.next_write_is_late_by = world.next_api_fault = world.frozen_in_call = None
    world.next_denied = None
    world.lists_that_omit = 0
    for name in NAMES:
        world.cloud.restore_gpu_class(name)
    world.api_is_down = False
    world.cloud.clear_faults()
    world.cloud.out_of_credit(False)
    world.cloud.configure(replica_quota=GREAT_QUOTA)
    world.key_in_file = world.key_in_cloud
    for group in list(world.cloud._world.groups.values()):
        if group.is_held:
            world.cloud._world.release(group)
    for process in world.processes:
        process.frozen_until = process.watch.dead_until = float("-inf")
        process.api_is_out_of_reach_until = process.cloud_is_out_of_reach_until = float("-inf")


def _fail_for_the_last_time(world: World, schedule: Schedule) -> None:
    """The daemons have heard of the repairs, and whatever they do then fails: nobody will remind them."""
    for process in world.processes:
        process.watch.deliver()
    world.api_is_down = True
    schedule.run(LAST_OUTAGE_SECONDS)
    world.api_is_down = False


def _empty_wrong_project(world: World) -> None:
    """Pods that were started in the wrong project are deleted before the mistake is put right."""
    mislaid = world.mislaid_pods()
    if not mislaid and not _groups_in_wrong_project(world):
        return
    for process in list(world.processes):
        if process.project != WRONG_PROJECT:
            world.restart(process, WRONG_PROJECT)
    for pod in world.api_model.all_of("pods"):
        if pod in mislaid or not is_claimed(pod):  # who is not claimed yet would be claimed there
            _drop_foreign_finalizer(world, pod)
            world.ask_api("DELETE", path_of(pod), {"gracePeriodSeconds": 0})
    schedule = Schedule(world, has_controllers=False)
    if not schedule.run(SETTLE_SECONDS, until=lambda: not world.mislaid_pods() and not _groups_in_wrong_project(world)):
        left = [pod["metadata"]["name"] for pod in world.mislaid_pods()] + _groups_in_wrong_project(world)
        raise Violation("liveness", f"{left} stay in the wrong project")


def _groups_in_wrong_project(world: World) -> list[str]:
    return [group.name for group in world.own_groups() if group.project == WRONG_PROJECT]


def _repair(world: World) -> None:
    """People put right what only they can."""
    world.restore_secrets()
    for job in world.api_model.all_of("jobs"):
        # It would make pods with that image again and again.
        if BAD_IMAGE in job["spec"]["template"]["spec"]["containers"][0]["image"]:
            world.ask_api("DELETE", f"{JOBS}/{job['metadata']['name']}")
    for pod in world.api_model.all_of("pods"):
        _drop_foreign_finalizer(world, pod)
        if annotation(pod, "explorer/released") and not annotation(pod, NEVER_RUNS):
            release(world, pod)
        elif annotation(pod, LOOPS):
            world.ask_api("DELETE", path_of(pod), {"gracePeriodSeconds": 0})
        elif BAD_IMAGE in pod["spec"]["containers"][0]["image"]:
            patch = {"spec": {"containers": [{"name": "main", "image": "image:0"}]}}
            world.ask_api("PATCH", path_of(pod), patch, STRATEGIC)
    for group in world.own_groups():
        for replica in group.replicas:
            if replica.state == "running" and not replica.ready and replica.started:
                world.cloud.set_ready(group.name, True)


def _drop_foreign_finalizer(world: World, pod: Mapping[str, Any]) -> None:
    if FOREIGN_FINALIZER in pod["metadata"].get("finalizers", []):
        patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FOREIGN_FINALIZER]}}
        world.ask_api("PATCH", path_of(pod), patch, STRATEGIC)


def unsettled(world: World) -> str:
    """What is not as it should be in the end; empty: nothing."""
    groups: dict[str, Group] = {group.owner_uid: group for group in world.own_groups() if group.owner_uid is not None}
    for pod in world.api_model.all_of("pods"):
        trouble = _trouble_with(world, pod, groups.pop(pod["metadata"]["uid"], None))
        if trouble:
            status = pod["status"]
            what = f"{status.get('phase')} {status.get('reason') or ''} {status.get('message') or ''}"
            return f"{pod['metadata']['name']} {what} {trouble}"
    if groups:
        return f"groups without a pod: {[group.name for group in groups.values()]}"
    for name in world.layout.nodes:
        node = world.api_model.look_up("nodes", "", name)
        if node is None or condition(node, "Ready") != "True" or condition(node, "SaladCloudReachable") != "True":
            return f"{name} is not there, or not ready, or cut off"
        if any(taint["key"].endswith("unreachable") for taint in node["spec"].get("taints") or []):
            return f"{name} has the taint of one that is cut off"
        if not any(process.node == name and process.is_active() for process in world.processes):
            return f"nobody leads for {name}"
    return ""


def _trouble_with(world: World, pod: Mapping[str, Any], group: Group | None) -> str:
    metadata, status = pod["metadata"], pod["status"]
    if metadata.get("deletionTimestamp"):
        return "is still terminating"
    if is_finished(pod) or annotation(pod, NEVER_RUNS):
        if group is not None:
            return "still has a group"
        return "is still claimed" if is_claimed(pod) else ""
    if group is None:
        return "has no group"
    if group.status != "running" or not world.cloud._world.counts(group)["running_count"]:
        return f": its group is {group.status}"
    if group.spec["container"]["image"] != pod["spec"]["containers"][0]["image"]:
        return "runs another image"
    ready = any(replica.ready for replica in group.replicas)
    if status.get("phase") != "Running" or (condition(pod, "Ready") == "True") != ready:
        return f"does not show that its group runs (ready {ready}, shown {condition(pod, 'Ready')})"
    return ""


def _judge_rest(world: World, schedule: Schedule) -> None:
    """Minutes in which nothing happens cost hardly a request, as soon as what had happened is read."""
    count = 0
    # After an outage of days the events of these days are read first, which takes its time.
    for _ in range(REST_MINUTES + math.ceil(world.elapsed_seconds() / CAUGHT_UP_SECONDS_PER_MINUTE)):
        before = _state(world)
        schedule.run(MINUTE_SECONDS)
        if unsettled(world) or _state(world) != before:
            return
        now, is_capped = world.clock.monotonic(), len(world.cloud._world.groups) >= world.layout.list_limit
        most = REST_REQUESTS_PER_MINUTE_CAPPED if is_capped else REST_REQUESTS_PER_MINUTE
        count = max(sum(at > now - MINUTE_SECONDS for at in process.calls) for process in world.processes)
        if count <= most + SAFETY_READS_PER_MINUTE:
            return
    raise Violation("I9", f"{count} requests in a minute in which nothing happened")


def _state(world: World) -> object:
    """What a daemon looks at."""
    versions = {pod["metadata"]["uid"]: pod["metadata"]["resourceVersion"] for pod in world.api_model.all_of("pods")}
    return versions, {name: group.text for name, group in world.cloud._world.groups.items()}
