"""The bench's own parts that measure nothing: targets, table, JSON, stopwatches, command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from typing import Any

import pytest

from tests.bench import __main__ as bench
from tests.bench import log_followers, process_usage, report, watching, world
from tests.bench.measures import MEASURES, Run
from tests.bench.report import Reading, Target, held, told


@pytest.mark.parametrize(
    ("text", "limit", "unit", "is_floor"),
    [
        ("<= 35 s", 35.0, "s", False),
        ("<= 0", 0.0, "", False),
        ("<= 2.5 % of a core", 2.5, "% of a core", False),
        (">= 10 requests/min", 10.0, "requests/min", True),
    ],
)
def test_a_target_is_read_from_its_text_and_shown_as_it(text: str, limit: float, unit: str, is_floor: bool) -> None:
    target = Target.parse(text)
    assert target == Target(limit, unit, is_floor)
    assert str(target) == text


@pytest.mark.parametrize("text", ["", "35 s", "< 35 s", "<= s", "<= 35s", "<= -1", "<=35 s", "<= 35 s "])
def test_a_target_that_is_not_clear_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Target.parse(text)


def test_a_value_at_the_bound_is_met_and_beyond_it_is_a_miss() -> None:
    assert not held("a", 35.0, "<= 35 s").is_miss
    assert held("a", 35.1, "<= 35 s").is_miss
    assert not held("a", 10.0, ">= 10 /min").is_miss
    assert held("a", 9.9, ">= 10 /min").is_miss


def test_a_value_that_was_not_reached_is_a_miss() -> None:
    assert held("a", None, "<= 35 s").verdict == "MISS"
    assert told("a", None, "s").verdict == ""


def test_the_table_has_a_line_per_reading_with_measured_target_and_verdict() -> None:
    good, slow, never = held("fast", 1.25, "<= 2 s"), held("slow", 312.4, "<= 100 s"), held("never", None, "<= 1")
    lines = report.table([good, slow, never, told("x", 7, "MiB")]).splitlines()
    assert [line.split() for line in lines] == [
        ["measure", "measured", "target"],
        ["fast", "1.25", "s", "<=", "2", "s", "ok"],
        ["slow", "312", "s", "<=", "100", "s", "MISS"],
        ["never", "not", "reached", "<=", "1", "MISS"],
        ["x", "7", "MiB"],
    ]


def test_the_json_names_machine_versions_seed_and_profile() -> None:
    readings = [held("slow", 3.0, "<= 2 s"), told("x", 7.0, "MiB")]
    content = json.loads(json.dumps(report.as_json(readings, seed=5, profile="fast", details={"a": {"b": 1}})))
    assert (content["seed"], content["profile"], content["misses"]) == (5, "fast", 1)
    assert content["machine"]["cores"] == os.cpu_count()
    assert content["versions"]["kubernetes"]
    assert [(one["name"], one["verdict"], one["target"]) for one in content["readings"]] == [
        ("slow", "MISS", "<= 2 s"),
        ("x", "", None),
    ]


def test_names_of_measures_are_unique_and_only_known_ones_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    names = [measure.name for measure in MEASURES]
    assert len(set(names)) == len(names)
    with pytest.raises(SystemExit) as ended:
        bench.main(["--only", "no-such-measure"])
    assert ended.value.code == 2
    assert "no-such-measure" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (3.0, 1), (None, 1)])
def test_the_exit_code_tells_of_a_miss(value: float | None, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench.main(_with(monkeypatch, held("slow", value, "<= 2 s"))) == code


def test_a_measure_whose_process_ended_is_a_failure_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_off(run: Run) -> Any:
        yield told("before", 1.0, "s")
        raise world.Broken("the daemon has ended")

    def go_on(run: Run) -> Any:
        yield told("after", 2.0, "s")

    measures = (MEASURES[0].__class__("a", "", break_off), MEASURES[0].__class__("b", "", go_on))
    monkeypatch.setattr(bench, "MEASURES", measures)
    assert bench.main([]) == bench.EXIT_MISSED
    printed = capsys.readouterr().out
    assert "the daemon has ended" in printed and "before" in printed and "after" in printed


def _with(monkeypatch: pytest.MonkeyPatch, *readings: Reading) -> list[str]:
    measure = MEASURES[0].__class__("one", "", lambda run: iter(readings))
    monkeypatch.setattr(bench, "MEASURES", (measure,))
    return []


def test_a_lease_gap_counts_from_the_last_renewal_before_to_the_end() -> None:
    times = watching.RenewalTimes("node")
    for moment in (0.0, 10.0, 25.0, 30.0):
        times.note("MODIFIED", _lease("node", str(moment)), moment)
    times.note("MODIFIED", _lease("other", "x"), 31.0)
    times.note("MODIFIED", _lease("node", "30.0"), 33.0)
    assert times.longest_gap(5.0, 31.0) == 15.0
    assert times.longest_gap(11.0, 60.0) == 30.0
    assert times.longest_gap(-1.0, 5.0) is None


def _lease(name: str, renewal: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"renewTime": renewal}}


def test_pod_times_keep_the_first_moment_of_each_state_and_what_a_followed_pod_became() -> None:
    times = watching.PodTimes()
    times.note("ADDED", _pod("a", "Pending", ready=False), 1.0)
    times.note("MODIFIED", _pod("a", "Running", ready=False), 2.0)
    times.note("MODIFIED", _pod("a", "Running", ready=True), 3.0)
    times.note("MODIFIED", _pod("a", "Running", ready=True), 4.0)
    times.follow("a")
    times.note("MODIFIED", _pod("a", "Running", ready=False), 5.0)
    assert (times.running(), times.ready(), times.ready_now()) == ([2.0], [3.0], 0)
    assert times.first_change("a", 4.5, lambda pod: not watching.is_ready(pod)) == 5.0
    assert times.first_change("a", 5.5, lambda pod: not watching.is_ready(pod)) is None
    times.note("DELETED", _pod("a", "Failed", ready=False), 6.0)
    times.note("BOOKMARK", {"metadata": {}}, 7.0)
    assert (times.gone(), times.latest()) == ([6.0], {})


def _pod(name: str, phase: str, *, ready: bool) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {"metadata": {"name": name}, "status": {"phase": phase, "conditions": [condition]}}


def test_a_line_that_did_not_come_to_a_follower_has_no_delay_and_other_pods_lines_do_not_count() -> None:
    followers: Any = [
        types.SimpleNamespace(pod="a", came={"a 1": 12.0, "a 2": 19.5}),
        types.SimpleNamespace(pod="a", came={"a 1": 13.0}),
        types.SimpleNamespace(pod="b", came={}),
    ]
    assert log_followers.delays(followers, {"a 1": 10.0, "a 2": 11.0}) == [2.0, 8.5, 3.0, None]


def test_the_kernels_counts_of_a_process_are_read() -> None:
    burned = subprocess.Popen(
        [sys.executable, "-c", "print(sum(range(5_000_000)), flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with burned:
        assert burned.stdout is not None and burned.stdin is not None
        burned.stdout.readline()
        assert process_usage.cpu_seconds(burned.pid) > 0.0
        assert 1.0 < process_usage.rss_mib(burned.pid) <= process_usage.peak_rss_mib(burned.pid)
        burned.stdin.write(b"\n")
