"""The soak in short; in full it is a command (`python -m tests.soak`)."""

from __future__ import annotations

import pathlib
import sys

import pytest

from tests.soak import processes, simulated
from tests.soak.growth import Held, held, instances, slope
from tests.soak.simulated import Rest
from virtual_kubelet_salad.kubelet.memory import Memory


def test_hours_under_all_faults_end_with_nothing_left_and_nothing_held(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "virtual_kubelet_salad")
    day = simulated.run(2.0, seed=20260504)
    assert day.creates > 50
    assert day.most_requests_per_minute <= 240
    assert sum(day.troubles.values()) > 20 and sum(day.troubled_seconds.values()) > 0
    assert max(rest.threads for rest in day.rests) == day.rests[0].threads
    assert day.is_flat(), (day.growth(), day.rests)


@pytest.mark.parametrize(
    "last, name, share",
    [
        (Rest(Held(1_500, 10_000), 50, 1), "objects", 0.5),
        (Rest(Held(1_000, 18_000), 50, 1), "bytes", 0.8),
        (Rest(Held(1_000, 10_000), 60, 1), "instances", 0.2),
        (Rest(Held(1_000, 10_000), 50, 2), "threads", 1.0),
    ],
)
def test_whatever_has_grown_is_found(last: Rest, name: str, share: float) -> None:
    first, full = Rest(Held(100, 1_000), 20, 1), Rest(Held(1_000, 10_000), 50, 1)
    assert simulated.Day(1, 1, 1, 1, {}, {}, (first, full, full)).is_flat()
    day = simulated.Day(1, 1, 1, 1, {}, {}, (first, full, last, full))
    assert {key: grown for key, grown in day.growth().items() if grown} == {name: pytest.approx(share)}
    assert not day.is_flat()


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
    root = {"a": [[], strange], "b": (lambda remembered: lambda: remembered)([[]])}
    with_strangers, without = held(root, []), held(root, [strange])
    assert with_strangers.objects - without.objects == 3
    root["c"] = [[] for _ in range(100)]
    assert held(root, [strange]).objects == without.objects + 102
    assert held(root, [strange]).bytes > without.bytes + 100 * sys.getsizeof([])


def test_long_texts_are_held_too() -> None:
    root = [["x" * 10_000 + str(number)] for number in range(10)]
    assert held(root, []).bytes > 100_000


def test_objects_are_counted_wherever_they_are_held() -> None:
    package, but_not = "virtual_kubelet_salad.", "virtual_kubelet_salad.sandbox."
    before = instances(package, but_not)
    kept = [Memory(first_seen=0.0) for _ in range(50)]
    assert instances(package, but_not) == before + len(kept)
    assert instances("virtual_kubelet_salad.kubelet.", "virtual_kubelet_salad.kubelet.memory") <= before
