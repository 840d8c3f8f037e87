"""Drives a world through random steps, judges it after each, and shortens what it finds.

A seed decides everything: the layout, the actions, what the models and the daemons draw. `python -m tests.explorer`
runs it from the command line.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from tests.explorer.alphabet import Action, draw, perform
from tests.explorer.layout import layout_of
from tests.explorer.rules import Violation, defect_of
from tests.explorer.settling import settle
from tests.explorer.world import World

SHRINK_RUNS = 400
# Of what happened after the last action: it can be hours.
SETTLING_LINES = 30
SETTLES = "faults stop, everything settles"


@dataclasses.dataclass(frozen=True)
class Found:
    """A violation, and the shortest run that shows it."""

    seed: int
    steps: int
    """Of the run in which it was found."""
    rule: str
    text: str
    actions: tuple[Action, ...]

    def __str__(self) -> str:
        kind, count = layout_of(self.seed).kind, len(self.actions)
        return f"seed {self.seed} ({kind}), {count} actions: {self.text}"


def explore(seed: int, steps: int, *, shrink: bool = True) -> Found | None:
    """One run. None: no violation."""
    actions = actions_of(seed, steps)
    violation, done = replay(seed, actions)
    if violation is None:
        return None
    shortest = actions[:done]
    if shrink:
        shortest = _shrink(seed, shortest, violation.rule)
        violation = replay(seed, shortest)[0] or violation
    return Found(seed, steps, violation.rule, str(violation), tuple(shortest))


def actions_of(seed: int, steps: int) -> list[Action]:
    """What happens in the run of that seed."""
    rng, layout = random.Random(seed), layout_of(seed)
    return [draw(rng, layout) for _ in range(steps)]


def replay(seed: int, actions: Sequence[Action]) -> tuple[Violation | None, int]:
    """Performs the actions, then lets everything settle; the first violation, and how many actions it took."""
    return _play(World(seed), actions)


def story_of(found: Found) -> list[str]:
    """What happened, line by line: each action at its time, and below it what was asked for and answered."""
    world = World(found.seed)
    lines: list[str] = []
    world.story = lines
    _play(world, found.actions)
    settling = next((at for at, line in enumerate(lines) if line.endswith(SETTLES)), len(lines))
    left_out = len(lines) - settling - 1 - SETTLING_LINES
    if left_out > 0:
        lines[settling + 1 : settling + 1 + left_out] = [f"… {left_out} lines …"]
    return lines


def _play(world: World, actions: Sequence[Action]) -> tuple[Violation | None, int]:
    done = 0
    try:
        for action in actions:
            done += 1
            world.tell(str(action))
            perform(world, action)
            world.check()
        world.tell(SETTLES)
        settle(world)
    except Violation as violation:
        return violation, done
    except Exception as error:
        return defect_of(error), done
    return None, done


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
