"""Answers `/metrics/resource` and `/stats/summary`: what metrics-server, Prometheus and `kubectl top` read; pure.

Names, help texts, label order and units are those of a kubelet. A pod that has not been measured is left out, as it is
there while a container starts; no number is made up.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from virtual_kubelet_salad.kubelet.pods import format_time
from virtual_kubelet_salad.kubelet_api.measurements import Measured, NodeUsage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_CONTAINER = ("container", "namespace", "pod")
_POD = ("namespace", "pod")
NANO = 1_000_000_000


def exposition(found: Sequence[Measured], node: NodeUsage | None) -> bytes:
    """The text format of Prometheus, each sample with the time of its measurement."""
    return as_text(_families(found, node))


def as_text(families: Iterable[Metric]) -> bytes:
    """These in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Made(families))
    return generate_latest(registry)


class _Made(Collector):
    """Gives what was made before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(found: Sequence[Measured], node: NodeUsage | None) -> Iterable[Metric]:
    cpu = CounterMetricFamily(
        "container_cpu_usage_seconds_total",
        "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
        labels=_CONTAINER,
    )
    memory = GaugeMetricFamily(
        "container_memory_working_set_bytes",
        "[STABLE] Current working set of the container in bytes",
        labels=_CONTAINER,
    )
    started = GaugeMetricFamily(
        "container_start_time_seconds",
        "[STABLE] Start time of the container since unix epoch in seconds",
        labels=_CONTAINER,
    )
    pod_cpu = CounterMetricFamily(
        "pod_cpu_usage_seconds_total",
        "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
        labels=_POD,
    )
    pod_memory = GaugeMetricFamily(
        "pod_memory_working_set_bytes", "[STABLE] Current working set of the pod in bytes", labels=_POD
    )
    for each in found:
        pod = (each.namespace, each.pod)
        container = (each.container, *pod)
        at = each.usage.measured_at.timestamp()
        started.add_metric(container, each.started_at.timestamp())
        if each.usage.cpu_seconds is not None:
            cpu.add_metric(container, each.usage.cpu_seconds, timestamp=at)
            pod_cpu.add_metric(pod, each.usage.cpu_seconds, timestamp=at)
        if each.usage.memory_bytes is not None:
            memory.add_metric(container, each.usage.memory_bytes, timestamp=at)
            pod_memory.add_metric(pod, each.usage.memory_bytes, timestamp=at)
    error = GaugeMetricFamily(
        "resource_scrape_error", "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise"
    )
    error.add_metric((), 0)
    return (cpu, memory, started, *_of_node(node), pod_cpu, pod_memory, error)


def _of_node(node: NodeUsage | None) -> Iterable[Metric]:
    cpu = CounterMetricFamily(
        "node_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the node in core-seconds"
    )
    memory = GaugeMetricFamily("node_memory_working_set_bytes", "[STABLE] Current working set of the node in bytes")
    if node is not None:
        at = node.measured_at.timestamp()
        cpu.add_metric((), node.cpu_seconds, timestamp=at)
        memory.add_metric((), node.memory_bytes, timestamp=at)
    return cpu, memory


def summary(
    node_name: str, node_started_at: datetime.datetime, found: Sequence[Measured], node: NodeUsage | None
) -> dict[str, Any]:
    """The kubelet's own statistics, as far as there are any."""
    own: dict[str, Any] = {"nodeName": node_name, "startTime": format_time(node_started_at)}
    if node is not None:
        own.update(_resources(node.measured_at, node.cpu_seconds, node.cpu_cores, node.memory_bytes))
    return {"node": own, "pods": [_pod(each) for each in found]}


def _pod(each: Measured) -> dict[str, Any]:
    usage = each.usage
    resources = _resources(usage.measured_at, usage.cpu_seconds, usage.cpu_cores, usage.memory_bytes)
    return {
        "podRef": {"name": each.pod, "namespace": each.namespace, "uid": each.uid},
        "startTime": format_time(each.pod_started_at),
        "containers": [{"name": each.container, "startTime": format_time(each.started_at), **resources}],
        **resources,
    }


def _resources(
    at: datetime.datetime, cpu_seconds: float | None, cpu_cores: float | None, memory_bytes: int | None
) -> dict[str, Any]:
    cpu: dict[str, Any] = {"time": format_time(at)}
    if cpu_cores is not None:
        cpu["usageNanoCores"] = int(cpu_cores * NANO)
    if cpu_seconds is not None:
        cpu["usageCoreNanoSeconds"] = int(cpu_seconds * NANO)
    memory: dict[str, Any] = {"time": format_time(at)}
    if memory_bytes is not None:
        memory.update(usageBytes=memory_bytes, workingSetBytes=memory_bytes)
    return {"cpu": cpu, "memory": memory}
