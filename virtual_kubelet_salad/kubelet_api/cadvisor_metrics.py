"""Answers `/metrics/cadvisor`: the measurements under the names that dashboards and rules for Prometheus read; pure.

Names, help texts and label order are those of cAdvisor in a kubelet, as far as there is something to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from virtual_kubelet_salad.kubelet_api.measurements import Measured

_LABELS = ("container", "id", "image", "namespace", "pod")
_CPU_LABELS = ("container", "cpu", "id", "image", "namespace", "pod")
_ALL_PROCESSORS = "total"


def exposition(found: Sequence[Measured]) -> bytes:
    """The text format of Prometheus, each sample with the time of its measurement."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Containers(found))
    return generate_latest(registry)


class _Containers(Collector):
    def __init__(self, found: Sequence[Measured]) -> None:
        self._found = found

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        cpu = CounterMetricFamily(
            "container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", labels=_CPU_LABELS
        )
        started = GaugeMetricFamily(
            "container_start_time_seconds", "Start time of the container since unix epoch in seconds.", labels=_LABELS
        )
        memory = GaugeMetricFamily(
            "container_memory_working_set_bytes", "Current working set in bytes.", labels=_LABELS
        )
        for each in self._found:
            usage = each.usage
            at = usage.measured_at.timestamp()
            rest = (usage.container_id, each.image, each.namespace, each.pod)
            started.add_metric((each.container, *rest), each.started_at.timestamp())
            if usage.cpu_seconds is not None:
                cpu.add_metric((each.container, _ALL_PROCESSORS, *rest), usage.cpu_seconds, timestamp=at)
            if usage.memory_bytes is not None:
                memory.add_metric((each.container, *rest), usage.memory_bytes, timestamp=at)
        return cpu, memory, started
