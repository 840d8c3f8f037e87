from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.unit.kubelet_api.conftest import Port
from virtual_kubelet_salad import errors, metrics
from virtual_kubelet_salad.kubelet_api import application

EVERY_PATH = (
    "/", "/pods", "/runningpods/", "/healthz", "/configz", "/containerLogs/default/web/main", "/exec/default/web/main",
    "/attach/default/web/main", "/portForward/default/web", "/nothing", "/../etc/passwd", "/stats/summary", "/metrics",
    "/metrics/resource", "/metrics/cadvisor", "/metrics/probes",
)  # fmt: skip


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_strangers_get_401_whatever_they_ask(port: Port, path: str, method: str) -> None:
    answer = port.ask(path, method=method, token="bad")
    assert (answer.code, port.client.is_trusted) == (401, False)
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("path", EVERY_PATH)
def test_who_lacks_the_right_gets_403_and_is_told_which(port: Port, path: str) -> None:
    answer = port.ask(path, token="poor")
    assert (answer.code, port.client.is_trusted) == (403, False)
    assert b"user=bob, verb=get, resource=nodes, subresource=" in answer.body


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_standby_answers_503_and_asks_nobody(port: Port, path: str) -> None:
    port.is_active = False
    port.trouble = errors.CouldNotAsk("must not be asked")
    answer = port.ask(path)
    assert (answer.code, port.client.is_trusted) == (503, False)
    assert b"stands by" in answer.body


def test_rights_that_cannot_be_checked_are_not_believed(port: Port) -> None:
    port.trouble = errors.CouldNotAsk("the API server is down")
    answer = port.ask("/pods")
    assert answer.code == 503
    assert "the API server is down" in answer.json["message"]


def test_healthz_says_ok_or_which_thread_is_late(port: Port) -> None:
    assert (port.ask("/healthz").code, port.ask("/healthz").body) == (200, b"ok")
    port.late = ["lease", "worker 1"]
    assert (port.ask("/healthz").code, port.ask("/healthz").body) == (500, b"lease\nworker 1")


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/exec/default/web/main", "exec"),
        ("/attach/default/web/main", "attach"),
        ("/portForward/default/web", "port-forward"),
        ("/exec/default/web/5f0c6a0e/main", "exec"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_no_cloud_offers_is_refused_in_one_sentence(port: Port, path: str, word: str, method: str) -> None:
    answer = port.ask(path, method=method)
    status = answer.json
    assert (answer.code, status["kind"], status["reason"], status["code"]) == (501, "Status", "NotImplemented", 501)
    assert status["message"].startswith(f"kubectl {word}")
    assert "\n" not in status["message"] and "not possible" in status["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/", "/podss", "/pods/x", "/containerLogs", "/containerLogs/default/web", "/containerLogs/default/web/main/x",
        "/stats/../pods", "/healthz/../pods", "/run/default/web/main", "/logs/", "/metrics/other",
        "/metrics/resource/x",
    ],
)  # fmt: skip
def test_another_path_is_not_found(port: Port, path: str) -> None:
    assert port.ask(path).code == 404


@pytest.mark.parametrize("path", ["/pods", "/containerLogs/default/web/main"])
def test_only_get_is_answered(port: Port, path: str) -> None:
    answer = port.ask(path, method="POST")
    assert (answer.code, answer.headers["Allow"]) == (405, "GET")


def test_what_fails_says_so_without_details_and_logs_them(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        raise ValueError("detail")

    port.app._late_threads = fail
    with caplog.at_level(logging.ERROR):
        answer = port.ask("/healthz")
    assert (answer.code, b"detail" in answer.body) == (500, False)
    assert "detail" in caplog.text


def test_every_answer_is_counted_by_route_and_code(port: Port) -> None:
    port.ask("/pods")
    port.ask("/exec/default/secret-name/main")
    port.ask("/secret-path", token="bad")
    assert port.observed == [("pods", 200), ("exec", 501), ("other", 401)]


def test_the_metrics_know_the_routes() -> None:
    assert metrics.KUBELET_ROUTES == application.ROUTES


# -- lists


def test_pods_lists_every_pod_of_the_node(port: Port) -> None:
    port.world.run_pod("web")
    port.world.create_pod("aaa")
    port.world.deliver()
    listed = port.ask("/pods").json
    assert (listed["kind"], listed["apiVersion"]) == ("PodList", "v1")
    assert [pod["metadata"]["name"] for pod in listed["items"]] == ["aaa", "web"]
    assert listed["items"][1]["status"]["phase"] == "Running"


def test_runningpods_leaves_out_what_waits_and_what_is_being_deleted(port: Port) -> None:
    for name in ("web", "leaving"):
        port.world.run_pod(name)
    port.world.create_pod("waiting")
    port.world.deliver()
    assert [pod["metadata"]["name"] for pod in port.ask("/runningpods/").json["items"]] == ["leaving", "web"]
    port.world.delete_pod("leaving")
    port.world.deliver()
    (only,) = port.ask("/runningpods/").json["items"]
    assert only["metadata"] == {
        "name": "web", "namespace": "default", "uid": port.world.pod("web")["metadata"]["uid"],  # type: ignore[index]
    }  # fmt: skip


def test_configz_answers(port: Port) -> None:
    assert port.ask("/configz").json == {"kubeletconfig": {}}
