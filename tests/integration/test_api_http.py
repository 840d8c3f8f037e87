"""The API server's face over sockets: streams, faults, and a prompt end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.waiting import wait_until
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox.api_faults import Fault
from virtual_kubelet_salad.sandbox.api_http import ApiServer, kubeconfig
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel

PODS = "/api/v1/namespaces/default/pods"
SPEC = {"containers": [{"name": "main", "image": "image"}]}
STOP_SECONDS = 30.0
TIMEOUT_SECONDS = 60

Json = dict[str, Any]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    clock = SystemClock()
    server = ApiServer(ApiServerModel(clock), clock=clock, bookmark_interval_seconds=0.5)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _connection(server: ApiServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=TIMEOUT_SECONDS)


def _ask(server: ApiServer, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    with contextlib.closing(_connection(server)) as connection:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content[:1] == b"{" else content


def _add_pod(server: ApiServer, name: str) -> None:
    assert _ask(server, "POST", PODS, {"metadata": {"name": name}, "spec": SPEC})[0] == 201


class Watch:
    """A watch that is read on a thread of its own; `events` fills, `ended` is set at its end."""

    def __init__(self, server: ApiServer, query: str = "") -> None:
        self.events: queue.Queue[Json] = queue.Queue()
        self.ended = threading.Event()
        self._connection = _connection(server)
        self._connection.request("GET", f"{PODS}?watch=true{query}")
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while line := self._response.readline():
                self.events.put(json.loads(line))
        except (OSError, ValueError, http.client.HTTPException):
            pass
        finally:
            self.ended.set()

    def next(self) -> tuple[str, str]:
        event = self.events.get(timeout=TIMEOUT_SECONDS)
        return event["type"], event["object"]["metadata"].get("name", "")

    def close(self) -> None:
        self._thread.join(TIMEOUT_SECONDS)
        self._connection.close()


def test_a_watch_delivers_as_it_happens_and_ends_at_its_time(server: ApiServer) -> None:
    watch = Watch(server, "&timeoutSeconds=1")
    _add_pod(server, "a")
    assert watch.next() == ("ADDED", "a")
    assert watch.ended.wait(TIMEOUT_SECONDS)
    watch.close()


def test_a_quiet_watch_gets_bookmarks(server: ApiServer) -> None:
    watch = Watch(server, "&timeoutSeconds=3&allowWatchBookmarks=true&resourceVersion=1")
    assert watch.next() == ("BOOKMARK", "")
    assert watch.next() == ("BOOKMARK", "")
    assert watch.ended.wait(TIMEOUT_SECONDS)
    watch.close()


def test_the_first_events_can_be_asked_for_with_a_bookmark_at_their_end(server: ApiServer) -> None:
    _add_pod(server, "a")
    watch = Watch(server, "&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersion=1")
    assert watch.next() == ("ADDED", "a")
    event = watch.events.get(timeout=TIMEOUT_SECONDS)
    assert event["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    watch.close()


def test_a_connection_is_kept_for_many_requests_and_watches(server: ApiServer) -> None:
    with contextlib.closing(_connection(server)) as connection:
        for path in (PODS, f"{PODS}?watch=true&timeoutSeconds=1", f"{PODS}/absent", "/version"):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
        assert server.statistics()["connections"] == 1


def test_pods_are_bound_by_themselves(server: ApiServer) -> None:
    conditions = [{"type": "Ready", "status": "True"}]
    status = {"allocatable": {"pods": "5"}, "conditions": conditions}
    assert _ask(server, "POST", "/api/v1/nodes", {"metadata": {"name": "node"}, "status": status})[0] == 201
    _add_pod(server, "a")
    wait_until(
        lambda: _ask(server, "GET", f"{PODS}/a")[1]["spec"].get("nodeName") == "node",
        timeout=TIMEOUT_SECONDS,
        what="the pod to be bound",
    )


def test_many_writers_lose_nothing(server: ApiServer) -> None:
    watch = Watch(server, "&timeoutSeconds=30")

    def write(number: int) -> None:
        for index in range(20):
            _add_pod(server, f"pod-{number}-{index}")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    added: set[str] = set()
    while len(added) < 160:
        kind, name = watch.next()
        if kind == "ADDED":
            assert name not in added
            added.add(name)
    for writer in writers:
        writer.join()
    server.stop()
    watch.close()


def test_stop_ends_watches_idle_connections_and_mute_requests_at_once(server: ApiServer) -> None:
    watches = [Watch(server, "&timeoutSeconds=600") for _ in range(5)]
    server.faults.add(Fault("hang", path_part="/nodes"))
    with contextlib.closing(_connection(server)) as idle, contextlib.closing(_connection(server)) as mute:
        idle.request("GET", "/version")
        idle.getresponse().read()
        mute.request("GET", "/api/v1/nodes")
        wait_until(lambda: server.statistics()["connections"] == 7, timeout=TIMEOUT_SECONDS, what="all connections")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < STOP_SECONDS
    for watch in watches:
        assert watch.ended.wait(STOP_SECONDS)
        watch.close()


def test_down_refuses_connections_and_up_goes_on_with_the_same_state(server: ApiServer) -> None:
    _add_pod(server, "a")
    watch = Watch(server, "&timeoutSeconds=600")
    server.down()
    assert watch.ended.wait(STOP_SECONDS)
    watch.close()
    with pytest.raises(ConnectionRefusedError):
        _ask(server, "GET", PODS)
    server.up()
    assert _ask(server, "GET", f"{PODS}/a")[0] == 200


def test_a_status_fault_answers_with_a_status_object_and_a_delay(server: ApiServer) -> None:
    server.faults.add(Fault("status", code=429, times=1, retry_after_seconds=7))
    with contextlib.closing(_connection(server)) as connection:
        connection.request("GET", PODS)
        response = connection.getresponse()
        body = json.loads(response.read())
        assert (response.status, response.getheader("Retry-After")) == (429, "7")
        assert (body["kind"], body["reason"]) == ("Status", "TooManyRequests")
        connection.request("GET", PODS)
        assert connection.getresponse().status == 200


def test_a_connection_can_be_closed_before_or_after_a_request_is_carried_out(server: ApiServer) -> None:
    for kind, expected in (("close", 404), ("close_after", 200)):
        server.faults.add(Fault(kind, method="POST", times=1))
        with pytest.raises(http.client.RemoteDisconnected):
            _ask(server, "POST", PODS, {"metadata": {"name": kind.replace("_", "-")}, "spec": SPEC})
        assert _ask(server, "GET", f"{PODS}/{kind.replace('_', '-')}")[0] == expected


def test_html_and_garbage_can_be_asked_for(server: ApiServer) -> None:
    server.faults.add(Fault("html", code=502, times=1))
    server.faults.add(Fault("garbage", times=1))
    status, content = _ask(server, "GET", PODS)
    assert (status, content[:6]) == (502, b"<html>")
    with pytest.raises(ValueError):
        _ask(server, "GET", PODS)


def test_an_answer_can_be_dictated_and_a_refusal_can_repeat_the_request(server: ApiServer) -> None:
    server.faults.add(Fault("answer", times=1, body={"data": "strange"}))
    server.faults.add(Fault("repeat", code=422, times=1))
    assert _ask(server, "GET", PODS)[1] == {"data": "strange"}
    status, content = _ask(server, "POST", PODS, {"kind": "repeated"})
    assert status == 422 and "repeated" in content["message"]


def test_a_hanging_request_gets_no_answer(server: ApiServer) -> None:
    server.faults.add(Fault("hang", times=1))
    with contextlib.closing(_connection(server)) as connection:
        connection.timeout = 0.3
        connection.request("GET", PODS)
        with pytest.raises(TimeoutError):
            connection.getresponse()
    assert _ask(server, "GET", PODS)[0] == 200


def test_watches_can_end_at_once_or_with_410(server: ApiServer) -> None:
    for fault, expected in (("end_watch", []), ("gone_event", ["ERROR"])):
        server.faults.add(Fault(fault, times=1))
        watch = Watch(server, "&timeoutSeconds=600")
        assert watch.ended.wait(TIMEOUT_SECONDS)
        assert [event["type"] for event in watch.events.queue] == expected
        watch.close()
    server.faults.add(Fault("status", code=410, watches=True, times=1))
    watch = Watch(server)
    assert watch.status == 410
    watch.close()


def test_a_compaction_ends_no_watch_that_is_up_to_date(server: ApiServer) -> None:
    watch = Watch(server, "&timeoutSeconds=600")
    server.compact()
    _add_pod(server, "a")
    assert watch.next() == ("ADDED", "a")
    server.end_watches()
    assert watch.ended.wait(TIMEOUT_SECONDS)
    watch.close()


def test_the_control_routes_do_the_same(server: ApiServer) -> None:
    assert _ask(server, "POST", "/__control__/fault", {"kind": "status", "code": 503})[0] == 200
    assert _ask(server, "GET", PODS)[0] == 503
    assert _ask(server, "POST", "/__control__/clear")[0] == 200
    assert _ask(server, "GET", PODS)[0] == 200
    assert _ask(server, "POST", "/__control__/compact")[0] == 200
    assert _ask(server, "POST", "/__control__/end-watches")[0] == 200
    statistics = _ask(server, "GET", "/__control__/statistics")[1]
    assert statistics["requests"] == {"GET pods": 2}
    for path, body in (("fault", {"kind": "nonsense"}), ("nonsense", {})):
        assert _ask(server, "POST", f"/__control__/{path}", body)[0] == 400


def test_requests_are_counted_by_verb_and_resource(server: ApiServer) -> None:
    _add_pod(server, "a")
    _ask(server, "PATCH", f"{PODS}/a/status", {}, **{"Content-Type": "application/merge-patch+json"})
    Watch(server, "&timeoutSeconds=1").close()
    assert server.statistics()["requests"] == {"POST pods": 1, "PATCH pods/status": 1, "WATCH pods": 1}
    assert [request.method for request in server.requests()] == ["POST", "PATCH", "GET"]


def test_tables_come_when_they_are_asked_for(server: ApiServer) -> None:
    _add_pod(server, "a")
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    for path in (PODS, f"{PODS}/a"):
        _, table = _ask(server, "GET", path, **accept)
        assert table["kind"] == "Table"
        assert table["rows"][0]["cells"][:3] == ["a", "0/1", "Pending"]
        assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
def test_probes_say_ok(server: ApiServer, path: str) -> None:
    assert _ask(server, "GET", path) == (200, b"ok")


def test_a_body_that_is_not_json_is_a_bad_request(server: ApiServer) -> None:
    with contextlib.closing(_connection(server)) as connection:
        connection.request("POST", PODS, b"{", {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["reason"]) == (400, "BadRequest")


def test_a_client_that_goes_away_leaves_nothing_behind(server: ApiServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET {PODS}?watch=true&timeoutSeconds=600 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        assert server.statistics()["connections"] == 1
    wait_until(
        lambda: server.statistics()["connections"] == 0, timeout=TIMEOUT_SECONDS, what="the dead watch to be dropped"
    )


def test_it_runs_as_a_process_of_its_own(tmp_path: pathlib.Path) -> None:
    config = tmp_path / "kubeconfig"
    command = [
        sys.executable,
        "-m",
        "virtual_kubelet_salad.sandbox.api_http",
        "--port",
        "0",
        "--kubeconfig",
        str(config),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().removeprefix("url=")
            assert config.read_text() == kubeconfig(url)
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT_SECONDS)
            with contextlib.closing(connection):
                connection.request("GET", "/api/v1/namespaces/kube-system")
                assert json.loads(connection.getresponse().read())["metadata"]["uid"]
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(TIMEOUT_SECONDS) == 0
        finally:
            process.kill()
