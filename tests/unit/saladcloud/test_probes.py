from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.kubelet.provider import Notice
from virtual_kubelet_salad.saladcloud import probes

TCP = {"tcpSocket": {"port": 80}}
TIMING = {
    "initial_delay_seconds": 0,
    "period_seconds": 10,
    "timeout_seconds": 1,
    "success_threshold": 1,
    "failure_threshold": 3,
}


def sent(probe: dict[str, Any], kind: str = "livenessProbe", tell: list[Notice] | None = None) -> dict[str, Any]:
    ports = [{"name": "http", "containerPort": 8000, "protocol": "TCP"}]
    pod = stored_pod(container={kind: probe, "ports": ports})
    (found,) = probes.probes(pod, [] if tell is None else tell).values()
    return dict(found)


def test_a_pod_without_probes_sends_none() -> None:
    assert probes.probes(stored_pod(), []) == {}


def test_each_probe_goes_where_it_belongs() -> None:
    pod = stored_pod(container={"livenessProbe": TCP, "readinessProbe": TCP, "startupProbe": TCP})
    assert set(probes.probes(pod, [])) == {"liveness_probe", "readiness_probe", "startup_probe"}


@pytest.mark.parametrize("kind", ["livenessProbe", "readinessProbe", "startupProbe"])
def test_unset_fields_get_the_defaults_of_kubernetes(kind: str) -> None:
    assert sent(TCP, kind) == {**TIMING, "tcp": {"port": 80}}


@pytest.mark.parametrize(
    ("handler", "request_part"),
    [
        ({"exec": {"command": ["cat", "/x"]}}, {"exec": {"command": ["cat", "/x"]}}),
        ({"tcpSocket": {"port": "http", "host": "localhost"}}, {"tcp": {"port": 8000}}),
        ({"grpc": {"port": 9000}}, {"grpc": {"port": 9000, "service": ""}}),
        ({"grpc": {"port": 9000, "service": "s"}}, {"grpc": {"port": 9000, "service": "s"}}),
        (
            {"httpGet": {"port": "http"}},
            {"http": {"path": "/", "port": 8000, "scheme": "http", "headers": [{"name": "Accept", "value": "*/*"}]}},
        ),
        (
            {"httpGet": {"port": 1, "path": "ok", "scheme": "HTTPS", "httpHeaders": [{"name": "a", "value": "b"}]}},
            {"http": {"path": "/ok", "port": 1, "scheme": "https", "headers": [{"name": "a", "value": "b"}]}},
        ),
    ],
)
def test_every_kind_of_probe_is_translated(handler: dict[str, Any], request_part: dict[str, Any]) -> None:
    assert sent(handler) == {**TIMING, **request_part}


def test_references_in_a_command_see_the_values_that_the_container_writes_as_in_a_kubelet() -> None:
    env = [{"name": "PORT", "value": "80"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    command = ["curl", "localhost:$(PORT)", "$$(PORT)", "x$(KEY)", "$(NOBODY)"]
    pod = stored_pod(container={"env": env, "livenessProbe": {"exec": {"command": command}}})
    (probe,) = probes.probes(pod, []).values()
    assert probe["exec"]["command"] == ["curl", "localhost:80", "$(PORT)", "x", "$(NOBODY)"]


@pytest.mark.parametrize(
    "probe",
    [
        {"initialDelaySeconds": 5},
        {"tcpSocket": {"port": "grpc"}},
        {"tcpSocket": {"port": 80, "host": "example.com"}},
        {"httpGet": {"port": 80, "host": "10.0.0.1"}},
        {"httpGet": {"port": 80, "path": "/" + "x" * 2048}},
        {"httpGet": {"port": 80, "httpHeaders": [{"name": "a", "value": ""}]}},
        {"httpGet": {"port": 80, "httpHeaders": [{"name": "a", "value": "b"}] * 51}},
        {"exec": {}},
        {"exec": {"command": [""]}},
        {"exec": {"command": ["a\nb"]}},
        {"exec": {"command": ["a"] * 101}},
        {"grpc": {"port": 1, "service": "x" * 1025}},
        {},
        {**TCP, "exec": {"command": ["true"]}},
        {"tcpSocket": {}},
        {"httpGet": {"port": 80, "scheme": "GOPHER"}},
        {**TCP, "initialDelaySeconds": -1},
        {**TCP, "periodSeconds": -1},
        {**TCP, "timeoutSeconds": 61},
        {**TCP, "initialDelaySeconds": 1201},
        {**TCP, "periodSeconds": 2401, "failureThreshold": 1},
    ],
)
def test_what_saladcloud_cannot_do_is_refused(probe: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="livenessProbe") as refusal:
        sent(probe)
    assert refusal.value.reason == "InvalidProbe"


@pytest.mark.parametrize(
    ("pods", "fitted"),
    [((90, 10), (20, 45)), ((1, 300), (3, 100)), ((20, 120), (20, 120)), ((3, 10), (3, 10)), ((30, 80), (20, 120))],
)
def test_a_window_out_of_range_becomes_the_least_that_is_not_shorter(
    pods: tuple[int, int], fitted: tuple[int, int]
) -> None:
    assert probes.fitted_window(*pods) == fitted


@given(st.integers(min_value=1, max_value=2400), st.integers(min_value=1, max_value=2400))
def test_a_fitted_window_is_in_range_and_never_shorter(failures: int, period: int) -> None:
    if failures * period > probes.GREATEST_WINDOW_SECONDS:
        return
    fitted = probes.fitted_window(failures, period)
    assert 1 <= fitted[0] <= 20 and 1 <= fitted[1] <= 120
    assert failures * period <= fitted[0] * fitted[1] < failures * period + 20


def test_an_adjustment_is_told_with_both_forms_and_nothing_else_is() -> None:
    tell: list[Notice] = []
    sent({**TCP, "failureThreshold": 90, "successThreshold": 12}, "readinessProbe", tell)
    assert [notice.reason for notice in tell] == ["ProbeAdjusted"]
    was, became = tell[0].message.split(" became ")
    assert was.endswith("failureThreshold 90, periodSeconds 10, successThreshold 12")
    assert became == "failureThreshold 20, periodSeconds 45, successThreshold 10"
    tell.clear()
    sent({**TCP, "failureThreshold": 20, "periodSeconds": 120}, tell=tell)
    assert tell == []
