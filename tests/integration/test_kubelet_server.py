"""The kubelet's port over sockets: what hostile, slow and hasty clients can do to it."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.tls import client_context
from tests.support.waiting import wait_until
from virtual_kubelet_salad.kubelet_api import server as kubelet_server
from virtual_kubelet_salad.kubelet_api.certificates import self_signed, tls_context
from virtual_kubelet_salad.kubelet_api.server import CLIENT, MOST_CONNECTIONS, PATIENCE_SECONDS, Client, KubeletServer
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox import pki

NOW = SystemClock().now()
FIRST, SECOND = (self_signed(name, ["127.0.0.1"], NOW) for name in ("first", "second"))
CLIENT_SECONDS = 60.0


class App:
    """`/hello` answers whoever asks; `/trusted` trusts them first; `/stream` yields until the client has gone; `/break`
    breaks off; `/hang` waits for `release`."""

    def __init__(self) -> None:
        self.streams_open = 0
        self.release = threading.Event()
        self.tick = threading.Event()
        self.certificates: list[Any] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        client: Client = environ[CLIENT]
        self.certificates.append(client.certificate())
        if environ["PATH_INFO"] != "/hello":
            client.trust()
        match environ["PATH_INFO"]:
            case "/stream":
                start_response("200 OK", [("Content-Type", "text/plain")])
                return self._stream(client)
            case "/break":
                start_response("200 OK", [("Content-Type", "text/plain")])
                return self._break()
            case "/hang":
                self.release.wait(CLIENT_SECONDS)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    def _stream(self, client: Client) -> Iterator[bytes]:
        self.streams_open += 1
        try:
            while not client.is_gone():
                yield b""
                self.tick.wait(0.02)
        finally:
            self.streams_open -= 1

    def _break(self) -> Iterator[bytes]:
        yield b"a part"
        raise ConnectionAbortedError(103, "not complete")


@pytest.fixture
def app() -> App:
    return App()


@contextlib.contextmanager
def serving(
    app: App, context: Callable[[], ssl.SSLContext] | None = None, clock: FakeClock | None = None, port: int = 0
) -> Iterator[KubeletServer]:
    fixed = tls_context(FIRST, None)
    server = KubeletServer("127.0.0.1", port, context or (lambda: fixed), clock or SystemClock())
    server.start()
    server.serve(app)
    try:
        yield server
    finally:
        app.release.set()
        assert server.stop(CLIENT_SECONDS)


@pytest.fixture(scope="module")
def shared() -> Iterator[KubeletServer]:
    """One server for all that clients can do to it."""
    with serving(App()) as server:
        yield server


@contextlib.contextmanager
def connected(server: KubeletServer, client: ssl.SSLContext | None = None) -> Iterator[http.client.HTTPSConnection]:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", server.port, timeout=CLIENT_SECONDS, context=client or client_context()
    )
    with contextlib.closing(connection):
        yield connection


def get(server: KubeletServer, path: str = "/hello", client: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    with connected(server, client) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


@contextlib.contextmanager
def raw(server: KubeletServer, sent: bytes = b"", *, is_tls: bool = True) -> Iterator[socket.socket]:
    """A connection on which that much was sent."""
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=CLIENT_SECONDS))
        if is_tls:
            made = stack.enter_context(client_context().wrap_socket(made))
        if sent:
            made.sendall(sent)
        yield made


def is_closed(connection: socket.socket) -> bool:
    """Waits until the server has said its last word."""
    try:
        while connection.recv(4096):
            continue
    except OSError:
        return True
    return True


def test_it_answers_over_tls_on_the_port_that_the_system_chose(app: App) -> None:
    with serving(app) as server:
        assert server.port != 0
        assert get(server) == (200, b"hello")


def test_before_it_has_an_application_it_says_that_it_starts() -> None:
    fixed = tls_context(FIRST, None)
    server = KubeletServer("127.0.0.1", 0, lambda: fixed, SystemClock())
    server.start()
    try:
        assert get(server) == (503, b"starting\n")
    finally:
        assert server.stop(CLIENT_SECONDS)


def test_a_port_in_use_is_told(app: App) -> None:
    with serving(app) as server:
        second = KubeletServer("127.0.0.1", server.port, lambda: tls_context(FIRST, None), SystemClock())
        with pytest.raises(OSError):
            second.start()
        assert second.stop(CLIENT_SECONDS)


def test_one_that_was_never_started_can_be_stopped() -> None:
    assert KubeletServer("127.0.0.1", 0, lambda: tls_context(FIRST, None), SystemClock()).stop(CLIENT_SECONDS)


def test_a_new_certificate_counts_for_the_next_connection(app: App) -> None:
    contexts = [tls_context(FIRST, None)]
    with serving(app, lambda: contexts[-1]) as server:
        for pair in (FIRST, SECOND):
            contexts.append(tls_context(pair, None))
            with raw(server) as connection:
                assert isinstance(connection, ssl.SSLSocket)
                assert connection.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(pair.certificate.decode())


def test_the_application_sees_the_clients_certificate(app: App, tmp_path: pathlib.Path) -> None:
    authority = pki.CertificateAuthority(tmp_path, "ca", NOW)
    context = tls_context(FIRST, authority.own.certificate.read_text())
    issued = authority.client("client", "ada", "devs")
    with serving(app, lambda: context) as server:
        assert get(server, client=client_context((issued.certificate, issued.key)))[0] == 200
        assert get(server)[0] == 200
    assert app.certificates[0]["subject"] == ((("organizationName", "devs"),), (("commonName", "ada"),))
    assert app.certificates[1] is None


# -- hostile clients


@pytest.mark.parametrize(
    ("sent", "is_tls"),
    [(b"", False), (b"\x16\x03", False), (b"", True), (b"GET /hello HT", True), (b"GET /hello HTTP/1.1\r\nA: ", True)],
    ids=["mute", "half a handshake", "mute after the handshake", "half a line", "half a header"],
)
def test_clients_that_never_finish_do_not_stop_the_others(shared: KubeletServer, sent: bytes, is_tls: bool) -> None:
    with contextlib.ExitStack() as clients:
        for number in range(MOST_CONNECTIONS + 20):
            clients.enter_context(raw(shared, sent, is_tls=is_tls))
            if number % 10 == 9:
                assert get(shared) == (200, b"hello")
        assert len(shared.connections) <= MOST_CONNECTIONS


def test_who_dribbles_is_cut_when_patience_is_over(app: App) -> None:
    clock = FakeClock()
    with serving(app, clock=clock) as server, raw(server, b"GET /hello HTTP/1.1\r\n") as connection:
        for _ in range(3):
            connection.sendall(b"X: y\r\n")
            clock.advance(PATIENCE_SECONDS / 3)
            assert len(server.connections) == 1
        server.connections.sweep()
        assert is_closed(connection)
        wait_until(lambda: len(server.connections) == 0, timeout=CLIENT_SECONDS, what="the connection to be forgotten")


def test_the_number_of_threads_is_bounded(app: App) -> None:
    with serving(app) as server:
        before = threading.active_count()
        with contextlib.ExitStack() as clients:
            for _ in range(MOST_CONNECTIONS + 50):
                clients.enter_context(raw(server, b"GET /hello HTTP/1.1\r\n"))
            assert threading.active_count() == before


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /hello HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"".join([b"GET /hello HTTP/1.1\r\n", *(b"X%d: y\r\n" % number for number in range(10_000)), b"\r\n"]),
        b"GET /hello HTTP/1.1\n\n",
        b"GET //etc/passwd HTTP/1.1\r\n\r\n",
        b"GET http://elsewhere/hello HTTP/1.1\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n",
        b"GET /hello HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\xff\xfe" * 1_000 + b"\r\n\r\n",
        b"GET /%ff%00 HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"POST /hello HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /hello HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk",
    ],
    ids=lambda text: bytes(text[:30]).decode("latin-1").strip(),
)
def test_odd_requests_end_their_own_connection_and_nothing_else(shared: KubeletServer, request_: bytes) -> None:
    with raw(shared) as connection:
        with contextlib.suppress(OSError):  # the server may have had enough before the end
            connection.sendall(request_)
        assert is_closed(connection)
    assert get(shared) == (200, b"hello")


def test_plain_http_gets_nothing(app: App) -> None:
    with serving(app) as server:
        with raw(server, b"GET /hello HTTP/1.1\r\n\r\n", is_tls=False) as connection:
            assert is_closed(connection)
        assert get(server) == (200, b"hello")
    assert len(app.certificates) == 1


def test_a_connection_whose_client_is_lost_without_a_word_is_given_up_by_the_system(app: App) -> None:
    with serving(app) as server, raw(server) as connection:
        wait_until(lambda: len(server.connections) == 1, timeout=CLIENT_SECONDS, what="the connection")
        (accepted,) = server.connections._quiet
        assert accepted.getpeername() == connection.getsockname()
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        for name, value in kubelet_server.KEEPALIVE.items():
            assert accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value


# -- connections


def test_who_may_ask_may_ask_again_on_the_same_connection(app: App) -> None:
    with serving(app) as server, connected(server) as connection:
        for _ in range(3):
            connection.request("GET", "/trusted")
            assert connection.getresponse().read() == b"hello"
        own = connection.sock
        connection.request("GET", "/trusted")
        connection.getresponse().read()
        assert connection.sock is own


@pytest.mark.parametrize(
    ("method", "path", "body"), [("GET", "/hello", None), ("POST", "/trusted", b"x"), ("POST", "/trusted", None)]
)
def test_strangers_and_bodies_do_not_keep_a_connection(app: App, method: str, path: str, body: bytes | None) -> None:
    with serving(app) as server, connected(server) as connection:
        connection.request(method, path, body=body)
        response = connection.getresponse()
        assert (response.status, response.getheader("Connection")) == (200, "close")


def test_a_stream_begins_before_it_has_anything_to_say_and_ends_with_its_client(app: App) -> None:
    with serving(app) as server:
        with connected(server) as connection:
            connection.request("GET", "/stream")
            assert connection.getresponse().status == 200
            assert app.streams_open == 1
        wait_until(lambda: app.streams_open == 0, timeout=CLIENT_SECONDS, what="the stream to end")


def test_a_broken_stream_is_seen_to_be_broken(app: App) -> None:
    with serving(app) as server, connected(server) as connection:
        connection.request("GET", "/break")
        with pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
            connection.getresponse().read()


def test_streams_leave_places_for_others_and_the_stop_ends_them(app: App) -> None:
    with contextlib.ExitStack() as clients:
        with serving(app) as server:
            for _ in range(kubelet_server.MOST_CONNECTIONS - 10):
                connection = clients.enter_context(connected(server))
                connection.request("GET", "/stream")
                assert connection.getresponse().status == 200
            assert get(server) == (200, b"hello")
        assert app.streams_open == 0


def test_a_request_that_hangs_does_not_hold_up_the_stop(app: App) -> None:
    before = set(threading.enumerate())
    fixed = tls_context(FIRST, None)
    server = KubeletServer("127.0.0.1", 0, lambda: fixed, SystemClock())
    server.start()
    server.serve(app)
    try:
        with raw(server, b"GET /hang HTTP/1.1\r\n\r\n"):
            wait_until(lambda: app.certificates, timeout=CLIENT_SECONDS, what="the request")
            assert not server.stop(0.1)
    finally:
        app.release.set()
        wait_until(lambda: set(threading.enumerate()) <= before, timeout=CLIENT_SECONDS, what="the threads to end")
