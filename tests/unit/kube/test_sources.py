"""Reads of Secrets and ConfigMaps: shared while under way, never older than the caller, never kept."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.waiting import wait_until
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.sources import Sources


class Api:
    """Answers with a running number; can hold answers back until the test lets them go."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.gates: list[threading.Event] = []
        self.error: errors.Error | None = None
        self._lock = threading.Lock()

    def get_secret(self, namespace: str, name: str) -> dict[str, Any]:
        return self._answer("secret", namespace, name)

    def get_config_map(self, namespace: str, name: str) -> dict[str, Any]:
        return self._answer("config_map", namespace, name)

    def _answer(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        with self._lock:
            self.calls.append((kind, namespace, name))
            number = len(self.calls)
            gate = self.gates[number - 1] if number <= len(self.gates) else None
        if gate is not None:
            assert gate.wait(10)
        if self.error is not None:
            raise self.error
        return {"number": number}


class Caller(threading.Thread):
    def __init__(self, sources: Sources, not_before: float) -> None:
        super().__init__(name="caller")
        self._sources, self._not_before = sources, not_before
        self.answer: dict[str, Any] | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._sources.secret("ns", "name", not_before=self._not_before)
        except errors.Error as error:
            self.error = error


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def sources(api: Api, clock: FakeClock) -> Sources:
    return Sources(api, clock)


def join(*callers: Caller) -> None:
    for caller in callers:
        caller.join(10)
        assert not caller.is_alive()


def test_each_kind_is_read_by_its_own_call(sources: Sources, api: Api) -> None:
    sources.secret("ns", "a", not_before=0)
    sources.config_map("ns", "a", not_before=0)
    assert api.calls == [("secret", "ns", "a"), ("config_map", "ns", "a")]


def test_a_finished_read_serves_nobody_any_more(sources: Sources) -> None:
    assert sources.secret("ns", "name", not_before=0) == {"number": 1}
    assert sources.secret("ns", "name", not_before=0) == {"number": 2}
    assert sources._reads == {}


def test_callers_share_the_read_that_is_under_way(sources: Sources, api: Api, clock: FakeClock) -> None:
    api.gates = [threading.Event()]
    first = Caller(sources, clock.monotonic())
    wait_until(lambda: api.calls, timeout=10, what="the first read")
    others = [Caller(sources, clock.monotonic()) for _ in range(5)]
    api.gates[0].set()
    join(first, *others)
    assert first.answer == {"number": 1}
    # A caller that came after the end reads for itself; none is served from a third read.
    assert all(other.answer is not None for other in others)
    assert len(api.calls) <= 6


def test_a_joined_caller_gets_the_very_answer_of_the_read(sources: Sources, api: Api, clock: FakeClock) -> None:
    api.gates = [threading.Event()]
    first = Caller(sources, clock.monotonic())
    wait_until(lambda: api.calls, timeout=10, what="the first read")
    read = next(iter(sources._reads.values()))
    second = Caller(sources, clock.monotonic())
    wait_until(lambda: read.answer._condition._waiters, timeout=10, what="the second caller to wait")  # type: ignore
    api.gates[0].set()
    join(first, second)
    assert first.answer is second.answer
    assert len(api.calls) == 1


def test_a_read_that_began_before_the_caller_knew_the_pod_does_not_serve_it(
    sources: Sources, api: Api, clock: FakeClock
) -> None:
    api.gates = [threading.Event(), threading.Event()]
    early = Caller(sources, clock.monotonic())
    wait_until(lambda: len(api.calls) == 1, timeout=10, what="the first read")
    clock.advance(1)
    late = Caller(sources, clock.monotonic())
    wait_until(lambda: len(api.calls) == 2, timeout=10, what="a second read")
    api.gates[1].set()
    join(late)
    assert late.answer == {"number": 2}
    api.gates[0].set()
    join(early)
    assert early.answer == {"number": 1}
    assert sources._reads == {}


def test_an_older_read_that_ends_does_not_end_the_newer_one(sources: Sources, api: Api, clock: FakeClock) -> None:
    api.gates = [threading.Event(), threading.Event()]
    early = Caller(sources, clock.monotonic())
    wait_until(lambda: len(api.calls) == 1, timeout=10, what="the first read")
    clock.advance(1)
    late = Caller(sources, clock.monotonic())
    wait_until(lambda: len(api.calls) == 2, timeout=10, what="a second read")
    api.gates[0].set()
    join(early)
    assert len(sources._reads) == 1
    api.gates[1].set()
    join(late)


@pytest.mark.parametrize("error", [errors.NotFound("no"), errors.Forbidden("no"), errors.CouldNotAsk("no")])
def test_errors_pass_through_to_everybody_who_waits(
    sources: Sources, api: Api, clock: FakeClock, error: errors.Error
) -> None:
    api.gates = [threading.Event()]
    api.error = error
    callers = [Caller(sources, clock.monotonic())]
    wait_until(lambda: api.calls, timeout=10, what="the first read")
    callers.append(Caller(sources, clock.monotonic()))
    api.gates[0].set()
    join(*callers)
    assert [caller.error for caller in callers] == [error, error]
    assert sources._reads == {}
