"""kubectl and the node: logs with every flag, what is refused and how that reads, and who may ask.

The daemon runs with the ServiceAccount and the rights that ship in `deploy/manifests/rbac.yaml`; kubectl is the real
one and goes through the real API server.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import socket
import ssl
import uuid
from collections.abc import Iterator

import pytest

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cloud_process import CloudProcess
from tests.support.cluster import NODE_NAME, Object
from tests.support.cluster_world import check_rights
from tests.support.control_plane import RBAC_MANIFEST, ControlPlane
from tests.support.daemon_process import DaemonProcess
from tests.support.kubectl_logs import CLIENT_SECONDS, LINES_SECONDS, Followed, LogsWorld, own
from tests.support.scenarios import check_cloud
from tests.support.tls import client_context
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox.salad_settings import FAST

ACCOUNT = ("kube-system", "virtual-kubelet-salad")


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogsWorld]:
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
                    yield LogsWorld(cluster, cloud, daemon, namespace, control_plane=control_plane, directory=directory)
                    check_rights(daemon)
                    assert daemon.stop() == 0
                    assert daemon.problems() == []
                except BaseException as error:
                    error.add_note("\n".join(daemon.whole_log().splitlines()[-60:]))
                    raise
            check_cloud(cloud)
    finally:
        cluster.delete(f"/api/v1/nodes/{NODE_NAME}")
        control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


CROWD = {"app": "crowd"}


@pytest.fixture(scope="module")
def begun(world: LogsWorld) -> None:
    """The pods of the tests below, all at once, because starting one takes as long as starting all."""
    for name in ("followed", "crashing", "odd"):
        world.apply(manifests.pod(name, node=NODE_NAME))
    for name in ("job", "vanished"):
        world.apply(manifests.pod(name, restart_policy="Never", node=NODE_NAME))
    for name in ("crowd-0", "crowd-1"):
        world.apply(manifests.pod(name, labels=CROWD, node=NODE_NAME))


@pytest.fixture(scope="module")
def web(world: LogsWorld, begun: None) -> str:
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


def test_flags_of_kubectl_logs(world: LogsWorld, web: str) -> None:
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


def test_seconds_back_may_be_fewer_than_there_are_lines_or_more_than_saladcloud_keeps(
    world: LogsWorld, web: str
) -> None:
    assert own(world.kubectl("logs", web, "--since=100000h")) == LINES
    assert own(world.kubectl("logs", web, "--tail=-1")) == LINES
    with_greeting = world.kubectl("logs", "deployment/web", "--all-pods").splitlines()
    assert with_greeting[1:] == [f"[pod/{web}/main] {line}" for line in LINES]
    world.until_logs([], web, "--since=1s")
    # Both are cut by whichever is less.
    assert own(world.kubectl("logs", web, "--since=1h", "--tail=2")) == LINES[-2:]
    # A follower whose limit is reached is done.
    assert world.kubectl("logs", "-f", web, "--limit-bytes=4") == world.kubectl("logs", web)[:4]


@pytest.mark.usefixtures("begun")
def test_lines_come_as_they_were_written(world: LogsWorld) -> None:
    world.until_ready("odd")
    odd = (
        "",
        " ",
        "\ttabs and spaces  ",
        "\x1b[31mred\x1b[0m",
        "written on DOS\r",
        "50%\r100%",
        "bell \a and null \0",
        "caf\u00e9 \U0001f957 \u202eright to left",
        "{not json",
        "[1, 2]",
        "null",
        '"quoted"',
        "x" * 10_000,
        "the same",
        "the same",
        "the end",
    )
    world.write("odd", *odd)

    def shown() -> bool:
        with Followed(world, "odd", f"--tail={len(odd)}") as reader:
            reader.until_raw("the end\n")
            assert reader.raw() == "".join(f"{line}\n" for line in odd)
        return True

    world.until(shown, "all of them", LINES_SECONDS)


@pytest.mark.usefixtures("begun")
def test_many_pods_are_read_at_once_and_one_that_waits_does_not_hide_the_others(world: LogsWorld) -> None:
    waiting = manifests.pod("crowd-2", image="registry.example/does-not-exist:2", labels=CROWD, node=NODE_NAME)
    for name in ("crowd-0", "crowd-1"):
        world.until_ready(name)
    world.until_readers(0)
    with Followed(world, "-l", "app=crowd", "--prefix", "--tail=0", "--max-log-requests=2") as both:
        world.until_readers(2)
        world.write("crowd-0", "one", "two")
        world.write("crowd-1", "three")
        lines = ["[pod/crowd-0/main] one", "[pod/crowd-0/main] two", "[pod/crowd-1/main] three"]
        wait_until(lambda: sorted(both.lines()) == lines, timeout=LINES_SECONDS, what="the lines of both")
    said = world.refused("logs", "-f", "-l", "app=crowd", "--max-log-requests=1")
    assert "maximum allowed concurrency is 1" in said
    world.apply(waiting)
    world.until(lambda: "manifest unknown" in world.refused("logs", "crowd-2"), "the reason", LINES_SECONDS)
    assert "crowd-2" in world.refused("logs", "-l", "app=crowd", "--tail=1")

    def others_are_shown() -> bool:
        # In an order of kubectl's own.
        problem, *others = sorted(own(world.kubectl("logs", "-l", "app=crowd", "--tail=1", "--ignore-errors")))
        assert others == ["three", "two"]
        # Before the image is tried again, and while that is waited for.
        reasons = "(ErrImagePull|ImagePullBackOff): "
        said = f'error: container "main" in pod "crowd-2" is waiting to start: {reasons}'
        assert re.match(said, problem), problem
        return True

    world.until(others_are_shown, "the logs of the others", LINES_SECONDS)
    # Before it says so, kubectl itself waits whether the pod comes to run.
    said = world.refused("logs", "-f", "crowd-2", "--pod-running-timeout=1s")
    assert 'container "main" in pod "crowd-2" is waiting to start: ' in said
    world.kubectl("delete", "pod", "-l", "app=crowd", "--wait=false")


@pytest.mark.usefixtures("begun")
def test_a_pod_whose_group_was_deleted_by_somebody_still_has_its_log(world: LogsWorld) -> None:
    pod = world.until_ready("vanished")
    world.write("vanished", "the last words")
    world.until_logs(["the last words"], "vanished")
    with Followed(world, "vanished") as follower:
        world.cloud.control("vanish", name=seen.group_name(pod))
        world.until_pod("vanished", lambda pod: pod["status"]["phase"] == "Failed", "to have failed")
        assert follower.process.wait(LINES_SECONDS) == 0
        assert follower.lines() == ["the last words"]
    assert own(world.kubectl("logs", "vanished")) == ["the last words"]


def test_a_pod_that_waits_for_a_machine_says_so(world: LogsWorld) -> None:
    world.cloud.control("configure", allocation=3_600.0)
    try:
        world.apply(manifests.pod("waiting", node=NODE_NAME))

        def look() -> bool:
            for words in (("logs", "waiting"), ("logs", "-f", "waiting", "--pod-running-timeout=1s")):
                said = world.refused(*words)
                assert 'container "main" in pod "waiting" is waiting to start: Allocating' in said, said
            return True

        world.until(look, "the reason", LINES_SECONDS)
        world.kubectl("delete", "pod", "waiting", "--wait=false")
    finally:
        world.cloud.control("configure", allocation=FAST.allocation)


@pytest.mark.usefixtures("begun")
def test_followers_get_what_comes_and_end_with_the_pod_or_their_reader(world: LogsWorld) -> None:
    world.until_ready("followed")
    job = world.until_ready("job")
    world.write("followed", "before")
    world.until_logs(["before"], "followed")
    texts = [f"line {number}" for number in range(20)]
    world.until_readers(0)
    with (
        Followed(world, "followed", "--tail=0") as first,
        Followed(world, "followed", "--timestamps", "--tail=1") as second,
        Followed(world, "job") as third,
    ):
        world.until_readers(3)
        world.write("job", "begun", "done")
        world.cloud.control("exit_container", name=seen.group_name(job), code=3)
        world.write("followed", *texts)
        first.until_lines(texts)
        wait_until(lambda: len(second.lines()) == 21, timeout=LINES_SECONDS, what="the second follower")
        assert [line.split(" ", 1)[1] for line in second.lines()] == ["before", *texts]
        # One that follows a pod ends by itself when the pod has ended, after its last lines.
        assert third.process.wait(LINES_SECONDS) == 0
        assert third.lines() == ["begun", "done"]
    world.until_readers(0)
    # And the log stays, when the group is gone.
    world.until_pod("job", lambda pod: pod["status"]["phase"] == "Failed", "to have failed")
    world.until(lambda: not any(name.startswith("job-") for name in world.group_names()), "the group to be gone")
    assert own(world.kubectl("logs", "job")) == ["begun", "done"]
    assert own(world.kubectl("logs", "job", "--tail=1")) == ["done"]
    assert "previous terminated container" in world.refused("logs", "-p", "job")


@pytest.mark.usefixtures("begun")
def test_previous_is_the_run_before(world: LogsWorld) -> None:
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


def test_a_pod_without_a_run_answers_with_its_reason(world: LogsWorld) -> None:
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


def test_what_is_not_possible_is_refused_in_one_clear_sentence(world: LogsWorld, web: str) -> None:
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


def test_only_who_may_ask_gets_an_answer(world: LogsWorld, web: str) -> None:
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


def test_the_certificate_comes_from_the_cluster_once_it_is_approved(world: LogsWorld) -> None:
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


def test_hostile_clients_stop_neither_the_port_nor_the_heartbeat(world: LogsWorld, web: str) -> None:
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
