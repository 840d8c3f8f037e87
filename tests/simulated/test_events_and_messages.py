"""What a pod says while it starts, waits and ends, in messages and Events, for hours and across restarts."""

from __future__ import annotations

import re
from typing import Any

from tests.simulated.blocked_pods import GPU, LONG_SECONDS, BlockedPods
from tests.support import cluster as seen
from tests.support import manifests

TIME = r"2026-01-01T\d\d:\d\d:\d\dZ"
SLOW: dict[str, Any] = {"preparation": 30.0, "allocation": 600.0, "download": 300.0, "create": 60.0}


def told(world: BlockedPods, name: str = "web") -> dict[str, int]:
    """How often each Event was told."""
    counts: dict[str, int] = {}
    for event in world.cluster.events_of(name):
        counts[event["reason"]] = counts.get(event["reason"], 0) + event["count"]
    return counts


def texts(world: BlockedPods, reason: str, name: str = "web") -> list[str]:
    return [event["message"] for event in world.cluster.events_of(name) if event["reason"] == reason]


def message(world: BlockedPods, name: str = "web") -> str:
    return str(world.status(name).get("message", ""))


def until_waiting(world: BlockedPods, reason: str, within: float = 1_000.0, name: str = "web") -> str:
    world.run_until(lambda: world.waiting(name) == reason, within)
    return message(world, name)


def version(world: BlockedPods, name: str = "web") -> str:
    return str(world.pod(name)["metadata"]["resourceVersion"])


def test_a_gpu_pod_says_at_each_stage_what_it_waits_for_since_when_and_what_is_next() -> None:
    world = BlockedPods(**SLOW)
    world.create_pod(annotations={"salad.com/gpu-classes": "RTX 3090 (24 GB), RTX 4090 (24 GB)"}, container=GPU)
    text = until_waiting(world, "ImagePreparing")
    assert re.fullmatch(rf"Preparing the container image; a machine is looked for next \(waiting since {TIME}\)", text)
    text = until_waiting(world, "Allocating")
    assert re.fullmatch(
        r"SaladCloud looks for a machine with RTX 3090 \(24 GB\) or RTX 4090 \(24 GB\) at priority high; "
        rf"it downloads the image next \(waiting since {TIME}\)",
        text,
    )
    assert seen.condition(world.pod(), "PodReadyToStartContainers") == "False"
    before = version(world)
    world.run(500.0)
    assert version(world) == before, "nothing is written while nothing happens"
    text = until_waiting(world, "Downloading")
    pattern = rf"The machine downloads the image: (\d+) %; it creates the container next \((since {TIME})\)"
    found = re.fullmatch(pattern, text)
    assert found is not None
    assert seen.condition(world.pod(), "PodReadyToStartContainers") == "True"
    assert world.pod()["metadata"]["annotations"]["salad.com/machine-id"]
    world.run(120.0)
    later = re.fullmatch(pattern, message(world))
    assert later is not None and int(later[1]) > int(found[1]) and later[2] == found[2]
    text = until_waiting(world, "ContainerCreating")
    assert re.fullmatch(rf"The machine creates the container; it starts next \(since {TIME}\)", text)
    world.run_until(world.is_running, 200.0)
    assert message(world) == ""


def test_a_start_is_told_in_order_and_a_restart_of_the_daemon_tells_nothing_again() -> None:
    world = BlockedPods(**SLOW, dns_delay=700.0)
    world.create_pod(annotations={"salad.com/networking-port": "8080"}, container=GPU)
    for _ in range(12):
        world.run(100.0)
        world.restart()
    assert world.is_running()
    steps = ["GpuClassesChosen", "Allocated", "AddressAssigned", "Pulling", "Pulled", "Started"]
    assert told(world) == dict.fromkeys(steps, 1)
    (machine,) = texts(world, "Allocated")
    assert machine == f"Allocated machine {world.pod()['metadata']['annotations']['salad.com/machine-id']}"


def test_the_length_of_a_download_is_that_of_the_download() -> None:
    world = BlockedPods(**SLOW)
    world.create_pod()
    world.run_until(world.is_running, 2_000.0)
    assert texts(world, "Pulling") == ['Pulling image "registry.example/server:1"']
    assert texts(world, "Pulled") == ['Successfully pulled image "registry.example/server:1" in 5m0s']


def test_an_interruption_is_told_with_its_reason_and_the_next_machine_too() -> None:
    world = BlockedPods(allocation=60.0, download=60.0)
    world.create_pod(container=GPU)
    world.run_until(world.is_running, 300.0)
    world.run(60.0)
    world.cloud.node_offline(world.group())
    text = until_waiting(world, "Reallocating")
    ended = world.container()["lastState"]["terminated"]["finishedAt"]
    assert text.startswith("SaladCloud looks for another machine with ")
    assert text.endswith(f" more at priority high; it downloads the image next (waiting since {ended})")
    world.run(2.0)
    world.restart()
    world.run_until(world.is_running, 300.0)
    world.run(60.0)
    assert texts(world, "Interrupted") == ["Instance Interrupted (Node Offline)"]
    counts = told(world)
    assert (counts["Interrupted"], counts["Allocated"], counts["Pulling"], counts["Started"]) == (1, 2, 2, 2)
    assert len(set(texts(world, "Allocated"))) == 2


def test_a_job_tells_its_exit_once_with_its_code() -> None:
    world = BlockedPods()
    world.create_pod(policy="Never", container={"env": [{"name": "SIM_EXIT", "value": "3 after 20s"}]})
    world.run_until(lambda: world.phase() == "Failed", 120.0)
    world.run(2.0)
    world.restart()
    world.run(300.0)
    (text,) = texts(world, "Exited")
    assert text == "Container main exited with code 3 (Error): Instance Exited:3 (Error)"
    assert told(world)["Exited"] == 1


def test_a_crash_loop_is_a_few_events_that_count() -> None:
    world = BlockedPods()
    world.create_pod(container={"env": [{"name": "SIM_EXIT", "value": "1 after 45s"}]})
    world.run(2_400.0)
    restarts = world.container()["restartCount"]
    assert restarts > 20
    world.run(900.0)
    counts = told(world)
    assert counts["Exited"] > 20 and counts["Started"] > 20
    kinds = {event["reason"] for event in world.cluster.events_of("web")}
    assert len(world.cluster.events_of("web")) <= 2 * len(kinds) + counts["Allocated"]
    # Each is one write: 25, and then one in five minutes.
    writes = sum(process.daemon.recorder.posted for process in world.processes)
    assert writes <= 25 + 3_300 / 300 + 2


def test_what_holds_a_pod_back_says_when_it_is_tried_next() -> None:
    """Quota, class, price and source; each is told as an Event of the same reason too."""
    world = BlockedPods(replica_quota=0)
    world.create_pod("quota")
    world.create_pod("class", annotations={"salad.com/gpu-classes": "RTX 9999"}, container=GPU)
    world.create_pod("price", annotations={"salad.com/max-price-per-hour": "0.0001"}, container=GPU)
    source = manifests.from_secret("TOKEN", "tokens", "t")
    world.create_pod("source", container={"env": [source]})
    world.run(60.0)
    next_try = rf" \(waiting since {TIME}; next try at {TIME} at the latest\)"
    for name, reason in (("quota", "QuotaExceeded"), ("class", "UnknownGpuClass"), ("price", "NoGpuClassFits")):
        assert world.waiting(name) == reason
        assert re.search(next_try + "$", message(world, name)), message(world, name)
        assert told(world, name)[reason] >= 1
    assert message(world, "source").endswith("; looked for again every 10 s)")
    world.run(LONG_SECONDS)
    versions = {name: int(version(world, name)) for name in ("quota", "class", "price", "source")}
    world.run(1_800.0)
    for name in ("quota", "class", "price"):
        assert told(world, name).keys() == {"GpuClassesChosen", *told(world, name)} - {"GpuClassesChosen"}
        # A write for each try, one in ten minutes.
        assert world.waiting(name) and int(version(world, name)) > versions[name]
    assert int(version(world, "source")) == versions["source"]


def test_out_of_credit_is_told_and_costs_no_write_while_it_lasts() -> None:
    world = BlockedPods()
    world.create_pod()
    world.run_until(world.is_running)
    world.run(60.0)
    world.cloud.out_of_credit(True)
    world.run(900.0)
    world.create_pod("late")
    world.run(60.0)
    assert world.waiting() == world.waiting("late") == "OutOfCredit"
    assert "one start is tried every 5 minutes" in message(world)
    assert re.search(rf"next try at {TIME} at the latest\)$", message(world, "late"))
    assert told(world)["OutOfCredit"] == 1
    before = version(world)
    world.run(1_800.0)
    assert version(world) == before
    world.cloud.out_of_credit(False)
    world.run_until(lambda: world.is_running() and world.is_running("late"), 1_000.0)


def test_when_saladcloud_is_down_a_new_pod_says_so() -> None:
    world = BlockedPods()
    world.cloud.outage("503")
    world.create_pod()
    world.run(120.0)
    (text,) = texts(world, "CreationWaits")
    assert text == "the pod's container group cannot be created now, and is tried again: SaladCloud answered 503"
    world.cloud.outage(None)
    world.run_until(world.is_running, 300.0)


def test_events_cost_no_request_to_saladcloud() -> None:
    """A start of 21 minutes is read as often as its stages need: once for each change and each 30 s of its download."""
    world = BlockedPods(**SLOW)
    world.create_pod()
    world.run_until(world.is_running, 2_000.0)
    reads = world.requests("list_container_group_instances")
    assert reads <= (SLOW["download"] + SLOW["create"]) / 30.0 + 4
