"""A pod list and watch over HTTP that misbehaves on demand, for tests of what talks to an API server.

It knows nothing of the API beyond paging, watching and resource versions; the tests hold the client against it byte by
byte. Other paths give the scripted answer of `answers`. `requests` tells what came in.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Received:
    """One request; `at` in real monotonic seconds."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]


@dataclass
class Scripted:
    """An answer given as it is; a body that is no text is sent as JSON."""

    status: int
    body: object = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


Fault = Callable[["_Handler"], None]


class FaultyApi:
    """Serves on loopback between `start` and `stop`; may be started again on the same port."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.requests: list[Received] = []
        self.list_fault: Fault | None = None
        self.watch_fault: Fault | None = None
        self.answers: dict[tuple[str, str], Scripted] = {}
        self.is_stopping = False
        self.pods: dict[str, dict[str, Any]] = {}
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.version = 100
        self.oldest_version = 0
        self._port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    # -- state ---------------------------------------------------------------------------------------------------------

    def put(self, name: str, uid: str = "", **metadata: Any) -> dict[str, Any]:
        with self.changed:
            uid = uid or f"uid-{name}"
            self.version += 1
            kind = "MODIFIED" if uid in self.pods else "ADDED"
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "uid": uid,
                    "resourceVersion": str(self.version),
                    **metadata,
                },
                "spec": {"nodeName": "node"},
            }
            self.pods[uid] = pod
            self._append(kind, pod)
            return pod

    def remove(self, uid: str) -> None:
        with self.changed:
            self.version += 1
            pod = self.pods.pop(uid)
            self._append("DELETED", {**pod, "metadata": {**pod["metadata"], "resourceVersion": str(self.version)}})

    def send_raw(self, event: dict[str, Any]) -> None:
        """An event as it is, at the next resource version."""
        with self.changed:
            self.version += 1
            self.events.append((self.version, event))
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget the past: a watch from before now is answered with 410."""
        with self.changed:
            self.version += 1
            self.oldest_version = self.version
            self.events.clear()

    def _append(self, kind: str, pod: dict[str, Any]) -> None:
        self.events.append((self.version, {"type": kind, "object": pod}))
        self.changed.notify_all()

    # -- server --------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self.is_stopping = False
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.owner = self
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="faulty-api")
        self._thread.start()

    def stop(self) -> None:
        """Cut every connection and refuse new ones."""
        if self._server is None or self._thread is None:
            return
        with self.changed:
            self.is_stopping = True
            self.changed.notify_all()
        self._server.shutdown()
        self._server.cut_connections()
        self._server.server_close()
        self._thread.join()
        self._server = None

    def count(self, *, watch: bool | None = None) -> int:
        """Requests so far: all, or only lists, or only watches."""
        return sum(1 for seen in list(self.requests) if watch is None or ("watch" in seen.query) is watch)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True
    owner: FaultyApi

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(*arguments)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        try:
            super().finish_request(request, client_address)
        except OSError:
            return  # the client, or stop(), has cut the connection
        finally:
            with self._lock:
                self._open.discard(request)

    def shutdown_request(self, request: Any) -> None:
        try:
            super().shutdown_request(request)
        except OSError:
            return

    def cut_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _serve(self) -> None:
        owner = self.server.owner
        address = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        owner.requests.append(
            Received(time.monotonic(), self.command, address.path, query, headers, body, self.client_address)
        )
        if address.path != "/api/v1/pods":
            scripted = owner.answers.get((self.command, address.path), Scripted(200))
            self.send_whole(scripted.status, scripted.body, scripted.headers)
            return
        fault = owner.watch_fault if "watch" in query else owner.list_fault
        if fault is not None:
            fault(self)
        elif "watch" in query:
            wants_bookmark = query.get("allowWatchBookmarks") == "true"
            self.send_watch(int(query["resourceVersion"]), float(query["timeoutSeconds"]), wants_bookmark)
        else:
            self.send_page(int(query["limit"]), query.get("continue"))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    # -- what goes out -------------------------------------------------------------------------------------------------

    def send_whole(self, status: int, body: object, headers: dict[str, str]) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_page(self, limit: int, token: str | None) -> None:
        owner = self.server.owner
        with owner.changed:
            pods, version, start = list(owner.pods.values()), owner.version, int(token or 0)
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(pods):
            metadata["continue"] = str(start + limit)
        page = {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": pods[start : start + limit]}
        self.send_whole(200, page, {"Content-Type": "application/json"})

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def send_event(self, event: object) -> None:
        self.send_chunk(json.dumps(event).encode() + b"\n")

    def send_watch(self, version: int, timeout: float, with_bookmark: bool) -> None:
        owner = self.server.owner
        deadline = time.monotonic() + timeout
        self.begin_stream()
        if version < owner.oldest_version:
            self.send_event(error_event(410, "Expired"))
            self.send_chunk(b"")
            return
        while not owner.is_stopping:
            with owner.changed:
                due = [(number, event) for number, event in owner.events if number > version]
                if not due and not owner.changed.wait_for(
                    lambda: owner.is_stopping or any(number > version for number, _ in owner.events),
                    max(0.0, deadline - time.monotonic()),
                ):
                    latest = owner.version
                    break
            for number, event in due:
                self.send_event(event)
                version = number
        else:
            return
        if with_bookmark:
            bookmark = {"kind": "Pod", "metadata": {"resourceVersion": str(latest)}}
            self.send_event({"type": "BOOKMARK", "object": bookmark})
        self.send_chunk(b"")

    def wait_for_stop(self) -> None:
        """Say nothing until the server is stopped or the client hangs up."""
        self.connection.settimeout(0.05)
        while not self.server.owner.is_stopping:
            try:
                if self.connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
        self.close_connection = True


def error_event(code: int, reason: str) -> dict[str, Any]:
    return {"type": "ERROR", "object": {"kind": "Status", "code": code, "reason": reason, "message": "as scripted"}}


# -- faults ------------------------------------------------------------------------------------------------------------


def mute(handler: _Handler) -> None:
    """Takes the request and never answers."""
    handler.wait_for_stop()


def mute_after_headers(handler: _Handler) -> None:
    """What a dead connection looks like to a watch: it is open, and nothing comes."""
    handler.begin_stream()
    handler.wait_for_stop()


def status(code: int, **headers: str) -> Fault:
    body = {"kind": "Status", "apiVersion": "v1", "code": code, "message": "as scripted"}
    fields = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send_whole(code, body, fields)


def html(handler: _Handler) -> None:
    handler.send_whole(200, "<html>\n<body>Please log in</body>\n</html>\n", {"Content-Type": "text/html"})


def garbage(handler: _Handler) -> None:
    handler.send_whole(200, "{{{ no\njson\n[]\n17\n", {"Content-Type": "application/json"})


def clean_end(handler: _Handler) -> None:
    """A watch that is over as soon as it is open."""
    handler.begin_stream()
    handler.send_chunk(b"")


def event(content: object) -> Fault:
    """A watch that brings one event and ends in order."""

    def fault(handler: _Handler) -> None:
        handler.begin_stream()
        handler.send_event(content)
        handler.send_chunk(b"")

    return fault


def cut_in_a_chunk(handler: _Handler) -> None:
    handler.begin_stream()
    handler.wfile.write(b'ff\r\n{"type":')
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def hang_up(handler: _Handler) -> None:
    """No answer, the connection is closed."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


# -- sockets that are no server at all ---------------------------------------------------------------------------------


@contextmanager
def mute_listener() -> Iterator[int]:
    """A port that accepts connections and says nothing: a TLS handshake with it never ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def black_hole() -> Iterator[int]:
    """A port on which connecting never ends: its backlog is full, so the kernel drops what comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        try:
            for _ in range(4):
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(listener.getsockname())
                waiting.append(client)
            yield listener.getsockname()[1]
        finally:
            for client in waiting:
                client.close()
