"""The real metrics-server beside a control plane on loopback, behind its API server as `metrics.k8s.io`.

    with metrics_server(control_plane, control_plane_build.metrics_server(), directory):
        control_plane.kubectl("top", "node")

It believes kubelets whose certificate the control plane's CA has signed.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator

from tests.support.control_plane import ControlPlane
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox.ports import free_ports
from virtual_kubelet_salad.sandbox.processes import ChildProcess

RBAC = pathlib.Path(__file__).parent.parent / "cluster" / "metrics_server" / "rbac.yaml"
NAMESPACE = "kube-system"
NAME = "metrics-server"
API_SERVICE = "v1beta1.metrics.k8s.io"
# The shortest that it accepts.
RESOLUTION_SECONDS = 10
# Must be shorter.
KUBELET_TIMEOUT_SECONDS = 9
READY_SECONDS = 120.0
STOP_SECONDS = 10.0


@contextlib.contextmanager
def metrics_server(control_plane: ControlPlane, program: pathlib.Path, directory: pathlib.Path) -> Iterator[None]:
    """Runs it until the end of the block, available from the beginning. Whatever fails within shows the end of its
    log."""
    (port,) = free_ports(1)
    kubeconfig = control_plane.kubeconfig_for_service_account(NAMESPACE, NAME, RBAC)
    flags = [
        *(f"--{purpose}kubeconfig={kubeconfig}" for purpose in ("", "authentication-", "authorization-")),
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={directory}",
        f"--kubelet-certificate-authority={control_plane.ca_file}",
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-use-node-status-port",
        f"--metric-resolution={RESOLUTION_SECONDS}s",
        f"--kubelet-request-timeout={KUBELET_TIMEOUT_SECONDS}s",
        "--v=1",
    ]
    process = ChildProcess(NAME, [str(program), *flags], directory / f"{NAME}.log")
    try:
        with _registered(control_plane, port):

            def is_available() -> bool:
                if process.exit_code() is not None:
                    raise RuntimeError(f"{NAME} ended with exit code {process.exit_code()}")
                conditions = control_plane.get("apiservice", API_SERVICE).get("status", {}).get("conditions", [])
                assert any(each["type"] == "Available" and each["status"] == "True" for each in conditions), conditions
                return True

            wait_until(is_available, timeout=READY_SECONDS, what=f"{NAME} to be available", interval=0.5)
            yield
    except BaseException as error:
        error.add_note(process.log_tail())
        raise
    finally:
        process.stop(STOP_SECONDS)


@contextlib.contextmanager
def _registered(control_plane: ControlPlane, port: int) -> Iterator[None]:
    """An API that is registered and does not answer would keep namespaces from being deleted: it is taken away
    again."""
    # Endpoints may not lie on loopback, and a name may.
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    api_service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": API_SERVICE},
        "spec": {
            "service": {"name": NAME, "namespace": NAMESPACE, "port": port},
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": [service, api_service]})
    control_plane.kubectl("apply", "-f", "-", stdin=objects)
    try:
        yield
    finally:
        control_plane.kubectl("delete", "-f", "-", stdin=objects)
        control_plane.kubectl("delete", "-f", str(RBAC))
