"""A cleanup that cannot go on: what it waits for, what it gives up at once, and what it says then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.clock import FakeClock
from tests.support.in_memory_provider import IDENTITY
from tests.unit.commands.cleanup_world import CleanupWorld
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.commands.cleaning import FAILURES_PER_PASS, Over

FINALIZER = IDENTITY.finalizer


@pytest.fixture
def world(fake_clock: FakeClock) -> CleanupWorld:
    return CleanupWorld(fake_clock)


def test_an_outage_of_the_cloud_changes_nothing_and_is_told(world: CleanupWorld) -> None:
    world.run_pod()
    world.provider.fail = _raising(errors.CouldNotAsk("the cloud is away"))
    world.give_up_seconds = 300.0
    outcome = world.clean()
    assert FINALIZER in world.finalizers()
    assert "the time is up" in outcome.left
    assert any("the cloud is away" in left for left in outcome.left)


def test_after_an_outage_it_goes_on_by_itself(world: CleanupWorld) -> None:
    world.run_pod()
    world.provider.fail = _raising(errors.CouldNotAsk("the cloud is away"))
    began = world.clock.monotonic()

    def recover() -> None:
        if world.clock.monotonic() - began >= 60:
            world.provider.fail = lambda call, name, applied: None

    world.after_wait = recover
    outcome = world.clean()
    assert (outcome.deleted, outcome.released, outcome.left) == (1, 1, [])


def test_a_lost_answer_to_a_delete_does_no_harm(world: CleanupWorld) -> None:
    world.run_pod()
    lost = [errors.CouldNotAsk("cut", may_be_applied=True)]

    def cut(call: str, name: str, applied: bool) -> None:
        if call == "delete" and applied and lost:
            raise lost.pop()

    world.provider.fail = cut
    outcome = world.clean()
    assert (outcome.released, outcome.left) == (1, [])


def test_one_workload_that_cannot_be_deleted_does_not_keep_the_others(world: CleanupWorld) -> None:
    stuck = world.put_orphan("a-stuck")
    for number in range(3):
        world.run_pod(f"web-{number}")

    def refuse(call: str, name: str, applied: bool) -> None:
        if call == "delete" and name == stuck:
            raise errors.CouldNotAsk("an update is in progress")

    world.provider.fail = refuse
    world.give_up_seconds = 300.0
    outcome = world.clean()
    assert (outcome.deleted, outcome.released) == (3, 3)
    assert list(world.provider.boxes) == [stuck]
    assert any(stuck in left for left in outcome.left)


def test_a_row_of_failures_ends_the_pass(world: CleanupWorld) -> None:
    for number in range(10):
        world.put_orphan(f"gone-{number}")
    asked: list[str] = []

    def away(call: str, name: str, applied: bool) -> None:
        if call == "delete":
            asked.append(name)
            raise errors.CouldNotAsk("away")

    world.provider.fail = away
    world.give_up_seconds = 5.0
    world.clean()
    assert len(asked) == FAILURES_PER_PASS


def test_a_refused_key_ends_it_at_once(world: CleanupWorld) -> None:
    world.run_pod()
    world.provider.fail = _raising(errors.Unauthorized("the key was refused"))
    outcome = world.clean()
    assert world.waited_seconds == 0.0
    assert "the key was refused" in outcome.left
    assert FINALIZER in world.finalizers()


def test_a_used_up_budget_is_waited_for_and_is_no_trouble(world: CleanupWorld) -> None:
    world.run_pod()
    waits = [7.0, 3.0]

    def spend(call: str, name: str, applied: bool) -> None:
        if call in ("list", "delete") and not applied and waits:
            raise errors.NoBudget("used up", retry_after=waits.pop())

    world.provider.fail = spend
    assert world.clean().left == []
    assert waits == []


def test_an_api_server_that_is_away_is_waited_for(world: CleanupWorld) -> None:
    world.run_pod()
    failures = [errors.CouldNotAsk("the API server is away")] * 3

    def away(method: str, path: str) -> None:
        if failures:
            raise failures.pop()

    world.transport.before = away
    outcome = world.clean()
    assert (outcome.released, outcome.left) == (1, [])


def test_missing_rights_are_told(world: CleanupWorld) -> None:
    world.run_pod()

    def forbid(method: str, path: str) -> None:
        if method == "PATCH":
            raise errors.Forbidden("pods/status is forbidden")

    world.transport.before = forbid
    outcome = world.clean()
    assert (outcome.deleted, outcome.released) == (1, 0)
    assert any("is forbidden" in left for left in outcome.left)


def test_an_interrupted_cleanup_is_run_again(world: CleanupWorld) -> None:
    for number in range(4):
        world.run_pod(f"web-{number}")
    world.give_up_seconds = 5.0
    first = world.clean()
    assert first.released == 0 and first.left
    world.give_up_seconds = 3_600.0
    second = world.clean()
    assert (second.released, second.left) == (4, [])
    third = world.clean()
    assert (third.deleted, third.released, third.left) == (0, 0, [])


def test_a_thousand_are_cleared_within_the_budget_of_requests(world: CleanupWorld) -> None:
    for number in range(1_000):
        world.put_orphan(f"gone-{number}")

    def slowly(call: str, name: str, applied: bool) -> None:
        if applied or call != "delete":
            world.clock.advance(0.25)

    world.provider.fail = slowly
    began = world.clock.monotonic()
    assert world.clean().left == []
    assert world.clock.monotonic() - began < 1_200


# -- a dry run


def test_a_dry_run_names_everything_and_changes_nothing(world: CleanupWorld) -> None:
    world.run_pod()
    world.run_pod("hidden")
    world.provider.unlisted = {world.box_name("hidden")}
    orphan = world.put_orphan("gone")
    before = world.provider.boxes.copy(), world.pod(), world.pod("hidden")
    outcome = world.cleaning().look()
    assert (world.provider.boxes, world.pod(), world.pod("hidden")) == before
    assert world.deleted() == []
    assert (outcome.deleted, outcome.released, outcome.left) == (3, 2, [])
    for name in (world.box_name(), world.box_name("hidden"), orphan):
        assert any(name in line for line in world.said)


def test_a_dry_run_names_what_would_be_left(world: CleanupWorld) -> None:
    world.run_pod()
    outcome = world.cleaning("another").look()
    assert (outcome.deleted, outcome.released) == (0, 0)
    assert any("default/web" in left for left in outcome.left)


def test_a_dry_run_without_an_answer_is_an_error(world: CleanupWorld) -> None:
    world.provider.fail = _raising(errors.CouldNotAsk("away"))
    with pytest.raises(errors.CouldNotAsk):
        world.cleaning().look()
    world.provider.fail = _raising(errors.Unauthorized("refused"))
    with pytest.raises(Over):
        world.cleaning().look()


def _raising(error: Exception) -> Callable[[str, str, bool], None]:
    def fail(call: str, name: str, applied: bool) -> None:
        if not applied:
            raise error

    return fail
