"""The sandbox's cluster: an API server to ask, and a kubeconfig for those who want to ask it too.

Two of them: the minimal one, here, and the real control plane, in `real_cluster`.
"""

from __future__ import annotations

import json
import os
import pathlib
from types import TracebackType
from typing import Any, Protocol, Self

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox import api_http
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel

CONTROL_PLANE_BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


class CannotStart(Exception):
    """The cluster cannot be started; one line says why."""


class StopRequested(Exception):
    """The stop came before what was waited for."""


class CouldNotAsk(Exception):
    """The API server gave no answer."""


class Cluster(Protocol):
    """A context manager: inside, the API server answers."""

    @property
    def description(self) -> str:
        """For people; whole once it has been entered."""

    @property
    def kubeconfig(self) -> pathlib.Path:
        """For the daemon and for kubectl; there once it has been entered."""

    def __enter__(self) -> Self:
        """Raises CannotStart, and StopRequested when the stop came first."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and decoded body. Raises CouldNotAsk."""

    def wait_for_namespace(self, name: str) -> None:
        """Until a pod can be created in a namespace that has just been made. Raises CannotStart and StopRequested."""


class MinimalCluster:
    """The minimal API server on a port of its own."""

    def __init__(self, clock: Clock, directory: pathlib.Path, port: int, seed: int) -> None:
        self.description = "minimal API server"
        self.kubeconfig = directory / "kubeconfig"
        self._server = api_http.ApiServer(ApiServerModel(clock, seed=seed), port=port, clock=clock)

    def __enter__(self) -> Self:
        try:
            self._server.start()
        except OSError as error:
            raise CannotStart(f"the API server cannot listen on --port ({error.strerror})") from None
        self.kubeconfig.write_text(api_http.kubeconfig(self._server.url), encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        own = json.loads(json.dumps(body, default=str))  # as over HTTP: nothing is shared, dates of YAML are text
        return self._server.serve(method, path, {}, own, "application/json")

    def wait_for_namespace(self, name: str) -> None:
        """It can at once."""


def missing_binaries(directory: pathlib.Path) -> list[str]:
    """What a real control plane needs and `directory` lacks."""
    return [name for name in CONTROL_PLANE_BINARIES if not os.access(directory / name, os.X_OK)]
