"""A world in which kubectl is what is looked at: its exit code, what it prints, and what it waits for.

kubectl asks an API server that reaches nodes through `egress`, so that its proxy to them works, too.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import types
import uuid
from typing import Any, Self

from tests.support.cluster import Object
from tests.support.cluster_world import ClusterWorld
from tests.support.tls import client_context
from tests.support.waiting import wait_until

# For kubectl's own waits, which end early when all is well, and for whoever waits for kubectl.
SECONDS = 180.0
PATIENCE_SECONDS = 240.0
TIMEOUT = f"--timeout={SECONDS:g}s"


@dataclasses.dataclass(frozen=True)
class Said:
    """One run of kubectl that has ended."""

    code: int
    out: str
    err: str


@dataclasses.dataclass(frozen=True)
class KubectlWorld(ClusterWorld):
    """`server` is the API server's URL."""

    server: str = dataclasses.field(kw_only=True)
    directory: pathlib.Path = dataclasses.field(kw_only=True)

    def run(self, *words: str, manifest: Object | None = None) -> Said:
        """Whatever it makes of it."""
        stdin = "" if manifest is None else json.dumps(manifest)
        done = subprocess.run(
            self._command(words), input=stdin, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def kubectl(self, *words: str, manifest: Object | None = None) -> str:
        """What it prints; it must succeed."""
        said = self.run(*words, manifest=manifest)
        assert said.code == 0, f"kubectl {' '.join(words)}: exit {said.code}: {said.err}"
        return said.out

    def refused(self, *words: str) -> str:
        """What it prints as its error; it must fail."""
        said = self.run(*words)
        assert said.code != 0, f"kubectl {' '.join(words)} succeeded: {said.out}"
        return said.err

    def begin(self, *words: str) -> Running:
        """kubectl beside the test."""
        return Running(self._command(words), self.directory / f"kubectl-{uuid.uuid4().hex[:8]}.log")

    def is_told(self, name: str, reason: str, text: str = "") -> bool:
        """Whether there is an Event about an object of that name."""
        events = self.cluster.events_of(name, self.namespace)
        return any(event["reason"] == reason and text in event["message"] for event in events)

    def refuse_deletes(self, group: str) -> None:
        """SaladCloud fails to take the delete of that group, until `accept_deletes`."""
        self.cloud.control("fail_next", count=1_000_000, kind="503", operation="delete_container_group", group=group)

    def accept_deletes(self, group: str) -> None:
        self.cloud.control("clear_faults", group=group)

    def proxied(self, path: str) -> str:
        """What the node's port answers by way of the API server."""
        return self.kubectl("get", "--raw", f"/api/v1/nodes/{self.node}/proxy/{path}")

    def ask_port(
        self, path: str, *, token: str = "", client: ssl.SSLContext | None = None, method: str = "GET"
    ) -> tuple[int, str]:
        """Status and body of a request to the node's port itself."""
        port = self._port()
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=SECONDS, context=client or client_context())
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def certificate(self, client: ssl.SSLContext) -> dict[str, Any]:
        """That of the node's port, as a client sees it that has checked it."""
        with socket.create_connection(("127.0.0.1", self._port()), timeout=SECONDS) as plain:
            with client.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
                found: dict[str, Any] = secured.getpeercert() or {}
                return found

    def _port(self) -> int:
        node = self.cluster.node(self.node)
        assert node is not None
        return int(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"])

    def _command(self, words: tuple[str, ...]) -> list[str]:
        control_plane = self.control_plane
        return [
            str(control_plane.binaries / "kubectl"),
            f"--kubeconfig={control_plane.admin_kubeconfig}",
            f"--server={self.server}",
            f"--cache-dir={control_plane.directory / 'kubectl-cache'}",
            f"--namespace={self.namespace}",
            *words,
        ]


class Running:
    """A context manager: kubectl as a process of its own until the end of the block."""

    def __init__(self, command: list[str], output: pathlib.Path) -> None:
        self._command = command
        self._output = output

    def __enter__(self) -> Self:
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def text(self) -> str:
        """What it has printed so far, errors too."""
        return self._output.read_text(errors="replace")

    def until_it_says(self, text: str) -> None:
        def look() -> bool:
            assert text in self.text(), self.text()
            return True

        wait_until(look, timeout=SECONDS, what=text, interval=0.1)

    def until_it_has_succeeded(self) -> str:
        """What it has printed."""
        code = self._process.wait(PATIENCE_SECONDS)
        assert code == 0, f"exit {code}: {self.text()}"
        return self.text()
