"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-scheduler, kube-controller-manager.

    with ControlPlane(control_plane_build.binaries()) as cluster:
        cluster.kubectl("apply", "-f", "-", stdin=manifest)

Everything lives in one temporary directory and in four processes of its own; leaving the `with` block leaves nothing
behind. There is no kubelet: a pod runs only when someone plays its node. The API server and the controllers can be
stopped and started again, on the same port and with the same data.
"""

from __future__ import annotations

import base64
import json
import pathlib
import subprocess
import tempfile
import types
from collections.abc import Callable
from typing import Self

from tests.support.pki import CertificateAuthority, KeyPair, write_signing_key
from tests.support.ports import free_ports
from tests.support.processes import ChildProcess
from tests.support.raw_api import CouldNotReach, RawApi
from tests.support.waiting import wait_until

RBAC_MANIFEST = pathlib.Path(__file__).parent.parent.parent / "deploy" / "manifests" / "rbac.yaml"
READY_SECONDS = 90  # seen: 2.5 s on an idle machine with two cores
# A stopping API server waits up to a minute for watches that nobody ends; new requests are refused at once. Then it is
# killed: its state is etcd's.
GRACEFUL_STOP_SECONDS = 2
KUBECTL_SECONDS = 60
TOKEN_LIFE = "24h"
SERVICE_CLUSTER_IP_RANGE = "10.96.0.0/16"
SERVING_HOSTS = ["127.0.0.1", "10.96.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]


class ControlPlane:
    """A context manager; not for several threads at once."""

    def __init__(self, binaries: pathlib.Path) -> None:
        self.binaries = binaries
        self._holder = tempfile.TemporaryDirectory(prefix="control-plane-")
        self.directory = pathlib.Path(self._holder.name)
        self._etcd_port, self._etcd_peer_port, port = free_ports(3)
        self.url = f"https://127.0.0.1:{port}"
        self._port = port
        self._processes: dict[str, ChildProcess] = {}

    def __enter__(self) -> Self:
        try:
            self._write_credentials()
            self._start_etcd()
            self.start_api_server()
            self.start_scheduler()
            self.start_controller_manager()
            self.wait_for_default_service_account("default")
        except BaseException as error:
            error.add_note(self.log_tails())
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        try:
            while self._processes:
                self._processes.popitem()[1].kill()  # the state is thrown away, so nobody need end in order
        finally:
            self._holder.cleanup()

    # -- using it

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
        return RawApi(self.url, self.ca_file, self._admin.certificate, self._admin.key, user)

    def kubeconfig_for_service_account(
        self, namespace: str, name: str, rbac: pathlib.Path = RBAC_MANIFEST
    ) -> pathlib.Path:
        """A kubeconfig with a fresh TokenRequest token, after `rbac` has been applied: nothing but what that file
        grants."""
        self.kubectl("apply", "-f", str(rbac))
        token = self.kubectl(
            "create", "token", name, f"--namespace={namespace}", f"--duration={TOKEN_LIFE}"
        ).stdout.strip()
        return self._write_kubeconfig(f"{namespace}-{name}", {"token": token})

    def wait_for_default_service_account(self, namespace: str) -> None:
        """Until a bare pod can be created in `namespace`: the controller manager makes its ServiceAccount a moment
        later."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        self._wait(lambda: self.api().request("GET", path).status == 200, f"the default ServiceAccount of {namespace}")

    # -- parts that can be stopped and started

    def start_api_server(self) -> None:
        """Returns when it is ready."""
        self._start(
            "kube-apiserver",
            [
                f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={self._port}",
                f"--client-ca-file={self.ca_file}",
                f"--tls-cert-file={self._serving.certificate}",
                f"--tls-private-key-file={self._serving.key}",
                f"--cert-dir={self.directory}",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={self._signing_key}",
                f"--service-account-signing-key-file={self._signing_key}",
                f"--service-cluster-ip-range={SERVICE_CLUSTER_IP_RANGE}",
                f"--kubelet-client-certificate={self._kubelet_client.certificate}",
                f"--kubelet-client-key={self._kubelet_client.key}",
                "--kubelet-preferred-address-types=InternalIP,Hostname",
                "--max-requests-inflight=1600",
                "--max-mutating-requests-inflight=800",
                "--shutdown-send-retry-after=false",
                "--endpoint-reconciler-type=none",
            ],
        )
        self._wait(self._is_ready, "kube-apiserver to be ready")

    def stop_api_server(self) -> None:
        """Clients are refused from here on, and their watches end."""
        self._stop("kube-apiserver")

    def start_scheduler(self) -> None:
        self._start("kube-scheduler", self._controller_flags(self._scheduler_kubeconfig))

    def stop_scheduler(self) -> None:
        self._stop("kube-scheduler")

    def start_controller_manager(self) -> None:
        self._start(
            "kube-controller-manager",
            [
                *self._controller_flags(self._controller_manager_kubeconfig),
                f"--service-account-private-key-file={self._signing_key}",
                f"--root-ca-file={self.ca_file}",
                f"--cluster-signing-cert-file={self._ca.own.certificate}",
                f"--cluster-signing-key-file={self._ca.own.key}",
                "--use-service-account-credentials",
                f"--flex-volume-plugin-dir={self.directory / 'flex-volumes'}",
            ],
        )

    def stop_controller_manager(self) -> None:
        self._stop("kube-controller-manager")

    def log_tails(self) -> str:
        """The end of every log, for a failure's report."""
        return "\n".join(
            f"-- {name} (exit code {process.exit_code()})\n{process.log_tail()}"
            for name, process in self._processes.items()
        )

    def process_ids(self) -> dict[str, int]:
        """What runs, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    # -- inside

    def _start_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._etcd_peer_port}"
        self._start(
            "etcd",
            [
                f"--data-dir={self.directory / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        )

    def _start(self, name: str, flags: list[str]) -> None:
        assert name not in self._processes, f"{name} runs already"
        self._processes[name] = ChildProcess(name, [str(self.binaries / name), *flags], self.directory / f"{name}.log")

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            process.stop(GRACEFUL_STOP_SECONDS)

    def _controller_flags(self, kubeconfig: pathlib.Path) -> list[str]:
        own = [f"--{purpose}kubeconfig={kubeconfig}" for purpose in ("", "authentication-", "authorization-")]
        return [*own, "--leader-elect=false", "--secure-port=0", "--kube-api-qps=300", "--kube-api-burst=600"]

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            for process in self._processes.values():
                if process.exit_code() is not None:
                    raise RuntimeError(
                        f"{process.name} ended with exit code {process.exit_code()}:\n{process.log_tail()}"
                    )
            try:
                return condition()
            except CouldNotReach:
                return False

        wait_until(holds, timeout=READY_SECONDS, what=what, interval=0.1)

    def _is_ready(self) -> bool:
        return self.api().request("GET", "/readyz").status == 200

    def _write_credentials(self) -> None:
        self._ca = CertificateAuthority(self.directory, "control-plane-ca")
        self.ca_file = self._ca.own.certificate
        self._serving = self._ca.serving("kube-apiserver", SERVING_HOSTS)
        self._kubelet_client = self._ca.client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
        self._signing_key = write_signing_key(self.directory / "service-account.key")
        self._admin = self._ca.client("admin", "admin", "system:masters")
        self.admin_kubeconfig = self._write_kubeconfig("admin", _certificate_user(self._admin))
        self._scheduler_kubeconfig = self._client_kubeconfig("system:kube-scheduler")
        self._controller_manager_kubeconfig = self._client_kubeconfig("system:kube-controller-manager")

    def _client_kubeconfig(self, user: str) -> pathlib.Path:
        file_name = user.rpartition(":")[2] + "-client"
        return self._write_kubeconfig(file_name, _certificate_user(self._ca.client(file_name, user)))

    def _write_kubeconfig(self, file_name: str, user: dict[str, str]) -> pathlib.Path:
        cluster = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(self.ca_file.read_bytes()).decode(),
        }
        path = self.directory / f"{file_name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [{"name": "test", "cluster": cluster}],
                    "users": [{"name": "test", "user": user}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                }
            )
        )
        return path


def _certificate_user(pair: KeyPair) -> dict[str, str]:
    return {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
