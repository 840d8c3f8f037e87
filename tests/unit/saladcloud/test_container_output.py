"""What readers of logs get, while lines come in late, from machines whose clocks are wrong, a hundred at a time."""

from __future__ import annotations

import datetime

import pytest

from tests.support.log_world import SETTLED_SECONDS, WORST, LogWorld, own
from virtual_kubelet_salad.saladcloud.output_order import HELD
from virtual_kubelet_salad.saladcloud.output_tail import INTERVAL_SECONDS

SEEDS = range(1, 5)


@pytest.mark.parametrize("by_receive_time", [True, False], ids=["by receive time", "by the machines' clocks"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_past_is_read_each_line_once_and_in_order(seed: int, by_receive_time: bool) -> None:
    world = LogWorld(seed, **WORST, log_window_is_receive_time=by_receive_time)
    web, other = world.running_pod("web"), world.running_pod("other")
    world.write_for(240.0, web, other, per_second=2.0)
    world.run(SETTLED_SECONDS + WORST["node_skew_max"])
    assert len(world.written[web.name]) > 150
    for pod in (web, other):
        assert own(world.all_of(pod)) == world.written[pod.name]


@pytest.mark.parametrize("by_receive_time", [True, False], ids=["by receive time", "by the machines' clocks"])
@pytest.mark.parametrize("seed", SEEDS)
def test_followers_get_each_line_once_and_in_order(seed: int, by_receive_time: bool) -> None:
    world = LogWorld(seed, **WORST, log_window_is_receive_time=by_receive_time)
    web, other = world.running_pod("web"), world.running_pod("other")
    world.write_for(30.0, web, other)
    readers = {pod.name: world.ask(pod, follows=True) for pod in (web, other)}
    world.write_for(60.0, web, other, per_second=2.0)
    late = world.ask(web, follows=True)
    world.write_for(60.0, web, other, per_second=2.0)
    world.run(SETTLED_SECONDS + WORST["node_skew_max"] + 30.0)
    for pod in (web, other):
        assert own(readers[pod.name].texts) == world.written[pod.name]
    assert own(late.texts) == world.written[web.name]


@pytest.mark.parametrize("lag", [WORST, {"log_lag_min": 1.0, "log_lag_max": 1.2}], ids=["uneven", "even"])
def test_a_line_is_shown_as_soon_as_nothing_can_overtake_it(lag: dict[str, float]) -> None:
    world = LogWorld(3, **lag)
    web = world.running_pod()
    reader = world.ask(web, follows=True)
    written_at = {}
    for number in range(40):
        world.run(3.0)
        world.write(web, f"web line {number}")
        written_at[f"web line {number}"] = world.clock.monotonic()
    world.run(40.0)
    delays = sorted(reader.read_at[text] - at for text, at in written_at.items())
    assert len(delays) == 40
    # As long as lines can be late, the interval of the tail, a step of this world; and the least delay that was seen
    # until then, which for the first line is its own.
    soonest = HELD.total_seconds() + INTERVAL_SECONDS + 1.0
    assert delays[-1] <= lag["log_lag_max"] + soonest
    assert delays[20] <= lag["log_lag_min"] + soonest


@pytest.mark.parametrize("count", [1, 7, 60, 500])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_last_lines_are_exactly_the_last_ones(seed: int, count: int) -> None:
    world = LogWorld(seed, **WORST)
    web = world.running_pod()
    world.run(3_600.0)  # nothing was written for an hour
    world.write_for(150.0, web, per_second=3.0)
    world.run(SETTLED_SECONDS)
    expected = world.written[web.name][-count:]
    assert world.all_of(web, tail=count)[-len(expected) :] == expected
    assert len(world.all_of(web, tail=count)) == min(count, len(world.written[web.name]) + 1)


def test_few_last_lines_of_a_busy_container_cost_few_requests() -> None:
    world = LogWorld(1, **WORST)
    web = world.running_pod()
    for _ in range(600):
        world.step(0.5)
        world.write(web, *(f"web line {len(world.written.get(web.name, []))} {part}" for part in "abcde"))
    world.run(SETTLED_SECONDS)
    before = world.log_queries()
    texts = world.all_of(web, tail=5)
    assert {text.rsplit(" ", 1)[0] for text in texts} == {world.written[web.name][-1].rsplit(" ", 1)[0]}
    assert world.log_queries() - before <= 6


def test_the_last_lines_and_what_follows_them_join() -> None:
    world = LogWorld(4, **WORST)
    web = world.running_pod()
    world.write_for(100.0, web)
    count = len(world.written[web.name])
    reader = world.ask(web, follows=True, tail=3)
    world.write_for(60.0, web)
    world.run(30.0)
    begin = world.written[web.name].index(reader.texts[0])
    assert reader.texts == world.written[web.name][begin:]
    # Some of the last lines had not come in yet.
    assert count - 3 - 12 <= begin <= count - 3


def test_who_wants_none_of_the_past_gets_only_what_comes() -> None:
    world = LogWorld(4, **WORST)
    web = world.running_pod()
    world.write_for(100.0, web)
    world.run(SETTLED_SECONDS)
    reader = world.ask(web, follows=True, tail=0)
    world.run(5.0)
    count = len(world.written[web.name])
    world.write_for(60.0, web)
    world.run(30.0)
    assert reader.texts == world.written[web.name][count:]


def test_a_moment_is_meant_by_the_machines_clock_and_seconds_by_saladclouds() -> None:
    world = LogWorld(5, log_lag_min=1.0, log_lag_max=1.0, node_skew_max=73.0)
    web = world.running_pod()
    world.write_for(300.0, web)
    world.run(SETTLED_SECONDS)
    everything = world.ask(web)
    world.run_until(lambda: everything.is_done)
    middle = everything.lines[len(everything.lines) // 2]
    assert world.all_of(web, since=middle.time) == everything.texts[len(everything.lines) // 2 :]
    last = own(world.all_of(web, newest_seconds=60.0))
    assert last == world.written[web.name][-len(last) :]
    assert 30 < len(last) < 120
    assert world.all_of(web, since=middle.time, tail=2) == everything.texts[-2:]


def test_equal_lines_of_one_moment_are_as_many_as_were_written() -> None:
    world = LogWorld(1, log_lag_min=1.0, log_lag_max=1.0)
    web = world.running_pod()
    reader = world.ask(web, follows=True)
    world.run(20.0)
    world.write(web, *["the same"] * 5, *["another"] * 2)
    world.run(60.0)
    for texts in (reader.texts, world.all_of(web)):
        assert (texts.count("the same"), texts.count("another")) == (5, 2)


def test_more_lines_in_one_millisecond_than_an_answer_holds_are_all_read() -> None:
    world = LogWorld(1, log_lag_min=1.0, log_lag_max=1.0)
    web = world.running_pod()
    reader = world.ask(web, follows=True)
    world.run(20.0)
    world.write(web, *(f"web line {number}" for number in range(180)))
    world.run(60.0)
    assert sorted(own(reader.texts)) == sorted(world.written[web.name])
    assert sorted(own(world.all_of(web))) == sorted(world.written[web.name])


def test_a_line_that_is_json_comes_back_as_json() -> None:
    world = LogWorld(1)
    web = world.running_pod()
    world.write(web, '{"severity": "error", "msg": "caf\u00e9", "n": {"deep": [1, null]}}', "{not json", '"quoted"')
    world.run(SETTLED_SECONDS)
    assert set(world.all_of(web)[-3:]) == {
        '{"severity":"error","msg":"café","n":{"deep":[1,null]}}', "{not json", '"quoted"',
    }  # fmt: skip


# -- runs


def test_the_run_before_is_told_apart_from_the_present_one() -> None:
    world = LogWorld(2, **WORST)
    web = world.running_pod()
    world.write_for(30.0, web)
    first = list(world.written[web.name])
    world.model.node_offline(web.name)
    world.run_until(lambda: bool(web.container.get("lastState")) and web.is_ready)
    world.write_for(30.0, web)
    world.run(SETTLED_SECONDS)
    assert own(world.all_of(web, previous=True)) == first
    assert own(world.all_of(web)) == world.written[web.name][len(first) :]


def test_two_runs_with_one_id_are_parted_by_time() -> None:
    world = LogWorld(
        2, log_lag_min=1.0, log_lag_max=3.0, node_skew_max=73.0, new_instance_id_per_run=False, restart=20.0
    )
    web = world.pod("web", exits="1 after 60s")
    world.run_until(lambda: web.is_ready)
    world.write_for(40.0, web)
    first = list(world.written[web.name])
    world.run_until(lambda: bool(web.container.get("lastState")) and web.is_ready, within=200.0)
    world.write_for(20.0, web)
    second = world.written[web.name][len(first) :]
    world.run(SETTLED_SECONDS)
    last = web.container["lastState"]["terminated"]
    started = web.container["state"]["running"]["startedAt"]
    assert last["containerID"] == web.container["containerID"]
    finished, began = (datetime.datetime.fromisoformat(text) for text in (last["finishedAt"], started))
    between = finished + (began - finished) / 2
    assert own(world.all_of(web, after=between)) == second
    assert own(world.all_of(web, previous=True, before=between)) == first
    assert own(world.all_of(web, previous=True, before=between, tail=3)) == first[-3:]


def test_a_follower_goes_on_with_the_next_run() -> None:
    world = LogWorld(6, **WORST)
    web = world.running_pod()
    world.write_for(20.0, web)
    world.model.node_offline(web.name)
    world.run_until(lambda: bool(web.container.get("lastState")) and web.is_ready)
    earlier = frozenset([web.container["lastState"]["terminated"]["containerID"]])
    reader = world.ask(web, follows=True, earlier_container_ids=earlier)
    count = len(world.written[web.name])
    world.write_for(20.0, web)
    world.model.node_offline(web.name)
    before = web.container["containerID"]
    world.run_until(lambda: web.is_ready and web.container["containerID"] != before)
    world.write_for(20.0, web)
    world.run(30.0)
    assert own(reader.texts) == world.written[web.name][count:]


@pytest.mark.parametrize("tail", [None, 5, 0])
def test_a_follower_sees_nothing_of_the_runs_before(tail: int | None) -> None:
    world = LogWorld(6, **WORST)
    web = world.running_pod()
    for _ in range(3):
        world.write_for(15.0, web)
        before = web.container["containerID"]
        world.model.node_offline(web.name)
        world.run_until(lambda: web.is_ready and web.container["containerID"] != before)
    count = len(world.written[web.name])
    # The pod's status knows the last one only.
    earlier = frozenset([web.container["lastState"]["terminated"]["containerID"]])
    reader = world.ask(web, follows=True, tail=tail, earlier_container_ids=earlier)
    world.write_for(15.0, web)
    world.run(30.0)
    assert own(reader.texts) == world.written[web.name][count:]


def test_a_follower_ends_with_the_last_lines_of_the_pod() -> None:
    world = LogWorld(7, **WORST)
    job = world.pod("job", "Never", exits="0 after 40s")
    world.run_until(lambda: job.is_ready)
    reader = world.ask(job, follows=True)
    world.write_for(35.0, job)
    world.run_until(lambda: job.phase == "Succeeded", within=120.0)
    ended_at = world.clock.monotonic()
    reader.end()
    world.run_until(lambda: reader.is_done)
    assert own(reader.texts) == world.written[job.name]
    assert world.clock.monotonic() - ended_at <= 30.0
    assert world.provider.tail.count() == 0


def test_the_log_of_a_group_that_is_gone_can_be_read() -> None:
    world = LogWorld(7, **WORST)
    job = world.pod("job", "Never", exits="3 after 40s")
    world.run_until(lambda: job.is_ready)
    world.write_for(35.0, job)
    world.run_until(lambda: job.phase == "Failed", within=120.0)
    world.provider.delete(job.name)
    world.run(86_400.0 / 4)
    before = world.log_queries()
    assert own(world.all_of(job)) == world.written[job.name]
    assert own(world.all_of(job, tail=2)) == world.written[job.name][-2:]
    # Its end is known, so the hours since then are not searched.
    assert world.log_queries() - before <= 3
