from __future__ import annotations

import datetime
import logging
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.in_memory_provider import InMemoryLog
from tests.unit.kubelet_api.conftest import Answer, Port
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet.provider import Ending
from virtual_kubelet_salad.kubelet.provider_insight import LogLine
from virtual_kubelet_salad.kubelet_api import container_logs

BEGAN = datetime.datetime(2026, 1, 1, 0, 0, 1, 234_567, tzinfo=datetime.UTC)


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(BEGAN + datetime.timedelta(seconds=number), text) for number, text in enumerate(texts)]


def logs(port: Port, query: str = "", name: str = "web", container: str = "main") -> Answer:
    return port.ask(f"/containerLogs/default/{name}/{container}", query)


def stream(port: Port) -> InMemoryLog:
    return port.world.provider.streams[-1]


@pytest.fixture
def running(port: Port) -> Port:
    """`web` runs as container 1 and has written three lines."""
    port.world.run_pod("web")
    port.world.provider.written["memory://1"] = lines("one", "two", "three")
    port.world.deliver()
    return port


def test_the_lines_of_the_present_run_are_the_answer(running: Port) -> None:
    answer = logs(running)
    assert (answer.code, answer.body) == (200, b"one\ntwo\nthree\n")
    assert answer.headers["Content-Type"].startswith("text/plain")
    question = stream(running).question
    assert question.container_id == "memory://1"
    assert question.names == (running.world.box_name(),)
    assert stream(running).is_closed


def test_timestamps_are_written_as_a_runtime_writes_them(running: Port) -> None:
    assert logs(running, "timestamps=true&tailLines=1").body == b"2026-01-01T00:00:03.234567000Z three\n"


def test_every_part_of_a_line_with_breaks_has_its_timestamp(running: Port) -> None:
    running.world.provider.written["memory://1"] = lines("a\nb\n")
    assert logs(running).body == b"a\nb\n"
    stamp = b"2026-01-01T00:00:01.234567000Z "
    assert logs(running, "timestamps=true").body == stamp + b"a\n" + stamp + b"b\n"


@pytest.mark.parametrize(("limit", "expected"), [(1, b"o"), (4, b"one\n"), (5, b"one\nt"), (100, b"one\ntwo\nthree\n")])
def test_the_answer_ends_at_the_limit_of_bytes(running: Port, limit: int, expected: bytes) -> None:
    assert logs(running, f"limitBytes={limit}").body == expected
    assert stream(running).is_closed


def test_options_reach_the_provider(running: Port) -> None:
    logs(running, "tailLines=5&sinceSeconds=60").close()
    question = stream(running).question
    assert (question.tail, question.newest_seconds, question.follows) == (5, 60.0, False)
    logs(running, "sinceTime=2026-01-01T00:00:00Z&follow=true").close()
    question = stream(running).question
    assert (question.since, question.follows) == (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), True)


def test_what_cannot_be_printed_is_replaced(running: Port) -> None:
    running.world.provider.written["memory://1"] = lines("caf\u00e9 \ud800")
    assert logs(running).body == "café ?\n".encode()


# -- following


def test_a_follower_is_answered_at_once_and_gets_what_comes(port: Port) -> None:
    port.world.run_pod("web")
    answer = logs(port, "follow=true")
    assert answer.code == 200
    assert [answer.next(), answer.next()] == [b"", b""]
    port.world.provider.written["memory://1"] = lines("late")
    assert [answer.next(), answer.next()] == [b"late\n", b""]


def test_a_follower_whose_client_has_gone_ends_and_asks_no_more(running: Port) -> None:
    answer = logs(running, "follow=true")
    answer.next()
    running.client.gone = True
    with pytest.raises(ConnectionAbortedError):
        answer.next()


def test_a_follower_ends_with_the_port(running: Port) -> None:
    answer = logs(running, "follow=true")
    answer.next()
    running.is_stopping = True
    with pytest.raises(ConnectionAbortedError):
        answer.next()


def test_a_follower_is_told_when_the_pod_has_ended(port: Port, fake_clock: FakeClock) -> None:
    port.world.run_pod("web", restartPolicy="Never")
    answer = logs(port, "follow=true")
    assert [answer.next(), answer.next()] == [b"", b""]
    assert not stream(port).is_ended
    box = port.world.box_name()
    ending = Ending("memory://1", BEGAN, fake_clock.now(), 0, "Completed", "")
    port.world.provider.change(box, run=None, is_running=False, endings=(ending,))
    port.world.wake()
    port.world.settle()
    assert port.world.status()["phase"] == "Succeeded"
    assert answer.body == b""
    assert stream(port).is_ended and stream(port).is_closed


def test_a_follower_is_told_when_the_pod_is_gone(running: Port) -> None:
    answer = logs(running, "follow=true")
    uid = running.world.pod()["metadata"]["uid"]  # type: ignore[index]
    running.world.daemon.cache.apply("DELETED", dict(running.world.daemon.cache.get(uid) or {}))
    assert answer.body == b"one\ntwo\nthree\n"
    assert stream(running).is_ended


def test_a_pod_that_ended_long_ago_is_read_and_not_followed(port: Port, fake_clock: FakeClock) -> None:
    port.world.run_pod("web", restartPolicy="Never")
    ending = Ending("memory://1", BEGAN, fake_clock.now(), 0, "Completed", "")
    port.world.provider.change(port.world.box_name(), run=None, is_running=False, endings=(ending,))
    port.world.wake()
    port.world.settle()
    logs(port, "follow=true").close()
    assert stream(port).question.follows
    fake_clock.advance(container_logs.LATE_LINES.total_seconds() + 1)
    logs(port, "follow=true").close()
    assert not stream(port).question.follows


def test_logs_of_a_finished_pod_are_found_after_its_workload_is_gone(port: Port, fake_clock: FakeClock) -> None:
    port.world.run_pod("job", restartPolicy="Never")
    box = port.world.box_name("job")
    port.world.provider.written["memory://1"] = lines("done")
    ending = Ending("memory://1", BEGAN, fake_clock.now(), 0, "Completed", "")
    port.world.provider.change(box, run=None, is_running=False, endings=(ending,))
    port.world.wake("job")
    port.world.settle(seconds=60.0)
    assert port.world.provider.boxes == {}
    assert logs(port, name="job").body == b"done\n"
    assert stream(port).question.names == (box,)


def test_an_edited_annotation_leads_to_nobody_elses_log(port: Port) -> None:
    port.world.run_pod("web")
    identity = port.world.provider.identity
    own = port.world.box_name()
    port.world.patch_pod(
        {
            "metadata": {
                "annotations": {identity.claim_annotation: "here/somebody-elses", identity.attempt_annotation: "3"}
            }
        }
    )
    port.world.deliver()
    logs(port).close()
    asked = stream(port).question.names
    pod: dict[str, Any] = port.world.pod() or {}
    expected = tuple(
        port.world.provider.workload_name("cluster", "web", pod["metadata"]["uid"], attempt) for attempt in range(4)
    )
    assert asked == expected and own in asked


# -- refusals


def test_a_pod_of_another_node_is_not_found(port: Port) -> None:
    answer = logs(port, name="nope")
    assert (answer.code, answer.body) == (404, b'pod "nope" is not on this node')


def test_a_pod_that_waits_answers_with_the_reason(port: Port) -> None:
    port.world.create_pod("web")
    port.world.settle()
    answer = logs(port)
    assert answer.code == 400
    assert answer.body == b'container "main" in pod "web" is waiting to start: Allocating'


def test_a_pod_that_never_had_a_workload_answers_with_the_reason(port: Port) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "d", "controller": True}
    port.world.create_pod("agent", metadata={"ownerReferences": [owner]})
    port.world.settle()
    answer = logs(port, name="agent")
    assert answer.code == 400
    assert b"does not run here: NotRunOnVirtualNode: pods of DaemonSets do not run on a virtual node" in answer.body


def test_who_was_told_of_something_that_we_have_not_seen_yet_gets_an_answer_to_it(running: Port) -> None:
    added = {"spec": {"ephemeralContainers": [{"name": "debugger", "image": "tools:1"}]}}
    running.world.patch_pod(added, subresource="/ephemeralcontainers")
    ended = {"exitCode": 128, "reason": "UnsupportedField", "message": "nothing can be added"}
    told = {"name": "debugger", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    statuses = [{**told, "state": {"terminated": ended}}]
    running.world.patch_pod({"status": {"ephemeralContainerStatuses": statuses}}, subresource="/status")
    asked = "/containerLogs/default/web/debugger"
    answer = running.ask(asked)
    assert (answer.code, answer.body) == (
        400,
        b'container "debugger" in pod "web" never ran: UnsupportedField: nothing can be added',
    )

    def read_pod(namespace: str, name: str) -> dict[str, Any]:
        raise errors.CouldNotAsk("the API server is down")

    running.read_pod = read_pod
    assert running.ask(asked).code == 404
    running.read_pod = lambda namespace, name: {"metadata": {"uid": "another"}, "spec": {}}
    assert running.ask(asked).code == 404


def test_a_log_that_cannot_be_read_says_why(running: Port) -> None:
    def fail(call: str, name: str, applied: bool) -> None:
        raise errors.CouldNotAsk("the cloud is down")

    running.world.provider.fail = fail
    answer = logs(running)
    assert (answer.code, answer.body) == (500, b"the log cannot be read now: the cloud is down")
    assert stream(running).is_closed


def test_a_log_that_breaks_off_is_not_ended_in_order(running: Port, caplog: pytest.LogCaptureFixture) -> None:
    answer = logs(running)

    def fail(call: str, name: str, applied: bool) -> None:
        raise errors.CouldNotAsk("the cloud is down")

    running.world.provider.streams[-1]._fail = fail
    with caplog.at_level(logging.WARNING), pytest.raises(ConnectionAbortedError):
        assert answer.body
    assert "the cloud is down" in caplog.text
    assert stream(running).is_closed


def test_the_number_of_readers_is_bounded_and_places_come_back(running: Port) -> None:
    readers = [logs(running, "follow=true") for _ in range(container_logs.MOST_READERS)]
    assert {reader.code for reader in readers} == {200}
    assert logs(running).code == 503
    readers[0].close()
    readers[0].close()  # the server may close it twice
    assert logs(running).body == b"one\ntwo\nthree\n"
    again = logs(running, "follow=true")
    assert (again.code, logs(running).code) == (200, 503)


def test_a_refused_question_takes_no_place(port: Port) -> None:
    port.world.create_pod("web")
    port.world.settle()
    for _ in range(container_logs.MOST_READERS + 1):
        assert logs(port).code == 400


# -- readers who go while the cloud is waited for


def test_only_what_nobody_reads_any_more_is_abandoned(running: Port) -> None:
    answer = logs(running, "follow=true")
    answer.next()
    running.logs.abandon_unread()
    assert not stream(running).is_abandoned
    running.client.gone = True
    running.logs.abandon_unread()
    assert stream(running).is_abandoned
    with pytest.raises(ConnectionAbortedError):
        answer.next()
    answer.close()
    assert running.logs.readers == 0


def test_a_port_that_stops_waits_for_no_cloud(running: Port) -> None:
    logs(running, "follow=true").next()
    running.is_stopping = True
    running.logs.abandon_unread()
    assert stream(running).is_abandoned


@pytest.mark.parametrize("query", ["", "follow=true"])
def test_a_call_that_fails_for_a_reader_who_is_gone_is_no_ones_trouble(
    running: Port, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(call: str, name: str, applied: bool) -> None:
        running.client.gone = True
        raise errors.CouldNotAsk("nobody waits for this log any more")

    running.world.provider.fail = fail
    with caplog.at_level(logging.INFO), pytest.raises(ConnectionAbortedError):
        logs(running, query)
    assert stream(running).is_closed and running.logs.readers == 0
    assert not [record for record in caplog.records if "log" in record.getMessage()]
