"""Everything that a measure needs, each as a process of its own on loopback: the SaladCloud simulator, the minimal API
server, the daemon. The bench itself only asks, watches and reads /proc.

`World` is a context manager; leaving it stops what it started.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from tests.bench import process_usage
from tests.bench.loopback import Loopback
from tests.bench.watching import LEASES, PODS, PodTimes, RenewalTimes, Watch
from tests.support.daemon_process import DaemonProcess
from virtual_kubelet_salad.sandbox.processes import ChildProcess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROFILE = "fast"
NAMESPACE = "bench"
NODE = "saladcloud-node"
CREATORS = 4  # threads that create pods: more would only queue at the API server
_START_SECONDS = 30.0
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.1
# To a daemon that is told so, a list that is never this long is complete.
NO_LIST_LIMIT = 1_000_000


class Broken(Exception):
    """A process has ended or did not come up; the measure means nothing."""


class World:
    """`rate_limit` (requests/min), `list_limit` (groups) and `latency` (seconds) None: no limit; the profile's."""

    def __init__(
        self,
        directory: pathlib.Path,
        *,
        seed: int,
        rate_limit: int | None = 240,
        list_limit: int | None = None,
        latency: float | None = None,
        replica_quota: int = 10_000,
        daemon_flags: tuple[str, ...] = (),
    ) -> None:
        self._directory = directory
        self._rate_limit = rate_limit
        self._list_limit = list_limit
        self._daemon_flags = daemon_flags
        self._seed = seed
        self._simulator_flags = ["--profile", PROFILE, "--seed", str(seed), "--replica-quota", str(replica_quota)]
        self._simulator_flags += ["--list-limit", "none" if list_limit is None else str(list_limit)]
        if latency is not None:
            self._simulator_flags += ["--latency", str(latency)]
        if rate_limit is None:
            self._simulator_flags.append("--no-rate-limit")
        else:
            self._simulator_flags += ["--set", f"rate_limit_per_minute={rate_limit}"]
        self._stack = contextlib.ExitStack()
        self._pause = threading.Event()
        self._servers: list[ChildProcess] = []
        self._expects_daemon = False
        self.pods = PodTimes()
        self.renewals = RenewalTimes(NODE)

    def __enter__(self) -> World:
        with self._stack as stack:
            self._start_servers(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_servers(self, stack: contextlib.ExitStack) -> None:
        simulator = self._child(stack, "simulator", "virtual_kubelet_salad.sandbox.salad_http", *self._simulator_flags)
        kubeconfig = self._directory / "kubeconfig"
        api_server = self._child(
            stack, "api-server", "virtual_kubelet_salad.sandbox.api_http", "--kubeconfig", str(kubeconfig)
        )
        salad_url = self._printed_url(simulator)
        self.salad = Loopback(salad_url)
        api_url = self._printed_url(api_server)
        self.api = Loopback(api_url)
        self.daemon = DaemonProcess(
            self._directory,
            kubeconfig,
            salad_url,
            "--sce-rate-limit", str(self._rate_limit or 0),
            "--salad-list-limit", str(self._list_limit or NO_LIST_LIMIT),
            "--nodename", NODE,
            "--kubelet-port", "0",
            *self._daemon_flags,
        )  # fmt: skip
        stack.push(self.daemon.__exit__)
        stack.callback(self.salad.close)
        stack.callback(self.api.close)
        self.api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        for path, note in ((PODS, self.pods.note), (LEASES, self.renewals.note)):
            watch = Watch(api_url, path, note)
            watch.start()
            stack.callback(watch.stop)

    def _child(self, stack: contextlib.ExitStack, name: str, module: str, *flags: str) -> ChildProcess:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self._directory),
            "PYTHONPATH": str(ROOT),
        }
        log = self._directory / f"{name}.log"
        child = ChildProcess(name, [sys.executable, "-m", module, *flags], log, environment)
        stack.callback(child.stop, _STOP_SECONDS)
        self._servers.append(child)
        return child

    def _printed_url(self, child: ChildProcess) -> str:
        def url() -> str:
            lines = child.log.read_text().splitlines()
            return next((line.removeprefix("url=") for line in lines if line.startswith("url=")), "")

        if not self.reached(lambda: bool(url()), _START_SECONDS):
            raise Broken(f"{child.name} did not start:\n{child.log_tail()}")
        return url()

    # The daemon

    def start_daemon(self) -> float:
        """Starts it and waits until it says that it is ready; how many seconds that took, the start of Python
        included."""
        begun = time.monotonic()
        self.daemon.start()
        try:
            self.daemon.wait_until_ready(_START_SECONDS)
        except AssertionError as error:
            raise Broken(str(error)) from error
        self._expects_daemon = True
        return time.monotonic() - begun

    def stop_daemon(self) -> None:
        """An ordered stop."""
        self._expects_daemon = False
        self.daemon.stop()

    # Pods

    def create_pods(self, count: int, prefix: str = "pod") -> list[str]:
        """Creates pods that are bound to the node already; their names."""
        names = [f"{prefix}-{number:05d}" for number in range(count)]
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"

        def create(part: list[str]) -> None:
            for name in part:
                self.api.ask("POST", path, manifest(name))
            self.api.close()

        parts = [names[number::CREATORS] for number in range(CREATORS)]
        with concurrent.futures.ThreadPoolExecutor(CREATORS) as creators:
            list(creators.map(create, parts))
        return names

    def delete_all_pods(self) -> None:
        self.api.ask("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods")

    def group_of(self, pod: str) -> str:
        """The name of a pod's container group, as the pod says."""
        annotations: dict[str, str] = self.pods.latest()[pod]["metadata"].get("annotations") or {}
        return annotations["salad.com/container-group"].rpartition("/")[2]

    # SaladCloud

    def statistics(self) -> dict[str, Any]:
        """The simulator's."""
        origin_path = "/__control__/statistics"
        answer: dict[str, Any] = self.salad.ask("GET", origin_path)
        return answer

    def control(self, control: str, /, **arguments: Any) -> None:
        self.salad.ask("POST", f"/__control__/{control}", arguments)

    # Time

    def reached(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether it became true within the time. Raises Broken when a process has ended."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= deadline:
                return False
            self.let_pass(_LOOK_SECONDS)
        return True

    def let_pass(self, seconds: float) -> None:
        """Waits. Raises Broken when a process has ended."""
        self._pause.wait(seconds)
        for server in self._servers:
            if server.exit_code() is not None:
                raise Broken(f"{server.name} has ended with {server.exit_code()}:\n{server.log_tail()}")
        if self._expects_daemon and not self.daemon.is_running:
            raise Broken(f"the daemon has ended:\n{self.daemon.whole_log()[-4_000:]}")

    @contextlib.contextmanager
    def usage(self, into: dict[str, Any]) -> Iterator[None]:
        """Writes CPU seconds by process, requests and load of what happens meanwhile into a dictionary."""
        pids = {"daemon": self.daemon.pid, **{server.name: server.pid for server in self._servers}}
        before = {name: process_usage.cpu_seconds(pid) for name, pid in pids.items()}
        requests, api_requests = self.statistics(), self._api_requests()
        begun = time.monotonic()
        own = time.process_time()
        yield
        after, api_after = self.statistics(), self._api_requests()
        into["seconds"] = round(time.monotonic() - begun, 2)
        into["cpu_seconds"] = {
            name: round(process_usage.cpu_seconds(pid) - before[name], 2) for name, pid in pids.items()
        }
        into["cpu_seconds"]["bench"] = round(time.process_time() - own, 2)
        into["saladcloud_requests"] = _grown(requests["requests_by_operation"], after["requests_by_operation"])
        into["saladcloud_answers"] = _grown(requests["requests_by_code"], after["requests_by_code"])
        into["api_server_requests"] = _grown(api_requests, api_after)
        into["load_average"] = [round(load, 2) for load in os.getloadavg()]

    def _api_requests(self) -> dict[str, int]:
        counts: dict[str, int] = self.api.ask("GET", "/__control__/statistics")["requests"]
        return counts


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}


def manifest(name: str) -> dict[str, Any]:
    """A pod of usual size: labels, ten variables, requests; bound to the node, so that no scheduler is measured."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app": "bench", "app.kubernetes.io/name": "bench", "pod-template-hash": "6d4cf56db6"},
        },
        "spec": {
            "nodeName": NODE,
            "restartPolicy": "Always",
            "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}],
            "containers": [
                {
                    "name": "main",
                    "image": "docker.io/library/busybox:1.36",
                    "command": ["sleep", "infinity"],
                    "env": [{"name": f"VARIABLE_{number}", "value": f"value {number}"} for number in range(10)],
                    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
                }
            ],
        },
    }
