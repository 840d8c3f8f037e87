"""What metrics-server and Prometheus read from the port."""

from __future__ import annotations

import datetime
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.clock import FakeClock
from tests.unit.kubelet_api.conftest import OWN_METRICS, Port
from virtual_kubelet_salad.kubelet.provider_insight import Usage

MEASURED_AT = datetime.datetime(2026, 1, 1, 0, 10, 0, 500_000, tzinfo=datetime.UTC)


def use(
    port: Port,
    name: str,
    instance: str,
    cpu: float | None = 90.5,
    memory: int | None = 2**30,
    cores: float | None = 0.25,
    at: datetime.datetime = MEASURED_AT,
) -> None:
    box = port.world.box_name(name)
    port.world.provider.used[box] = Usage(f"memory://{instance}", at, cpu, cores, memory)


@pytest.fixture
def measured(port: Port) -> Port:
    """Two pods of two namesakes' kind, one of which was measured; and one that waits."""
    port.world.run_pod("web")
    port.world.run_pod("api")
    port.world.create_pod("waiting")
    port.world.settle()
    use(port, "web", "1")
    return port


def test_resource_metrics_are_those_of_a_kubelet(measured: Port) -> None:
    answer = measured.ask("/metrics/resource")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    started = datetime.datetime.fromisoformat(measured.world.container("web")["state"]["running"]["startedAt"])
    now = int(measured.world.clock.now().timestamp() * 1000)
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("# HELP")]
    labels = 'container="main",namespace="default",pod="web"'
    assert lines == [
        "# TYPE container_cpu_usage_seconds_total counter",
        f"container_cpu_usage_seconds_total{{{labels}}} 90.5 1767226200500",
        "# TYPE container_memory_working_set_bytes gauge",
        f"container_memory_working_set_bytes{{{labels}}} 1.073741824e+09 1767226200500",
        "# TYPE container_start_time_seconds gauge",
        f"container_start_time_seconds{{{labels}}} {started.timestamp()!r}".replace("1767225600.0", "1.7672256e+09"),
        "# TYPE node_cpu_usage_seconds_total counter",
        f"node_cpu_usage_seconds_total 0.0 {now}",
        "# TYPE node_memory_working_set_bytes gauge",
        f"node_memory_working_set_bytes 1.073741824e+09 {now}",
        "# TYPE pod_cpu_usage_seconds_total counter",
        'pod_cpu_usage_seconds_total{namespace="default",pod="web"} 90.5 1767226200500',
        "# TYPE pod_memory_working_set_bytes gauge",
        'pod_memory_working_set_bytes{namespace="default",pod="web"} 1.073741824e+09 1767226200500',
        "# TYPE resource_scrape_error gauge",
        "resource_scrape_error 0.0",
    ]


def test_dashboards_find_the_names_of_cadvisor(measured: Port) -> None:
    answer = measured.ask("/metrics/cadvisor")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    started = datetime.datetime.fromisoformat(measured.world.container("web")["state"]["running"]["startedAt"])
    samples = {
        sample.name: (sample.labels, sample.value, sample.timestamp)
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    labels = {"container": "main", "id": "memory://1", "image": "image:1", "namespace": "default", "pod": "web"}
    at = MEASURED_AT.timestamp()
    assert samples == {
        "container_cpu_usage_seconds_total": ({**labels, "cpu": "total"}, 90.5, at),
        "container_memory_working_set_bytes": (labels, 2.0**30, at),
        "container_start_time_seconds": (labels, started.timestamp(), None),
    }


def test_every_path_that_prometheus_asks_of_a_node_answers(port: Port) -> None:
    assert port.ask("/metrics").body == OWN_METRICS
    for path in ("/metrics", "/metrics/cadvisor", "/metrics/probes", "/metrics/resource"):
        answer = port.ask(path)
        assert (answer.code, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert port.ask("/metrics/probes").body == b""


@pytest.mark.parametrize("path", ["/metrics/resource", "/metrics/cadvisor"])
def test_metrics_are_read_by_prometheus_without_a_complaint(measured: Port, path: str) -> None:
    text = measured.ask(path).body
    assert {family.name for family in text_string_to_metric_families(text.decode())} >= {"container_cpu_usage_seconds"}
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_nothing_measured_is_nothing_shown(port: Port) -> None:
    port.world.run_pod("web")
    port.world.deliver()
    samples = [
        sample
        for family in text_string_to_metric_families(port.ask("/metrics/resource").body.decode())
        for sample in family.samples
    ]
    assert [(sample.name, sample.value) for sample in samples] == [("resource_scrape_error", 0.0)]
    summary = port.ask("/stats/summary").json
    assert (summary["pods"], set(summary["node"])) == ([], {"nodeName", "startTime"})


def test_a_measurement_of_another_run_is_not_taken_for_this_one(measured: Port) -> None:
    use(measured, "web", "an older run")
    assert b'pod="web"' not in measured.ask("/metrics/resource").body


def test_a_measurement_from_before_the_run_is_not_taken_for_it(measured: Port) -> None:
    """An instance may keep its identity when its container begins anew."""
    started = datetime.datetime.fromisoformat(measured.world.container("web")["state"]["running"]["startedAt"])
    use(measured, "web", "1", at=started - datetime.timedelta(seconds=1))
    assert b'pod="web"' not in measured.ask("/metrics/resource").body


def test_what_is_missing_of_a_measurement_is_left_out(measured: Port) -> None:
    use(measured, "web", "1", cpu=None, cores=None)
    text = measured.ask("/metrics/resource").body.decode()
    assert "container_cpu_usage_seconds_total{" not in text
    assert "container_memory_working_set_bytes{" in text


def test_the_summary_is_that_of_a_kubelet(measured: Port) -> None:
    summary = measured.ask("/stats/summary").json
    (pod,) = summary["pods"]
    resources = {
        "cpu": {"time": "2026-01-01T00:10:00Z", "usageNanoCores": 250_000_000, "usageCoreNanoSeconds": 90_500_000_000},
        "memory": {"time": "2026-01-01T00:10:00Z", "usageBytes": 2**30, "workingSetBytes": 2**30},
    }
    known = measured.world.pod("web")
    assert known is not None
    assert pod["podRef"] == {"name": "web", "namespace": "default", "uid": known["metadata"]["uid"]}
    assert pod["startTime"] == known["status"]["startTime"]
    started = known["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    assert pod["containers"] == [{"name": "main", "startTime": started, **resources}]
    assert {key: pod[key] for key in resources} == resources
    assert summary["node"]["nodeName"] == "virtual"
    assert summary["node"]["memory"]["workingSetBytes"] == 2**30
    assert summary["node"]["cpu"]["usageNanoCores"] == 250_000_000


def test_the_node_uses_what_its_pods_use_together_and_its_time_only_grows(
    measured: Port, fake_clock: FakeClock
) -> None:
    def node() -> tuple[float, float]:
        cpu = measured.ask("/stats/summary").json["node"]["cpu"]
        return cpu["usageNanoCores"] / 1e9, cpu["usageCoreNanoSeconds"] / 1e9

    _, begun = node()
    fake_clock.advance(60.0)
    assert node() == (0.25, begun + 15.0)
    # A second pod's hours before it was measured are no leap of the node.
    measured.world.provider.run(measured.world.box_name("api"), instance="2")
    measured.world.wake("api")
    measured.world.settle()
    use(measured, "api", "2", cpu=36_000.0, cores=0.5)
    cores, now = node()
    assert cores == 0.75
    fake_clock.advance(60.0)
    assert node() == (0.75, pytest.approx(now + 45.0))
    # And one that goes takes nothing away.
    measured.world.provider.used.clear()
    use(measured, "web", "1")
    cores, later = node()
    assert (cores, later) == (0.25, pytest.approx(now + 45.0))


def test_the_first_measurement_of_a_run_counts_with_its_average(measured: Port) -> None:
    started = datetime.datetime.fromisoformat(measured.world.container("web")["state"]["running"]["startedAt"])
    use(measured, "web", "1", cpu=(MEASURED_AT - started).total_seconds() / 2, cores=None)
    node = measured.ask("/stats/summary").json["node"]
    assert node["cpu"]["usageNanoCores"] == 500_000_000
