"""The alphabet of the explorer: everything that can happen next.

An action is plain data (a name and numbers), so a run can be replayed, shortened and printed. An action that does not
fit the state does nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from tests.explorer.world import NODE, Killed, World, lost
from virtual_kubelet_salad.sandbox.salad_control import ControlError

PODS = "/api/v1/namespaces/default/pods"
STRATEGIC = "application/strategic-merge-patch+json"
MOST_PODS = 6
CLOUD_FAULTS = ("500", "502", "503", "408", "429-retry-after", "garbage", "html200", "reset")
EXITS = (0, 1, 3, 137)


class Action(NamedTuple):
    """What happens; the numbers choose among what is there."""

    name: str
    first: int = 0
    second: int = 0

    def __str__(self) -> str:
        return f"{self.name}({self.first}, {self.second})"


def draw(rng: random.Random, faults: bool = True) -> Action:
    """The next action, likely ones more often."""
    names = _WITH_FAULTS if faults else _WITHOUT_FAULTS
    return Action(rng.choice(names), rng.randrange(1_000), rng.randrange(1_000))


def perform(world: World, action: Action) -> None:
    _ACTIONS[action.name](world, action.first, action.second)


# -- the daemon -------------------------------------------------------------------------------------------------------


def deliver(world: World, first: int, second: int) -> None:
    world.run(lambda: world.deliver(1 + first % 3))


def work(world: World, first: int, second: int) -> None:
    world.run(world.daemon.worker.step)


def loop(world: World, first: int, second: int) -> None:
    names = sorted(world.loops)
    world.run(world.loops[names[first % len(names)]].step)


def kill(world: World, first: int, second: int) -> None:
    world.boot()


# -- time -------------------------------------------------------------------------------------------------------------


def wait(world: World, first: int, second: int) -> None:
    """A short while; or until the cloud's next change."""
    due = world.cloud.next_change()
    if first % 2 and due is not None:
        world.clock.advance(max(0.0, min(30.0, due - world.clock.monotonic())))
    else:
        world.clock.advance((0.1, 0.5, 2.0, 6.0)[second % 4])


def wait_long(world: World, first: int, second: int) -> None:
    world.clock.advance((15.0, 45.0, 130.0, 700.0)[first % 4])


# -- users ------------------------------------------------------------------------------------------------------------


def create_pod(world: World, first: int, second: int) -> None:
    """Under a name that may be taken or may have been used before."""
    if len(world.api_model.all_of("pods")) >= MOST_PODS:
        return
    policy = ("Always", "Always", "OnFailure", "Never")[second % 4]
    reference = {"secretKeyRef": {"name": "token", "key": "value"}}
    container = {"name": "main", "image": f"image:{first % 3}", "env": [{"name": "TOKEN", "valueFrom": reference}]}
    spec = {"nodeName": NODE, "restartPolicy": policy, "containers": [container]}
    world.api_model.handle("POST", PODS, {}, {"metadata": {"name": f"pod-{first % 4}"}, "spec": spec})


def _pod_path(world: World, choice: int) -> str | None:
    pods = world.api_model.all_of("pods")
    return f"{PODS}/{pods[choice % len(pods)]['metadata']['name']}" if pods else None


def delete_pod(world: World, first: int, second: int) -> None:
    path = _pod_path(world, first)
    if path is not None:
        world.api_model.handle("DELETE", path, {}, {"gracePeriodSeconds": (0, 30)[second % 2]})


def edit_image(world: World, first: int, second: int) -> None:
    path = _pod_path(world, first)
    if path is not None:
        patch = {"spec": {"containers": [{"name": "main", "image": f"image:{second % 3}"}]}}
        world.api_model.handle("PATCH", path, {}, patch, STRATEGIC)


def edit_claim(world: World, first: int, second: int) -> None:
    """An author edits what the daemon has written."""
    path = _pod_path(world, first)
    if path is not None:
        value = (None, "0", "2", "nonsense")[second % 4]
        key = ("salad.com/attempt", "salad.com/container-group")[first % 2]
        answer = world.api_model.handle("PATCH", path, {}, {"metadata": {"annotations": {key: value}}}, STRATEGIC)
        world.edited.add(answer.body["metadata"].get("uid", ""))


def node_blip(world: World, first: int, second: int) -> None:
    """The node controller sets Ready=False on a pod and never takes it back."""
    path = _pod_path(world, first)
    if path is not None:
        patch = {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]}}
        world.api_model.handle("PATCH", f"{path}/status", {}, patch, STRATEGIC)


def compact(world: World, first: int, second: int) -> None:
    world.api_model.compact()


# -- the cloud --------------------------------------------------------------------------------------------------------


def _group(world: World, choice: int) -> str | None:
    names = [group.name for group in world.cloud._world.groups.values() if group.name not in world.foreign]
    return names[choice % len(names)] if names else None


def cloud_moves(world: World, first: int, second: int) -> None:
    name = _group(world, second)
    if name is None:
        return
    moves: tuple[Callable[[], None], ...] = (
        lambda: world.cloud.exit_container(name, EXITS[second % len(EXITS)]),
        lambda: world.cloud.reallocate(name),
        lambda: world.cloud.node_offline(name, has_gap=bool(second % 2)),
        lambda: world.cloud.preempt(name),
        lambda: world.cloud.stop_group(name),
        lambda: world.cloud.start_group(name),
        lambda: world.cloud.fail_image(name),
        lambda: world.cloud.set_ready(name, bool(second % 2)),
        lambda: world.cloud.vanish(name),
    )
    try:
        moves[first % len(moves)]()
    except ControlError:
        return  # it does not fit what the group is doing


# -- faults -----------------------------------------------------------------------------------------------------------


def cloud_fault(world: World, first: int, second: int) -> None:
    """The next request to SaladCloud fails, before or after it was applied."""
    world.cloud.fail_next(1, CLOUD_FAULTS[first % len(CLOUD_FAULTS)], applied=bool(second % 2))


def create_is_late(world: World, first: int, second: int) -> None:
    """The next create times out and takes effect later, well within the time that the daemon waits for it."""
    world.next_create_is_late_by = (1.0, 8.0, 30.0, 90.0)[first % 4]


def false_absence(world: World, first: int, second: int) -> None:
    """SaladCloud says once that a group does not exist, though it does."""
    if world.clock.monotonic() - world.false_absence_at > 600.0:
        world.false_absence_at = world.clock.monotonic()
        world.cloud.fail_next(1, "404", operation=("get_container_group", "delete_container_group")[first % 2])


def call_fails(world: World, first: int, second: int) -> None:
    """The next call to either side is cut."""
    _set_fate(world, bool(first % 2), lambda applied: lost(applied))


def killed_in_call(world: World, first: int, second: int) -> None:
    """The process dies in the next call, right before or right after it is applied."""
    _set_fate(world, bool(first % 2), lambda applied: Killed())


def _set_fate(world: World, when_applied: bool, error: Callable[[bool], BaseException]) -> None:
    def fate(applied: bool) -> None:
        if applied == when_applied:
            world.fate = None
            raise error(applied)

    world.fate = fate


_ACTIONS: dict[str, Callable[[World, int, int], None]] = {
    action.__name__: action
    for action in (
        deliver,
        work,
        loop,
        kill,
        wait,
        wait_long,
        create_pod,
        delete_pod,
        edit_image,
        edit_claim,
        node_blip,
        compact,
        cloud_moves,
        cloud_fault,
        create_is_late,
        false_absence,
        call_fails,
        killed_in_call,
    )
}
_WEIGHTS = {
    "deliver": 20,
    "work": 40,
    "loop": 16,
    "wait": 12,
    "create_pod": 4,
    "delete_pod": 1,
    "wait_long": 1,
    "cloud_moves": 2,
    "edit_image": 1,
    "edit_claim": 1,
    "node_blip": 4,
    "compact": 1,
}
_FAULT_WEIGHTS = {
    "kill": 1,
    "cloud_fault": 3,
    "create_is_late": 2,
    "false_absence": 2,
    "call_fails": 3,
    "killed_in_call": 1,
}
_WITHOUT_FAULTS = [name for name, weight in _WEIGHTS.items() for _ in range(weight)]
_WITH_FAULTS = _WITHOUT_FAULTS + [name for name, weight in _FAULT_WEIGHTS.items() for _ in range(weight)]
