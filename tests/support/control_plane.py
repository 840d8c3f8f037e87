"""The sandbox's real control plane with what tests do to it: kubectl, other users, service accounts.

    with ControlPlane(control_plane_build.binaries()) as cluster:
        cluster.kubectl("apply", "-f", "-", stdin=manifest)
"""

from __future__ import annotations

import json
import pathlib
import subprocess

from tests.support.plain_http import ask
from tests.support.raw_api import RawApi
from virtual_kubelet_salad.sandbox import control_plane

RBAC_MANIFEST = pathlib.Path(__file__).parent.parent.parent / "deploy" / "manifests" / "rbac.yaml"
KUBECTL_SECONDS = 60
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
