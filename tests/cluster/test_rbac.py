"""The rights that ship with the deployment, asked of a real API server with the ServiceAccount's own token."""

from __future__ import annotations

import pathlib

import pytest

from tests.support.control_plane import RBAC_MANIFEST, ControlPlane

NAMESPACE = "kube-system"
ACCOUNT = "virtual-kubelet-salad"


@pytest.fixture(scope="module")
def shipped_kubeconfig(control_plane: ControlPlane) -> pathlib.Path:
    return control_plane.kubeconfig_for_service_account(NAMESPACE, ACCOUNT)


@pytest.mark.parametrize(
    "right",
    [
        ("watch", "pods"),
        ("patch", "pods", "--subresource=status"),
        ("patch", "nodes", "--subresource=status"),
        ("get", "secrets"),
        ("create", "events"),
        ("create", "tokenreviews.authentication.k8s.io"),
        ("create", "subjectaccessreviews.authorization.k8s.io"),
        ("get", "configmaps/extension-apiserver-authentication", "--namespace=kube-system"),
        ("patch", "leases.coordination.k8s.io", "--namespace=kube-node-lease"),
    ],
    ids=" ".join,
)
def test_the_daemon_has_the_right(
    control_plane: ControlPlane, shipped_kubeconfig: pathlib.Path, right: tuple[str, ...]
) -> None:
    assert _may(control_plane, shipped_kubeconfig, right)


@pytest.mark.parametrize(
    "right",
    [
        ("patch", "pods"),
        ("create", "pods"),
        ("create", "pods", "--subresource=exec"),
        ("list", "secrets"),
        ("watch", "configmaps"),
        ("create", "pods", "--subresource=eviction"),
        ("create", "serviceaccounts", "--subresource=token"),
        ("get", "nodes", "--subresource=proxy"),
        ("list", "nodes"),
        ("delete", "nodes"),
        ("impersonate", "users"),
        ("patch", "leases.coordination.k8s.io", "--namespace=kube-system"),
        ("*", "*"),
    ],
    ids=" ".join,
)
def test_the_daemon_has_no_right_that_it_does_not_need(
    control_plane: ControlPlane, shipped_kubeconfig: pathlib.Path, right: tuple[str, ...]
) -> None:
    assert not _may(control_plane, shipped_kubeconfig, right)


@pytest.mark.parametrize(
    ("right", "is_given"),
    [
        (("create", "certificatesigningrequests.certificates.k8s.io"), True),
        (("get", "certificatesigningrequests.certificates.k8s.io"), True),
        (("list", "certificatesigningrequests.certificates.k8s.io"), False),
        (("delete", "certificatesigningrequests.certificates.k8s.io"), False),
        (("update", "certificatesigningrequests.certificates.k8s.io", "--subresource=approval"), False),
        (("approve", "signers.certificates.k8s.io"), False),
        (("sign", "signers.certificates.k8s.io"), False),
    ],
    ids=str,
)
def test_with_the_right_to_a_certificate_the_daemon_may_ask_for_one_and_approve_none(
    control_plane: ControlPlane, shipped_kubeconfig: pathlib.Path, right: tuple[str, ...], is_given: bool
) -> None:
    control_plane.kubectl("apply", "-f", str(RBAC_MANIFEST.parent / "serving-certificates.yaml"))
    assert _may(control_plane, shipped_kubeconfig, right) is is_given


def _may(control_plane: ControlPlane, kubeconfig: pathlib.Path, right: tuple[str, ...]) -> bool:
    """Asks as the account itself; in all namespaces unless one is named."""
    everywhere = [] if any(word.startswith("--namespace") for word in right) else ["--all-namespaces"]
    answer = control_plane.kubectl("auth", "can-i", *right, *everywhere, f"--kubeconfig={kubeconfig}", check=False)
    assert answer.stdout.strip() in {"yes", "no"}, answer.stderr
    return answer.stdout.strip() == "yes"
