from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import prometheus_client
import pytest

from virtual_kubelet_salad import health_api
from virtual_kubelet_salad.metrics import Metrics


def ask(
    path: str,
    *,
    stale: Callable[[], Sequence[tuple[str, float, float]]] = lambda: [],
    reasons: Callable[[], Sequence[str]] = lambda: [],
    method: str = "GET",
    query: str = "",
    registry: prometheus_client.CollectorRegistry | None = None,
) -> tuple[str, dict[str, str], str]:
    app = health_api.health_app(registry or prometheus_client.CollectorRegistry(), stale, reasons)
    answered: list[Any] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": query}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        answered.extend([status, dict(headers)])
        return lambda written: None

    body = b"".join(app(environ, start_response))
    return answered[0], answered[1], body.decode()


def test_healthz_is_ok_while_no_thread_is_stale() -> None:
    assert ask("/healthz")[::2] == ("200 OK", "ok\n")


def test_healthz_names_every_stale_thread_on_a_line_of_its_own() -> None:
    status, _, body = ask("/healthz", stale=lambda: [("heartbeat", 61.04, 30.0), ("worker 3", 200.0, 120.0)])
    assert status == "503 Service Unavailable"
    assert body.splitlines() == [
        "thread heartbeat: no step finished for 61.0 s, bound 30.0 s",
        "thread worker 3: no step finished for 200.0 s, bound 120.0 s",
    ]


def test_readyz_is_ok_without_a_reason_against_it() -> None:
    assert ask("/readyz")[::2] == ("200 OK", "ok\n")


def test_readyz_tells_the_reasons() -> None:
    status, _, body = ask("/readyz", reasons=lambda: ["the pods are not synced", "the node is not registered"])
    assert status == "503 Service Unavailable"
    assert body == "the pods are not synced\nthe node is not registered\n"


def test_readiness_and_health_do_not_touch_each_other() -> None:
    assert ask("/healthz", reasons=lambda: ["stopping"])[0] == "200 OK"
    assert ask("/readyz", stale=lambda: [("heartbeat", 61.0, 30.0)])[0] == "200 OK"


def test_metrics_are_fresh_and_complete_whatever_the_query_says() -> None:
    registry = prometheus_client.CollectorRegistry()
    metrics = Metrics(registry)
    metrics.collect_from(lambda: metrics.lease_age_seconds(7.0))
    for query in ("", "name[]=virtual_kubelet_salad_node_lease_age_seconds"):
        status, headers, body = ask("/metrics", registry=registry, query=query)
        assert status == "200 OK"
        assert headers["Content-Type"].startswith("text/plain; version=")
        assert "virtual_kubelet_salad_node_lease_age_seconds 7.0" in body
        assert "virtual_kubelet_salad_build_info" in body


@pytest.mark.parametrize("path", ["/", "/healthz/", "/metrics2", "/../healthz"])
def test_another_path_is_not_found(path: str) -> None:
    assert ask(path)[0] == "404 Not Found"


@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE"])
def test_only_get_is_answered(method: str) -> None:
    status, headers, _ = ask("/healthz", method=method)
    assert (status, headers["Allow"]) == ("405 Method Not Allowed", "GET")


def test_answers_are_not_to_be_cached() -> None:
    assert ask("/readyz")[1]["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_a_route_that_fails_says_so_without_details_and_logs_them(path: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        raise ValueError("detail")

    registry = prometheus_client.CollectorRegistry()
    Metrics(registry).collect_from(fail)
    with caplog.at_level(logging.ERROR):
        status, _, body = ask(path, stale=fail, reasons=fail, registry=registry)
    assert (status, "detail" in body) == ("500 Internal Server Error", False)
    assert "detail" in caplog.text
