"""A world in which `kubectl logs` is what is looked at: what it prints, at once or line by line."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import pathlib
import signal
import ssl
import subprocess
import uuid

from tests.support import cluster as seen
from tests.support.cluster import Object
from tests.support.control_plane import ControlPlane
from tests.support.scenarios import World
from tests.support.tls import client_context
from tests.support.waiting import wait_until

LINES_SECONDS = 120.0
CLIENT_SECONDS = 60.0
_GREETING = "container of "


@dataclasses.dataclass(frozen=True)
class LogsWorld(World):
    """With kubectl in the namespace of these tests."""

    control_plane: ControlPlane = dataclasses.field(kw_only=True)
    directory: pathlib.Path = dataclasses.field(kw_only=True)

    def kubectl(self, *words: str) -> str:
        """What it prints; it must succeed."""
        return self.control_plane.kubectl("--namespace", self.namespace, *words).stdout

    def refused(self, *words: str) -> str:
        """What it prints as its error; it must fail."""
        done = self.control_plane.kubectl("--namespace", self.namespace, *words, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def apply(self, manifest: Object) -> None:
        self.control_plane.kubectl("--namespace", self.namespace, "apply", "-f", "-", stdin=json.dumps(manifest))

    def write(self, pod_name: str, *texts: str) -> None:
        """The container writes lines; a request for each, so that no two have one moment."""
        pod = self.pod(pod_name)
        assert pod is not None
        for text in texts:
            self.cloud.control("write_line", name=seen.group_name(pod), text=text)

    def until_logs(self, expected: list[str], *words: str) -> None:
        """Until `kubectl logs` shows these lines, the container's own greeting left out."""

        def look() -> bool:
            assert own(self.kubectl("logs", *words)) == expected
            return True

        self.until(look, f"logs {' '.join(words)}", LINES_SECONDS)

    def until_readers(self, count: int) -> None:
        """Until so many logs are being read; who has gone is counted for a moment."""
        self.until(lambda: self.daemon.metrics().value("kubelet_log_readers") == count, f"{count} readers")

    def port(self) -> int:
        node = self.cluster.node()
        assert node is not None
        return int(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"])

    def ask_port(
        self, path: str, *, token: str = "", client: ssl.SSLContext | None = None, method: str = "GET"
    ) -> tuple[int, bytes]:
        """A request to the kubelet's port itself."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port(), timeout=CLIENT_SECONDS, context=client or client_context()
        )
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


class Followed:
    """`kubectl logs -f` as a process of its own, until the end of the block."""

    def __init__(self, world: LogsWorld, *words: str) -> None:
        control_plane = world.control_plane
        self._output = world.directory / f"follow-{uuid.uuid4().hex[:8]}.log"
        self._words = [
            str(control_plane.binaries / "kubectl"),
            f"--kubeconfig={control_plane.admin_kubeconfig}",
            f"--cache-dir={control_plane.directory / 'kubectl-cache'}",
            f"--namespace={world.namespace}",
            "logs", "-f", *words,
        ]  # fmt: skip

    def __enter__(self) -> Followed:
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen(self._words, stdout=output, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *problem: object) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(CLIENT_SECONDS)

    def raw(self) -> str:
        """Every byte but the container's greeting."""
        text = self._text()
        return text if not text.startswith(_GREETING) else text.partition("\n")[2]

    def lines(self) -> list[str]:
        return own(self._text())

    def _text(self) -> str:
        """The last character may not be whole yet."""
        return self._output.read_bytes().decode(errors="replace")

    def until_raw(self, end: str) -> None:
        """Until what was printed ends so."""
        wait_until(lambda: self.raw().endswith(end), timeout=LINES_SECONDS, what=end)

    def until_lines(self, expected: list[str]) -> None:
        def look() -> bool:
            assert self.lines() == expected
            return True

        wait_until(look, timeout=LINES_SECONDS, what="the lines")


def own(text: str) -> list[str]:
    """The lines without the one that every simulated container begins with."""
    return [line for line in text.splitlines() if not line.startswith(_GREETING)]
