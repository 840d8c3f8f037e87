from __future__ import annotations

import re
import shutil
import subprocess

import prometheus_client
import pytest

from virtual_kubelet_salad.kubelet import result
from virtual_kubelet_salad.metrics import PREFIX, RECONCILE_OUTCOMES, Metrics, metrics_table_markdown


@pytest.fixture
def registry() -> prometheus_client.CollectorRegistry:
    return prometheus_client.CollectorRegistry()


@pytest.fixture
def metrics(registry: prometheus_client.CollectorRegistry) -> Metrics:
    return Metrics(registry)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"{PREFIX}_{name}", labels)


def scrape(metrics: Metrics) -> str:
    return prometheus_client.generate_latest(metrics.registry).decode()


def report_everything(metrics: Metrics) -> None:
    metrics.reconciled("created", 0.2)
    metrics.retried()
    metrics.observe_queue(3, 1, 0.5)
    metrics.salad_request("get_quotas", 200, 0.1)
    metrics.salad_budget_remaining(float("inf"))
    metrics.salad_rate_limited()
    metrics.api_request("patch", "pods/status", 409, 0.1)
    metrics.watch_restarts(2)
    metrics.cache_age_seconds(1.0)
    metrics.pods_by_phase({"Running": 2})
    metrics.groups_by_state({"running": 2})
    metrics.lease_age_seconds(4.0)
    metrics.node_condition("Ready", "True")
    metrics.dollars_per_hour(0.5)
    metrics.thread_ages({"heartbeat": 1.0})
    metrics.events(posted=3, dropped=1)
    metrics.orphans_deleted(1)
    metrics.brake_active(True)


def test_every_series_is_there_from_the_start_and_all_but_the_facts_are_zero(metrics: Metrics) -> None:
    lines = [line for line in scrape(metrics).splitlines() if not line.startswith("#")]
    samples = {line.split(" ")[0]: float(line.rsplit(" ", 1)[1]) for line in lines}
    families = {name for name, kind, labels, _ in metrics.documented() if labels != ("thread",)}
    seen = {re.sub(r"(_bucket|_count|_sum)?(\{.*)?$", "", sample) for sample in samples}
    assert seen == families
    not_zero = {sample.split("{")[0].removeprefix(f"{PREFIX}_") for sample, number in samples.items() if number}
    assert not_zero == {"node_condition", "build_info"}


def test_reporting_makes_no_series_that_was_not_there(metrics: Metrics) -> None:
    def names() -> set[str]:
        return {line.rsplit(" ", 1)[0] for line in scrape(metrics).splitlines() if "thread_last_step" not in line}

    before = names()
    report_everything(metrics)
    assert names() == before


def test_a_value_outside_its_set_is_counted_as_other(metrics: Metrics) -> None:
    metrics.reconciled("surprised", 1.0)
    metrics.salad_request("get_pod_default_web_0", 418, 1.0)
    metrics.api_request("get", "widgets", None, 1.0)
    metrics.groups_by_state({"hibernating": 2, "running": 1})
    metrics.node_condition("Surprised", "True")
    assert value(metrics, "reconcile_duration_seconds_count", outcome="other") == 1
    assert value(metrics, "saladcloud_requests_total", operation="other", code="other") == 1
    assert value(metrics, "apiserver_requests_total", verb="other", resource="other", code="none") == 1
    assert value(metrics, "container_groups", state="other") == 2
    assert "surprised" not in scrape(metrics).lower()


def test_a_total_that_somebody_else_counts_never_falls(metrics: Metrics) -> None:
    for total in (2, 5, 5, 4):
        metrics.watch_restarts(total)
    assert value(metrics, "watch_restarts_total") == 5


def test_a_phase_that_nobody_has_any_more_falls_to_zero(metrics: Metrics) -> None:
    metrics.pods_by_phase({"Running": 2, "Pending": 1})
    metrics.pods_by_phase({"Running": 3})
    assert value(metrics, "pods", phase="Running") == 3
    assert value(metrics, "pods", phase="Pending") == 0


def test_a_condition_has_exactly_one_status(metrics: Metrics) -> None:
    assert value(metrics, "node_condition", type="Ready", status="unknown") == 1
    metrics.node_condition("Ready", "False")
    values = [value(metrics, "node_condition", type="Ready", status=status) for status in ("true", "false", "unknown")]
    assert values == [0, 1, 0]


def test_a_request_is_counted_and_timed(metrics: Metrics) -> None:
    metrics.salad_request("create_container_group", 201, 0.3)
    metrics.salad_request("create_container_group", None, 30.0)
    created = {"operation": "create_container_group"}
    assert value(metrics, "saladcloud_requests_total", code="201", **created) == 1
    assert value(metrics, "saladcloud_requests_total", code="none", **created) == 1
    assert value(metrics, "saladcloud_request_duration_seconds_count", **created) == 2
    assert value(metrics, "saladcloud_request_duration_seconds_sum", **created) == pytest.approx(30.3)


def test_a_watch_is_counted_but_not_timed(metrics: Metrics) -> None:
    metrics.api_request("watch", "pods", 200, 50.0)
    assert value(metrics, "apiserver_requests_total", verb="watch", resource="pods", code="200") == 1
    assert 'duration_seconds_count{verb="watch"}' not in scrape(metrics)


def test_what_ages_is_read_at_scrape_time(metrics: Metrics) -> None:
    ages = iter([1.0, 2.0])
    metrics.collect_from(lambda: metrics.lease_age_seconds(next(ages)))
    assert f"{PREFIX}_node_lease_age_seconds 1.0" in scrape(metrics)
    assert f"{PREFIX}_node_lease_age_seconds 2.0" in scrape(metrics)


def test_the_exposition_is_a_whole_scrape(metrics: Metrics) -> None:
    metrics.collect_from(lambda: metrics.lease_age_seconds(2.5))
    text = metrics.exposition().decode()
    assert f"{PREFIX}_node_lease_age_seconds 2.5" in text
    assert text == scrape(metrics)


def test_two_daemons_in_one_process_do_not_share_their_series(metrics: Metrics) -> None:
    other = Metrics(prometheus_client.CollectorRegistry())
    other.retried()
    assert value(metrics, "reconcile_retries_total") == 0
    assert value(other, "reconcile_retries_total") == 1


def test_the_outcomes_are_those_of_the_reconcile() -> None:
    assert set(RECONCILE_OUTCOMES) == set(result.OUTCOMES)


def test_the_readme_table_has_one_row_for_each_series(metrics: Metrics) -> None:
    rows = metrics_table_markdown().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [name for name, *_ in metrics.documented()]
    assert all(row.count("|") == 5 for row in rows)


def test_promtool_finds_nothing_to_criticise(metrics: Metrics) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is not on PATH; Debian's package prometheus has it, and so has its release"
    report_everything(metrics)
    scraped = scrape(metrics).encode()
    checked = subprocess.run([promtool, "check", "metrics"], input=scraped, capture_output=True, timeout=60)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
