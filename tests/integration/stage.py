"""A daemon between two simulators that are processes of their own: a stage for the stories of a whole module.

Starting and ending a pod takes seconds in which nothing is to be done, so a module begins all of its stories at once
and each test waits for its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator

from tests.support import cluster
from tests.support.cloud_process import ApiServerProcess, CloudProcess
from tests.support.daemon_process import API_KEY, DaemonProcess
from tests.support.scenarios import World, check_cloud

# Every interval as short as its flag allows sense: the stories are the same, only sooner.
QUICK_FLAGS = (
    "--poll-interval", "500ms",
    "--feed-interval", "500ms",
    "--heartbeat-interval", "1s",
    "--create-settle", "6s",
    "--sce-rate-limit", "0",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage(World):
    """A world whose API server can be made to fail. Faults hit the test's own requests too, unless they are told not
    to.
    """

    api_server: ApiServerProcess


@contextlib.contextmanager
def simulated_cloud(directory: pathlib.Path, *flags: str) -> Iterator[CloudProcess]:
    """Quick and unlimited, otherwise as it is by default: late and skewed log entries, single-use names, the list
    limit.
    """
    with CloudProcess(directory, "--profile", "fast", "--no-rate-limit", "--latency", "0.01", *flags) as cloud:
        yield cloud


@contextlib.contextmanager
def running(daemon: DaemonProcess, is_stopped_in_order: bool = True) -> Iterator[DaemonProcess]:
    """A daemon that is ready; at the end it must stop in order, and may have logged no stack trace."""
    try:
        daemon.start()
        daemon.wait_until_ready()
        yield daemon
        if daemon.is_running and is_stopped_in_order:
            assert daemon.stop() == 0, daemon.log_of_this_run()
        assert daemon.problems() == []
    except BaseException as error:
        if daemon.log.exists():
            error.add_note("\n".join(daemon.whole_log().splitlines()[-60:]))
        raise
    finally:
        if daemon.is_running:
            daemon.kill()


@contextlib.contextmanager
def stage(directory: pathlib.Path, *flags: str, foreign: Iterable[str] = (), api_key: str = API_KEY) -> Iterator[Stage]:
    """One cluster, one cloud, one daemon that is ready. At the end every request must have conformed."""
    with simulated_cloud(directory) as cloud, ApiServerProcess(directory) as api_server:
        daemon = DaemonProcess(directory, api_server.kubeconfig(), cloud.url, *QUICK_FLAGS, *flags, api_key=api_key)
        with running(daemon):
            yield Stage(cluster.over_http(api_server.url), cloud, daemon, api_server=api_server)
        check_cloud(cloud, foreign)
