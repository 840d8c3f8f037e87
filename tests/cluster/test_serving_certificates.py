"""The certificate of the node's port, asked of the real signer under the rights that ship for it: nobody gets one
without somebody's approval, and an API server that checks the certificates of its kubelets then believes the node.
"""

from __future__ import annotations

import pathlib
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.cluster_world import QUICK_CLOUD_FLAGS, QUICK_FLAGS, check_rights, cluster_world
from tests.support.control_plane import RBAC_MANIFEST, ControlPlane
from tests.support.kubectl_world import SECONDS, TIMEOUT, KubectlWorld

NODE = "certified-node"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SIGNER = "kubernetes.io/kubelet-serving"


@pytest.fixture
def world(control_plane: ControlPlane, namespace: str, tmp_path: pathlib.Path) -> Iterator[KubectlWorld]:
    """kubectl asks an API server that checks the certificates of kubelets."""
    control_plane.kubectl("apply", "-f", str(RBAC_MANIFEST.parent / "serving-certificates.yaml"))
    flags = (*QUICK_FLAGS, "--no-leader-elect", "--rotate-server-certificates")
    with (
        control_plane.another_api_server(f"--kubelet-certificate-authority={control_plane.ca_file}") as server,
        cluster_world(control_plane, namespace, tmp_path, *flags, cloud_flags=QUICK_CLOUD_FLAGS, node=NODE) as plain,
    ):
        yield KubectlWorld(
            plain.cluster, plain.cloud, plain.daemon, namespace,
            control_plane=control_plane, node=NODE, server=server, directory=tmp_path,
        )  # fmt: skip
        check_rights(plain.daemon)


def test_the_node_is_believed_once_somebody_has_approved_its_certificate(world: KubectlWorld) -> None:
    world.create_pod(manifests.pod("web"))
    world.until_ready("web", SECONDS)
    assert "x509: certificate signed by unknown authority" in world.refused("logs", "web")

    denied = _pending(world, set())
    assert denied["spec"]["signerName"] == SIGNER
    assert denied["spec"]["username"] == "system:serviceaccount:kube-system:virtual-kubelet-salad"
    name = denied["metadata"]["name"]
    assert "Pending" in world.kubectl("get", "csr", name, "--no-headers")
    _until_told(world, "CertificateWaits", f"kubectl certificate approve {name}")
    world.kubectl("certificate", "deny", name)
    _until_told(world, "CertificateNotIssued", f"the request {name} was answered: Denied")
    assert "x509: certificate signed by unknown authority" in world.refused("logs", "web")

    # Every start asks anew.
    assert world.daemon.stop() == 0
    world.daemon.start()
    world.daemon.wait_until_ready()
    approved = _pending(world, {name})["metadata"]["name"]
    world.kubectl("certificate", "approve", approved)
    world.until(lambda: world.run("logs", "web").code == 0, "the API server to believe the node", SECONDS)
    assert "container of " in world.kubectl("logs", "web")
    assert "Approved,Issued" in world.kubectl("get", "csr", approved, "--no-headers")
    _check_certificate(world)
    world.kubectl("delete", "pod/web", TIMEOUT)


def _check_certificate(world: KubectlWorld) -> None:
    """As a client that checks chain, address and purpose; it presents no certificate of its own."""
    checked = ssl.create_default_context(cafile=str(world.control_plane.ca_file))
    assert world.ask_port("/healthz", client=checked)[0] == 401
    names: dict[str, Any] = world.certificate(checked)
    assert (("organizationName", "system:nodes"),) in names["subject"]
    assert (("commonName", f"system:node:{NODE}"),) in names["subject"]
    assert set(names["subjectAltName"]) == {("DNS", NODE), ("IP Address", "127.0.0.1")}


def _pending(world: KubectlWorld, known: set[str]) -> Object:
    """The node's request that nobody has answered, another one than the known ones."""

    def look() -> Object | None:
        found = [each for each in world.cluster.items(REQUESTS) if each["metadata"]["name"].startswith(f"{NODE}-")]
        unknown = [each for each in found if each["metadata"]["name"] not in known]
        assert all(not each.get("status") for each in unknown), unknown
        return unknown[0] if unknown else None

    found: Object = world.until(look, "the request", SECONDS)
    return found


def _until_told(world: KubectlWorld, reason: str, text: str) -> None:
    """As an Event of the Node, which `kubectl describe node` shows, and in the log."""

    def is_told() -> bool:
        events = world.cluster.events_of(NODE)
        return any(event["reason"] == reason and text in event["message"] for event in events)

    world.until(is_told, f"{reason}: {text}", SECONDS)
    assert text in world.daemon.whole_log()
    node = world.cluster.node(NODE)
    assert seen.condition(node, "Ready") == "True"
