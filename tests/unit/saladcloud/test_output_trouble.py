"""What readers of logs cost, and what they get when something goes wrong."""

from __future__ import annotations

import datetime

import pytest

from tests.support.log_world import SETTLED_SECONDS, WORST, LogWorld, own, seconds
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.saladcloud import output_tail
from virtual_kubelet_salad.saladcloud.models import OutputEntry
from virtual_kubelet_salad.saladcloud.output_pages import Seen
from virtual_kubelet_salad.saladcloud.output_tail import Follower


def test_ten_followers_on_ten_pods_share_one_query() -> None:
    world = LogWorld(1, **WORST)
    pods = world.many(10)
    world.run_until(lambda: all(pod.is_ready for pod in pods), within=300.0)
    readers = [world.ask(pod, follows=True) for pod in pods]
    world.write_for(30.0, *pods)
    before = world.log_queries()
    world.write_for(120.0, *pods)
    assert world.log_queries() - before <= 2 * 30
    one_shots = [world.ask(pod, tail=10) for pod in pods]
    world.run_until(lambda: all(reader.is_done for reader in one_shots))
    world.run(60.0)
    for pod, reader in zip(pods, readers):
        assert own(reader.texts) == world.written[pod.name]
    assert world.model.statistics()["requests_by_code"].get("429", 0) == 0


def test_nobody_who_follows_costs_nothing() -> None:
    world = LogWorld(1)
    web = world.running_pod()
    world.run(120.0)
    assert world.log_queries() == 0
    reader = world.ask(web, follows=True)
    world.run(30.0)
    reader.close()
    reader.close()
    assert world.provider.tail.count() == 0
    before = world.log_queries()
    world.run(120.0)
    assert world.log_queries() == before


def test_a_used_up_budget_is_waited_for() -> None:
    world = LogWorld(1)
    web = world.running_pod()
    world.write_for(30.0, web)
    world.run(SETTLED_SECONDS)
    readers = [world.ask(web) for _ in range(25)]
    world.run_until(lambda: all(reader.is_done for reader in readers), within=120.0)
    assert {tuple(own(reader.texts)) for reader in readers} == {tuple(world.written[web.name])}
    assert world.model.statistics()["requests_by_code"].get("429", 0) == 0


def test_windows_that_are_too_wide_for_the_service_are_narrowed() -> None:
    world = LogWorld(2, **WORST)
    web = world.running_pod()
    world.write_for(60.0, web)
    world.run(3 * 3_600.0)
    world.write_for(60.0, web)
    world.run(SETTLED_SECONDS)

    def refuse_wide(method: str, path: str, body: object) -> None:
        if isinstance(body, dict) and "start_time" in body:
            start, end = (datetime.datetime.fromisoformat(body[name]) for name in ("start_time", "end_time"))
            if end - start > seconds(1_000.0):
                raise errors.CouldNotAsk("500")

    world.transport.before = refuse_wide
    assert own(world.all_of(web)) == world.written[web.name]
    assert own(world.all_of(web, tail=100)) == world.written[web.name][-100:]


def test_a_service_that_never_answers_is_given_up_and_said() -> None:
    world = LogWorld(1)
    web = world.running_pod()

    def fail(method: str, path: str, body: object) -> None:
        raise errors.CouldNotAsk("it is down")

    world.transport.before = fail
    reader = world.ask(web)
    with pytest.raises(errors.CouldNotAsk, match="it is down"):
        world.run(60.0)
    world.readers.remove(reader)


def test_a_refused_key_is_said_at_once() -> None:
    world = LogWorld(1)
    web = world.running_pod()
    queries: list[object] = []

    def refuse(method: str, path: str, body: object) -> None:
        queries.append(body)
        raise errors.Unauthorized("the key was refused")

    world.transport.before = refuse
    reader = world.ask(web)
    with pytest.raises(errors.Unauthorized):
        reader.read()
    assert len(queries) == 1


def test_followers_wait_out_an_outage() -> None:
    world = LogWorld(1, **WORST)
    web = world.running_pod()
    reader = world.ask(web, follows=True)
    world.write_for(30.0, web)
    world.model.outage("503")
    world.write_for(300.0, web)
    world.model.outage(None)
    world.write_for(30.0, web)
    world.run(60.0)
    assert own(reader.texts) == world.written[web.name]


def test_what_a_follower_remembers_does_not_grow_with_the_hours() -> None:
    world = LogWorld(1, **WORST)
    web = world.running_pod()
    reader = world.ask(web, follows=True)
    world.write_for(1_200.0, web, per_second=0.5)
    middle = len(reader._stream._seen._counts)
    world.write_for(1_200.0, web, per_second=0.5)
    assert len(reader._stream._seen._counts) < 1.3 * middle
    # Somebody comes who has to begin far back; for the first one nothing of that is new.
    late = world.ask(web, follows=True)
    world.run(180.0)
    assert own(reader.texts) == own(late.texts) == world.written[web.name]


def test_what_is_forgotten_is_not_taken_for_new() -> None:
    begin = datetime.datetime(2026, 5, 4, tzinfo=datetime.UTC)
    entry = OutputEntry("web", "i", begin, begin + seconds(1.0), "text")
    follower = Follower("web", begin, Seen())
    for later in (60.0, 3_600.0, 3_610.0, 3_660.0):
        # The window goes back to the begin for somebody else's sake.
        follower.put([entry], begin + seconds(later))
    assert follower.take(0.0) == ([entry], begin + seconds(3_660.0))
    assert follower.take(0.0)[0] == []


@pytest.mark.parametrize(("bound", "most"), [("MOST_WAITING", 50), ("MOST_WAITING_CHARACTERS", 500)])
def test_a_reader_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch, bound: str, most: int) -> None:
    monkeypatch.setattr(output_tail, bound, most)
    world = LogWorld(1)
    web = world.running_pod()
    reader = world.ask(web, follows=True)
    world.run(10.0)
    world.readers.clear()
    for _ in range(6):
        world.write(web, *(f"web line {number}" for number in range(10)))
        world.run(10.0)
    with pytest.raises(errors.CouldNotAsk, match="too slow"):
        reader.read()
    assert world.provider.tail.count() == 0
