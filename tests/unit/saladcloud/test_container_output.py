"""What readers of logs get, while lines come in late, from machines whose clocks are wrong, a hundred at a time."""

from __future__ import annotations

import datetime
import pytest

from tests.support.log_world import WORST, LogWorld, seconds
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.saladcloud import output_tail
from virtual_kubelet_salad.saladcloud.output_order import MOST_HELD

# The last lines of a run have come in after this time.
SETTLED_SECONDS = 12.0
SEEDS = range(1, 5)


def own(texts: list[str]) -> list[str]:
    """Without what the model's containers write by themselves."""
    return [text for text in texts if " line " in text]


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


def test_a_line_is_shown_about_as_soon_as_nothing_can_overtake_it() -> None:
    world = LogWorld(3, **WORST)
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
    # As long as lines can be late, the least delay that the machine's clock hides, and the interval of the tail.
    assert delays[-1] <= WORST["log_lag_max"] + MOST_HELD.total_seconds() + 6.0
    assert delays[20] <= MOST_HELD.total_seconds() + 6.0


def test_lines_that_come_in_evenly_are_not_held_back_for_long() -> None:
    world = LogWorld(3, log_lag_min=1.0, log_lag_max=1.2)
    web = world.running_pod()
    reader = world.ask(web, follows=True)
    world.write_for(100.0, web)
    world.run(30.0)
    before = world.clock.monotonic()
    world.write(web, "web line last")
    world.run(20.0)
    assert reader.read_at["web line last"] - before <= 1.2 + 2.0 + 5.0


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


# -- what it costs, and what goes wrong


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


def test_a_reader_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_tail, "MOST_WAITING", 50)
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
