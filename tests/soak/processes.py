"""A daemon process for as long as one likes, with people, faults and outages, and what it uses meanwhile."""

from __future__ import annotations

import dataclasses
import pathlib
import random
import time

from tests.bench.process_usage import rss_mib
from tests.soak.growth import slope
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cloud_process import ApiServerProcess, CloudProcess, create_foreign_group
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import World, check_cloud
from tests.support.waiting import wait_until

MOST_PODS = 20
FOREIGN = ("somebodys-group", "web-abcdefghijkl")
FAULTS = ("503", "504", "408", "reset", "garbage")
# Each halves our rate, which comes back by 20 requests per minute.
RATE_LIMITS_PER_OUTAGE = 0.25
SAMPLE_SECONDS = 2.0
ACT_SECONDS = 6.0
OUTAGE_EVERY_SECONDS, OUTAGE_SECONDS = 150.0, 20.0
SETTLE_SECONDS = 240.0
# Imports, pools and caches fill at first.
WARM_UP_PART = 0.25
MINUTE_SECONDS, HOUR_SECONDS = 60.0, 3_600.0


@dataclasses.dataclass(frozen=True)
class Sample:
    seconds: float
    rss_mib: float
    threads: int
    files: int


@dataclasses.dataclass(frozen=True)
class Report:
    """`slope` values leave the warm-up out."""

    minutes: float
    pods: int
    creates: int
    requests: int
    rss_at_warm_mib: float
    rss_at_end_mib: float
    rss_slope_mib_per_hour: float
    threads_at_warm: int
    threads_at_end: int
    files_at_warm: int
    files_at_end: int


def run(directory: pathlib.Path, minutes: float, seed: int) -> Report:
    """Raises AssertionError when something leaks, doubles, does not settle or is logged that must not be."""
    chance = random.Random(seed)
    cloud_flags = ("--profile", "fast", "--latency", "0.05", "--seed", str(seed))
    with CloudProcess(directory, *cloud_flags) as cloud, ApiServerProcess(directory) as api_server:
        for name in FOREIGN:
            create_foreign_group(cloud, name)
        daemon = DaemonProcess(directory, api_server.kubeconfig(), cloud.url, "--create-settle", "20s")
        with daemon:
            daemon.wait_until_ready()
            world = World(seen.over_http(api_server.url), cloud, daemon)
            samples, pods = _live(world, chance, minutes * MINUTE_SECONDS)
            cloud.control("clear_faults")
            for pod in world.pods():
                world.cluster.delete_pod(pod["metadata"]["name"])
            world.until_nothing_is_left(keep=FOREIGN, timeout=SETTLE_SECONDS)
            last = _sample(daemon, samples[-1].seconds)
            check_cloud(cloud, FOREIGN)
            statistics = cloud.statistics()
            assert daemon.stop() == 0
            assert daemon.problems() == []
    warm = [sample for sample in samples if sample.seconds >= WARM_UP_PART * samples[-1].seconds]
    return Report(
        minutes=minutes,
        pods=pods,
        creates=statistics["requests_by_operation"].get("create_container_group", 0),
        requests=statistics["requests"],
        rss_at_warm_mib=warm[0].rss_mib,
        rss_at_end_mib=last.rss_mib,
        rss_slope_mib_per_hour=slope([(sample.seconds, sample.rss_mib) for sample in warm]) * HOUR_SECONDS,
        threads_at_warm=warm[0].threads,
        threads_at_end=last.threads,
        files_at_warm=warm[0].files,
        files_at_end=last.files,
    )


def _live(world: World, chance: random.Random, seconds: float) -> tuple[list[Sample], int]:
    begun = time.monotonic()
    samples: list[Sample] = []
    count, act_at, outage_at, outage_ends = 0, 0.0, OUTAGE_EVERY_SECONDS, float("inf")
    while not samples or samples[-1].seconds < seconds:
        now = time.monotonic() - begun
        if now >= act_at:
            count += _act(world, chance, count)
            act_at = now + ACT_SECONDS
        if now >= outage_at:
            world.cloud.control("outage", kind=chance.choice(FAULTS))
            if chance.random() < RATE_LIMITS_PER_OUTAGE:
                world.cloud.control("fail_next", count=1, kind="429-retry-after")
            outage_at, outage_ends = now + OUTAGE_EVERY_SECONDS, now + OUTAGE_SECONDS
        if now >= outage_ends:
            world.cloud.control("outage", kind=None)
            outage_ends = float("inf")
        samples.append(_sample(world.daemon, now))
        next_at = begun + now + SAMPLE_SECONDS
        wait_until(lambda: time.monotonic() >= next_at, timeout=60.0, what="the next sample")  # noqa: B023
    return samples, count


def _act(world: World, chance: random.Random, count: int) -> int:
    """What people do; returns how many pods they have created."""
    present = [pod["metadata"]["name"] for pod in world.pods() if "deletionTimestamp" not in pod["metadata"]]
    for name in present:
        if chance.random() < 0.12:
            world.cluster.delete_pod(name, grace_seconds=0 if chance.random() < 0.3 else None)
    if chance.random() < 0.3:
        kind, is_applied = chance.choice(FAULTS), chance.random() < 0.5
        world.cloud.control("fail_next", count=chance.randint(1, 3), kind=kind, applied=is_applied)
    created = max(0, min(chance.randint(0, 3), MOST_PODS - len(present)))
    for number in range(count, count + created):
        if chance.random() < 0.4:
            environment = manifests.exits(chance.choice((0, 3)), round(chance.uniform(1.0, 30.0), 1))
            pod = manifests.pod(f"once-{number}", restart_policy="Never", environment=environment)
        else:
            pod = manifests.pod(f"web-{number}")
        world.cluster.create_pod(pod)
    return created


def _sample(daemon: DaemonProcess, seconds: float) -> Sample:
    process = pathlib.Path("/proc") / str(daemon.pid)
    files = sum(1 for _ in (process / "fd").iterdir())
    threads = sum(1 for _ in (process / "task").iterdir())
    return Sample(seconds, rss_mib(daemon.pid), threads, files)
