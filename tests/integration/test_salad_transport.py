"""The transport to SaladCloud over real sockets: repetitions, broken connections and silence."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.salad_caller import GROUPS, prototype
from tests.support.waiting import wait_until
from virtual_kubelet_salad.errors import CouldNotAsk
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.saladcloud.transport import RequestsTransport
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import FAST

TIMEOUT = (2.0, 5.0)
IMPATIENT = (2.0, 0.3)
# No call ends by itself within a test.
PATIENT = (60.0, 600.0)


class Line:
    """A transport to a server of its own."""

    def __init__(self) -> None:
        settings = dataclasses.replace(FAST, latency_min=0.0, latency_max=0.0, hang=2.0)
        self.model = SaladCloudModel(SystemClock(), settings)
        self.server = SaladCloudServer(self.model)
        self.server.start()
        self.retries = 10
        self.transport = RequestsTransport(self.server.url, lambda: "key", self._may_retry, SystemClock())

    def _may_retry(self) -> bool:
        self.retries -= 1
        return self.retries >= 0

    def requests(self) -> int:
        return int(self.model.statistics()["requests"])

    def close(self) -> None:
        self.transport.close()
        self.server.stop()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def test_a_request_and_its_answer(line: Line) -> None:
    answer = line.transport.send("POST", GROUPS, body=prototype("web-abc"), timeout=TIMEOUT)
    assert answer.status == 201 and answer.body["name"] == "web-abc"
    assert line.transport.send("GET", GROUPS, timeout=TIMEOUT).body["items"][0]["name"] == "web-abc"
    assert line.transport.send("DELETE", f"{GROUPS}/web-abc", timeout=TIMEOUT).status == 202
    assert line.model.statistics()["schema_violations"] == 0


@pytest.mark.parametrize("kind", ["503", "reset"])
def test_a_get_outlives_two_failures(line: Line, kind: str) -> None:
    line.model.fail_next(2, kind)
    assert line.transport.send("GET", GROUPS, timeout=TIMEOUT).status == 200
    assert (line.requests(), line.retries) == (3, 8)


def test_a_get_gives_up_without_budget(line: Line) -> None:
    line.retries = 0
    line.model.fail_next(1, "reset")
    with pytest.raises(CouldNotAsk, match="broke"):
        line.transport.send("GET", GROUPS, timeout=TIMEOUT)
    assert line.requests() == 1


def test_a_write_that_is_cut_is_sent_once_and_may_be_applied(line: Line) -> None:
    line.model.fail_next(1, "reset", applied=True)
    with pytest.raises(CouldNotAsk) as caught:
        line.transport.send("POST", GROUPS, body=prototype("web-abc"), timeout=TIMEOUT)
    assert caught.value.may_be_applied and caught.value.__context__ is None
    assert line.requests() == 1


def test_silence_ends_at_the_read_timeout(line: Line) -> None:
    line.model.fail_next(1, "hang")
    with pytest.raises(CouldNotAsk, match="in time") as caught:
        line.transport.send("POST", GROUPS, body=prototype("web-abc"), timeout=IMPATIENT)
    assert caught.value.may_be_applied


def test_a_write_to_nobody_was_never_sent() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        transport = RequestsTransport(url, lambda: "key", lambda: True, SystemClock())
        with pytest.raises(CouldNotAsk, match="no connection") as caught:
            transport.send("POST", "/x", body={}, timeout=TIMEOUT)
        transport.close()
    assert not caught.value.may_be_applied


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_closing_ends_a_call_that_hangs(line: Line, method: str) -> None:
    line.model.configure(hang=600.0)
    line.model.fail_next(10, "hang")
    failures: list[CouldNotAsk] = []

    def call() -> None:
        body = prototype("web-abc") if method == "POST" else None
        with pytest.raises(CouldNotAsk) as caught:
            line.transport.send(method, GROUPS, body=body, timeout=PATIENT)
        failures.append(caught.value)

    caller = threading.Thread(target=call)
    caller.start()
    wait_until(lambda: line.requests() == 1, timeout=60.0, what="the request to arrive")
    line.transport.close()
    caller.join(60.0)
    assert not caller.is_alive()
    assert [failure.may_be_applied for failure in failures] == [method == "POST"]
    # Nothing is repeated, and nothing is sent any more.
    with pytest.raises(CouldNotAsk, match="not asked any more"):
        line.transport.send("GET", GROUPS, timeout=PATIENT)
    assert line.requests() == 1


def test_the_call_of_one_thread_can_be_ended_and_leaves_the_others_alone(line: Line) -> None:
    line.model.configure(hang=600.0)
    line.model.fail_next(2, "hang")
    ended: list[str] = []

    def call(name: str) -> None:
        with pytest.raises(CouldNotAsk, match="broke"):
            line.transport.send("POST", GROUPS, body=prototype("web-abc"), timeout=PATIENT)
        ended.append(name)

    callers = [threading.Thread(target=call, args=(name,)) for name in ("one", "other")]
    for number, caller in enumerate(callers):
        caller.start()
        wait_until(lambda: line.requests() == number + 1, timeout=60.0, what="the request to arrive")
    own, other = callers
    assert own.ident is not None and other.ident is not None
    line.transport.cut(own.ident)
    own.join(60.0)
    assert (ended, other.is_alive()) == (["one"], True)
    # A thread that waits in no call loses nothing: its next one is answered.
    line.transport.cut(threading.get_ident())
    assert line.transport.send("GET", GROUPS, timeout=TIMEOUT).status == 200
    line.transport.cut(threading.get_ident())
    assert line.transport.send("GET", GROUPS, timeout=TIMEOUT).status == 200
    line.transport.cut(other.ident)
    other.join(60.0)
    assert ended == ["one", "other"]
