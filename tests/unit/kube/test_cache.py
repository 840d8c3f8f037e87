"""The pod cache: what it shows, to whom, and whom it wakes."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.watchful_cache import WatchfulPodCache
from virtual_kubelet_salad.kube.cache import WRITTEN_VALID_SECONDS, Pod, PodCache, without_unread_fields


def pod(uid: str = "u1", name: str = "web-0", version: object = 10, **more: Any) -> Pod:
    metadata = {"uid": uid, "name": name, "namespace": "shop", "resourceVersion": str(version)}
    return {"metadata": metadata | more.pop("metadata", {}), **more}


class Told:
    """Collects the calls of on_change, and looks into the cache from within them."""

    def __init__(self, clock: FakeClock) -> None:
        self.calls: list[tuple[str, Pod | None, Pod | None]] = []
        self.cache = PodCache(clock, self._on_change)

    def _on_change(self, uid: str, old: Pod | None, new: Pod | None) -> None:
        assert self.cache.get(uid) is new, "the lock is free and the change is visible"
        self.calls.append((uid, old, new))


@pytest.fixture
def told(fake_clock: FakeClock) -> Told:
    return Told(fake_clock)


@pytest.fixture
def cache(told: Told) -> PodCache:
    return told.cache


# -- events ------------------------------------------------------------------------------------------------------------


def test_an_added_pod_is_found_by_uid_and_by_name(cache: PodCache) -> None:
    added = pod()
    cache.apply("ADDED", added)
    assert cache.get("u1") is added
    assert cache.by_name("shop", "web-0") is added
    assert cache.all() == [added]
    assert len(cache) == 1


def test_an_unknown_pod_is_none(cache: PodCache) -> None:
    assert cache.get("u1") is None
    assert cache.by_name("shop", "web-0") is None
    assert cache.all() == []


def test_a_deleted_pod_is_gone(cache: PodCache) -> None:
    cache.apply("ADDED", pod())
    cache.apply("DELETED", pod(version=11))
    assert cache.get("u1") is None
    assert cache.by_name("shop", "web-0") is None


def test_changes_are_told_with_what_was_and_what_is(told: Told) -> None:
    first, second = pod(version=10), pod(version=11)
    told.cache.apply("ADDED", first)
    told.cache.apply("MODIFIED", second)
    told.cache.apply("DELETED", pod(version=12))
    assert told.calls == [("u1", None, first), ("u1", first, second), ("u1", second, None)]


def test_the_same_version_again_tells_nobody(told: Told) -> None:
    told.cache.apply("ADDED", pod())
    told.cache.apply("MODIFIED", pod())
    assert len(told.calls) == 1


def test_the_deletion_of_an_unknown_pod_tells_nobody(told: Told) -> None:
    told.cache.apply("DELETED", pod())
    assert told.calls == []


@pytest.mark.parametrize("order", [("DELETED", "ADDED"), ("ADDED", "DELETED")], ids=str)
def test_a_pod_made_again_under_its_name_is_another_pod(cache: PodCache, order: tuple[str, str]) -> None:
    first, second = pod("u1", version=10), pod("u2", version=12)
    cache.apply("ADDED", first)
    for kind in order:
        cache.apply(kind, second if kind == "ADDED" else first)
    assert cache.get("u1") is None
    assert cache.get("u2") is second
    assert cache.by_name("shop", "web-0") is second


@pytest.mark.parametrize(
    "event",
    [
        None,
        "text",
        {},
        {"metadata": None},
        {"metadata": {}},
        {"metadata": {"uid": "", "name": "n", "namespace": "s"}},
        {"metadata": {"uid": ["u"], "name": "n", "namespace": "s"}},
        {"metadata": {"uid": "u", "name": None, "namespace": "s"}},
        {"metadata": {"uid": "u", "name": "n", "namespace": "s", "annotations": ["a"]}},
    ],
    ids=str,
)
def test_what_is_no_pod_is_ignored(told: Told, event: Any) -> None:
    for kind in ("ADDED", "MODIFIED", "DELETED"):
        told.cache.apply(kind, event)
    assert len(told.cache) == 0
    assert told.calls == []


@pytest.mark.parametrize("version", ["", "abc", None, 5])
def test_a_version_that_is_no_number_is_kept_all_the_same(cache: PodCache, version: Any) -> None:
    strange = pod(metadata={"resourceVersion": version})
    cache.apply("ADDED", strange)
    cache.note_written(pod(version=99))
    assert cache.get("u1") is strange


# -- what nobody reads -------------------------------------------------------------------------------------------------


def test_unread_metadata_is_dropped_and_the_given_object_left_alone(cache: PodCache) -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{…}", "salad.com/attempt": "1"}
    given = pod(metadata={"managedFields": [{}], "annotations": annotations})
    before = copy.deepcopy(given)
    cache.apply("ADDED", given)
    kept = cache.get("u1")
    assert given == before
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"salad.com/attempt": "1"}


def test_a_pod_without_unread_metadata_is_not_copied() -> None:
    given = pod()
    assert without_unread_fields(given) is given


# -- our own writes ----------------------------------------------------------------------------------------------------


def test_our_write_is_visible_before_the_informer_shows_it(cache: PodCache) -> None:
    cache.apply("ADDED", pod(version=10))
    written = pod(version=12)
    cache.note_written(written)
    assert cache.get("u1") is written
    assert cache.by_name("shop", "web-0") is written
    assert cache.all() == [written]


def test_our_write_stays_visible_over_an_older_event(told: Told) -> None:
    told.cache.apply("ADDED", pod(version=10))
    written = pod(version=12)
    told.cache.note_written(written)
    told.cache.apply("MODIFIED", pod(version=11))
    assert told.cache.get("u1") is written
    assert told.calls[-1] == ("u1", written, written), "the pod is woken all the same"


@pytest.mark.parametrize("version", [12, 13])
def test_the_informer_takes_over_when_it_has_caught_up(cache: PodCache, version: int) -> None:
    cache.apply("ADDED", pod(version=10))
    cache.note_written(pod(version=12))
    shown = pod(version=version)
    cache.apply("MODIFIED", shown)
    assert cache.get("u1") is shown


def test_versions_are_ordered_as_numbers(cache: PodCache) -> None:
    cache.apply("ADDED", pod(version=9))
    written = pod(version=10)
    cache.note_written(written)
    assert cache.get("u1") is written


def test_our_write_is_believed_for_a_limited_time(cache: PodCache, fake_clock: FakeClock) -> None:
    listed = pod(version=10)
    cache.apply("ADDED", listed)
    written = pod(version=12)
    cache.note_written(written)
    fake_clock.advance(WRITTEN_VALID_SECONDS)
    assert cache.get("u1") is written
    fake_clock.advance(0.001)
    assert cache.get("u1") is listed
    assert cache.all() == [listed]


def test_an_older_answer_does_not_hide_a_newer_one(cache: PodCache) -> None:
    cache.apply("ADDED", pod(version=10))
    newer = pod(version=13)
    cache.note_written(newer)
    cache.note_written(pod(version=12))
    assert cache.get("u1") is newer


def test_an_answer_older_than_the_informer_is_ignored(cache: PodCache) -> None:
    shown = pod(version=20)
    cache.apply("ADDED", shown)
    cache.note_written(pod(version=19))
    assert cache.get("u1") is shown


def test_a_late_answer_does_not_bring_a_deleted_pod_back(cache: PodCache) -> None:
    cache.apply("ADDED", pod(version=10))
    cache.apply("DELETED", pod(version=12))
    cache.note_written(pod(version=11))
    assert cache.get("u1") is None
    assert cache.by_name("shop", "web-0") is None


def test_a_deletion_ends_our_write(cache: PodCache) -> None:
    cache.apply("ADDED", pod(version=10))
    cache.note_written(pod(version=12))
    cache.apply("DELETED", pod(version=13))
    assert cache.get("u1") is None
    cache.apply("ADDED", pod(version=5))
    shown = cache.get("u1")
    assert shown is not None and shown["metadata"]["resourceVersion"] == "5"


def test_a_write_wakes_nobody(told: Told) -> None:
    told.cache.apply("ADDED", pod(version=10))
    told.cache.note_written(pod(version=12))
    assert len(told.calls) == 1


# -- freshness and sync ------------------------------------------------------------------------------------------------


def test_age_counts_from_the_last_sign_of_the_server(cache: PodCache, fake_clock: FakeClock) -> None:
    assert cache.age_seconds() == float("inf")
    assert cache.last_fresh is None
    fake_clock.advance(5)
    cache.mark_fresh()
    fake_clock.advance(7)
    assert cache.age_seconds() == 7
    assert cache.last_fresh == fake_clock.monotonic() - 7


def test_it_has_not_synced_by_itself(cache: PodCache) -> None:
    cache.apply("ADDED", pod())
    assert not cache.has_synced.is_set()


# -- threads -----------------------------------------------------------------------------------------------------------


def test_readers_never_see_a_half_applied_change(fake_clock: FakeClock) -> None:
    cache = PodCache(fake_clock)
    stop = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not stop.is_set():
            found = cache.by_name("shop", "web-0")
            if found is not None and found["metadata"]["name"] != "web-0":
                wrong.append(found)
            wrong.extend(one for one in cache.all() if one is None)
            cache.note_written(pod("u1", version=10**9))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 2_000):
        cache.apply("ADDED", pod(f"u{number}", version=number))
        cache.apply("DELETED", pod(f"u{number}", version=number))
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert cache.all() == []


def test_a_reader_that_changes_a_pod_is_found_out(fake_clock: FakeClock) -> None:
    cache = WatchfulPodCache(fake_clock)
    cache.apply("ADDED", pod(status={"phase": "Pending"}, metadata={"managedFields": [{}]}))
    cache.assert_untouched()
    found = cache.get("u1")
    assert found is not None
    found["status"]["phase"] = "Running"
    with pytest.raises(AssertionError, match="web-0"):
        cache.assert_untouched()
