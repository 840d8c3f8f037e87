from __future__ import annotations

import contextlib
import http.client
import json
import pathlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import prometheus_client
import pytest

from virtual_kubelet_salad import health_api
from virtual_kubelet_salad.health_api import HealthServer, health_app

DOCKERFILE = pathlib.Path(__file__).parent.parent.parent / "Dockerfile"

STALE_THREAD = ("heartbeat", 60.0, 30.0)

# Shorter than the server's own patience, so that nobody is answered only because it has ended.
CLIENT_SECONDS = 0.9 * health_api._SOCKET_TIMEOUT_SECONDS


@contextlib.contextmanager
def serving(host: str = "127.0.0.1", stale: tuple[tuple[str, float, float], ...] = ()) -> Iterator[HealthServer]:
    server = HealthServer((host, 0), health_app(prometheus_client.CollectorRegistry(), lambda: stale, lambda: []))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def get(server: HealthServer, path: str = "/healthz") -> int:
    connection = http.client.HTTPConnection(*server.address, timeout=CLIENT_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status


def test_it_answers_on_the_port_that_the_system_chose() -> None:
    with serving() as server:
        assert server.address[1] != 0
        assert [get(server, path) for path in ("/healthz", "/readyz", "/metrics", "/x")] == [200, 200, 200, 404]


def test_an_ipv6_address_works_too() -> None:
    with serving("::1") as server:
        assert get(server) == 200


def test_a_port_in_use_is_found_at_once() -> None:
    with serving() as server, pytest.raises(OSError):
        HealthServer(server.address, health_app(prometheus_client.CollectorRegistry(), lambda: [], lambda: []))


def test_clients_that_never_finish_their_request_do_not_stop_the_others() -> None:
    with serving() as server, contextlib.ExitStack() as clients:
        for _ in range(3 * health_api._MAX_CONNECTIONS):
            mute = clients.enter_context(socket.create_connection(server.address, timeout=CLIENT_SECONDS))
            mute.sendall(b"GET /healthz HT")
            assert get(server) == 200


def test_the_number_of_threads_is_bounded() -> None:
    with serving() as server, contextlib.ExitStack() as clients:
        before = threading.active_count()
        mutes = [
            clients.enter_context(socket.create_connection(server.address, timeout=CLIENT_SECONDS))
            for _ in range(2 * health_api._MAX_CONNECTIONS)
        ]
        assert mutes[0].recv(1) == b""  # the oldest was closed for a newer one
        assert get(server) == 200
        assert threading.active_count() <= before + health_api._MAX_CONNECTIONS + 1


def test_stop_does_not_wait_for_a_mute_client() -> None:
    with contextlib.ExitStack() as clients:
        with serving() as server:
            mute = clients.enter_context(socket.create_connection(server.address, timeout=CLIENT_SECONDS))
            mute.sendall(b"GET /")
            assert get(server) == 200
        assert mute.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            get(server)


def image_health_check(port: int) -> int:
    (command,) = re.findall(r"^\s*CMD (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    _, dash_c, code = json.loads(command)
    assert (dash_c, code.count("8080")) == ("-c", 1)
    arguments = [sys.executable, "-I", "-c", code.replace("8080", str(port))]
    return subprocess.run(arguments, capture_output=True, timeout=CLIENT_SECONDS).returncode


def test_the_health_check_of_the_image_succeeds_only_while_the_daemon_is_healthy() -> None:
    with serving() as server:
        assert image_health_check(server.address[1]) == 0
    with serving(stale=(STALE_THREAD,)) as server:
        assert image_health_check(server.address[1]) == 1
    assert image_health_check(server.address[1]) == 1  # nobody listens there any more


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    HealthServer(("127.0.0.1", 0), health_app(prometheus_client.CollectorRegistry(), lambda: [], lambda: [])).stop()
