"""The kubelet's port of a whole daemon, and clients that mean it no good: it goes on to answer the others, to renew its
lease and to say that it is well, and it keeps no more open than it may.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.integration import stage
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.tls import client_context
from virtual_kubelet_salad.kubelet_api.server import MOST_CONNECTIONS

pytestmark = pytest.mark.integration

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{seen.NODE_NAME}"
CLIENT_SECONDS = 60.0
CROWD = 1_000
# Beside the connections of the port: those to SaladCloud and to the API server open and close by themselves.
FEW = 40


class Port:
    """The port of a daemon that has one pod, `web`."""

    def __init__(self, world: stage.Stage) -> None:
        self.world = world
        node = world.cluster.node()
        assert node is not None
        self.number = int(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"])
        self.group = seen.group_name(world.until_ready("web"))

    def ask(self, path: str, token: str = "any", method: str = "GET") -> tuple[int, bytes]:
        """A request as it is written here: nothing of the path is tidied up."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.number, timeout=CLIENT_SECONDS, context=client_context()
        )
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_accept_encoding=True)
            if token:
                connection.putheader("Authorization", f"Bearer {token}")
            connection.endheaders()
            response = connection.getresponse()
            return response.status, response.read()

    @contextlib.contextmanager
    def raw(self, sent: bytes = b"", *, is_tls: bool = True) -> Iterator[socket.socket]:
        with contextlib.ExitStack() as clients:
            made = socket.socket()
            clients.enter_context(made)
            # Little is taken by a reader who does not read.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            made.settimeout(CLIENT_SECONDS)
            made.connect(("127.0.0.1", self.number))
            if is_tls:
                made = clients.enter_context(client_context().wrap_socket(made))
            made.sendall(sent)
            yield made

    def follow(self, query: str = "follow=true") -> contextlib.AbstractContextManager[socket.socket]:
        """Who asks for the log and reads nothing of it."""
        path = f"/containerLogs/default/web/main?{query}"
        return self.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer any\r\n\r\n".encode())

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.world.daemon.pid}/fd"))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.world.daemon.pid}/task"))

    def readers(self) -> float:
        return self.world.daemon.metrics().value("kubelet_log_readers")

    def until_readers(self, count: int) -> None:
        self.world.until(lambda: self.readers() == count, f"{count} readers")

    def check_well(self) -> None:
        """It answers who may ask, renews its lease, and says that it is well."""
        assert self.ask("/healthz") == (200, b"ok")
        before = self._renewed()
        self.world.until(lambda: self._renewed() != before, "the lease to be renewed")
        assert self.world.daemon.get("/healthz").status == 200
        assert self.world.daemon.get("/readyz").status == 200

    def _renewed(self) -> object:
        lease = self.world.cluster.get(LEASE)
        assert lease is not None
        return lease["spec"]["renewTime"]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    directory: pathlib.Path = tmp_path_factory.mktemp("hostile")
    with stage.stage(directory) as world:
        world.cluster.create_pod(manifests.pod("web"))
        yield Port(world)


def test_a_thousand_connections_that_say_nothing_or_little_do_no_harm(port: Port) -> None:
    before, threads = port.open_files(), port.threads()
    pieces = (
        (b"", False),
        (b"\x16\x03\x01\x02\x00\x01", False),
        (b"GET /healthz HTTP/1.1\r\n", False),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", False),
        (b"", True),
        (b"GET /healthz HTTP/1.1\r\nX: ", True),
        (b"POST /exec/a/b/c HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx", True),
    )
    with contextlib.ExitStack() as crowd:
        for number in range(CROWD):
            # Handshakes cost the test more than the daemon: one in ten.
            sent, is_tls = pieces[number % 4] if number % 10 else pieces[4 + number // 10 % 3]
            with contextlib.suppress(OSError):  # cut at once for those that came later
                crowd.enter_context(port.raw(sent, is_tls=is_tls))
        port.check_well()
        assert port.open_files() <= before + MOST_CONNECTIONS + FEW
        assert port.threads() <= threads + FEW
    port.world.until(lambda: port.open_files() <= before + FEW, "the connections to be closed")
    port.check_well()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/containerLogs/default/web/main/../../../../pods", {404}),
        ("/%2e%2e/%2e%2e/etc/passwd", {404}),
        ("/..%2f..%2fetc%2fpasswd", {404}),
        ("//pods", {400, 404}),
        ("/pods/../healthz", {404}),
        ("/pods%00", {400, 404}),
        ("/containerLogs/default/web%00/main", {400, 404}),
        ("/containerLogs/default%2fweb/main", {404}),
        ("/containerLogs//web/main", {400, 404}),
        ("/containerLogs/default/web/main/", {200, 404}),
        ("/containerLogs/kube-system/web/main", {404}),
        ("/containerLogs/default/web/other", {404}),
        ("/containerLogs/default/web/main?tailLines=" + "9" * 5_000, {400}),
        ("/containerLogs/default/web/main?tailLines=-1", {400}),
        ("/containerLogs/default/web/main?tailLines=%D9%A3", {400}),
        ("/containerLogs/default/web/main?follow=perhaps", {400}),
        ("/containerLogs/default/web/main?sinceTime=yesterday", {400}),
        ("/containerLogs/default/web/main?sinceTime=99999-01-01T00:00:00Z", {400}),
        ("/containerLogs/default/web/main?" + "&".join(f"a{number}=1" for number in range(1_000)), {400}),
        ("/containerLogs/default/web/main?" + "x" * 60_000, {400, 413, 414}),
        ("/PODS", {404}),
        ("/" + "a/" * 5_000, {404, 414}),
        ("/metrics/resource/..%2f..", {404}),
        ("/exec/default/web/main?command=sh", {501}),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else None,
)
def test_odd_paths_and_queries_are_refused_and_break_nothing(port: Port, path: str, expected: set[int]) -> None:
    status, body = port.ask(path)
    assert status in expected, body[:300]
    assert b"Traceback" not in body and b"root:" not in body
    assert port.ask(path, token="")[0] in {401, *expected} - {200}


def test_neither_old_tls_nor_plain_http_nor_a_strangers_body_is_waited_for(port: Port) -> None:
    old = client_context()
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", port.number), timeout=CLIENT_SECONDS) as made:
        with pytest.raises(ssl.SSLError):
            old.wrap_socket(made)
    with port.raw(b"GET /pods HTTP/1.1\r\nHost: x\r\n\r\n", is_tls=False) as plain:
        assert b"HTTP/1.1 200" not in _everything(plain)
    # Nobody waits for a body whose sender may not send it.
    with port.raw(b"POST /exec/a/b/c HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n") as slow:
        answer = _everything(slow)
        assert answer.startswith(b"HTTP/1.1 401 ") and b"Connection: close" in answer
    port.check_well()


def test_followers_who_never_read_hold_up_nobody_and_are_let_go_when_they_go(port: Port) -> None:
    text = "x" * 9_000
    for _ in range(600):
        port.world.cloud.control("write_line", name=port.group, text=text)
    with contextlib.ExitStack() as readers:
        for _ in range(8):
            readers.enter_context(port.follow())
        port.until_readers(8)
        port.world.cloud.control("write_line", name=port.group, text="after them")
        port.world.until(
            lambda: port.ask("/containerLogs/default/web/main?tailLines=1") == (200, b"after them\n"), "the last line"
        )
        port.check_well()
    port.until_readers(0)


def test_readers_who_go_while_saladcloud_hangs_leave_nothing_behind(port: Port) -> None:
    world = port.world
    before = world.requests("query_log_entries")
    world.cloud.control("fail_next", count=1_000, kind="hang", operation="query_log_entries")
    # The feed of events asks too, one question at a time.
    world.until(lambda: world.requests("query_log_entries") > before, "the feed to hang")
    before = world.requests("query_log_entries")
    with port.follow(), port.follow("tailLines=5"), port.follow("follow=true&tailLines=0"):
        port.until_readers(3)
        world.until(lambda: world.requests("query_log_entries") >= before + 3, "the queries to hang")
    port.until_readers(0)
    world.cloud.control("clear_faults")
    port.check_well()


def _everything(connection: socket.socket) -> bytes:
    """Until the server closes it."""
    found = b""
    with contextlib.suppress(OSError):
        while chunk := connection.recv(65_536):
            found += chunk
    return found
