"""Queries that hang while nobody waits for their answer any more."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable

import pytest

from tests.support.waiting import wait_until
from virtual_kubelet_salad.errors import CouldNotAsk
from virtual_kubelet_salad.kubelet.provider_insight import LogQuestion
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.saladcloud.container_output import ContainerOutput
from virtual_kubelet_salad.saladcloud.models import OutputEntry, OutputPage
from virtual_kubelet_salad.saladcloud.output_pages import Abandoned, Pages, Seen
from virtual_kubelet_salad.saladcloud.output_tail import Follower, OutputTail

NOW = SystemClock().now()
HOUR = datetime.timedelta(hours=1)
SECONDS = 60.0


class HangingCloud:
    """Answers a query when the call of its thread is cut, and then as that it broke; unless it `answers`."""

    project = "default"

    def __init__(self) -> None:
        self.queries = 0
        self.answers: Callable[[], OutputPage] | None = None
        self._cut: dict[int, threading.Event] = {}

    def output_entries(
        self, query: str, start: datetime.datetime, end: datetime.datetime, *, sort_order: str = "asc"
    ) -> OutputPage:
        event = self._cut[threading.get_ident()] = threading.Event()
        self.queries += 1
        if self.answers is not None:
            return self.answers()
        assert event.wait(SECONDS), "nobody ended the call"
        raise CouldNotAsk("the connection broke")

    def cut(self, thread_id: int) -> None:
        self._cut[thread_id].set()


class Caller(threading.Thread):
    """Calls something, and keeps what it raised."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.raised: BaseException | None = None
        self.answer: object = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._call()
        except CouldNotAsk as error:
            self.raised = error

    def until_done(self) -> Caller:
        self.join(SECONDS)
        assert not self.is_alive()
        return self


@pytest.fixture
def cloud() -> HangingCloud:
    return HangingCloud()


def until_asked(cloud: HangingCloud, count: int = 1) -> None:
    wait_until(lambda: cloud.queries == count, timeout=SECONDS, what="the query")


def test_a_query_that_hangs_ends_when_it_is_abandoned_and_no_other_begins(cloud: HangingCloud) -> None:
    pages = Pages(cloud)  # type: ignore[arg-type]
    caller = Caller(lambda: pages.read("q", NOW - HOUR, NOW))
    until_asked(cloud)
    pages.abandon()
    assert isinstance(caller.until_done().raised, Abandoned)
    with pytest.raises(Abandoned):
        pages.read("q", NOW - HOUR, NOW)
    pages.abandon()  # nothing is under way
    assert cloud.queries == 1


def test_a_query_that_is_cut_may_be_asked_again(cloud: HangingCloud) -> None:
    pages = Pages(cloud)  # type: ignore[arg-type]
    pages.cut()
    caller = Caller(lambda: pages.read("q", NOW - HOUR, NOW))
    until_asked(cloud)
    pages.cut()
    raised = caller.until_done().raised
    assert raised is not None and not isinstance(raised, Abandoned)
    cloud.answers = lambda: OutputPage((), 0, None)
    assert pages.read("q", NOW - HOUR, NOW).next_start is None


@pytest.mark.parametrize("tail", [None, 5], ids=["all", "the last lines"])
@pytest.mark.parametrize("follows", [False, True])
def test_a_reader_who_is_gone_is_not_read_for_any_more(cloud: HangingCloud, tail: int | None, follows: bool) -> None:
    clock = SystemClock()
    output = ContainerOutput(cloud, OutputTail(cloud, clock), clock)  # type: ignore[arg-type]
    stream = output.stream(LogQuestion(("web",), "", NOW - HOUR, tail=tail, follows=follows))
    caller = Caller(stream.read)
    until_asked(cloud)
    stream.abandon()
    assert isinstance(caller.until_done().raised, Abandoned)
    stream.close()
    assert cloud.queries == 1


def test_the_last_follower_who_leaves_ends_the_query_for_all(cloud: HangingCloud) -> None:
    tail = OutputTail(cloud, SystemClock())  # type: ignore[arg-type]
    followers = [Follower(group, NOW - HOUR, Seen()) for group in ("web", "other")]
    for follower in followers:
        tail.follow(follower)
    caller = Caller(tail.step)
    until_asked(cloud)
    tail.leave(followers[0])
    assert caller.is_alive()
    tail.leave(followers[1])
    assert caller.until_done().raised is None
    assert (tail.step() > SECONDS, cloud.queries) == (True, 1)


def test_a_window_of_many_pages_is_not_read_on_when_all_have_left(cloud: HangingCloud) -> None:
    tail = OutputTail(cloud, SystemClock())  # type: ignore[arg-type]
    follower = Follower("web", NOW - HOUR, Seen())
    tail.follow(follower)

    def full_page() -> OutputPage:
        tail.leave(follower)
        moments = [NOW - HOUR + datetime.timedelta(seconds=number) for number in range(100)]
        entries = tuple(OutputEntry("web", "i", moment, moment, "text") for moment in moments)
        return OutputPage(entries, len(entries), moments[-1])

    cloud.answers = full_page
    tail.step()
    assert cloud.queries == 1
