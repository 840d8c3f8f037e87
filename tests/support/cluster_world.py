"""A real control plane, a simulated SaladCloud, and daemons between them that have the rights which ship."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import uuid
from collections.abc import Collection, Iterator
from typing import Self

from tests.support import cluster as seen
from tests.support.cloud_process import CloudProcess, create_foreign_group
from tests.support.cluster import NODE_NAME, Cluster, Object
from tests.support.control_plane import ControlPlane
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import World, check_cloud

SERVICE_ACCOUNT = ("kube-system", "virtual-kubelet-salad")
# A fixed name takes its own lease back at once after a kill.
IDENTITY = ("--leader-identity", "the-only-one")
# Short intervals and no rate limit. A create that was under way when its daemon was killed is believed to be lost after
# 6 s instead of two minutes; the simulator answers within 0.2 s.
QUICK_FLAGS = (
    "--poll-interval", "1s", "--feed-interval", "2s", "--create-settle", "6s", "--sce-rate-limit", "0",
)  # fmt: skip
QUICK_CLOUD_FLAGS = ("--profile", "fast", "--no-rate-limit")
LOG_LINES = 60


@dataclasses.dataclass(frozen=True)
class ClusterWorld(World):
    """One namespace of it and one node, with the administrator's kubectl. Groups are those of the namespace's pods."""

    control_plane: ControlPlane = dataclasses.field(kw_only=True)
    node: str = NODE_NAME

    def in_namespace(self, namespace: str) -> Self:
        """The same, in another namespace."""
        return dataclasses.replace(self, namespace=namespace)

    def kubectl(self, *words: str, manifest: Object | None = None) -> str:
        stdin = None if manifest is None else json.dumps(manifest)
        return self.control_plane.kubectl("--namespace", self.namespace, *words, stdin=stdin).stdout

    def apply(self, manifest: Object) -> None:
        self.kubectl("apply", "-f", "-", manifest=manifest)

    def path(self, resource: str, name: str = "", group: str = "api/v1") -> str:
        """Of an object in the namespace (or of the collection), e.g. `path("jobs", "count", "apis/batch/v1")`."""
        return f"/{group}/namespaces/{self.namespace}/{resource}" + (f"/{name}" if name else "")

    def create_pod(self, pod: Object) -> Object:
        """On this world's node, by way of the scheduler."""
        return self.cluster.create_pod(self._on_node(pod), self.namespace)

    def create_job(self, job: Object) -> Object:
        return self.cluster.create(self.path("jobs", group="apis/batch/v1"), self._on_node(job))

    def create_stateful_set(self, stateful_set: Object) -> Object:
        return self.cluster.create(self.path("statefulsets", group="apis/apps/v1"), self._on_node(stateful_set))

    def delete_pod(self, name: str, grace_seconds: int | None = None) -> None:
        self.cluster.delete_pod(name, self.namespace, grace_seconds)

    def group_names(self) -> set[str]:
        return {group["name"] for group in self.cloud.overview() if group["owner_namespace"] == self.namespace}

    def _on_node(self, manifest: Object) -> Object:
        spec = manifest["spec"]
        pod_spec = spec["template"]["spec"] if "template" in spec else spec
        pod_spec["nodeSelector"] = {"kubernetes.io/hostname": self.node}
        return manifest

    def until_rolled_out(self, name: str, count: int, timeout: float) -> None:
        """As `kubectl rollout status`, and no pod of the old kind is left either."""

        def look() -> bool:
            deployment = self.cluster.get(self.path("deployments", name, "apis/apps/v1"))
            assert deployment is not None
            status = deployment.get("status", {})
            assert status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
            numbers = {key: status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
            assert set(numbers.values()) == {count}, f"{numbers}\n{seen.in_short(self.pods())}"
            return True

        self.until(look, f"{name} to be rolled out", timeout)
        self.until_all_ready(count, timeout)


def daemon_process(
    control_plane: ControlPlane, cloud: CloudProcess, directory: pathlib.Path, node: str, *flags: str
) -> DaemonProcess:
    """A daemon for that node, not started, with the ServiceAccount and the rights of the shipped manifest, never as
    administrator."""
    kubeconfig = control_plane.kubeconfig_for_service_account(*SERVICE_ACCOUNT)
    return DaemonProcess(directory, kubeconfig, cloud.url, "--nodename", node, *flags, name=f"daemon-{node}")


def check_rights(daemon: DaemonProcess) -> None:
    """The shipped rights were enough for everything that happened since the daemon's latest start.

    An Event is refused in a namespace that goes, whatever one's rights; that they can be written is seen from Events.
    """
    forbidden = daemon.metrics().samples("apiserver_requests_total", code="403")
    assert forbidden, "the metric is not there"
    assert not [labels for labels, count in forbidden if count and labels["resource"] != "events"]


@contextlib.contextmanager
def log_in_failures(daemon: DaemonProcess) -> Iterator[None]:
    """Whatever fails within shows the end of the daemon's log."""
    try:
        yield
    except BaseException as error:
        if daemon.log.exists():
            error.add_note("\n".join(daemon.whole_log().splitlines()[-LOG_LINES:]))
        raise


@contextlib.contextmanager
def running(daemon: DaemonProcess, cluster: Cluster, node: str = NODE_NAME) -> Iterator[None]:
    """The daemon is started, waited for, and stopped in order; no run of it may have logged a stack trace. Its Node is
    deleted afterwards."""
    try:
        with daemon, log_in_failures(daemon):
            daemon.wait_until_ready()
            yield
            assert daemon.stop() == 0
            assert daemon.problems() == []
    finally:
        cluster.delete(f"/api/v1/nodes/{node}")


@contextlib.contextmanager
def checked_cloud(
    directory: pathlib.Path, *flags: str, foreign: Collection[str] = (), name: str = "saladcloud"
) -> Iterator[CloudProcess]:
    """A simulator with somebody else's groups; afterwards what must always hold is checked."""
    with CloudProcess(directory, *flags, name=name) as cloud:
        for group in foreign:
            create_foreign_group(cloud, group)
        yield cloud
        check_cloud(cloud, foreign)


@contextlib.contextmanager
def cluster_world(
    control_plane: ControlPlane,
    namespace: str,
    directory: pathlib.Path,
    *daemon_flags: str,
    cloud_flags: tuple[str, ...] = ("--profile", "fast"),
    node: str = NODE_NAME,
    foreign: Collection[str] = (),
) -> Iterator[ClusterWorld]:
    """A simulator and a daemon on a node of that name; see `checked_cloud` and `running`."""
    directory = directory / node
    directory.mkdir()
    cluster = seen.over_tls(control_plane.api())
    with checked_cloud(directory, *cloud_flags, foreign=foreign) as cloud:
        daemon = daemon_process(control_plane, cloud, directory, node, *daemon_flags)
        with running(daemon, cluster, node):
            yield ClusterWorld(cluster, cloud, daemon, namespace, control_plane=control_plane, node=node)


@contextlib.contextmanager
def new_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace in which a bare pod can be created at once; deleted afterwards, without waiting for that."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    path = "/api/v1/namespaces"
    cluster = seen.over_tls(control_plane.api())
    cluster.create(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    control_plane.wait_for_default_service_account(name)
    yield name
    cluster.delete(f"{path}/{name}")
