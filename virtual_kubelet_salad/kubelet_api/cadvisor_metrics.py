"""Answers `/metrics/cadvisor`: the measurements under the names that dashboards and rules for Prometheus read; pure.

Names, help texts and label order are those of cAdvisor in a kubelet, as far as there is something to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from virtual_kubelet_salad.kubelet_api.measurements import Measured
from virtual_kubelet_salad.kubelet_api.resource_metrics import as_text

_LABELS = ("container", "id", "image", "namespace", "pod")
_CPU_LABELS = ("container", "cpu", "id", "image", "namespace", "pod")
_ALL_PROCESSORS = "total"


def exposition(found: Sequence[Measured]) -> bytes:
    """The text format of Prometheus, each sample with the time of its measurement."""
    return as_text(_families(found))


def _families(found: Sequence[Measured]) -> Iterable[Metric]:
    cpu = CounterMetricFamily(
        "container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", labels=_CPU_LABELS
    )
    started = GaugeMetricFamily(
        "container_start_time_seconds", "Start time of the container since unix epoch in seconds.", labels=_LABELS
    )
    memory = GaugeMetricFamily("container_memory_working_set_bytes", "Current working set in bytes.", labels=_LABELS)
    for each in found:
        usage = each.usage
        at = usage.measured_at.timestamp()
        rest = (usage.container_id, each.image, each.namespace, each.pod)
        started.add_metric((each.container, *rest), each.started_at.timestamp())
        if usage.cpu_seconds is not None:
            cpu.add_metric((each.container, _ALL_PROCESSORS, *rest), usage.cpu_seconds, timestamp=at)
        if usage.memory_bytes is not None:
            memory.add_metric((each.container, *rest), usage.memory_bytes, timestamp=at)
    return cpu, memory, started
