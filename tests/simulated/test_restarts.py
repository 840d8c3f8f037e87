"""The daemon is killed and starts anew, at every moment that can matter: in the end all is as without it.

| when | tests |
|---|---|
| at each write to either side, before and after it was carried out | `test_killed_at_any_write_*` |
| at every fourth, fifth … write, again and again | `test_killed_again_and_again_*` |
| while no list can be had, or one that shows only a part | `test_a_restart_adopts_by_claim_*` |
| between a create without an answer and its pod's deletion, while SaladCloud is away | `test_a_pod_deleted_*` |
| while its pods stand still for want of credit | `test_what_vanished_*` |
| processes: `tests/crash`, `tests/cluster/stories/kills.py` | |
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulated.process import Process
from tests.simulated.world import GROUPS, World
from tests.support import cluster as seen
from tests.support import manifests
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.saladcloud.transport import Answer

POD = "/api/v1/namespaces/default/pods"
NEW_IMAGE = "registry.example/server:2"
AWAY_SECONDS = 3.0
# Whatever is not known of a create is known after two minutes.
SECONDS = 600.0


class Killed(BaseException):
    """The process dies in the middle of a call."""


class Mortal:
    """A world in which the daemon is killed at chosen writes and started again."""

    def __init__(self, dies: Callable[[int, bool], bool], **settings: Any) -> None:
        """`dies` is told the number of a write to either side, and whether it was carried out already."""
        self.world = World(start=False, **settings)
        self.writes = 0
        self.deaths = 0
        self._dies = dies
        self._start()

    def run_until(self, condition: Callable[[], Any]) -> None:
        end = self.world.now + SECONDS
        while True:
            try:
                self.world.run_until(condition, end - self.world.now)
                return
            except Killed:
                self.world.kill(self.world.daemon)
                self.world.run(AWAY_SECONDS)
                self._start()

    @property
    def creates(self) -> int:
        """How many have reached SaladCloud."""
        return int(self.world.cloud.statistics()["requests_by_operation"]["create_container_group"])

    def _start(self) -> None:
        self.world.daemon = process = self.world.start()
        for line in (process.api_line, process.cloud_line):
            line.before = functools.partial(self._before, process)
            line.after = functools.partial(self._call, process, True)

    def _before(self, process: Process, method: str, path: str) -> None:
        self._call(process, False, method, path)

    def _call(self, process: Process, is_applied: bool, method: str, path: str) -> None:
        if method == "GET" or path.endswith(("/log-entries", "/events")) or "/leases" in path or "/nodes" in path:
            return
        if not is_applied:
            self.writes += 1
        if self._dies(self.writes, is_applied):
            self.deaths += 1
            raise Killed


def _live(mortal: Mortal) -> None:
    """One life of a server, whose image is changed, and of a Job's pod; with all that must be so in the end."""
    world = mortal.world
    world.create("web")
    world.create("job", restart_policy="Never", environment=manifests.exits(3, 15.0))
    mortal.run_until(lambda: world.is_ready("web"))
    mortal.run_until(lambda: world.phase("job") == "Failed" and not seen.has_finalizer(world.pod("job")))
    ending = seen.container_state(world.pod("job"), "terminated")
    assert (ending["exitCode"], ending["reason"]) == (3, "Error")
    assert world.groups() == {world.group("web")}
    change = {"spec": {"containers": [{"name": "main", "image": NEW_IMAGE}]}}
    world.cluster.patch(f"{POD}/web", change)
    mortal.run_until(lambda: world.is_ready("web") and world.container("web")["restartCount"] == 1)
    mortal.run_until(lambda: world.cloud.overview()[0]["image"] == NEW_IMAGE)
    world.cluster.delete_pod("web")
    mortal.run_until(lambda: world.is_gone("web") and not world.groups())
    assert mortal.creates == 2, "one for each pod, whatever became of its answer"
    world.check()


def test_killed_at_any_write_everything_ends_as_if_nothing_had_happened() -> None:
    """Every write of an undisturbed life, and a few more, for a life with a death in it has more."""
    undisturbed = Mortal(lambda number, is_applied: False)
    _live(undisturbed)
    assert undisturbed.writes >= 12
    for number in range(1, undisturbed.writes + 2):
        for is_applied in (False, True):
            try:
                _live(Mortal(functools.partial(_is_at, (number, is_applied))))
            except AssertionError as error:
                raise AssertionError(f"killed at write {number}, carried out: {is_applied}: {error}") from error


def _is_at(moment: tuple[int, bool], number: int, is_applied: bool) -> bool:
    return (number, is_applied) == moment


# A process needs three writes to let a pod go; who never gets that far never ends.
@pytest.mark.parametrize("every", [4, 5, 7])
@pytest.mark.parametrize("is_applied", [False, True], ids=["before", "after"])
def test_killed_again_and_again_everything_ends_as_if_nothing_had_happened(every: int, is_applied: bool) -> None:
    mortal = Mortal(lambda number, was_applied: number % every == 0 and was_applied == is_applied)
    _live(mortal)
    assert mortal.deaths >= 2


# -- adoption ---------------------------------------------------------------------------------------------------------


def _no_list(method: str, path: str) -> Answer | None:
    return Answer(503, "text/html") if (method, path) == ("GET", GROUPS) else None


def test_a_restart_adopts_by_claim_while_no_list_can_be_had() -> None:
    world = World(allocation=8.0)
    world.create_and_run("web", "leaves")
    before = world.status()
    world.create("starts")
    world.run_until(lambda: len(world.groups()) == 3)
    world.restart()
    line = world.daemon.cloud_line
    line.before = _no_list
    world.cluster.delete_pod("leaves")
    world.run(SECONDS)
    assert world.status() == before
    # What is known to be ours by its claim is deleted; that it is gone is not believed of a service in trouble.
    assert world.groups() == {world.group("web"), world.group("starts")}
    assert not world.is_gone("leaves")
    assert line.count("create") == 0
    line.before = lambda method, path: None
    world.run_until(lambda: world.is_gone("leaves") and world.is_ready("starts"))
    assert world.status() == before
    world.check()


def test_a_restart_adopts_by_claim_what_no_list_shows() -> None:
    world = World(start=False, list_limit=100)
    foreign = world.create_foreign_groups(120)
    world.clock.advance(61.0)
    world.daemon = world.start()
    world.run(5.0)
    world.create_and_run("web", "leaves", within=200.0)
    before = world.status()
    world.restart()
    world.cluster.delete_pod("leaves")
    world.run_until(lambda: world.is_gone("leaves"))
    world.run(SECONDS)
    assert world.status() == before
    assert world.groups() == {*foreign, world.group("web")}
    assert world.daemon.cloud_line.count("create") == 0
    world.check(foreign)


# -- creates without an answer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_forced", [False, True], ids=["graceful", "forced"])
@pytest.mark.parametrize("late", [None, 1.0, 30.0, 100.0], ids=["never", "soon", "later", "late"])
def test_a_pod_deleted_during_a_create_without_an_answer_waits_for_it(late: float | None, is_forced: bool) -> None:
    """SaladCloud is away, the daemon is killed, and the create takes effect when nobody expects it any more."""
    world = World()
    sent: list[tuple[str, Any]] = []

    def lose(process: Process) -> None:
        send = process.cloud_line.send

        def losing(method: str, path: str, **rest: Any) -> Answer:
            if (method, path) == ("POST", GROUPS) and not sent:
                sent.append((path, rest["body"]))
                raise errors.CouldNotAsk("the connection was cut", may_be_applied=True)
            return send(method, path, **rest)

        process.cloud_line.send = losing  # type: ignore[method-assign]

    lose(world.daemon)
    world.create("web")
    world.run_until(lambda: sent)
    begun = world.now
    world.cloud.outage("503")
    world.cluster.delete_pod("web", grace_seconds=0 if is_forced else None)
    world.run(20.0)
    world.restart()
    world.run(20.0)
    world.cloud.outage(None)
    back = world.now
    if late is not None:
        world.run(max(0.0, begun + 40.0 + late - world.now))
        assert world.ask("POST", *sent[0], key="our-key") == 201
        appeared = world.now
        world.run_until(lambda: not world.groups(), within=60.0)
        assert world.now - appeared <= 10.0, "it is seen by the next list, and deleted at once"
    else:
        world.run(110.0)
        assert not world.is_gone("web"), "it was asked for two minutes only since SaladCloud answers again"
    world.run_until(lambda: world.is_gone("web"), within=200.0)
    assert world.now - back >= 5.0
    world.run(60.0)
    assert not world.groups()
    assert world.daemon.cloud_line.count("create") == 0
    world.check()


# -- what is not there any more ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_what_vanished_while_its_pod_stood_still_is_not_run_again(policy: str) -> None:
    """The status tells only why the pod waits; that it has run must be remembered all the same."""
    world = World()
    world.create_and_run("web", "a", "b", "c", restart_policy=policy)
    world.run(30.0)
    world.cloud.out_of_credit(True)
    world.run_until(lambda: world.waiting() == "OutOfCredit")
    world.kill(world.daemon)
    world.cloud.vanish(world.group())
    world.cloud.out_of_credit(False)
    world.daemon = world.start()
    world.run_until(lambda: world.phase() == "Failed")
    assert world.status()["reason"] == "ContainerGroupNotFound"
    world.run_until(lambda: all(map(world.is_ready, ["a", "b", "c"])), within=1_000.0)
    assert world.daemon.cloud_line.count("create") == 0


def test_an_attempt_of_which_nothing_was_seen_is_made_though_the_one_before_it_ran() -> None:
    """The image was changed to one that cannot be had, and then mended: the create of the next attempt is lost."""
    world = World()
    world.create_and_run("web")
    for image in ("registry.example/does-not-exist:1", manifests.IMAGE):
        world.cluster.patch(f"{POD}/web", {"spec": {"containers": [{"name": "main", "image": image}]}})
        if image != manifests.IMAGE:
            world.run_until(lambda: world.waiting() in ("ErrImagePull", "ImagePullBackOff"))
            world.cloud.fail_next(1, "reset", operation="create_container_group")
    world.run_until(lambda: world.pod()["metadata"]["annotations"]["salad.com/attempt"] == "1", within=200.0)
    world.restart()
    world.run_until(world.is_ready, within=400.0)
    assert world.groups() == {world.group()}
    world.check()
