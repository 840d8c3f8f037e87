"""The real kubectl against the minimal API server: what an author types works and prints the truth."""

from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any

import pytest

from tests.support import control_plane_build
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox.api_http import ApiServer, kubeconfig

pytestmark = pytest.mark.cluster

KUBECTL_SECONDS = 60
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "image": "image:1", "env": [{"name": "A", "value": "1"}]}]},
}
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node", "labels": {"kubernetes.io/role": "agent"}},
    "status": {
        "allocatable": {"pods": "10"},
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {"kubeletVersion": "v1.2.3"},
    },
}


class Kubectl:
    """Runs kubectl against the minimal server; `succeeds` insists on exit code 0."""

    def __init__(self, server: ApiServer, directory: pathlib.Path) -> None:
        self._binary = control_plane_build.binaries() / "kubectl"
        self._config = directory / "kubeconfig"
        self._config.write_text(kubeconfig(server.url))
        self._cache = directory / "cache"

    def run(self, *args: str, stdin: object = None) -> subprocess.CompletedProcess[str]:
        command = [str(self._binary), f"--kubeconfig={self._config}", f"--cache-dir={self._cache}", *args]
        text = "" if stdin is None else json.dumps(stdin)
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=KUBECTL_SECONDS)

    def succeeds(self, *args: str, stdin: object = None) -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, f"{args}: {done.stderr}"
        return done.stdout


@pytest.fixture
def kubectl(minimal_server: ApiServer, tmp_path: pathlib.Path) -> Kubectl:
    kubectl = Kubectl(minimal_server, tmp_path)
    kubectl.succeeds("delete", "pods,nodes", "--all", "--force", "--grace-period=0", "--ignore-not-found")
    return kubectl


def _row(text: str) -> dict[str, str]:
    """The only row of a printed table, by title."""
    titles, row = text.strip().splitlines()
    return dict(zip(titles.split(), row.split(), strict=False))


def _changed(image: str) -> dict[str, Any]:
    return {**POD, "spec": {"containers": [{**POD["spec"]["containers"][0], "image": image}]}}  # type: ignore[index]


def test_apply_creates_and_changes_and_says_so(kubectl: Kubectl) -> None:
    for arguments in (("apply",), ("apply", "--server-side", "--force-conflicts")):
        kubectl.succeeds(*arguments, "-f", "-", stdin=POD)
        kubectl.succeeds(*arguments, "-f", "-", stdin=_changed("image:2"))
        assert kubectl.succeeds("get", "pod", "web", "-o", "jsonpath={.spec.containers[*].image}") == "image:2"
        kubectl.succeeds("delete", "pod", "web")
    assert "unchanged" not in kubectl.succeeds("apply", "-f", "-", stdin=POD)
    assert "unchanged" in kubectl.succeeds("apply", "-f", "-", stdin=POD)


def test_get_prints_the_columns_of_a_real_server(kubectl: Kubectl) -> None:
    kubectl.succeeds("create", "-f", "-", stdin=NODE)
    kubectl.succeeds("create", "-f", "-", stdin=POD)
    row = _row(kubectl.succeeds("get", "pods"))
    assert list(row) == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert (row["NAME"], row["READY"], row["STATUS"], row["RESTARTS"]) == ("web", "0/1", "Pending", "0")
    wait_until(lambda: "node" in kubectl.succeeds("get", "pods", "-o", "wide"), timeout=10, what="the pod's node")
    row = _row(kubectl.succeeds("get", "nodes"))
    assert (row["STATUS"], row["ROLES"], row["VERSION"]) == ("Ready", "agent", "v1.2.3")
    kubectl.succeeds("cordon", "node")
    assert _row(kubectl.succeeds("get", "nodes"))["STATUS"] == "Ready,SchedulingDisabled"


def test_describe_shows_pod_and_events(kubectl: Kubectl) -> None:
    kubectl.succeeds("create", "-f", "-", stdin=POD)
    uid = kubectl.succeeds("get", "pod", "web", "-o", "jsonpath={.metadata.uid}")
    about = {"kind": "Pod", "name": "web", "namespace": "default", "uid": uid}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "web."},
        "involvedObject": about,
        "reason": "Tested",
        "message": "by a test",
        "type": "Normal",
        "source": {"component": "test"},
    }
    kubectl.succeeds("create", "-f", "-", stdin=event)
    text = kubectl.succeeds("describe", "pod", "web")
    assert "Image:" in text and "image:1" in text and "by a test" in text
    assert "Tested" in kubectl.succeeds("get", "events")


def test_a_pod_is_deleted_and_waited_for(kubectl: Kubectl) -> None:
    kubectl.succeeds("create", "-f", "-", stdin=NODE)
    kubectl.succeeds("create", "-f", "-", stdin=POD)
    node = ("get", "pod", "web", "-o", "jsonpath={.spec.nodeName}")
    wait_until(lambda: kubectl.succeeds(*node) == "node", timeout=10, what="the pod to be bound")
    kubectl.succeeds("delete", "pod", "web", "--wait=false")
    assert _row(kubectl.succeeds("get", "pods"))["STATUS"] == "Terminating"
    kubectl.succeeds("delete", "pod", "web", "--force", "--grace-period=0")
    assert "NotFound" in kubectl.run("get", "pod", "web").stderr


def test_labels_annotations_and_selectors_work(kubectl: Kubectl) -> None:
    kubectl.succeeds("create", "-f", "-", stdin=POD)
    kubectl.succeeds("label", "pod", "web", "tier=front")
    kubectl.succeeds("annotate", "pod", "web", "note=one")
    assert kubectl.succeeds("get", "pods", "-A", "-l", "tier in (front),app", "-o", "name") == "pod/web\n"
    assert kubectl.succeeds("get", "pods", "-l", "tier=back", "-o", "name") == ""
    patch = '{"metadata":{"labels":{"tier":null}}}'
    kubectl.succeeds("patch", "pod", "web", "--type=merge", "-p", patch)
    assert kubectl.succeeds("get", "pods", "-l", "!tier", "-o", "name") == "pod/web\n"


def test_a_wait_ends_when_the_condition_comes(kubectl: Kubectl) -> None:
    kubectl.succeeds("create", "-f", "-", stdin=POD)
    patch = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    kubectl.succeeds("patch", "pod", "web", "--subresource=status", "-p", patch)
    assert "condition met" in kubectl.succeeds("wait", "--for=condition=Ready", "pod/web", "--timeout=10s")


def test_a_wrong_manifest_is_refused_with_the_field(kubectl: Kubectl) -> None:
    done = kubectl.run("apply", "-f", "-", stdin={**POD, "spec": {"containers": [{"name": "main"}]}})
    assert done.returncode != 0
    assert "spec.containers[0].image: Required value" in done.stderr


def test_a_deployment_is_scaled_and_rolled_and_leaves_nothing(kubectl: Kubectl) -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "one"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    kubectl.succeeds(
        "apply",
        "-f",
        "-",
        stdin={"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec},
    )

    def images() -> list[str]:
        text = kubectl.succeeds("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[*].image}")
        return sorted(text.split())

    wait_until(lambda: images() == ["one", "one"], timeout=10, what="two pods")
    kubectl.succeeds("scale", "deployment/web", "--replicas=1")
    wait_until(lambda: images() == ["one"], timeout=10, what="one pod")
    kubectl.succeeds("set", "image", "deployment/web", "main=two")
    wait_until(lambda: images() == ["one", "two"], timeout=10, what="the new pod beside the old one")
    newest = "jsonpath={.items[?(@.spec.containers[0].image=='two')].metadata.name}"
    name = kubectl.succeeds("get", "pods", "-l", "app=web", "-o", newest)
    patch = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    kubectl.succeeds("patch", "pod", name, "--subresource=status", "-p", patch)
    wait_until(lambda: images() == ["two"], timeout=10, what="the old pod to go")
    kubectl.succeeds("rollout", "status", "deployment/web", "--timeout=10s")
    assert _row(kubectl.succeeds("get", "deployments"))["READY"] == "1/1"
    kubectl.succeeds("delete", "deployment", "web")
    wait_until(lambda: images() == [], timeout=10, what="all pods to go")


def test_a_command_that_speaks_protobuf_is_told_what_to_do(kubectl: Kubectl) -> None:
    done = kubectl.run("create", "deployment", "web", "--image=one")
    assert done.returncode == 0 or "kubectl apply -f" in done.stderr
    kubectl.run("delete", "deployment", "web")


def test_the_api_is_discovered(kubectl: Kubectl) -> None:
    assert "v1.34" in kubectl.succeeds("version")
    text = kubectl.succeeds("api-resources")
    assert "leases" in text and "coordination.k8s.io/v1" in text
