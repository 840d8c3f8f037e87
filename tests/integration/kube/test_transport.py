"""The connection to the API server over real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from tests.support import faulty_api
from tests.support.clock import FakeClock
from tests.support.faulty_api import FaultyApi, Scripted
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.client import STRATEGIC, OfficialTransport, load_configuration
from virtual_kubelet_salad.runtime.clock import SystemClock

SECRET = "hunter2-token"
PATH = "/api/v1/namespaces/ns/pods/p"


@pytest.fixture
def transport(api: FaultyApi) -> Iterator[OfficialTransport]:
    transport = OfficialTransport(Configuration(host=api.url, api_key={"BearerToken": f"Bearer {SECRET}"}))
    yield transport
    transport.close()


def test_a_request_goes_out_as_it_is(api: FaultyApi, transport: OfficialTransport) -> None:
    body: dict[str, object] = {"a": None, "b": [], "c": "2026-01-01T00:00:00.000000Z", "d": {"é": 1.5}}
    query = {"fieldSelector": "spec.nodeName=a&b", "watch": "x y"}
    api.answers["PATCH", PATH] = Scripted(200, {"kind": "Pod"}, {"Content-Type": "application/json", "X-Some": "y"})
    answer = transport.request("PATCH", PATH, query=query, body=body, content_type=STRATEGIC, timeout=60.0)
    assert (answer.status, answer.body, answer.headers["x-some"]) == (200, {"kind": "Pod"}, "y")
    seen = api.requests[0]
    assert json.loads(seen.body) == body
    assert seen.query == query
    assert seen.headers["content-type"] == STRATEGIC
    assert seen.headers["authorization"] == f"Bearer {SECRET}"
    assert seen.headers["user-agent"].startswith("virtual-kubelet-salad/")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_bodies_are_plain_json(api: FaultyApi, transport: OfficialTransport, method: str) -> None:
    transport.request(method, PATH, body={"x": None}, timeout=60.0)
    assert api.requests[0].headers["content-type"] == "application/json"
    assert json.loads(api.requests[0].body) == {"x": None}


def test_quoted_names_stay_quoted(api: FaultyApi, transport: OfficialTransport) -> None:
    transport.request("GET", "/api/v1/namespaces/ns/secrets/..%2F..%2Fx", timeout=60.0)
    assert api.requests[0].path == "/api/v1/namespaces/ns/secrets/..%2F..%2Fx"


@pytest.mark.parametrize("body", ["<html>", "", "[]", "17", "nul", '"text"'])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_what_is_no_json_object_is_no_body(
    api: FaultyApi, transport: OfficialTransport, body: str, status: int
) -> None:
    api.answers["GET", PATH] = Scripted(status, body)
    answer = transport.request("GET", PATH, timeout=60.0)
    assert (answer.status, answer.body) == (status, None)


def test_a_redirect_is_not_followed(api: FaultyApi, transport: OfficialTransport) -> None:
    api.answers["GET", PATH] = Scripted(302, {}, {"Location": f"{api.url}/elsewhere"})
    assert transport.request("GET", PATH, timeout=60.0).status == 302
    assert len(api.requests) == 1


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("status", [429, 503])
def test_nothing_is_repeated_by_itself(api: FaultyApi, transport: OfficialTransport, method: str, status: int) -> None:
    api.answers[method, PATH] = Scripted(status, {}, {"Retry-After": "1"})
    assert transport.request(method, PATH, timeout=60.0).status == status
    assert len(api.requests) == 1


def test_one_connection_serves_many_requests(api: FaultyApi, transport: OfficialTransport) -> None:
    for _ in range(5):
        transport.request("GET", PATH, timeout=60.0)
    assert len({seen.connection for seen in api.requests}) == 1


def test_two_transports_share_no_connection(api: FaultyApi, transport: OfficialTransport) -> None:
    other = OfficialTransport(Configuration(host=api.url))
    for one in (transport, other, transport, other):
        one.request("GET", PATH, timeout=60.0)
    other.close()
    connections = [seen.connection for seen in api.requests]
    assert connections[0] == connections[2] != connections[1] == connections[3]


# -- failures ----------------------------------------------------------------------------------------------------------


def _failure(transport: OfficialTransport, method: str, path: str = PATH, timeout: float = 0.3) -> errors.CouldNotAsk:
    with pytest.raises(errors.CouldNotAsk) as caught:
        transport.request(method, path, body=None if method == "GET" else {}, timeout=timeout)
    assert SECRET not in repr(caught.value) + str(caught.value.__cause__)
    return caught.value


def test_a_server_that_is_down_has_applied_nothing(api: FaultyApi, transport: OfficialTransport) -> None:
    api.stop()
    failure = _failure(transport, "PATCH")
    assert not failure.may_be_applied
    assert "refused" in str(failure)


def test_a_server_that_cannot_be_reached_has_applied_nothing() -> None:
    with faulty_api.black_hole() as port:
        transport = OfficialTransport(Configuration(host=f"http://127.0.0.1:{port}"))
        assert not _failure(transport, "PATCH").may_be_applied
        transport.close()


def test_a_host_that_has_no_address_has_applied_nothing() -> None:
    transport = OfficialTransport(Configuration(host="http://no-such-host.invalid"))
    assert not _failure(transport, "PATCH").may_be_applied
    transport.close()


@pytest.mark.parametrize("fault", [faulty_api.mute, faulty_api.hang_up, faulty_api.cut_in_a_chunk])
def test_a_write_that_was_sent_may_be_applied(
    api: FaultyApi, transport: OfficialTransport, fault: faulty_api.Fault
) -> None:
    api.list_fault = fault
    assert _failure(transport, "POST", "/api/v1/pods").may_be_applied
    assert not _failure(transport, "GET", "/api/v1/pods").may_be_applied


def test_a_mute_server_costs_one_timeout(api: FaultyApi, transport: OfficialTransport) -> None:
    api.list_fault = faulty_api.mute
    clock = SystemClock()
    started = clock.monotonic()
    _failure(transport, "GET", "/api/v1/pods", timeout=3.0)
    assert 3.0 <= clock.monotonic() - started < 6.0


def test_plain_http_where_tls_is_spoken_is_no_crash(api: FaultyApi) -> None:
    transport = OfficialTransport(Configuration(host=api.url.replace("http", "https")))
    assert "TLS" in str(_failure(transport, "GET"))
    transport.close()


def test_a_token_that_is_no_header_is_not_quoted(api: FaultyApi) -> None:
    broken = Configuration(host=api.url, api_key={"BearerToken": f"Bearer {SECRET}\nx"})
    transport = OfficialTransport(broken)
    failure = _failure(transport, "GET")
    assert failure.__cause__ is None
    transport.close()


def test_after_a_401_the_token_file_is_read_again(api: FaultyApi, tmp_path: Path, fake_clock: FakeClock) -> None:
    (tmp_path / "token").write_text("first")
    (tmp_path / "config").write_text(
        json.dumps(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": api.url}}],
                "users": [{"name": "u", "user": {"tokenFile": "token"}}],
            }
        )
    )
    transport = OfficialTransport(load_configuration(str(tmp_path / "config"), clock=fake_clock))
    api.answers["GET", PATH] = Scripted(401)
    (tmp_path / "token").write_text("second")
    for _ in range(2):
        transport.request("GET", PATH, timeout=60.0)
    transport.close()
    assert [seen.headers["authorization"] for seen in api.requests] == ["Bearer first", "Bearer second"]


# -- interruption ------------------------------------------------------------------------------------------------------


def test_an_interrupted_request_fails_at_once_and_the_next_one_works(
    api: FaultyApi, transport: OfficialTransport
) -> None:
    api.list_fault = faulty_api.mute
    failures: list[errors.CouldNotAsk] = []
    waiting = threading.Thread(target=lambda: failures.append(_failure(transport, "GET", "/api/v1/pods", 30.0)))
    waiting.start()
    while not api.requests:
        threading.Event().wait(0.01)
    transport.interrupt()
    waiting.join(20.0)
    assert not waiting.is_alive()
    assert len(failures) == 1
    assert transport.request("GET", PATH, timeout=60.0).status == 200


def test_a_closed_transport_sends_nothing(api: FaultyApi, transport: OfficialTransport) -> None:
    transport.close()
    _failure(transport, "PATCH")
    assert api.requests == []
