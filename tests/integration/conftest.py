"""The whole daemon as a process between two simulators in this one: what the tests of the daemon share."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Generator, Iterator

import pytest

from tests.support import cluster
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import World, check_cloud
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox.api_http import ApiServer, kubeconfig
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import FAST

SEED = 20260504
# Every interval as short as its flag allows sense: the stories are the same, only sooner.
QUICK_FLAGS = (
    "--poll-interval", "500ms",
    "--feed-interval", "500ms",
    "--heartbeat-interval", "1s",
    "--create-settle", "6s",
    "--sce-rate-limit", "0",
    # A stable identity takes its own lease back at once, also after a kill.
    "--leader-identity", "the-only-one",
)  # fmt: skip


@pytest.fixture
def cloud() -> Iterator[SaladCloudServer]:
    """Quick and unlimited, otherwise as it is by default: late and skewed log entries, single-use names, the list
    limit. At the end every request must have conformed."""
    settings = dataclasses.replace(FAST, rate_limit_per_minute=None, latency_min=0.0, latency_max=0.02)
    server = SaladCloudServer(SaladCloudModel(SystemClock(), settings, SEED), seed=SEED)
    server.start()
    try:
        yield server
        check_cloud(server)
    finally:
        server.stop()


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    clock = SystemClock()
    server = ApiServer(ApiServerModel(clock, seed=SEED), clock=clock)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def kubeconfig_file(api_server: ApiServer, tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig(api_server.url))
    return path


@pytest.fixture
def daemon(cloud: SaladCloudServer, kubeconfig_file: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[DaemonProcess]:
    """Not started. One that still runs at the end must stop in order, and no run may have logged a stack trace."""
    daemon = DaemonProcess(tmp_path, kubeconfig_file, cloud.url, *QUICK_FLAGS)
    try:
        yield daemon
        if daemon.is_running:
            assert daemon.stop() == 0, daemon.log_of_this_run()
        assert daemon.problems() == []
    finally:
        if daemon.is_running:
            daemon.kill()


@pytest.fixture
def world(cloud: SaladCloudServer, api_server: ApiServer, daemon: DaemonProcess) -> World:
    """With a daemon that is ready."""
    daemon.start()
    daemon.wait_until_ready()
    return World(cluster.in_process(api_server), cloud, daemon)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of the daemon's log."""
    report = yield
    daemon = getattr(item, "funcargs", {}).get("daemon")
    if report.failed and isinstance(daemon, DaemonProcess) and daemon.log.exists():
        report.sections.append(("daemon", "\n".join(daemon.whole_log().splitlines()[-60:])))
    return report
