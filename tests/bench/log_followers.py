"""Who follows logs through the kubelet's port, as `kubectl logs -f` does behind the API server, and notes when each
line comes; and who asks for measurements meanwhile, as metrics-server does.

Each follower is a thread with a TLS connection of its own. Times are seconds of the machine's clock, because it is the
simulator that says when a line could be found first, and its process has another monotonic clock.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from tests.bench.world import NAMESPACE, NODE, Broken, World
from tests.support.tls import client_context

# The minimal API server vouches for every token.
HEADERS = {"Authorization": "Bearer bench"}
# What the live service was seen to do at its worst.
LATE = {"log_lag_min": 1.0, "log_lag_max": 10.0, "node_skew_max": 73.0}
SCRAPE_SECONDS = 15.0
_TIMEOUT_SECONDS = 120.0
_JOIN_SECONDS = 30.0
_PAGE = 100


class Follower:
    """One who follows a pod's log from now on. `came` is when each line was there."""

    def __init__(self, port: int, pod: str) -> None:
        self.pod = pod
        self.came: dict[str, float] = {}
        self.repeated = 0
        self._connection = _connection(port)
        path = f"/containerLogs/{NAMESPACE}/{pod}/main?follow=true&tailLines=0"
        self._connection.request("GET", path, headers=HEADERS)
        self._response = self._connection.getresponse()
        if self._response.status != 200:
            raise Broken(f"following {pod}: HTTP {self._response.status}: {self._response.read(300)!r}")
        self._thread = threading.Thread(target=self._read, name=f"follower of {pod}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The reader goes, as one who presses control-C."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket(), socket.SHUT_RDWR)
        self._thread.join(_JOIN_SECONDS)
        self._connection.close()

    def _socket(self) -> socket.socket:
        if self._connection.sock is None:
            raise OSError("not connected any more")
        return self._connection.sock

    def _read(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            for line in self._response:
                text = line.decode().rstrip("\n")
                self.repeated += text in self.came
                self.came.setdefault(text, time.time())


class Scraper:
    """Asks for the measurements of all pods again and again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scraper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(SCRAPE_SECONDS):
            connection = _connection(self._port)
            with contextlib.closing(connection):
                connection.request("GET", "/metrics/resource", headers=HEADERS)
                connection.getresponse().read()


def kubelet_port(world: World) -> int:
    """As the Node announces it."""
    node = world.api.ask("GET", f"/api/v1/nodes/{NODE}")
    return int(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"])


@contextlib.contextmanager
def following(world: World, pods: Sequence[str]) -> Iterator[list[Follower]]:
    """A follower of each; a pod that is named again has another one."""
    port = kubelet_port(world)
    with contextlib.ExitStack() as stack:
        followers = []
        for pod in pods:
            followers.append(Follower(port, pod))
            stack.callback(followers[-1].close)
        yield followers


def write_lines(world: World, pods: Sequence[str], per_second: float, seconds: float, seed: int) -> list[str]:
    """The pods write lines in turn, at random moments; their texts, each unlike all others."""
    chance = random.Random(seed)
    texts: list[str] = []
    end = time.monotonic() + seconds
    label = f"{time.time():.3f}"
    while time.monotonic() < end:
        pod = pods[len(texts) % len(pods)]
        texts.append(f"{pod} {label} {len(texts)}")
        world.control("write_line", name=world.group_of(pod), text=texts[-1])
        world.let_pass(chance.uniform(0.0, 2.0 / per_second))
    return texts


def findable_since(world: World, texts: Sequence[str], begun: float) -> dict[str, float]:
    """When each line could be found first, as SaladCloud says it."""
    wanted = set(texts)
    found: dict[str, float] = {}
    start = begun
    while wanted - found.keys():
        items = _entries(world, start)
        times = {str(item.get("text_log")): datetime.fromisoformat(item["receive_time"]).timestamp() for item in items}
        found |= {text: moment for text, moment in times.items() if text in wanted}
        if len(items) < _PAGE:
            break
        start = max(times.values())
    return found


def delays(followers: Sequence[Follower], found: dict[str, float]) -> list[float | None]:
    """Of each line to each who follows its pod, from the moment when it could be found; None: it did not come."""
    return [
        follower.came[text] - moment if text in follower.came else None
        for follower in followers
        for text, moment in found.items()
        if text.split()[0] == follower.pod
    ]


def _entries(world: World, start: float) -> list[dict[str, str]]:
    headers = {"Salad-Api-Key": "bench", "User-Agent": "bench"}
    moments = (datetime.fromtimestamp(moment).astimezone() for moment in (start, time.time()))
    first, last = (moment.isoformat(timespec="milliseconds") for moment in moments)
    query = {"query": 'resource.type = "container"', "start_time": first, "end_time": last}
    path = "/api/public/organizations/sandbox/log-entries"
    body = {**query, "page_size": _PAGE, "sort_order": "asc"}
    status, text = world.salad.ask_text("POST", path, body, headers=headers)
    if status != 200:
        raise Broken(f"log entries: HTTP {status}: {text[:300]}")
    items: list[dict[str, str]] = json.loads(text)["items"]
    return items


def _connection(port: int) -> http.client.HTTPSConnection:
    context: ssl.SSLContext = client_context()
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS, context=context)
