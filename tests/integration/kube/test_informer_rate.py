"""The pod informer never hammers a server, in whatever way that fails."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from kubernetes.client import Configuration

from tests.support import faulty_api
from tests.support.clock import FakeClock
from tests.support.faulty_api import FaultyApi
from tests.support.followed import CLOCK, SOON_SECONDS
from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kube.informer import PodInformer
from virtual_kubelet_salad.kube.pacing import Pacing
from virtual_kubelet_salad.kube.transport import OfficialTransport

NO_HOT_LOOP = {
    "down": None,
    "401": faulty_api.status(401),
    "403": faulty_api.status(403),
    "429": faulty_api.status(429),
    "500": faulty_api.status(500),
    "410": faulty_api.status(410),
    "504": faulty_api.status(504),
    "ends at once": faulty_api.clean_end,
    "HTML": faulty_api.html,
    "garbage": faulty_api.garbage,
    "hangs up": faulty_api.hang_up,
    "cut": faulty_api.cut_in_a_chunk,
    "event 410": faulty_api.event(faulty_api.error_event(410, "Expired")),
    "event 500": faulty_api.event(faulty_api.error_event(500, "InternalError")),
    "poison": faulty_api.event({"type": "ADDED"}),
}


class CountingTransport(OfficialTransport):
    """Counts what is asked, also of a server that is down."""

    asked = 0

    def _send(self, *arguments: Any) -> Any:
        self.asked += 1
        return super()._send(*arguments)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("broken", ["list", "watch", "both"])
@pytest.mark.parametrize("name", NO_HOT_LOOP)
def test_at_most_5_requests_go_out_in_10_seconds_of_failure(api: FaultyApi, name: str, broken: str, seed: int) -> None:
    fault = NO_HOT_LOOP[name]
    if fault is None:
        api.stop()
    api.list_fault = fault if broken != "watch" else None
    api.watch_fault = fault if broken != "list" else None
    if broken == "list" and fault is not None:
        api.watch_fault = faulty_api.clean_end
    clock = FakeClock()
    end = clock.monotonic() + 10.0
    ten_seconds_are_over, released = threading.Event(), threading.Event()

    def wait(seconds: float) -> None:
        if clock.monotonic() + seconds > end:
            ten_seconds_are_over.set()
            released.wait()
        else:
            clock.advance(seconds)

    transport = CountingTransport(Configuration(host=api.url))
    informer = PodInformer(transport, PodCache(clock), clock, "node", pacing=Pacing(random.Random(seed)), wait=wait)
    informer.start()
    assert ten_seconds_are_over.wait(SOON_SECONDS)
    asked = transport.asked
    released.set()
    assert informer.stop()
    assert 2 <= asked <= 5


def test_at_most_5_requests_go_out_in_10_real_seconds_of_failure() -> None:
    servers: dict[str, FaultyApi] = {}
    followed: dict[str, tuple[CountingTransport, PodInformer]] = {}
    for name in ("down", "ends at once", "410", "garbage"):
        server = servers[name] = FaultyApi()
        server.start()
        server.watch_fault = NO_HOT_LOOP[name]
        if name == "down":
            server.stop()
        transport = CountingTransport(Configuration(host=server.url))
        informer = PodInformer(transport, PodCache(CLOCK), CLOCK, "node")
        followed[name] = transport, informer
        informer.start()
    threading.Event().wait(10.0)
    asked = {name: transport.asked for name, (transport, _) in followed.items()}
    stopped = {name: informer.stop() for name, (_, informer) in followed.items()}
    for server in servers.values():
        server.stop()
    assert all(stopped.values()), stopped
    assert all(2 <= count <= 5 for count in asked.values()), asked
