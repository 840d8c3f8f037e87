"""What the daemon shows to operators: metrics, health, log, help, and never the key."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

from tests.support import cluster as seen
from tests.support import manifests, subcommand
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import START_SECONDS, World
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox.api_faults import Fault
from virtual_kubelet_salad.sandbox.api_http import ApiServer
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer

pytestmark = pytest.mark.integration

KEY_CANARY = "canary-of-the-api-key"
COMMAND_SECONDS = 30.0


def test_promtool_finds_nothing_to_complain_about(world: World) -> None:
    world.cluster.create_pod(manifests.pod("web"))
    world.until_ready("web")
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is not installed (Debian: prometheus)"
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=world.daemon.metrics().text,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_metrics_tell_what_happened(world: World) -> None:
    at_first = world.daemon.metrics()
    created = {"operation": "create_container_group", "code": "201"}
    assert at_first.value("saladcloud_requests_total", **created) == 0
    world.cluster.create_pod(manifests.pod("web", gpus=1))
    world.until_ready("web")
    # The poller counts groups and the cost at its next look.
    world.until(lambda: world.daemon.metrics().value("container_groups", state="running") == 1, "the group to count")
    now = world.daemon.metrics()
    assert now.value("saladcloud_requests_total", **created) == 1
    assert now.value("saladcloud_requests_total", operation="list_container_groups", code="200") > 0
    assert now.value("saladcloud_request_duration_seconds_count", operation="create_container_group") == 1
    assert now.value("reconcile_duration_seconds_count", outcome="created") == 1
    assert now.value("reconcile_duration_seconds_count", outcome="claimed") == 1
    assert now.value("reconcile_duration_seconds_count", outcome="failed") == 0
    assert now.value("apiserver_requests_total", verb="patch", resource="pods/status", code="200") > 0
    assert now.value("apiserver_requests_total", verb="watch", resource="pods") > 0
    assert now.value("apiserver_requests_total", code="403") == 0
    assert now.value("events_posted_total") > 0
    assert now.value("events_dropped_total") == 0
    assert now.value("pods", phase="Running") == 1
    assert now.value("pods", phase="Pending") == 0
    assert now.value("running_cost_dollars_per_hour") > 0
    assert now.value("node_condition", type="Ready", status="true") == 1
    assert now.value("node_condition", type="SaladCloudReachable", status="true") == 1
    assert 0 <= now.value("node_lease_age_seconds") < 10
    assert 0 <= now.value("pod_cache_age_seconds") < 60
    assert now.value("queue_depth") == 0
    assert now.value("build_info") == 1
    for thread in ("worker 0", "lease", "node status", "orphans", "events", "leader", "informer check"):
        assert 0 <= now.value("thread_last_step_age_seconds", thread=thread) < 60
    world.cluster.delete_pod("web")
    world.until_nothing_is_left()
    gone = world.daemon.metrics()
    assert gone.value("saladcloud_requests_total", operation="delete_container_group") >= 1
    assert gone.value("reconcile_duration_seconds_count", outcome="released") == 1
    world.until(lambda: world.daemon.metrics().value("running_cost_dollars_per_hour") == 0, "the cost to be gone")


def test_refused_requests_and_rate_limits_are_counted(world: World) -> None:
    world.cloud.control("fail_next", count=1, kind="429", operation="list_container_groups")
    world.until(lambda: world.daemon.metrics().value("saladcloud_rate_limited_total") == 1, "the 429 to count")
    # After it was applied, so that nobody waits whether it was.
    world.cloud.control("fail_next", count=1, kind="reset", applied=True, operation="create_container_group")
    world.cluster.create_pod(manifests.pod("web"))
    world.until_ready("web")
    lost = {"operation": "create_container_group", "code": "none"}
    assert world.daemon.metrics().value("saladcloud_requests_total", **lost) == 1


def test_a_daemon_without_an_api_server_is_alive_but_not_ready(
    daemon: DaemonProcess, api_server: ApiServer, cloud: SaladCloudServer
) -> None:
    api_server.refuse(503)
    daemon.start()
    wait_until(lambda: daemon.get("/healthz").status == 200, timeout=START_SECONDS, what="the daemon to be alive")
    answer = daemon.get("/readyz")
    assert answer.status == 503
    assert "API server" in answer.text
    api_server.faults.clear()
    daemon.wait_until_ready()
    wait_until(lambda: cloud.statistics()["requests"] > 0, timeout=START_SECONDS, what="a first look at SaladCloud")


def test_a_first_start_is_not_ready_before_it_leads_and_its_node_is_there(
    daemon: DaemonProcess, api_server: ApiServer, cloud: SaladCloudServer
) -> None:
    def until_not_ready_because(reason: str) -> None:
        def look() -> bool:
            answer = daemon.get("/readyz")
            if answer.status != 503:
                pytest.fail(f"it says that it is ready: {answer}")
            return answer.text.split("\n")[:-1] == [reason]

        wait_until(look, timeout=START_SECONDS, what=reason)

    no_election = Fault("status", path_part="/namespaces/kube-system/leases")
    no_node = Fault("status", method="POST", path_part="/nodes")
    api_server.faults.only(no_election, no_node)
    daemon.start()
    until_not_ready_because("nobody leads yet")
    api_server.faults.only(no_node)
    until_not_ready_because("the node has not been registered yet")
    api_server.faults.clear()
    daemon.wait_until_ready()
    wait_until(lambda: cloud.statistics()["requests"] > 0, timeout=START_SECONDS, what="a first look at SaladCloud")


def test_a_daemon_without_saladcloud_is_ready_and_its_node_is_there(
    daemon: DaemonProcess, api_server: ApiServer, cloud: SaladCloudServer
) -> None:
    cloud.control("outage", kind="503")
    daemon.start()
    daemon.wait_until_ready()
    world = World(seen.in_process(api_server), cloud, daemon)
    world.until(lambda: seen.condition(world.cluster.node(), "Ready") == "True", "the node to be ready")
    world.cluster.create_pod(manifests.pod("waits"))
    cloud.control("outage", kind=None)
    world.until_ready("waits")


@pytest.mark.parametrize(
    ("flags", "exit_code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        ([], 2),
        (["--sce-api-key", KEY_CANARY, "--workers", KEY_CANARY, "--log-level", KEY_CANARY], 2),
        ([f"--sce-api-key={KEY_CANARY}", f"--sce-api-kye={KEY_CANARY}", KEY_CANARY], 2),
    ],
    ids=["help", "version", "missing", "wrong values", "unknown flag"],
)
def test_the_key_is_not_repeated_by_the_command_line(flags: list[str], exit_code: int, tmp_path: pathlib.Path) -> None:
    done = subcommand.run(tmp_path, *flags, timeout=COMMAND_SECONDS, api_key=KEY_CANARY)
    assert done.code == exit_code, done
    assert KEY_CANARY not in done.out + done.err
    assert (done.out if exit_code == 0 else done.err).strip()
