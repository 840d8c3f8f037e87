"""The simulated SaladCloud and the minimal API server as processes of their own, steered over their control routes.

`Cloud` is what scenarios need of a simulator; `CloudProcess` and the in-process `SaladCloudServer` both are one. A
process of its own keeps its clock and its lock away from the test, which matters under load and when requests are
counted.
"""

from __future__ import annotations

import pathlib
import re
import sys
import types
from collections.abc import Mapping
from typing import Any, Protocol, Self

from tests.support.plain_http import ask
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox.api_http import kubeconfig
from virtual_kubelet_salad.sandbox.processes import ChildProcess

READY_SECONDS = 120.0
STOP_SECONDS = 5.0
REPOSITORY = pathlib.Path(__file__).parent.parent.parent
CONTROL = "/__control__/"


class Cloud(Protocol):
    """A simulated SaladCloud. `url` is the base of its API."""

    @property
    def url(self) -> str: ...

    def control(self, name: str, /, **arguments: Any) -> None: ...

    def statistics(self) -> dict[str, Any]: ...

    def overview(self) -> list[dict[str, Any]]: ...

    def requests(self) -> dict[str, Any]: ...


class ServerProcess:
    """`python -m <module>`, which says `url=…` when it serves. A context manager."""

    def __init__(self, module: str, directory: pathlib.Path, *flags: str, name: str) -> None:
        self._command = [sys.executable, "-m", module, *flags]
        self._log = directory / f"{name}.log"
        self._name = name
        self._process: ChildProcess | None = None
        self._url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """What the server said that it serves."""
        return self._url

    def start(self) -> None:
        """Returns when it serves."""
        begin = self._log.stat().st_size if self._log.exists() else 0
        process = self._process = ChildProcess(
            self._name, self._command, self._log, {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
        )

        def said() -> str:
            assert process.exit_code() is None, process.log_tail()
            found = re.search(r"^url=(\S+)$", self._log.read_text()[begin:], re.MULTILINE)
            return found[1] if found else ""

        self._url = wait_until(said, timeout=READY_SECONDS, what=f"{self._name} to serve")

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(STOP_SECONDS)
            self._process = None

    def _control(self, method: str, origin: str, name: str, body: object = None) -> Any:
        answer = ask(method, f"{origin}{CONTROL}{name}", body)
        assert answer.status == 200, f"control {name}: {answer}"
        return answer.json


class CloudProcess(ServerProcess):
    """A simulated SaladCloud. `flags` are those of `virtual_kubelet_salad.sandbox.salad_http`."""

    def __init__(self, directory: pathlib.Path, *flags: str, name: str = "saladcloud") -> None:
        super().__init__("virtual_kubelet_salad.sandbox.salad_http", directory, *flags, name=name)

    def control(self, name: str, /, **arguments: Any) -> None:
        self._control("POST", self._origin, name, arguments)

    def statistics(self) -> dict[str, Any]:
        statistics: dict[str, Any] = self._control("GET", self._origin, "statistics")
        return statistics

    def overview(self) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = self._control("GET", self._origin, "groups")
        return groups

    def requests(self) -> dict[str, Any]:
        requests: dict[str, Any] = self._control("GET", self._origin, "requests")
        return requests

    @property
    def _origin(self) -> str:
        return self.url.removesuffix("/api/public")


class ApiServerProcess(ServerProcess):
    """A minimal API server."""

    def __init__(self, directory: pathlib.Path, *flags: str, name: str = "api-server") -> None:
        super().__init__("virtual_kubelet_salad.sandbox.api_http", directory, *flags, name=name)
        self._directory = directory

    def kubeconfig(self) -> pathlib.Path:
        """A kubeconfig for it, written now."""
        path = self._directory / f"{self._name}.kubeconfig"
        path.write_text(kubeconfig(self.url))
        return path

    def statistics(self) -> dict[str, Any]:
        statistics: dict[str, Any] = self._control("GET", self.url, "statistics")
        return statistics

    def fault(self, **rule: Any) -> None:
        self._control("POST", self.url, "fault", rule)

    def clear_faults(self) -> None:
        self._control("POST", self.url, "clear", {})


def create_foreign_group(cloud: Cloud, name: str, environment: Mapping[str, str] | None = None) -> None:
    """A group of somebody else in the same project, made with another key: without an owner record, unless it is in
    `environment`."""
    body = {
        "name": name,
        "container": {
            "image": "somebody/else:1",
            "resources": {"cpu": 1, "memory": 1024},
            "environment_variables": dict(environment or {}),
        },
        "autostart_policy": True,
        "replicas": 1,
        "restart_policy": "always",
    }
    answer = ask(
        "POST",
        f"{cloud.url}/organizations/sandbox/projects/default/containers",
        body,
        {"Salad-Api-Key": "somebody", "User-Agent": "tests/1"},
    )
    assert answer.status == 201, answer
