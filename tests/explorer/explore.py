"""Drives a world through random steps, judges it after each, and shortens what it finds.

python -m tests.explorer --seeds 200 --steps 2000
python -m tests.explorer --seed 17 --steps 2000
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from tests.explorer.alphabet import Action, draw, perform
from tests.explorer.layout import layout_of
from tests.explorer.rules import Violation
from tests.explorer.settling import settle
from tests.explorer.world import World

SHRINK_RUNS = 400


@dataclasses.dataclass(frozen=True)
class Found:
    """A violation, and the shortest run that shows it."""

    seed: int
    steps: int
    rule: str
    text: str
    actions: tuple[Action, ...]

    def __str__(self) -> str:
        kind = layout_of(self.seed).kind
        lines = [f"seed {self.seed} ({kind}): {self.text} after {len(self.actions)} actions:"]
        again = f"again: python -m tests.explorer --seed {self.seed} --steps {self.steps}"
        return "\n".join([*lines, *(f"  {action}" for action in self.actions), again])


def explore(seed: int, steps: int, *, shrink: bool = True) -> Found | None:
    """One run. None: no violation."""
    rng, layout = random.Random(seed), layout_of(seed)
    actions = [draw(rng, layout) for _ in range(steps)]
    violation, done = replay(seed, actions)
    if violation is None:
        return None
    shortest = list(actions[:done])
    if shrink:
        shortest = _shrink(seed, shortest, violation.rule)
        violation = replay(seed, shortest)[0] or violation
    return Found(seed, steps, violation.rule, str(violation), tuple(shortest))


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
