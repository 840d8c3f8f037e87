"""What containers use, as kubectl, autoscalers and Prometheus see it: the real metrics-server behind the real API
server, the real controllers and a real Prometheus ask the port of a daemon that has the rights which ship.
"""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from tests.support import cluster as seen
from tests.support import control_plane_build, go_build, manifests
from tests.support.cluster import NODE_NAME, Object
from tests.support.cluster_world import (
    QUICK_CLOUD_FLAGS,
    QUICK_FLAGS,
    ClusterWorld,
    check_rights,
    cluster_world,
    new_namespace,
)
from tests.support.control_plane import ControlPlane
from tests.support.metrics_server import metrics_server
from tests.support.plain_http import NoAnswer, ask
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox.ports import free_ports
from virtual_kubelet_salad.sandbox.processes import ChildProcess

# A container is read every 20 s, and a rate needs two readings. The rest is room for a loaded machine.
MEASURED_SECONDS = 240.0
END_SECONDS = 180.0
# The simulator's numbers are true to the second, so that a rate is right to some percent.
USAGE_PERIOD_SECONDS = 1.0
CPU_TOLERANCE = 0.2
LABELS = {"who": "busy"}
SELECTOR = "--selector=who=busy"
EXPOSITIONS = ("/metrics", "/metrics/cadvisor", "/metrics/probes", "/metrics/resource")


@dataclass(frozen=True)
class Use:
    """One row of `kubectl top`."""

    cores: float
    mebibytes: int

    def is_about(self, other: Use, rounded: int = 0) -> bool:
        """`rounded`: how many parts were cut to whole mebibytes before they were summed."""
        is_same_memory = abs(self.mebibytes - other.mebibytes) <= rounded
        return is_same_memory and abs(self.cores - other.cores) <= CPU_TOLERANCE * other.cores


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterWorld]:
    """The daemon's certificate is one that metrics-server can check. In the end nothing is left of the pods."""
    try:
        program = control_plane_build.metrics_server()
    except go_build.CannotBuild as problem:
        pytest.fail(str(problem), pytrace=False)
    directory = tmp_path_factory.mktemp("measurements")
    pair = control_plane.serving_certificate("kubelet-serving", "127.0.0.1")
    certificate = ("--tls-cert-file", str(pair.certificate), "--tls-private-key-file", str(pair.key))
    with new_namespace(control_plane) as namespace:
        with cluster_world(
            control_plane, namespace, directory, *QUICK_FLAGS, *certificate, cloud_flags=QUICK_CLOUD_FLAGS
        ) as world:
            world.cloud.control("configure", usage_period=USAGE_PERIOD_SECONDS)
            with metrics_server(control_plane, program, directory):
                yield world
                check_rights(world.daemon)
            world.kubectl("delete", "hpa,deployment,pod", "--all", "--wait=false")
            world.until_nothing_is_left(timeout=END_SECONDS)


def use(world: ClusterWorld, pod: Object, cores: float, mebibytes: int) -> None:
    world.cloud.control("use", name=seen.group_name(pod), cpu_cores=cores, memory_mb=float(mebibytes))


def top(world: ClusterWorld, *words: str) -> dict[str, Use]:
    """The rows by the name at their begin, or the two names; AssertionError while kubectl has nothing to show."""
    done = world.control_plane.kubectl("--namespace", world.namespace, "top", *words, "--no-headers", check=False)
    assert done.returncode == 0, done.stderr
    rows = {}
    for line in done.stdout.splitlines():
        found = re.fullmatch(r"(.+?)\s+(\d+)m\s+(?:\d+%\s+)?(\d+)Mi(?:\s+\d+%)?\s*", line)
        assert found is not None, line
        rows[" ".join(found[1].split())] = Use(int(found[2]) / 1000, int(found[3]))
    return rows


def until_top(world: ClusterWorld, expected: dict[str, Use], *words: str) -> None:
    def look() -> bool:
        rows = top(world, *words)
        assert rows.keys() == expected.keys(), rows
        assert all(rows[name].is_about(each) for name, each in expected.items()), rows
        return True

    wait_until(look, timeout=MEASURED_SECONDS, what=f"top {' '.join(words)}", interval=1.0)


def until_replicas(world: ClusterWorld, count: int) -> list[Object]:
    """The Deployment's pods, when there are so many and all are ready."""

    def look() -> list[Object]:
        pods = [pod for pod in world.pods() if pod["metadata"].get("labels", {}).get("app") == "scaled"]
        assert len(pods) == count and all(map(seen.is_ready, pods)), seen.in_short(pods)
        return pods

    pods: list[Object] = world.until(look, f"{count} replicas", MEASURED_SECONDS)
    return pods


@pytest.fixture(scope="module")
def scaled(world: ClusterWorld) -> None:
    """A Deployment of one pod, which has much to do, and its autoscaler; it goes on while other tests look
    elsewhere.
    """
    deployment = manifests.deployment("scaled", 1, node=world.node)
    deployment["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    world.apply(deployment)
    (first,) = until_replicas(world, 1)
    use(world, first, 2.4, 256)
    world.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "scaled"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled"},
                "minReplicas": 1,
                "maxReplicas": 3,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                    }
                ],
                # Five minutes by itself.
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            },
        }
    )


@pytest.fixture(scope="module")
def busy(world: ClusterWorld, scaled: None) -> dict[str, Use]:
    """Two pods that are at work; a third waits for its image."""
    expected = {"busy": Use(1.5, 512), "quiet": Use(0.25, 96)}
    for name, each in expected.items():
        world.create_pod(manifests.pod(name, labels=LABELS))
        use(world, world.until_ready(name), each.cores, each.mebibytes)
    world.create_pod(manifests.pod("waiting", image="registry.example/does-not-exist:1", labels=LABELS))
    return expected


def test_kubectl_top_tells_what_running_containers_use(world: ClusterWorld, busy: dict[str, Use]) -> None:
    until_top(world, busy, "pod", SELECTOR)
    until_top(world, {f"{name} main": each for name, each in busy.items()}, "pod", SELECTOR, "--containers")
    until_top(world, {"busy": busy["busy"]}, "pod", "busy")
    refused = world.control_plane.kubectl("--namespace", world.namespace, "top", "pod", "waiting", check=False)
    assert refused.returncode != 0 and '(NotFound): pods "waiting" not found' in refused.stderr, refused

    def node_is_the_sum_of_its_pods() -> bool:
        pods, node = top(world, "pod", "--all-namespaces").values(), top(world, "node", NODE_NAME)
        total = Use(sum(each.cores for each in pods), sum(each.mebibytes for each in pods))
        assert node.keys() == {NODE_NAME} and node[NODE_NAME].is_about(total, rounded=len(pods)), (node, total)
        return True

    wait_until(node_is_the_sum_of_its_pods, timeout=MEASURED_SECONDS, what="top node", interval=1.0)


# -- who asks the port itself


@pytest.fixture(scope="module")
def tokens(world: ClusterWorld) -> Iterator[dict[str, str]]:
    """Of a ServiceAccount without rights, and of one with the right that scrapers have."""
    name = f"scraper-{world.namespace}"
    world.control_plane.kubectl("create", "clusterrole", name, "--verb=get", "--resource=nodes/metrics")
    for account in ("nobody", "scraper"):
        world.kubectl("create", "serviceaccount", account)
    subject = f"--serviceaccount={world.namespace}:scraper"
    world.control_plane.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", subject)
    yield {account: world.kubectl("create", "token", account).strip() for account in ("nobody", "scraper")}
    world.control_plane.kubectl("delete", "clusterrolebinding,clusterrole", name)


def port(world: ClusterWorld) -> int:
    node = world.cluster.node(world.node)
    assert node is not None
    return int(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"])


def ask_port(world: ClusterWorld, path: str, token: str = "") -> tuple[int, str]:
    answer = ask(
        "GET",
        f"https://127.0.0.1:{port(world)}{path}",
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=60.0,
        context=ssl.create_default_context(cafile=str(world.control_plane.ca_file)),
    )
    return answer.status, answer.text


@pytest.mark.parametrize("path", [*EXPOSITIONS, "/stats/summary"])
def test_measurements_are_for_those_who_may_read_them(world: ClusterWorld, tokens: dict[str, str], path: str) -> None:
    assert ask_port(world, path)[0] == 401
    assert ask_port(world, path, "not.a.token")[0] == 401
    status, text = ask_port(world, path, tokens["nobody"])
    assert status == 403 and f"system:serviceaccount:{world.namespace}:nobody" in text
    expected = 403 if path == "/stats/summary" else 200
    assert ask_port(world, path, tokens["scraper"])[0] == expected


def test_prometheus_finds_the_node_up_on_every_path(
    world: ClusterWorld, busy: dict[str, Use], tokens: dict[str, str], tmp_path: pathlib.Path
) -> None:
    program = shutil.which("prometheus")
    assert program is not None, "no prometheus on PATH (Debian: prometheus)"
    (tmp_path / "token").write_text(tokens["scraper"])
    jobs = [
        {
            "job_name": path,
            "scheme": "https",
            "metrics_path": path,
            "authorization": {"credentials_file": str(tmp_path / "token")},
            "tls_config": {"ca_file": str(world.control_plane.ca_file)},
            "static_configs": [{"targets": [f"127.0.0.1:{port(world)}"]}],
        }
        for path in EXPOSITIONS
    ]
    configuration = {"global": {"scrape_interval": "5s", "scrape_timeout": "5s"}, "scrape_configs": jobs}
    (tmp_path / "prometheus.yaml").write_text(json.dumps(configuration))
    (own_port,) = free_ports(1)
    flags = (
        f"--config.file={tmp_path / 'prometheus.yaml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{own_port}",
    )  # fmt: skip
    process = ChildProcess("prometheus", [program, *flags], tmp_path / "prometheus.log")

    def query(text: str) -> list[dict[str, Any]]:
        assert process.exit_code() is None, process.log_tail()
        try:
            answer = ask("GET", f"http://127.0.0.1:{own_port}/api/v1/query?query={quote(text)}")
        except NoAnswer as problem:
            raise AssertionError(str(problem)) from problem
        assert answer.status == 200, answer
        found: list[dict[str, Any]] = answer.json["data"]["result"]
        return found

    def look() -> bool:
        up = {each["metric"]["job"]: each["value"][1] for each in query("up")}
        assert up == dict.fromkeys(EXPOSITIONS, "1"), up
        assert query("virtual_kubelet_salad_build_info")
        for path in ("/metrics/resource", "/metrics/cadvisor"):
            rows = query(f'container_memory_working_set_bytes{{job="{path}",namespace="{world.namespace}"}}')
            memory = {each["metric"]["pod"]: int(float(each["value"][1])) // 2**20 for each in rows}
            assert {name: memory.get(name) for name in busy} == {name: each.mebibytes for name, each in busy.items()}
        return True

    try:
        wait_until(look, timeout=MEASURED_SECONDS, what="all that Prometheus scrapes", interval=1.0)
    finally:
        process.stop(10.0)


def test_an_autoscaler_follows_the_load(world: ClusterWorld, scaled: None) -> None:
    for pod in until_replicas(world, 3):
        use(world, pod, 0.05, 256)
    until_replicas(world, 1)
