"""The HTTP face of the simulated SaladCloud: a threaded HTTP/1.1 server on loopback around one model.

One thread per connection, kept alive; one lock around the model. Latency is waited outside of the lock, on the event
that stops the server. Control routes are beside the API (`/__control__/…`), need no key, and have neither latency nor
faults:

    GET  /__control__/statistics | groups | settings
    POST /__control__/<control>          a JSON object with the control's arguments, see `salad_control`

Never logs a header or a body, so the API key is written nowhere.

    python -m virtual_kubelet_salad.sandbox.salad_http --port 8080 --profile fast --seed 1
"""

from __future__ import annotations

import argparse
import dataclasses
import http.server
import json
import logging
import random
import signal
import socket
import socketserver
import struct
import sys
import threading
from typing import Any

from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox.salad_control import ControlError
from virtual_kubelet_salad.sandbox.salad_description import BASE_PATH
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import PROFILES
from virtual_kubelet_salad.sandbox.salad_wire import (
    NOT_FOUND,
    ConnectionDropped,
    Request,
    Response,
    json_answer,
    problem,
)

logger = logging.getLogger(__name__)

CONTROL_PATH = "/__control__/"
STOP_SECONDS = 2.0
BIGGEST_BODY_BYTES = 16 * 2**20
IDLE_CONNECTION_SECONDS = 120.0  # longer than any client keeps one it does not use
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger for 0 seconds: close() sends RST instead of FIN


class SaladCloudServer:
    """Serves a model. `start` returns when requests are accepted; `stop` within two seconds, with no thread left."""

    def __init__(self, model: SaladCloudModel, host: str = "127.0.0.1", port: int = 0, seed: int = 0) -> None:
        """Raises OSError when the address is in use. `port` 0: a free one. `seed` is for the latency."""
        self._server = _Server((host, port), model, seed)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="salad-http", daemon=True
        )

    @property
    def url(self) -> str:
        """The base URL of the API."""
        return self.origin + BASE_PATH

    @property
    def origin(self) -> str:
        """Scheme, host and port: what the control routes are below."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Open connections are cut, and waiting requests end without an answer."""
        self._server.stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(STOP_SECONDS)
        self._server.cut_connections(STOP_SECONDS)
        self._server.server_close()

    def control(self, name: str, /, **arguments: Any) -> None:
        """As the control route of this name. Raises ControlError."""
        with self._server.lock:
            self._server.model.control(name, arguments)

    def statistics(self) -> dict[str, Any]:
        """The model's statistics, now."""
        with self._server.lock:
            return self._server.model.statistics()

    def overview(self) -> list[dict[str, Any]]:
        """The model's groups, now."""
        with self._server.lock:
            return self._server.model.overview()

    def requests(self) -> dict[str, Any]:
        """The model's latest creates, now."""
        with self._server.lock:
            return self._server.model.requests()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False  # `cut_connections` waits, with a bound
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], model: SaladCloudModel, seed: int) -> None:
        self.model = model
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.random = random.Random(seed)
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._to_reset: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="salad-connection", daemon=True
        )
        # Noted before it starts, so that `cut_connections` knows every connection that was accepted.
        with self._connections_lock:
            self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.pop(request, None)
            must_reset = request in self._to_reset
            self._to_reset.discard(request)
        if must_reset:
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def reset_when_done(self, connection: socket.socket) -> None:
        with self._connections_lock:
            self._to_reset.add(connection)

    def cut_connections(self, seconds: float) -> None:
        with self._connections_lock:
            connections = list(self._connections.items())
        for connection, _ in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                logger.debug("connection was already closed")
        clock = SystemClock()
        deadline = clock.monotonic() + seconds
        for _, thread in connections:
            thread.join(max(0.0, deadline - clock.monotonic()))

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exception(), OSError):
            logger.debug("connection ended with an error", exc_info=True)
        else:
            logger.exception("request could not be handled")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one segment
    timeout = IDLE_CONNECTION_SECONDS
    server: _Server

    def _serve(self) -> None:
        body = self._read_body()
        if self.path.startswith(CONTROL_PATH):
            self._write(self._control(self.path.removeprefix(CONTROL_PATH), body))
            return
        if not self.path.startswith(BASE_PATH + "/"):
            self._write(NOT_FOUND)
            return
        request = Request(self.command, self.path.removeprefix(BASE_PATH), dict(self.headers.items()), body)
        try:
            with self.server.lock:
                settings = self.server.model.settings
                latency = self.server.random.uniform(settings.latency_min, settings.latency_max)
                response = self.server.model.handle(request)
        except ConnectionDropped as drop:
            self.server.stopping.wait(settings.hang if drop.hangs else latency)
            self.server.reset_when_done(self.connection)
            self.close_connection = True
            return
        if latency > 0:
            self.server.stopping.wait(latency)
        self._write(response)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve

    def _read_body(self) -> object:
        """Decoded JSON, None when nothing was sent, or the text that is not JSON (which no schema allows)."""
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= BIGGEST_BODY_BYTES:
            raise ConnectionAbortedError("body too big")
        if length == 0:
            return None
        raw = self.rfile.read(length)
        if len(raw) < length:
            raise ConnectionAbortedError("the client went away")
        try:
            decoded: object = json.loads(raw)
        except ValueError:
            return "not JSON"
        return decoded

    def _control(self, name: str, body: object) -> Response:
        server = self.server
        with server.lock:
            if self.command == "GET":
                return _report(server.model, name)
            if self.command != "POST" or not isinstance(body or {}, dict):
                return problem(400, None, "Bad Request", "POST with a JSON object")
            try:
                server.model.control(name, dict(body) if isinstance(body, dict) else {})
            except ControlError as error:
                return problem(400, None, "Bad Request", str(error))
        return json_answer(200, {})

    def _write(self, response: Response) -> None:
        payload = response.text.encode()
        self.send_response(response.status)
        if payload:
            self.send_header("Content-Type", response.content_type)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the statistics count requests, and a log would be long."""

    def version_string(self) -> str:
        return "cloudflare"  # what is in front of the live service

    def address_string(self) -> str:
        return str(self.client_address[0])


def _report(model: SaladCloudModel, name: str) -> Response:
    if name == "statistics":
        return json_answer(200, model.statistics())
    if name == "groups":
        return json_answer(200, model.overview())
    if name == "requests":
        return json_answer(200, model.requests())
    if name == "settings":
        return json_answer(200, {**dataclasses.asdict(model.settings), "api_key": None})
    return NOT_FOUND


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A simulated SaladCloud on loopback.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one, which is printed")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="default")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--organization", default="sandbox")
    parser.add_argument("--project", action="append", help="may be repeated; default: default")
    parser.add_argument("--no-rate-limit", action="store_true")
    parser.add_argument("--latency", type=float, help="seconds, the same for every request; default: 0.02 to 0.2")
    parser.add_argument("--list-limit", help="items in a list of groups; none: all; default: 100")
    parser.add_argument("--replica-quota", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", help="any other setting")
    arguments = parser.parse_args()
    changes: dict[str, Any] = {
        "organization": arguments.organization,
        "projects": tuple(arguments.project or ["default"]),
    }
    if arguments.no_rate_limit:
        changes["rate_limit_per_minute"] = None
    if arguments.latency is not None:
        changes["latency_min"] = changes["latency_max"] = arguments.latency
    if arguments.list_limit is not None:
        changes["list_limit"] = None if arguments.list_limit == "none" else int(arguments.list_limit)
    if arguments.replica_quota is not None:
        changes["replica_quota"] = arguments.replica_quota
    changes.update({name: json.loads(value) for name, _, value in (text.partition("=") for text in arguments.set)})
    settings = dataclasses.replace(PROFILES[arguments.profile], **changes)

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    model = SaladCloudModel(SystemClock(), settings, arguments.seed)
    server = SaladCloudServer(model, arguments.host, arguments.port, arguments.seed)
    server.start()
    print(f"seed={arguments.seed} organization={settings.organization} project={settings.projects[0]}", flush=True)
    print(f"url={server.url}", flush=True)
    stopped.wait()
    server.stop()


if __name__ == "__main__":
    main()
