"""The HTTP face of the simulated SaladCloud, over sockets on loopback."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.salad_caller import CONTENT_TYPES, GROUPS, HEADERS, ORGANIZATION, prototype
from tests.support.waiting import wait_until
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import FAST

API = "/api/public"


class Client:
    """One kept-alive connection."""

    def __init__(self, origin: str) -> None:
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(origin).netloc, timeout=60)

    def send(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded body (or text) and headers."""
        sent = {**HEADERS, **headers}
        payload = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if payload is not None:
            sent.setdefault("Content-Type", CONTENT_TYPES.get(method, "application/json"))
        self.connection.request(method, path, payload, sent)
        response = self.connection.getresponse()
        raw = response.read()
        content = response.headers.get_content_type()
        return response.status, json.loads(raw) if raw and content.endswith("json") else raw, dict(response.headers)

    def close(self) -> None:
        self.connection.close()


Start = Callable[..., SaladCloudServer]


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[SaladCloudServer] = []

    def started(**settings: Any) -> SaladCloudServer:
        changes = {"latency_min": 0.0, "latency_max": 0.0, "rate_limit_per_minute": None, **settings}
        server = SaladCloudServer(SaladCloudModel(SystemClock(), dataclasses.replace(FAST, **changes), seed=1))
        servers.append(server)
        server.start()
        return server

    yield started
    for server in servers:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Callable[[SaladCloudServer], Client]]:
    clients: list[Client] = []

    def connected(server: SaladCloudServer) -> Client:
        clients.append(Client(server.origin))
        return clients[-1]

    yield connected
    for client in clients:
        client.close()


Connect = Callable[[SaladCloudServer], Client]


def test_a_group_runs_and_goes_over_one_connection(start: Start, connect: Connect) -> None:
    server = start(preparation=0.05, allocation=0.05, download=0.05, create=0.05, deletion=0.05)
    assert server.url == server.origin + API
    client = connect(server)
    status, group, headers = client.send("POST", API + GROUPS, prototype("web", uid="u-1"))
    assert (status, headers["Location"]) == (201, f"{GROUPS}/web")
    first_socket = client.connection.sock

    def state() -> str:
        return str(client.send("GET", f"{API}{GROUPS}/web")[1]["current_state"]["status"])

    wait_until(lambda: state() == "running", timeout=60, what="the group to run")
    status, answer, _ = client.send("GET", f"{API}{GROUPS}/web/instances")
    assert answer["instances"][0]["state"] == "running"
    status, group, headers = client.send("PATCH", f"{API}{GROUPS}/web", {"display_name": "The web"})
    assert (status, group["display_name"]) == (200, "The web")
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert client.send("DELETE", f"{API}{GROUPS}/web")[:2] == (202, b"")
    wait_until(lambda: client.send("GET", f"{API}{GROUPS}/web")[0] == 404, timeout=60, what="the group to be gone")
    assert client.connection.sock is first_socket, "the connection is kept alive"


def test_a_body_that_is_not_json_is_a_violation(start: Start, connect: Connect) -> None:
    server = start()
    assert connect(server).send("POST", API + GROUPS, b"{not json")[0] == 400
    assert server.statistics()["schema_violations"] == 1


def test_a_request_that_breaks_off_is_not_a_request(start: Start) -> None:
    server = start()
    address = urllib.parse.urlsplit(server.origin)
    with socket.create_connection((str(address.hostname), address.port), timeout=60) as connection:
        connection.sendall(f"POST {API}{GROUPS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b"", "the server closes without an answer"
    assert server.statistics()["requests"] == server.statistics()["schema_violations"] == 0


def test_a_path_outside_of_the_api_is_not_found(start: Start, connect: Connect) -> None:
    assert connect(start()).send("GET", GROUPS)[0] == 404


def test_the_rate_limit_reaches_the_client(start: Start, connect: Connect) -> None:
    client = connect(start(rate_limit_per_minute=1))
    assert client.send("GET", API + GROUPS)[0] == 200
    status, answer, headers = client.send("GET", API + GROUPS)
    assert (status, answer["type"]) == (429, "too_many_requests")
    assert 0 < int(headers["Retry-After"]) <= 60


def test_html_reaches_the_client_as_html(start: Start, connect: Connect) -> None:
    server = start()
    server.control("fail_next", kind="502")
    status, answer, headers = connect(server).send("GET", API + GROUPS)
    assert status == 502 and b"<html>" in answer
    assert headers["Content-Type"].startswith("text/html")


def test_a_reset_may_come_after_the_create_took_effect(start: Start, connect: Connect) -> None:
    server = start()
    server.control("fail_next", kind="reset", applied=True)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        connect(server).send("POST", API + GROUPS, prototype("web"))
    assert [line["name"] for line in server.overview()] == ["web"]


def test_a_hanging_request_ends_when_the_server_stops(start: Start, connect: Connect) -> None:
    server = start(hang=3_600.0)
    server.control("fail_next", kind="hang")
    client = connect(server)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.send, "GET", API + GROUPS)
        wait_until(lambda: server.statistics()["requests"] == 1, timeout=60, what="the request to arrive")
        assert not pending.done()
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 60.0
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            pending.result(timeout=60)


def test_latency_is_waited_side_by_side(start: Start) -> None:
    server = start(latency_min=2.0, latency_max=2.0)

    def once(_number: int) -> int:
        client = Client(server.origin)
        try:
            return client.send("GET", API + GROUPS)[0]
        finally:
            client.close()

    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert list(pool.map(once, range(10))) == [200] * 10
    assert 2.0 <= time.monotonic() - begun < 18.0, "ten requests one after the other would take twenty seconds"


def test_many_connections_create_each_group_once(start: Start) -> None:
    server = start()

    def create(number: int) -> int:
        client = Client(server.origin)
        try:
            return client.send("POST", API + GROUPS, prototype(f"web-{number % 20}"))[0]
        finally:
            client.close()

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(create, range(40)))
    assert (statuses.count(201), statuses.count(400)) == (20, 20)


def test_control_routes_need_no_key_and_have_no_faults(start: Start, connect: Connect) -> None:
    server = start(api_key="the real key")
    client = connect(server)
    assert client.send("POST", API + GROUPS, prototype("web"), **{"Salad-Api-Key": "the real key"})[0] == 201
    bare = http.client.HTTPConnection(urllib.parse.urlsplit(server.origin).netloc, timeout=60)
    try:
        bare.request("POST", "/__control__/outage", b'{"kind": "503"}')
        assert bare.getresponse().read() == b"{}"
        bare.request("GET", "/__control__/groups")
        assert [line["name"] for line in json.load(bare.getresponse())] == ["web"]
        bare.request("GET", "/__control__/settings")
        shown = bare.getresponse().read()
        assert b"the real key" not in shown and json.loads(shown)["organization"] == "sandbox"
        bare.request("POST", "/__control__/vanish", b'{"name": "other"}')
        response = bare.getresponse()
        assert (response.status, json.load(response)["detail"]) == (400, "no group other")
        bare.request("GET", "/__control__/unheard_of")
        response = bare.getresponse()
        assert (response.status, response.read() != b"") == (404, True)
        bare.request("GET", "/__control__/statistics")
        assert json.load(bare.getresponse())["requests"] == 1, "control routes are not counted"
    finally:
        bare.close()


def test_stopping_cuts_idle_connections_and_leaves_no_thread(start: Start, connect: Connect) -> None:
    server = start()
    for _ in range(3):
        connect(server).send("GET", API + GROUPS)
    before = threading.active_count()
    server.stop()
    assert threading.active_count() == before - 4


def test_it_runs_as_its_own_process() -> None:
    command = [sys.executable, "-m", "virtual_kubelet_salad.sandbox.salad_http", "--profile", "fast", "--seed", "1"]
    options = ["--no-rate-limit", "--latency", "0", "--list-limit", "none", "--replica-quota", "7", "--set", "hang=5"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "seed=1 organization=sandbox project=default\n"
            url = process.stdout.readline().removeprefix("url=").strip()
            client = Client(url)
            status, quotas, _ = client.send("GET", f"{API}{ORGANIZATION}/quotas")
            assert (status, quotas["container_groups_quotas"]["container_replicas_quota"]) == (200, 7)
            settings = client.send("GET", "/__control__/settings")[1]
            assert (settings["rate_limit_per_minute"], settings["list_limit"], settings["hang"]) == (None, None, 5)
            client.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
