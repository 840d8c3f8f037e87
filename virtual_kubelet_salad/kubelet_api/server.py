"""Serves one WSGI application over HTTPS: cheroot, with limits that hostile clients cannot get around.

cheroot as shipped shakes hands on the accepting thread, queues connections without end and lets a client take its time;
here each connection has a thread from the first byte on, the number of connections is bounded, and `Connections` cuts
those that are slow. The application finds a `Client` in its environment. Its empty chunks are not skipped: the first
one sends the headers, so that a stream that has nothing to say yet is seen to have begun.

All threads are daemon threads: one that hangs in a call to the outside does not keep the process from ending.
"""

from __future__ import annotations

import logging
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cheroot import errors as cheroot_errors
from cheroot import server as cheroot_server
from cheroot import wsgi as cheroot_wsgi
from cheroot.makefile import StreamReader, StreamWriter
from cheroot.ssl import Adapter

from virtual_kubelet_salad.kubelet_api.connections import Connections
from virtual_kubelet_salad.runtime.clock import Clock

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

# Followers stay for hours, one connection each; the API server keeps some more open for its other questions.
MOST_CONNECTIONS = 96
# A connection that was cut gives its thread back a moment later.
_SPARE_THREADS = 8
# From the connection to the end of its request's headers, and between two requests. A handshake and a request over the
# slowest honest line take a second or two.
PATIENCE_SECONDS = 15.0
# For a single read or write. A reader who pauses (`kubectl logs -f | less`) is waited for this long.
SOCKET_TIMEOUT_SECONDS = 10.0
STREAM_TIMEOUT_SECONDS = 300.0
# A reader whose machine is lost says nothing any more, and who follows a silent log is told nothing either: the system
# asks after so many seconds of silence, and gives the connection up 10 s later.
# Not every system has these options.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}
# A bearer token with many groups takes some kilobytes. No request that is answered has a body.
MOST_HEADER_BYTES = 32 * 1024
MOST_BODY_BYTES = 64 * 1024
_BACKLOG = 128
_START_SECONDS = 30.0

CLIENT = "virtual_kubelet_salad.client"
"""Key of the `Client` in the environment of a request."""


class Client:
    """The other end of a request's connection."""

    def __init__(self, connection: ssl.SSLSocket, connections: Connections) -> None:
        self._connection = connection
        self._connections = connections
        self.is_trusted = False

    def certificate(self) -> dict[str, Any] | None:
        """The client certificate as `ssl` decodes it, verified by the handshake; None when it showed none."""
        return self._connection.getpeercert() or None

    def trust(self) -> None:
        """The request may be made: the connection is not cut for its age from here on, and may be used again."""
        self.is_trusted = True
        self._connections.trust(self._connection)
        self._connection.settimeout(STREAM_TIMEOUT_SECONDS)

    def is_gone(self) -> bool:
        """Whether the client has closed the connection. Never waits."""
        poll = select.poll()
        try:
            poll.register(self._connection.fileno(), select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        except (OSError, ValueError):
            return True
        return bool(poll.poll(0))


class KubeletServer:
    """The server. Bound and started by `start`; answers 503 until `serve` has given it an application."""

    def __init__(self, host: str, port: int, tls: Callable[[], ssl.SSLContext], clock: Clock) -> None:
        """`tls` is asked for each new connection, so that a new certificate counts at once."""
        self.connections = Connections(clock, MOST_CONNECTIONS, PATIENCE_SECONDS)
        self._server = _Server(host, port, self._answer, tls, self.connections)
        self._app: WSGIApplication = _starting
        self._thread = threading.Thread(target=self._run, name="kubelet api", daemon=True)
        self._is_bound = threading.Event()
        self._failure: OSError | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, after `start`; the one that the system chose when it was 0."""
        return int(self._server.bind_addr[1])

    def start(self) -> None:
        """Binds the port and begins to answer. Once. Raises OSError when the port cannot be used."""
        self._thread.start()
        if not self._is_bound.wait(_START_SECONDS):
            raise OSError("the server did not start")
        if self._failure is not None:
            raise self._failure

    def serve(self, app: WSGIApplication) -> None:
        """Answers with this application from now on."""
        self._app = app

    def stop(self, deadline_seconds: float) -> bool:
        """Cuts all connections and ends the threads; False when some hang longer than `deadline_seconds`. Also when it
        was never started.
        """
        self.connections.close()
        if not self._thread.is_alive():
            return True
        # In a thread of its own, because cheroot waits for its threads without an end.
        stopping = threading.Thread(target=self._server.stop, name="kubelet api stop", daemon=True)
        stopping.start()
        stopping.join(deadline_seconds)
        self._thread.join(deadline_seconds)
        return not stopping.is_alive() and not self._thread.is_alive()

    def _run(self) -> None:
        """cheroot's threads are children of this one, and so daemon threads too."""
        try:
            self._server.prepare()
        except OSError as error:
            self._failure = error
            return
        finally:
            self._is_bound.set()
        self._server.serve()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._app(environ, start_response)


def _starting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    return [b"starting\n"]


class _Tls(Adapter):
    """Wraps a connection without shaking hands: that is the connection's own thread's business."""

    def __init__(self, context: Callable[[], ssl.SSLContext], connections: Connections) -> None:
        self._context = context
        self._connections = connections

    def bind(self, sock: socket.socket) -> socket.socket:
        # Connections inherit it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, Any]]:
        try:
            wrapped = self._context().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError as error:
            sock.close()
            raise cheroot_errors.FatalSSLAlert(*error.args) from error
        if not self._connections.admit(wrapped):
            wrapped.close()
            raise cheroot_errors.FatalSSLAlert("there are too many connections")
        return wrapped, self.get_environ()

    def get_environ(self) -> dict[str, Any]:
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, sock: socket.socket, mode: str = "r", bufsize: int = -1) -> StreamReader | StreamWriter:
        kind = StreamReader if "r" in mode else StreamWriter
        return kind(sock, mode, bufsize if bufsize > 0 else 8192)


class _Connection(cheroot_server.HTTPConnection):
    """One connection: the handshake, then requests one after the other."""

    _is_shaken = False

    def communicate(self) -> bool:
        """One request; whether the connection stays open."""
        try:
            if not self._is_shaken:
                self.socket.do_handshake()
                self._is_shaken = True
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        except OSError as error:
            log.debug("connection lost client=%s reason=%s", self.remote_addr, error)
            return False
        finally:
            self.server.connections.distrust(self.socket)
            self.socket.settimeout(SOCKET_TIMEOUT_SECONDS)

    def close(self) -> None:
        self.server.connections.forget(self.socket)
        super().close()


class _Gateway(cheroot_wsgi.Gateway_10):
    """One request: hands the client over, and sends the headers as soon as the application has yielded anything."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        environ[CLIENT] = Client(self.req.conn.socket, self.req.server.connections)
        return environ

    def start_response(self, status: Any, headers: Any, exc_info: Any = None) -> Any:
        has_body = self.req.method != b"GET" or self.req.chunked_read or b"Content-Length" in self.req.inheaders
        if has_body or not self.env[CLIENT].is_trusted:
            # What is left of a body must not be read as the next request; and strangers do not stay.
            self.req.close_connection = True
        return super().start_response(status, headers, exc_info)

    def respond(self) -> None:
        response = self.req.server.wsgi_app(self.env, self.start_response)
        try:
            for chunk in response:
                if chunk:
                    self.write(chunk)
                else:
                    self.req.ensure_headers_sent()
            self.req.ensure_headers_sent()
        finally:
            if hasattr(response, "close"):
                response.close()


class _Server(cheroot_wsgi.Server):
    """cheroot with our limits, and with our log in place of standard error."""

    ConnectionClass = _Connection
    nodelay = True

    def __init__(
        self,
        host: str,
        port: int,
        app: WSGIApplication,
        tls: Callable[[], ssl.SSLContext],
        connections: Connections,
    ) -> None:
        super().__init__(
            (host, port),
            app,
            numthreads=MOST_CONNECTIONS + _SPARE_THREADS,
            server_name="virtual-kubelet-salad",
            request_queue_size=_BACKLOG,
            timeout=int(SOCKET_TIMEOUT_SECONDS),
            shutdown_timeout=1,
        )
        self.gateway = _Gateway
        self.connections = connections
        self.ssl_adapter = _Tls(tls, connections)
        self.max_request_header_size = MOST_HEADER_BYTES
        self.max_request_body_size = MOST_BODY_BYTES
        self.keep_alive_conn_limit = MOST_CONNECTIONS

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Closes the socket when it cannot be bound, which cheroot leaves to chance."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        # What clients do to their own connections is no error of ours.
        shown = level if level >= logging.ERROR else logging.DEBUG
        log.log(shown, "kubelet api: %s", msg, exc_info=traceback)
