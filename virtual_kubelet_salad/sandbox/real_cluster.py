"""The sandbox's cluster when the binaries of Kubernetes are at hand: a real control plane on loopback.

Use it on one thread that stays; see `processes`.
"""

from __future__ import annotations

import json
import pathlib
import threading
from types import TracebackType
from typing import Any, Self

from virtual_kubelet_salad.sandbox import cluster
from virtual_kubelet_salad.sandbox.control_plane import ControlPlane, ControlPlaneFailed
from virtual_kubelet_salad.sandbox.https_api import CouldNotReach

_REQUEST_SECONDS = 5.0  # the view waits for it


class RealCluster:
    """A control plane of its own, seen by its administrator."""

    def __init__(self, binaries: pathlib.Path, port: int, stop_requested: threading.Event) -> None:
        self.description = "Kubernetes"
        self._control_plane = ControlPlane(binaries, port=port, stop_requested=stop_requested)

    @property
    def kubeconfig(self) -> pathlib.Path:
        return self._control_plane.admin_kubeconfig

    def __enter__(self) -> Self:
        try:
            self._control_plane.__enter__()
        except ControlPlaneFailed as error:
            raise cluster.CannotStart(f"the control plane of KUBEBUILDER_ASSETS does not start: {error}") from error
        except OSError as error:
            raise cluster.CannotStart(f"a binary of KUBEBUILDER_ASSETS cannot be run: {error}") from error
        self._api = self._control_plane.administrator()
        self.description = f"Kubernetes {self.request('GET', '/version')[1]['gitVersion']}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._control_plane.__exit__(kind, error, traceback)

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        own = json.loads(json.dumps(body, default=str))  # dates of YAML are text
        try:
            answer = self._api.request(method, path, own, timeout=_REQUEST_SECONDS)
        except CouldNotReach as error:
            raise cluster.CouldNotAsk(str(error)) from error
        return answer.status, answer.body

    def wait_for_namespace(self, name: str) -> None:
        try:
            self._control_plane.wait_for_default_service_account(name)
        except ControlPlaneFailed as error:
            raise cluster.CannotStart(str(error)) from error
