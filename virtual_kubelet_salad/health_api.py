"""Serves /metrics, /healthz and /readyz on --metrics-address.

`health_app` is the WSGI application and needs no socket. `HealthServer` serves it: one thread per connection, each
closed after one answer, with a timeout on every read and write. A slow client cannot stop the others: beyond a fixed
number of connections the oldest is closed for the newest. The routes tell no secrets and ask no credentials.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

# A probe of Kubernetes waits 1 s, Prometheus 10 s; a client that needs longer for one read or write has gone.
_SOCKET_TIMEOUT_SECONDS = 10.0
# Two probes, a few Prometheus servers and people with curl; more at once is a fault or an attack.
_MAX_CONNECTIONS = 32
# How often the accepting thread looks whether it should stop.
_STOP_POLL_SECONDS = 0.1

StaleThreads = Callable[[], Iterable[tuple[str, float, float]]]
"""Name, age and bound (seconds) of each thread whose last step is older than the bound it published."""
NotReadyReasons = Callable[[], Sequence[str]]
"""Why the daemon is not ready, one line each; empty: it is."""


def health_app(
    registry: CollectorRegistry, stale_threads: StaleThreads, not_ready_reasons: NotReadyReasons
) -> WSGIApplication:
    """The WSGI application of the three routes."""
    metrics_app = make_wsgi_app(registry)

    def metrics(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # A query could pick single series, and then nothing would set the ones that are read at scrape time.
        return metrics_app({**environ, "QUERY_STRING": ""}, start_response)  # type: ignore[no-any-return]

    def healthz(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        stale = [
            f"thread {name}: no step finished for {age:.1f} s, bound {bound:.1f} s"
            for name, age, bound in stale_threads()
        ]
        return _verdict(stale, start_response)

    def readyz(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return _verdict(not_ready_reasons(), start_response)

    routes: dict[str, WSGIApplication] = {"/metrics": metrics, "/healthz": healthz, "/readyz": readyz}

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        route = routes.get(environ["PATH_INFO"])
        if route is None:
            return _text("404 Not Found", "not found; there are /metrics, /healthz and /readyz", start_response)
        if environ["REQUEST_METHOD"] != "GET":
            return _text("405 Method Not Allowed", "only GET", start_response, ("Allow", "GET"))
        try:
            return route(environ, start_response)
        except Exception:
            _log.exception("health route failed path=%s", environ["PATH_INFO"])
            return _text("500 Internal Server Error", "failed; the log says why", start_response)

    return app


def _verdict(reasons: Sequence[str], start_response: StartResponse) -> Iterable[bytes]:
    if reasons:
        return _text("503 Service Unavailable", "\n".join(reasons), start_response)
    return _text("200 OK", "ok", start_response)


def _text(status: str, text: str, start_response: StartResponse, *headers: tuple[str, str]) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    plain = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*plain, ("Cache-Control", "no-store"), *headers])
    return [body]


class HealthServer:
    """The HTTP server of one WSGI application. Bound by the constructor, so that a port in use is found at once."""

    def __init__(self, address: tuple[str, int], app: WSGIApplication) -> None:
        """`address` is host and port; port 0 lets the system choose one. OSError when it cannot be used."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._server = _Server(address, family)
        self._server.set_app(app)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(_STOP_POLL_SECONDS,),
            name="health api",
            daemon=True,
        )

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; the port that the system chose when port 0 was asked for."""
        host, port = self._server.server_address[:2]
        return str(host), port

    def start(self) -> None:
        """Begin to answer. Once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, close all connections and wait for their threads. Also when it was never started."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.close_connections()
        self._server.server_close()


class _Handler(wsgiref.simple_server.WSGIRequestHandler):
    timeout = _SOCKET_TIMEOUT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug("health api client=%s message=%r", self.client_address[0], format % args)


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    """Keeps account of its connections, oldest first."""

    daemon_threads = False  # server_close() joins them
    request_queue_size = 128  # with the inherited 5, a burst of clients makes a probe wait for TCP's retries

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily) -> None:
        self.address_family = family
        self._lock = threading.Lock()
        self._open: dict[socket.socket, None] = {}
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # The inherited method asks DNS for this host's name, which can take seconds and is not needed.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            oldest = next(iter(self._open)) if len(self._open) >= _MAX_CONNECTIONS else None
            if oldest is not None:
                del self._open[oldest]
            self._open[request] = None
        if oldest is not None:
            _cut(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that go away, and connections that were cut; errors of the routes are answered and logged there.
        _log.debug("health api connection lost client=%s", client_address[0], exc_info=True)

    def close_connections(self) -> None:
        """Cut all, so that their threads end now and not at their timeout."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _cut(connection)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        _log.debug("health api connection was already closed")
