"""The pod informer over real sockets: what it sees, and how it recovers from a server that misbehaves."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.watch import Watch

from tests.support import faulty_api
from tests.support.faulty_api import FaultyApi
from tests.support.followed import SOON_SECONDS, Followed
from tests.support.waiting import wait_until
from virtual_kubelet_salad.kube.pacing import MAX_DELAY_SECONDS, Pacing
from virtual_kubelet_salad.kube.pod_source import Timing
from virtual_kubelet_salad.kube.transport import CONNECT_TIMEOUT_SECONDS

# -- what it sees ------------------------------------------------------------------------------------------------------


def test_the_official_watch_hands_out_plain_dicts(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    followed = follow()
    official_watch: Any = Watch
    assert official_watch().get_return_type(followed.informer._source) is object
    followed.wait_synced()
    api.put("later")
    followed.wait_names("later")
    assert all(type(pod) is dict for pod in followed.cache.all())


def test_the_list_is_complete_over_many_pages(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    for number in range(25):
        api.put(f"pod-{number}")
    followed = follow(page_size=10)
    followed.wait_synced()
    assert len(followed.cache) == 25
    assert api.count(watch=False) == 3
    assert api.requests[0].query == {"fieldSelector": "spec.nodeName=node", "limit": "10"}


def test_synced_is_not_told_before_every_listed_pod_is_in_the_cache(
    api: FaultyApi, follow: Callable[..., Followed]
) -> None:
    for number in range(300):
        api.put(f"pod-{number}")
    followed = follow(page_size=50)
    followed.wait_synced()
    assert len(followed.changes) == 300


def test_a_pod_made_again_under_its_name_is_another_pod(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    api.put("web-0", uid="first")
    followed = follow()
    followed.wait_synced()
    with api.changed:
        api.remove("first")
        api.put("web-0", uid="second")
    wait_until(lambda: followed.cache.get("second"), timeout=SOON_SECONDS, what="the second pod")
    assert followed.cache.get("first") is None
    assert [(uid, new is not None) for uid, _, new in followed.changes] == [
        ("first", True),
        ("first", False),
        ("second", True),
    ]


def test_a_new_list_tells_a_deleted_pod_from_its_namesake(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    api.put("web-0", uid="first")
    followed = follow()
    followed.wait_synced()
    api.stop()
    with api.changed:
        api.remove("first")
        api.put("web-0", uid="second")
    api.compact()
    api.start()
    wait_until(lambda: followed.cache.get("second"), timeout=SOON_SECONDS, what="the second pod")
    assert followed.cache.get("first") is None
    by_name = followed.cache.by_name("default", "web-0")
    assert by_name is not None and by_name["metadata"]["uid"] == "second"


def test_a_new_list_wakes_nobody_about_unchanged_pods(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    api.put("calm")
    followed = follow()
    followed.wait_synced()
    api.compact()
    wait_until(lambda: api.count(watch=False) >= 2, timeout=SOON_SECONDS, what="a second list")
    api.put("new")
    followed.wait_names("calm", "new")
    assert [uid for uid, _, _ in followed.changes] == ["uid-calm", "uid-new"]


def test_what_nobody_reads_is_not_kept(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    api.put("listed", managedFields=[{"manager": "kubectl"}])
    followed = follow()
    followed.wait_synced()
    api.put("watched", managedFields=[{"manager": "kubectl"}])
    followed.wait_names("listed", "watched")
    assert not any("managedFields" in pod["metadata"] for pod in followed.cache.all())
    assert not any("managedFields" in pod["metadata"] for pod in followed.informer._informer.cache.list())


# -- reconnecting ------------------------------------------------------------------------------------------------------


def test_regular_ends_of_watches_are_no_failures(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    followed = follow(timing=Timing(watch=1, watch_read_timeout=2.0, healthy_watch=0.2))
    wait_until(lambda: api.count(watch=True) >= 3, timeout=SOON_SECONDS, what="three watches")
    assert followed.informer.restarts == 0
    assert api.count(watch=False) == 1
    assert len({seen.connection for seen in api.requests}) == 1


def test_a_watch_resumes_without_a_list_and_without_loss(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    api.put("before")
    followed = follow(timing=Timing(watch=30, watch_read_timeout=10.0))
    followed.wait_synced()
    for outage in range(3):
        api.stop()
        api.put(f"while-down-{outage}")
        api.start()
        wait_until(
            lambda: f"uid-while-down-{outage}" in {uid for uid, _, _ in followed.changes},
            timeout=SOON_SECONDS,
            what="the pod that came while the server was down",
        )
    assert api.count(watch=False) == 1
    assert len(followed.changes) == 4, "each pod is told once"
    assert followed.informer.restarts >= 3


def test_bookmarks_carry_a_quiet_watch_over_a_compaction(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    followed = follow(timing=Timing(watch=1, watch_read_timeout=3.0, healthy_watch=0.2))
    followed.wait_synced()
    with api.changed:
        api.version += 50
    wait_until(lambda: api.requests[-1].query.get("resourceVersion") == "150", timeout=SOON_SECONDS, what="a bookmark")
    api.compact()
    api.put("later")
    followed.wait_names("later")


def test_a_watch_that_cannot_be_resumed_is_not_tried_twice(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    delay_seconds = 3.0
    pacing = Pacing(random.Random(1), first_delay=delay_seconds, max_delay=delay_seconds)
    followed = follow(timing=Timing(watch=30, watch_read_timeout=10.0, healthy_watch=0.0), pacing=pacing)
    followed.wait_synced()
    api.stop()
    api.put("unseen")
    api.compact()
    api.start()
    followed.wait_names("unseen")
    wait_until(lambda: api.count(watch=True) == 3, timeout=SOON_SECONDS, what="the watch after the new list")
    assert ["watch" in seen.query for seen in api.requests] == [False, True, True, False, True]
    assert api.requests[-1].at - api.requests[-3].at < delay_seconds / 2, "neither list nor watch waits"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faulty_api.status(401), id="401"),
        pytest.param(faulty_api.status(403), id="403"),
        pytest.param(faulty_api.status(429), id="429"),
        pytest.param(faulty_api.status(500), id="500"),
        pytest.param(faulty_api.status(504), id="504"),
        pytest.param(faulty_api.status(400), id="400"),
        pytest.param(faulty_api.status(410), id="410"),
        pytest.param(faulty_api.status(302, Location="http://127.0.0.1:1/"), id="302"),
        pytest.param(faulty_api.html, id="HTML"),
        pytest.param(faulty_api.garbage, id="garbage"),
        pytest.param(faulty_api.mute, id="mute"),
        pytest.param(faulty_api.hang_up, id="hangs up"),
        pytest.param(faulty_api.mute_after_headers, id="half open"),
        pytest.param(faulty_api.cut_in_a_chunk, id="cut in a chunk"),
        pytest.param(faulty_api.clean_end, id="ends at once"),
        pytest.param(faulty_api.event(faulty_api.error_event(410, "Expired")), id="event 410"),
        pytest.param(faulty_api.event(faulty_api.error_event(500, "InternalError")), id="event 500"),
        pytest.param(faulty_api.event(faulty_api.error_event(504, "Timeout")), id="event 504"),
        pytest.param(faulty_api.event({"type": "ERROR", "object": {}}), id="empty error event"),
    ],
)
@pytest.mark.parametrize("asked", ["list", "watch"])
def test_it_recovers_by_itself_and_misses_nothing(
    api: FaultyApi, follow: Callable[..., Followed], fault: faulty_api.Fault, asked: str
) -> None:
    if asked == "list":
        api.list_fault = fault
    else:
        api.watch_fault = fault
    api.put("early")
    followed = follow()
    wait_until(lambda: api.count() >= 4, timeout=SOON_SECONDS, what="some attempts")
    api.put("meanwhile")
    assert followed.informer.synced is (asked == "watch")
    api.list_fault = api.watch_fault = None
    followed.wait_names("early", "meanwhile")
    api.put("late")
    followed.wait_names("early", "meanwhile", "late")
    followed.informer.ensure_running()
    assert followed.deaths == []


@pytest.mark.parametrize(
    "poison",
    [
        {"type": "ADDED", "object": {"kind": "Pod", "metadata": None}},
        {"type": "ADDED", "object": None},
        {"type": "ADDED"},
        {"type": "MODIFIED", "object": {"kind": "Pod", "metadata": {"name": "no-uid", "resourceVersion": "1"}}},
        {"type": "ADDED", "object": {"metadata": {"uid": ["u"], "name": 1, "namespace": {}, "resourceVersion": None}}},
        {"type": "WHATEVER", "object": {"metadata": {}}},
        ["no", "event"],
    ],
    ids=str,
)
def test_a_poisoned_event_does_not_stop_it(
    api: FaultyApi, follow: Callable[..., Followed], poison: dict[str, Any]
) -> None:
    followed = follow()
    followed.wait_synced()
    api.send_raw(poison)
    api.put("after")
    followed.wait_names("after")
    followed.informer.ensure_running()
    assert followed.deaths == []


def test_a_poisoned_list_item_does_not_stop_it(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    api.put("good")
    api.pods["none"] = {"metadata": None}
    api.pods["text"] = "pod"  # type: ignore[assignment]
    api.pods["nameless"] = {"metadata": {"uid": "u", "name": None, "namespace": "default"}}
    followed = follow()
    followed.wait_synced()
    assert followed.names() == {"good"}


def test_a_failure_is_one_line_without_a_stack_trace(
    api: FaultyApi, follow: Callable[..., Followed], caplog: pytest.LogCaptureFixture
) -> None:
    api.watch_fault = faulty_api.cut_in_a_chunk
    follow()
    wait_until(lambda: api.count(watch=True) >= 4, timeout=SOON_SECONDS, what="some failures")
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert records
    assert {record.name for record in records} == {"virtual_kubelet_salad.kube.pod_source"}
    assert all(record.exc_info is None for record in records)
    assert len(records) <= api.count(watch=True)


def test_retry_after_is_obeyed(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    api.list_fault = faulty_api.status(429, Retry_After="1")
    followed = follow()
    wait_until(lambda: api.count() >= 1, timeout=SOON_SECONDS, what="an attempt")
    api.list_fault = None
    followed.wait_synced()
    assert api.requests[1].at - api.requests[0].at >= 1.0


# -- dead connections --------------------------------------------------------------------------------------------------


def test_a_dead_connection_is_noticed_within_65_seconds() -> None:
    shipped = Timing()
    assert CONNECT_TIMEOUT_SECONDS + shipped.watch_read_timeout <= 65
    assert CONNECT_TIMEOUT_SECONDS + shipped.list_read_timeout <= 65
    assert shipped.watch < shipped.watch_read_timeout, "else quiet watches look dead"
    assert MAX_DELAY_SECONDS <= 30


@pytest.mark.parametrize("fault", [faulty_api.mute_after_headers, faulty_api.mute], ids=["in a watch", "at its start"])
def test_a_connection_that_dies_silently_is_replaced(
    api: FaultyApi, follow: Callable[..., Followed], fault: faulty_api.Fault
) -> None:
    api.watch_fault = fault
    followed = follow(timing=Timing(watch=30, watch_read_timeout=0.5))
    followed.wait_synced()
    wait_until(lambda: api.count(watch=True) == 1, timeout=SOON_SECONDS, what="the first watch")
    api.watch_fault = None
    api.put("unseen")
    followed.wait_names("unseen")
    watches = [seen for seen in api.requests if "watch" in seen.query]
    assert 0.5 <= watches[1].at - watches[0].at < 20.0
    assert watches[0].connection != watches[1].connection


# -- freshness ---------------------------------------------------------------------------------------------------------


def test_freshness_stands_still_while_nothing_is_heard(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    followed = follow()
    followed.wait_synced()
    api.stop()
    wait_until(lambda: followed.informer.restarts >= 2, timeout=SOON_SECONDS, what="failures")
    heard = followed.informer.last_fresh
    wait_until(lambda: followed.informer.restarts >= 6, timeout=SOON_SECONDS, what="more failures")
    assert heard is not None and followed.informer.last_fresh == heard
    assert followed.cache.age_seconds() > 0
    api.start()
    api.put("heard-again")
    followed.wait_names("heard-again")
    assert followed.informer.last_fresh is not None and followed.informer.last_fresh > heard


def test_regular_ends_of_quiet_watches_keep_it_fresh(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    followed = follow(timing=Timing(watch=1, watch_read_timeout=3.0, healthy_watch=0.2))
    followed.wait_synced()
    first = followed.informer.last_fresh
    assert first is not None
    wait_until(lambda: (followed.informer.last_fresh or 0.0) > first, timeout=SOON_SECONDS, what="a sign of life")
