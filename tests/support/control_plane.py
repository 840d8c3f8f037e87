"""The sandbox's real control plane with what tests do to it: kubectl, other users, service accounts.

with ControlPlane(control_plane_build.binaries()) as cluster:
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
from collections.abc import Iterator

from tests.support.plain_http import ask
from tests.support.raw_api import CouldNotReach, RawApi
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox import control_plane
from virtual_kubelet_salad.sandbox.pki import KeyPair
from virtual_kubelet_salad.sandbox.ports import free_ports
from virtual_kubelet_salad.sandbox.processes import ChildProcess

RBAC_MANIFEST = pathlib.Path(__file__).parent.parent.parent / "deploy" / "manifests" / "rbac.yaml"
KUBECTL_SECONDS = 180
TOKEN_LIFE = "24h"


class ControlPlane(control_plane.ControlPlane):
    """A context manager; not for several threads at once."""

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs kubectl as the administrator. With `check`, an exit code other than 0 is an AssertionError that shows
        kubectl's words."""
        done = subprocess.run(
            [
                str(self.binaries / "kubectl"),
                f"--kubeconfig={self.admin_kubeconfig}",
                f"--cache-dir={self.directory / 'kubectl-cache'}",
                *args,
            ],
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=KUBECTL_SECONDS,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
        return done

    def get(self, *args: str) -> dict[str, object]:
        """`kubectl get … -o json`, decoded."""
        answer: dict[str, object] = json.loads(self.kubectl("get", *args, "-o", "json").stdout)
        return answer

    def api(self, *, user: str | None = None) -> RawApi:
        """Raw HTTP to the API server as the administrator, or as `user` with nobody's rights but those bound to that
        name (impersonation)."""
        return RawApi(self.url, self.ca_file, self.admin.certificate, self.admin.key, user)

    @contextlib.contextmanager
    def another_api_server(self, *flags: str) -> Iterator[str]:
        """A second API server beside the first, for the same cluster, with `flags` of its own; its URL."""
        (port,) = free_ports(1)
        url, name = f"https://127.0.0.1:{port}", f"kube-apiserver-{port}"
        command = [str(self.binaries / "kube-apiserver"), *self._api_server_flags(port), *flags]
        process = ChildProcess(name, command, self.directory / f"{name}.log")
        api = RawApi(url, self.ca_file, self.admin.certificate, self.admin.key)

        def is_ready() -> bool:
            assert process.exit_code() is None, process.log_tail()
            try:
                return api.request("GET", "/readyz").status == 200
            except CouldNotReach:
                return False

        try:
            wait_until(is_ready, timeout=control_plane.READY_SECONDS, what=f"{name} to be ready", interval=0.1)
            yield url
        finally:
            process.kill()

    def serving_certificate(self, file_name: str, *hosts: str) -> KeyPair:
        """For a server that is reached as any of `hosts`, from the CA that everybody here believes."""
        return self._ca.serving(file_name, hosts)

    def client_certificate(self, file_name: str, user: str, group: str | None = None) -> KeyPair:
        """For somebody whom the cluster knows as `user`, a member of `group`."""
        return self._ca.client(file_name, user, group)

    def compact_history(self) -> None:
        """Every version but the present ones is forgotten, so that nobody can go on from an older one; possible while
        the API server is stopped, too."""
        etcd = f"http://127.0.0.1:{self._etcd_port}/v3"
        revision = ask("POST", f"{etcd}/maintenance/status", {}).json["header"]["revision"]
        answer = ask("POST", f"{etcd}/kv/compaction", {"revision": revision, "physical": True})
        assert answer.status == 200, answer

    def kubeconfig_for_service_account(
        self, namespace: str, name: str, rbac: pathlib.Path = RBAC_MANIFEST
    ) -> pathlib.Path:
        """A kubeconfig with a fresh TokenRequest token, after `rbac` has been applied: nothing but what that file
        grants."""
        self.kubectl("apply", "-f", str(rbac))
        token = self.kubectl(
            "create", "token", name, f"--namespace={namespace}", f"--duration={TOKEN_LIFE}"
        ).stdout.strip()
        return self.write_kubeconfig(f"{namespace}-{name}", {"token": token})
