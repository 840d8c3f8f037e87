"""An informer with all that it needs, for tests of it."""

from __future__ import annotations

import random
import threading
from typing import Any

from kubernetes.client import Configuration

from tests.support.waiting import wait_until
from virtual_kubelet_salad.kube.cache import Pod, PodCache
from virtual_kubelet_salad.kube.informer import PodInformer
from virtual_kubelet_salad.kube.pacing import Pacing
from virtual_kubelet_salad.kube.pod_source import Timing
from virtual_kubelet_salad.kube.transport import OfficialTransport
from virtual_kubelet_salad.runtime.clock import Clock, SystemClock

SOON_SECONDS = 60.0
CLOCK = SystemClock()
FAST = Timing(watch=1, watch_read_timeout=0.4, list_read_timeout=0.4, healthy_watch=0.2)


class Followed:
    """An informer with all that it needs, and what it has told."""

    def __init__(self, url: str, *, clock: Clock = CLOCK, timing: Timing = FAST, **options: Any) -> None:
        self.changes: list[tuple[str, Pod | None, Pod | None]] = []
        self.deaths: list[tuple[str, BaseException | None]] = []
        self.cache = PodCache(clock, lambda uid, old, new: self.changes.append((uid, old, new)))
        options.setdefault("pacing", Pacing(random.Random(1), first_delay=0.02, max_delay=0.1))
        self.informer = PodInformer(
            OfficialTransport(Configuration(host=url)),
            self.cache,
            clock,
            "node",
            timing=timing,
            on_death=lambda name, cause: self.deaths.append((name, cause)),
            **options,
        )

    def names(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.cache.all()}

    def wait_synced(self) -> None:
        assert self.cache.has_synced.wait(SOON_SECONDS)

    def wait_names(self, *expected: str) -> None:
        wait_until(lambda: self.names() == set(expected), timeout=SOON_SECONDS, what=f"pods {expected}")


def threads_of_informers() -> list[threading.Thread]:
    """Those that live now, whoever started them."""
    return [thread for thread in threading.enumerate() if thread.name == "SharedInformer"]
