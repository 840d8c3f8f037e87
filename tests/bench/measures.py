"""The measures, each in a world of its own and bounded in time. `MEASURES` is the list of all.

A value that was not reached within a measure's bound is reported as such (a miss), never waited for without end. "At
rest" is a minute that begins `SETTLE_SECONDS` after the last pod became ready.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.bench import log_followers, process_usage
from tests.bench.report import Reading, held, told
from tests.bench.watching import is_ready
from tests.bench.world import World
from virtual_kubelet_salad.saladcloud.output_order import HELD
from virtual_kubelet_salad.saladcloud.output_tail import INTERVAL_SECONDS, SECONDS_PER_PAGE

SETTLE_SECONDS = 15.0
# From the daemon's start to the first pod: its own first questions are answered and the budget is full again.
FIRST_PAUSE_SECONDS = 10.0
REST_SECONDS = 60.0
# Longer than any change of these measures needs to be seen: the pod stays without a machine that long.
ALLOCATION_SECONDS = 45.0
CHANGES = 100
CHANGE_SPACING_SECONDS = 0.5
# A line is held back for its order, then shown with the next query; the rest is for the query and this machine.
LOG_SECONDS = HELD.total_seconds() + INTERVAL_SECONDS + 1.0
# What 50 pods write in an interval may take a second page, for which all wait.
TWO_PAGES_LOG_SECONDS = HELD.total_seconds() + 2 * SECONDS_PER_PAGE + 1.0
LOG_REQUESTS_PER_MINUTE = 30


@dataclasses.dataclass
class Run:
    """One run of the bench. `details` is for the JSON: what explains the readings."""

    seed: int
    is_long: bool
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def world(self, **arguments: Any) -> Iterator[World]:
        """A world with a temporary directory; it is shown where, so that logs can be read while it runs."""
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            print(f"  logs in {directory}", flush=True)
            with World(pathlib.Path(directory), seed=self.seed, **arguments) as world:
                yield world


@dataclasses.dataclass(frozen=True)
class Measure:
    name: str
    about: str
    run: Callable[[Run], Iterator[Reading]]


# Parts


def _start(run: Run, world: World, count: int, bound: float) -> tuple[float, float | None, float | None, float | None]:
    """Creates pods at once and waits until all are ready: the moment of the first create, and how many seconds later
    the last group was there, the last pod Running, the last one Ready."""
    world.let_pass(FIRST_PAUSE_SECONDS)
    created: float | None = None
    begun = time.monotonic()

    def all_ready() -> bool:
        nonlocal created
        if created is None and world.statistics()["groups"] >= count:
            created = time.monotonic() - begun
        return created is not None and len(world.pods.ready()) >= count

    with world.usage(run.details.setdefault(f"start of {count}", {})):
        world.create_pods(count)
        world.reached(all_ready, bound)
    running, ready = world.pods.running(), world.pods.ready()
    return (
        begun,
        created,
        running[-1] - begun if len(running) == count else None,
        ready[-1] - begun if len(ready) == count else None,
    )


def _rest(run: Run, world: World, label: str) -> tuple[float, float, float]:
    """Requests to SaladCloud per minute, CPU in percent of a core, and RSS in MiB, of a daemon that has nothing to
    do."""
    world.let_pass(SETTLE_SECONDS)
    usage = run.details.setdefault(f"rest {label}", {})
    with world.usage(usage):
        world.let_pass(REST_SECONDS)
    minutes = usage["seconds"] / 60.0
    # What the bench itself asks are control routes, which are not counted.
    requests = sum(usage["saladcloud_requests"].values()) / minutes
    cpu = 100.0 * usage["cpu_seconds"]["daemon"] / usage["seconds"]
    return requests, cpu, process_usage.rss_mib(world.daemon.pid)


def _too_many(world: World) -> int:
    return int(world.statistics()["requests_by_code"].get("429", 0))


def _change_delays(world: World, names: list[str], spacing: float, bound: float) -> list[float | None]:
    """Takes the machine from each pod's group, one after the other, and waits until the pods say so: the seconds from
    each change to its pod."""
    world.control("configure", allocation=ALLOCATION_SECONDS)
    changed: dict[str, float] = {}
    for name in names:
        world.pods.follow(name)
        group = world.group_of(name)
        changed[name] = time.monotonic()
        world.control("reallocate", name=group)
        world.let_pass(spacing)

    def delay(name: str) -> float | None:
        seen = world.pods.first_change(name, changed[name], lambda pod: not is_ready(pod))
        return None if seen is None else seen - changed[name]

    world.reached(lambda: all(delay(name) is not None for name in names), bound)
    return [delay(name) for name in names]


def _percentile(delays: list[float | None], fraction: float) -> float | None:
    """Of the sorted delays; one that is not known is longer than all others."""
    ordered = sorted(math.inf if delay is None else delay for delay in delays)
    value = ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]
    return None if math.isinf(value) else value


# Measures


def rest_10(run: Run) -> Iterator[Reading]:
    with run.world() as world:
        world.start_daemon()
        _start(run, world, 10, 60.0)
        requests, cpu, rss = _rest(run, world, "10")
        yield held("at rest, 10 pods: SaladCloud requests", requests, "<= 24 /min")
        yield told("at rest, 10 pods: CPU", cpu, "% of a core")
        yield told("at rest, 10 pods: RSS", rss, "MiB")


def start_100(run: Run) -> Iterator[Reading]:
    with run.world() as world:
        world.start_daemon()
        _, created, running, ready = _start(run, world, 100, 180.0)
        yield told("100 pods at once, 240/min: all groups created", created, "s")
        yield held("100 pods at once, 240/min: last Running", running, "<= 35 s")
        yield held("100 pods at once, 240/min: last Ready", ready, "<= 65 s")
        yield held("100 pods at once, 240/min: 429s", _too_many(world), "<= 0")
        requests, cpu, rss = _rest(run, world, "100")
        yield held("at rest, 100 pods: SaladCloud requests", requests, "<= 24 /min")
        yield held("at rest, 100 pods: CPU", cpu, "<= 1 % of a core")
        yield held("at rest, 100 pods: RSS", rss, "<= 90 MiB")


def start_300(run: Run) -> Iterator[Reading]:
    with run.world() as world:
        world.start_daemon()
        _, created, running, ready = _start(run, world, 300, 300.0)
        yield held("300 pods at once, 240/min: all groups created", created, "<= 90 s")
        yield told("300 pods at once, 240/min: last Running", running, "s")
        yield held("300 pods at once, 240/min: last Ready", ready, "<= 190 s")
        yield held("300 pods at once, 240/min: 429s", _too_many(world), "<= 0")


def capped_300(run: Run) -> Iterator[Reading]:
    with run.world(list_limit=100) as world:
        world.start_daemon()
        _, created, running, ready = _start(run, world, 300, 420.0)
        yield told("300 pods, list of 100: all groups created", created, "s")
        yield told("300 pods, list of 100: last Ready", ready, "s")
        requests, _, _ = _rest(run, world, "300 capped")
        yield held("at rest, 300 pods, list of 100: SaladCloud requests", requests, "<= 84 /min")
        # The list shows the first 100 groups; these pods are not among them.
        hidden = sorted(world.pods.latest(), key=lambda name: world.pods.latest()[name]["metadata"]["uid"])[-40:]
        shown = {group["name"] for group in world.salad.ask("GET", "/__control__/groups")[:100]}
        hidden = [name for name in hidden if world.group_of(name) not in shown]
        delays = _change_delays(world, hidden[:20], 2.0, 60.0)
        yield held("staleness of a settled pod, 300 pods, list of 100: by event", _percentile(delays, 1.0), "<= 30 s")
        yield held("300 pods, list of 100: 429s", _too_many(world), "<= 0")
        if run.is_long:
            yield _vanish(world, hidden[20])


def _vanish(world: World, name: str) -> Reading:
    world.pods.follow(name)
    begun = time.monotonic()
    world.control("vanish", name=world.group_of(name))

    def seen() -> float | None:
        return world.pods.first_change(name, begun, lambda pod: pod["status"]["phase"] == "Failed")

    world.reached(lambda: seen() is not None, 360.0)
    moment = seen()
    seconds = None if moment is None else moment - begun
    return held("staleness of a settled pod, 300 pods, list of 100: by sweep", seconds, "<= 300 s")


def start_1000(run: Run) -> Iterator[Reading]:
    with run.world(rate_limit=None, latency=0.05) as world:
        world.start_daemon()
        _, created, running, ready = _start(run, world, 1_000, 120.0)
        yield held("1,000 pods at once, 50 ms latency: all groups created", created, "<= 15 s")
        yield told("1,000 pods at once, 50 ms latency: last Running", running, "s")
        yield held("1,000 pods at once, 50 ms latency: last Ready", ready, "<= 25 s")
        requests, cpu, rss = _rest(run, world, "1,000")
        yield held("at rest, 1,000 pods: SaladCloud requests", requests, "<= 24 /min")
        yield held("at rest, 1,000 pods: CPU", cpu, "<= 5 % of a core")
        yield held("at rest, 1,000 pods: RSS", rss, "<= 130 MiB")
        names = random.Random(run.seed).sample(sorted(world.pods.latest()), CHANGES)
        with world.usage(run.details.setdefault("changes", {})):
            delays = _change_delays(world, names, CHANGE_SPACING_SECONDS, 30.0)
        yield told("one change at SaladCloud -> pod, 1,000 pods: median", _percentile(delays, 0.5), "s")
        yield held("one change at SaladCloud -> pod, 1,000 pods: p99", _percentile(delays, 0.99), "<= 6 s")
        begun = time.monotonic()
        with world.usage(run.details.setdefault("deletes", {})):
            world.delete_all_pods()
            world.reached(lambda: len(world.pods.gone()) >= 1_000, 120.0)
        gone = world.pods.gone()
        yield held("1,000 deletes: last gone", gone[-1] - begun if len(gone) >= 1_000 else None, "<= 25 s")
        yield held("1,000 pods: groups left", world.statistics()["groups"], "<= 0")


def size_5000(run: Run) -> Iterator[Reading]:
    with run.world(rate_limit=None, latency=0.0) as world:
        world.start_daemon()
        _, _, _, ready = _start(run, world, 5_000, 420.0)
        yield told("5,000 pods at once, no latency: last Ready", ready, "s")
        yield told("5,000 pods, the daemon that started them: RSS", process_usage.rss_mib(world.daemon.pid), "MiB")
        world.stop_daemon()
        yield held("start to synced and ready, 5,000 pods", world.start_daemon(), "<= 4 s")
        with world.usage(run.details.setdefault("adoption of 5,000", {})):
            world.let_pass(REST_SECONDS)
        requests, cpu, rss = _rest(run, world, "5,000")
        yield told("at rest, 5,000 pods: SaladCloud requests", requests, "/min")
        yield told("at rest, 5,000 pods: CPU", cpu, "% of a core")
        yield held("at rest, 5,000 pods: RSS", rss, "<= 320 MiB")
        begun = time.monotonic()
        with world.usage(run.details.setdefault("relist of 5,000", {})):
            for _ in range(3):
                world.api.ask("POST", "/__control__/compact")
                world.api.ask("POST", "/__control__/end-watches")
                world.let_pass(10.0)
        gap = world.renewals.longest_gap(begun, time.monotonic())
        yield held("longest lease gap, relists of 5,000 pods", gap, "<= 12 s")


def blocked_300(run: Run) -> Iterator[Reading]:
    with run.world(rate_limit=None, daemon_flags=("--workers", "10")) as world:
        world.start_daemon()
        _start(run, world, 10, 60.0)
        world.control("outage", kind="hang")
        begun = time.monotonic()
        world.create_pods(300, "blocked")
        with world.usage(run.details.setdefault("300 blocked calls", {})):
            world.let_pass(REST_SECONDS)
        gap = world.renewals.longest_gap(begun, time.monotonic())
        yield held("longest lease gap, 300 blocked SaladCloud calls", gap, "<= 12 s")
        world.control("clear_faults")
        recovered = world.reached(lambda: world.pods.ready_now() >= 310, 300.0)
        yield told(
            "300 pods created in an outage: Ready after its end",
            time.monotonic() - begun - REST_SECONDS if recovered else None,
            "s",
        )


def logs_followed(run: Run) -> Iterator[Reading]:
    with run.world() as world:
        world.start_daemon()
        _start(run, world, 50, 120.0)
        world.control("configure", **log_followers.LATE)
        world.let_pass(SETTLE_SECONDS)
        usage = run.details.setdefault("nobody follows", {})
        with world.usage(usage):
            world.let_pass(REST_SECONDS)
        at_rest = _reading_requests(usage)
        yield told("nobody follows: SaladCloud requests for events", at_rest, "/min")
        pods = sorted(world.pods.latest())
        scraper = log_followers.Scraper(log_followers.kubelet_port(world))
        with contextlib.closing(scraper):
            yield from _followed(run, world, "1 follower", pods[:1], 2.0, at_rest)
            yield from _followed(run, world, "10 followers, 10 pods", pods[:10], 5.0, at_rest)
            yield from _followed(run, world, "10 followers, 1 pod", pods[:1] * 10, 2.0, at_rest)
            yield from _followed(run, world, "50 followers, 50 pods", pods, 10.0, at_rest, TWO_PAGES_LOG_SECONDS)
        yield held("followers: 429s", _too_many(world), "<= 0")


def _followed(
    run: Run,
    world: World,
    label: str,
    pods: list[str],
    per_second: float,
    at_rest: float,
    most_seconds: float = LOG_SECONDS,
) -> Iterator[Reading]:
    """`pods` has one for each follower; they write `per_second` lines together, and metrics are scraped meanwhile."""
    usage = run.details.setdefault(label, {})
    with log_followers.following(world, pods) as followers:
        world.let_pass(SETTLE_SECONDS)
        begun = time.time()
        with world.usage(usage):
            texts = log_followers.write_lines(world, sorted(set(pods)), per_second, REST_SECONDS, run.seed)
        expected = len(texts) * len(pods) // len(set(pods))
        world.reached(lambda: sum(len(each.came) for each in followers) >= expected, 2 * LOG_SECONDS)
    found = log_followers.findable_since(world, texts, begun)
    seconds = log_followers.delays(followers, found)
    usage["lines"], usage["missing"] = len(texts), seconds.count(None)
    yield told(f"{label}: line can be found -> follower, median", _percentile(seconds, 0.5), "s")
    yield held(f"{label}: line can be found -> follower, p99", _percentile(seconds, 0.99), f"<= {most_seconds:g} s")
    wrong = len(texts) - len(found) + seconds.count(None) + sum(each.repeated for each in followers)
    yield held(f"{label}: lines missing or repeated", wrong, "<= 0")
    requests = _reading_requests(usage) - at_rest
    yield held(f"{label}: SaladCloud requests for logs and top", requests, f"<= {LOG_REQUESTS_PER_MINUTE} /min")


def _reading_requests(usage: dict[str, Any]) -> float:
    """For log entries, which the feed of events asks for too, and for what containers use; per minute."""
    counts = usage["saladcloud_requests"]
    names = ("query_log_entries", "list_container_group_instances")
    return float(sum(counts.get(name, 0) for name in names) / (usage["seconds"] / 60.0))


MEASURES = (
    Measure("rest-10", "10 pods: at rest", rest_10),
    Measure("start-100", "100 pods at once under 240 requests/min, then at rest", start_100),
    Measure("start-300", "300 pods at once under 240 requests/min", start_300),
    Measure("capped-300", "300 pods while a list shows 100 groups: at rest, staleness", capped_300),
    Measure("start-1000", "1,000 pods at once without rate limit, at rest, changes, deletes", start_1000),
    Measure("size-5000", "5,000 pods: start to synced, memory, relist", size_5000),
    Measure("logs-followed", "1, 10 and 50 follow logs, and metrics are scraped: lateness, requests", logs_followed),
    Measure("blocked-300", "the lease while SaladCloud answers nothing", blocked_300),
)
