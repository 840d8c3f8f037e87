"""The soak in short; in full it is a command (`python -m tests.soak`)."""

from __future__ import annotations

import pathlib

import pytest

from tests.soak import processes, simulated
from tests.soak.growth import reachable, slope


def test_hours_under_all_faults_end_with_nothing_left_and_nothing_held(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "virtual_kubelet_salad")
    day = simulated.run(2.0, seed=20260504)
    assert day.creates > 50
    assert day.most_requests_per_minute <= 240
    assert max(day.objects) <= min(day.objects) * 1.05


@pytest.mark.integration
def test_a_real_process_can_be_watched(tmp_path: pathlib.Path) -> None:
    report = processes.run(tmp_path, minutes=0.15, seed=20260504)
    assert report.creates > 0 and report.pods > 0
    assert report.rss_at_end_mib > 0 and report.threads_at_end > 0 and report.files_at_end > 0


def test_a_slope_is_that_of_the_line_that_fits_best() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 7.0), (5.0, 7.0)]) == 0.0
    assert slope([(3.0, 7.0)]) == 0.0


def test_what_is_held_is_counted_without_strangers() -> None:
    strange = [[], []]
    held = {"a": [[], strange], "b": (lambda remembered: lambda: remembered)([[]])}
    with_strangers, without = reachable(held, []), reachable(held, [strange])
    assert with_strangers - without == 3
    held["c"] = [[] for _ in range(100)]
    assert reachable(held, [strange]) == without + 101
