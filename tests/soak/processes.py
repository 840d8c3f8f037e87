"""A daemon process for as long as one likes, with people, scrapes, faults and outages, and what it uses meanwhile."""

from __future__ import annotations

import dataclasses
import pathlib
import random
import re
import sys
import time

from tests.bench.process_usage import rss_mib
from tests.soak.growth import slope
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cloud_process import REPOSITORY, ApiServerProcess, CloudProcess, create_foreign_group
from tests.support.daemon_process import DaemonProcess
from tests.support.misfortune import Misfortune
from tests.support.scenarios import World, check_cloud
from tests.support.waiting import wait_until

MOST_PODS = 20
FOREIGN = ("somebodys-group", "web-abcdefghijkl")
OUTAGES = ("401", "403", "408", "429", "503", "504", "garbage", "html200", "reset")
API_OUTAGE: tuple[dict[str, object], ...] = (
    {"kind": "close", "method": "PATCH", "path_part": "/status"},
    {"kind": "status", "code": 503, "watches": True},
)
API_OUTAGES = 0.3
SAMPLE_SECONDS = 2.0
ACT_SECONDS = 6.0
STRIKES_PER_ACT = 0.3
TELL_SECONDS = 60.0
OUTAGE_EVERY_SECONDS, OUTAGE_SECONDS = 150.0, 20.0
SETTLE_SECONDS = 240.0
# Imports, pools and caches fill at first, and the allocator keeps what the greatest crowd and the worst outage took. So
# that these come first, the warm-up has more of both than what follows.
WARM_UP_PART = 0.4
PODS_AT_WARM_UP, OUTAGE_EVERY_SECONDS_AT_WARM_UP = 40, 60.0
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
        kubeconfig, environment = api_server.kubeconfig(), {"MALLOC_ARENA_MAX": _arenas_of_the_image()}
        daemon = DaemonProcess(directory, kubeconfig, cloud.url, "--create-settle", "20s", environment=environment)
        with daemon:
            daemon.wait_until_ready()
            world = World(seen.over_http(api_server.url), cloud, daemon)
            samples, pods = _Life(world, api_server, chance).live(minutes * MINUTE_SECONDS)
            world.until(lambda: world.requests("create_container_group") > 0, "a create", SETTLE_SECONDS)
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


class _Life:
    """What happens around the daemon."""

    def __init__(self, world: World, api_server: ApiServerProcess, chance: random.Random) -> None:
        self._world = world
        self._api_server = api_server
        self._chance = chance
        self._misfortune = Misfortune(world.cloud, chance, api_server)
        self._count = 0
        self._is_outage = False

    def live(self, seconds: float) -> tuple[list[Sample], int]:
        """The samples, and how many pods there were. In the end nothing fails any more."""
        begun = time.monotonic()
        samples: list[Sample] = []
        act_at, tell_at, outage_at, outage_ends = 0.0, 0.0, OUTAGE_EVERY_SECONDS_AT_WARM_UP, float("inf")
        while not samples or samples[-1].seconds < seconds:
            now = time.monotonic() - begun
            is_warm = now >= WARM_UP_PART * seconds
            if now >= act_at:
                self._act(MOST_PODS if is_warm else PODS_AT_WARM_UP)
                act_at = now + ACT_SECONDS
            if now >= outage_at:
                self._begin_outage()
                every = OUTAGE_EVERY_SECONDS if is_warm else OUTAGE_EVERY_SECONDS_AT_WARM_UP
                outage_at, outage_ends = now + every, now + OUTAGE_SECONDS
            if now >= outage_ends:
                self._end_outage()
                outage_ends = float("inf")
            samples.append(_sample(self._world.daemon, now))
            if now >= tell_at:
                print(f"{samples[-1]}, {self._count} pods so far", file=sys.stderr, flush=True)
                tell_at = now + TELL_SECONDS
            next_at = begun + now + SAMPLE_SECONDS
            wait_until(lambda: time.monotonic() >= next_at, timeout=60.0, what="the next sample")  # noqa: B023
        self._end_outage()
        return samples, self._count

    def _begin_outage(self) -> None:
        self._is_outage = True
        if self._chance.random() >= API_OUTAGES:
            self._world.cloud.control("outage", kind=self._chance.choice(OUTAGES))
            return
        for fault in API_OUTAGE:
            self._api_server.fault(**fault)

    def _end_outage(self) -> None:
        self._is_outage = False
        self._misfortune.end()

    def _act(self, most_pods: int) -> None:
        """What people do, and a scrape."""
        world, chance = self._world, self._chance
        assert world.daemon.get("/metrics").status == 200
        present = [pod["metadata"]["name"] for pod in world.pods() if "deletionTimestamp" not in pod["metadata"]]
        if not self._is_outage:
            self._misfortune.end()
        for name in present:
            if chance.random() < 0.12:
                world.cluster.delete_pod(name, grace_seconds=0 if chance.random() < 0.3 else None)
        for _ in range(max(0, min(chance.randint(0, most_pods // 6), most_pods - len(present)))):
            self._create()
        if not self._is_outage and chance.random() < STRIKES_PER_ACT:
            self._misfortune.strike()

    def _create(self) -> None:
        chance = self._chance
        self._count += 1
        if chance.random() < 0.4:
            environment = manifests.exits(chance.choice((0, 3)), round(chance.uniform(1.0, 30.0), 1))
            pod = manifests.pod(f"once-{self._count}", restart_policy="Never", environment=environment)
        else:
            pod = manifests.pod(f"web-{self._count}")
        self._world.cluster.create_pod(pod)


def _arenas_of_the_image() -> str:
    """What ships is what is watched."""
    found = re.search(r"MALLOC_ARENA_MAX=(\d+)", (REPOSITORY / "Dockerfile").read_text())
    assert found is not None
    return found[1]


def _sample(daemon: DaemonProcess, seconds: float) -> Sample:
    process = pathlib.Path("/proc") / str(daemon.pid)
    files = sum(1 for _ in (process / "fd").iterdir())
    threads = sum(1 for _ in (process / "task").iterdir())
    return Sample(seconds, rss_mib(daemon.pid), threads, files)
