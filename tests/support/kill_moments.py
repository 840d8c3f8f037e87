"""The moments at which a daemon is killed."""

from __future__ import annotations

import collections
import random
import time
from collections.abc import Callable

from tests.support.cloud_process import ApiServerProcess
from tests.support.scenarios import World
from tests.support.waiting import wait_until

# Mostly soon, so that it meets starts and bursts; sometimes late, so that there is something to come back to.
MOST_REQUESTS = 25
MOST_REQUESTS_OF_A_LONG_LIFE = 120
LONG_LIVES = 0.2
MOST_SECONDS = 4.0
# A certain write may never be due; after so many requests to SaladCloud nobody waits for it any longer.
PATIENCE_REQUESTS = 30
# After a write has been seen: its answer is on its way, or has just come.
MOST_SECONDS_AFTER_A_WRITE = 0.1
LOOK_SECONDS = 0.005
SECONDS = 240.0
# As often as they are written here: most lives see creates, few an update.
CLOUD_WRITES = (*3 * ("create_container_group",), *3 * ("delete_container_group",), "update_container_group")
API_WRITES = (*3 * (("PATCH", "pods/status", "/status"),), ("DELETE", "pods", "/pods/"))


class Moments:
    """`prepare` a moment, let something happen, `wait` for it; `counts` tells what the moments were."""

    def __init__(self, world: World, chance: random.Random, api_server: ApiServerProcess | None = None) -> None:
        """Without `api_server`, only what SaladCloud sees decides."""
        self._world = world
        self._chance = chance
        self._api_server = api_server
        self._wait: Callable[[], str] = self._wait_for_requests
        self.counts: collections.Counter[str] = collections.Counter()

    def prepare(self) -> None:
        """Chooses the next moment."""
        choices = (
            (self._any_request, 35),
            (self._any_time, 15),
            (self._inside_a_cloud_write, 20),
            (self._after_a_cloud_write, 15),
            (self._inside_an_api_write, 5 if self._api_server is not None else 0),
            (self._after_an_api_write, 10 if self._api_server is not None else 0),
        )
        self._chance.choices([choice for choice, _ in choices], [weight for _, weight in choices])[0]()

    def wait(self) -> None:
        """Returns when it is there."""
        self.counts[self._wait()] += 1

    def in_short(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.counts.most_common())

    # -- the choices

    def _any_request(self) -> None:
        self._wait = self._wait_for_requests

    def _any_time(self) -> None:
        seconds = self._chance.uniform(0.0, MOST_SECONDS)

        def wait() -> str:
            _pass(seconds)
            return "at any time"

        self._wait = wait

    def _inside_a_cloud_write(self) -> None:
        operation, is_applied = self._chance.choice(CLOUD_WRITES), self._chance.random() < 0.5
        cloud = self._world.cloud
        # What else should fail must not use this fault up, nor be taken for it.
        cloud.control("clear_faults")
        cloud.control("fail_next", kind="hang", applied=is_applied, operation=operation)
        name = f"inside a write to SaladCloud, {'after' if is_applied else 'before'} it took effect"
        self._wait_for_write(lambda: self._world.requests(operation), name, 0.0)

    def _after_a_cloud_write(self) -> None:
        operation = self._chance.choice(CLOUD_WRITES)
        seconds = self._chance.uniform(0.0, MOST_SECONDS_AFTER_A_WRITE)
        self._wait_for_write(lambda: self._world.requests(operation), "right after a write to SaladCloud", seconds)

    def _inside_an_api_write(self) -> None:
        assert self._api_server is not None
        method, resource, path_part = self._chance.choice(API_WRITES)
        self._api_server.clear_faults()
        self._api_server.fault(kind="hang", method=method, path_part=path_part, times=1)
        self._wait_for_write(self._api_count(method, resource), "inside a write to the API server", 0.0)

    def _after_an_api_write(self) -> None:
        method, resource, _ = self._chance.choice(API_WRITES)
        seconds = self._chance.uniform(0.0, MOST_SECONDS_AFTER_A_WRITE)
        self._wait_for_write(self._api_count(method, resource), "right after a write to the API server", seconds)

    # -- the waits

    def _wait_for_requests(self) -> str:
        most = MOST_REQUESTS_OF_A_LONG_LIFE if self._chance.random() < LONG_LIVES else MOST_REQUESTS
        enough = self._requests() + self._chance.randint(1, most)
        wait_until(lambda: self._requests() >= enough, timeout=SECONDS, what="so many requests", interval=LOOK_SECONDS)
        return "after so many requests"

    def _wait_for_write(self, count: Callable[[], int], name: str, seconds: float) -> None:
        """The next moment is `seconds` after the next write that `count` counts."""
        before, impatient_at = count(), self._requests() + PATIENCE_REQUESTS

        def wait() -> str:
            wait_until(
                lambda: count() > before or self._requests() >= impatient_at,
                timeout=SECONDS,
                what="a write",
                interval=LOOK_SECONDS,
            )
            _pass(seconds)
            return name if count() > before else "after waiting in vain for a write"

        self._wait = wait

    def _requests(self) -> int:
        return int(self._world.cloud.statistics()["requests"])

    def _api_count(self, method: str, resource: str) -> Callable[[], int]:
        api_server = self._api_server
        assert api_server is not None
        return lambda: int(api_server.statistics()["requests"].get(f"{method} {resource}", 0))


def _pass(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, timeout=seconds + SECONDS, what="some time", interval=LOOK_SECONDS)
