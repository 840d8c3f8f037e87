"""One run of the sandbox: SaladCloud, a cluster and the daemon are started, shown, and stopped in order.

Runs on one thread that stays, with a thread for the daemon and those of the servers. Whatever happens, `run` leaves no
thread, process or file behind.
"""

from __future__ import annotations

import dataclasses
import pathlib
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox import applying
from virtual_kubelet_salad.sandbox.cluster import (
    CannotStart,
    Cluster,
    CouldNotAsk,
    MinimalCluster,
    StopRequested,
    missing_binaries,
)
from virtual_kubelet_salad.sandbox.manifests import Manifest
from virtual_kubelet_salad.sandbox.picture import Picture
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import PROFILES
from virtual_kubelet_salad.sandbox.screen import Head
from virtual_kubelet_salad.sandbox.view import open_view

PROGRAM = "virtual-kubelet-salad sandbox"
EXIT_DONE = 0
EXIT_FAILED = 1
REDRAW_SECONDS = 1.0
# Ctrl-C is answered soon: a call that hangs longer than this is left to the end of the process.
SHUTDOWN_SECONDS = 2
_NAMED_PODS = 10  # in the report of a timeout
_SEEDS = 1_000_000  # a random seed is short enough to be typed


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decides."""

    manifests: Sequence[Manifest]
    profile: str
    seed: int | None
    port: int
    until_ready: bool
    timeout_seconds: float
    binaries: pathlib.Path | None
    """Where a real control plane's binaries are said to be."""


@dataclasses.dataclass(frozen=True, slots=True)
class Daemon:
    """The daemon as the sandbox sees it. `run` takes its flags, blocks until the event is set, and returns its exit
    code; it never raises. `set_up_logs` directs its log to what is `sys.stderr` at that moment."""

    run: Callable[[Sequence[str], threading.Event], int]
    set_up_logs: Callable[[], None]


class Session:
    """Used once."""

    def __init__(self, settings: Settings, daemon: Daemon, stop_requested: threading.Event) -> None:
        self._settings = settings
        self._daemon = daemon
        self._stop_requested = stop_requested
        self._clock = SystemClock()
        self._seed = random.SystemRandom().randrange(_SEEDS) if settings.seed is None else settings.seed
        model = SaladCloudModel(self._clock, PROFILES[settings.profile], self._seed)
        self._cloud = SaladCloudServer(model, seed=self._seed)
        self._daemon_exit_code: int | None = None

    def run(self) -> int:
        """The exit code: 0 after an ordered stop, or when all is ready with `until_ready`; 1 after a failure, of which
        a line on standard error tells."""
        self._daemon.set_up_logs()
        self._cloud.start()
        try:
            with tempfile.TemporaryDirectory(prefix="virtual-kubelet-salad-") as directory:
                with self._cluster(pathlib.Path(directory)) as cluster:
                    return self._run_in(cluster)
        except StopRequested:
            return EXIT_DONE
        except (CannotStart, CouldNotAsk) as error:
            return _fail(str(error))
        finally:
            self._cloud.stop()

    def _cluster(self, directory: pathlib.Path) -> Cluster:
        """The real control plane when it is at hand, else the minimal one."""
        binaries, port = self._settings.binaries, self._settings.port
        if binaries is not None:
            missing = missing_binaries(binaries)
            if missing:
                _say(f"the minimal API server is used: KUBEBUILDER_ASSETS lacks {', '.join(missing)}")
            else:
                from virtual_kubelet_salad.sandbox.real_cluster import RealCluster  # loads more than most runs need

                _say("starting the control plane of KUBEBUILDER_ASSETS")
                return RealCluster(binaries, port, self._stop_requested)
        return MinimalCluster(self._clock, directory, port, self._seed)

    def _run_in(self, cluster: Cluster) -> int:
        thread = threading.Thread(target=self._run_daemon, args=(cluster.kubeconfig,), name="daemon")
        thread.start()
        try:
            outcome = applying.apply(cluster, self._settings.manifests)
            for note in outcome.notes:
                _say(note)
            exit_code = _fail(*outcome.problems) if outcome.problems else self._show(cluster, outcome.pods)
        finally:
            self._stop_requested.set()
            thread.join()
        return exit_code or self._daemon_exit_code or EXIT_DONE

    def _run_daemon(self, kubeconfig: pathlib.Path) -> None:
        self._daemon_exit_code = EXIT_FAILED
        arguments = [
            "--kubeconfig", str(kubeconfig),
            "--sce-api-url", self._cloud.url,
            "--sce-organization-name", "sandbox",
            "--sce-project-name", "default",
            "--metrics-address", "127.0.0.1:0",
            "--node-ip", "127.0.0.1",
            "--kubelet-port", "0",
            "--shutdown-timeout", f"{SHUTDOWN_SECONDS}s",
            *_INTERVALS.get(self._settings.profile, ()),
        ]  # fmt: skip
        try:
            self._daemon_exit_code = self._daemon.run(arguments, self._stop_requested)
        finally:
            self._stop_requested.set()

    def _show(self, cluster: Cluster, expected_pods: int) -> int:
        deadline = self._clock.monotonic() + self._settings.timeout_seconds
        picture: Picture | None = None
        is_done = False
        with open_view(self._head(cluster), self._clock) as screen:
            self._daemon.set_up_logs()  # from here on above the tables
            while not self._stop_requested.is_set():
                try:
                    picture = self._picture(cluster)
                except CouldNotAsk as error:
                    _say(f"the API server does not answer: {error}")
                else:
                    screen.show(picture)
                    is_done = self._settings.until_ready and picture.is_settled(expected_pods)
                if is_done or self._settings.until_ready and self._clock.monotonic() >= deadline:
                    break
                self._stop_requested.wait(REDRAW_SECONDS)
            if picture is not None:
                screen.finish(picture)
        self._daemon.set_up_logs()
        if self._settings.until_ready and not is_done and not self._stop_requested.is_set():
            return _fail(*self._what_is_missing(picture, expected_pods))
        return EXIT_DONE

    def _what_is_missing(self, picture: Picture | None, expected_pods: int) -> list[str]:
        problems = [f"not all pods were ready within {self._settings.timeout_seconds:g} s"]
        if picture is not None:
            unsettled = picture.unsettled()
            problems += [f"{row.name}: {row.status} {row.message}".rstrip() for row in unsettled[:_NAMED_PODS]]
            if len(unsettled) > _NAMED_PODS:
                problems.append(f"and {len(unsettled) - _NAMED_PODS} more pods")
            if len(picture.pods) < expected_pods:
                problems.append(f"{len(picture.pods)} pods are there, {expected_pods} were asked for")
        return problems

    def _head(self, cluster: Cluster) -> Head:
        return Head(
            f"SaladCloud sandbox: {cluster.description}, profile {self._settings.profile}, seed {self._seed}",
            f"export KUBECONFIG={cluster.kubeconfig}",
        )

    def _picture(self, cluster: Cluster) -> Picture:
        return Picture(
            nodes=_items(cluster, "/api/v1/nodes"),
            pods=_items(cluster, "/api/v1/pods"),
            groups=self._cloud.overview(),
            statistics=self._cloud.statistics(),
        )


# Where SaladCloud is quick, the daemon looks more often than it does by default.
_INTERVALS = {"fast": ("--poll-interval", "2s", "--feed-interval", "5s")}


def _items(cluster: Cluster, path: str) -> list[dict[str, Any]]:
    status, answer = cluster.request("GET", path)
    if status != 200:
        raise CouldNotAsk(f"{path}: {status}")
    items: list[dict[str, Any]] = answer["items"]
    return items


def _say(text: str) -> None:
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)


def _fail(*problems: str) -> int:
    for problem in problems:
        _say(problem)
    return EXIT_FAILED
