"""Drives a world through random steps, judges it after each, and shortens what it finds.

python -m tests.explorer --seeds 200 --steps 2000
python -m tests.explorer --seed 17 --steps 2000
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from tests.explorer.actions import Action, draw, perform
from tests.explorer.rules import Violation
from tests.explorer.world import FINALIZER, World

# Simulated time in which everything must settle once faults have stopped: the longest backoff and wait, and some.
SETTLE_SECONDS = 7_200.0
SHRINK_RUNS = 400


@dataclasses.dataclass(frozen=True)
class Found:
    """A violation, and the shortest run that shows it."""

    seed: int
    rule: str
    text: str
    actions: tuple[Action, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.text} after {len(self.actions)} actions:"]
        return "\n".join([*lines, *(f"  {action}" for action in self.actions)])


def explore(seed: int, steps: int, *, shrink: bool = True) -> Found | None:
    """One run. None: no violation."""
    rng = random.Random(seed)
    # Every third run has no faults: more pods come to run in it, and what only shows then is looked at too.
    actions = [draw(rng, faults=seed % 3 != 0) for _ in range(steps)]
    violation, done = replay(seed, actions)
    if violation is None:
        return None
    shortest = list(actions[:done])
    if shrink:
        shortest = _shrink(seed, shortest, violation.rule)
        violation = replay(seed, shortest)[0] or violation
    return Found(seed, violation.rule, str(violation), tuple(shortest))


def replay(seed: int, actions: Sequence[Action]) -> tuple[Violation | None, int]:
    """Performs the actions, then lets everything settle; the first violation, and how many actions it took."""
    world = World(seed)
    done = 0
    try:
        for action in actions:
            done += 1
            perform(world, action)
            world.check()
        settle(world)
    except Violation as violation:
        return violation, done
    return None, done


def settle(world: World) -> None:
    """Faults stop; what must be true in the end is."""
    world.fate = None
    world.cloud.clear_faults()
    world.next_create_is_late_by = None
    end = world.clock.monotonic() + SETTLE_SECONDS
    due = dict.fromkeys(world.loops, 0.0)
    while world.clock.monotonic() < end:
        world.deliver()
        world.carry_out_late_creates()
        now = world.clock.monotonic()
        for name, loop in world.loops.items():
            if due[name] <= now:
                due[name] = now + max(1.0, loop.step() or 0.0)
        while world.daemon.worker.step() == 0.0:
            world.deliver()
        world.check()
        nexts = [time for time in (world.daemon.queue.next_due(), world.cloud.next_change()) if time is not None]
        soonest = min([*nexts, *due.values()])
        world.clock.advance(max(0.05, min(soonest - now, 60.0)))
        if _is_settled(world) and world.clock.monotonic() > end - SETTLE_SECONDS + 60.0:
            return
    raise Violation("liveness", _unsettled(world))


def _is_settled(world: World) -> bool:
    return not _unsettled(world)


def _unsettled(world: World) -> str:
    """What is not as it should be in the end; empty: nothing."""
    groups = {group.owner_uid: group for group in world.cloud._world.groups.values() if group.name not in world.foreign}
    for pod in world.api_model.all_of("pods"):
        metadata, status = pod["metadata"], pod["status"]
        phase, group = status.get("phase"), groups.pop(metadata["uid"], None)
        what = f"{metadata['name']} {phase} {status.get('reason') or ''} {status.get('message') or ''}"
        if metadata.get("deletionTimestamp"):
            return f"{what} is still terminating"
        if phase in ("Succeeded", "Failed"):
            if group is not None:
                return f"{what} still has a group"
            if FINALIZER in metadata.get("finalizers", []):
                return f"{what} is still claimed"
        elif group is None:
            return f"{what} has no group"
        elif group.status == "running" and world.cloud._world.counts(group)["running_count"]:
            ready = any(replica.ready for replica in group.replicas)
            shown = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
            if phase != "Running" or (shown.get("Ready") == "True") != ready:
                return f"{what} does not show that its group runs (ready {ready}, shown {shown.get('Ready')})"
        else:
            return f"{what}: its group is {group.status}"
    if groups:
        return f"groups without a pod: {[group.name for group in groups.values()]}"
    return ""


def _shrink(seed: int, actions: list[Action], rule: str) -> list[Action]:
    """Leaves out what is not needed for the same rule to break (delta debugging, bounded)."""
    runs, size = 0, max(1, len(actions) // 2)
    while size >= 1 and runs < SHRINK_RUNS:
        position, shortened = 0, False
        while position < len(actions) and runs < SHRINK_RUNS:
            candidate = actions[:position] + actions[position + size :]
            runs += 1
            violation, done = replay(seed, candidate)
            if violation is not None and violation.rule == rule:
                actions, shortened = candidate[:done], True
            else:
                position += size
        if not shortened or size > 1:
            size //= 2
    return actions
