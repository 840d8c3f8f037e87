"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-scheduler, kube-controller-manager.

Everything lives in one temporary directory and in four processes of its own; leaving the `with` block leaves nothing
behind. There is no kubelet: a pod runs only when someone plays its node. The API server and the controllers can be
stopped and started again, on the same port and with the same data. Needs the four binaries. Not for several threads at
once; enter it on a thread that stays (see `processes`).
"""

from __future__ import annotations

import base64
import json
import pathlib
import tempfile
import threading
import types
from collections.abc import Callable
from typing import Self

from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox.cluster import StopRequested
from virtual_kubelet_salad.sandbox.https_api import CouldNotReach, HttpsApi
from virtual_kubelet_salad.sandbox.pki import CertificateAuthority, KeyPair, write_signing_key
from virtual_kubelet_salad.sandbox.ports import free_ports
from virtual_kubelet_salad.sandbox.processes import ChildProcess

READY_SECONDS = 180  # seen: 2.5 s on an idle machine with two cores
_ASK_SECONDS = 0.1  # between two looks whether a part is ready
# A stopping API server waits up to a minute for watches that nobody ends; new requests are refused at once. Then it is
# killed: its state is etcd's.
GRACEFUL_STOP_SECONDS = 2
SERVICE_CLUSTER_IP_RANGE = "10.96.0.0/16"
FRONT_PROXY = "front-proxy"
SERVING_HOSTS = ("127.0.0.1", "10.96.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


class ControlPlaneFailed(Exception):
    """A part of it ended, or was not ready in time; the notes hold the ends of the logs."""


class ControlPlane:
    """A context manager. `port` is the API server's, 0 for a free one; `stop_requested` ends every wait."""

    def __init__(self, binaries: pathlib.Path, *, port: int = 0, stop_requested: threading.Event | None = None) -> None:
        self.binaries = binaries
        self._clock = SystemClock()
        self._stop_requested = stop_requested or threading.Event()
        self._holder = tempfile.TemporaryDirectory(prefix="control-plane-")
        self.directory = pathlib.Path(self._holder.name)
        self._etcd_port, self._etcd_peer_port, free_port = free_ports(3)
        self._port = port or free_port
        self.url = f"https://127.0.0.1:{self._port}"
        self._processes: dict[str, ChildProcess] = {}

    def __enter__(self) -> Self:
        """Raises ControlPlaneFailed, StopRequested, OSError; nothing is left behind then."""
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

    def administrator(self) -> HttpsApi:
        """Requests with all rights."""
        return HttpsApi(self.url, self.ca_file, self.admin.certificate, self.admin.key)

    def wait_for_default_service_account(self, namespace: str) -> None:
        """Until a bare pod can be created in `namespace`: the controller manager makes its ServiceAccount a moment
        later. Raises ControlPlaneFailed, StopRequested."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        api = self.administrator()
        self._wait(lambda: api.request("GET", path).status == 200, f"the default ServiceAccount of {namespace}")

    # -- parts that can be stopped and started

    def start_api_server(self) -> None:
        """Returns when it is ready."""
        self._start("kube-apiserver", self._api_server_flags(self._port))
        api = self.administrator()
        self._wait(lambda: api.request("GET", "/readyz").status == 200, "kube-apiserver to be ready")

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

    def _api_server_flags(self, port: int) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
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
            # Other API servers behind this one believe it who asks: metrics-server needs it.
            f"--requestheader-client-ca-file={self._front_proxy_ca.own.certificate}",
            f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={self._front_proxy.certificate}",
            f"--proxy-client-key-file={self._front_proxy.key}",
            "--max-requests-inflight=1600",
            "--max-mutating-requests-inflight=800",
            "--shutdown-send-retry-after=false",
            "--endpoint-reconciler-type=none",
        ]

    def _start(self, name: str, flags: list[str]) -> None:
        if name in self._processes:
            raise RuntimeError(f"{name} runs already")
        self._processes[name] = ChildProcess(name, [str(self.binaries / name), *flags], self.directory / f"{name}.log")

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            process.stop(GRACEFUL_STOP_SECONDS)

    def _controller_flags(self, kubeconfig: pathlib.Path) -> list[str]:
        own = [f"--{purpose}kubeconfig={kubeconfig}" for purpose in ("", "authentication-", "authorization-")]
        return [*own, "--leader-elect=false", "--secure-port=0", "--kube-api-qps=300", "--kube-api-burst=600"]

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = self._clock.monotonic() + READY_SECONDS
        while not self._holds(condition):
            if self._clock.monotonic() >= deadline:
                raise ControlPlaneFailed(f"waited {READY_SECONDS} s in vain for {what}")
            if self._stop_requested.wait(_ASK_SECONDS):
                raise StopRequested

    def _holds(self, condition: Callable[[], bool]) -> bool:
        for process in self._processes.values():
            if process.exit_code() is not None:
                last = process.log_tail(lines=1)
                raise ControlPlaneFailed(f"{process.name} ended with exit code {process.exit_code()}: {last}")
        try:
            return condition()
        except CouldNotReach:
            return False

    def _write_credentials(self) -> None:
        self._ca = CertificateAuthority(self.directory, "control-plane-ca", self._clock.now())
        self.ca_file = self._ca.own.certificate
        self._serving = self._ca.serving("kube-apiserver", SERVING_HOSTS)
        # Of its own, as Kubernetes asks for: nobody else's certificate may speak for others.
        directory = self.directory / FRONT_PROXY
        directory.mkdir()
        self._front_proxy_ca = CertificateAuthority(directory, f"{FRONT_PROXY}-ca", self._clock.now())
        self._front_proxy = self._front_proxy_ca.client(FRONT_PROXY, FRONT_PROXY)
        self._kubelet_client = self._ca.client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
        self._signing_key = write_signing_key(self.directory / "service-account.key")
        self.admin = self._ca.client("admin", "admin", "system:masters")
        self.admin_kubeconfig = self.write_kubeconfig("admin", _certificate_user(self.admin))
        self._scheduler_kubeconfig = self._client_kubeconfig("system:kube-scheduler")
        self._controller_manager_kubeconfig = self._client_kubeconfig("system:kube-controller-manager")

    def _client_kubeconfig(self, user: str) -> pathlib.Path:
        file_name = user.rpartition(":")[2] + "-client"
        return self.write_kubeconfig(file_name, _certificate_user(self._ca.client(file_name, user)))

    def write_kubeconfig(self, name: str, user: dict[str, str]) -> pathlib.Path:
        """A kubeconfig for this control plane in its directory; `user` holds the credentials."""
        cluster = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(self.ca_file.read_bytes()).decode(),
        }
        path = self.directory / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "sandbox",
                    "clusters": [{"name": "sandbox", "cluster": cluster}],
                    "users": [{"name": "sandbox", "user": user}],
                    "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox"}}],
                }
            )
        )
        return path


def _certificate_user(pair: KeyPair) -> dict[str, str]:
    return {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
