"""`check` and `cleanup` on a real control plane, each with the ServiceAccount and the rights that ship for it."""

from __future__ import annotations

import pathlib

import pytest
import yaml

from tests.support import cluster as seen
from tests.support import manifests, subcommand
from tests.support.cluster import NODE_NAME
from tests.support.cluster_world import (
    QUICK_CLOUD_FLAGS,
    QUICK_FLAGS,
    ClusterWorld,
    checked_cloud,
    daemon_process,
    log_in_failures,
)
from tests.support.control_plane import RBAC_MANIFEST, ControlPlane

CLEANUP_MANIFEST = RBAC_MANIFEST.parent / "cleanup.yaml"
FOREIGN = ("somebodys-1", "somebodys-2")
LEASES = "/apis/coordination.k8s.io/v1/namespaces"
REPLICAS = 2


@pytest.fixture
def cleanup_kubeconfig(control_plane: ControlPlane, tmp_path: pathlib.Path) -> pathlib.Path:
    """All of the shipped manifest but the Job, for there is no machine that could run it."""
    documents = [each for each in yaml.safe_load_all(CLEANUP_MANIFEST.read_text()) if each["kind"] != "Job"]
    rights = tmp_path / "cleanup.yaml"
    rights.write_text(yaml.safe_dump_all(documents))
    return control_plane.kubeconfig_for_service_account("kube-system", "virtual-kubelet-salad-cleanup", rights)


def test_a_checked_node_is_used_and_cleaned_up(
    control_plane: ControlPlane, namespace: str, cleanup_kubeconfig: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    cluster = seen.over_tls(control_plane.api())
    with checked_cloud(tmp_path, *QUICK_CLOUD_FLAGS, foreign=FOREIGN) as cloud:
        daemon = daemon_process(control_plane, cloud, tmp_path, NODE_NAME, *QUICK_FLAGS)
        world = ClusterWorld(cluster, cloud, daemon, namespace, control_plane=control_plane)
        reach = (
            "--sce-api-url", cloud.url, "--sce-organization-name", "sandbox", "--sce-project-name", "default",
        )  # fmt: skip
        daemon_kubeconfig = control_plane.kubeconfig_for_service_account("kube-system", "virtual-kubelet-salad")
        checked = subcommand.run(tmp_path, "check", *reach, "--kubeconfig", str(daemon_kubeconfig))
        assert checked.code == 0, checked
        assert not checked.lines("fail"), checked
        assert any("without an owner record: 2" in line for line in checked.lines("ok")), checked

        checked = subcommand.run(tmp_path, "check", *reach, "--kubeconfig", str(cleanup_kubeconfig))
        assert checked.code == 1, checked
        assert any("right to get secrets: missing" in line for line in checked.lines("fail")), checked
        assert any("right to get pods" in line for line in checked.lines("ok")), checked

        with daemon, log_in_failures(daemon):
            daemon.wait_until_ready()
            world.apply(manifests.deployment("web", REPLICAS, node=NODE_NAME))
            uids = {pod["metadata"]["uid"] for pod in world.until_all_ready(REPLICAS)}
            assert daemon.stop() == 0

            flags = (*reach, "--kubeconfig", str(cleanup_kubeconfig), "--sce-rate-limit", "0", "--create-settle", "6s")
            cleaned = subcommand.run(tmp_path, "cleanup", *flags)
            assert cleaned.code == 0, cleaned
            assert cleaned.lines(f"{REPLICAS} container groups deleted, {REPLICAS} pods let go"), cleaned
        assert world.group_names() == set()
        assert cluster.node() is None
        assert cluster.get(f"{LEASES}/kube-node-lease/leases/{NODE_NAME}") is None
        assert cluster.get(f"{LEASES}/kube-system/leases/virtual-kubelet-salad-{NODE_NAME}") is None
        assert not any(seen.has_finalizer(pod) for pod in world.pods())
        # The Deployment's controller has nothing to wait for: it replaces them.
        world.until(
            lambda: len([pod for pod in world.pods() if pod["metadata"]["uid"] not in uids]) >= REPLICAS,
            "new pods",
        )
        world.kubectl("delete", "deployment", "web")


@pytest.mark.parametrize(
    ("right", "is_given"),
    [
        (("delete", f"nodes/{NODE_NAME}"), True),
        (("delete", "nodes/worker-1"), False),
        (("patch", "pods", "--subresource=status"), True),
        (("patch", "pods"), False),
        (("get", "secrets"), False),
        (("delete", f"leases.coordination.k8s.io/{NODE_NAME}", "--namespace=kube-node-lease"), True),
        (("delete", "leases.coordination.k8s.io/kube-scheduler", "--namespace=kube-system"), False),
    ],
    ids=str,
)
def test_a_cleanup_may_do_what_it_needs_and_nothing_else(
    control_plane: ControlPlane, cleanup_kubeconfig: pathlib.Path, right: tuple[str, ...], is_given: bool
) -> None:
    everywhere = [] if any(word.startswith("--namespace") for word in right) else ["--all-namespaces"]
    answer = control_plane.kubectl(
        "auth", "can-i", *right, *everywhere, f"--kubeconfig={cleanup_kubeconfig}", check=False
    )
    assert answer.stdout.strip() in {"yes", "no"}, answer.stderr
    assert (answer.stdout.strip() == "yes") is is_given
