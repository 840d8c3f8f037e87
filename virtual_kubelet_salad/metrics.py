"""Every series that the daemon shows to Prometheus, in one class, each at zero from the start.

Label values come from closed sets, so that no pod, image or machine name can become a series; what is outside its set
is counted as `other`. All methods may be called from any thread and never block. Values that would be old by the time
Prometheus asks (ages, depths) are read at scrape time: see `collect_from`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import virtual_kubelet_salad

PREFIX = "virtual_kubelet_salad"
OTHER = "other"
NO_ANSWER = "none"

# The words of `kubelet.result.OUTCOMES`; a test compares the two, because this module sees no layer above it.
RECONCILE_OUTCOMES = (
    "gone", "not_ours", "settled", "status_written", "claimed", "created", "adopted", "updated", "started", "deleted",
    "released", "removed", "refused", "blocked", "waiting", "held_by_brake", "could_not_ask", "no_budget", "not_leader",
    "another_pod", "rejected", "failed",
)
# The operation ids of SaladCloud's own API description.
SALAD_OPERATIONS = (
    "list_container_groups", "create_container_group", "get_container_group", "update_container_group",
    "delete_container_group", "start_container_group", "stop_container_group", "get_system_logs",
    "list_container_group_instances", "get_container_group_instance", "reallocate_container_group_instance",
    "query_log_entries", "get_quotas", "list_gpu_classes",
)
API_CALLS = (
    ("list", "pods"), ("watch", "pods"), ("get", "pods"), ("delete", "pods"), ("patch", "pods/status"),
    ("get", "nodes"), ("create", "nodes"), ("patch", "nodes"), ("patch", "nodes/status"),
    ("get", "leases"), ("create", "leases"), ("patch", "leases"), ("update", "leases"),
    ("create", "tokenreviews"), ("create", "subjectaccessreviews"),
    ("create", "certificatesigningrequests"), ("get", "certificatesigningrequests"),
    ("create", "events"), ("patch", "events"), ("get", "secrets"), ("get", "configmaps"), ("get", "namespaces"),
    (OTHER, OTHER),
)
CODES = (
    "200", "201", "202", "204", "400", "401", "403", "404", "408", "409", "410", "422", "429", "500", "502", "503",
    "504", NO_ANSWER, OTHER,
)
# The words of `kubelet_api.application.ROUTES`; a test compares the two.
KUBELET_ROUTES = (
    "containerLogs", "metrics", "stats", "pods", "runningpods", "healthz", "configz", "exec", "attach", "portForward",
)
KUBELET_CODES = ("200", "400", "401", "403", "404", "405", "500", "501", "503")
POD_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
GROUP_STATES = ("pending", "deploying", "running", "stopped", "succeeded", "failed", OTHER)
NODE_CONDITIONS = (
    "Ready", "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable", "SaladCloudReachable",
)
CONDITION_STATUSES = ("true", "false", "unknown")

# From a reconcile that needs no request (1 ms) to a call that runs into its timeout (60 s).
_SECONDS_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0)


class _Documented(NamedTuple):
    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Metrics(Collector):
    """The daemon's series in one registry; the registry is the caller's, so that two daemons in one process differ."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # The age of each counter would double the number of series and nothing reads it.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._documented: list[_Documented] = []
        self._totals: dict[Counter, int] = {}
        self._refreshers: list[Callable[[], None]] = []
        registry.register(self)  # first, so that the refreshers run before anything else is collected

        self._reconciles = self._histogram(
            "reconcile_duration_seconds", "Reconciles of one pod and their duration, by outcome.", "outcome",
        )
        self._retries = self._counter("reconcile_retries_total", "Reconciles repeated after an error.")
        self._queue_depth = self._gauge("queue_depth", "Pods that wait to be reconciled now.", "lane")
        self._queue_lag = self._gauge("queue_lag_seconds", "How long the pod waits that has waited longest.")

        self._salad_requests = self._counter(
            "saladcloud_requests_total", "Requests to SaladCloud; code none: no answer.", "operation", "code",
        )
        self._salad_seconds = self._histogram(
            "saladcloud_request_duration_seconds", "Duration of requests to SaladCloud.", "operation",
        )
        self._salad_budget = self._gauge(
            "saladcloud_request_budget", "Requests that could be sent to SaladCloud at once within the rate limit.",
        )
        self._salad_limited = self._counter(
            "saladcloud_rate_limited_total", "Answers of SaladCloud that said: too many requests.",
        )

        self._api_requests = self._counter(
            "apiserver_requests_total", "Requests to the API server; code none: no answer.", "verb", "resource", "code",
        )
        self._api_seconds = self._histogram(
            "apiserver_request_duration_seconds", "Duration of requests to the API server, watches left out.", "verb",
        )
        self._watch_restarts = self._counter(
            "watch_restarts_total", "Lists and watches of pods that had to begin again.",
        )
        self._cache_age = self._gauge("pod_cache_age_seconds", "Time since the API server last confirmed the pods.")
        self._events_posted = self._counter("events_posted_total", "Kubernetes Events written.")
        self._events_dropped = self._counter("events_dropped_total", "Kubernetes Events given up.")

        self._kubelet_requests = self._counter(
            "kubelet_requests_total", "Answers to who asked the kubelet's port.", "route", "code",
        )
        self._log_readers = self._gauge("kubelet_log_readers", "Logs that are being read now.")

        self._pods = self._gauge("pods", "Pods of this node, by phase.", "phase")
        self._groups = self._gauge("container_groups", "Container groups of this node at SaladCloud.", "state")
        self._dollars = self._gauge("running_cost_dollars_per_hour", "US dollars per hour of all running pods.")
        self._orphans = self._counter("orphans_deleted_total", "Container groups deleted because their pod was gone.")
        self._brake = self._gauge("brake_active", "1 while mass deletion or mass vanishing is held.")

        self._lease_age = self._gauge("node_lease_age_seconds", "Time since the node's lease was last renewed.")
        self._conditions = self._gauge("node_condition", "1 for the status that each condition has.", "type", "status")
        self._thread_ages = self._gauge(
            "thread_last_step_age_seconds", "Time since each thread last finished a step.", "thread",
        )
        self._build = self._gauge("build_info", "1; the labels tell version and Python.", "version", "python")
        self._begin_at_zero()

    @classmethod
    def in_new_registry(cls) -> Metrics:
        """The series of one daemon, in a registry of their own."""
        return cls(CollectorRegistry())

    # What the kubelet reports.

    def reconciled(self, outcome: str, seconds: float) -> None:
        """One reconcile ended."""
        self._reconciles.labels(_one_of(outcome, RECONCILE_OUTCOMES)).observe(seconds)

    def retried(self) -> None:
        """A pod was queued again with backoff."""
        self._retries.inc()

    def observe_queue(self, depth: int, urgent_depth: int, lag_seconds: float) -> None:
        """The queue now: keys that are ready in each lane, and the longest wait."""
        self._queue_depth.labels("normal").set(depth)
        self._queue_depth.labels("urgent").set(urgent_depth)
        self._queue_lag.set(lag_seconds)

    def pods_by_phase(self, pods: Mapping[str, int]) -> None:
        """How many pods there are; phases that are left out have none."""
        _set_all(self._pods, POD_PHASES, pods)

    def orphans_deleted(self, total: int) -> None:
        """Container groups deleted because their pod was gone, since the start."""
        self._raise_to(self._orphans, total)

    def brake_active(self, is_active: bool) -> None:
        """Whether the brake holds deletions or vanished pods."""
        self._brake.set(is_active)

    def lease_age_seconds(self, seconds: float) -> None:
        """Time since the node's lease was last renewed."""
        self._lease_age.set(seconds)

    def node_condition(self, condition: str, status: str) -> None:
        """A condition of the Node; status is True, False or Unknown."""
        if condition in NODE_CONDITIONS:
            for each in CONDITION_STATUSES:
                self._conditions.labels(condition, each).set(status.lower() == each)

    # What the clients report.

    def salad_request(self, operation: str, code: int | None, seconds: float) -> None:
        """One request to SaladCloud ended; code None: without an answer."""
        operation = _one_of(operation, SALAD_OPERATIONS)
        self._salad_requests.labels(operation, _code(code)).inc()
        self._salad_seconds.labels(operation).observe(seconds)

    def salad_budget_remaining(self, requests: float) -> None:
        """Requests that could be sent at once; infinite without a limit."""
        self._salad_budget.set(requests)

    def salad_rate_limited(self) -> None:
        """SaladCloud answered 429."""
        self._salad_limited.inc()

    def groups_by_state(self, groups: Mapping[str, int]) -> None:
        """How many of our container groups there are; states that are left out have none."""
        _set_all(self._groups, GROUP_STATES, groups)

    def dollars_per_hour(self, dollars: float) -> None:
        """What all running pods cost."""
        self._dollars.set(dollars)

    def api_request(self, verb: str, resource: str, code: int | None, seconds: float) -> None:
        """One request to the API server ended; code None: without an answer. A watch's duration is not counted."""
        if (verb, resource) not in API_CALLS:
            verb = resource = OTHER
        self._api_requests.labels(verb, resource, _code(code)).inc()
        if verb != "watch":
            self._api_seconds.labels(verb).observe(seconds)

    def watch_restarts(self, total: int) -> None:
        """How often listing or watching pods failed and was begun again since the start."""
        self._raise_to(self._watch_restarts, total)

    def cache_age_seconds(self, seconds: float) -> None:
        """Time since the API server last confirmed that the pod cache is true."""
        self._cache_age.set(seconds)

    def events(self, posted: int, dropped: int) -> None:
        """Kubernetes Events since the start: written, and given up."""
        self._raise_to(self._events_posted, posted)
        self._raise_to(self._events_dropped, dropped)

    def kubelet_request(self, route: str, code: int) -> None:
        """One answer of the kubelet's port, when it began."""
        self._kubelet_requests.labels(_one_of(route, KUBELET_ROUTES), _one_of(str(code), KUBELET_CODES)).inc()

    def log_readers(self, count: int) -> None:
        """Logs that are being read."""
        self._log_readers.set(count)

    # What the app reports.

    def thread_ages(self, ages: Mapping[str, float]) -> None:
        """Seconds since each thread last finished a step."""
        for thread, seconds in ages.items():
            self._thread_ages.labels(thread).set(seconds)

    def collect_from(self, refresh: Callable[[], None]) -> None:
        """Call `refresh` at each scrape, on the scraper's thread, before any value is read; it sets what ages."""
        self._refreshers.append(refresh)

    def collect(self) -> Iterable[Metric]:
        """Let every refresher set its values. Called by the registry; has no series of its own."""
        for refresh in self._refreshers:
            refresh()
        return ()

    def describe(self) -> Iterable[Metric]:
        """No series of its own. Without this the registry would call `collect` at registration."""
        return ()

    def exposition(self) -> bytes:
        """All series in the text format of Prometheus."""
        return prometheus_client.generate_latest(self.registry)

    def documented(self) -> Sequence[tuple[str, str, tuple[str, ...], str]]:
        """Name, kind, labels and meaning of every series."""
        return tuple(self._documented)

    def _begin_at_zero(self) -> None:
        for outcome in (*RECONCILE_OUTCOMES, OTHER):
            self._reconciles.labels(outcome)
        for operation in (*SALAD_OPERATIONS, OTHER):
            self._salad_seconds.labels(operation)
            for code in CODES:
                self._salad_requests.labels(operation, code)
        for verb, resource in API_CALLS:
            for code in CODES:
                self._api_requests.labels(verb, resource, code)
            if verb != "watch":
                self._api_seconds.labels(verb)
        for route in (*KUBELET_ROUTES, OTHER):
            for code in KUBELET_CODES:
                self._kubelet_requests.labels(route, code)
        for condition in NODE_CONDITIONS:
            self.node_condition(condition, "Unknown")
        self.observe_queue(0, 0, 0.0)
        self.pods_by_phase({})
        self.groups_by_state({})
        self._build.labels(virtual_kubelet_salad.__version__, platform.python_version()).set(1)

    def _raise_to(self, counter: Counter, total: int) -> None:
        """Counts what somebody else counts: up to their total."""
        counter.inc(max(0, total - self._totals.get(counter, 0)))
        self._totals[counter] = max(total, self._totals.get(counter, 0))

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(self._document(name, "counter", labels, meaning), meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(self._document(name, "gauge", labels, meaning), meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, *labels: str) -> Histogram:
        full_name = self._document(name, "histogram", labels, meaning)
        return Histogram(full_name, meaning, labels, registry=self.registry, buckets=_SECONDS_BUCKETS)

    def _document(self, name: str, kind: str, labels: tuple[str, ...], meaning: str) -> str:
        self._documented.append(_Documented(f"{PREFIX}_{name}", kind, labels, meaning))
        return f"{PREFIX}_{name}"


def metrics_table_markdown() -> str:
    """README's table of the series."""
    lines = ["| series | kind | labels | meaning |", "|---|---|---|---|"]
    for name, kind, labels, meaning in Metrics(CollectorRegistry()).documented():
        lines.append(f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _one_of(value: str, known: Sequence[str]) -> str:
    return value if value in known else OTHER


def _code(code: int | None) -> str:
    return NO_ANSWER if code is None else _one_of(str(code), CODES)


def _set_all(gauge: Gauge, known: Sequence[str], counts: Mapping[str, int]) -> None:
    """Every known value is set, so that one that fell to nothing does not stand still at its last count."""
    totals = dict.fromkeys(known, 0)
    rest = OTHER if OTHER in known else known[-1]
    for value, count in counts.items():
        totals[value if value in totals else rest] += count
    for value, total in totals.items():
        gauge.labels(value).set(total)
