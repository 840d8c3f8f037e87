"""The pod informer stops within its time limit in every state, and its death is noticed."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.support import faulty_api
from tests.support.faulty_api import FaultyApi
from tests.support.followed import CLOCK, SOON_SECONDS, Followed, threads_of_informers
from tests.support.waiting import wait_until
from virtual_kubelet_salad.kube.informer import STOP_TIMEOUT_SECONDS
from virtual_kubelet_salad.kube.pacing import Pacing
from virtual_kubelet_salad.kube.pod_source import Timing

STATES: dict[str, tuple[faulty_api.Fault | None, faulty_api.Fault | None]] = {
    "quiet watch": (None, None),
    "list in flight to a mute server": (faulty_api.mute, None),
    "watch being opened at a mute server": (None, faulty_api.mute),
    "dead watch": (None, faulty_api.mute_after_headers),
    "waiting for its turn": (faulty_api.status(500), None),
    "watches end at once": (None, faulty_api.clean_end),
}


@pytest.mark.parametrize("state", STATES)
def test_it_stops_within_its_time_limit_in_every_state(api: FaultyApi, state: str) -> None:
    api.list_fault, api.watch_fault = STATES[state]
    api.put("pod")
    for repetition in range(30):
        followed = Followed(api.url, timing=Timing(), pacing=Pacing(random.Random(repetition)))
        asked_before = api.count()
        followed.informer.start()
        if repetition % 3:  # else: at once, in whatever state it is
            wanted = 1 if api.list_fault else 2
            wait_until(lambda: api.count() >= asked_before + wanted, timeout=SOON_SECONDS, what=state, interval=0.001)
        started = CLOCK.monotonic()
        assert followed.informer.stop()
        assert CLOCK.monotonic() - started < STOP_TIMEOUT_SECONDS
        assert not threads_of_informers()


def test_it_stops_while_watches_are_opened_and_ended_all_the_time(api: FaultyApi) -> None:
    api.watch_fault = faulty_api.clean_end
    for _ in range(30):
        followed = Followed(api.url, timing=Timing(), pacing=Pacing(random.Random(), first_delay=0.0, max_delay=0.0))
        followed.informer.start()
        followed.wait_synced()
        started = CLOCK.monotonic()
        assert followed.informer.stop()
        assert CLOCK.monotonic() - started < STOP_TIMEOUT_SECONDS
        assert not threads_of_informers()


@pytest.mark.parametrize(
    ("scheme", "listener"),
    [("http", faulty_api.black_hole), ("https", faulty_api.mute_listener)],
    ids=["connecting", "in a TLS handshake"],
)
def test_stop_returns_in_time_also_when_its_thread_cannot_be_interrupted(
    scheme: str, listener: Callable[[], AbstractContextManager[int]]
) -> None:
    with listener() as port:
        followed = Followed(f"{scheme}://127.0.0.1:{port}", timing=Timing(list_read_timeout=5.0))
        followed.informer.start()
        threading.Event().wait(0.2)
        started = CLOCK.monotonic()
        assert not followed.informer.stop(timeout=1.0)
        assert CLOCK.monotonic() - started < STOP_TIMEOUT_SECONDS
        wait_until(lambda: not threads_of_informers(), timeout=SOON_SECONDS, what="the connect timeout")


def test_nothing_reaches_the_cache_after_stop(api: FaultyApi) -> None:
    followed = Followed(api.url)
    followed.informer.start()
    followed.wait_synced()
    assert followed.informer.stop()
    api.put("too-late")
    assert followed.changes == []


def test_it_can_be_stopped_without_having_been_started(api: FaultyApi) -> None:
    assert Followed(api.url).informer.stop()


# -- death -------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_reported_once_and_not_started_again(api: FaultyApi, follow: Callable[..., Followed]) -> None:
    followed = follow()
    followed.wait_synced()
    failure = RuntimeError("planted")

    def fail(*_: object) -> None:
        raise failure

    followed.cache.on_change = fail
    followed.informer.ensure_running()
    assert followed.deaths == []
    api.put("fatal")
    wait_until(lambda: not threads_of_informers(), timeout=SOON_SECONDS, what="the death of the thread")
    asked = api.count()
    followed.informer.ensure_running()
    followed.informer.ensure_running()
    assert followed.deaths == [("pod-informer", failure)]
    assert api.count() == asked


def test_a_stopped_thread_is_no_death(api: FaultyApi) -> None:
    followed = Followed(api.url)
    followed.informer.start()
    followed.wait_synced()
    assert followed.informer.stop()
    followed.informer.ensure_running()
    assert followed.deaths == []
