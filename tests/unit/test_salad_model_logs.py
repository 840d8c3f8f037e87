"""The simulated SaladCloud: log entries, their query language and their flaws."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.support.salad_caller import SaladCaller
from virtual_kubelet_salad.sandbox.salad_log_query import QueryError, compile_query
from virtual_kubelet_salad.sandbox.salad_logs import LogEntry


def entry(**changes: Any) -> LogEntry:
    values: dict[str, Any] = {
        "received": 1_000_000_002.0,
        "time": 1_000_000_000.0,
        "emitted": 1_000_000_000.0,
        "severity": "info",
        "kind": "instance_controller",
        "labels": {"container_group_name": "web", "project_name": "default"},
        "json_log": {"message": "Instance Exited:3 (Error)", "deep": {"n": 5}},
        "text_log": None,
        "resources": {},
    }
    return LogEntry(**{**values, **changes})


@pytest.mark.parametrize(
    "query",
    [
        'resource.type = "instance_controller"',
        'resource.type =~ "INSTANCE_CONTROLLER"',
        'resource.type != "container"',
        'resource.type !=~ "CONTAINER"',
        'resource.labels.container_group_name = "web"',
        'resource.labels.unheard_of != "x"',
        'not resource.labels.unheard_of = "x"',
        'json_log.message contains "Exited"',
        'json_log.message contains~ "exited"',
        'json_log.message !contains "exited"',
        'json_log.message !contains~ "allocated"',
        'json_log.message startswith "Instance"',
        'json_log.message startswith~ "instance"',
        'json_log.message !startswith "instance"',
        'json_log.message !startswith~ "group"',
        'json_log.message endswith "(Error)"',
        'json_log.message endswith~ "(ERROR)"',
        'json_log.message !endswith "(ERROR)"',
        'json_log.message !endswith~ "(x)"',
        "json_log.deep.n > 4",
        "json_log.deep.n = 5",
        "json_log.deep.n != 6",
        'severity >= "info"',
        'severity < "warning"',
        'severity = "info"',
        'time >= "2001-09-09T01:46:40Z"',
        'time < "2001-09-09T01:46:40.001Z"',
        'receive_time > "2001-09-09T01:46:41Z"',
        'time = "2001-09-09T01:46:40Z"',
        'log contains "Exited:3"',
        'resource.type = "x" or severity = "info"',
        'resource.type = "x" and severity = "error" or severity = "info"',
        'severity = "info" AND NOT (resource.type = "x" OR resource.type = "y")',
        '(((severity = "info")))',
        'not not severity = "info"',
        'resource.type="instance_controller" and json_log.message!="other"',
    ],
)
def test_a_query_that_matches(query: str) -> None:
    assert compile_query(query)(entry()) is True
    assert compile_query(f"not ({query})")(entry()) is False


@pytest.mark.parametrize(
    "query",
    [
        'text_log contains "x"',
        'resource.labels.unheard_of = "x"',
        "json_log.message = 5",
        'json_log.deep.n = "5"',
        'json_log.message.more = "x"',
        'severity = "info" and resource.type = "x"',
        'not severity = "info" and severity = "info"',
    ],
)
def test_a_query_that_does_not_match(query: str) -> None:
    assert compile_query(query)(entry()) is False


def test_a_quoted_value_may_hold_quotes_and_words() -> None:
    query = compile_query(r'text_log = "say \"and\" \\ (x)"')
    assert query(entry(json_log=None, text_log=r'say "and" \ (x)'))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "web",
        "severity",
        "severity =",
        'severity = "loud"',
        'severity "info"',
        '(severity = "info"',
        'severity = "info")',
        'severity = "info" and',
        'severity = "info" severity = "info"',
        'unheard_of = "x"',
        'json_log = "x"',
        'log = "x"',
        "text_log contains 5",
        'time > "yesterday"',
        'text_log = "open',
        "text_log = 'single'",
    ],
)
def test_a_query_that_cannot_be_understood(query: str) -> None:
    with pytest.raises(QueryError):
        compile_query(query)


@pytest.fixture
def salad() -> SaladCaller:
    return SaladCaller()


def messages(response: Any) -> list[str]:
    assert response.status == 200, response.text
    return [item["json_log"]["message"] for item in response.body["items"]]


def test_events_have_the_names_and_labels_of_the_live_service(salad: SaladCaller) -> None:
    instance = salad.run("web")
    salad.wait(10)
    response = salad.logs('resource.type = "instance_controller"', sort_order="asc")
    assert set(messages(response)) == {
        "Instance Allocated",
        "Instance Downloading",
        "Instance Creating",
        "Instance Starting",
        "Instance Running",
    }
    assert response.body["items"][0]["resource"]["labels"] == {
        "project_name": "default",
        "container_group_name": "web",
        "container_group_version": "1",
        "instance_id": instance["id"],
        "machine_id": instance["machine_id"],
    }
    assert messages(salad.logs('resource.type = "deployment_controller"')) == ["Container Group Started"]


def test_an_entry_is_seen_only_after_its_lag() -> None:
    salad = SaladCaller(log_lag_min=5.0, log_lag_max=5.0)
    salad.run("web")
    query = 'json_log.message = "Instance Running"'
    salad.wait(4.9)
    assert messages(salad.logs(query)) == []
    salad.wait(0.2)
    assert messages(salad.logs(query)) == ["Instance Running"]


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def test_the_clock_of_each_machine_is_wrong_in_its_own_way() -> None:
    salad = SaladCaller(node_skew_max=60.0, log_lag_min=1.0, log_lag_max=1.0)
    for number in range(5):
        salad.create(f"web-{number}")
    salad.wait(10)
    items = salad.logs('resource.type = "instance_controller"').body["items"]
    skews: dict[str, set[float]] = {}
    for item in items:
        skew = _seconds(item["time"]) - _seconds(item["receive_time"]) + 1.0
        skews.setdefault(item["resource"]["labels"]["machine_id"], set()).add(round(skew, 3))
        assert abs(skew) <= 60.001
    assert len(skews) == 5 and all(len(values) == 1 for values in skews.values())
    assert len(set().union(*skews.values())) == 5


def test_output_is_text_and_a_json_object_is_taken_apart(salad: SaladCaller) -> None:
    salad.run("web", command=["sh", "-c", "echo hello world; sleep 1000"])
    salad.model.write_line("web", '{"severity": "error", "answer": 42}')
    salad.model.write_line("web", "[1]")
    salad.wait(10)
    texts = [
        item["text_log"]
        for item in salad.logs('resource.type = "container" and log contains ""').body["items"]
        if "text_log" in item
    ]
    assert {"hello world", "[1]"} <= set(texts)
    (item,) = salad.logs("json_log.answer = 42").body["items"]
    assert (item["severity"], item["json_log"]) == ("error", {"answer": 42})
    assert "text_log" not in item


def test_a_lost_first_line_is_a_setting() -> None:
    salad = SaladCaller(first_line_is_lost=True)
    salad.run("web")
    salad.wait(10)
    assert salad.logs('resource.type = "container"').body["items"] == []


def test_a_running_container_writes_a_line_now_and_then() -> None:
    salad = SaladCaller(output_period=10.0)
    salad.run("web")
    salad.wait(35)
    assert len(salad.logs('text_log startswith "still running"').body["items"]) == 3


def test_pages_are_ordered_and_tell_where_they_begin_and_end(salad: SaladCaller) -> None:
    salad.run("web")
    salad.wait(10)
    query = 'resource.labels.container_group_name = "web"'
    everything = salad.logs(query, sort_order="asc").body
    times = [item["receive_time"] for item in everything["items"]]
    assert times == sorted(times) and len(times) == 7
    assert (everything["page_min_time"], everything["page_max_time"]) == (times[0], times[-1])
    newest = salad.logs(query, page_size=2).body["items"]
    assert [item["receive_time"] for item in newest] == times[:-3:-1]
    first = salad.logs(query, sort_order="asc", page_size=3).body
    rest = salad.logs(query, sort_order="asc", start_time=first["page_max_time"][:-4] + "Z").body
    assert {str(item) for item in first["items"] + rest["items"]} == {str(item) for item in everything["items"]}


def test_the_window_is_on_the_receive_time_unless_set_otherwise() -> None:
    salad = SaladCaller(log_lag_min=100.0, log_lag_max=100.0, node_skew_max=0.0)
    salad.run("web")
    salad.wait(200)
    late = {"start_time": "2026-01-01T00:01:00Z", "end_time": "2026-01-01T00:03:00Z"}
    query = 'json_log.message = "Instance Running"'
    assert len(messages(salad.logs(query, **late))) == 1
    salad.model.configure(log_window_is_receive_time=False)
    assert messages(salad.logs(query, **late)) == []
    assert len(messages(salad.logs(query, end_time="2026-01-01T00:00:10Z"))) == 1


@pytest.mark.parametrize(
    "changes, is_violation",
    [
        ({"start_time": "2026-01-01T00:00:00.0000001Z"}, False),
        ({"end_time": "2026-01-01T00:00:00.000000Z"}, False),
        ({"query": "  "}, False),
        ({"query": "nonsense"}, False),
        ({"end_time": "2025-01-01T00:00:00Z"}, False),
        ({"page_size": 101}, True),
        ({"page_size": 0}, True),
        ({"start_time": "yesterday"}, True),
        ({"sort_order": "up"}, True),
        ({"page": 2}, True),
    ],
)
def test_a_bad_query_is_refused(salad: SaladCaller, changes: dict[str, Any], is_violation: bool) -> None:
    body = {"query": 'severity = "info"', **changes}
    assert salad.logs(body.pop("query"), **body).status == 400
    assert salad.model.statistics()["schema_violations"] == int(is_violation)


def test_entries_outlive_their_group_but_not_their_retention() -> None:
    salad = SaladCaller(log_retention=1_000.0)
    salad.run("web")
    salad.delete("web")
    salad.wait(100)
    assert len(salad.logs('resource.type = "instance_controller"').body["items"]) == 5
    salad.wait(1_000)
    assert salad.logs('resource.type = "instance_controller"').body["items"] == []


def test_the_system_log_shows_the_newest_fifty_at_once(salad: SaladCaller) -> None:
    salad.run("job", command=["sh", "-c", "exit 0"])
    salad.wait(100)
    path = "/organizations/sandbox/projects/default/containers/job/system-logs"
    items = salad.call("GET", path).body["items"]
    assert len(items) == 50
    assert [item["event_time"] for item in items] == sorted((item["event_time"] for item in items), reverse=True)
    assert items[0]["version"] == "1" and items[0]["resource_cpu"] == 1
