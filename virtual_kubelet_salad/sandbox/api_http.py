"""The API server model on a loopback port: what kubectl and the official client can talk to.

One thread accepts, one thread per connection answers, one thread binds pods. All share one lock, which is held only
inside the model, never while bytes are read or written. `stop()` ends within two seconds, open watches included.

    python -m virtual_kubelet_salad.sandbox.api_http --port 8001
"""

from __future__ import annotations

import argparse
import http.server
import logging
import signal
import socket
import socketserver
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from virtual_kubelet_salad.runtime.clock import Clock, SystemClock
from virtual_kubelet_salad.sandbox.api_errors import Json
from virtual_kubelet_salad.sandbox.api_faults import Fault, Faults
from virtual_kubelet_salad.sandbox.api_handler import Handler
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.api_resources import parse_path

_LOG = logging.getLogger(__name__)

_POLL_SECONDS = 0.05  # how soon the accepting thread sees that it shall stop
_TICK_SECONDS = 0.02  # least time between two rounds of binding: a burst of creates is one round
_IDLE_TICK_SECONDS = 1.0
_KEPT_REQUESTS = 20_000


@dataclass(frozen=True)
class SeenRequest:
    """One request that reached the server. `time` is monotonic seconds of the server's clock."""

    time: float
    method: str
    path: str
    is_watch: bool


class _Listener(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = False
    allow_reuse_address = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        _LOG.exception("request failed client=%s", client_address)


class ApiServer:
    """A minimal API server on HTTP. Construct, `start()`, use `url`, `stop()`. All methods may be called from any
    thread.
    """

    def __init__(
        self,
        model: ApiServerModel,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Clock | None = None,
        bookmark_interval_seconds: float = 60.0,
    ) -> None:
        self.model = model
        self.clock: Clock = clock or SystemClock()
        self.bookmark_interval_seconds = bookmark_interval_seconds
        self.condition = threading.Condition()
        self.faults = Faults()
        self._host = host
        self._port = port
        self._listener: _Listener | None = None
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._released = threading.Event()
        self._generation = 0
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._requests: deque[SeenRequest] = deque(maxlen=_KEPT_REQUESTS)

    # Life

    @property
    def url(self) -> str:
        """`http://host:port`; known after start()."""
        return f"http://{self._host}:{self._port}"

    def start(self) -> None:
        """Listen, and start to bind pods. OSError when the port is taken."""
        self._stopping.clear()
        self.up()
        binder = threading.Thread(target=self._bind_pods, name="api-server-binder")
        binder.start()
        self._threads.append(binder)

    def stop(self) -> None:
        """End all connections and threads. Can be called twice."""
        self._stopping.set()
        self.down()
        with self.condition:
            self.condition.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def down(self) -> None:
        """Stop accepting and cut all connections: new ones are refused. The state stays."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.shutdown()
        self._released.set()
        self.end_watches()
        self._cut_connections()
        listener.server_close()

    def up(self) -> None:
        """Accept connections, again on the same port after `down()`."""
        if self._listener is not None:
            return
        self._released.clear()
        handler = type("BoundHandler", (Handler,), {"face": self})
        listener = self._listener = _Listener((self._host, self._port), handler)
        self._port = int(listener.server_address[1])
        acceptor = threading.Thread(target=listener.serve_forever, args=(_POLL_SECONDS,), name="api-server-acceptor")
        acceptor.start()
        self._threads.append(acceptor)

    def _bind_pods(self) -> None:
        version = -1
        while not self._stopping.is_set():
            with self.condition:
                if self.model.version == version:
                    self.condition.wait(_IDLE_TICK_SECONDS)
                before = self.model.version
                self.model.tick()
                version = self.model.version
                if version != before:
                    self.condition.notify_all()
            self._stopping.wait(_TICK_SECONDS)

    # What the connections use

    def serve(
        self, method: str, path: str, query: Mapping[str, str], body: object, content_type: str | None
    ) -> tuple[int, Json]:
        """One request to the model; watchers are woken when it changed something."""
        with self.condition:
            before = self.model.version
            answer = self.model.serve(method, path, query, body, content_type)
            if self.model.version != before:
                self.condition.notify_all()
        return answer.status, answer.body

    def watch_generation(self) -> int:
        return self._generation

    def must_end(self, generation: int) -> bool:
        return self._stopping.is_set() or generation != self._generation

    def wait_for_stop(self) -> None:
        """Keep a connection mute until the server goes down."""
        self._released.wait()

    def connection_opened(self, connection: socket.socket) -> None:
        with self._connections_lock:
            self._connections.add(connection)
            if self._released.is_set():
                _shut_down(connection)

    def connection_closed(self, connection: socket.socket) -> None:
        with self._connections_lock:
            self._connections.discard(connection)

    def _cut_connections(self) -> None:
        with self._connections_lock:
            for connection in self._connections:
                _shut_down(connection)

    def count_request(self, method: str, path: str, is_watch: bool) -> None:
        target = parse_path(path)
        what = (
            path
            if target is None
            else target.resource.plural + (f"/{target.subresource}" if target.subresource else "")
        )
        with self._connections_lock:
            self._counts[f"{'WATCH' if is_watch else method} {what}"] += 1
            self._requests.append(SeenRequest(self.clock.monotonic(), method, path, is_watch))

    # Control

    def compact(self) -> None:
        """Forget the history: watches from earlier versions get 410."""
        with self.condition:
            self.model.compact()
            self.condition.notify_all()

    def end_watches(self) -> None:
        """End all present watches cleanly."""
        with self.condition:
            self._generation += 1
            self.condition.notify_all()

    def refuse(self, code: int = 503) -> None:
        """Answer everything with this status until `faults.clear()`."""
        self.faults.add(Fault("status", code=code))

    def hang(self) -> None:
        """Accept and read requests, never answer, until `faults.clear()` (connections that hang stay mute until
        `down()`).
        """
        self.faults.add(Fault("hang"))

    def requests(self) -> list[SeenRequest]:
        """The requests that arrived, oldest first (the last 20,000)."""
        with self._connections_lock:
            return list(self._requests)

    def statistics(self) -> Json:
        """Requests by verb and resource, objects by kind, the resource version."""
        with self._connections_lock:
            requests = dict(self._counts)
            connections = len(self._connections)
        with self.condition:
            pods, nodes, version = len(self.model.all_of("pods")), len(self.model.all_of("nodes")), self.model.version
        return {
            "requests": requests,
            "connections": connections,
            "pods": pods,
            "nodes": nodes,
            "resourceVersion": version,
        }


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        _LOG.debug("connection was closed already")


def kubeconfig(url: str) -> str:
    """A kubeconfig for a server without authentication."""
    return f"""apiVersion: v1
kind: Config
current-context: sandbox
clusters:
- name: sandbox
  cluster:
    server: {url}
contexts:
- name: sandbox
  context:
    cluster: sandbox
    user: sandbox
users:
- name: sandbox
  user: {{}}
"""


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="A minimal Kubernetes API server on loopback, for trying things out.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="decides UIDs and generated names")
    parser.add_argument("--kubeconfig", metavar="FILE", help="write a kubeconfig for this server to FILE")
    arguments = parser.parse_args()
    clock = SystemClock()
    server = ApiServer(ApiServerModel(clock, seed=arguments.seed), arguments.host, arguments.port, clock=clock)
    finished = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: finished.set())
    server.start()
    if arguments.kubeconfig:
        with open(arguments.kubeconfig, "w", encoding="utf-8") as file:
            file.write(kubeconfig(server.url))
    print(f"url={server.url}", flush=True)
    finished.wait()
    server.stop()


if __name__ == "__main__":
    main()
