"""The cache of container groups: what a list may and may not say."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from virtual_kubelet_salad.kubelet.provider import Owner
from virtual_kubelet_salad.saladcloud import names, owner
from virtual_kubelet_salad.saladcloud.groups import GroupCache, by_state

CLUSTER, NODE = "cluster", "node"


def raw(name: str, status: str = "pending", *, cluster: str = CLUSTER, node: str = NODE, attempt: int = 0) -> Any:
    record = Owner(cluster, node, "default", "pod", f"uid of {name}", attempt, "")
    return {
        "name": name,
        "container": {"image": "nginx", "environment_variables": {"SALAD_VK_OWNER": owner.encode(record)}},
        "current_state": {"status": status},
    }


def made(attempt: int, cluster: str = CLUSTER) -> Any:
    """A group as a daemon makes it for one pod, under the name that belongs to its record."""
    record = Owner(cluster, NODE, "ns", "pod", "one uid", attempt, "")
    name = names.workload_name(cluster, "pod", "one uid", attempt)
    return {
        **raw(name),
        "container": {"image": "nginx", "environment_variables": {"SALAD_VK_OWNER": owner.encode(record)}},
    }


@pytest.fixture
def cache() -> GroupCache:
    return GroupCache(CLUSTER, NODE, list_limit=3)


def changed(cache: GroupCache, items: list[Any], at: float) -> list[tuple[str, str]]:
    found = cache.put_list(copy.deepcopy(items), at)
    return sorted((group.name, group.status) for group in found)


def is_complete(cache: GroupCache) -> bool:
    snapshot = cache.snapshot()
    assert snapshot is not None
    return snapshot.is_complete


def test_new_changed_and_vanished_groups_are_told_and_no_others(cache: GroupCache) -> None:
    assert changed(cache, [raw("a"), raw("b")], 1) == [("a", "pending"), ("b", "pending")]
    assert changed(cache, [raw("a"), raw("b")], 2) == []
    assert changed(cache, [raw("a", "running"), raw("b")], 3) == [("a", "running")]
    assert changed(cache, [raw("a", "running")], 4) == [("b", "pending")]
    assert cache.get("b") is None


def test_groups_of_others_are_seen_and_not_told(cache: GroupCache) -> None:
    assert changed(cache, [raw("a", node="another"), {**raw("b"), "container": {}}], 1) == []
    snapshot = cache.snapshot()
    assert snapshot is not None and [sighting.name for sighting in snapshot.sightings] == ["a", "b"]
    assert cache.ours() == []


def test_a_list_shorter_than_the_limit_is_complete(cache: GroupCache) -> None:
    cache.put_list([raw("a"), raw("b")], 1)
    assert is_complete(cache)
    cache.put_list([raw("a"), raw("b"), raw("c")], 2)
    assert not is_complete(cache)


def test_a_snapshot_is_as_old_as_its_question(cache: GroupCache) -> None:
    """What was created while the list was on its way is newer, and needs no question of its own."""
    cache.put(raw("a"), 5)
    cache.put_list([], 4)
    snapshot, asked_at = cache.snapshot(), cache.asked_at("a")
    assert snapshot is not None and asked_at is not None
    assert snapshot.taken_at == 4 < asked_at


def test_absence_from_a_cut_list_says_nothing(cache: GroupCache) -> None:
    cache.put_list([raw("a"), raw("b")], 1)
    assert changed(cache, [raw("b"), raw("c"), raw("d")], 2) == [("c", "pending"), ("d", "pending")]
    assert cache.get("a") is not None and not cache.is_listed("a") and cache.is_listed("b")


def test_a_list_longer_than_the_limit_shows_that_there_is_none(cache: GroupCache) -> None:
    cache.put_list([raw(name) for name in "abcd"], 1)
    assert is_complete(cache)
    cache.put_list([raw(name) for name in "abc"], 2)
    assert is_complete(cache) and cache.get("d") is None


def test_without_a_limit_every_list_is_complete() -> None:
    cache = GroupCache(CLUSTER, NODE, list_limit=0)
    cache.put_list([raw(name) for name in "abcdef"], 1)
    assert is_complete(cache)


def test_a_list_that_began_before_a_direct_answer_does_not_override_it(cache: GroupCache) -> None:
    cache.put(raw("a", "running"), 5)
    assert changed(cache, [raw("a", "pending")], 4) == []
    assert changed(cache, [], 4) == []
    group = cache.get("a")
    assert group is not None and group.status == "running"
    assert changed(cache, [raw("a", "stopped")], 6) == [("a", "stopped")]


def test_an_older_direct_answer_does_not_override_a_list(cache: GroupCache) -> None:
    cache.put_list([raw("a", "running")], 5)
    assert cache.put(raw("a", "pending"), 4) is None
    group = cache.get("a")
    assert group is not None and group.status == "running"


def test_a_list_that_began_before_it_was_gone_does_not_bring_it_back(cache: GroupCache) -> None:
    cache.put_list([raw("a")], 1)
    cache.put_gone("a", 5)
    assert changed(cache, [raw("a")], 4) == [] and cache.get("a") is None
    assert changed(cache, [raw("a")], 6) == [("a", "pending")]


def test_the_newest_attempt_is_that_of_our_cluster(cache: GroupCache) -> None:
    cache.put_list([made(3), made(9, cluster="another")], 1)
    assert cache.newest_attempt("one uid") == 3
    cache.put(made(4), 2)
    assert cache.newest_attempt("one uid") == 4
    assert cache.newest_attempt("another uid") is None


def test_a_copy_of_a_group_or_an_altered_record_makes_no_attempt(cache: GroupCache) -> None:
    """What is believed here is asked for name by name, down from the newest."""
    cache.put_list([made(1), {**made(2), "name": "copy-of-it"}], 1)
    cache.put({**made(3_000_000), "name": made(1)["name"]}, 2)
    assert cache.newest_attempt("one uid") == 1


def test_snapshots_are_numbered(cache: GroupCache) -> None:
    assert cache.snapshot() is None
    for number in (1, 2, 3):
        cache.put_list([], number)
        snapshot = cache.snapshot()
        assert snapshot is not None and snapshot.number == number


def test_what_has_no_name_is_passed_over(cache: GroupCache) -> None:
    assert changed(cache, [{}, {"name": 5}, raw("a")], 1) == [("a", "pending")]


def test_groups_are_counted_by_state(cache: GroupCache) -> None:
    cache.put_list([raw("a", "running"), raw("b", "running"), raw("c", "odd")], 1)
    assert by_state(cache.ours()) == {"running": 2, "odd": 1}


def test_a_forgotten_name_is_dropped_unless_a_list_shows_it(cache: GroupCache) -> None:
    cache.put(raw("a"), 1)
    cache.put_list([raw("b")], 2)
    cache.put(raw("c"), 3)
    for name in ("b", "c"):
        cache.forget(name)
    assert cache.get("b") is not None and cache.get("c") is None


def test_a_group_that_cannot_be_read_at_all_is_passed_over(cache: GroupCache) -> None:
    unreadable = {"name": "b", "container": "nonsense", "current_state": 7}
    assert changed(cache, [raw("a"), unreadable], 1)
    snapshot = cache.snapshot()
    assert snapshot is not None and "a" in [sighting.name for sighting in snapshot.sightings]
