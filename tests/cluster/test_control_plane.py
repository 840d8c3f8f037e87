"""The control plane itself, and the facts about claims that the kubelet is built on."""

from __future__ import annotations

import json
import os
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.control_plane import ControlPlane
from tests.support.raw_api import CouldNotReach, RawApi
from tests.support.waiting import wait_until

FINALIZER = "example.com/claimed"
ANNOTATION = "example.com/attempt"
NODE = "smoke-node"
BIND_SECONDS = 30


def _pod(name: str, **spec: object) -> dict[str, Any]:
    containers = [{"name": "main", "image": "registry.example/image:1"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


@pytest.fixture
def node(control_plane: ControlPlane) -> Iterator[str]:
    """A Node object that nobody plays, ready and with room."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
    control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(node))
    room = {"cpu": "8", "memory": "16Gi", "pods": "110"}
    status = {
        "capacity": room,
        "allocatable": room,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}],
    }
    assert control_plane.api().patch_status(f"/api/v1/nodes/{NODE}", {"status": status}).status == 200
    yield NODE
    control_plane.kubectl("delete", "node", NODE)


@pytest.fixture
def status_writer(control_plane: ControlPlane, namespace: str) -> RawApi:
    """A user who may PATCH pods/status in the namespace, and nothing else."""
    user = f"status-writer-{namespace}"
    control_plane.kubectl("create", "role", "status-writer", "--verb=patch", "--resource=pods/status", "-n", namespace)
    control_plane.kubectl(
        "create", "rolebinding", "status-writer", "--role=status-writer", f"--user={user}", "-n", namespace
    )
    return control_plane.api(user=user)


@pytest.fixture
def pod_path(control_plane: ControlPlane, namespace: str) -> str:
    """A pod on a node that does not exist, so that nobody but the test touches it."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    answer = control_plane.api().request(
        "POST", path, _pod("claimed", nodeName="nobody-here", terminationGracePeriodSeconds=30)
    )
    assert answer.status == 201, answer
    return f"{path}/claimed"


def _claim(uid: str) -> dict[str, Any]:
    return {
        "metadata": {"uid": uid, "finalizers": [FINALIZER], "annotations": {ANNOTATION: "1"}},
        "status": {"phase": "Pending", "message": "claimed"},
    }


def _uid(control_plane: ControlPlane, path: str) -> str:
    uid: str = control_plane.api().request("GET", path).body["metadata"]["uid"]
    return uid


def test_the_scheduler_binds_a_pod_to_a_node_made_with_kubectl(
    control_plane: ControlPlane, namespace: str, node: str
) -> None:
    # The scheduler may not see the node before the controller manager has taken the "not ready" taint off.
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(_pod("bound")))
    path = f"/api/v1/namespaces/{namespace}/pods/bound"
    wait_until(
        lambda: control_plane.api().request("GET", path).body["spec"].get("nodeName") == node,
        timeout=BIND_SECONDS,
        what="the pod to be bound",
    )


def test_the_api_server_comes_back_with_its_data_on_the_same_port(control_plane: ControlPlane, namespace: str) -> None:
    url = control_plane.url
    control_plane.kubectl("create", "configmap", "kept", "-n", namespace)
    control_plane.stop_api_server()
    try:
        with pytest.raises(CouldNotReach):
            control_plane.api().request("GET", "/readyz")
    finally:
        control_plane.start_api_server()
    assert control_plane.url == url
    assert control_plane.api().request("GET", f"/api/v1/namespaces/{namespace}/configmaps/kept").status == 200


def test_one_patch_of_the_status_claims_a_pod(
    control_plane: ControlPlane, status_writer: RawApi, pod_path: str
) -> None:
    answer = status_writer.patch_status(pod_path, _claim(_uid(control_plane, pod_path)))
    assert answer.status == 200, answer
    pod = control_plane.api().request("GET", pod_path).body
    assert pod["metadata"]["finalizers"] == [FINALIZER]
    assert pod["metadata"]["annotations"][ANNOTATION] == "1"
    assert pod["status"]["message"] == "claimed"


def test_the_right_to_patch_the_status_is_no_right_to_patch_the_pod(
    control_plane: ControlPlane, status_writer: RawApi, pod_path: str
) -> None:
    answer = status_writer.request(
        "PATCH", pod_path, _claim(_uid(control_plane, pod_path)), "application/strategic-merge-patch+json"
    )
    assert answer.status == 403, answer


def test_a_pod_that_is_being_deleted_cannot_be_claimed(
    control_plane: ControlPlane, status_writer: RawApi, pod_path: str
) -> None:
    control_plane.api().request("DELETE", pod_path)
    answer = status_writer.patch_status(pod_path, _claim(_uid(control_plane, pod_path)))
    assert answer.status == 422, answer
    assert "no new finalizers can be added if the object is being deleted" in answer.body["message"]


def test_a_claim_with_another_uid_is_refused_as_invalid(status_writer: RawApi, pod_path: str) -> None:
    answer = status_writer.patch_status(pod_path, _claim(str(uuid.uuid4())))
    assert answer.status == 422, answer
    assert "metadata.uid" in answer.body["message"]


def test_a_claimed_pod_survives_a_forced_delete_until_its_finalizer_goes(
    control_plane: ControlPlane, status_writer: RawApi, pod_path: str
) -> None:
    uid = _uid(control_plane, pod_path)
    assert status_writer.patch_status(pod_path, _claim(uid)).status == 200
    control_plane.api().request("DELETE", pod_path, {"gracePeriodSeconds": 0})
    assert control_plane.api().request("GET", pod_path).body["metadata"]["deletionGracePeriodSeconds"] == 0
    answer = status_writer.patch_status(
        pod_path, {"metadata": {"uid": uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
    )
    assert answer.status == 200, answer
    assert control_plane.api().request("GET", pod_path).status == 404


def test_a_service_account_has_what_the_manifest_grants_and_no_more(
    control_plane: ControlPlane, namespace: str, tmp_path: pathlib.Path
) -> None:
    rbac = tmp_path / "rbac.json"
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": namespace},
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "reader", "namespace": namespace},
    }
    rbac.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "List",
                "items": [
                    {
                        "apiVersion": "v1",
                        "kind": "ServiceAccount",
                        "metadata": {"name": "reader", "namespace": namespace},
                    },
                    {**role, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]},
                    {
                        **binding,
                        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
                    },
                ],
            }
        )
    )
    kubeconfig = control_plane.kubeconfig_for_service_account(namespace, "reader", rbac)
    allowed = control_plane.kubectl("get", "pods", "-n", namespace, f"--kubeconfig={kubeconfig}", check=False)
    assert allowed.returncode == 0, allowed.stderr
    refused = control_plane.kubectl("get", "secrets", "-n", namespace, f"--kubeconfig={kubeconfig}", check=False)
    assert "Forbidden" in refused.stderr


def test_nothing_is_left_of_a_control_plane_after_use(control_plane: ControlPlane) -> None:
    with ControlPlane(control_plane.binaries) as second:
        process_ids = second.process_ids()
        assert set(process_ids) == {"etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager"}
        assert second.url != control_plane.url
        directory = second.directory
    assert not directory.exists()
    for process_id in process_ids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(process_id, 0)
