"""kubectl and the node: logs with every flag, what is refused and how that reads, and who may ask.

The daemon runs with the ServiceAccount and the rights that ship in `deploy/manifests/rbac.yaml`; kubectl is the real
one and goes through the real API server.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cloud_process import CloudProcess
from tests.support.cluster import NODE_NAME, Object
from tests.support.control_plane import RBAC_MANIFEST, ControlPlane
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import World, check_cloud
from tests.support.tls import client_context
from tests.support.waiting import wait_until

ACCOUNT = ("kube-system", "virtual-kubelet-salad")
LINES_SECONDS = 120.0
CLIENT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class KubectlWorld(World):
    """With kubectl in the namespace of these tests."""

    control_plane: ControlPlane = dataclasses.field(kw_only=True)
    directory: pathlib.Path = dataclasses.field(kw_only=True)

    def kubectl(self, *words: str) -> str:
        """What it prints; it must succeed."""
        return self.control_plane.kubectl("--namespace", self.namespace, *words).stdout

    def refused(self, *words: str) -> str:
        """What it prints as its error; it must fail."""
        done = self.control_plane.kubectl("--namespace", self.namespace, *words, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def apply(self, manifest: Object) -> None:
        self.control_plane.kubectl("--namespace", self.namespace, "apply", "-f", "-", stdin=json.dumps(manifest))

    def write(self, pod_name: str, *texts: str) -> None:
        """The container writes lines; a request for each, so that no two have one moment."""
        pod = self.pod(pod_name)
        assert pod is not None
        for text in texts:
            self.cloud.control("write_line", name=seen.group_name(pod), text=text)

    def until_logs(self, expected: list[str], *words: str) -> None:
        """Until `kubectl logs` shows these lines, the container's own greeting left out."""

        def look() -> bool:
            assert own(self.kubectl("logs", *words)) == expected
            return True

        self.until(look, f"logs {' '.join(words)}", LINES_SECONDS)

    def port(self) -> int:
        node = self.cluster.node()
        assert node is not None
        return int(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"])

    def ask_port(
        self, path: str, *, token: str = "", client: ssl.SSLContext | None = None, method: str = "GET"
    ) -> tuple[int, bytes]:
        """A request to the kubelet's port itself."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port(), timeout=CLIENT_SECONDS, context=client or client_context()
        )
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


class Followed:
    """`kubectl logs -f` as a process of its own, until the end of the block."""

    def __init__(self, world: KubectlWorld, *words: str) -> None:
        control_plane = world.control_plane
        self._output = world.directory / f"follow-{uuid.uuid4().hex[:8]}.log"
        self._words = [
            str(control_plane.binaries / "kubectl"),
            f"--kubeconfig={control_plane.admin_kubeconfig}",
            f"--cache-dir={control_plane.directory / 'kubectl-cache'}",
            f"--namespace={world.namespace}",
            "logs", "-f", *words,
        ]  # fmt: skip

    def __enter__(self) -> Followed:
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen(self._words, stdout=output, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *problem: object) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(CLIENT_SECONDS)

    def lines(self) -> list[str]:
        return own(self._output.read_text())

    def until_lines(self, expected: list[str]) -> None:
        def look() -> bool:
            assert self.lines() == expected
            return True

        wait_until(look, timeout=LINES_SECONDS, what="the lines")


def own(text: str) -> list[str]:
    """The lines without the one that every simulated container begins with."""
    return [line for line in text.splitlines() if not line.startswith("container of ")]


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubectlWorld]:
    """One daemon for all tests of this file."""
    directory = tmp_path_factory.mktemp("kubectl-logs")
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    kubeconfig = control_plane.kubeconfig_for_service_account(*ACCOUNT)
    control_plane.kubectl("apply", "-f", str(RBAC_MANIFEST.parent / "serving-certificates.yaml"))
    control_plane.kubectl("create", "namespace", namespace)
    control_plane.wait_for_default_service_account(namespace)
    cluster = seen.over_tls(control_plane.api())
    flags = (
        "--poll-interval", "1s", "--feed-interval", "2s", "--heartbeat-interval", "2s", "--create-settle", "6s",
        "--sce-rate-limit", "0", "--rotate-server-certificates",
    )  # fmt: skip
    try:
        with CloudProcess(directory, "--profile", "fast", "--no-rate-limit") as cloud:
            with DaemonProcess(directory, kubeconfig, cloud.url, *flags) as daemon:
                daemon.wait_until_ready()
                try:
                    yield KubectlWorld(
                        cluster, cloud, daemon, namespace, control_plane=control_plane, directory=directory
                    )
                    # The shipped rights were enough.
                    assert daemon.metrics().value("apiserver_requests_total", code="403") == 0
                    assert daemon.stop() == 0
                    assert daemon.problems() == []
                except BaseException as error:
                    error.add_note("\n".join(daemon.whole_log().splitlines()[-60:]))
                    raise
            check_cloud(cloud)
    finally:
        cluster.delete(f"/api/v1/nodes/{NODE_NAME}")
        control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def web(world: KubectlWorld) -> str:
    """A Deployment's pod that runs and has written five lines, all of which have come in."""
    world.apply(manifests.deployment("web", 1, node=NODE_NAME))

    def ready() -> Object | None:
        pods = [pod for pod in world.pods() if pod["metadata"].get("labels", {}).get("app") == "web"]
        return next(filter(seen.is_ready, pods), None)

    name: str = world.until(ready, "the Deployment's pod to be ready")["metadata"]["name"]
    world.write(name, *(f"line {number}" for number in range(1, 6)))
    world.until_logs([f"line {number}" for number in range(1, 6)], name)
    return name


LINES = [f"line {number}" for number in range(1, 6)]


def test_flags_of_kubectl_logs(world: KubectlWorld, web: str) -> None:
    assert own(world.kubectl("logs", "deployment/web")) == LINES
    assert own(world.kubectl("logs", web, "--tail=2")) == LINES[-2:]
    assert world.kubectl("logs", web, "--tail=0") == ""
    assert own(world.kubectl("logs", web, "--since=1h")) == LINES
    assert own(world.kubectl("logs", web, "-c", "main")) == LINES
    assert own(world.kubectl("logs", web, "--all-containers")) == LINES
    prefixed = world.kubectl("logs", "-l", "app=web", "--prefix", "--tail=1").splitlines()
    assert prefixed == [f"[pod/{web}/main] line 5"]
    stamped = [line.split(" ", 1) for line in world.kubectl("logs", web, "--timestamps").splitlines()]
    assert [text for _, text in stamped][-5:] == LINES
    times = [datetime.datetime.fromisoformat(stamp) for stamp, _ in stamped]
    assert times == sorted(times)
    # The API server cuts the moment to a second.
    hour = datetime.timedelta(hours=1)
    assert own(world.kubectl("logs", web, f"--since-time={_moment(times[0] - hour)}")) == LINES
    assert world.kubectl("logs", web, f"--since-time={_moment(times[-1] + hour)}") == ""
    everything = world.kubectl("logs", web)
    assert world.kubectl("logs", web, "--limit-bytes=9") == everything[:9]
    assert 'container "main" in pod' not in everything


def _moment(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_followers_get_what_comes_and_end_with_the_pod_or_their_reader(world: KubectlWorld) -> None:
    world.apply(manifests.pod("followed", node=NODE_NAME))
    world.apply(manifests.pod("job", restart_policy="Never", node=NODE_NAME))
    world.until_ready("followed")
    job = world.until_ready("job")
    world.write("followed", "before")
    world.until_logs(["before"], "followed")
    texts = [f"line {number}" for number in range(20)]
    with (
        Followed(world, "followed", "--tail=0") as first,
        Followed(world, "followed", "--timestamps", "--tail=1") as second,
        Followed(world, "job") as third,
    ):
        world.until(lambda: world.daemon.metrics().value("kubelet_log_readers") == 3, "three readers")
        world.write("job", "begun", "done")
        world.cloud.control("exit_container", name=seen.group_name(job), code=3)
        world.write("followed", *texts)
        first.until_lines(texts)
        wait_until(lambda: len(second.lines()) == 21, timeout=LINES_SECONDS, what="the second follower")
        assert [line.split(" ", 1)[1] for line in second.lines()] == ["before", *texts]
        # One that follows a pod ends by itself when the pod has ended, after its last lines.
        assert third.process.wait(LINES_SECONDS) == 0
        assert third.lines() == ["begun", "done"]
    world.until(lambda: world.daemon.metrics().value("kubelet_log_readers") == 0, "the readers to be gone")
    # And the log stays, when the group is gone.
    world.until_pod("job", lambda pod: pod["status"]["phase"] == "Failed", "to have failed")
    world.until(lambda: not any(name.startswith("job-") for name in world.group_names()), "the group to be gone")
    assert own(world.kubectl("logs", "job")) == ["begun", "done"]
    assert own(world.kubectl("logs", "job", "--tail=1")) == ["done"]
    assert "previous terminated container" in world.refused("logs", "-p", "job")


def test_previous_is_the_run_before(world: KubectlWorld) -> None:
    world.apply(manifests.pod("crashing", node=NODE_NAME))
    pod = world.until_ready("crashing")
    assert 'previous terminated container "main" in pod "crashing" not found' in world.refused(
        "logs", "--previous", "crashing"
    )
    world.write("crashing", "first run")
    world.cloud.control("exit_container", name=seen.group_name(pod), code=1)
    world.until_pod("crashing", lambda pod: seen.is_ready(pod) and _last_run(pod), "to run again")
    world.write("crashing", "second run")
    world.until_logs(["second run"], "crashing")
    world.until_logs(["first run"], "--previous", "crashing")


def _last_run(pod: Object) -> object:
    return pod["status"]["containerStatuses"][0].get("lastState", {}).get("terminated")


def test_a_pod_without_a_run_answers_with_its_reason(world: KubectlWorld) -> None:
    world.apply(manifests.pod("pulling", image="registry.example/does-not-exist:1", node=NODE_NAME))
    refused = manifests.pod("refused", node=NODE_NAME)
    refused["spec"]["hostNetwork"] = True
    world.apply(refused)
    for name, reason in (("pulling", "manifest unknown"), ("refused", "hostNetwork")):

        def look(name: str = name, reason: str = reason) -> bool:
            said = world.refused("logs", name)
            assert f'container "main" in pod "{name}"' in said and reason in said, said
            return True

        world.until(look, f"the reason of {name}", LINES_SECONDS)
    world.kubectl("delete", "pod", "pulling", "refused", "--wait=false")


def test_what_is_not_possible_is_refused_in_one_clear_sentence(world: KubectlWorld, web: str) -> None:
    for words, sentence in (
        (("exec", web, "--", "ls"), "kubectl exec and cp are not possible on this node"),
        (("exec", "-it", web, "--", "sh"), "kubectl exec and cp are not possible on this node"),
        (("attach", web), "kubectl attach is not possible on this node"),
        (("port-forward", web, ":80"), "kubectl port-forward is not possible on this node"),
        (("cp", f"{web}:/etc/hosts", str(world.directory / "hosts")), "kubectl exec and cp are not possible"),
    ):
        said = world.refused(*words)
        assert sentence in said, said
        assert "Internal error occurred: unknown" not in said
    assert not (world.directory / "hosts").exists()


def test_only_who_may_ask_gets_an_answer(world: KubectlWorld, web: str) -> None:
    path = f"/containerLogs/{world.namespace}/{web}/main"
    kubectl = world.control_plane.kubectl
    for account in ("nobody", "reader"):
        kubectl("create", "serviceaccount", account, f"--namespace={world.namespace}")
    subject = f"--serviceaccount={world.namespace}:reader"
    binding = f"kubelet-reader-{world.namespace}"
    kubectl("create", "clusterrolebinding", binding, "--clusterrole=system:kubelet-api-admin", subject)
    try:
        tokens = {
            name: kubectl("create", "token", name, f"--namespace={world.namespace}").stdout.strip()
            for name in ("nobody", "reader")
        }
        for asked in (path, "/pods", "/healthz", "/nothing", "/exec/x/y/z"):
            assert world.ask_port(asked)[0] == 401
            assert world.ask_port(asked, token="not.a.token")[0] == 401
            status, body = world.ask_port(asked, token=tokens["nobody"])
            assert status == 403 and f"system:serviceaccount:{world.namespace}:nobody".encode() in body
        status, body = world.ask_port(path, token=tokens["reader"])
        assert (status, own(body.decode())[:5]) == (200, LINES[:5])
        status, body = world.ask_port("/pods", token=tokens["reader"])
        assert status == 200
        assert web in {pod["metadata"]["name"] for pod in json.loads(body)["items"]}
        assert world.ask_port("/healthz", token=tokens["reader"]) == (200, b"ok")
        assert world.ask_port("/exec/x/y/z", token=tokens["reader"], method="POST")[0] == 501
    finally:
        kubectl("delete", "clusterrolebinding", binding)
    # The API server's own certificate, which needs no token; and one of the same CA without rights.
    for name, expected in (("kubelet-client", 200), ("kube-scheduler-client", 403)):
        pair = tuple(world.control_plane.directory / f"{name}.{kind}" for kind in ("crt", "key"))
        assert world.ask_port("/pods", client=client_context((pair[0], pair[1])))[0] == expected
    # A user whom the API server does not let read logs does not get to the node at all.
    said = world.refused("logs", web, "--as=restricted", "--as-group=system:authenticated")
    assert "Forbidden" in said and 'User "restricted" cannot get resource' in said, said


def test_the_certificate_comes_from_the_cluster_once_it_is_approved(world: KubectlWorld) -> None:
    checked = ssl.create_default_context(cafile=str(world.control_plane.ca_file))

    def request() -> Object | None:
        found = world.cluster.items("/apis/certificates.k8s.io/v1/certificatesigningrequests")
        return next((each for each in found if each["metadata"]["name"].startswith(f"{NODE_NAME}-")), None)

    name = world.until(request, "the request")["metadata"]["name"]
    world.kubectl("certificate", "approve", name)

    def look() -> bool:
        try:
            status, _ = world.ask_port("/healthz", client=checked)
        except ssl.SSLCertVerificationError as problem:
            raise AssertionError(str(problem)) from problem
        return status == 401

    world.until(look, "the certificate of the cluster's CA", LINES_SECONDS)


def test_hostile_clients_stop_neither_the_port_nor_the_heartbeat(world: KubectlWorld, web: str) -> None:
    port = world.port()
    with contextlib.ExitStack() as mute:
        for _ in range(200):
            mute.enter_context(socket.create_connection(("127.0.0.1", port), timeout=CLIENT_SECONDS))
        assert own(world.kubectl("logs", web, "--tail=1")) == LINES[-1:]
        lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/" + NODE_NAME

        def renewed() -> object:
            found = world.cluster.get(lease)
            assert found is not None
            return found["spec"]["renewTime"]

        before = renewed()
        world.until(lambda: renewed() != before, "the lease to be renewed")
        assert world.daemon.get("/healthz").status == 200
