"""What our client relies on in an API server, as checks that run against the minimal one and against a real one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.client import Configuration

from tests.support.waiting import wait_until
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kube.client import ApiServer, OfficialTransport
from virtual_kubelet_salad.kube.informer import PodInformer
from virtual_kubelet_salad.runtime.clock import SystemClock

FINALIZER = "salad.com/container-group"
# A server that was stopped is asked again after at most 30 s; it may need some seconds to be ready.
RECOVERY_SECONDS = 60.0


@contextmanager
def api_server(configuration: Configuration) -> Iterator[ApiServer]:
    """Our client."""
    transport = OfficialTransport(configuration)
    yield ApiServer(transport)
    transport.close()


def make_pod(api: ApiServer, namespace: str, name: str, node: str) -> dict[str, Any]:
    """A pod that is bound to `node`, which need not exist."""
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "registry.example/image:1"}]},
    }
    return api.create(f"/api/v1/namespaces/{namespace}/pods", body)


def check_the_life_of_a_claim(api: ApiServer, namespace: str) -> None:
    """Claim, conflict, deletion and release of a pod, through pods/status alone."""
    name = f"claimed-{uuid.uuid4().hex[:6]}"
    uid = make_pod(api, namespace, name, "nobody-here")["metadata"]["uid"]
    claim = {
        "metadata": {"finalizers": [FINALIZER], "annotations": {"salad.com/attempt": "0"}},
        "status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]},
    }
    with pytest.raises(errors.AnotherPod):
        api.patch_pod_status(namespace, name, str(uuid.uuid4()), claim)
    assert FINALIZER not in api.get_pod(namespace, name)["metadata"].get("finalizers", [])

    claimed = api.patch_pod_status(namespace, name, uid, claim)
    assert claimed["metadata"]["finalizers"] == [FINALIZER]
    assert claimed["metadata"]["annotations"]["salad.com/attempt"] == "0"
    assert claimed["status"]["phase"] == "Pending"

    api.delete_pod(namespace, name, str(uuid.uuid4()))
    assert "deletionTimestamp" not in api.get_pod(namespace, name)["metadata"], "the wrong UID deletes nothing"
    api.delete_pod(namespace, name, uid)
    assert "deletionTimestamp" in api.get_pod(namespace, name)["metadata"]
    with pytest.raises(errors.BeingDeleted):
        api.patch_pod_status(namespace, name, uid, {"metadata": {"finalizers": ["salad.com/another"]}})

    api.patch_pod_status(namespace, name, uid, {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}})
    with pytest.raises(errors.NotFound):
        api.get_pod(namespace, name)
    with pytest.raises(errors.AnotherPod):
        api.patch_pod_status(namespace, name, uid, {"status": {"message": "late"}})
    api.delete_pod(namespace, name, uid)


def check_leases(api: ApiServer, namespace: str) -> None:
    """Times leave untouched; a stale resourceVersion is a conflict."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "node-1"},
        "spec": {"holderIdentity": "node-1", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 40},
    }
    with pytest.raises(errors.NotFound):
        api.get_lease(namespace, "node-1")
    made = api.create_lease(namespace, lease)
    with pytest.raises(errors.Conflict):
        api.create_lease(namespace, lease)
    renewed = api.patch_lease(namespace, "node-1", {"spec": {"renewTime": "2026-01-01T00:00:10.000000Z"}})
    assert renewed["spec"]["renewTime"] == "2026-01-01T00:00:10.000000Z"
    assert renewed["spec"]["holderIdentity"] == "node-1"
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "spec": {"holderIdentity": "me"}}
    with pytest.raises(errors.Conflict):
        api.patch_lease(namespace, "node-1", stale)
    with pytest.raises(errors.Conflict):
        api.update_lease(namespace, "node-1", made)
    renewed["spec"]["holderIdentity"] = "me"
    assert api.update_lease(namespace, "node-1", renewed)["spec"]["holderIdentity"] == "me"


def check_nodes(api: ApiServer) -> None:
    """A node is made, its status is merged by key."""
    name = f"node-{uuid.uuid4().hex[:6]}"
    with pytest.raises(errors.NotFound):
        api.get_node(name)
    api.create_node({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    with pytest.raises(errors.Conflict):
        api.create_node({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    assert api.patch_node(name, {"metadata": {"labels": {"type": "virtual-kubelet"}}})["metadata"]["labels"]["type"]
    for kind in ("Ready", "SaladCloudReachable"):
        api.patch_node_status(name, {"status": {"conditions": [{"type": kind, "status": "True"}]}})
    conditions = {condition["type"] for condition in api.get_node(name)["status"]["conditions"]}
    assert {"Ready", "SaladCloudReachable"} <= conditions
    api.delete(f"/api/v1/nodes/{name}")


def check_events(api: ApiServer, namespace: str) -> None:
    """An event is made and counted up."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "pod.1", "namespace": namespace},
        "involvedObject": {"kind": "Pod", "name": "pod", "namespace": namespace},
        "reason": "Test",
        "message": "m",
        "type": "Normal",
        "count": 1,
    }
    api.create_event(namespace, event)
    assert api.patch_event(namespace, "pod.1", {"count": 2})["count"] == 2


def check_the_server_itself(api: ApiServer) -> None:
    """Version, cluster id, objects that do not exist."""
    assert api.version()["gitVersion"].startswith("v1.")
    assert len(api.cluster_uid()) == 36
    with pytest.raises(errors.NotFound):
        api.get_secret("default", "absent")
    with pytest.raises(errors.NotFound):
        api.get_config_map("default", "absent")


def check_that_the_informer_misses_nothing(
    configuration: Configuration, namespace: str, stop_server: Callable[[], None], start_server: Callable[[], None]
) -> None:
    """List, watch, an outage of the server, deletion: each pod is told once, and the stop is quick."""
    clock = SystemClock()
    node = f"node-{uuid.uuid4().hex[:6]}"
    changes: list[tuple[str, bool]] = []
    cache = PodCache(clock, lambda uid, _, new: changes.append((uid, new is not None)))
    with api_server(configuration) as api:
        listed = [make_pod(api, namespace, f"listed-{number}", node)["metadata"]["uid"] for number in range(5)]
        make_pod(api, namespace, "elsewhere", "another-node")
        informer = PodInformer(OfficialTransport(configuration), cache, clock, node, page_size=2)
        informer.start()
        assert cache.has_synced.wait(10)
        assert {uid for uid, _ in changes} == set(listed)

        watched = make_pod(api, namespace, "watched", node)["metadata"]["uid"]
        wait_until(lambda: cache.get(watched), timeout=10, what="the watched pod")
        stop_server()
        wait_until(lambda: informer.restarts > 0, timeout=10, what="the failure")
        start_server()
        after = wait_until(lambda: _made(api, namespace, node), timeout=RECOVERY_SECONDS, what="the server")
        wait_until(lambda: cache.get(str(after)), timeout=RECOVERY_SECONDS, what="the pod made after the outage")
        api.delete_pod(namespace, "watched", watched)
        wait_until(lambda: cache.get(watched) is None, timeout=10, what="the deletion")
        assert cache.by_name(namespace, "elsewhere") is None
        assert all("managedFields" not in pod["metadata"] for pod in cache.all())
        assert [uid for uid, is_there in changes if not is_there] == [watched]
        started = clock.monotonic()
        assert informer.stop()
        assert clock.monotonic() - started < 2.0


def _made(api: ApiServer, namespace: str, node: str) -> str | None:
    try:
        uid: str = make_pod(api, namespace, "after-the-outage", node)["metadata"]["uid"]
    except (errors.CouldNotAsk, errors.Forbidden):  # a server that has just started does not know its roles yet
        return None
    return uid
